//! Reports for programs: one JSON document, `portcullis.dev/v1`, whose fields are only ever added to.
//!
//! `CheckReport` and `AuditReport`: `summary` (counts), `policies`, `namespaces` and `kinds` (each with
//! theirs), `objects` (those with something to tell, each with its `place` and `judgements`),
//! `invalidPolicies` and `unreadable`. `TestReport`: `suites`, each with its `cases`, and `unreadable`.

use crate::report::model::{Counts, Judged, Judgement, ObjectRef, Place, Problem, Report, Tally};
use crate::suite::SuiteReport;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of every document here.
const API_VERSION: &str = "portcullis.dev/v1";

/// The document `CheckReport`.
pub fn check(report: &Report) -> String {
    document(&Document::new("CheckReport", report))
}

/// The document `AuditReport`: as `CheckReport`.
pub fn audit(report: &Report) -> String {
    document(&Document::new("AuditReport", report))
}

/// The document `TestReport`.
pub fn suites(suites: &[SuiteReport], unreadable: &[Problem]) -> String {
    document(&TestDocument { api_version: API_VERSION, kind: "TestReport", suites, unreadable })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    summary: Summary,
    policies: Vec<Policy<'a>>,
    namespaces: Vec<Group>,
    kinds: Vec<Group>,
    objects: Vec<Object<'a>>,
    invalid_policies: &'a [Problem],
    unreadable: &'a [Problem],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// How many objects were judged.
    objects: usize,
    /// How many of them have at least one judgement of each action.
    objects_by_action: Counts,
    /// How many judgements there are of each action.
    judgements: Counts,
}

#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'a str>,
    judgements: Counts,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    object: &'a ObjectRef,
    place: &'a Place,
    judgements: Vec<&'a Judgement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestDocument<'a> {
    api_version: &'static str,
    kind: &'static str,
    suites: &'a [SuiteReport],
    unreadable: &'a [Problem],
}

/// Objects that share a namespace (empty for none) or a kind.
#[derive(Serialize)]
struct Group {
    name: String,
    #[serde(flatten)]
    tally: Tally,
}

impl<'a> Document<'a> {
    fn new(kind: &'static str, report: &'a Report) -> Self {
        let by_policy = report.counts_by_policy();
        let counts = |name: &str| by_policy.get(name).copied().unwrap_or_default();
        Self {
            api_version: API_VERSION,
            kind,
            summary: Summary {
                objects: report.objects.len(),
                objects_by_action: report.object_counts(),
                judgements: report.judgement_counts(),
            },
            policies: report
                .policies
                .iter()
                .map(|policy| Policy {
                    name: &policy.name,
                    title: policy.title.as_deref(),
                    severity: policy.severity.as_deref(),
                    judgements: counts(&policy.name),
                })
                .collect(),
            namespaces: groups(report.by_namespace()),
            kinds: groups(report.by_kind()),
            objects: report.objects.iter().filter_map(Object::new).collect(),
            invalid_policies: &report.invalid_policies,
            unreadable: &report.unreadable,
        }
    }
}

fn groups(tallies: BTreeMap<String, Tally>) -> Vec<Group> {
    tallies.into_iter().map(|(name, tally)| Group { name, tally }).collect()
}

impl<'a> Object<'a> {
    fn new(judged: &'a Judged) -> Option<Self> {
        let judgements: Vec<&Judgement> = judged.notable().collect();
        (!judgements.is_empty()).then_some(Self { object: &judged.object, place: &judged.place, judgements })
    }
}

pub(super) fn document(document: &impl Serialize) -> String {
    // Strings, numbers and lists always have a JSON form.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
