//! CEL's standard library, and the functions of the optional type.

mod arithmetic;
mod collections;
mod compare;
mod convert;
mod operators;
mod optional;
mod strings;
mod times;

pub(crate) use arithmetic::add;
pub(crate) use compare::{compare, equal, equality};
pub(crate) use convert::is_conversion;

use super::failure::Failure;
use super::registry::{Function, Invocation};
use super::value::Value;

/// The standard library.
pub(crate) static LIBRARIES: &[&[Function]] = &[
    operators::FUNCTIONS,
    compare::FUNCTIONS,
    collections::FUNCTIONS,
    convert::FUNCTIONS,
    strings::FUNCTIONS,
    times::FUNCTIONS,
];

/// What optionals bring.
pub(crate) static OPTIONALS: &[Function] = optional::FUNCTIONS;

/// For operators that have a node of their own: they are declared for the checker alone.
fn planned<'a>(_: &Invocation<'_>, _: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    Err(Failure::no_such_overload())
}
