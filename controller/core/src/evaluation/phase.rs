//! One phase of a judgement: the same inputs and one budget, each variable evaluated at most once.
//!
//! Kubernetes evaluates matchConditions, validations, messageExpressions and auditAnnotations as phases of
//! their own, each with fresh variables (`plugin/cel/composition.go`); so do we, which is also what lets
//! messages see masked objects.

use super::{Context, params::Param};
use crate::policy::{CompiledExpression, Input, Programs, Reads};
use portcullis_cel::{Bindings, Failure, FailureKind, Lazy, Meter, Program, Value};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// `RuntimeCELCostBudget` of apiserver's `pkg/apis/cel/config.go`, for each pair and param.
pub(super) const BUDGET: u64 = 10_000_000;
/// `RuntimeCELCostBudgetMatchConditions` of the same file.
pub(super) const CONDITIONS_BUDGET: u64 = 2_500_000;
/// What all variables of a phase may allocate together, in bytes: their values stay until its end.
const VARIABLES_MEMORY: u64 = 16 << 20;
/// `PerCallLimit` of the same file, for each expression.
const EXPRESSION_BUDGET: u64 = 1_000_000;

pub(super) struct Phase<'a> {
    bindings: Bindings<'a>,
    variables: Rc<Variables<'a>>,
}

/// The policy's `variables`: each evaluated when it is first read, and seeing those before it.
struct Variables<'a> {
    /// Itself, to be given to the variables that read earlier ones.
    this: Weak<Variables<'a>>,
    programs: &'a [(Arc<str>, CompiledExpression)],
    /// The inputs, without `variables` and `each`; none where there are no variables to evaluate.
    inputs: RefCell<Option<Bindings<'a>>>,
    evaluated: RefCell<Vec<Option<Evaluated<'a>>>>,
    /// What is left of the phase's budget.
    left: Cell<u64>,
    /// What is left of [`VARIABLES_MEMORY`].
    memory: Rc<Cell<u64>>,
}

struct Evaluated<'a>(Result<Value<'a>, Box<Failure>>);

impl<'a> Phase<'a> {
    fn new(programs: &'a Programs, bindings: Bindings<'a>, budget: u64) -> Self {
        let variables = Rc::new_cyclic(|this| Variables {
            this: Weak::clone(this),
            programs: &programs.variables,
            inputs: RefCell::new((!programs.variables.is_empty()).then(|| bindings.clone())),
            evaluated: RefCell::new(programs.variables.iter().map(|_| None).collect()),
            left: Cell::new(budget),
            memory: Rc::new(Cell::new(VARIABLES_MEMORY)),
        });
        let mut bindings = bindings;
        if !programs.variables.is_empty() {
            bindings.set_lazy("variables", Rc::clone(&variables) as Rc<dyn Lazy<'a> + 'a>);
        }
        Self { bindings, variables }
    }

    /// Replaces one of the inputs. To be called before anything is evaluated.
    pub(super) fn set(&mut self, name: &str, value: Value<'a>) {
        if let Some(inputs) = self.variables.inputs.borrow_mut().as_mut() {
            inputs.set(name, value.clone());
        }
        self.bindings.set(name, value);
    }

    /// Evaluates an expression that sees no element.
    pub(super) fn evaluate(&mut self, expression: &'a CompiledExpression) -> Result<Value<'a>, Box<Failure>> {
        self.evaluate_with(expression, None)
    }

    /// Evaluates an expression for one element of a `forEach` list.
    pub(super) fn evaluate_with(
        &mut self,
        expression: &'a CompiledExpression,
        each: Option<&Value<'a>>,
    ) -> Result<Value<'a>, Box<Failure>> {
        if let Some(each) = each {
            self.bindings.set("each", each.clone());
        }
        let meter = self.variables.meter();
        self.variables.charge(&expression.program, &self.bindings, &meter)
    }
}

impl<'a> Variables<'a> {
    fn meter(&self) -> Meter {
        Meter::new(self.left.get().min(EXPRESSION_BUDGET))
    }

    /// Evaluates a program at the cost of the phase.
    fn charge(
        &self,
        program: &'a Program,
        bindings: &Bindings<'a>,
        meter: &Meter,
    ) -> Result<Value<'a>, Box<Failure>> {
        let result = program.evaluate(bindings, meter);
        self.left.set(self.left.get().saturating_sub(meter.cost()));
        result
    }

    fn evaluate(&self, index: usize) -> Option<Result<Value<'a>, Box<Failure>>> {
        let (name, variable) = self.programs.get(index)?;
        let mut bindings = self.inputs.borrow().clone()?;
        if let Some(this) = self.this.upgrade() {
            bindings.set_lazy("variables", this as Rc<dyn Lazy<'a> + 'a>);
        }
        if let Some(reason) = &variable.broken {
            let message = format!("composited variable \"{name}\" fails to compile: {reason}");
            return Some(Err(Failure::new(message)));
        }
        let meter = self.meter().with_memory(&self.memory);
        Some(self.charge(&variable.program, &bindings, &meter).map_err(|mut failure| {
            if failure.kind == FailureKind::Needs {
                return failure;
            }
            failure.message =
                format!("composited variable \"{name}\" fails to evaluate: {}", failure.message).into();
            failure
        }))
    }
}

impl<'a> Lazy<'a> for Variables<'a> {
    fn field(&self, name: &str) -> Option<Result<Value<'a>, Box<Failure>>> {
        let index = self.programs.iter().position(|(known, _)| **known == *name)?;
        if let Some(Some(Evaluated(result))) = self.evaluated.borrow().get(index) {
            return Some(result.clone());
        }
        let result = self.evaluate(index)?;
        if let Some(slot) = self.evaluated.borrow_mut().get_mut(index) {
            *slot = Some(Evaluated(result.clone()));
        }
        Some(result)
    }
}

/// A phase with what its programs read.
pub(super) fn phase<'a>(
    programs: &'a Programs,
    reads: &Reads,
    context: &'a Context<'a>,
    param: &Param<'a>,
    budget: u64,
) -> Phase<'a> {
    let mut bindings = Bindings::new(&programs.environment);
    context.objects().bind(reads, &mut bindings);
    if reads.reads(Input::Params) {
        bindings.set("params", Value::from_json(param.value));
    }
    if reads.reads(Input::Request) {
        bindings.set("request", Value::from_json(context.request_tree().root()));
    }
    if reads.reads(Input::NamespaceObject)
        && let Ok(namespace) = context.namespace_object()
    {
        bindings.set("namespaceObject", Value::from_json(namespace));
    }
    context.bind_authorizer(reads, &mut bindings);
    Phase::new(programs, bindings, budget)
}

/// The elements of a `forEach` list.
pub(super) fn elements<'a>(
    phase: &mut Phase<'a>,
    list: &'a CompiledExpression,
) -> Result<Vec<Value<'a>>, Box<Failure>> {
    let value = phase.evaluate(list)?;
    match value.elements() {
        Some(elements) => Ok(elements),
        // An absent list is written `has(x) ? x : []`; null comes from where nothing is, such as `object` on DELETE.
        None if matches!(value, Value::Null) => Ok(Vec::new()),
        None => Err(Failure::new(format!("`forEach` must be a list, not {}", value.type_name()))),
    }
}
