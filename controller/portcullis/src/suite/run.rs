//! Runs the cases of a suite against policies, at admission and offline.

use super::{Case, CaseReport, Expect, Suite, SuiteReport};
use crate::report::judge::action;
use crate::report::model::{Action, Problem};
use crate::verbs::inputs::problems;
use portcullis_core::decision::{Decision, Outcome, Skip, Verdict};
use portcullis_core::document::{ConfigMap, DocumentError};
use portcullis_core::enforcement::Door;
use portcullis_core::set::{Pairs, Sources};
use portcullis_core::yaml::{self, Position, Text, TextPlace};
use portcullis_core::{PolicySet, Request};
use serde_json::Value as Json;

/// Runs every case against the policies in `sources`. Where one of them is invalid no case is run.
pub fn run(suite: &Suite, sources: &Sources, now: jiff::Timestamp) -> SuiteReport {
    let set = PolicySet::compile(sources, None);
    let invalid_policies: Vec<Problem> = problems(&set, false).collect();
    let unreadable: Vec<Problem> = problems(&set, true).collect();
    let cases = if invalid_policies.is_empty() && unreadable.is_empty() {
        suite.cases.iter().map(|case| run_case(case, sources, &set, now)).collect()
    } else {
        Vec::new()
    };
    SuiteReport {
        suite: suite.file.display().to_string(),
        problems: suite.problems.iter().cloned().chain(unreadable).collect(),
        invalid_policies,
        cases,
    }
}

fn run_case(case: &Case, sources: &Sources, set: &PolicySet, now: jiff::Timestamp) -> CaseReport {
    let mut report = CaseReport {
        name: case.name.clone(),
        place: case.place.clone(),
        actual: Expect::Error,
        actual_offline: None,
        failures: Vec::new(),
        said: Vec::new(),
    };
    if let Some(policy) = &case.policy
        && set.entries().iter().all(|entry| entry.info.name != *policy)
    {
        report.failures.push(format!("there is no policy `{policy}`"));
        return report;
    }
    let own;
    let set = match &case.params {
        None => set,
        Some(params) => {
            let compiled = with_params(sources, case.policy.as_deref(), params)
                .map(|sources| PolicySet::compile(&sources, None))
                .and_then(|set| match set.problems().first() {
                    None => Ok(set),
                    Some(error) => Err(refusal(error)),
                });
            match compiled {
                Ok(compiled) => {
                    own = compiled;
                    &own
                }
                Err(message) => {
                    report.failures.push(message);
                    return report;
                }
            }
        }
    };
    admission(case, set, now, &mut report);
    offline(case, set, now, &mut report);
    report
}

fn refusal(error: &DocumentError) -> String {
    let field = error.place.as_ref().map(|place| format!("{}: ", place.field)).unwrap_or_default();
    format!("params are refused: {field}{}", error.message)
}

fn admission(case: &Case, set: &PolicySet, now: jiff::Timestamp, report: &mut CaseReport) {
    let decision = decide(case, set, &case.request, true, now);
    report.actual = expect_of(&decision, Door::Admission);
    let said = said(&decision);
    if report.actual != case.expect {
        report.failures.push(format!(
            "expected {}, was {}{}",
            case.expect.as_str(),
            report.actual.as_str(),
            if decision.outcomes.is_empty() { " (no policy matches)" } else { "" }
        ));
    }
    if let Some(pattern) = &case.message
        && !said.iter().any(|line| pattern.is_match(line))
    {
        report.failures.push(format!("no message matches `{pattern}`"));
    }
    if !report.failures.is_empty() {
        report.said = said;
    }
}

fn offline(case: &Case, set: &PolicySet, now: jiff::Timestamp, report: &mut CaseReport) {
    let Some(expect) = case.expect_offline else { return };
    let decision = decide(case, set, &case.offline_request(), false, now);
    let actual = expect_of(&decision, Door::Offline);
    report.actual_offline = Some(actual);
    // The same failure is not told twice.
    let told = (expect, actual) == (case.expect, report.actual);
    if actual != expect && !told {
        let (expect, actual) = (expect.as_str(), actual.as_str());
        report.failures.push(format!("expected {expect} of check and audit, was {actual}"));
        report.said.extend(said(&decision).into_iter().map(|line| format!("offline: {line}")));
    }
}

fn decide(case: &Case, set: &PolicySet, request: &Request, complete: bool, now: jiff::Timestamp) -> Decision {
    let mut decision = set.decide(Pairs::All, request, &case.facts(complete), now);
    if let Some(policy) = &case.policy {
        decision.outcomes.retain(|outcome| outcome.policy.name == *policy);
    }
    decision
}

/// The gravest verdict of a decision, as suites name it.
pub fn expect_of(decision: &Decision, door: Door) -> Expect {
    decision.outcomes.iter().map(|outcome| verdict(outcome, door)).min().unwrap_or(Expect::Allow)
}

fn verdict(outcome: &Outcome, door: Door) -> Expect {
    match (&outcome.verdict, action(outcome, door)) {
        (Verdict::Undecidable(_), Action::Undecidable) => Expect::Undecidable,
        (Verdict::Error | Verdict::Undecidable(_), _) => Expect::Error,
        (_, Action::Deny) => Expect::Deny,
        (_, Action::Warn) => Expect::Warn,
        (_, Action::Audit) => Expect::Audit,
        (_, Action::Skip) => Expect::Skip,
        (_, Action::Undecidable | Action::Ignore | Action::Pass) => Expect::Allow,
    }
}

/// What the policies said, a line each: policy, field path and message.
fn said(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    for outcome in &decision.outcomes {
        let policy = &outcome.policy.name;
        for finding in &outcome.findings {
            let field = if finding.field_path.is_empty() {
                String::new()
            } else {
                format!("{}: ", finding.field_path)
            };
            lines.push(format!("{policy}: {field}{}", finding.message));
        }
        match &outcome.verdict {
            Verdict::Undecidable(missing) => lines.push(format!("{policy}: needs {}", missing.join(", "))),
            Verdict::Skip(Skip::Exception { name, reason }) => {
                lines.push(format!("{policy}: exception `{name}`: {reason}"));
            }
            Verdict::Skip(Skip::Condition(name)) => {
                lines.push(format!("{policy}: match condition `{name}` is false"));
            }
            _ => {}
        }
    }
    lines
}

/// The same policies with other inline `params`: of the policy named, else of every one that has some.
///
/// # Errors
/// If there is no such policy: one line that says so.
pub fn with_params(sources: &Sources, policy: Option<&str>, params: &Json) -> Result<Sources, String> {
    let mut replaced = false;
    let mut sources = sources.clone();
    for ConfigMap { data, .. } in &mut sources.config_maps {
        for (_, text) in data {
            let documents: Vec<Json> =
                yaml::read(&text.text).into_iter().flatten().map(|node| node.to_json()).collect();
            if !documents.iter().any(|document| takes_params(document, policy)) {
                continue;
            }
            replaced = true;
            *text = stream(documents.into_iter().map(|mut document| {
                if takes_params(&document, policy)
                    && let Some(spec) = document.get_mut("spec").and_then(Json::as_object_mut)
                {
                    spec.insert("params".to_owned(), params.clone());
                }
                document
            }));
        }
    }
    match (replaced, policy) {
        (true, _) => Ok(sources),
        (false, Some(policy)) => Err(format!("there is no policy `{policy}` with `params`")),
        (false, None) => Err("no policy has `params`".to_owned()),
    }
}

fn takes_params(document: &Json, policy: Option<&str>) -> bool {
    let text = |pointer| document.pointer(pointer).and_then(Json::as_str);
    let named = policy.is_none() || text("/metadata/name") == policy;
    text("/kind") == Some("Policy") && named && document.pointer("/spec/params").is_some()
}

/// Documents as the text of a ConfigMap's key: JSON is YAML, whatever the values are.
fn stream(documents: impl Iterator<Item = Json>) -> Text {
    let documents: Vec<String> = documents.map(|document| document.to_string()).collect();
    Text { text: documents.join("\n---\n"), place: TextPlace::at(Position { line: 1, column: 1 }) }
}
