//! Trees as text, as values of `serde_json`, and compared.

use super::{Content, Node, Tree};
use serde::ser::{Serialize, Serializer};
use serde_json::Value as Json;
use std::fmt;

impl Node<'_> {
    /// A copy in the representation of `serde_json`.
    #[must_use]
    pub fn to_json(self) -> Json {
        match self.content() {
            Content::Null => Json::Null,
            Content::Bool(truth) => truth.into(),
            Content::Int(number) => number.into(),
            Content::Uint(number) => number.into(),
            Content::Double(number) => number.into(),
            Content::Text(text) => text.into(),
            Content::List(list) => list.iter().map(Self::to_json).collect(),
            Content::Map(map) => {
                let entries = map.iter().map(|(key, value)| (key.to_owned(), value.to_json()));
                Json::Object(entries.collect())
            }
        }
    }
}

/// Equal in types and values all the way down: `1` and `1.0` differ, the order of keys does not.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.content(), other.content()) {
            (Content::Null, Content::Null) => true,
            (Content::Bool(one), Content::Bool(other)) => one == other,
            (Content::Int(one), Content::Int(other)) => one == other,
            (Content::Uint(one), Content::Uint(other)) => one == other,
            (Content::Double(one), Content::Double(other)) => one == other,
            (Content::Text(one), Content::Text(other)) => one == other,
            (Content::List(one), Content::List(other)) => {
                one.len() == other.len() && one.iter().eq(other.iter())
            }
            (Content::Map(one), Content::Map(other)) => {
                one.len() == other.len() && one.iter().eq(other.iter())
            }
            _ => false,
        }
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl PartialEq<Json> for Node<'_> {
    fn eq(&self, other: &Json) -> bool {
        *self == Tree::from(other).root()
    }
}

impl PartialEq<Json> for Tree {
    fn eq(&self, other: &Json) -> bool {
        self.root() == *other
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.content() {
            Content::Null => serializer.serialize_unit(),
            Content::Bool(truth) => serializer.serialize_bool(truth),
            Content::Int(number) => serializer.serialize_i64(number),
            Content::Uint(number) => serializer.serialize_u64(number),
            Content::Double(number) => serializer.serialize_f64(number),
            Content::Text(text) => serializer.serialize_str(text),
            Content::List(list) => serializer.collect_seq(list.iter()),
            Content::Map(map) => serializer.collect_map(map.iter()),
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}

/// JSON text.
impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
