//! The validations of a Policy: each judged once or for each element of a list, with what does not hold worded
//! and located.

use super::field_path::{self, ElementPaths, Path};
use super::judge::{Judge, Secrets};
use super::phase::{BUDGET, Phase, list};
use super::wording::{MAX_MESSAGE_BYTES, message, not_bool, one_line};
use super::{masking, plain_finding};
use crate::decision::{Finding, FindingKind, MAX_FINDINGS};
use crate::policy::{CompiledExpression, CompiledValidation};
use portcullis_cel::{FailureKind, Value};

/// A validation that does not hold, before it is worded.
struct Violation<'a> {
    validation: &'a CompiledValidation,
    index: usize,
    /// The element of its `forEach` list, with its index.
    element: Option<(usize, Value<'a>)>,
}

impl<'a> Judge<'a, '_> {
    /// Judges by every validation, no short-circuit between them, and words what does not hold; or by a module.
    /// Then annotates.
    pub(super) fn validate(&mut self) {
        match &self.programs.module {
            Some(module) if !self.validations.given.is_empty() => self.call(module.as_ref()),
            _ => {
                let violations = self.violations();
                self.word(&violations);
            }
        }
        self.annotate();
    }

    fn violations(&mut self) -> Vec<Violation<'a>> {
        let validations = self.validations;
        let mut phase = self.phase(&validations.reads, Secrets::Plain, BUDGET);
        let mut violations = Vec::new();
        for (index, validation) in validations.list.iter().enumerate() {
            if !self.is_known(&validation.reads) {
                continue;
            }
            match &validation.for_each {
                None => self.check(&mut phase, validation, index, None, &mut violations),
                Some(list) => self.check_elements(&mut phase, validation, index, list, &mut violations),
            }
            if let Some(reason) = phase.exhausted() {
                self.error(index, reason.to_owned());
                break;
            }
        }
        // What is wrong goes before what could not be told: errors must hide no violation.
        let room = MAX_FINDINGS - violations.len();
        self.outcome.omitted += self.outcome.findings.len().saturating_sub(room);
        self.outcome.findings.truncate(room);
        violations
    }

    fn check_elements(
        &mut self,
        phase: &mut Phase<'a>,
        validation: &'a CompiledValidation,
        index: usize,
        list: &'a CompiledExpression,
        violations: &mut Vec<Violation<'a>>,
    ) {
        match self::list(phase, list) {
            Ok(elements) => {
                let mut position = 0;
                while let Some(element) = elements.element(position)
                    && phase.exhausted().is_none()
                {
                    self.check(phase, validation, index, Some((position, &element)), violations);
                    position += 1;
                }
            }
            Err(_) if phase.exhausted().is_some() => {}
            Err(error) if error.kind == FailureKind::Needs => self.cannot_decide(error.message.into_owned()),
            Err(error) => {
                let message = self.error_text(list, &validation.reads, &error);
                self.error(index, message);
            }
        }
    }

    fn check(
        &mut self,
        phase: &mut Phase<'a>,
        validation: &'a CompiledValidation,
        index: usize,
        each: Option<(usize, &Value<'a>)>,
        violations: &mut Vec<Violation<'a>>,
    ) {
        let expression = &validation.expression;
        match phase.evaluate_with(expression, each.map(|(_, element)| element)) {
            Ok(value) => match value.as_bool() {
                Some(true) => {}
                Some(false) if violations.len() >= MAX_FINDINGS => self.outcome.omitted += 1,
                Some(false) => {
                    let element = each.map(|(position, element)| (position, element.clone()));
                    violations.push(Violation { validation, index, element });
                }
                None => self.error(index, not_bool(expression, value.type_name())),
            },
            Err(_) if phase.exhausted().is_some() => {}
            Err(error) if error.kind == FailureKind::Needs => self.cannot_decide(error.message.into_owned()),
            Err(error) => {
                let message = self.error_text(expression, &validation.reads, &error);
                self.error(index, message);
            }
        }
    }

    fn error(&mut self, index: usize, message: String) {
        let mut finding = plain_finding(FindingKind::Error, message);
        finding.validation = Some(index);
        // An expression that fails for one element tends to fail for all of them in the same way.
        if self.outcome.findings.contains(&finding) {
            return;
        }
        if self.outcome.findings.len() >= MAX_FINDINGS {
            self.outcome.omitted += 1;
        } else {
            self.outcome.findings.push(finding);
        }
    }

    /// Gives each violation its message and field path, from masked objects.
    fn word(&mut self, violations: &[Violation<'a>]) {
        if violations.is_empty() {
            return;
        }
        let reads = &self.validations.wording_reads;
        let mut phase = self.phase(reads, Secrets::Masked, BUDGET);
        let masks = self.secrets(reads).next().is_some();
        let mut listed: Option<(usize, Vec<Value<'a>>)> = None;
        for violation in violations {
            let validation = violation.validation;
            if let Some(list) = &validation.for_each
                && masks
                && listed.as_ref().is_none_or(|(index, _)| *index != violation.index)
            {
                let elements = self::list(&mut phase, list).ok().and_then(|list| list.elements());
                listed = Some((violation.index, elements.unwrap_or_default()));
            }
            let masked = listed.as_ref().map(|(_, elements)| elements.as_slice());
            let each = violation.element.as_ref().and_then(|element| masking::told(element, masked));
            let finding = Finding {
                kind: FindingKind::Violation,
                message: message(&mut phase, validation, each),
                field_path: self.field_path(&mut phase, violation, each),
                remedy: None,
                reason: validation.reason,
                validation: Some(violation.index),
            };
            self.outcome.findings.push(finding);
        }
        // Errors were found first; the order is the validations'.
        self.outcome.findings.sort_by_key(|finding| finding.validation);
    }

    fn field_path(
        &self,
        phase: &mut Phase<'a>,
        violation: &Violation<'a>,
        each: Option<&Value<'a>>,
    ) -> String {
        let validation = violation.validation;
        let objects = self.context.objects();
        if let Some(expression) = &validation.field_path {
            if validation.for_each.is_some() && each.is_none() {
                return String::new();
            }
            return match phase.evaluate_with(expression, each) {
                Ok(value) => value.as_str().map(|path| one_line(path, MAX_MESSAGE_BYTES)).unwrap_or_default(),
                Err(_) => String::new(),
            };
        }
        let (Some(list), Some((element, _))) = (&validation.for_each, &violation.element) else {
            return field_path::common(validation, objects);
        };
        let selection = list.program.plain_selection().cloned().map(Path::of);
        let paths = ElementPaths::of(selection.as_ref(), objects, self.without_excepted.as_ref());
        field_path::within_element(paths.at(*element), validation)
    }
}
