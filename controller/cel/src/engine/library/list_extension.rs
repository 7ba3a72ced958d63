//! cel-go's extension of lists, version 3, after its `ext/lists.go`.

use std::cmp::Ordering;

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::meter::Meter;
use super::super::registry::{Function, Invocation, Overload};
use super::super::stdlib::{compare, equal};
use super::super::types::{Ty, Type};
use super::super::value::Value;
use super::Library;

const LIST: Ty = Ty::List(&Ty::A);
/// The most that `lists.range` makes.
const MAX_RANGE: i64 = 1_000_000;
/// Lists up to this length are sorted by insertion in Go.
const SHORT: usize = 12;
/// A call, and the list that it makes.
const ALLOCATION: u64 = 1 + cost::LIST;

/// The function that the macro `sortBy` ends in.
pub(crate) const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";

/// An overload for each type that has an order.
macro_rules! of_comparable {
    ($suffix:literal, |$of:ident| $args:expr, $result:expr, $cost:expr, $run:expr) => {
        &[
            of_comparable!(@of "int", Int, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "uint", Uint, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "double", Double, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "bool", Bool, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "google.protobuf.Duration", Duration, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "google.protobuf.Timestamp", Timestamp, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "string", String, $suffix, |$of| $args, $result, $cost, $run),
            of_comparable!(@of "bytes", Bytes, $suffix, |$of| $args, $result, $cost, $run),
        ]
    };
    (@of $type:literal, $kind:ident, $suffix:literal, |$of:ident| $args:expr, $result:expr, $cost:expr, $run:expr) => {{
        const $of: Ty = Ty::List(&Ty::$kind);
        Overload::method(concat!("list_", $type, $suffix), $args, $result, $run).costs($cost)
    }};
}

pub(super) static LIBRARY: Library = Library::of(&[
    Function {
        name: "slice",
        overloads: &[Overload::method("list_slice", &[LIST, Ty::Int, Ty::Int], LIST, slice)
            .costs(Cost::rule(|_, result| ALLOCATION + size_of(result)))],
    },
    Function {
        name: "flatten",
        overloads: &[
            Overload::method("list_flatten", &[Ty::List(&LIST)], LIST, flatten)
                .costs(Cost::rule(|args, _| ALLOCATION + args.first().map_or(1, cost::size))),
            Overload::method("list_flatten_int", &[Ty::List(&Ty::Dyn), Ty::Int], Ty::List(&Ty::Dyn), flatten)
                .costs(Cost::fallible(cost_of_flatten)),
        ],
    },
    Function {
        name: "sort",
        overloads: of_comparable!(
            "_sort",
            |OF| &[OF],
            OF,
            Cost::fallible(|args, _| cost_of_sort(args.first())),
            sort
        ),
    },
    Function {
        name: SORT_BY_KEYS,
        overloads: of_comparable!(
            "_sortByAssociatedKeys",
            |OF| &[LIST, OF],
            LIST,
            Cost::fallible(|args, _| cost_of_sort(args.get(1))),
            |call, args| sort_by_keys(args, call.meter)
        ),
    },
    Function {
        name: "lists.range",
        overloads: &[Overload::function("lists_range", &[Ty::Int], Ty::List(&Ty::Int), range)
            .costs(Cost::rule(|_, result| ALLOCATION + size_of(result)))],
    },
    Function {
        name: "reverse",
        overloads: &[Overload::method("list_reverse", &[LIST], LIST, reverse)
            .costs(Cost::rule(|_, result| ALLOCATION + size_of(result)))],
    },
    Function {
        name: "distinct",
        overloads: &[Overload::method("list_distinct", &[LIST], LIST, distinct)
            .costs(Cost::fallible(|args, _| cost_of_sort(args.first())))],
    },
]);

fn size_of(result: &Result<Value<'_>, Box<Failure>>) -> u64 {
    result.as_ref().map_or(1, cost::size)
}

/// The name of cel-go's own type for a value.
fn go_type(value: &Value<'_>) -> &'static str {
    match value {
        Value::Type(name) if matches!(cost::FAILED, Value::Type(failed) if failed == *name) => name,
        Value::JsonMap(_) => "*types.baseMap",
        Value::JsonList(_) => "*types.baseList",
        other => other.go_type(),
    }
}

/// Whether cel-go can add something to such a value.
fn has_addition(value: &Value<'_>) -> bool {
    matches!(
        value,
        Value::Bytes(_)
            | Value::Double(_)
            | Value::Duration(_)
            | Value::Int(_)
            | Value::Text(_)
            | Value::Timestamp(_)
            | Value::Uint(_)
    )
}

/// The cost of comparing every element with every other.
///
/// # Errors
/// It is no list, which cel-go's measure takes for granted.
pub(crate) fn cost_of_sort(list: Option<&Value<'_>>) -> Result<u64, Box<Failure>> {
    let Some(list) = list.filter(|list| is_list(list)) else {
        let given = list.unwrap_or(&cost::FAILED);
        let missing = if has_addition(given) { "Contains" } else { "Add" };
        let reason = format!("{} is not traits.Lister: missing method {missing}", go_type(given));
        return Err(Failure::unexpected(&reason));
    };
    let size = cost::size(list);
    let texts = matches!(list.element(0), Some(Value::Text(_) | Value::Bytes(_)));
    let factor = if texts { 2.1 } else { 2.0 };
    Ok(ALLOCATION.saturating_add((size.saturating_mul(size) as f64 * factor) as u64))
}

fn cost_of_flatten<'a>(args: &[Value<'a>], _: &Result<Value<'a>, Box<Failure>>) -> Result<u64, Box<Failure>> {
    let depth = match args.get(1) {
        Some(Value::Int(depth)) if *depth < 0 => 1.0,
        Some(Value::Int(depth)) => *depth as f64,
        other => {
            let given = go_type(other.unwrap_or(&cost::FAILED));
            return Err(Failure::unexpected(&format!("ref.Val is {given}, not types.Int")));
        }
    };
    let size = args.first().map_or(1, cost::size);
    Ok(ALLOCATION.saturating_add((size as f64 * depth) as u64))
}

fn is_list(value: &Value<'_>) -> bool {
    matches!(value, Value::List(_) | Value::JsonList(_))
}

fn list<'a>(args: &[Value<'a>], meter: &Meter) -> Result<Vec<Value<'a>>, Box<Failure>> {
    let list = args.first().ok_or_else(Failure::no_such_overload)?;
    meter.visit(list.size().unwrap_or(0))?;
    meter.allocate_list(list.size().unwrap_or(0))?;
    list.elements().ok_or_else(Failure::no_such_overload)
}

fn slice<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [list, Value::Int(start), Value::Int(end)] = args else { return Err(Failure::no_such_overload()) };
    if !is_list(list) {
        return Err(Failure::no_such_overload());
    }
    let (start, end, size) = (*start, *end, list.size().unwrap_or(0));
    let refused = |reason: &str| Err(Failure::new(format!("cannot slice({start}, {end}), {reason}")));
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return refused("negative indexes not supported");
    };
    if from > to {
        return refused("start index must be less than or equal to end index");
    }
    if size < to {
        return refused(&format!("list is length {size}"));
    }
    call.meter.allocate_list(to - from)?;
    Ok(Value::list((from..to).filter_map(|index| list.element(index)).collect()))
}

/// cel-go's own dispatch is off here, so that lists without lists in them can be flattened too.
fn flatten<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let depth = match args {
        [list] if is_list(list) => 1,
        [list, Value::Int(depth)] if is_list(list) => *depth,
        [first, rest @ ..] => {
            let rest = rest.first().map(|depth| runtime_type(depth).to_string()).unwrap_or_default();
            return Err(Failure::new(format!("no such overload: {}.flatten({rest})", runtime_type(first))));
        }
        [] => return Err(Failure::no_such_overload()),
    };
    if depth < 0 {
        return Err(Failure::new("level must be non-negative"));
    }
    let mut flat = Vec::new();
    for value in args.iter().take(1) {
        flatten_into(&mut flat, value, depth, call.meter)?;
    }
    Ok(Value::list(flat))
}

fn flatten_into<'a>(
    flat: &mut Vec<Value<'a>>,
    list: &Value<'a>,
    depth: i64,
    meter: &Meter,
) -> Result<(), Box<Failure>> {
    for (_, element) in list.children() {
        if depth > 0 && is_list(&element) {
            meter.visit(1)?;
            flatten_into(flat, &element, depth - 1, meter)?;
        } else {
            meter.allocate_list(1)?;
            flat.push(element);
        }
    }
    Ok(())
}

/// A value's type as cel-go prints it, which knows nothing of what a list or a map holds.
fn runtime_type(value: &Value<'_>) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::Text(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        Value::JsonList(_) | Value::List(_) => Type::list(Type::Dyn),
        Value::JsonMap(_) | Value::Map(_) => Type::map(Type::Dyn, Type::Dyn),
        Value::Null | Value::Duration(_) | Value::Timestamp(_) | Value::Opaque(_) => {
            Type::Opaque(value.type_name(), [].into())
        }
        Value::Type(_) => Type::Type(None),
        Value::Optional(_) => Type::optional(Type::Dyn),
    }
}

fn range<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [Value::Int(size)] = args else { return Err(Failure::no_such_overload()) };
    if *size < 0 {
        return Err(Failure::new(format!("lists.range: size must be non-negative, got {size}")));
    }
    if *size > MAX_RANGE {
        let message = format!("lists.range: size {size} exceeds maximum allowed ({MAX_RANGE})");
        return Err(Failure::new(message));
    }
    call.meter.allocate_list(usize::try_from(*size).unwrap_or(usize::MAX))?;
    Ok(Value::list((0..*size).map(Value::Int).collect()))
}

fn reverse<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let mut elements = list(args, call.meter)?;
    elements.reverse();
    Ok(Value::list(elements))
}

fn distinct<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let mut kept: Vec<Value<'a>> = Vec::new();
    for element in list(args, call.meter)? {
        let mut seen = false;
        for other in &kept {
            call.meter.visit(1)?;
            seen = equal(&element, other, call.meter)?;
            if seen {
                break;
            }
        }
        if !seen {
            kept.push(element);
        }
    }
    Ok(Value::list(kept))
}

fn sort<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let elements = list(args, call.meter)?;
    let keys = elements.clone();
    sorted(elements, &keys, call.meter)
}

/// A list in the order of its keys, which are the second argument.
pub(crate) fn sort_by_keys<'a>(args: &[Value<'a>], meter: &Meter) -> Result<Value<'a>, Box<Failure>> {
    let elements = list(args, meter)?;
    let keys = args.get(1).and_then(Value::elements).ok_or_else(Failure::no_such_overload)?;
    if elements.len() != keys.len() {
        let (size, keys) = (elements.len(), keys.len());
        return Err(Failure::new(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {size} \
             and {keys} elements respectively"
        )));
    }
    sorted(elements, &keys, meter)
}

/// Elements in the order of their keys; those with equal keys stay as they were.
fn sorted<'a>(
    elements: Vec<Value<'a>>,
    keys: &[Value<'a>],
    meter: &Meter,
) -> Result<Value<'a>, Box<Failure>> {
    let Some(first) = keys.first() else { return Ok(Value::list(elements)) };
    if compare(first, first).is_err() && !matches!(first, Value::Double(_)) {
        return Err(Failure::new("list elements must be comparable"));
    }
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return Err(Failure::new("list elements must have the same type"));
    }
    meter.visit(keys.len().saturating_mul(keys.len().ilog2() as usize + 1))?;
    meter.allocate_list(keys.len())?;
    let mut order: Vec<(&Value<'a>, Value<'a>)> = keys.iter().zip(elements).collect();
    put_in_order(&mut order);
    Ok(Value::list(order.into_iter().map(|(_, element)| element).collect()))
}

/// Go's `sort.Slice` moves each element of a short list to its place from behind, which decides where NaN goes.
/// Of a long one, equal elements stay in their order here, which Go does not promise.
fn put_in_order(order: &mut [(&Value<'_>, Value<'_>)]) {
    let less = |one: &Value<'_>, other: &Value<'_>| matches!(compare(one, other), Ok(Ordering::Less));
    if order.len() <= SHORT {
        for end in 1..order.len() {
            let mut at = end;
            while let Some([before, moved]) = at.checked_sub(1).and_then(|from| order.get(from..=at))
                && less(moved.0, before.0)
            {
                order.swap(at - 1, at);
                at -= 1;
            }
        }
        return;
    }
    order.sort_by(|(one, _), (other, _)| match (one, other) {
        (Value::Double(one), Value::Double(other)) => one.total_cmp(other),
        _ => compare(one, other).unwrap_or(Ordering::Equal),
    });
}
