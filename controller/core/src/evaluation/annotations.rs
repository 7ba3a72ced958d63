//! `auditAnnotations`, evaluated whatever the verdict (`validator.go` in apiserver's `policy/validating`).

use super::judge::{Judge, Secrets};
use super::phase::BUDGET;
use super::plain_finding;
use super::wording::cut;
use crate::decision::FindingKind;
use crate::document::Dialect;
use portcullis_cel::{FailureKind, Value};

/// `maxAuditAnnotationValueLength` of `dispatcher.go` there.
pub(super) const MAX_ANNOTATION_BYTES: usize = 10 * 1024;

impl Judge<'_, '_> {
    /// Evaluates each annotation that can be.
    pub(super) fn annotate(&mut self) {
        let annotations = &self.programs.audit_annotations;
        if annotations.is_empty() {
            return;
        }
        // What each one reads is worked out only where something is missing at all.
        let reads = &self.programs.annotation_reads;
        let all_known = self.missing(reads).is_empty();
        let mut phase = self.phase(reads, Secrets::Masked, BUDGET);
        for (key, expression) in annotations {
            if !all_known && !self.missing(&self.reads_of(expression)).is_empty() {
                continue;
            }
            let result = phase.evaluate(expression);
            if let Some(reason) = phase.exhausted() {
                match self.dialect() {
                    Dialect::Kubernetes => self.only_error(reason.to_owned()),
                    Dialect::Portcullis => self.cannot_annotate(reason.to_owned()),
                }
                return;
            }
            match result {
                Ok(Value::Null) => {}
                Ok(value) => match value.as_str() {
                    Some(text) if text.trim().is_empty() => {}
                    Some(text) => {
                        let text = cut(text.trim(), MAX_ANNOTATION_BYTES).to_owned();
                        self.outcome.audit_annotations.push((key.clone(), text));
                    }
                    None => {
                        let found = value.type_name();
                        let message =
                            format!("audit annotation `{key}` must be a string or null, not {found}");
                        self.cannot_annotate(message);
                    }
                },
                // Nothing is told that is not known, as where something else of the request is missing.
                Err(error) if error.kind == FailureKind::Needs => {}
                Err(error) => {
                    let message = self.error_text(expression, &self.reads_of(expression), &error);
                    self.cannot_annotate(message);
                }
            }
        }
    }

    fn cannot_annotate(&mut self, message: String) {
        self.outcome.findings.push(plain_finding(FindingKind::Configuration, message));
    }
}
