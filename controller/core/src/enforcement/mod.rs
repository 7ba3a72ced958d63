//! From a decision to what the requester is told: the one place where Deny, Warn and Audit differ.

use crate::decision::{Decision, Finding, FindingKind, Outcome, Reason, Verdict};
use crate::document::Dialect;
use crate::policy::FailurePolicy;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where a decision is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A real admission request: what is undecidable is an error under the failure policy.
    Admission,
    /// A file under check or an object under audit: what is undecidable never denies.
    Offline,
}

/// What a finding leads to, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing: an error under `failurePolicy: Ignore`.
    None,
    /// It is recorded.
    Audit,
    /// The requester is warned.
    Warn,
    /// The request is denied.
    Deny,
}

/// What the requester is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the request may proceed.
    pub allowed: bool,
    /// Every reason for a denial, in the order of the decision; empty if allowed.
    pub denials: Vec<Cause>,
    /// What the requester is warned about, within Kubernetes' limits.
    pub warnings: Vec<String>,
    /// Audit annotations (key without a `/`, value), sorted by key.
    pub audit_annotations: Vec<(String, String)>,
}

/// One reason for a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The policy that denies.
    pub policy: String,
    /// The whole line, which `details.causes` repeats, since that is all kubectl shows of an invalid object:
    /// policy, field path, problem and remedy; for a ValidatingAdmissionPolicy exactly what the API server says.
    pub line: String,
    /// Where in the object; empty if not known.
    pub field_path: String,
    /// The status reason.
    pub reason: Reason,
}

impl Answer {
    /// `status.message` of a denial: a line for each reason.
    pub fn message(&self) -> String {
        let lines: Vec<&str> = self.denials.iter().map(|cause| cause.line.as_str()).collect();
        lines.join("\n")
    }

    /// `status.reason` and its code: those of the first reason.
    pub fn reason(&self) -> Reason {
        self.denials.first().map(|cause| cause.reason).unwrap_or_default()
    }
}

/// A warning header holds at most this many characters of one warning.
const MAX_WARNING_CHARACTERS: usize = 256;
/// All warnings of a response together (`apiserver/pkg/endpoints/filters/warning.go`).
const MAX_WARNINGS_CHARACTERS: usize = 4096;
/// Failures listed in the audit annotation, as Kubernetes 1.37 does.
const MAX_RECORDED: usize = 50;
/// The audit annotation that lists failures, as the API server names it.
const FAILURES_KEY: &str = "validation_failure";

/// Applies the actions of each outcome. With `audit_only` nothing denies and nothing warns.
pub fn enforce(decision: &Decision, door: Door, audit_only: bool) -> Answer {
    let mut denials: Vec<Cause> = Vec::new();
    let mut warnings: Vec<String> = Vec::new();
    let mut recorded: Vec<Json> = Vec::new();
    let reported = strongest(decision, door, audit_only);
    for (outcome, finding, effect) in &reported {
        match effect {
            Effect::Deny => denials.push(cause(outcome, finding)),
            Effect::Warn => warnings.push(warning(outcome, finding)),
            Effect::Audit | Effect::None => {}
        }
        if is_recorded(outcome, finding, audit_only)
            && *effect != Effect::None
            && recorded.len() < MAX_RECORDED
        {
            recorded.push(record(outcome, finding, audit_only));
        }
    }
    note_omitted(decision, &mut denials);
    if !audit_only {
        warnings.extend(decision.outcomes.iter().flat_map(warnings_of_module));
    }
    Answer {
        allowed: denials.is_empty(),
        denials,
        warnings: within_limits(warnings),
        audit_annotations: annotations(decision, recorded),
    }
}

/// What one outcome leads to as a whole: the strongest effect of its findings, and of its being undecidable.
pub fn effect(outcome: &Outcome, door: Door, audit_only: bool) -> Effect {
    findings(outcome, door)
        .iter()
        .map(|finding| effect_of(outcome, finding, audit_only))
        .max()
        .unwrap_or(Effect::None)
}

/// What one finding of an outcome leads to.
///
/// Violations follow the actions; errors the failure policy, then the actions. A ValidatingAdmissionPolicy
/// that cannot be applied denies under Fail whatever its actions are, as in Kubernetes.
pub fn effect_of(outcome: &Outcome, finding: &Finding, audit_only: bool) -> Effect {
    let fails = outcome.failure_policy == FailurePolicy::Fail;
    match finding.kind {
        FindingKind::Violation => {}
        _ if !fails => return Effect::None,
        FindingKind::Configuration if outcome.policy.dialect == Dialect::Kubernetes && !audit_only => {
            return Effect::Deny;
        }
        FindingKind::Error | FindingKind::Configuration => {}
    }
    let actions = outcome.actions;
    if audit_only {
        Effect::Audit
    } else if actions.deny {
        Effect::Deny
    } else if actions.warn {
        Effect::Warn
    } else if actions.audit {
        Effect::Audit
    } else {
        Effect::None
    }
}

/// The findings of an outcome; at admission, being undecidable is one.
fn findings(outcome: &Outcome, door: Door) -> Vec<Finding> {
    let mut findings = outcome.findings.clone();
    if let (Verdict::Undecidable(missing), Door::Admission) = (&outcome.verdict, door) {
        findings.push(Finding {
            kind: FindingKind::Error,
            message: format!("cannot be decided: {} is not known", missing.join(" and ")),
            field_path: String::new(),
            remedy: None,
            reason: Reason::Invalid,
            validation: None,
        });
    }
    findings
}

/// Every finding with its effect. What several bindings of one policy report alike is listed once, with the
/// strongest effect.
fn strongest(decision: &Decision, door: Door, audit_only: bool) -> Vec<(&Outcome, Finding, Effect)> {
    let mut reported: Vec<(&Outcome, Finding, Effect)> = Vec::new();
    let mut seen: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for outcome in &decision.outcomes {
        for finding in findings(outcome, door) {
            let effect = effect_of(outcome, &finding, audit_only);
            if outcome.policy.dialect == Dialect::Portcullis {
                let key = (outcome.policy.name.clone(), finding.field_path.clone(), finding.message.clone());
                let next = reported.len();
                let index = *seen.entry(key).or_insert(next);
                if let Some(earlier) = reported.get_mut(index) {
                    if effect > earlier.2 {
                        *earlier = (outcome, finding, effect);
                    }
                    continue;
                }
            }
            reported.push((outcome, finding, effect));
        }
    }
    reported
}

fn cause(outcome: &Outcome, finding: &Finding) -> Cause {
    let line = match outcome.policy.dialect {
        Dialect::Portcullis => line(outcome, finding),
        Dialect::Kubernetes => format!("{} denied request: {}", pair(outcome), finding.message),
    };
    Cause {
        policy: outcome.policy.name.clone(),
        line,
        field_path: finding.field_path.clone(),
        reason: finding.reason,
    }
}

fn warning(outcome: &Outcome, finding: &Finding) -> String {
    match outcome.policy.dialect {
        Dialect::Portcullis => line(outcome, finding),
        Dialect::Kubernetes => format!("Validation failed for {}: {}", pair(outcome), finding.message),
    }
}

/// What a module has to say besides, unless all that its policy does is record.
fn warnings_of_module(outcome: &Outcome) -> impl Iterator<Item = String> {
    let told = outcome.actions.deny || outcome.actions.warn;
    let warnings = outcome.warnings.iter().filter(move |_| told);
    warnings.map(|warning| format!("policy `{}`: {warning}", outcome.policy.name))
}

/// Policy and binding as the API server names them; without a binding it is the policy that cannot be applied.
fn pair(outcome: &Outcome) -> String {
    let policy = format!("ValidatingAdmissionPolicy '{}'", outcome.policy.name);
    match &outcome.binding {
        Some(binding) => format!("{policy} with binding '{binding}'"),
        None => policy,
    }
}

/// Whether a finding that has some effect is listed in the audit annotation. The API server lists what validations
/// give; that a policy cannot be applied, or an annotation cannot be made, is no failure of one.
fn is_recorded(outcome: &Outcome, finding: &Finding, audit_only: bool) -> bool {
    let is_of_validations =
        outcome.policy.dialect == Dialect::Portcullis || finding.kind != FindingKind::Configuration;
    audit_only || outcome.actions.audit && is_of_validations
}

/// ``policy `P`: `spec.containers[0].image`: what is wrong; what to do``.
fn line(outcome: &Outcome, finding: &Finding) -> String {
    let mut line = format!("policy `{}`: ", outcome.policy.name);
    if !finding.field_path.is_empty() && !finding.message.contains(&finding.field_path) {
        line.push_str(&format!("`{}`: ", finding.field_path));
    }
    line.push_str(&finding.message);
    let remedy = finding.remedy.as_ref().or(outcome.policy.remediation.as_ref());
    if let (FindingKind::Violation, Some(remedy)) = (finding.kind, remedy) {
        line.push_str("; ");
        line.push_str(remedy);
    }
    line
}

/// Says how many failures are not listed.
fn note_omitted(decision: &Decision, denials: &mut Vec<Cause>) {
    for outcome in decision.outcomes.iter().filter(|outcome| outcome.omitted > 0) {
        let policy = &outcome.policy.name;
        if denials.iter().any(|cause| cause.policy == *policy) {
            let line = format!("policy `{policy}`: {} more failures are not listed", outcome.omitted);
            denials.push(Cause {
                policy: policy.clone(),
                line,
                field_path: String::new(),
                reason: Reason::default(),
            });
        }
    }
}

/// An entry of the audit annotation, as apiserver's `ValidationFailureValue` has it.
fn record(outcome: &Outcome, finding: &Finding, audit_only: bool) -> Json {
    let actions = outcome.actions;
    let named = [("Deny", actions.deny), ("Warn", actions.warn), ("Audit", actions.audit || audit_only)];
    let actions: Vec<&str> = named.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    json!({
        "message": finding.message,
        "policy": outcome.policy.name,
        "binding": outcome.binding.as_deref().unwrap_or_default(),
        "expressionIndex": finding.validation.unwrap_or_default(),
        "validationActions": actions,
    })
}

/// The policies' own annotations under `policy.key` (the API server puts the webhook's name and a `/` before
/// it), those of several bindings joined, and the list of recorded failures.
fn annotations(decision: &Decision, recorded: Vec<Json>) -> Vec<(String, String)> {
    let mut merged: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for outcome in &decision.outcomes {
        for (key, value) in &outcome.audit_annotations {
            let values = merged.entry(format!("{}.{key}", outcome.policy.name)).or_default();
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
    }
    let mut annotations: Vec<(String, String)> =
        merged.into_iter().map(|(key, values)| (key, values.join(", "))).collect();
    if !recorded.is_empty() {
        annotations.push((FAILURES_KEY.to_owned(), Json::Array(recorded).to_string()));
    }
    annotations.sort();
    annotations
}

/// Repeats dropped, control characters replaced. If they are too long together, each warning is cut to 256
/// characters and all of them to 4,096, as the API server would, and a last one says how many did not fit.
pub fn within_limits(warnings: Vec<String>) -> Vec<String> {
    if warnings.is_empty() {
        return warnings;
    }
    let mut seen = BTreeSet::new();
    let warnings = warnings.into_iter().map(|warning| warning.replace(char::is_control, " "));
    let warnings: Vec<String> = warnings.filter(|warning| seen.insert(warning.clone())).collect();
    if warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() <= MAX_WARNINGS_CHARACTERS {
        return warnings;
    }
    let mut kept: Vec<String> = Vec::new();
    let mut left = MAX_WARNINGS_CHARACTERS;
    let total = warnings.len();
    for (index, warning) in warnings.into_iter().enumerate() {
        let warning = shorten(&warning);
        if kept.contains(&warning) {
            continue;
        }
        let more = format!("{} more warnings are not shown", total - index);
        let length = warning.chars().count();
        // What is left must hold this warning, and after it the line that says that others are missing.
        let reserve = if index + 1 < total { more.len() } else { 0 };
        if length + reserve > left {
            kept.push(more);
            break;
        }
        left -= length;
        kept.push(warning);
    }
    kept
}

fn shorten(warning: &str) -> String {
    if warning.chars().count() <= MAX_WARNING_CHARACTERS {
        return warning.to_owned();
    }
    let mut short: String = warning.chars().take(MAX_WARNING_CHARACTERS - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests;
