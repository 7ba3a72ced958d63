//! Lists as sets, after cel-go's `ext/sets.go`.

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::meter::Meter;
use super::super::registry::{Function, Invocation, Overload};
use super::super::stdlib::equal;
use super::super::types::Ty;
use super::super::value::Value;
use super::Library;

const LIST: Ty = Ty::List(&Ty::A);

pub(super) static LIBRARY: Library = Library::of(&[
    Function {
        name: "sets.contains",
        overloads: &[Overload::function("list_sets_contains_list", &[LIST, LIST], Ty::Bool, contains)
            .costs(Cost::rule(|args, _| 1 + pairs(args)))],
    },
    Function {
        name: "sets.equivalent",
        overloads: &[Overload::function("list_sets_equivalent_list", &[LIST, LIST], Ty::Bool, equivalent)
            .costs(Cost::rule(|args, _| 1 + 2 * pairs(args)))],
    },
    Function {
        name: "sets.intersects",
        overloads: &[Overload::function("list_sets_intersects_list", &[LIST, LIST], Ty::Bool, intersects)
            .costs(Cost::rule(|args, _| 1 + pairs(args)))],
    },
]);

fn pairs(args: &[Value<'_>]) -> u64 {
    args.iter().map(cost::size).product()
}

fn lists<'v, 'a>(args: &'v [Value<'a>]) -> Result<(&'v Value<'a>, &'v Value<'a>), Box<Failure>> {
    match args {
        [one @ (Value::List(_) | Value::JsonList(_)), other @ (Value::List(_) | Value::JsonList(_))] => {
            Ok((one, other))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn has<'a>(list: &Value<'a>, item: &Value<'a>, meter: &Meter) -> Result<bool, Box<Failure>> {
    meter.visit(list.size().unwrap_or(0))?;
    for (_, element) in list.children() {
        if equal(item, &element, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_all<'a>(list: &Value<'a>, part: &Value<'a>, meter: &Meter) -> Result<bool, Box<Failure>> {
    for (_, item) in part.children() {
        if !has(list, &item, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (list, part) = lists(args)?;
    has_all(list, part, call.meter).map(Value::Bool)
}

fn equivalent<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (one, other) = lists(args)?;
    Ok(Value::Bool(has_all(one, other, call.meter)? && has_all(other, one, call.meter)?))
}

fn intersects<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (one, other) = lists(args)?;
    for (_, item) in one.children() {
        if has(other, &item, call.meter)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
