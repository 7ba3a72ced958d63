//! `lookups`: other objects, each list found when it is first read.

use super::phase::Budget;
use super::{Context, masking};
use crate::document::{EVERY_NAMESPACE, Given, LabelSelector, Requirement, SelectorOperator};
use crate::facts::{Query, Sought};
use crate::policy::{CompiledExpression, CompiledLookup, Input, Places};
use portcullis_cel::{Bindings, Failure, FailureKind, Lazy, Tree, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// The longest name that an object can have.
const MAX_NAME: usize = 253;
/// A namespace's name is a DNS label (RFC 1123).
const MAX_NAMESPACE: usize = 63;

/// What it costs to look for objects, in CEL's units, beside one for each that is looked at.
const FIND: u64 = 1;

pub(super) struct Lookups<'a> {
    all: &'a [CompiledLookup],
    context: &'a Context<'a>,
    /// What their expressions may name.
    inputs: RefCell<Bindings<'a>>,
    budget: Rc<Budget<'a>>,
    found: RefCell<Vec<Option<Found<'a>>>>,
}

/// The objects, or why they cannot be told.
type Found<'a> = Result<Value<'a>, Box<Failure>>;

impl<'a> Lookups<'a> {
    pub(super) fn new(
        all: &'a [CompiledLookup],
        context: &'a Context<'a>,
        inputs: Bindings<'a>,
        budget: Rc<Budget<'a>>,
    ) -> Self {
        let found = RefCell::new(all.iter().map(|_| None).collect());
        Self { all, context, inputs: RefCell::new(inputs), budget, found }
    }

    pub(super) fn set(&self, places: &Places, input: Input, value: &Value<'a>) {
        if let Some(place) = places.input(input) {
            self.inputs.borrow_mut().set_at(place, value.clone());
        }
    }

    fn find(&self, lookup: &'a CompiledLookup) -> Found<'a> {
        let failed = |reason: String| Failure::new(format!("look-up `{}`: {reason}", lookup.name));
        let unavailable = |reason: &str| Failure::unavailable(format!("look-up `{}`: {reason}", lookup.name));
        let CompiledLookup { reference, .. } = lookup;
        let facts = self.context.facts;
        let (api_version, kind) = (reference.api_version.as_str(), reference.kind.as_str());
        let name = match self.text(lookup.object_name.as_ref(), "objectNameExpression")? {
            Some(name) if name.is_empty() => return Ok(Value::list(Vec::new())),
            name => name,
        };
        if let Some(reason) = facts.withheld(reference, || lookup.kept()) {
            return Err(unavailable(reason));
        }
        let namespace = self.text(lookup.namespace.as_ref(), "namespaceExpression")?;
        let namespaced = facts.is_namespaced(api_version, kind);
        let namespace = match namespace.filter(|namespace| !namespace.is_empty()) {
            // What a requester may have written reaches no further than one namespace.
            Some(namespace) if namespace == EVERY_NAMESPACE => match &lookup.namespace {
                Some(Given::Expression(_)) => {
                    return Err(failed("`namespaceExpression` must name one namespace, not `*`".to_owned()));
                }
                _ => None,
            },
            Some(_) if facts.defined_scope(api_version, kind) == Some(false) => {
                return Err(failed(format!("`namespace` must not be given: a {kind} lives in no namespace")));
            }
            Some(namespace) => Some(namespace),
            None if !namespaced => None,
            None if self.context.request.namespace.is_empty() => {
                let why = format!(
                    "`namespace` is needed to find a {kind} for a cluster-scoped object, or `*` for any"
                );
                return Err(failed(why));
            }
            None => Some(self.context.request.namespace.clone()),
        };
        let computed;
        let selector = match &lookup.selector {
            None => None,
            Some(Given::Value(selector)) => Some(selector),
            Some(Given::Expression(expression)) => {
                computed = self.labels(expression)?;
                Some(&computed)
            }
        };
        let (name, namespace) = (name.as_deref(), namespace.as_deref());
        let query = Query { api_version, kind, namespace, name };
        let mut found = facts.find(query);
        self.budget.spend(FIND.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX)));
        if let Some(selector) = selector {
            found.retain(|object| selector.matches(object.pointer("/metadata/labels")));
        }
        if let (Some(name), true) = (name, found.is_empty()) {
            let sought = query.sought(name);
            if let Some(reason) = facts.unlearned(&sought) {
                // It quotes the name.
                return Err(if lookup.reads_values || lookup.reads_param_values {
                    failed(reason.to_owned())
                } else {
                    unavailable(reason)
                });
            }
            self.missed(lookup, sought)?;
        }
        Ok(Value::list(found.into_iter().map(|object| value(lookup, object)).collect()))
    }

    /// What is looked up by its name and is not known may exist: in a cluster it may be younger than what was told
    /// of it. Where the name may be made of a Secret's values it is neither told nor asked about.
    fn missed(&self, lookup: &CompiledLookup, sought: Sought) -> Result<(), Box<Failure>> {
        let of_secret = masking::holds_secrets(&self.context.request.kind) && lookup.reads_values;
        let is_secret = of_secret || lookup.reads_param_values;
        if !self.context.facts.is_complete() {
            let what =
                if is_secret { format!("the {} that it names", sought.kind) } else { sought.to_string() };
            let message = format!("{what} (`lookups.{}`)", lookup.name).into();
            return Err(Box::new(Failure { kind: FailureKind::Needs, message }));
        }
        if !is_secret && may_exist(&sought) {
            self.context.seek(sought);
        }
        Ok(())
    }

    /// A name, if one is given.
    fn text(
        &self,
        given: Option<&'a Given<String, CompiledExpression>>,
        field: &str,
    ) -> Result<Option<String>, Box<Failure>> {
        match given {
            None => Ok(None),
            Some(Given::Value(text)) => Ok(Some(text.clone())),
            Some(Given::Expression(expression)) => match self.evaluate(expression)? {
                Value::Null => Ok(Some(String::new())),
                value => match value.as_str() {
                    Some(text) => Ok(Some(text.to_owned())),
                    None => {
                        Err(Failure::new(format!("`{field}` must be a string, not {}", value.type_name())))
                    }
                },
            },
        }
    }

    fn labels(&self, expression: &'a CompiledExpression) -> Result<LabelSelector, Box<Failure>> {
        let wrong = || Failure::new("`selectorExpression` must be a map of strings");
        let serde_json::Value::Object(labels) = self.evaluate(expression)?.to_json() else {
            return Err(wrong());
        };
        let requirement = |(key, value): (String, serde_json::Value)| {
            let serde_json::Value::String(value) = value else { return Err(wrong()) };
            Ok(Requirement { key, operator: SelectorOperator::In(vec![value]) })
        };
        let requirements = labels.into_iter().map(requirement).collect::<Result<_, _>>()?;
        Ok(LabelSelector { requirements })
    }

    fn evaluate(&self, expression: &'a CompiledExpression) -> Found<'a> {
        let inputs = self.inputs.borrow().clone();
        self.budget.charge(&self.budget.meter(), &expression.program, &inputs)
    }
}

/// Whether Kubernetes would take the name and the namespace: a requester may have chosen both, and they become a part of
/// the question to the API server.
fn may_exist(sought: &Sought) -> bool {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    let in_namespace = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    sought.name.len() <= MAX_NAME
        && sought.name.chars().all(in_name)
        && sought.namespace.as_ref().is_none_or(|namespace| {
            !namespace.is_empty() && namespace.len() <= MAX_NAMESPACE && namespace.chars().all(in_namespace)
        })
}

/// An object as expressions see it.
fn value<'a>(lookup: &'a CompiledLookup, object: &'a Tree) -> Value<'a> {
    let whole = Value::from_json(object.root());
    if lookup.reference.is_metadata_only() { masking::mask(&whole, &lookup.read) } else { whole }
}

impl<'a> Lazy<'a> for Lookups<'a> {
    fn field(&self, name: &str) -> Option<Found<'a>> {
        let index = self.all.iter().position(|lookup| *lookup.name == *name)?;
        if let Some(Some(found)) = self.found.borrow().get(index) {
            return Some(found.clone());
        }
        let found = self.find(self.all.get(index)?);
        if let Some(slot) = self.found.borrow_mut().get_mut(index) {
            *slot = Some(found.clone());
        }
        Some(found)
    }
}
