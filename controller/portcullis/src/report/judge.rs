//! From decisions to the result model: which action each outcome amounts to, and where its findings are.
//!
//! The actions come from the core's enforcement, the one place that knows them.

use crate::report::model::{Action, Finding, Judged, Judgement, ObjectRef, Place, Skipped};
use portcullis_core::Request;
use portcullis_core::decision::{self, Decision, FindingKind, Outcome, Skip, Verdict};
use portcullis_core::document::Dialect;
use portcullis_core::enforcement::{Door, Effect, effect};
use portcullis_core::tree::Node;
use std::collections::HashMap;

/// Where a field of an object stands, if the object is in a file; an empty path is the object itself.
pub type Places<'a> = &'a dyn Fn(&str) -> Option<Place>;

/// What a decision says of an object.
pub fn judge(places: Places<'_>, request: &Request, decision: &Decision) -> Judged {
    Judged {
        object: ObjectRef::of(request),
        place: places(""),
        judgements: without_repetitions(
            decision.outcomes.iter().map(|outcome| judgement(places, outcome)).collect(),
        ),
    }
}

fn judgement(places: Places<'_>, outcome: &Outcome) -> Judgement {
    Judgement {
        policy: outcome.policy.name.clone(),
        binding: outcome.binding.as_deref().map(str::to_owned),
        param: outcome.param.clone(),
        action: action(outcome, Door::Offline),
        findings: outcome
            .findings
            .iter()
            .map(|found| finding(places, outcome.policy.dialect, found))
            .collect(),
        omitted: outcome.omitted,
        missing: match &outcome.verdict {
            Verdict::Undecidable(missing) => missing.clone(),
            _ => Vec::new(),
        },
        skipped: match &outcome.verdict {
            Verdict::Skip(skip) => Some(skipped(skip)),
            _ => None,
        },
        remedy: remedy(outcome),
    }
}

/// The policy's remedy, if it can help: it mends a violation that has none of its own, not what cannot be judged.
fn remedy(outcome: &Outcome) -> Option<String> {
    let mends =
        |finding: &decision::Finding| finding.kind == FindingKind::Violation && finding.remedy.is_none();
    let violated = outcome.findings.iter().any(mends);
    outcome.policy.remediation.clone().filter(|_| violated)
}

/// What an outcome leads to when it is enforced at `door`: the strongest of its actions.
pub fn action(outcome: &Outcome, door: Door) -> Action {
    match (&outcome.verdict, door) {
        (Verdict::Allow, _) => Action::Pass,
        (Verdict::Skip(_), _) => Action::Skip,
        (Verdict::Undecidable(_), Door::Offline) => Action::Undecidable,
        (Verdict::Undecidable(_) | Verdict::Deny | Verdict::Error, _) => match effect(outcome, door, false) {
            Effect::Deny => Action::Deny,
            Effect::Warn => Action::Warn,
            Effect::Audit => Action::Audit,
            Effect::None => Action::Ignore,
        },
    }
}

/// What several bindings of one policy report alike is kept once, where its action is gravest.
fn without_repetitions(judgements: Vec<Judgement>) -> Vec<Judgement> {
    let mut keepers: HashMap<(String, Finding), (Action, usize)> = HashMap::new();
    for (index, judgement) in judgements.iter().enumerate() {
        for finding in &judgement.findings {
            let candidate = (judgement.action, index);
            let keeper = keepers.entry((judgement.policy.clone(), finding.clone())).or_insert(candidate);
            *keeper = candidate.min(*keeper);
        }
    }
    let keep = |(index, mut judgement): (usize, Judgement)| {
        let Judgement { policy, findings, .. } = &mut judgement;
        let reported = findings.len();
        findings.retain(|finding| {
            keepers.get(&(policy.clone(), finding.clone())).is_some_and(|(_, keeper)| *keeper == index)
        });
        (reported == 0 || !findings.is_empty()).then_some(judgement)
    };
    judgements.into_iter().enumerate().filter_map(keep).collect()
}

fn finding(places: Places<'_>, dialect: Dialect, finding: &decision::Finding) -> Finding {
    Finding {
        error: finding.kind != FindingKind::Violation,
        message: match &finding.remedy.clone().or_else(|| absent(dialect, finding)) {
            Some(remedy) => format!("{}; {remedy}", finding.message),
            None => finding.message.clone(),
        },
        field_path: finding.field_path.clone(),
        place: places(&finding.field_path),
    }
}

/// What to do about a field that is not there, the commonest error of expressions. Messages of Kubernetes' own policies
/// stay as the API server has them.
fn absent(dialect: Dialect, finding: &decision::Finding) -> Option<String> {
    let error = dialect == Dialect::Portcullis && finding.kind == FindingKind::Error;
    let (_, key) = finding.message.rsplit_once("no such key: ").filter(|_| error)?;
    let is_field = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_field.then(|| format!("ask `has(….{key})` first, or write `….?{key}.orValue(…)`"))
}

fn skipped(skip: &Skip) -> Skipped {
    match skip {
        Skip::Exception { name, reason } => Skipped::Exception { name: name.clone(), reason: reason.clone() },
        Skip::Unchanged => Skipped::Unchanged,
        Skip::BeingDeleted => Skipped::BeingDeleted,
        Skip::Condition(name) => Skipped::Condition { name: name.clone() },
        Skip::NoParam => Skipped::NoParam,
    }
}

impl ObjectRef {
    /// What a request is about, with the namespace that the object goes to.
    pub fn of(request: &Request) -> Self {
        let generated = request.object.pointer("/metadata/generateName").and_then(Node::as_str);
        Self {
            api_version: request.kind.api_version(),
            kind: request.kind.kind.clone(),
            namespace: match request.kind.kind.as_str() {
                "Namespace" if request.kind.group.is_empty() => String::new(),
                _ => request.namespace.clone(),
            },
            name: match (request.name.as_str(), generated) {
                ("", Some(prefix)) => format!("{prefix}*"),
                ("", None) => "(no name)".to_owned(),
                (name, _) => name.to_owned(),
            },
        }
    }
}
