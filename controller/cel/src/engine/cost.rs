//! What a call costs at run time, after cel-go's `interpreter/runtimecost.go`.

use std::fmt;

use super::failure::Failure;
use super::value::Value;

/// An identifier or a selection.
pub(crate) const SELECT: u64 = 1;
/// A list literal that is not a constant.
pub(crate) const LIST: u64 = 10;
/// A map literal that is not a constant.
pub(crate) const MAP: u64 = 30;
/// An object that a function makes.
pub(crate) const STRUCT: u64 = 40;
/// The share of a string that reading it once costs.
const STRING: f64 = 0.1;
/// The share of a pattern that a match costs, for each unit of the string.
const REGEX: f64 = 0.25;

/// Stands for an argument that failed where costs are worked out: its size is 1.
pub(crate) const FAILED: Value<'static> = Value::Type("*types.Err");

/// How the cost of a call depends on its arguments and result.
#[derive(Clone, Copy)]
pub struct Cost(Rule);

/// What a call gave.
type Outcome<'a> = Result<Value<'a>, Box<Failure>>;
/// A rule that has no answer for some arguments.
type Fallible = for<'v, 'a> fn(&'v [Value<'a>], &'v Outcome<'a>) -> Result<u64, Box<Failure>>;

#[derive(Clone, Copy)]
enum Rule {
    Sure(for<'v, 'a> fn(&'v [Value<'a>], &'v Outcome<'a>) -> u64),
    Fallible(Fallible),
}

impl Cost {
    /// 1, whatever the arguments.
    pub const ONE: Self = Self::rule(|_, _| 1);
    /// The second argument read once.
    pub const SECOND: Self = Self::rule(|args, _| traversal(size_at(args, 1)));
    /// The first argument read once.
    pub const FIRST: Self = Self::rule(|args, _| traversal(size_at(args, 0)));
    /// Every element of the second argument.
    pub const CONTAINMENT: Self = Self::rule(|args, _| size_at(args, 1));
    /// The shorter of two arguments read once.
    pub const SHORTER: Self = Self::rule(|args, _| traversal(size_at(args, 0).min(size_at(args, 1))));
    /// Both arguments read once.
    pub const BOTH: Self = Self::rule(|args, _| traversal(size_at(args, 0) + size_at(args, 1)));
    /// A regular expression, the second argument, over the first.
    pub const MATCH: Self = Self::rule(|args, _| pattern(size_at(args, 0), size_at(args, 1)));
    /// A search for the second argument in the first.
    pub const SEARCH: Self =
        Self::rule(|args, _| traversal(size_at(args, 0)).saturating_mul(traversal(size_at(args, 1))));

    /// All values that the first argument holds, at any depth.
    pub const VALUES: Self = Self::rule(|args, _| args.first().map_or(0, values));

    /// A rule of a library's own.
    #[must_use]
    pub const fn rule(
        rule: for<'v, 'a> fn(&'v [Value<'a>], &'v Result<Value<'a>, Box<Failure>>) -> u64,
    ) -> Self {
        Self(Rule::Sure(rule))
    }

    /// A rule of a library's own that cel-go cannot apply to arguments of other types: it ends the evaluation.
    pub(crate) const fn fallible(rule: Fallible) -> Self {
        Self(Rule::Fallible(rule))
    }

    pub(crate) fn of<'a>(
        &self,
        args: &[Value<'a>],
        result: &Result<Value<'a>, Box<Failure>>,
    ) -> Result<u64, Box<Failure>> {
        match self.0 {
            Rule::Sure(rule) => Ok(rule(args, result)),
            Rule::Fallible(rule) => rule(args, result),
        }
    }
}

impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cost")
    }
}

/// What reading a value so many times costs.
pub(crate) fn traversals(value: &Value<'_>, times: u64) -> u64 {
    traversal(size(value) * times)
}

/// What a pattern of a length costs over a text of a size.
pub(crate) fn pattern(text: u64, pattern: u64) -> u64 {
    let text = ((1.0 + text as f64) * STRING).ceil() as u64;
    text.saturating_mul((pattern as f64 * REGEX).ceil() as u64)
}

/// What reading so many characters or elements once costs.
fn traversal(size: u64) -> u64 {
    let share = size as f64 * STRING;
    // Rounded up, without the call of a function that `ceil` is on many processors.
    share as u64 + u64::from(share > (share as u64) as f64)
}

fn size_at(args: &[Value<'_>], index: usize) -> u64 {
    args.get(index).map_or(1, size)
}

/// The size by which costs go: that of `size()`, of an optional its value's, and 1 for the rest.
pub(crate) fn size(value: &Value<'_>) -> u64 {
    match value {
        Value::Optional(Some(value)) => size(value),
        Value::Opaque(value) => value.cost_size(),
        value => value.size().map_or(1, |size| size as u64),
    }
}

/// apiserver's own measure of a value, its `traversalCost`, which goes by bytes and rounds down.
fn values(value: &Value<'_>) -> u64 {
    match value {
        Value::Text(text) => text.as_str().len() as u64 / 10,
        Value::Bytes(bytes) => bytes.len() as u64 / 10,
        Value::JsonList(_) | Value::List(_) => value.children().map(|(_, element)| values(&element)).sum(),
        Value::JsonMap(_) | Value::Map(_) => {
            value.children().map(|(key, entry)| values(&key.to_value()) + values(&entry)).sum()
        }
        _ => 1,
    }
}

/// The cost of `==` and `!=`, whose operands may have failed.
pub(crate) fn equality(left: u64, right: u64) -> u64 {
    traversal(left.min(right))
}
