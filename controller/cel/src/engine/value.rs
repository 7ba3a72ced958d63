//! Values: JSON borrowed from a request, or what an expression computes. Cloning one copies no data.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::failure::Failure;
use super::format;
use super::map::{Key, MapValue};
use super::meter::Meter;
use super::time::Timestamp;
use crate::tree::{NodeList, NodeMap};

/// A CEL value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// A string.
    Text(Text<'a>),
    /// A sequence of bytes.
    Bytes(Arc<[u8]>),
    /// A list borrowed from JSON.
    JsonList(NodeList<'a>),
    /// A list that an expression built.
    List(Arc<Vec<Value<'a>>>),
    /// A map borrowed from JSON.
    JsonMap(NodeMap<'a>),
    /// A map that an expression built.
    Map(Arc<MapValue<'a>>),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A point in time.
    Timestamp(Timestamp),
    /// A type, by its name at runtime.
    Type(&'static str),
    /// An optional, with its value or without.
    Optional(Option<Arc<Value<'a>>>),
    /// A value of a library's own type.
    Opaque(Arc<dyn Opaque>),
}

/// A string, borrowed or shared.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// From the request or the program.
    Borrowed(&'a str),
    /// Computed.
    Shared(Arc<str>),
}

/// A type that a library brings in.
pub trait Opaque: fmt::Debug + fmt::Display + Send + Sync {
    /// Its name, as `type()` gives it.
    fn type_name(&self) -> &'static str;
    /// Whether another value of a library's type equals this one; none if the two cannot be compared, as
    /// those of different types: `==` fails then, and `!=` holds.
    fn equals(&self, other: &dyn Opaque) -> Option<bool>;
    /// The size by which costs go; that of a scalar unless it says otherwise.
    fn cost_size(&self) -> u64 {
        1
    }
    /// Whether `==` costs 1 whatever the sizes, as with the types that apiserver's `cost.go` names.
    fn equality_is_nominal(&self) -> bool {
        false
    }
    /// For the library's functions, to find their own type again.
    fn as_any(&self) -> &dyn Any;
}

impl Text<'_> {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'a> Value<'a> {
    /// A computed string.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    /// A borrowed string.
    #[must_use]
    pub fn borrowed(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }

    /// A list of values.
    #[must_use]
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A map of values.
    #[must_use]
    pub fn map(entries: MapValue<'a>) -> Self {
        Self::Map(Arc::new(entries))
    }

    /// An optional with a value.
    #[must_use]
    pub fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The truth of a `bool`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The text of a `string`.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text.as_str()) } else { None }
    }

    /// The elements of a list.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Value<'a>>> {
        match self {
            Self::JsonList(list) => Some(list.iter().map(Value::from_json).collect()),
            Self::List(items) => Some(items.to_vec()),
            _ => None,
        }
    }

    /// The element of a list at an index, counted from 0.
    #[must_use]
    pub fn element(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::JsonList(list) => list.get(index).map(Value::from_json),
            Self::List(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// The value of a key of a map.
    #[must_use]
    pub fn entry(&self, key: &Key<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::JsonMap(map), Key::Text(name)) => map.get(name.as_str()).map(Value::from_json),
            (Self::Map(map), key) => map.get(key).cloned(),
            _ => None,
        }
    }

    /// A field of a map by its name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::JsonMap(map) => map.get(name).map(Value::from_json),
            Self::Map(map) => map.get(&Key::Text(Text::Shared(name.into()))).cloned(),
            _ => None,
        }
    }

    /// The elements of a list by their index, or the entries of a map by their key; none of other values.
    pub fn children(&self) -> Box<dyn Iterator<Item = (Key<'a>, Value<'a>)> + '_> {
        let number = |index: usize| Key::Uint(index as u64);
        match self {
            Self::JsonList(list) => Box::new(
                list.iter()
                    .map(Value::from_json)
                    .enumerate()
                    .map(move |(index, value)| (number(index), value)),
            ),
            Self::List(items) => {
                Box::new(items.iter().enumerate().map(move |(index, value)| (number(index), value.clone())))
            }
            Self::JsonMap(map) => Box::new(
                map.iter().map(|(name, value)| (Key::Text(Text::Borrowed(name)), Value::from_json(value))),
            ),
            Self::Map(map) => Box::new(map.iter().map(|(key, value)| (key.clone(), value.clone()))),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether it is the same as another in value and type, all the way down. NaN is itself here.
    #[must_use]
    pub fn identical(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            _ if self.type_name() != other.type_name() => false,
            (Self::Double(one), Value::Double(other)) => one.to_bits() == other.to_bits(),
            (Self::Int(one), Value::Int(other)) => one == other,
            (Self::Uint(one), Value::Uint(other)) => one == other,
            (Self::Bool(one), Value::Bool(other)) => one == other,
            (Self::Text(one), Value::Text(other)) => one.as_str() == other.as_str(),
            (Self::Bytes(one), Value::Bytes(other)) => one == other,
            (Self::Duration(one), Value::Duration(other)) => one == other,
            (Self::Timestamp(one), Value::Timestamp(other)) => one == other,
            (Self::Type(one), Value::Type(other)) => one == other,
            (Self::Opaque(one), Value::Opaque(other)) => one.equals(&**other) == Some(true),
            (Self::Optional(Some(one)), Value::Optional(Some(other))) => one.identical(other),
            (Self::Optional(one), Value::Optional(other)) => one.is_none() && other.is_none(),
            _ => {
                self.size() == other.size()
                    && self
                        .children()
                        .zip(other.children())
                        .all(|((key, one), (other_key, other))| key == other_key && one.identical(&other))
            }
        }
    }

    /// The name of its type as CEL says it: `bool`, `map`, `google.protobuf.Duration`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::JsonList(_) | Self::List(_) => "list",
            Self::JsonMap(_) | Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Opaque(value) => value.type_name(),
        }
    }

    /// The name of cel-go's own type for it, which some messages show.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "types.Null",
            Self::Bool(_) => "types.Bool",
            Self::Int(_) => "types.Int",
            Self::Uint(_) => "types.Uint",
            Self::Double(_) => "types.Double",
            Self::Text(_) => "types.String",
            Self::Bytes(_) => "types.Bytes",
            Self::Duration(_) => "types.Duration",
            Self::Timestamp(_) => "types.Timestamp",
            Self::Type(_) => "*types.Type",
            Self::Optional(_) => "*types.Optional",
            Self::JsonList(_) => "[]interface {}",
            Self::JsonMap(_) => "map[string]interface {}",
            Self::List(_) => "*types.baseList",
            Self::Map(_) => "*types.baseMap",
            Self::Opaque(value) => match value.type_name() {
                "kubernetes.NamedFormat" => "cel.Format",
                "kubernetes.Quantity" => "cel.Quantity",
                "kubernetes.Semver" => "cel.Semver",
                "kubernetes.URL" => "cel.URL",
                "net.CIDR" => "cel.CIDR",
                "net.IP" => "cel.IP",
                other => other,
            },
        }
    }

    /// Whether it can select from a list or a map.
    pub(crate) fn is_key(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Int(_) | Self::Uint(_) | Self::Bool(_) | Self::Double(_))
    }

    /// What `size()` says of it: code points, bytes, elements or entries; none for other types.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(code_points(text.as_str())),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::JsonList(list) => Some(list.len()),
            Self::List(items) => Some(items.len()),
            Self::JsonMap(map) => Some(map.len()),
            Self::Map(map) => Some(map.len()),
            _ => None,
        }
    }
}

/// How many code points a text has. Nearly every text is ASCII, which is found out sooner than they are counted.
fn code_points(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// What programs build may nest so deep, besides the JSON in it: each can nest what another built.
const MAX_NESTING: usize = 1_000;

impl Value<'_> {
    /// Checks a result that other programs may build on: comparing and dropping recurse over what it nests.
    ///
    /// # Errors
    /// It nests too deeply, or holds more than one evaluation may visit.
    pub(crate) fn check_nesting(&self, meter: &Meter) -> Result<(), Box<Failure>> {
        self.nests_at_most(MAX_NESTING, meter)
    }

    fn nests_at_most(&self, levels: usize, meter: &Meter) -> Result<(), Box<Failure>> {
        let size = match self {
            Self::List(items) => items.len(),
            Self::Map(entries) => entries.len(),
            Self::Optional(Some(_)) => 1,
            _ => return Ok(()),
        };
        let below = levels.checked_sub(1).ok_or_else(|| Failure::new("the result is nested too deeply"))?;
        meter.visit(size)?;
        match self {
            Self::List(items) => items.iter().try_for_each(|item| item.nests_at_most(below, meter)),
            Self::Map(entries) => entries.iter().try_for_each(|(_, value)| value.nests_at_most(below, meter)),
            Self::Optional(Some(value)) => value.nests_at_most(below, meter),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// As error messages show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Uint(number) => number.fmt(f),
            Self::Double(number) => f.write_str(&format::double(*number)),
            Self::Text(text) => f.write_str(text.as_str()),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Duration(nanoseconds) => f.write_str(&format::duration(*nanoseconds)),
            Self::Timestamp(timestamp) => timestamp.fmt(f),
            Self::Type(name) => f.write_str(name),
            Self::Opaque(value) => value.fmt(f),
            Self::JsonList(_) | Self::List(_) | Self::JsonMap(_) | Self::Map(_) | Self::Optional(_) => {
                f.write_str(self.type_name())
            }
        }
    }
}
