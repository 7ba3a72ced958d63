//! `/policies`: what is in force, and what is wrong with what was read, as JSON.

use crate::live::Live;
use crate::status::State;
use portcullis_core::document::{DocumentError, Origin};
use portcullis_core::policy::Class;
use portcullis_core::set::{Entry, Shadowed};
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// 0 before the first set.
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    policies: Vec<PolicyReport<'a>>,
    /// What is not in force because another one has its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadowed: Vec<ShadowReport<'a>>,
    problems: Vec<ProblemReport<'a>>,
    resource_problems: &'a [String],
}

#[derive(Serialize)]
struct PolicyReport<'a> {
    name: &'a str,
    kind: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    bindings: Vec<BindingReport<'a>>,
    origin: OriginReport<'a>,
    /// Why what was read of it is not in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<&'a str>,
}

#[derive(Serialize)]
struct ShadowReport<'a> {
    name: &'a str,
    kind: &'static str,
    state: &'static str,
    origin: OriginReport<'a>,
    by: OriginReport<'a>,
}

#[derive(Serialize)]
struct BindingReport<'a> {
    /// Absent for the implicit one.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    class: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OriginReport<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    config_map: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    /// From 1; 0 where a whole file or ConfigMap is meant.
    document: usize,
}

#[derive(Serialize)]
struct ProblemReport<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    origin: OriginReport<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// In the file where that can be told, else in the text of the ConfigMap's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// The report on the generation in force.
pub(super) fn report(live: &Live) -> String {
    let current = live.current();
    let report = match current.as_ref() {
        None => Report {
            generation: 0,
            since: None,
            policies: Vec::new(),
            shadowed: Vec::new(),
            problems: Vec::new(),
            resource_problems: &[],
        },
        Some(generation) => {
            let problems = generation.set.problems();
            let mut errors = HashMap::<_, Vec<_>>::new();
            let waiting = generation.set.shadowed();
            let is_waiting =
                |problem: &&DocumentError| waiting.iter().any(|shadowed| shadowed.origin == problem.origin);
            for problem in problems.iter().filter(|problem| !is_waiting(problem)) {
                errors.entry(problem.name.as_deref()).or_default().push(problem.message.as_str());
            }
            let policies = generation.set.entries().iter();
            Report {
                generation: generation.number,
                since: Some(generation.since.to_string()),
                policies: policies.map(|entry| policy(entry, &errors)).collect(),
                shadowed: waiting.iter().map(shadow).collect(),
                problems: problems.iter().map(problem).collect(),
                resource_problems: &generation.resource_problems,
            }
        }
    };
    let mut json = serde_json::to_string_pretty(&report).unwrap_or_default();
    json.push('\n');
    json
}

fn policy<'a>(entry: &'a Entry, errors: &HashMap<Option<&str>, Vec<&'a str>>) -> PolicyReport<'a> {
    let info = &entry.info;
    let bindings = entry.bindings.iter().map(|(name, class)| BindingReport {
        name: name.as_deref(),
        class: match class {
            Class::Fail => "fail",
            Class::Ignore => "ignore",
        },
    });
    PolicyReport {
        name: &info.name,
        kind: info.dialect.kind(),
        state: State::from(entry.state).as_str(),
        title: info.title.as_deref(),
        severity: info.severity.as_deref(),
        category: info.category.as_deref(),
        bindings: bindings.collect(),
        origin: origin(&info.origin),
        errors: errors.get(&Some(info.name.as_str())).cloned().unwrap_or_default(),
    }
}

fn shadow(Shadowed { kind, name, origin: at, by }: &Shadowed) -> ShadowReport<'_> {
    ShadowReport { name, kind, state: State::Shadowed.as_str(), origin: origin(at), by: origin(by) }
}

fn problem(problem: &DocumentError) -> ProblemReport<'_> {
    let place = problem.place.as_ref();
    let position = problem.file_position.or(place.map(|place| place.position));
    ProblemReport {
        policy: problem.name.as_deref(),
        origin: origin(&problem.origin),
        field: place.map(|place| place.field.as_str()),
        line: position.map(|position| position.line),
        column: position.map(|position| position.column),
        message: &problem.message,
        hint: problem.hint.as_deref(),
    }
}

fn origin(origin: &Origin) -> OriginReport<'_> {
    OriginReport {
        file: origin.file.as_deref(),
        namespace: &origin.namespace,
        config_map: &origin.config_map,
        key: &origin.key,
        document: origin.document,
    }
}
