//! One phase of a judgement: the same inputs and one budget, each variable evaluated at most once.
//!
//! Kubernetes evaluates matchConditions, validations, messageExpressions and auditAnnotations as phases of
//! their own, each with fresh variables (`plugin/cel/composition.go`); so do we, which is also what lets
//! messages see masked objects.

use super::context::Objects;
use super::{Context, params::Param};
use crate::policy::{CompiledExpression, Reads};
use portcullis_cel::{Bindings, Budget, EvaluationError, Value};
use std::sync::Arc;

/// `RuntimeCELCostBudget` of apiserver's `pkg/apis/cel/config.go`, for each pair and param.
pub(super) const BUDGET: u64 = 10_000_000;
/// `RuntimeCELCostBudgetMatchConditions` of the same file.
pub(super) const CONDITIONS_BUDGET: u64 = 2_500_000;

pub(super) struct Phase<'a> {
    variables: &'a [(Arc<str>, CompiledExpression)],
    bindings: Bindings<'a>,
    evaluated: Vec<Option<Result<Value<'a>, EvaluationError>>>,
    budget: Budget,
}

impl<'a> Phase<'a> {
    pub(super) fn new(
        variables: &'a [(Arc<str>, CompiledExpression)],
        bindings: Bindings<'a>,
        budget: u64,
    ) -> Self {
        Self { variables, bindings, evaluated: vec![None; variables.len()], budget: Budget::new(budget) }
    }

    /// Replaces one of the inputs.
    pub(super) fn set(&mut self, name: &'a str, value: Value<'a>) {
        self.bindings.set(name, value);
    }

    /// Evaluates an expression that sees no element.
    pub(super) fn evaluate(
        &mut self,
        expression: &'a CompiledExpression,
    ) -> Result<Value<'a>, EvaluationError> {
        self.evaluate_with(expression, None)
    }

    /// Evaluates an expression for one element of a `forEach` list.
    pub(super) fn evaluate_with(
        &mut self,
        expression: &'a CompiledExpression,
        each: Option<&Value<'a>>,
    ) -> Result<Value<'a>, EvaluationError> {
        for index in &expression.variables {
            self.evaluate_variable(*index);
        }
        if !expression.variables.is_empty() {
            self.bindings.set("variables", self.variables_value(&expression.variables));
        }
        if let Some(each) = each {
            self.bindings.set("each", each.clone());
        }
        expression.program.evaluate(&self.bindings, &self.budget)
    }

    /// Evaluates one variable unless that was done; those that it needs come before it.
    fn evaluate_variable(&mut self, index: usize) {
        if !matches!(self.evaluated.get(index), Some(None)) {
            return;
        }
        let Some((name, variable)) = self.variables.get(index) else {
            return;
        };
        self.bindings.set("variables", self.variables_value(&variable.variables));
        let result = variable.program.evaluate(&self.bindings, &self.budget).map_err(|mut error| {
            error.message = format!("composited variable \"{name}\" fails to evaluate: {}", error.message);
            error
        });
        if let Some(slot) = self.evaluated.get_mut(index) {
            *slot = Some(result);
        }
    }

    fn variables_value(&self, indices: &[usize]) -> Value<'a> {
        let fields = indices.iter().filter_map(|index| {
            let (name, _) = self.variables.get(*index)?;
            let value = self.evaluated.get(*index)?.clone()?;
            Some((Arc::clone(name), value))
        });
        Value::fields(fields.collect())
    }
}

/// The inputs of a phase: what its programs read, from the objects as they are or masked.
pub(super) fn bindings<'a>(
    reads: &Reads,
    context: &'a Context<'a>,
    objects: &'a Objects<'a>,
    param: &Param<'a>,
) -> Bindings<'a> {
    let mut bindings = objects.bindings();
    bindings.set("params", Value::from_json(param.value));
    if reads.reads("request") {
        bindings.set("request", Value::from_json(context.request_json()));
    }
    if reads.reads("namespaceObject")
        && let Ok(namespace) = context.namespace_object()
    {
        bindings.set("namespaceObject", Value::from_json(namespace));
    }
    bindings
}

/// The elements of a `forEach` list.
pub(super) fn elements<'a>(
    phase: &mut Phase<'a>,
    list: &'a CompiledExpression,
) -> Result<Vec<Value<'a>>, EvaluationError> {
    let value = phase.evaluate(list)?;
    match value.elements() {
        Some(elements) => Ok(elements),
        // An absent list is written `has(x) ? x : []`; null comes from where nothing is, such as `object` on DELETE.
        None if value.is_null() => Ok(Vec::new()),
        None => Err(EvaluationError::new(format!("`forEach` must be a list, not {}", value.type_name()))),
    }
}
