//! Kubernetes' own functions on lists, after apiserver's `pkg/cel/library/lists.go`.

use std::cmp::Ordering;

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::stdlib::{add, compare, equal};
use super::super::types::Ty;
use super::super::value::Value;
use super::Library;

const LIST: Ty = Ty::List(&Ty::A);

/// An overload for each type that has an order; the result is of that type, or `bool` where that is named.
macro_rules! of_comparable {
    ($name:ident, $run:expr) => {
        &[
            of_comparable!(@of $name, "int", Int, $run),
            of_comparable!(@of $name, "uint", Uint, $run),
            of_comparable!(@of $name, "double", Double, $run),
            of_comparable!(@of $name, "bool", Bool, $run),
            of_comparable!(@of $name, "duration", Duration, $run),
            of_comparable!(@of $name, "timestamp", Timestamp, $run),
            of_comparable!(@of $name, "string", String, $run),
            of_comparable!(@of $name, "bytes", Bytes, $run),
        ]
    };
    (@of is_sorted, $type:literal, $kind:ident, $run:expr) => {
        Overload::method(concat!("list_", $type, "_is_sorted_bool"), &[Ty::List(&Ty::$kind)], Ty::Bool, $run)
            .named_cost(Cost::VALUES)
    };
    (@of $name:ident, $type:literal, $kind:ident, $run:expr) => {
        Overload::method(concat!("list_", $type, "_", stringify!($name), "_", $type), &[Ty::List(&Ty::$kind)], Ty::$kind, $run)
            .named_cost(Cost::VALUES)
    };
}

/// An overload of `sum` for a type.
macro_rules! sum_of {
    ($name:literal, $kind:ident, $zero:expr) => {
        Overload::method(
            concat!("list_", $name, "_sum_", $name),
            &[Ty::List(&Ty::$kind)],
            Ty::$kind,
            |call, args| sum(call, args, $zero),
        )
        .named_cost(Cost::VALUES)
    };
}

/// What every version of Kubernetes has.
pub(super) static VERSION_0: Library = Library::of(&[
    Function { name: "isSorted", overloads: of_comparable!(is_sorted, is_sorted) },
    Function {
        name: "sum",
        overloads: &[
            sum_of!("int", Int, Value::Int(0)),
            sum_of!("uint", Uint, Value::Uint(0)),
            sum_of!("double", Double, Value::Double(0.0)),
            sum_of!("duration", Duration, Value::Duration(0)),
        ],
    },
    Function {
        name: "max",
        overloads: of_comparable!(max, |call, args| { extreme(call, args, "max", Ordering::Less) }),
    },
    Function {
        name: "min",
        overloads: of_comparable!(min, |call, args| { extreme(call, args, "min", Ordering::Greater) }),
    },
    Function {
        name: "indexOf",
        overloads: &[Overload::method("list_a_index_of_int", &[LIST, Ty::A], Ty::Int, |call, args| {
            position(call, args, false)
        })
        .named_cost(Cost::VALUES)],
    },
    Function {
        name: "lastIndexOf",
        overloads: &[Overload::method("list_a_last_index_of_int", &[LIST, Ty::A], Ty::Int, |call, args| {
            position(call, args, true)
        })
        .named_cost(Cost::VALUES)],
    },
]);

/// What version 1 adds.
pub(super) static VERSION_1: Library = Library::of(&[Function {
    name: "includes",
    overloads: &[Overload::method("list_includes_dyn_dyn", &[Ty::Dyn, Ty::Dyn], Ty::Bool, includes)
        .named_cost(Cost::VALUES)],
}]);

/// The elements of a list that the overload accepts. cel-go's dispatch looks at the first one alone.
fn accepted<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Vec<Value<'a>>, Box<Failure>> {
    let list = args.first().filter(|_| call.accepts(args)).ok_or_else(Failure::no_such_overload)?;
    call.meter.visit(list.size().unwrap_or(0))?;
    call.meter.allocate_list(list.size().unwrap_or(0))?;
    list.elements().ok_or_else(Failure::no_such_overload)
}

/// An element has no meaning for the function, though the first one chose the overload.
fn unsuitable() -> Box<Failure> {
    Failure::new("no such overload")
}

fn has_order(value: &Value<'_>) -> bool {
    compare(value, value).is_ok() || matches!(value, Value::Double(_))
}

/// Elements that have no order between them count as sorted.
fn is_sorted<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let elements = accepted(call, args)?;
    for (index, element) in elements.iter().enumerate() {
        if !has_order(element) {
            return Err(unsuitable());
        }
        let before = index.checked_sub(1).and_then(|before| elements.get(before));
        if before.is_some_and(|before| matches!(compare(before, element), Ok(Ordering::Greater))) {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(call: &Invocation<'_>, args: &[Value<'a>], zero: Value<'a>) -> Result<Value<'a>, Box<Failure>> {
    accepted(call, args)?.into_iter().try_fold(zero, |sum, next| {
        add(call, &[sum, next]).map_err(|failure| {
            if failure.is_final() || failure.message != "no such overload" { failure } else { unsuitable() }
        })
    })
}

/// The first element that no other is beyond; those without an order between them are not.
fn extreme<'a>(
    call: &Invocation<'_>,
    args: &[Value<'a>],
    name: &str,
    replaced: Ordering,
) -> Result<Value<'a>, Box<Failure>> {
    let mut best: Option<Value<'a>> = None;
    for element in accepted(call, args)? {
        if !has_order(&element) {
            return Err(unsuitable());
        }
        let better =
            best.as_ref().is_none_or(|best| compare(best, &element).is_ok_and(|order| order == replaced));
        if better {
            best = Some(element);
        }
    }
    best.ok_or_else(|| Failure::new(format!("{name} called on empty list")))
}

fn position<'a>(call: &Invocation<'_>, args: &[Value<'a>], last: bool) -> Result<Value<'a>, Box<Failure>> {
    let [list @ (Value::List(_) | Value::JsonList(_)), item] = args else {
        return Err(Failure::no_such_overload());
    };
    let size = list.size().unwrap_or(0);
    call.meter.visit(size)?;
    for step in 0..size {
        let index = if last { size - 1 - step } else { step };
        if let Some(element) = list.element(index)
            && equal(&element, item, call.meter)?
        {
            return Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
        }
    }
    Ok(Value::Int(-1))
}

/// Whether a list has an element, or anything else equals the argument.
fn includes<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [target, item] = args else { return Err(Failure::no_such_overload()) };
    if matches!(target, Value::List(_) | Value::JsonList(_)) {
        let found = position(call, args, false)?;
        return Ok(Value::Bool(!matches!(found, Value::Int(-1))));
    }
    equal(target, item, call.meter).map(Value::Bool)
}
