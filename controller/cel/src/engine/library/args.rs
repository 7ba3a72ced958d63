//! The arguments of a library's functions: strings, and values of the library's own types.

use std::any::Any;

use super::super::failure::Failure;
use super::super::value::{Opaque, Value};

/// The string at an index.
pub(super) fn text<'v>(args: &'v [Value<'_>], index: usize) -> Result<&'v str, Box<Failure>> {
    args.get(index).and_then(Value::as_str).ok_or_else(Failure::no_such_overload)
}

/// The value of a library's type at an index.
pub(super) fn own<'v, T: Any>(args: &'v [Value<'_>], index: usize) -> Result<&'v T, Box<Failure>> {
    match args.get(index) {
        Some(Value::Opaque(value)) => value.as_any().downcast_ref().ok_or_else(Failure::no_such_overload),
        _ => Err(Failure::no_such_overload()),
    }
}

/// Another value as the same type as this one, for comparing the two.
pub(super) fn same<T: Any>(other: &dyn Opaque) -> Option<&T> {
    other.as_any().downcast_ref()
}
