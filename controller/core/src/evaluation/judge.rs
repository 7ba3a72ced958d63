//! One policy, one binding, one param: conditions, then validations with their messages (a Policy's in
//! [`validations`](super::validations), a ValidatingAdmissionPolicy's in [`kubernetes`](super::kubernetes)), then
//! audit annotations.

use super::context::named;
use super::excepted::{Excepted, WithoutExcepted};
use super::params::Param;
use super::phase::{self, CONDITIONS_BUDGET, Phase, REQUEST_OUT_OF_BUDGET};
use super::wording::{MAX_MESSAGE_BYTES, not_bool, one_line};
use super::{Blank, Context, masking, plain_finding};
use crate::decision::{FindingKind, Outcome, Skip, Verdict};
use crate::document::Dialect;
use crate::facts::Reference;
use crate::policy::{CompiledExpression, CompiledLookup, Input, Programs, Reads, Unsure, Validations};
use portcullis_cel::{Failure, FailureKind, Value};
use std::collections::BTreeSet;

pub(super) struct Judge<'a, 'b> {
    blank: &'b Blank<'a>,
    pub(super) context: &'a Context<'a>,
    pub(super) programs: &'a Programs,
    /// The full ones, or those for audits.
    pub(super) validations: &'a Validations,
    param: &'b Param<'a>,
    pub(super) without_excepted: Option<WithoutExcepted<'a>>,
    pub(super) outcome: Outcome,
    undecidable: Vec<String>,
}

/// What a phase sees of Secrets, be they objects or params.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Secrets {
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
        if self.context.left.get() == 0 {
            self.only_error(REQUEST_OUT_OF_BUDGET.to_owned());
        } else if !self.conditions_hold() {
            return self.outcome;
        } else {
            self.choose_validations();
            match self.dialect() {
                Dialect::Portcullis => self.validate(),
                Dialect::Kubernetes => self.validate_as_kubernetes(),
            }
        }
        self.outcome.verdict = self.verdict();
        self.outcome
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.blank.policy.info.dialect
    }

    fn verdict(&mut self) -> Verdict {
        let found = |kind| self.outcome.findings.iter().any(|finding| finding.kind == kind);
        let verdict = if found(FindingKind::Violation) {
            Verdict::Deny
        } else if found(FindingKind::Error) || found(FindingKind::Configuration) {
            Verdict::Error
        } else if self.undecidable.is_empty() {
            Verdict::Allow
        } else {
            Verdict::Undecidable(std::mem::take(&mut self.undecidable))
        };
        // Whether the params exist decides, too: without them nothing is judged, or all of it is an error.
        match (&self.param.unknown, verdict) {
            (Some(unknown), Verdict::Deny | Verdict::Error) if unknown.allow_not_found => {
                self.unsure_of_params()
            }
            (Some(unknown), Verdict::Allow) if !unknown.allow_not_found => self.unsure_of_params(),
            (_, verdict) => verdict,
        }
    }

    fn unsure_of_params(&mut self) -> Verdict {
        self.outcome.findings.clear();
        self.outcome.omitted = 0;
        Verdict::Undecidable(self.param.unknown.iter().map(|unknown| unknown.name.clone()).collect())
    }

    /// Nothing but this counts, whatever else was found.
    pub(super) fn only_error(&mut self, message: String) {
        self.outcome.findings = vec![plain_finding(FindingKind::Error, message)];
        self.outcome.omitted = 0;
        self.outcome.audit_annotations.clear();
        self.undecidable.clear();
    }

    /// False decides whatever errors stand beside it; the verdict is set where this says no.
    fn conditions_hold(&mut self) -> bool {
        let conditions = &self.programs.match_conditions;
        if conditions.is_empty() {
            return true;
        }
        let is_kubernetes = self.dialect() == Dialect::Kubernetes;
        let mut phase = self.conditions();
        let mut missing = self.missing_in_condition(&self.programs.condition_reads);
        let all_known = missing.is_empty();
        let mut errors: Vec<String> = Vec::new();
        let mut failed = None;
        for (name, condition) in conditions {
            if !all_known && !self.missing_in_condition(&self.reads_of(condition)).is_empty() {
                continue;
            }
            match phase.evaluate(condition) {
                Ok(value) => match value.as_bool() {
                    Some(true) => {}
                    Some(false) => failed = failed.or(Some(name)),
                    None => errors.push(not_bool(condition, value.type_name())),
                },
                Err(error) if error.kind == FailureKind::Needs => missing.push(error.message.into_owned()),
                Err(error) => errors.push(self.error_text(condition, &self.reads_of(condition), &error)),
            }
            if let Some(reason) = phase.exhausted() {
                // The API server looks at the results only when it has all of them.
                errors = vec![reason.to_owned()];
                failed = failed.filter(|_| !is_kubernetes);
                break;
            }
            // There all of them are evaluated, at the cost of all of them.
            if failed.is_some() && !is_kubernetes {
                break;
            }
        }
        if let Some(name) = failed {
            self.outcome.verdict = Verdict::Skip(Skip::Condition(name.clone()));
            return false;
        }
        if !missing.is_empty() {
            self.outcome.verdict = Verdict::Undecidable(missing);
            return false;
        }
        // Several errors are told as apimachinery's `Aggregate` tells them: each once.
        let mut seen = BTreeSet::new();
        errors.retain(|error| seen.insert(error.clone()));
        let message = match errors.as_slice() {
            [] => return true,
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        self.outcome.findings.push(plain_finding(FindingKind::Error, message));
        self.outcome.verdict = Verdict::Error;
        false
    }

    /// The phase in which matchConditions are evaluated.
    pub(super) fn conditions(&self) -> Phase<'a> {
        let mut phase = self.phase(&self.programs.condition_reads, Secrets::Plain, CONDITIONS_BUDGET);
        if self.dialect() == Dialect::Kubernetes {
            // There it is not given to conditions (`matchconditions/matcher.go`).
            phase.set(Input::NamespaceObject, Value::Null);
        }
        phase
    }

    /// In an audit those that are written for it, if the others cannot be decided.
    pub(super) fn choose_validations(&mut self) {
        let programs = self.programs;
        if let Some(audit) = &programs.audit_validations
            && self.context.request.is_hypothetical()
            && !self.missing(&programs.validations.reads).is_empty()
        {
            self.validations = audit;
        }
    }

    /// Whether everything that a group of programs reads is known. What is not makes the verdict undecidable.
    pub(super) fn is_known(&mut self, reads: &Reads) -> bool {
        let missing = self.missing(reads);
        let is_known = missing.is_empty();
        missing.into_iter().for_each(|name| self.cannot_decide(name));
        is_known
    }

    pub(super) fn cannot_decide(&mut self, missing: String) {
        if !self.undecidable.contains(&missing) {
            self.undecidable.push(missing);
        }
    }

    pub(super) fn phase(&self, reads: &Reads, secrets: Secrets, budget: u64) -> Phase<'a> {
        let mut phase = phase::phase(self.programs, reads, self.context, self.param, budget);
        if let Some(excepted) = &self.without_excepted {
            phase.set(Input::Containers, excepted.containers.elements.clone());
            phase.set(Input::Images, excepted.images.elements.clone());
        }
        // Neither messages nor annotations of a ValidatingAdmissionPolicy are given it (`validator.go`), nor what
        // variables say for them.
        if secrets == Secrets::Plain || self.dialect() == Dialect::Portcullis {
            self.context.bind_authorizer(reads, &mut phase);
        }
        if secrets == Secrets::Masked {
            self.secrets(reads).for_each(|secret| phase.set(secret.input, secret.masked()));
        }
        phase
    }

    /// The Secrets of which values are read.
    pub(super) fn secrets<'r>(
        &self,
        reads: &'r Reads,
    ) -> impl Iterator<Item = masking::ReadSecret<'a, 'r>> + use<'a, 'r> {
        masking::secrets(self.context.request, self.blank.policy, self.param, reads)
    }

    /// What of a group of reads is not known.
    pub(super) fn missing(&self, reads: &Reads) -> Vec<String> {
        let mut missing = self.context.missing(reads);
        missing.extend(self.missing_param(reads));
        missing.extend(self.missing_lookups(reads));
        missing
    }

    /// Where files are a part of a cluster, a kind of which they hold nothing may have objects all the same.
    fn missing_lookups(&self, reads: &Reads) -> Vec<String> {
        let facts = self.context.facts;
        if facts.is_complete() || !reads.reads(Input::Lookups) {
            return Vec::new();
        }
        let unknown = self.programs.lookups.iter().filter(|lookup| {
            let Reference { api_version, kind, .. } = &lookup.reference;
            reads.of_lookup(&lookup.name).is_some() && !facts.has_any(api_version, kind)
        });
        let name = |lookup: &CompiledLookup| {
            let Reference { api_version, kind, .. } = &lookup.reference;
            format!("what there is of {kind} of {api_version} (`lookups.{}`)", lookup.name)
        };
        unknown.map(name).collect()
    }

    /// The same of a matchCondition, to which a ValidatingAdmissionPolicy gives no namespace.
    pub(super) fn missing_in_condition(&self, reads: &Reads) -> Vec<String> {
        match self.dialect() {
            Dialect::Portcullis => self.missing(reads),
            Dialect::Kubernetes => {
                let mut missing = self.context.missing_of_request(reads);
                missing.extend(self.missing_param(reads));
                missing
            }
        }
    }

    fn missing_param(&self, reads: &Reads) -> Option<String> {
        let paths = reads.unsure(Unsure::Params);
        let unknown = self.param.unknown.as_ref().filter(|_| !paths.is_empty())?;
        Some(named(&unknown.name, paths.iter().map(String::as_str)))
    }

    pub(super) fn reads_of(&self, expression: &CompiledExpression) -> Reads {
        Reads::of(expression, &self.programs.origins)
    }

    /// An evaluation error as Kubernetes words it, but for what it may quote of a Secret's values.
    pub(super) fn error_text(
        &self,
        expression: &CompiledExpression,
        reads: &Reads,
        failure: &Failure,
    ) -> String {
        let may_quote = failure.kind != FailureKind::Unavailable;
        let reason = if may_quote && self.secrets(reads).next().is_some() {
            "an error that is not shown, because it may quote a Secret".into()
        } else if self.dialect() == Dialect::Kubernetes {
            failure.message.to_string()
        } else {
            one_line(&failure.message, MAX_MESSAGE_BYTES)
        };
        format!("expression '{}' resulted in error: {reason}", expression.program.source())
    }
}
