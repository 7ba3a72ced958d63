//! Sets, requests and decisions for the unit tests of this crate, written as briefly as they are read.

use crate::decision::{Decision, Verdict};
use crate::document::ConfigMap;
use crate::facts::Facts;
use crate::matching::Resources;
use crate::request::{Operation, Request, UserInfo};
use crate::set::{Pairs, PolicySet, Sources};
use crate::yaml::{Position, Text, TextPlace};
use serde_json::{Value as Json, json};

/// A ConfigMap with one key.
pub(crate) fn config_map(name: &str, documents: &str) -> ConfigMap {
    let text = Text { text: documents.to_owned(), place: TextPlace::at(Position { line: 1, column: 1 }) };
    ConfigMap {
        file: None,
        namespace: "portcullis".to_owned(),
        name: name.to_owned(),
        exceptions_only: false,
        data: vec![("policy.yaml".to_owned(), text)],
        modules: Vec::new(),
    }
}

pub(crate) fn sources(config_maps: &[(&str, &str)]) -> Sources {
    let config_maps = config_maps.iter().map(|(name, documents)| config_map(name, documents)).collect();
    Sources { config_maps, ..Sources::default() }
}

/// A set of sound documents.
pub(crate) fn set(documents: &str) -> PolicySet {
    let set = PolicySet::compile(&sources(&[("policies", documents)]), None);
    assert_eq!(set.problems(), []);
    set
}

/// A Policy document from what makes it special, in YAML that is indented as a spec's fields are.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    let spec = spec.trim_matches('\n');
    let margin = spec.len() - spec.trim_start().len();
    let spec: Vec<String> =
        spec.lines().map(|line| format!("  {}", line.get(margin..).unwrap_or_default())).collect();
    format!(
        "---\napiVersion: portcullis.dev/v1\nkind: Policy\nmetadata:\n  name: {name}\nspec:\n{}\n",
        spec.join("\n")
    )
}

/// A CREATE by a person.
pub(crate) fn create(object: Json) -> Request {
    let mut request = Request::for_object(object, &Resources::new(), Operation::Create);
    request.user = Some(UserInfo { username: "jane".to_owned(), ..UserInfo::default() });
    request.old_object_known = true;
    request
}

/// An UPDATE by a person.
pub(crate) fn update(old: Json, new: Json) -> Request {
    let mut request = create(new);
    request.operation = Operation::Update;
    request.old_object = old.into();
    request
}

pub(crate) fn pod(spec: Json) -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
}

pub(crate) fn decide(set: &PolicySet, request: &Request) -> Decision {
    decide_with(set, request, &Facts::new(true))
}

pub(crate) fn decide_with(set: &PolicySet, request: &Request, facts: &Facts) -> Decision {
    set.decide(Pairs::All, request, facts, "2026-11-22T12:00:00Z".parse().unwrap())
}

/// A decision in brief: for each outcome its policy, verdict and findings.
pub(crate) fn brief(decision: &Decision) -> Vec<String> {
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Allow => "allow".to_owned(),
        Verdict::Deny => "deny".to_owned(),
        Verdict::Error => "error".to_owned(),
        Verdict::Skip(skip) => format!("skip {skip:?}"),
        Verdict::Undecidable(missing) => format!("undecidable {}", missing.join(", ")),
    };
    decision
        .outcomes
        .iter()
        .map(|outcome| {
            let mut line = outcome.policy.name.clone();
            if let Some(binding) = &outcome.binding {
                line.push_str(&format!("/{binding}"));
            }
            line.push_str(&format!(": {}", verdict(&outcome.verdict)));
            for finding in &outcome.findings {
                line.push_str(&format!(" [{}] {}", finding.field_path, finding.message));
            }
            line
        })
        .collect()
}
