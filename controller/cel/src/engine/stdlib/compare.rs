//! Equality, which holds between any types, and order, which numbers of all types have between them.

use std::cmp::Ordering;

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::map::Key;
use super::super::meter::Meter;
use super::super::number::{int_double, int_uint, uint_double};
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;
use super::planned;

/// The overloads of one order operator: its own types, and numbers across types.
macro_rules! order {
    ($id:literal, $run:expr) => {
        &[
            Overload::function(concat!($id, "_bool"), &[Ty::Bool, Ty::Bool], Ty::Bool, $run),
            Overload::function(concat!($id, "_int64"), &[Ty::Int, Ty::Int], Ty::Bool, $run),
            Overload::function(concat!($id, "_int64_double"), &[Ty::Int, Ty::Double], Ty::Bool, $run)
                .across_types(),
            Overload::function(concat!($id, "_int64_uint64"), &[Ty::Int, Ty::Uint], Ty::Bool, $run)
                .across_types(),
            Overload::function(concat!($id, "_uint64"), &[Ty::Uint, Ty::Uint], Ty::Bool, $run),
            Overload::function(concat!($id, "_uint64_double"), &[Ty::Uint, Ty::Double], Ty::Bool, $run)
                .across_types(),
            Overload::function(concat!($id, "_uint64_int64"), &[Ty::Uint, Ty::Int], Ty::Bool, $run)
                .across_types(),
            Overload::function(concat!($id, "_double"), &[Ty::Double, Ty::Double], Ty::Bool, $run),
            Overload::function(concat!($id, "_double_int64"), &[Ty::Double, Ty::Int], Ty::Bool, $run)
                .across_types(),
            Overload::function(concat!($id, "_double_uint64"), &[Ty::Double, Ty::Uint], Ty::Bool, $run)
                .across_types(),
            Overload::function(concat!($id, "_string"), &[Ty::String, Ty::String], Ty::Bool, $run)
                .costs(Cost::SHORTER),
            Overload::function(concat!($id, "_bytes"), &[Ty::Bytes, Ty::Bytes], Ty::Bool, $run)
                .costs(Cost::SHORTER),
            Overload::function(concat!($id, "_timestamp"), &[Ty::Timestamp, Ty::Timestamp], Ty::Bool, $run),
            Overload::function(concat!($id, "_duration"), &[Ty::Duration, Ty::Duration], Ty::Bool, $run),
        ]
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "_==_", overloads: &[Overload::function("equals", &[Ty::A, Ty::A], Ty::Bool, planned)] },
    Function {
        name: "_!=_",
        overloads: &[Overload::function("not_equals", &[Ty::A, Ty::A], Ty::Bool, planned)],
    },
    Function { name: "_<_", overloads: order!("less", less) },
    Function { name: "_<=_", overloads: order!("less_equals", less_equals) },
    Function { name: "_>_", overloads: order!("greater", greater) },
    Function { name: "_>=_", overloads: order!("greater_equals", greater_equals) },
];

fn ordered<'a>(args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [left, right] => compare(left, right).map(|order| Value::Bool(holds(order))),
        _ => Err(Failure::no_such_overload()),
    }
}

fn less<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    ordered(args, Ordering::is_lt)
}

fn less_equals<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    ordered(args, Ordering::is_le)
}

fn greater<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    ordered(args, Ordering::is_gt)
}

fn greater_equals<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    ordered(args, Ordering::is_ge)
}

/// The order of two values.
///
/// # Errors
/// Their types have no order between them, or one is NaN.
pub(crate) fn compare(left: &Value<'_>, right: &Value<'_>) -> Result<Ordering, Box<Failure>> {
    let numeric = |order: Option<Ordering>| order.ok_or_else(|| Failure::new("NaN values cannot be ordered"));
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(left.cmp(right)),
        (Value::Uint(left), Value::Uint(right)) => Ok(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => numeric(left.partial_cmp(right)),
        (Value::Int(left), Value::Uint(right)) => Ok(int_uint(*left, *right)),
        (Value::Uint(left), Value::Int(right)) => Ok(int_uint(*right, *left).reverse()),
        (Value::Int(left), Value::Double(right)) => numeric(int_double(*left, *right)),
        (Value::Double(left), Value::Int(right)) => numeric(int_double(*right, *left).map(Ordering::reverse)),
        (Value::Uint(left), Value::Double(right)) => numeric(uint_double(*left, *right)),
        (Value::Double(left), Value::Uint(right)) => {
            numeric(uint_double(*right, *left).map(Ordering::reverse))
        }
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Ok(left.as_str().cmp(right.as_str())),
        (Value::Bytes(left), Value::Bytes(right)) => Ok(left.cmp(right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Ok(left.cmp(right)),
        _ => Err(Failure::no_such_overload()),
    }
}

/// Whether two values are equal and can be compared, which is what a search asks.
///
/// # Errors
/// The meter runs out.
pub(crate) fn equal(left: &Value<'_>, right: &Value<'_>, meter: &Meter) -> Result<bool, Box<Failure>> {
    Ok(equality(left, right, meter)? == Some(true))
}

/// Whether two values are equal; none if the left one is of a library's type and the right one of another,
/// which cel-go calls an error. Other values of different types are not equal, but for numbers.
///
/// # Errors
/// The meter runs out.
pub(crate) fn equality(
    left: &Value<'_>,
    right: &Value<'_>,
    meter: &Meter,
) -> Result<Option<bool>, Box<Failure>> {
    Ok(Some(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Text(left), Value::Text(right)) => {
            meter.read(left.as_str())?;
            left.as_str() == right.as_str()
        }
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Opaque(_), Value::Null) => false,
        (Value::Opaque(left), Value::Opaque(right)) => return Ok(left.equals(&**right)),
        (Value::Opaque(_), _) => return Ok(None),
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (Some(left), Some(right)) => return equality(left, right, meter),
            (None, None) => true,
            _ => false,
        },
        (Value::JsonList(_) | Value::List(_), Value::JsonList(_) | Value::List(_)) => {
            equal_lists(left, right, meter)?
        }
        (Value::JsonMap(_) | Value::Map(_), Value::JsonMap(_) | Value::Map(_)) => {
            equal_maps(left, right, meter)?
        }
        _ => compare(left, right).is_ok_and(Ordering::is_eq),
    }))
}

fn equal_lists(left: &Value<'_>, right: &Value<'_>, meter: &Meter) -> Result<bool, Box<Failure>> {
    let length = left.size().unwrap_or(0);
    if Some(length) != right.size() {
        return Ok(false);
    }
    meter.visit(length)?;
    for index in 0..length {
        let (Some(one), Some(other)) = (left.element(index), right.element(index)) else { return Ok(false) };
        // To cel-go, elements that cannot be compared do not differ.
        if equality(&one, &other, meter)? == Some(false) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps<'a>(left: &Value<'a>, right: &Value<'a>, meter: &Meter) -> Result<bool, Box<Failure>> {
    if left.size() != right.size() {
        return Ok(false);
    }
    meter.visit(left.size().unwrap_or(0))?;
    match left {
        Value::JsonMap(map) => {
            for (name, value) in map.iter() {
                match right.entry(&Key::of(&Value::borrowed(name)).unwrap_or(Key::Bool(false))) {
                    Some(other) if equality(&Value::from_json(value), &other, meter)? != Some(false) => {}
                    _ => return Ok(false),
                }
            }
        }
        Value::Map(map) => {
            for (key, value) in map.iter() {
                match right.entry(key) {
                    Some(other) if equality(value, &other, meter)? != Some(false) => {}
                    _ => return Ok(false),
                }
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}
