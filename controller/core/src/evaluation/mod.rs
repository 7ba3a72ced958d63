//! From a request and the policies that match it to a decision.
//!
//! The order for one pair is: does it match, is it excepted, does the update change anything it reads, its
//! matchConditions, its params, its validations, their messages, its audit annotations.

mod annotations;
mod context;
mod excepted;
pub(crate) mod explain;
mod field_path;
mod judge;
mod kubernetes;
mod lookups;
mod masking;
mod module;
mod params;
mod phase;
mod unchanged;
mod validations;
mod wording;

pub(crate) use context::Context;

use crate::decision::{Finding, FindingKind, Outcome, Reason, Skip, Verdict};
use crate::document::{Dialect, OnUpdate};
use crate::matching::Match;
use crate::policy::{Actions, CompiledBinding, CompiledPolicy, Programs};
use excepted::Excepted;
use explain::{Explanation, Observed};
use judge::Judge;
use params::{Found, Param};
use std::sync::Arc;

/// Judges one policy, whose own constraints match so, under each of these bindings; nothing comes out where it does
/// not match.
pub(crate) fn judge<'a>(
    policy: &'a CompiledPolicy,
    matched: Match,
    bindings: impl Iterator<Item = &'a Arc<CompiledBinding>>,
    context: &'a Context<'a>,
    outcomes: &mut Vec<Outcome>,
) {
    if matched == Match::No {
        return;
    }
    let excepted = context.excepted(policy);
    let mut bindings = bindings.peekable();
    if let (Some(binding), false) = (bindings.peek(), matches!(excepted, Excepted::Whole { .. }))
        && let Some(error) = (Blank { policy, binding, context }).unusable(&matched)
    {
        return outcomes.push(error);
    }
    for binding in bindings {
        let matched = match (&matched, context.binding_matches(binding)) {
            (_, Match::No) => continue,
            (Match::Yes, of_binding) => of_binding,
            (unsure, _) => unsure.clone(),
        };
        let blank = Blank { policy, binding, context };
        if let Excepted::Whole { name, reason } = &excepted {
            // Whether or not it matches, it is not judged.
            let skip = Skip::Exception { name: (*name).to_owned(), reason: (*reason).to_owned() };
            outcomes.push(blank.outcome(Verdict::Skip(skip)));
            continue;
        }
        match matched {
            Match::UnknownNamespace(name) => outcomes.push(blank.unknown_namespace(&name)),
            Match::Undecidable(missing) => outcomes.push(blank.outcome(Verdict::Undecidable(vec![missing]))),
            _ => blank.judge(&excepted, outcomes),
        }
    }
}

/// Judges one policy under each of its bindings, and explains what came out.
pub(crate) fn explain<'a>(
    policy: &'a CompiledPolicy,
    bindings: &'a [Arc<CompiledBinding>],
    observed: &'a Observed,
    context: &'a Context<'a>,
    all: bool,
) -> Vec<(Outcome, Vec<Explanation>)> {
    let excepted = context.excepted(policy);
    let mut outcomes = Vec::new();
    judge(policy, context.matches(policy), bindings.iter(), context, &mut outcomes);
    let mut explained = Vec::new();
    for outcome in outcomes {
        let is_judged = match &outcome.verdict {
            Verdict::Skip(skip) => matches!(skip, Skip::Condition(_)),
            _ => true,
        };
        let binding = bindings.iter().find(|binding| is_judged && binding.name == outcome.binding);
        let blank = binding.map(|binding| Blank { policy, binding, context });
        let of_blank = |blank: &Blank<'a>| blank.explain(&outcome, observed, &excepted, all);
        let explanations = blank.as_ref().map(of_blank).unwrap_or_default();
        explained.push((outcome, explanations));
    }
    explained
}

/// What is known about a pair before anything is evaluated.
struct Blank<'a> {
    policy: &'a CompiledPolicy,
    binding: &'a CompiledBinding,
    context: &'a Context<'a>,
}

impl<'a> Blank<'a> {
    fn judge(&self, excepted: &Excepted<'a>, outcomes: &mut Vec<Outcome>) {
        let programs = match &self.policy.body {
            Ok(programs) => programs,
            Err(broken) => return outcomes.push(self.error(FindingKind::Error, broken.clone())),
        };
        if let Some(broken) = self.binding.broken {
            return outcomes.push(self.error(FindingKind::Error, broken.to_owned()));
        }
        if let Some(skip) = self.nothing_to_judge(programs, excepted) {
            return outcomes.push(self.outcome(Verdict::Skip(skip)));
        }
        let judge = |param: &Param<'a>| Judge::new(self, programs, excepted, param).run();
        match params::find(self.policy, self.binding, self.context) {
            Found::One(param) => outcomes.push(judge(&param)),
            Found::Params(list) => outcomes.extend(list.iter().map(judge)),
            Found::NotFoundAllowed => outcomes.push(self.outcome(Verdict::Skip(Skip::NoParam))),
            Found::Misconfigured(message) => outcomes.push(self.misconfigured(message)),
        }
    }

    fn explain(
        &self,
        outcome: &Outcome,
        observed: &'a Observed,
        excepted: &Excepted<'a>,
        all: bool,
    ) -> Vec<Explanation> {
        let param = match params::find(self.policy, self.binding, self.context) {
            Found::One(param) => Some(param),
            Found::Params(list) => list.into_iter().find(|param| param.name == outcome.param),
            Found::NotFoundAllowed | Found::Misconfigured(_) => None,
        };
        let (Some(param), Ok(programs)) = (param, &self.policy.body) else { return Vec::new() };
        Judge::new(self, programs, excepted, &param).explain(observed, all)
    }

    /// The error of a ValidatingAdmissionPolicy that cannot be applied whatever its bindings are, as `Dispatch` of
    /// apiserver's `policy/validating/dispatcher.go` finds it before it looks at these.
    fn unusable(&self, matched: &Match) -> Option<Outcome> {
        if self.policy.info.dialect == Dialect::Portcullis {
            return None;
        }
        let reason = match matched {
            Match::UnknownNamespace(name) => not_found(name),
            Match::Yes => params::unknown_kind(self.policy, self.context)?,
            Match::No | Match::Undecidable(_) => return None,
        };
        let message = format!("failed to configure policy: {reason}");
        Some(Outcome { binding: None, ..self.error(FindingKind::Configuration, message) })
    }

    fn unknown_namespace(&self, name: &str) -> Outcome {
        self.misconfigured(match self.policy.info.dialect {
            Dialect::Kubernetes => not_found(name),
            Dialect::Portcullis => {
                format!("namespace `{name}` is not known, so namespaceSelector cannot be evaluated")
            }
        })
    }

    /// Updates that a Policy lets pass unjudged; a ValidatingAdmissionPolicy judges every update.
    fn nothing_to_judge(&self, programs: &Programs, excepted: &Excepted<'_>) -> Option<Skip> {
        if self.policy.info.dialect == Dialect::Kubernetes {
            return None;
        }
        if unchanged::only_releases_a_deleted_object(self.context.request) {
            return Some(Skip::BeingDeleted);
        }
        let skippable = self.policy.on_update == OnUpdate::Changed;
        (skippable && unchanged::leaves_alone(self.policy, self.binding, programs, excepted, self.context))
            .then_some(Skip::Unchanged)
    }

    fn outcome(&self, verdict: Verdict) -> Outcome {
        Outcome {
            policy: Arc::clone(&self.policy.info),
            binding: self.binding.name.clone(),
            param: None,
            actions: self.actions(),
            failure_policy: self.policy.failure_policy,
            verdict,
            findings: Vec::new(),
            omitted: 0,
            warnings: Vec::new(),
            audit_annotations: Vec::new(),
        }
    }

    fn error(&self, kind: FindingKind, message: String) -> Outcome {
        let mut outcome = self.outcome(Verdict::Error);
        outcome.findings.push(plain_finding(kind, message));
        outcome
    }

    fn misconfigured(&self, reason: String) -> Outcome {
        let message = match self.policy.info.dialect {
            Dialect::Kubernetes => format!("failed to configure binding: {reason}"),
            Dialect::Portcullis => reason,
        };
        self.error(FindingKind::Configuration, message)
    }

    /// The kubelet's own mirror Pods already run: denying them would only hide them, so they are warned about.
    fn actions(&self) -> Actions {
        let mut actions = self.binding.actions;
        if actions.deny && self.policy.info.dialect == Dialect::Portcullis && self.context.is_mirror_pod {
            actions.deny = false;
            actions.warn = true;
        }
        actions
    }
}

/// As the API server says it of a Namespace.
fn not_found(name: &str) -> String {
    format!("namespaces \"{name}\" not found")
}

/// A finding that belongs to no validation.
fn plain_finding(kind: FindingKind, message: String) -> Finding {
    let field_path = String::new();
    Finding { kind, message, field_path, remedy: None, reason: Reason::Invalid, validation: None }
}

#[cfg(test)]
mod kubernetes_tests;
#[cfg(test)]
mod lookups_tests;
#[cfg(test)]
mod module_tests;
#[cfg(test)]
mod tests;
