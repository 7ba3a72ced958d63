//! From the checked tree to the plan.

use super::super::ast::{self, Expr, Kind, Literal};
use super::super::check::{Checked, Resolved};
use super::super::environment::Environment;
use super::super::issue::Issues;
use super::super::map::{Key, MapValue};
use super::super::patterns::Patterns;
use super::super::types::Type;
use super::super::value::Value;
use super::{Attribute, Conditional, Element, Entry, Fold, Node, Observed, OptMap, Own, Root};
use crate::error::CompileError;

/// Plans a checked tree.
///
/// # Errors
/// A constant part of it cannot be evaluated, such as `int('x')`; cel-go refuses that too.
pub(crate) fn plan(
    environment: &Environment,
    source: &str,
    root: &Expr,
    checked: &Checked,
    patterns: Patterns,
    observed: bool,
) -> Result<Node, Vec<CompileError>> {
    let observed = observed.then_some(0);
    let mut planner = Planner { environment, checked, patterns, observed, issues: Issues::new(source) };
    let node = planner.plan(root);
    if planner.issues.is_empty() { Ok(node) } else { Err(planner.issues.into_sorted()) }
}

pub(super) struct Planner<'c> {
    pub(super) environment: &'c Environment,
    pub(super) checked: &'c Checked,
    /// Those that the checker has compiled, and more.
    pub(super) patterns: Patterns,
    /// How many sub-expressions are observed so far, if they are.
    observed: Option<u32>,
    pub(super) issues: Issues<'c>,
}

impl Planner<'_> {
    pub(super) fn plan(&mut self, expr: &Expr) -> Node {
        let node = self.plan_unobserved(expr);
        match &mut self.observed {
            Some(parts) if !matches!(node, Node::Constant(_)) => {
                let part = *parts;
                *parts += 1;
                Node::Observed(Box::new(Observed { part, at: expr.at, node }))
            }
            _ => node,
        }
    }

    fn plan_unobserved(&mut self, expr: &Expr) -> Node {
        match &expr.kind {
            Kind::Literal(literal) => Node::Constant(literal_value(literal)),
            Kind::Ident(name) => self.plan_ident(expr, name),
            Kind::Select(select) => self.plan_select(expr, select),
            Kind::Index(index) => self.plan_index(index),
            Kind::Call(call) => self.plan_call(expr, call),
            Kind::Logic(logic) => {
                let terms = logic.terms.iter().map(|term| self.plan(term)).collect();
                if logic.and { Node::And(terms) } else { Node::Or(terms) }
            }
            Kind::Conditional(conditional) => Node::Conditional(Box::new(Conditional {
                condition: self.plan(&conditional.condition),
                truthy: self.plan_branch(&conditional.truthy),
                falsy: self.plan_branch(&conditional.falsy),
            })),
            Kind::List(elements) => self.plan_list(elements),
            Kind::Map(entries) => self.plan_map(entries),
            Kind::Struct(message) => Node::Failing(format!("unknown type: {}", message.name).into()),
            Kind::Fold(fold) => self.plan_fold(expr, fold),
            Kind::OptMap(map) => self.plan_opt_map(expr, map),
        }
    }

    fn plan_ident(&mut self, expr: &Expr, name: &str) -> Node {
        self.plan_resolved(expr)
            .unwrap_or_else(|| Node::Failing(format!("no such attribute(s): {name}").into()))
    }

    /// The node for a name that the checker found.
    pub(super) fn plan_resolved(&mut self, expr: &Expr) -> Option<Node> {
        let root = match self.checked.resolved(expr) {
            Resolved::Local(slot) => Root::Local(*slot),
            Resolved::Variable(index) => Root::Variable(*index),
            Resolved::Type(name) => return Some(Node::Constant(Value::Type(name))),
            _ => return None,
        };
        let attribute = Attribute { root, qualifiers: Vec::new(), own: Own::One, test: false, plain: false };
        Some(Node::Attribute(Box::new(attribute)))
    }

    /// A branch of a conditional, whose own attribute costs nothing.
    fn plan_branch(&mut self, expr: &Expr) -> Node {
        let mut node = self.plan(expr);
        if let Node::Attribute(attribute) = &mut node {
            attribute.own = Own::Nothing;
        }
        node
    }

    fn plan_list(&mut self, elements: &[ast::Element]) -> Node {
        let planned: Box<[Element]> = elements
            .iter()
            .map(|element| Element { value: self.plan(&element.value), optional: element.optional })
            .collect();
        let constants: Option<Vec<Value<'static>>> = planned
            .iter()
            .map(|element| match &element.value {
                Node::Constant(value) if !element.optional => Some(value.clone()),
                _ => None,
            })
            .collect();
        constants.map_or_else(|| Node::List(planned), |values| Node::Constant(Value::list(values)))
    }

    fn plan_map(&mut self, entries: &[ast::Entry]) -> Node {
        let planned: Box<[Entry]> = entries
            .iter()
            .map(|entry| Entry {
                key: self.plan(&entry.key),
                value: self.plan(&entry.value),
                optional: entry.optional,
            })
            .collect();
        let constants: Option<MapValue<'static>> = planned
            .iter()
            .map(|entry| match (&entry.key, &entry.value) {
                (Node::Constant(key), Node::Constant(value)) if !entry.optional => {
                    Some((Key::of(key)?, value.clone()))
                }
                _ => None,
            })
            .collect();
        constants.map_or_else(|| Node::Map(planned), |map| Node::Constant(Value::map(map)))
    }

    fn plan_fold(&mut self, expr: &Expr, fold: &ast::Fold) -> Node {
        let Resolved::Scope { var, var2 } = *self.checked.resolved(expr) else {
            return Node::Failing("unsupported comprehension".into());
        };
        Node::Fold(Box::new(Fold {
            kind: fold.kind,
            range: self.plan(&fold.range),
            var,
            var2,
            filter: fold.filter.as_ref().map(|filter| self.plan(filter)),
            body: self.plan(&fold.body),
            known: self
                .checked
                .types
                .get(fold.body.id as usize)
                .is_some_and(|of| !of.is_dyn() && *of != Type::Null),
        }))
    }

    fn plan_opt_map(&mut self, expr: &Expr, map: &ast::OptMap) -> Node {
        let Resolved::Scope { var, .. } = *self.checked.resolved(expr) else {
            return Node::Failing("unsupported comprehension".into());
        };
        let target = self.plan(&map.target);
        Node::OptMap(Box::new(OptMap { target, var, body: self.plan(&map.body), flat: map.flat }))
    }
}

fn literal_value(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(value) => Value::text(&**value),
        Literal::Bytes(value) => Value::Bytes((**value).into()),
    }
}
