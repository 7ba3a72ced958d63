//! Equality across makes of lists and maps: one may be JSON and the other computed, which the evaluator's
//! own types do not compare with.

use cel::common::types::{CelOptional, Kind};
use cel::common::value::Val;

use crate::node::Node;
use crate::session::{Bound, Claim, Session};

/// Whether two of the evaluator's values are equal as CEL sees them.
pub(crate) fn equal(left: &dyn Val, right: &dyn Val) -> bool {
    match (left.get_type().kind(), right.get_type().kind()) {
        (Kind::List, Kind::List) if !(is_ours(left) && is_ours(right)) => equal_lists(left, right),
        (Kind::Map, Kind::Map) if !(is_ours(left) && is_ours(right)) => equal_maps(left, right),
        _ => match (left.downcast_ref::<CelOptional<'_>>(), right.downcast_ref::<CelOptional<'_>>()) {
            (Some(left), Some(right)) => match (left.option(), right.option()) {
                (Some(left), Some(right)) => equal(left, right),
                (left, right) => left.is_none() && right.is_none(),
            },
            _ => left.equals(right),
        },
    }
}

/// Whether a container of ours is equal to a value that is not.
pub(crate) fn equal_to_computed(ours: &dyn Val, other: &dyn Val) -> bool {
    match (ours.get_type().kind(), other.get_type().kind()) {
        (Kind::List, Kind::List) => equal_lists(ours, other),
        (Kind::Map, Kind::Map) => equal_maps(ours, other),
        _ => false,
    }
}

fn is_ours(value: &dyn Val) -> bool {
    value.equals(&Claim)
}

fn equal_lists(left: &dyn Val, right: &dyn Val) -> bool {
    let (Some(lefts), Some(rights)) = (left.as_iterable(), right.as_iterable()) else { return false };
    let (mut lefts, mut rights) = (lefts.iter(), rights.iter());
    loop {
        match (lefts.next(), rights.next()) {
            (Some(left), Some(right)) if equal(left, right) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn equal_maps(left: &dyn Val, right: &dyn Val) -> bool {
    let (Some(left_size), Some(right_size)) = (left.as_sizer(), right.as_sizer()) else { return false };
    if left_size.size() != right_size.size() {
        return false;
    }
    let (Some(keys), Some(left), Some(right)) = (left.as_iterable(), left.as_indexer(), right.as_indexer())
    else {
        return false;
    };
    let mut keys = keys.iter();
    while let Some(key) = keys.next() {
        match (left.get(key), right.get(key)) {
            (Ok(left), Ok(right)) if equal(left.as_ref(), right.as_ref()) => {}
            _ => return false,
        }
    }
    true
}

/// Whether two nodes are equal; each comparison is charged, and an overrun ends it.
pub(crate) fn same<'s, 'a: 's>(left: &Node<'a>, right: &Node<'a>, session: &'s Session<'s, 'a>) -> bool {
    if session.budget().charge(1).is_err() || left.len() != right.len() {
        return false;
    }
    if left.is_list() && right.is_list() {
        return (0..left.len()).all(|index| match (left.element(index), right.element(index)) {
            (Some(left), Some(right)) => same(&left, &right, session),
            _ => false,
        });
    }
    if left.is_map() && right.is_map() {
        return left.all_entries(|key, left| match (left, right.get(&key)) {
            (Some(left), Some(Ok(right))) => same(&left, &right, session),
            _ => false,
        });
    }
    let mixed = left.is_list() || left.is_map() || right.is_list() || right.is_map();
    !mixed && equal(Bound::new(left, session).as_val(), Bound::new(right, session).as_val())
}
