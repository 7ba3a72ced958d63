//! What a value is made of, and how lists and maps of every make are read alike.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::common::value::Val;

use crate::error::EvaluationError;
use crate::image::ImageReference;
use crate::value::Value;

/// What a [`Value`] is made of.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    Json(&'a serde_json::Value),
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<List<'a>>),
    Map(Arc<Map<'a>>),
    Fields(Arc<Fields<'a>>),
    Optional(Option<Arc<Value<'a>>>),
    Image(Arc<ImageReference>),
    /// A duration, timestamp or type.
    Other(Arc<dyn Val>),
}

/// A list that does not come straight from JSON.
#[derive(Debug)]
pub(crate) struct List<'a> {
    pub(crate) items: Vec<Value<'a>>,
    /// How deep lists and maps are nested in it, itself included and borrowed JSON not.
    depth: usize,
}

/// A map that does not come straight from JSON.
#[derive(Debug)]
pub(crate) struct Map<'a> {
    pub(crate) entries: BTreeMap<Key, Value<'a>>,
    depth: usize,
}

/// A key of a computed map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    /// Only beyond the range of `Int`, so that `1` and `1u` are one key.
    Uint(u64),
    Text(Arc<str>),
}

/// An object each of whose fields is a value or the error that reading it gives.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) entries: Vec<(Arc<str>, Result<Value<'a>, EvaluationError>)>,
}

/// A [`Key`] to look up, or one that an iteration is at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyRef<'k> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(&'k str),
}

impl<'a> Node<'a> {
    pub(crate) fn list(items: Vec<Value<'a>>) -> Self {
        let depth = 1 + items.iter().map(|item| item.0.depth()).max().unwrap_or(0);
        Node::List(Arc::new(List { items, depth }))
    }

    pub(crate) fn map(entries: BTreeMap<Key, Value<'a>>) -> Self {
        let depth = 1 + entries.values().map(|value| value.0.depth()).max().unwrap_or(0);
        Node::Map(Arc::new(Map { entries, depth }))
    }

    /// How deep computed lists, maps and optionals are nested: each is dropped and compared by recursion.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Node::List(list) => list.depth,
            Node::Map(map) => map.depth,
            Node::Fields(fields) => {
                1 + fields
                    .entries
                    .iter()
                    .flat_map(|(_, value)| value)
                    .map(|value| value.0.depth())
                    .max()
                    .unwrap_or(0)
            }
            Node::Optional(Some(value)) => 1 + value.0.depth(),
            _ => 0,
        }
    }

    pub(crate) fn from_number(number: &serde_json::Number) -> Self {
        if let Some(integer) = number.as_i64() {
            Node::Int(integer)
        } else if let Some(integer) = number.as_u64() {
            Node::Uint(integer)
        } else {
            Node::Double(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Node::List(_) | Node::Json(serde_json::Value::Array(_)))
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Node::Map(_) | Node::Fields(_) | Node::Json(serde_json::Value::Object(_)))
    }

    /// The number of elements or entries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Node::Json(serde_json::Value::Array(items)) => items.len(),
            Node::Json(serde_json::Value::Object(fields)) => fields.len(),
            Node::List(list) => list.items.len(),
            Node::Map(map) => map.entries.len(),
            Node::Fields(fields) => fields.entries.len(),
            _ => 0,
        }
    }

    /// The element of a list at `index`.
    pub(crate) fn element(&self, index: usize) -> Option<Node<'a>> {
        match self {
            Node::Json(serde_json::Value::Array(items)) => items.get(index).map(Node::Json),
            Node::List(list) => list.items.get(index).map(|value| value.0.clone()),
            _ => None,
        }
    }

    /// The value of a map under `key`.
    pub(crate) fn get(&self, key: &KeyRef<'_>) -> Option<Result<Node<'a>, EvaluationError>> {
        match (self, key) {
            (Node::Json(serde_json::Value::Object(fields)), KeyRef::Text(name)) => {
                fields.get(*name).map(|value| Ok(Node::Json(value)))
            }
            (Node::Fields(fields), KeyRef::Text(name)) => {
                let (_, value) = fields.entries.iter().find(|(field, _)| **field == **name)?;
                Some(value.as_ref().map(|value| value.0.clone()).map_err(Clone::clone))
            }
            (Node::Map(map), key) => map.entries.get(&key.to_key()).map(|value| Ok(value.0.clone())),
            _ => None,
        }
    }

    /// Whether `test` holds for all entries of a map; stops at the first for which it does not. Fields that
    /// hold an error come with no node.
    pub(crate) fn all_entries(&self, mut test: impl FnMut(KeyRef<'_>, Option<Node<'a>>) -> bool) -> bool {
        match self {
            Node::Json(serde_json::Value::Object(fields)) => {
                fields.iter().all(|(name, value)| test(KeyRef::Text(name), Some(Node::Json(value))))
            }
            Node::Map(map) => {
                map.entries.iter().all(|(key, value)| test(key.as_key_ref(), Some(value.0.clone())))
            }
            Node::Fields(fields) => fields.entries.iter().all(|(name, value)| {
                test(KeyRef::Text(name), value.as_ref().ok().map(|value| value.0.clone()))
            }),
            _ => true,
        }
    }
}

impl Key {
    fn as_key_ref(&self) -> KeyRef<'_> {
        match self {
            Key::Bool(truth) => KeyRef::Bool(*truth),
            Key::Int(number) => KeyRef::Int(*number),
            Key::Uint(number) => KeyRef::Uint(*number),
            Key::Text(text) => KeyRef::Text(text),
        }
    }
}

impl KeyRef<'_> {
    /// An unsigned key: `1u` is the key `1`.
    pub(crate) fn from_uint(number: u64) -> Self {
        i64::try_from(number).map_or(KeyRef::Uint(number), KeyRef::Int)
    }

    pub(crate) fn to_key(self) -> Key {
        match self {
            KeyRef::Bool(truth) => Key::Bool(truth),
            KeyRef::Int(number) => Key::Int(number),
            KeyRef::Uint(number) => Key::Uint(number),
            KeyRef::Text(text) => Key::Text(text.into()),
        }
    }
}

impl fmt::Display for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyRef::Bool(truth) => write!(f, "{truth}"),
            KeyRef::Int(number) => write!(f, "{number}"),
            KeyRef::Uint(number) => write!(f, "{number}"),
            KeyRef::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_key_ref().fmt(f)
    }
}
