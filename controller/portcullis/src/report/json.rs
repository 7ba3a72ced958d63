//! Reports for programs: one JSON document, `portcullis.dev/v1`, whose fields are only ever added to.
//!
//! `CheckReport` and `AuditReport`: `summary` (counts), `policies`, `namespaces` and `kinds` (each with
//! theirs), `objects` (those with something to tell, each with its `place`, if it is in a file, and `judgements`),
//! `invalidPolicies`, `unreadable` and, if there are any, `notes`. A policy's `unlisted` judgements are counted, and
//! not among the objects'. `TestReport`: `suites`, each with its `cases`, and `unreadable`.

use crate::report::counts::{Counts, Tally};
use crate::report::model::{Judged, Problem, Report};
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
    namespaces: Vec<Group<'a>>,
    kinds: Vec<Group<'a>>,
    objects: &'a [Judged],
    invalid_policies: &'a [Problem],
    unreadable: &'a [Problem],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
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
    #[serde(skip_serializing_if = "Option::is_none")]
    unlisted: Option<usize>,
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
struct Group<'a> {
    name: &'a str,
    #[serde(flatten)]
    tally: Tally,
}

impl<'a> Document<'a> {
    fn new(kind: &'static str, report: &'a Report) -> Self {
        let counts = |name: &str| report.counts.policies.get(name).copied().unwrap_or_default();
        Self {
            api_version: API_VERSION,
            kind,
            summary: Summary {
                objects: report.counts.total.objects,
                objects_by_action: report.counts.objects,
                judgements: report.counts.judgements,
            },
            policies: report
                .policies
                .iter()
                .map(|policy| Policy {
                    name: &policy.name,
                    title: policy.title.as_deref(),
                    severity: policy.severity.as_deref(),
                    judgements: counts(&policy.name),
                    unlisted: Some(report.counts.unlisted(&policy.name)).filter(|number| *number > 0),
                })
                .collect(),
            namespaces: groups(&report.counts.namespaces),
            kinds: groups(&report.counts.kinds),
            objects: &report.objects,
            invalid_policies: &report.invalid_policies,
            unreadable: &report.unreadable,
            notes: &report.notes,
        }
    }
}

fn groups(tallies: &BTreeMap<String, Tally>) -> Vec<Group<'_>> {
    tallies.iter().map(|(name, tally)| Group { name, tally: *tally }).collect()
}

pub(super) fn document(document: &impl Serialize) -> String {
    // Strings, numbers and lists always have a JSON form.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
