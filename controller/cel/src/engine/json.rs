//! JSON as CEL sees it.

use super::map::Key;
use super::value::{Text, Value};
use crate::tree::{Content, Node};
use serde_json::{Map, Value as Json};

impl<'a> Value<'a> {
    /// JSON as CEL sees it, borrowed: integers are `int` within its range, other numbers are `double`, as in
    /// the API server.
    #[must_use]
    pub fn from_json(node: Node<'a>) -> Self {
        match node.content() {
            Content::Null => Self::Null,
            Content::Bool(truth) => Self::Bool(truth),
            Content::Int(number) => Self::Int(number),
            Content::Uint(number) => Self::Double(number as f64),
            Content::Double(number) => Self::Double(number),
            Content::Text(text) => Self::Text(Text::Borrowed(text)),
            Content::List(list) => Self::JsonList(list),
            Content::Map(map) => Self::JsonMap(map),
        }
    }

    /// A value of its own, copied from JSON that does not live long enough to be borrowed.
    #[must_use]
    pub fn owned(node: Node<'_>) -> Self {
        match node.content() {
            Content::Text(text) => Self::text(text),
            Content::List(list) => Self::list(list.iter().map(Self::owned).collect()),
            Content::Map(map) => {
                let entry =
                    |(name, value): (&str, _)| (Key::Text(Text::Shared(name.into())), Self::owned(value));
                Self::map(map.iter().map(entry).collect())
            }
            Content::Null => Self::Null,
            Content::Bool(truth) => Self::Bool(truth),
            Content::Int(number) => Self::Int(number),
            Content::Uint(number) => Self::Double(number as f64),
            Content::Double(number) => Self::Double(number),
        }
    }

    /// The value as JSON. Keys become strings; an absent optional is `null`, as is a number JSON cannot say;
    /// durations, timestamps, types and library types are strings, and bytes are read as UTF-8.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Int(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Double(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
            Self::JsonList(list) => list.iter().map(Node::to_json).collect(),
            Self::JsonMap(map) => {
                Json::Object(map.iter().map(|(key, node)| (key.to_owned(), node.to_json())).collect())
            }
            Self::List(items) => items.iter().map(Value::to_json).collect(),
            Self::Map(map) => map
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
            Self::Optional(Some(value)) => value.to_json(),
            Self::Duration(_) | Self::Timestamp(_) | Self::Type(_) | Self::Opaque(_) => {
                self.to_string().into()
            }
        }
    }
}
