//! Evaluation of a plan. Costs are charged where cel-go charges them, and nothing is copied that can be
//! borrowed.

mod attribute;
mod build;
mod call;
mod fold;
mod locals;
mod truth;

use super::bindings::Bindings;
use super::failure::Failure;
use super::meter::Meter;
use super::plan::{Conditional, Node, Otherwise};
use super::value::{Text, Value};
use locals::Local;

pub(crate) use call::mismatch;

/// Is told what the sub-expressions of a program evaluate to, in the order in which that is found out.
pub trait Observer<'a> {
    /// The result of a sub-expression, one of the program's [parts](super::Program::parts). One in a macro is told
    /// of for each element.
    fn observe(&self, part: usize, result: &Result<Value<'a>, Box<Failure>>);
}

/// Evaluates a plan.
pub(crate) fn evaluate<'a>(
    root: &'a Node,
    locals: u32,
    strict: bool,
    bindings: &Bindings<'a>,
    meter: &Meter,
    observer: Option<&dyn Observer<'a>>,
) -> Result<Value<'a>, Box<Failure>> {
    let run =
        |locals: &mut [Local<'a>]| Frame { bindings, observer, meter, locals, strict, paid: 0 }.eval(root);
    // A few need no memory of their own, and most programs have none.
    match locals {
        0 => run(&mut []),
        1..=2 => run(&mut [Local::Empty, Local::Empty]),
        3..=6 => run(&mut <[Local<'a>; 6]>::default()),
        more => run(&mut vec![Local::Empty; more as usize]),
    }
}

/// One evaluation.
struct Frame<'a, 'f> {
    bindings: &'f Bindings<'a>,
    meter: &'f Meter,
    /// The variables that macros bring in, by slot.
    locals: &'f mut [Local<'a>],
    observer: Option<&'f dyn Observer<'a>>,
    /// Whether a presence test on a scalar is a failure.
    strict: bool,
    /// What first readings of variables have cost.
    paid: u64,
}

impl<'a> Frame<'a, '_> {
    fn eval(&mut self, node: &'a Node) -> Result<Value<'a>, Box<Failure>> {
        match node {
            Node::Constant(value) => Ok(constant(value)),
            Node::Attribute(attribute) => self.attribute(attribute),
            Node::Call(call) => self.call(call),
            Node::Equal(_) | Node::And(_) | Node::Or(_) | Node::Not(_) => self.truth(node).map(Value::Bool),
            Node::Conditional(conditional) => self.conditional(conditional),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Fold(fold) => self.fold(fold),
            Node::OptMap(map) => self.opt_map(map),
            Node::Otherwise(otherwise) => self.otherwise(otherwise),
            Node::Membership(membership) => self.membership(membership),
            Node::Observed(observed) => {
                let result = self.eval(&observed.node);
                if let Some(observer) = self.observer {
                    observer.observe(observed.part as usize, &result);
                }
                result
            }
            Node::Failing(message) => Err(Failure::new(message.to_string())),
        }
    }

    fn conditional(&mut self, conditional: &'a Conditional) -> Result<Value<'a>, Box<Failure>> {
        if self.truth(&conditional.condition)? {
            self.eval(&conditional.truthy)
        } else {
            self.eval(&conditional.falsy)
        }
    }

    fn otherwise(&mut self, otherwise: &'a Otherwise) -> Result<Value<'a>, Box<Failure>> {
        match self.optional(&otherwise.optional)? {
            Some(value) if otherwise.value => Ok(value),
            Some(value) => Ok(Value::some(value)),
            None => self.eval(&otherwise.otherwise),
        }
    }
}

/// A result after which the evaluation goes on, be it a failure; one that is final ends it at once, at no further
/// cost.
fn unless_final<'a>(
    result: Result<Value<'a>, Box<Failure>>,
) -> Result<Result<Value<'a>, Box<Failure>>, Box<Failure>> {
    match result {
        Err(failure) if failure.is_final() => Err(failure),
        result => Ok(result),
    }
}

/// A constant of the plan, borrowed from it.
fn constant<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(Text::Shared(text)) => Value::borrowed(text),
        other => other.clone(),
    }
}
