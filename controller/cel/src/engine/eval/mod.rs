//! Evaluation of a plan. Costs are charged where cel-go charges them, and nothing is copied that can be
//! borrowed.

mod attribute;
mod build;
mod call;
mod fold;
mod locals;

use super::bindings::Bindings;
use super::failure::Failure;
use super::meter::Meter;
use super::plan::{Conditional, Node, Otherwise};
use super::value::{Text, Value};
use locals::Locals;

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
    Frame { bindings, observer, meter, locals: Locals::new(locals), strict, paid: 0 }.eval(root)
}

/// One evaluation.
struct Frame<'a, 'f> {
    bindings: &'f Bindings<'a>,
    meter: &'f Meter,
    locals: Locals<'a>,
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
            Node::Equal(equal) => self.equal(equal),
            Node::And(terms) => self.logic(terms, false),
            Node::Or(terms) => self.logic(terms, true),
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

    /// `||`, which one `true` decides, and `&&`, which one `false` does, whatever fails beside it.
    fn logic(&mut self, terms: &'a [Node], decisive: bool) -> Result<Value<'a>, Box<Failure>> {
        let mut failed: Option<Box<Failure>> = None;
        for term in terms {
            match self.eval(term) {
                Ok(Value::Bool(truth)) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => {
                    failed.get_or_insert_with(Failure::no_such_overload);
                }
                Err(failure) if failure.is_final() => return Err(failure),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn conditional(&mut self, conditional: &'a Conditional) -> Result<Value<'a>, Box<Failure>> {
        match self.eval(&conditional.condition)? {
            Value::Bool(true) => self.eval(&conditional.truthy),
            Value::Bool(false) => self.eval(&conditional.falsy),
            _ => Err(Failure::no_such_overload()),
        }
    }

    fn otherwise(&mut self, otherwise: &'a Otherwise) -> Result<Value<'a>, Box<Failure>> {
        match self.eval(&otherwise.optional)? {
            Value::Optional(Some(value)) if otherwise.value => Ok((*value).clone()),
            present @ Value::Optional(Some(_)) => Ok(present),
            Value::Optional(None) => self.eval(&otherwise.otherwise),
            _ => Err(Failure::no_such_overload()),
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
