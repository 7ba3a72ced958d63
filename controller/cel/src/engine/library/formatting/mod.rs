//! `format`, after cel-go's `ext/formatting.go`: the first version of it, which Kubernetes keeps.

mod clause;
mod numbers;
mod text;

pub(crate) use clause::{Broken, Clause, Part, walk};

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;

/// The name of the overload, which the validator of literals looks for.
pub(crate) const OVERLOAD: &str = "string_format";

pub(super) const FORMAT: Function = Function {
    name: "format",
    overloads: &[Overload::method(OVERLOAD, &[Ty::String, Ty::List(&Ty::Dyn)], Ty::String, format)
        .costs(Cost::FIRST)
        .variadic()],
};

fn format<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [Value::Text(pattern), list @ (Value::List(_) | Value::JsonList(_))] = args else {
        return Err(Failure::no_such_overload());
    };
    let mut written = String::new();
    walk(pattern.as_str(), list.size().unwrap_or(0), |part| {
        let mut add = |piece: &str| {
            written.push_str(piece);
            call.meter.allocate(piece.len())
        };
        match part {
            Part::Text(text) => add(text),
            Part::Clause { index, clause } => {
                let value = list.element(index).unwrap_or(Value::Null);
                add(&clause.write(&value, call.meter)?)
            }
        }
    })
    .map_err(|failure| failure.into_failure())?;
    Ok(Value::text(written))
}
