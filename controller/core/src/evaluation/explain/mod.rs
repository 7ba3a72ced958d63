//! Why a validation holds or does not: what each sub-expression evaluates to.
//!
//! The expressions are compiled once more so that they can be observed; nothing of this costs a decision anything.
//! What depends on the values of a Secret is found by what each sub-expression reads, not by what comes out: only
//! whether it is true or false is told of that, and nothing where a macro would tell it many times.

mod record;
mod shown;
#[cfg(test)]
mod tests;

use super::judge::{Judge, Secrets};
use super::masking;
use super::phase::{BUDGET, Phase, list};
use crate::policy::{CompiledExpression, CompiledPolicy, Programs, Reads, Validations};
use portcullis_cel::engine::Part as Described;
use portcullis_cel::{Program, Step, Value};
use record::{Recorder, Seen, Told};
use shown::shown;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many elements of a `forEach` list are explained.
const MAX_ELEMENTS: usize = 50;
/// What stands in place of what depends on a Secret's values.
const MASK: &str = "***";

/// What is explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A matchCondition, by its name.
    Condition(String),
    /// A validation, from 0, for one element of its `forEach` list if it has one.
    Validation(usize),
}

/// One matchCondition or validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Which.
    pub subject: Subject,
    /// Which element, from 0, and what it is.
    pub element: Option<(usize, String)>,
    /// Whether it holds; `None` where it could not be evaluated.
    pub holds: Option<bool>,
    /// Its expression.
    pub expression: Trace,
    /// The `variables` that it reads, and those that they read, in their order.
    pub variables: Vec<(Arc<str>, Trace)>,
}

/// An expression with what its parts evaluate to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// As the policy has it.
    pub source: String,
    /// What it evaluates to.
    pub result: String,
    /// Its sub-expressions, in the order of the source, without constants and without what is in one that was not
    /// evaluated.
    pub parts: Vec<Part>,
}

/// A sub-expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where its name or operator begins, in bytes.
    pub at: usize,
    /// What it evaluates to, as JSON where it can be: once for each element of a macro around it, or for the one
    /// that decides; cut where it is long or often. Empty where it was not evaluated.
    pub values: Vec<String>,
    /// How often it was evaluated.
    pub times: usize,
    /// The element that decided it, from 0, where it is a macro and one did.
    pub element: Option<usize>,
}

/// The expressions of a policy, compiled so that they can be observed.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    conditions: Vec<Option<Program>>,
    validations: Vec<Option<Program>>,
    audit_validations: Vec<Option<Program>>,
    variables: Vec<(Arc<str>, Option<Program>)>,
}

impl Observed {
    /// Nothing of a policy that is broken.
    pub(crate) fn of(policy: &CompiledPolicy) -> Self {
        let Ok(programs) = &policy.body else { return Self::default() };
        let compile = |expression: &CompiledExpression| {
            Program::compile_observed(&programs.environment, expression.program.source()).ok()
        };
        let all = |validations: &Validations| {
            validations.list.iter().map(|one| compile(&one.expression)).collect::<Vec<_>>()
        };
        Self {
            conditions: programs.match_conditions.iter().map(|(_, one)| compile(one)).collect(),
            validations: all(&programs.validations),
            audit_validations: programs.audit_validations.as_ref().map(all).unwrap_or_default(),
            variables: programs
                .variables
                .iter()
                .map(|(name, variable)| (Arc::clone(name), compile(variable)))
                .collect(),
        }
    }

    /// The variables that a program reads, and those that they read.
    fn read_by(&self, program: &Program) -> Vec<(&Arc<str>, &Program)> {
        let mut wanted = names(program);
        let mut found = Vec::new();
        // Each sees only those before it.
        for (name, variable) in self.variables.iter().rev() {
            if let Some(variable) = variable.as_ref().filter(|_| wanted.iter().any(|known| **known == **name))
            {
                wanted.extend(names(variable));
                found.push((name, variable));
            }
        }
        found.reverse();
        found
    }
}

/// The names of the variables that a program reads itself.
fn names(program: &Program) -> Vec<Box<str>> {
    let reads = program.footprint().reads().filter(|read| &*read.variable == "variables");
    reads
        .filter_map(|read| match read.steps.first() {
            Some(Step::Field(name)) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

impl<'a> Judge<'a, '_> {
    /// Explains the conditions and validations that do not hold, or all of them.
    pub(super) fn explain(mut self, observed: &'a Observed, all: bool) -> Vec<Explanation> {
        self.choose_validations();
        let mut explanations = self.explain_conditions(observed, all);
        if explanations.iter().all(|condition| condition.holds == Some(true)) {
            self.explain_validations(observed, all, &mut explanations);
        }
        explanations
    }

    fn explain_conditions(&self, observed: &'a Observed, all: bool) -> Vec<Explanation> {
        let programs: &'a Programs = self.programs;
        let mut explanations = Vec::new();
        for ((name, condition), program) in programs.match_conditions.iter().zip(&observed.conditions) {
            let Some(program) = program else { continue };
            let reads = self.reads_of(condition);
            if !self.missing_in_condition(&reads).is_empty() {
                continue;
            }
            let mut telling = Telling {
                judge: self,
                observed,
                list: None,
                phase: self.conditions(),
                masks: self.secrets(&reads).next().is_some(),
            };
            let subject = Subject::Condition(name.clone());
            let explanation = telling.explain(subject, program, None);
            if all || explanation.holds != Some(true) {
                explanations.push(explanation);
            }
        }
        explanations
    }

    fn explain_validations(&self, observed: &'a Observed, all: bool, explanations: &mut Vec<Explanation>) {
        let validations = self.validations;
        let full = std::ptr::eq(validations, &raw const self.programs.validations);
        let programs = if full { &observed.validations } else { &observed.audit_validations };
        for (index, (validation, program)) in validations.list.iter().zip(programs).enumerate() {
            let Some(program) = program else { continue };
            if !self.missing(&validation.reads).is_empty() {
                continue;
            }
            let masks = self.secrets(&validation.reads).next().is_some();
            let mut telling = Telling {
                judge: self,
                observed,
                list: validation.for_each.as_ref(),
                phase: self.phase(&validation.reads, Secrets::Plain, BUDGET),
                masks,
            };
            let subject = Subject::Validation(index);
            let Some(list) = &validation.for_each else {
                let explanation = telling.explain(subject, program, None);
                if all || explanation.holds != Some(true) {
                    explanations.push(explanation);
                }
                continue;
            };
            let masked = masks.then(|| {
                let mut phase = self.phase(&validation.reads, Secrets::Masked, BUDGET);
                elements(&mut phase, list)
            });
            let each = elements(&mut telling.phase, list);
            for element in each.into_iter().enumerate() {
                if explanations.len() >= MAX_ELEMENTS {
                    break;
                }
                let told = masking::told(&element, masked.as_deref()).map_or(MASK.to_owned(), shown);
                let mut explanation = telling.explain(subject.clone(), program, Some(&element.1));
                if all || explanation.holds != Some(true) {
                    explanation.element = Some((element.0, told));
                    explanations.push(explanation);
                }
            }
        }
    }
}

/// What is needed to tell values without those of Secrets.
struct Telling<'a, 'b, 'c> {
    judge: &'c Judge<'a, 'b>,
    observed: &'a Observed,
    /// The `forEach` list.
    list: Option<&'a CompiledExpression>,
    phase: Phase<'a>,
    /// Whether values of Secrets are read at all.
    masks: bool,
}

impl<'a> Telling<'a, '_, '_> {
    fn explain(&mut self, subject: Subject, program: &'a Program, each: Option<&Value<'a>>) -> Explanation {
        let (holds, expression) = self.trace(program, each);
        let variables = self.observed.read_by(program);
        let variables = variables
            .into_iter()
            .map(|(name, variable)| (Arc::clone(name), self.trace(variable, each).1))
            .collect();
        Explanation { subject, element: None, holds, expression, variables }
    }

    fn trace(&mut self, program: &'a Program, each: Option<&Value<'a>>) -> (Option<bool>, Trace) {
        let recorder = Recorder::of(program);
        let result = self.phase.observe(program, each, &recorder);
        let holds = result.as_ref().ok().and_then(Value::as_bool);
        let seen = recorder.seen();
        let mut parts: Vec<Part> = Vec::new();
        for (id, described) in program.parts() {
            if let Some(values) = self.part(program, *id, described, &seen) {
                parts.push(Part { at: beginning(program.source(), described.at), ..values });
            }
        }
        parts.sort_by_key(|part| part.at);
        let result = Told::of(&result);
        let result = match program.parts().last_key_value() {
            Some((_, root)) => self.may_tell(root, &result),
            None => result.text,
        };
        (holds, Trace { source: program.source().to_owned(), result, parts })
    }

    /// What may be told of a part, if it is worth telling.
    fn part(
        &self,
        program: &Program,
        id: usize,
        described: &Described,
        seen: &BTreeMap<usize, Seen>,
    ) -> Option<Part> {
        let nothing = Part { at: 0, values: Vec::new(), times: 0, element: None };
        if let Some(outer) = self.hiding(program, described) {
            // How often and up to which element would tell, too.
            let is_body = described.parent == Some(outer) && seen.contains_key(&outer);
            return is_body.then(|| Part { values: vec![MASK.to_owned()], times: 1, ..nothing });
        }
        match seen.get(&id) {
            // What it is a part of says so already.
            None => described.parent.is_none_or(|parent| seen.contains_key(&parent)).then_some(nothing),
            Some(seen) if seen.told.is_empty() => None,
            Some(seen) => Some(Part {
                values: seen.told.iter().map(|told| self.may_tell(described, told)).collect(),
                times: seen.times,
                element: seen.element.filter(|_| !self.depends_on_values(described)),
                ..nothing
            }),
        }
    }

    /// The outermost macro around a part that would tell about a Secret's values by what it does.
    fn hiding(&self, program: &Program, part: &Described) -> Option<usize> {
        let around = |id: &usize| program.parts().get(id).and_then(|outer| outer.within);
        std::iter::successors(part.within, around)
            .filter(|id| program.parts().get(id).is_some_and(|outer| self.depends_on_values(outer)))
            .last()
    }

    fn depends_on_values(&self, part: &Described) -> bool {
        self.masks && self.judge.secrets(&self.reads(part)).next().is_some()
    }

    fn reads(&self, part: &Described) -> Reads {
        Reads::of_part(&part.footprint, self.list, &self.judge.programs.origins)
    }

    fn may_tell(&self, part: &Described, told: &Told) -> String {
        if !self.depends_on_values(part) || told.truth.is_some() {
            return told.text.clone();
        }
        if told.failed {
            return format!("error: {MASK}");
        }
        let reads = self.reads(part);
        let selection = part.selection.as_ref();
        let masked = selection.and_then(|selection| {
            let secret =
                self.judge.secrets(&reads).find(|secret| *secret.input.name() == *selection.variable)?;
            selection.steps.iter().try_fold(secret.masked(), |value, step| match step {
                Step::Field(name) => value.field(name),
                Step::Any => None,
            })
        });
        masked.map_or_else(|| MASK.to_owned(), |masked| shown(&masked))
    }
}

/// The elements of a `forEach` list, if it can be found.
fn elements<'a>(phase: &mut Phase<'a>, expression: &'a CompiledExpression) -> Vec<Value<'a>> {
    list(phase, expression).ok().and_then(|list| list.elements()).unwrap_or_default()
}

/// Where the name of a function or a field begins, rather than its bracket or its dot.
fn beginning(source: &str, at: usize) -> usize {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = source.as_bytes();
    match bytes.get(at) {
        Some(b'(') => {
            let before = bytes.get(..at).unwrap_or_default();
            at - before.iter().rev().take_while(|byte| is_name(byte)).count()
        }
        Some(b'.') => {
            let after = bytes.get(at + 1..).unwrap_or_default();
            at + 1 + after.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b'?').count()
        }
        _ => at,
    }
}
