//! Optional values.

use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;
use super::planned;

const OPTIONAL: Ty = Ty::Optional(&Ty::A);
const LIST: Ty = Ty::List(&Ty::A);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "optional.of", overloads: &[Overload::function("optional_of", &[Ty::A], OPTIONAL, of)] },
    Function {
        name: "optional.ofNonZeroValue",
        overloads: &[Overload::function("optional_ofNonZeroValue", &[Ty::A], OPTIONAL, of_non_zero)],
    },
    Function {
        name: "optional.none",
        overloads: &[Overload::function("optional_none", &[], OPTIONAL, |_, _| Ok(Value::Optional(None)))],
    },
    Function { name: "value", overloads: &[Overload::method("optional_value", &[OPTIONAL], Ty::A, value)] },
    Function {
        name: "hasValue",
        overloads: &[Overload::method("optional_hasValue", &[OPTIONAL], Ty::Bool, has_value)],
    },
    Function {
        name: "or",
        overloads: &[Overload::method("optional_or_optional", &[OPTIONAL, OPTIONAL], OPTIONAL, planned)],
    },
    Function {
        name: "orValue",
        overloads: &[Overload::method("optional_orValue_value", &[OPTIONAL, Ty::A], Ty::A, planned)],
    },
    Function { name: "first", overloads: &[Overload::method("list_first", &[LIST], OPTIONAL, first)] },
    Function { name: "last", overloads: &[Overload::method("list_last", &[LIST], OPTIONAL, last)] },
    Function {
        name: "optional.unwrap",
        overloads: &[Overload::function("optional_unwrap", &[Ty::List(&OPTIONAL)], LIST, unwrap)],
    },
    Function {
        name: "unwrapOpt",
        overloads: &[Overload::method("optional_unwrapOpt", &[Ty::List(&OPTIONAL)], LIST, unwrap)],
    },
];

fn of<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    args.first().map(|value| Value::some(value.clone())).ok_or_else(Failure::no_such_overload)
}

fn of_non_zero<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [value] if is_zero(value) => Ok(Value::Optional(None)),
        [value] => Ok(Value::some(value.clone())),
        _ => Err(Failure::no_such_overload()),
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::Duration(length) => *length == 0,
        // Go's zero time is the first moment of the year 1.
        Value::Timestamp(time) => time.seconds() == -62_135_596_800 && time.nanoseconds() == 0,
        other => other.size() == Some(0),
    }
}

fn value<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => Err(Failure::new("optional.none() dereference")),
        _ => Err(Failure::no_such_overload()),
    }
}

fn has_value<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(Failure::no_such_overload()),
    }
}

fn end<'a>(args: &[Value<'a>], index: fn(usize) -> usize) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [list @ (Value::List(_) | Value::JsonList(_))] => {
            let size = list.size().unwrap_or(0);
            Ok(list.element(index(size)).map_or(Value::Optional(None), Value::some))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn first<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    end(args, |_| 0)
}

fn last<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    end(args, |size| size.wrapping_sub(1))
}

fn unwrap<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let elements = args.first().and_then(Value::elements).ok_or_else(Failure::no_such_overload)?;
    call.meter.allocate_list(elements.len())?;
    let mut present = Vec::new();
    // An overload is chosen by the first element alone.
    if elements.first().is_some_and(|first| !matches!(first, Value::Optional(_))) {
        return Err(Failure::no_such_overload());
    }
    for element in elements {
        match element {
            Value::Optional(Some(value)) => present.push((*value).clone()),
            Value::Optional(None) => {}
            other => return Err(Failure::new(format!("value {other} is not optional"))),
        }
    }
    Ok(Value::list(present))
}
