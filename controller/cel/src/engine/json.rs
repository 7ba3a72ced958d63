//! The only module that knows how JSON is represented.

use serde_json::{Map, Number, Value as Json};

use super::map::{Key, MapValue};
use super::value::{Text, Value};

/// A borrowed JSON array.
#[derive(Clone, Copy, Debug)]
pub struct JsonList<'a>(&'a [Json]);

/// A borrowed JSON object.
#[derive(Clone, Copy, Debug)]
pub struct JsonMap<'a>(&'a Map<String, Json>);

impl<'a> Value<'a> {
    /// JSON as CEL sees it, borrowed: integers are `int` within its range, other
    /// numbers are `double`, as in the API server.
    #[must_use]
    pub fn from_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => Self::number(number),
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(items) => Self::JsonList(JsonList(items)),
            Json::Object(fields) => Self::JsonMap(JsonMap(fields)),
        }
    }

    fn number(number: &Number) -> Self {
        match number.as_i64() {
            Some(int) => Self::Int(int),
            None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    /// A value of its own, copied from JSON that does not live long enough to be borrowed.
    #[must_use]
    pub fn owned(json: &Json) -> Self {
        match json {
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => Self::list(items.iter().map(Self::owned).collect()),
            Json::Object(fields) => {
                let mut entries = MapValue::default();
                for (name, value) in fields {
                    entries.insert(Key::Text(Text::Shared(name.as_str().into())), Self::owned(value));
                }
                Self::map(entries)
            }
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => Self::number(number),
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
            Self::JsonList(list) => Json::Array(list.0.to_vec()),
            Self::JsonMap(map) => Json::Object(map.0.clone()),
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

impl<'a> JsonList<'a> {
    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The element at an index, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        self.0.get(index).map(Value::from_json)
    }

    /// Its elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value<'a>> + use<'a> {
        self.0.iter().map(Value::from_json)
    }
}

impl<'a> JsonMap<'a> {
    /// How many fields it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.get(name).map(Value::from_json)
    }

    /// Its fields, in the order of the representation.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, Value<'a>)> + use<'a> {
        self.0.iter().map(|(name, value)| (name.as_str(), Value::from_json(value)))
    }
}
