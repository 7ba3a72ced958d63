//! Calls: those that cel-go evaluates ahead, those with a constant pattern, and those with a node of their
//! own.

use std::collections::HashSet;

use super::super::ast::{self, Expr};
use super::super::check::Resolved;
use super::super::eval;
use super::super::failure::FailureKind;
use super::super::meter::Meter;
use super::super::registry::{Invocation, Overload};
use super::super::stdlib;
use super::super::value::Value;
use super::planner::Planner;
use super::{Call, Equal, Membership, Node, Otherwise};

/// From how many strings on a constant list is a set.
const SET_FROM: usize = 8;

impl Planner<'_> {
    pub(super) fn plan_call(&mut self, expr: &Expr, call: &ast::Call) -> Node {
        let (overloads, with_target) = match self.checked.resolved(expr) {
            Resolved::Function { overloads, target } => (overloads.clone(), *target),
            _ => (Vec::new(), call.target.is_some()),
        };
        let target = call.target.as_deref().filter(|_| with_target);
        let args: Vec<Node> = target.into_iter().chain(&call.args).map(|arg| self.plan(arg)).collect();
        if overloads.is_empty() {
            return Node::Failing(format!("no such overload: {}", call.function).into());
        }
        let args = match <[Node; 1]>::try_from(args) {
            Ok([term]) if is_overload(&overloads, "logical_not") => return Node::Not(Box::new(term)),
            Ok([only]) => vec![only],
            Err(args) => args,
        };
        match (&*call.function, <[Node; 2]>::try_from(args)) {
            ("_==_", Ok([left, right])) => Node::Equal(Box::new(Equal { left, right, negated: false })),
            ("_!=_", Ok([left, right])) => Node::Equal(Box::new(Equal { left, right, negated: true })),
            ("@in", Ok([element, Node::Constant(list)])) if is_overload(&overloads, "in_list") => {
                membership(&call.function, element, list, overloads)
            }
            ("or", Ok([optional, otherwise])) if is_overload(&overloads, "optional_or_optional") => {
                Node::Otherwise(Box::new(Otherwise { optional, otherwise, value: false }))
            }
            ("orValue", Ok([optional, otherwise])) if is_overload(&overloads, "optional_orValue_value") => {
                Node::Otherwise(Box::new(Otherwise { optional, otherwise, value: true }))
            }
            (_, Ok(pair)) => self.plan_any_call(expr, call, pair.into(), overloads),
            (_, Err(args)) => self.plan_any_call(expr, call, args, overloads),
        }
    }

    fn plan_any_call(
        &mut self,
        expr: &Expr,
        call: &ast::Call,
        args: Vec<Node>,
        overloads: Vec<&'static Overload>,
    ) -> Node {
        if stdlib::is_conversion(&call.function)
            && let [Node::Constant(arg)] = args.as_slice()
        {
            return self.fold_conversion(expr, &call.function, arg, &overloads);
        }
        let regex = overloads.first().and_then(|overload| overload.regex);
        let written = match regex.and_then(|index| args.get(index)) {
            Some(Node::Constant(value)) => value.as_str(),
            _ => None,
        };
        let regex = match written.map(|text| self.patterns.compile(text)) {
            Some(Ok(regex)) => Some(regex),
            Some(Err(reason)) => {
                self.issues.report(expr.at, reason);
                None
            }
            None => None,
        };
        // A target that is no argument is the beginning of the function's name.
        let prefix = call.target.as_ref().filter(|_| args.len() == call.args.len());
        let function = match prefix.and_then(|prefix| prefix.qualified_name()) {
            Some(prefix) => format!("{prefix}.{}", call.function).into(),
            None => call.function.clone(),
        };
        Node::Call(Box::new(Call { function, args: args.into(), overloads: overloads.into(), regex }))
    }

    /// The value of a conversion of a constant.
    fn fold_conversion(
        &mut self,
        expr: &Expr,
        function: &str,
        arg: &Value<'static>,
        overloads: &[&'static Overload],
    ) -> Node {
        let meter = Meter::new(u64::MAX);
        let args = [arg.clone()];
        let mut failure = None;
        for overload in overloads {
            let invocation = Invocation { meter: &meter, regex: None, overload };
            match (overload.run)(&invocation, &args) {
                Ok(value) => return Node::Constant(value),
                Err(failed) if failed.kind == FailureKind::NoSuchOverload => {}
                Err(failed) => failure = Some(failed),
            }
        }
        let failure = failure.unwrap_or_else(|| eval::mismatch(function, &args)).to_string();
        if !self.environment.is_by_specification() {
            self.issues.report(expr.at, failure.clone());
        }
        Node::Failing(failure.into())
    }
}

fn is_overload(overloads: &[&'static Overload], id: &str) -> bool {
    matches!(overloads, [only] if only.id == id)
}

/// `in` over a constant list: of scalars it needs no list at run time.
fn membership(
    function: &str,
    element: Node,
    list: Value<'static>,
    overloads: Vec<&'static Overload>,
) -> Node {
    let elements = list.elements().unwrap_or_default();
    if elements.is_empty() {
        return Node::Constant(Value::Bool(false));
    }
    let scalar = |value: &Value<'_>| {
        matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Text(_))
    };
    if !elements.iter().all(scalar) {
        let args = Box::new([element, Node::Constant(list)]);
        let function = function.into();
        return Node::Call(Box::new(Call { function, args, overloads: overloads.into(), regex: None }));
    }
    let texts: Option<HashSet<Box<str>>> =
        elements.iter().map(|value| value.as_str().map(Box::from)).collect();
    let texts = texts.filter(|_| elements.len() >= SET_FROM);
    Node::Membership(Box::new(Membership { element, list: elements.into(), texts }))
}
