//! Maps that an expression builds, and their keys.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;

use super::number::{Integral, integral};
use super::value::{Text, Value};

/// A key of a map.
#[derive(Clone, Debug)]
pub enum Key<'a> {
    /// A boolean key.
    Bool(bool),
    /// An integer key; equal to the `uint` of the same number.
    Int(i64),
    /// An unsigned key.
    Uint(u64),
    /// A string key.
    Text(Text<'a>),
}

/// A map that an expression built, in the order of its keys.
#[derive(Clone, Debug, Default)]
pub struct MapValue<'a>(BTreeMap<Key<'a>, Value<'a>>);

impl<'a> Key<'a> {
    /// The key a value is, or none if its type cannot be one. A `double` that is an integer is that integer.
    #[must_use]
    pub fn of(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(Self::Bool(*truth)),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Uint(number) => Some(Self::Uint(*number)),
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Double(number) => match integral(*number)? {
                Integral::Int(number) => Some(Self::Int(number)),
                Integral::Uint(number) => Some(Self::Uint(number)),
            },
            _ => None,
        }
    }

    /// The key as a value.
    #[must_use]
    pub fn to_value(&self) -> Value<'a> {
        match self {
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => Value::Int(*number),
            Self::Uint(number) => Value::Uint(*number),
            Self::Text(text) => Value::Text(text.clone()),
        }
    }

    fn rank(&self) -> (u8, i128, &str) {
        match self {
            Self::Bool(truth) => (0, i128::from(*truth), ""),
            Self::Int(number) => (1, i128::from(*number), ""),
            Self::Uint(number) => (1, i128::from(*number), ""),
            Self::Text(text) => (2, 0, text.as_str()),
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Uint(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text.as_str()),
        }
    }
}

impl<'a> MapValue<'a> {
    /// Gives a key its value; the one it had before, if any, is returned.
    pub fn insert(&mut self, key: Key<'a>, value: Value<'a>) -> Option<Value<'a>> {
        self.0.insert(key, value)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &Key<'a>) {
        self.0.remove(key);
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &Key<'a>) -> Option<&Value<'a>> {
        self.0.get(key)
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its entries, in the order of their keys.
    pub fn iter(&self) -> btree_map::Iter<'_, Key<'a>, Value<'a>> {
        self.0.iter()
    }
}

impl<'a> FromIterator<(Key<'a>, Value<'a>)> for MapValue<'a> {
    fn from_iter<T: IntoIterator<Item = (Key<'a>, Value<'a>)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}
