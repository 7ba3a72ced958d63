//! Selections and indices, which are gathered into one node as cel-go gathers them.

use super::super::ast::{Expr, Index, Mode, Select};
use super::planner::Planner;
use super::{Attribute, Node, Own, Qualifier, QualifierKey, Root};

impl Planner<'_> {
    pub(super) fn plan_select(&mut self, expr: &Expr, select: &Select) -> Node {
        if let Some(node) = self.plan_resolved(expr) {
            return node;
        }
        let operand = self.plan(&select.operand);
        let key = QualifierKey::Field(select.field.clone());
        let qualifier = Qualifier { key, optional: select.mode == Mode::Optional };
        let mut attribute = extend(operand, qualifier);
        if select.mode == Mode::Test {
            attribute.own = if attribute.own == Own::One { Own::Nothing } else { Own::Refund };
            attribute.test = true;
        }
        Node::Attribute(Box::new(attribute))
    }

    pub(super) fn plan_index(&mut self, index: &Index) -> Node {
        let operand = self.plan(&index.operand);
        let key = match self.plan(&index.index) {
            Node::Constant(value) => {
                if !value.is_key() && !self.environment.is_by_specification() {
                    let message = format!("invalid qualifier type: {}", value.go_type());
                    self.issues.report(index.index.at, message);
                }
                QualifierKey::Constant(value)
            }
            Node::Attribute(mut attribute) => {
                attribute.own = Own::Nothing;
                QualifierKey::Computed(Node::Attribute(attribute))
            }
            other => QualifierKey::Computed(other),
        };
        Node::Attribute(Box::new(extend(operand, Qualifier { key, optional: index.optional })))
    }
}

/// Adds a selection to what is selected from.
fn extend(operand: Node, qualifier: Qualifier) -> Attribute {
    match operand {
        Node::Attribute(mut attribute) if !attribute.test => {
            let of_variable = !matches!(attribute.root, Root::Node(_));
            let is_field = matches!(qualifier.key, QualifierKey::Field(_)) && !qualifier.optional;
            attribute.plain = is_field && of_variable && (attribute.plain || attribute.qualifiers.is_empty());
            attribute.qualifiers.push(qualifier);
            *attribute
        }
        // What is selected from is seen in what is selected.
        Node::Observed(observed) if matches!(&observed.node, Node::Attribute(inner) if !inner.test) => {
            extend(observed.node, qualifier)
        }
        other => {
            // A conditional is an attribute of its own to cel-go, and one without a cost; so is `optMap`, which
            // cel-go expands to one.
            let free = matches!(other, Node::Conditional(_) | Node::OptMap(_));
            let own = if free { Own::Nothing } else { Own::One };
            Attribute { root: Root::Node(other), qualifiers: vec![qualifier], own, test: false, plain: false }
        }
    }
}
