//! Arithmetic, which never wraps, and concatenation.

use std::sync::Arc;

use super::super::failure::Failure;
use super::super::registry::Invocation;
use super::super::value::{Text, Value};

fn overflow() -> Box<Failure> {
    Failure::new("integer overflow")
}

fn unsigned_overflow() -> Box<Failure> {
    Failure::new("unsigned integer overflow")
}

fn timestamp_overflow() -> Box<Failure> {
    Failure::new("timestamp overflow")
}

pub(super) fn not<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Bool(truth)] => Ok(Value::Bool(!truth)),
        _ => Err(Failure::no_such_overload()),
    }
}

pub(super) fn negate<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Int(number)] => number.checked_neg().map(Value::Int).ok_or_else(overflow),
        [Value::Double(number)] => Ok(Value::Double(-number)),
        [Value::Duration(number)] => number.checked_neg().map(Value::Duration).ok_or_else(overflow),
        _ => Err(Failure::no_such_overload()),
    }
}

pub(crate) fn add<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [left, right] = args else { return Err(Failure::no_such_overload()) };
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            left.checked_add(*right).map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(left), Value::Uint(right)) => {
            left.checked_add(*right).map(Value::Uint).ok_or_else(unsigned_overflow)
        }
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
        (Value::Text(left), Value::Text(right)) => concatenate(call, left, right),
        (Value::Bytes(left), Value::Bytes(right)) => {
            call.meter.allocate(left.len() + right.len())?;
            Ok(Value::Bytes(Arc::from([&**left, &**right].concat())))
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(*right).map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Duration(length), Value::Timestamp(time))
        | (Value::Timestamp(time), Value::Duration(length)) => {
            time.add(*length).map(Value::Timestamp).ok_or_else(timestamp_overflow)
        }
        (Value::List(_) | Value::JsonList(_), Value::List(_) | Value::JsonList(_)) => {
            call.meter.allocate_list(left.size().unwrap_or(0) + right.size().unwrap_or(0))?;
            let mut joined = left.elements().unwrap_or_default();
            joined.extend(right.elements().unwrap_or_default());
            Ok(Value::list(joined))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn concatenate<'a>(
    call: &Invocation<'_>,
    left: &Text<'a>,
    right: &Text<'a>,
) -> Result<Value<'a>, Box<Failure>> {
    let (left, right) = (left.as_str(), right.as_str());
    call.meter.allocate(left.len() + right.len())?;
    let mut joined = String::with_capacity(left.len() + right.len());
    joined.push_str(left);
    joined.push_str(right);
    Ok(Value::text(joined))
}

pub(super) fn subtract<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Int(left), Value::Int(right)] => {
            left.checked_sub(*right).map(Value::Int).ok_or_else(overflow)
        }
        [Value::Uint(left), Value::Uint(right)] => {
            left.checked_sub(*right).map(Value::Uint).ok_or_else(unsigned_overflow)
        }
        [Value::Double(left), Value::Double(right)] => Ok(Value::Double(left - right)),
        [Value::Duration(left), Value::Duration(right)] => {
            left.checked_sub(*right).map(Value::Duration).ok_or_else(overflow)
        }
        [Value::Timestamp(left), Value::Duration(right)] => {
            let back = right.checked_neg().ok_or_else(overflow)?;
            left.add(back).map(Value::Timestamp).ok_or_else(timestamp_overflow)
        }
        [Value::Timestamp(left), Value::Timestamp(right)] => {
            left.since(right).map(Value::Duration).ok_or_else(overflow)
        }
        _ => Err(Failure::no_such_overload()),
    }
}

pub(super) fn multiply<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Int(left), Value::Int(right)] => {
            left.checked_mul(*right).map(Value::Int).ok_or_else(overflow)
        }
        [Value::Uint(left), Value::Uint(right)] => {
            left.checked_mul(*right).map(Value::Uint).ok_or_else(unsigned_overflow)
        }
        [Value::Double(left), Value::Double(right)] => Ok(Value::Double(left * right)),
        _ => Err(Failure::no_such_overload()),
    }
}

pub(super) fn divide<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Failure::new("division by zero"))
        }
        [Value::Int(left), Value::Int(right)] => {
            left.checked_div(*right).map(Value::Int).ok_or_else(overflow)
        }
        [Value::Uint(left), Value::Uint(right)] => Ok(Value::Uint(left / right)),
        [Value::Double(left), Value::Double(right)] => Ok(Value::Double(left / right)),
        _ => Err(Failure::no_such_overload()),
    }
}

pub(super) fn modulo<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Failure::new("modulus by zero"))
        }
        [Value::Int(left), Value::Int(right)] => {
            left.checked_rem(*right).map(Value::Int).ok_or_else(overflow)
        }
        [Value::Uint(left), Value::Uint(right)] => Ok(Value::Uint(left % right)),
        _ => Err(Failure::no_such_overload()),
    }
}
