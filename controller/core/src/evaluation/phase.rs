//! One phase of a judgement: the same inputs and one budget, each variable evaluated at most once.
//!
//! Kubernetes evaluates matchConditions, validations, messageExpressions and auditAnnotations as phases of
//! their own, each with fresh variables (`plugin/cel/composition.go`); so do we, which is also what lets
//! messages see masked objects.

use super::lookups::Lookups;
use super::{Context, params::Param};
use crate::policy::{CompiledExpression, Input, Places, Programs, Reads};
use portcullis_cel::{Bindings, Failure, FailureKind, Lazy, Meter, Observer, Program, Value};
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
/// What all policies together may spend on one request, so that no number of them keeps it longer than anybody
/// waits for an answer.
pub(super) const REQUEST_BUDGET: u64 = 100_000_000;

/// What is told where a phase has used up its budget (`EvaluateWithActivation` of `plugin/cel/activation.go`).
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";
/// What is told where all policies together have used up theirs.
pub(super) const REQUEST_OUT_OF_BUDGET: &str =
    "not judged: the policies that match this request have used up what may be spent on one";

pub(super) struct Phase<'a> {
    bindings: Bindings<'a>,
    places: &'a Places,
    /// None where the policy has none.
    variables: Option<Rc<Variables<'a>>>,
    /// None where none is read.
    lookups: Option<Rc<Lookups<'a>>>,
    budget: Rc<Budget<'a>>,
}

/// What may still be spent, in CEL's units of cost.
pub(super) struct Budget<'a> {
    /// In this phase.
    left: Cell<u64>,
    /// By all policies on this request.
    left_of_request: &'a Cell<u64>,
    /// Which of them was used up, in words.
    exhausted: Cell<Option<&'static str>>,
}

/// The policy's `variables`: each evaluated when it is first read, and seeing those before it.
struct Variables<'a> {
    /// Itself, to be given to the variables that read earlier ones.
    this: Weak<Variables<'a>>,
    programs: &'a [(Arc<str>, CompiledExpression)],
    /// The inputs, without `variables` and `each`.
    inputs: RefCell<Bindings<'a>>,
    evaluated: RefCell<Vec<Option<Evaluated<'a>>>>,
    budget: Rc<Budget<'a>>,
    /// What is left of [`VARIABLES_MEMORY`].
    memory: Rc<Cell<u64>>,
}

struct Evaluated<'a>(Result<Value<'a>, Box<Failure>>);

impl<'a> Phase<'a> {
    fn new(
        programs: &'a Programs,
        mut bindings: Bindings<'a>,
        budget: Budget<'a>,
        looks_up: Option<&'a Context<'a>>,
    ) -> Self {
        let budget = Rc::new(budget);
        let lookups = looks_up.map(|context| {
            Rc::new(Lookups::new(&programs.lookups, context, bindings.clone(), Rc::clone(&budget)))
        });
        if let Some(lookups) = &lookups {
            bindings.set_lazy(Input::Lookups.name(), Rc::clone(lookups) as Rc<dyn Lazy<'a> + 'a>);
        }
        let variables = (!programs.variables.is_empty()).then(|| {
            Rc::new_cyclic(|this| Variables {
                this: Weak::clone(this),
                programs: &programs.variables,
                inputs: RefCell::new(bindings.clone()),
                evaluated: RefCell::new(programs.variables.iter().map(|_| None).collect()),
                budget: Rc::clone(&budget),
                memory: Rc::new(Cell::new(VARIABLES_MEMORY)),
            })
        });
        if let Some(variables) = &variables {
            bindings.set_lazy("variables", Rc::clone(variables) as Rc<dyn Lazy<'a> + 'a>);
        }
        Self { bindings, places: &programs.places, variables, lookups, budget }
    }

    /// Replaces one of the inputs. To be called before anything is evaluated.
    pub(super) fn set(&mut self, input: Input, value: Value<'a>) {
        let Some(place) = self.places.input(input) else { return };
        if let Some(lookups) = &self.lookups {
            lookups.set(self.places, input, &value);
        }
        if let Some(variables) = &self.variables {
            variables.inputs.borrow_mut().set_at(place, value.clone());
        }
        self.bindings.set_at(place, value);
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
        if let (Some(each), Some(place)) = (each, self.places.each) {
            self.bindings.set_at(place, each.clone());
        }
        let result = self.budget.charge(&self.budget.meter(), &expression.program, &self.bindings);
        // What was evaluated before it was known that the budget does not allow it counts for nothing.
        match self.exhausted() {
            Some(reason) => Err(Failure::new(reason)),
            None => result,
        }
    }

    /// Why nothing more can be evaluated, once a budget is used up.
    pub(super) fn exhausted(&self) -> Option<&'static str> {
        self.budget.exhausted.get()
    }

    /// What is left of the budget.
    pub(super) fn left(&self) -> u64 {
        self.budget.left.get()
    }
}

impl<'a> Phase<'a> {
    /// Evaluates a program that was compiled to be observed, at no cost to the phase but that of its variables.
    pub(super) fn observe(
        &mut self,
        program: &'a Program,
        each: Option<&Value<'a>>,
        observer: &dyn Observer<'a>,
    ) -> Result<Value<'a>, Box<Failure>> {
        if let (Some(each), Some(place)) = (each, self.places.each) {
            self.bindings.set_at(place, each.clone());
        }
        program.evaluate_observed(&self.bindings, &Meter::new(EXPRESSION_BUDGET), observer)
    }
}

impl Budget<'_> {
    pub(super) fn meter(&self) -> Meter {
        Meter::new(EXPRESSION_BUDGET.min(self.left.get()).min(self.left_of_request.get()))
    }

    /// Evaluates a program at the cost of the phase.
    pub(super) fn charge<'a>(
        &self,
        meter: &Meter,
        program: &'a Program,
        bindings: &Bindings<'a>,
    ) -> Result<Value<'a>, Box<Failure>> {
        let result = program.evaluate(bindings, meter);
        // Variables that it read have been charged meanwhile.
        self.spend(meter.cost());
        result
    }

    /// Takes so much of what is left.
    pub(super) fn spend(&self, cost: u64) {
        let (left, of_request) = (&self.left, self.left_of_request);
        if cost > left.get() {
            self.exhausted.set(Some(OUT_OF_BUDGET));
        } else if cost > of_request.get() {
            self.exhausted.set(Some(REQUEST_OUT_OF_BUDGET));
        }
        left.set(left.get().saturating_sub(cost));
        of_request.set(of_request.get().saturating_sub(cost));
    }
}

impl<'a> Variables<'a> {
    fn evaluate(&self, index: usize) -> Option<Result<Value<'a>, Box<Failure>>> {
        let (name, variable) = self.programs.get(index)?;
        let mut bindings = self.inputs.borrow().clone();
        if let Some(this) = self.this.upgrade() {
            bindings.set_lazy("variables", this as Rc<dyn Lazy<'a> + 'a>);
        }
        if let Some(reason) = &variable.broken {
            let message = format!("composited variable \"{name}\" fails to compile: {reason}");
            return Some(Err(Failure::new(message)));
        }
        // One that costs too much fails like any other, for who uses it.
        let meter = self.budget.meter().with_memory(&self.memory);
        let result = self.budget.charge(&meter, &variable.program, &bindings);
        Some(result.map_err(|failure| match failure.kind {
            FailureKind::Needs => failure,
            kind => {
                let message =
                    format!("composited variable \"{name}\" fails to evaluate: {}", failure.message);
                match kind {
                    FailureKind::Unavailable => Failure::unavailable(message),
                    _ => Failure::new(message),
                }
            }
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
    let mut bind = |input: Input, value: Value<'a>| {
        if let Some(place) = programs.places.input(input) {
            bindings.set_at(place, value);
        }
    };
    context.objects().bind(reads, &mut bind);
    if reads.reads(Input::Params) {
        bind(Input::Params, param.value.clone());
    }
    if reads.reads(Input::Request) {
        bind(Input::Request, Value::from_json(context.request_tree().root()));
    }
    if reads.reads(Input::NamespaceObject)
        && let Ok(namespace) = context.namespace_object()
    {
        bind(Input::NamespaceObject, Value::from_json(namespace));
    }
    let budget =
        Budget { left: Cell::new(budget), left_of_request: &context.left, exhausted: Cell::new(None) };
    let looks_up = reads.reads(Input::Lookups).then_some(context);
    Phase::new(programs, bindings, budget, looks_up)
}

/// The `forEach` list, which is a list.
pub(super) fn list<'a>(
    phase: &mut Phase<'a>,
    list: &'a CompiledExpression,
) -> Result<Value<'a>, Box<Failure>> {
    match phase.evaluate(list)? {
        list @ (Value::List(_) | Value::JsonList(_)) => Ok(list),
        // An absent list is written `has(x) ? x : []`; null comes from where nothing is, such as `object` on DELETE.
        Value::Null => Ok(Value::list(Vec::new())),
        value => Err(Failure::new(format!("`forEach` must be a list, not {}", value.type_name()))),
    }
}
