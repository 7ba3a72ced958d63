//! One policy, one binding, one param: conditions, validations, messages, audit annotations.

use super::excepted::{Excepted, WithoutExcepted};
use super::field_path::{self, ElementPaths, Path};
use super::params::Param;
use super::phase::{self, BUDGET, CONDITIONS_BUDGET, Phase, list};
use super::wording::{MAX_MESSAGE_BYTES, cut, message, not_bool, one_line};
use super::{Blank, Context, masking, plain_finding};
use crate::decision::{Finding, FindingKind, MAX_FINDINGS, Outcome, Skip, Verdict};
use crate::document::Dialect;
use crate::policy::{CompiledExpression, CompiledValidation, Input, Programs, Reads, Validations};
use portcullis_cel::{Failure, FailureKind, Value};

/// `maxAuditAnnotationValueLength` of apiserver's `policy/validating/validator.go`.
const MAX_ANNOTATION_BYTES: usize = 10 * 1024;

pub(super) struct Judge<'a, 'b> {
    blank: &'b Blank<'a>,
    context: &'a Context<'a>,
    programs: &'a Programs,
    /// The full ones, or those for audits.
    validations: &'a Validations,
    param: &'b Param<'a>,
    without_excepted: Option<WithoutExcepted<'a>>,
    outcome: Outcome,
    undecidable: Vec<String>,
}

/// A validation that does not hold, before it is worded.
struct Violation<'a> {
    validation: &'a CompiledValidation,
    index: usize,
    /// The element of its `forEach` list, with its index.
    element: Option<(usize, Value<'a>)>,
}

/// What a phase sees of Secrets, be they objects or params.
#[derive(Clone, Copy, PartialEq)]
enum Secrets {
    /// As they are: what decides.
    Plain,
    /// Without their values: what is told.
    Masked,
}

impl<'a, 'b> Judge<'a, 'b> {
    pub(super) fn new(
        blank: &'b Blank<'a>,
        programs: &'a Programs,
        excepted: &Excepted<'a>,
        param: &'b Param<'a>,
    ) -> Self {
        let mut outcome = blank.outcome(Verdict::Allow);
        outcome.param.clone_from(&param.name);
        let context = blank.context;
        let without_excepted = WithoutExcepted::of(excepted, context.objects());
        Self {
            blank,
            context,
            programs,
            validations: &programs.validations,
            param,
            without_excepted,
            outcome,
            undecidable: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        if self.conditions_hold() {
            let violations = self.validate();
            self.word(&violations);
            self.annotate();
            self.outcome.verdict = self.verdict();
        }
        self.outcome
    }

    fn verdict(&mut self) -> Verdict {
        let found = |kind| self.outcome.findings.iter().any(|finding| finding.kind == kind);
        if found(FindingKind::Violation) {
            Verdict::Deny
        } else if found(FindingKind::Error) || found(FindingKind::Configuration) {
            Verdict::Error
        } else if self.undecidable.is_empty() {
            Verdict::Allow
        } else {
            Verdict::Undecidable(std::mem::take(&mut self.undecidable))
        }
    }

    /// False decides whatever errors stand beside it; the verdict is set where this says no.
    fn conditions_hold(&mut self) -> bool {
        let conditions = &self.programs.match_conditions;
        if conditions.is_empty() {
            return true;
        }
        let mut phase = self.phase(&self.programs.condition_reads, Secrets::Plain, CONDITIONS_BUDGET);
        if self.blank.policy.info.dialect == Dialect::Kubernetes {
            // There it is not given to conditions (`matchconditions/matcher.go`).
            phase.set(Input::NamespaceObject, Value::Null);
        }
        let mut missing = self.missing_in_condition(&self.programs.condition_reads);
        let all_known = missing.is_empty();
        let mut errors = Vec::new();
        for (name, condition) in conditions {
            if !all_known && !self.missing_in_condition(&self.reads_of(condition)).is_empty() {
                continue;
            }
            match phase
                .evaluate(condition)
                .map(|value| value.as_bool().ok_or_else(|| value.type_name().to_owned()))
            {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    self.outcome.verdict = Verdict::Skip(Skip::Condition(name.clone()));
                    return false;
                }
                Ok(Err(other)) => errors.push(not_bool(condition, &other)),
                Err(error) if error.kind == FailureKind::Needs => missing.push(error.message.into_owned()),
                Err(error) => errors.push(self.error_text(condition, &self.reads_of(condition), &error)),
            }
        }
        if !missing.is_empty() {
            self.outcome.verdict = Verdict::Undecidable(missing);
            return false;
        }
        if errors.is_empty() {
            return true;
        }
        let message = match errors.as_slice() {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        self.outcome.findings.push(plain_finding(FindingKind::Error, message));
        self.outcome.verdict = Verdict::Error;
        false
    }

    /// Evaluates every validation, no short-circuit between them.
    fn validate(&mut self) -> Vec<Violation<'a>> {
        let programs = self.programs;
        let validations = match &programs.audit_validations {
            Some(audit)
                if self.context.request.is_hypothetical()
                    && !self.context.missing(&programs.validations.reads).is_empty() =>
            {
                audit
            }
            _ => &programs.validations,
        };
        self.validations = validations;
        let mut phase = self.phase(&validations.reads, Secrets::Plain, BUDGET);
        let mut violations = Vec::new();
        for (index, validation) in validations.list.iter().enumerate() {
            let missing = self.context.missing(&validation.reads);
            if !missing.is_empty() {
                missing.into_iter().for_each(|name| self.cannot_decide(name));
                continue;
            }
            match &validation.for_each {
                None => self.check(&mut phase, validation, index, None, &mut violations),
                Some(list) => self.check_elements(&mut phase, validation, index, list, &mut violations),
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
                while let Some(element) = elements.element(position) {
                    self.check(phase, validation, index, Some((position, &element)), violations);
                    position += 1;
                }
            }
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
            Err(error) if error.kind == FailureKind::Needs => self.cannot_decide(error.message.into_owned()),
            Err(error) => {
                let message = self.error_text(expression, &validation.reads, &error);
                self.error(index, message);
            }
        }
    }

    fn cannot_decide(&mut self, missing: String) {
        if !self.undecidable.contains(&missing) {
            self.undecidable.push(missing);
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

    /// Evaluates the audit annotations, whatever the verdict (`validator.go`).
    fn annotate(&mut self) {
        let annotations = &self.programs.audit_annotations;
        let decidable = |judge: &Self, expression: &CompiledExpression| {
            judge.context.missing(&judge.reads_of(expression)).is_empty()
        };
        if annotations.is_empty() {
            return;
        }
        // What each one reads is worked out only where something is missing at all.
        let reads = &self.programs.annotation_reads;
        let all_known = self.context.missing(reads).is_empty();
        let mut phase = self.phase(reads, Secrets::Masked, BUDGET);
        for (key, expression) in annotations {
            if !all_known && !decidable(self, expression) {
                continue;
            }
            match phase.evaluate(expression) {
                Ok(Value::Null) => {}
                Ok(value) => match value.as_str() {
                    Some(text) if text.trim().is_empty() => {}
                    Some(text) => {
                        let text = cut(text.trim(), MAX_ANNOTATION_BYTES).to_owned();
                        self.outcome.audit_annotations.push((key.clone(), text));
                    }
                    None => {
                        let message = format!(
                            "audit annotation `{key}` must be a string or null, not {}",
                            value.type_name()
                        );
                        self.outcome.findings.push(plain_finding(FindingKind::Configuration, message));
                    }
                },
                // Nothing is told that is not known, as where something else of the request is missing.
                Err(error) if error.kind == FailureKind::Needs => {}
                Err(error) => {
                    let message = self.error_text(expression, &self.reads_of(expression), &error);
                    self.outcome.findings.push(plain_finding(FindingKind::Configuration, message));
                }
            }
        }
    }

    fn phase(&self, reads: &Reads, secrets: Secrets, budget: u64) -> Phase<'a> {
        let mut phase = phase::phase(self.programs, reads, self.context, self.param, budget);
        if let Some(excepted) = &self.without_excepted {
            phase.set(Input::Containers, excepted.containers.elements.clone());
            phase.set(Input::Images, excepted.images.elements.clone());
        }
        if secrets == Secrets::Masked {
            self.secrets(reads).for_each(|secret| phase.set(secret.input, secret.masked()));
        }
        phase
    }

    /// The Secrets of which values are read.
    fn secrets<'r>(
        &self,
        reads: &'r Reads,
    ) -> impl Iterator<Item = masking::ReadSecret<'a, 'r>> + use<'a, 'r> {
        masking::secrets(self.context.request, self.blank.policy, self.param, reads)
    }

    /// What is not known of what a matchCondition reads, to which a ValidatingAdmissionPolicy gives no namespace.
    fn missing_in_condition(&self, reads: &Reads) -> Vec<String> {
        match self.blank.policy.info.dialect {
            Dialect::Portcullis => self.context.missing(reads),
            Dialect::Kubernetes => self.context.missing_of_request(reads),
        }
    }

    fn reads_of(&self, expression: &CompiledExpression) -> Reads {
        Reads::of(expression, &self.programs.origins)
    }

    /// An evaluation error as Kubernetes words it, but for what it may quote of a Secret's values.
    fn error_text(&self, expression: &CompiledExpression, reads: &Reads, failure: &Failure) -> String {
        if failure.kind == FailureKind::Budget {
            return "validation failed due to running out of cost budget, no further validation rules will be run"
                .to_owned();
        }
        let reason = if self.secrets(reads).next().is_some() {
            "an error that is not shown, because it may quote a Secret"
        } else {
            &failure.message
        };
        format!(
            "expression '{}' resulted in error: {}",
            expression.program.source(),
            one_line(reason, MAX_MESSAGE_BYTES)
        )
    }
}
