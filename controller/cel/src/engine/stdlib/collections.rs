//! Size and membership.

use super::super::failure::Failure;
use super::super::map::Key;
use super::super::meter::Meter;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;
use super::compare::equal;

const LIST: Ty = Ty::List(&Ty::A);
const MAP: Ty = Ty::Map(&Ty::A, &Ty::B);

pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "size",
    overloads: &[
        Overload::function("size_bytes", &[Ty::Bytes], Ty::Int, size),
        Overload::method("bytes_size", &[Ty::Bytes], Ty::Int, size),
        Overload::function("size_list", &[LIST], Ty::Int, size),
        Overload::method("list_size", &[LIST], Ty::Int, size),
        Overload::function("size_map", &[MAP], Ty::Int, size),
        Overload::method("map_size", &[MAP], Ty::Int, size),
        Overload::function("size_string", &[Ty::String], Ty::Int, size),
        Overload::method("string_size", &[Ty::String], Ty::Int, size),
    ],
}];

fn size<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    if let Some(Value::Text(text)) = args.first() {
        call.meter.read(text.as_str())?;
    }
    let size = args.first().and_then(Value::size).ok_or_else(Failure::no_such_overload)?;
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

pub(super) fn within<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [element, container] => contains(element, container, call.meter).map(Value::Bool),
        _ => Err(Failure::no_such_overload()),
    }
}

/// Whether a list has an element, or a map a key.
fn contains<'a>(element: &Value<'a>, container: &Value<'a>, meter: &Meter) -> Result<bool, Box<Failure>> {
    match container {
        Value::JsonMap(_) | Value::Map(_) => {
            Ok(Key::of(element).is_some_and(|key| container.entry(&key).is_some()))
        }
        Value::JsonList(list) => {
            meter.visit(list.len())?;
            for other in list.iter() {
                if equal(element, &Value::from_json(other), meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::List(items) => {
            meter.visit(items.len())?;
            for other in items.iter() {
                if equal(element, other, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(Failure::no_such_overload()),
    }
}
