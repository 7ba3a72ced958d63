//! The plan: what is evaluated. Names are slots, constants are folded, patterns are compiled, and each node
//! knows its share of cel-go's cost.

mod attribute;
mod call;
mod planner;

use std::collections::HashSet;

use regex::Regex;

use super::ast::FoldKind;
use super::registry::Overload;
use super::value::Value;

pub(crate) use planner::plan;

/// A node of the plan.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    Attribute(Box<Attribute>),
    Call(Box<Call>),
    Equal(Box<Equal>),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Conditional(Box<Conditional>),
    List(Box<[Element]>),
    Map(Box<[Entry]>),
    Fold(Box<Fold>),
    OptMap(Box<OptMap>),
    /// `or` and `orValue`.
    Otherwise(Box<Otherwise>),
    Membership(Box<Membership>),
    /// What an observer is told of.
    Observed(Box<Observed>),
    /// What cannot be evaluated, which only happens in expressions that were not checked.
    Failing(Box<str>),
}

/// A sub-expression whose values are of interest.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Which one.
    pub(crate) part: u32,
    /// Where it stands in the source, in bytes.
    pub(crate) at: u32,
    pub(crate) node: Node,
}

/// A variable or a value, and selections from it.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) root: Root,
    pub(crate) qualifiers: Vec<Qualifier>,
    pub(crate) own: Own,
    /// Whether the result is the presence of the last qualifier.
    pub(crate) test: bool,
    /// Whether it is fields of a variable, at least one, none of them optional.
    pub(crate) plain: bool,
}

/// What an attribute costs beside its selections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// 1, as any variable does.
    One,
    /// Nothing: a branch of a conditional, an index, a presence test.
    Nothing,
    /// 1 less than nothing: cel-go takes the cost of a presence test back even from a conditional, which
    /// never had one.
    Refund,
}

/// Where an attribute begins.
#[derive(Debug)]
pub(crate) enum Root {
    Variable(u32),
    Local(u32),
    Node(Node),
}

/// One selection.
#[derive(Debug)]
pub(crate) struct Qualifier {
    pub(crate) key: QualifierKey,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) enum QualifierKey {
    Field(Box<str>),
    Constant(Value<'static>),
    Computed(Node),
}

/// A function or an operator.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: Box<str>,
    pub(crate) args: Box<[Node]>,
    /// The overloads that may apply, in order.
    pub(crate) overloads: Box<[&'static Overload]>,
    /// The pattern, if the call has one that is constant.
    pub(crate) regex: Option<Regex>,
}

impl Call {
    /// Whether cel-go evaluates the arguments one after the other, up to the first that fails: where only they
    /// tell which overload applies, as with a library's function on a value whose type is not known (its
    /// operators have one implementation for all types), and where the overload is bound in that way.
    pub(crate) fn stops_at_failure(&self) -> bool {
        match &*self.overloads {
            [only] => only.variadic,
            _ => self.function.starts_with(|first: char| first.is_ascii_alphabetic()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Equal {
    pub(crate) left: Node,
    pub(crate) right: Node,
    pub(crate) negated: bool,
}

#[derive(Debug)]
pub(crate) struct Conditional {
    pub(crate) condition: Node,
    pub(crate) truthy: Node,
    pub(crate) falsy: Node,
}

#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

/// A macro over a list or a map.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    pub(crate) range: Node,
    pub(crate) var: u32,
    pub(crate) var2: Option<u32>,
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
    /// Whether the type of the body alone tells the overload, by which the cost of `sortBy` goes.
    pub(crate) known: bool,
}

#[derive(Debug)]
pub(crate) struct OptMap {
    pub(crate) target: Node,
    pub(crate) var: u32,
    pub(crate) body: Node,
    pub(crate) flat: bool,
}

#[derive(Debug)]
pub(crate) struct Otherwise {
    pub(crate) optional: Node,
    pub(crate) otherwise: Node,
    /// Whether the value is wanted rather than the optional.
    pub(crate) value: bool,
}

/// `element in [constants]`, which costs nothing beyond its element.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) element: Node,
    pub(crate) list: Box<[Value<'static>]>,
    /// The same as a set, if they are many and all are strings.
    pub(crate) texts: Option<HashSet<Box<str>>>,
}
