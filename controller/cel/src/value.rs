//! Values in and out of a program: JSON borrowed from a request, or computed by CEL.

use std::borrow::Cow;
use std::sync::Arc;

use cel::common::types::{CelDuration, CelTimestamp, CelType};
use cel::common::value::Val;

use crate::error::EvaluationError;
use crate::node::{Fields, Key, Node};

/// A CEL value that may borrow the JSON it came from. Cloning is cheap: nothing is copied.
#[derive(Clone, Debug)]
pub struct Value<'a>(pub(crate) Node<'a>);

impl<'a> Value<'a> {
    /// JSON as CEL sees it, borrowed: integers are `int` (`uint` beyond its range), other numbers `double`.
    #[must_use]
    pub fn from_json(json: &'a serde_json::Value) -> Self {
        Self(Node::Json(json))
    }

    /// JSON that the value itself keeps.
    #[must_use]
    pub fn owned(json: serde_json::Value) -> Self {
        Self(match json {
            serde_json::Value::Null => Node::Null,
            serde_json::Value::Bool(truth) => Node::Bool(truth),
            serde_json::Value::Number(number) => Node::from_number(&number),
            serde_json::Value::String(text) => Node::Text(text.into()),
            serde_json::Value::Array(items) => Node::list(items.into_iter().map(Value::owned).collect()),
            serde_json::Value::Object(fields) => Node::map(
                fields
                    .into_iter()
                    .map(|(name, value)| (Key::Text(name.into()), Value::owned(value)))
                    .collect(),
            ),
        })
    }

    /// A list of values, which may borrow.
    #[must_use]
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self(Node::list(items))
    }

    /// An object whose fields are values or errors: selecting a field that holds an error fails with just
    /// that error, and a field that is not there is `no such key`.
    #[must_use]
    pub fn fields(entries: Vec<(Arc<str>, Result<Value<'a>, EvaluationError>)>) -> Self {
        Self(Node::Fields(Arc::new(Fields { entries })))
    }

    /// The truth of a `bool`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match &self.0 {
            Node::Bool(truth) => Some(*truth),
            Node::Json(json) => json.as_bool(),
            _ => None,
        }
    }

    /// The text of a `string`.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Node::Text(text) => Some(text),
            Node::Json(json) => json.as_str(),
            _ => None,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.0, Node::Null | Node::Json(serde_json::Value::Null))
    }

    /// The elements of a `list`.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Value<'a>>> {
        match &self.0 {
            Node::List(list) => Some(list.items.clone()),
            Node::Json(serde_json::Value::Array(items)) => Some(items.iter().map(Value::from_json).collect()),
            _ => None,
        }
    }

    /// The name of its type as CEL says it: `bool`, `int`, `map`, `google.protobuf.Duration`.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match &self.0 {
            Node::Json(json) => match json {
                serde_json::Value::Null => "null_type",
                serde_json::Value::Bool(_) => "bool",
                serde_json::Value::Number(number) if number.is_i64() => "int",
                serde_json::Value::Number(number) if number.is_u64() => "uint",
                serde_json::Value::Number(_) => "double",
                serde_json::Value::String(_) => "string",
                serde_json::Value::Array(_) => "list",
                serde_json::Value::Object(_) => "map",
            },
            Node::Null => "null_type",
            Node::Bool(_) => "bool",
            Node::Int(_) => "int",
            Node::Uint(_) => "uint",
            Node::Double(_) => "double",
            Node::Text(_) => "string",
            Node::Bytes(_) => "bytes",
            Node::List(_) => "list",
            Node::Map(_) | Node::Fields(_) => "map",
            Node::Optional(_) => "optional_type",
            Node::Image(_) => "image",
            Node::Other(other) => other.get_type().name(),
        }
    }

    /// The value as JSON. Keys become strings; an absent optional is `null`, as is a number JSON cannot
    /// say; images, durations, timestamps and types are strings, bytes are read as UTF-8, and of an object
    /// of [`fields`](Self::fields) only those that hold a value remain.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.0 {
            Node::Json(json) => (*json).clone(),
            Node::Null | Node::Optional(None) => serde_json::Value::Null,
            Node::Bool(truth) => (*truth).into(),
            Node::Int(number) => (*number).into(),
            Node::Uint(number) => (*number).into(),
            Node::Double(number) => (*number).into(),
            Node::Text(text) => (**text).into(),
            Node::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
            Node::List(list) => list.items.iter().map(Value::to_json).collect(),
            Node::Map(map) => map
                .entries
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Node::Fields(fields) => fields
                .entries
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), value.as_ref().ok()?.to_json())))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Node::Optional(Some(value)) => value.to_json(),
            Node::Image(image) => image.to_string().into(),
            Node::Other(other) => other_text(other.as_ref()).into(),
        }
    }
}

/// How durations, timestamps and types are written.
fn other_text(other: &dyn Val) -> Cow<'_, str> {
    if let Some(type_value) = other.downcast_ref::<CelType>() {
        return Cow::Borrowed(type_value.name());
    }
    if let Some(timestamp) = other.downcast_ref::<CelTimestamp>() {
        return Cow::Owned(timestamp.inner().to_rfc3339());
    }
    match other.downcast_ref::<CelDuration>() {
        Some(duration) => {
            let nanoseconds = duration.inner().subsec_nanos().unsigned_abs();
            let seconds = duration.inner().num_seconds();
            let sign = if seconds == 0 && duration.inner().subsec_nanos() < 0 { "-" } else { "" };
            let fraction = if nanoseconds == 0 {
                String::new()
            } else {
                format!(".{}", format!("{nanoseconds:09}").trim_end_matches('0'))
            };
            Cow::Owned(format!("{sign}{seconds}{fraction}s"))
        }
        None => Cow::Borrowed(""),
    }
}
