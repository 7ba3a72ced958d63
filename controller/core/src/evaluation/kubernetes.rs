//! The validations of a ValidatingAdmissionPolicy, exactly as `Validate` of `validator.go` in apiserver's
//! `policy/validating` judges them: all of them, then the messages of all of them on the budget that is left, then
//! the audit annotations. Whichever of these uses up its budget leaves nothing but that error.

use super::field_path;
use super::judge::{Judge, Secrets};
use super::phase::BUDGET;
use super::wording::{fall_back, not_bool, usable};
use crate::decision::{Finding, FindingKind, Reason};
use crate::policy::CompiledValidation;
use portcullis_cel::FailureKind;

/// What came of one validation.
enum Judged {
    Holds,
    Fails,
    Error(String),
    /// Something that it reads is not known here.
    Undecidable,
}

impl Judge<'_, '_> {
    /// Judges by every validation, words what does not hold, and annotates.
    pub(super) fn validate_as_kubernetes(&mut self) {
        let validations = self.validations;
        let mut phase = self.phase(&validations.reads, Secrets::Plain, BUDGET);
        let mut judged = Vec::new();
        for validation in &validations.list {
            if !self.is_known(&validation.reads) {
                judged.push(Judged::Undecidable);
                continue;
            }
            let expression = &validation.expression;
            let result = phase.evaluate(expression);
            if let Some(reason) = phase.exhausted() {
                return self.only_error(reason.to_owned());
            }
            judged.push(match result {
                Ok(value) => match value.as_bool() {
                    Some(true) => Judged::Holds,
                    Some(false) => Judged::Fails,
                    None => Judged::Error(not_bool(expression, value.type_name())),
                },
                Err(failure) if failure.kind == FailureKind::Needs => {
                    self.cannot_decide(failure.message.into_owned());
                    Judged::Undecidable
                }
                Err(failure) => Judged::Error(self.error_text(expression, &validation.reads, &failure)),
            });
        }
        let messages = self.messages(phase.left());
        for (index, (validation, judged)) in validations.list.iter().zip(judged).enumerate() {
            let message = messages.as_ref().map(|messages| messages.get(index).cloned().flatten());
            let message = message.map_err(|reason| *reason);
            if let Some(finding) = self.finding(index, validation, judged, message) {
                self.outcome.findings.push(finding);
            }
        }
        self.annotate();
    }

    /// What the messageExpressions give, those of validations that hold as well; the error where they cost too much.
    fn messages(&self, budget: u64) -> Result<Vec<Option<String>>, &'static str> {
        let validations = self.validations;
        if validations.list.iter().all(|validation| validation.message_expression.is_none()) {
            return Ok(Vec::new());
        }
        let mut phase = self.phase(&validations.wording_reads, Secrets::Masked, budget);
        let mut messages = Vec::new();
        for validation in &validations.list {
            let expression = validation.message_expression.as_ref();
            let value = expression.and_then(|expression| phase.evaluate(expression).ok());
            if let Some(reason) = phase.exhausted() {
                return Err(reason);
            }
            messages.push(value.as_ref().and_then(usable));
        }
        Ok(messages)
    }

    fn finding(
        &self,
        index: usize,
        validation: &CompiledValidation,
        judged: Judged,
        message: Result<Option<String>, &'static str>,
    ) -> Option<Finding> {
        let error = |message| Finding {
            kind: FindingKind::Error,
            message,
            field_path: String::new(),
            remedy: None,
            reason: Reason::Invalid,
            validation: Some(index),
        };
        match (judged, message) {
            (Judged::Undecidable, _) | (Judged::Holds, Ok(_)) => None,
            (Judged::Error(text), _) => Some(error(text)),
            (_, Err(reason)) => Some(error(format!("failed messageExpression: {reason}"))),
            (Judged::Fails, Ok(message)) => Some(Finding {
                kind: FindingKind::Violation,
                message: message.unwrap_or_else(|| fall_back(validation)),
                field_path: field_path::common(validation, self.context.objects()),
                remedy: None,
                reason: validation.reason,
                validation: Some(index),
            }),
        }
    }
}
