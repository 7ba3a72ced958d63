//! What the webhook configuration should be, by the policies in force. Every field that the API server would
//! fill in is here, so that what it stores compares equal.

use super::rules::{Coverage, Union, union};
use crate::entry::Entry;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ServiceReference, ValidatingWebhook, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use portcullis_core::PolicySet;
use portcullis_core::document::POLICY_LABEL;
use portcullis_core::matching::excluded_kinds;
use portcullis_core::policy::Class;
use std::collections::BTreeSet;

/// The label that every Namespace carries with its own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// How long the API server waits for us, in seconds.
const TIMEOUT: i32 = 5;

/// Where the API server reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Service in the controller's namespace, on port 443.
    Service(String),
    /// Somewhere outside the cluster: scheme and authority, such as `https://192.0.2.1:8443`; empty for where we
    /// listen.
    Url(String),
}

impl Target {
    /// The names by which the API server, or a person at a port-forward, reaches us.
    pub(in crate::cluster) fn names(&self, namespace: &str) -> Vec<String> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        match self {
            Self::Service(name) => {
                let service = format!("{name}.{namespace}.svc");
                names.extend([name.clone(), format!("{name}.{namespace}"), service.clone()]);
                names.push(format!("{service}.cluster.local"));
            }
            Self::Url(url) => {
                let uri = url.parse::<hyper::Uri>().ok();
                let host = uri.as_ref().and_then(|uri| uri.host()).map(|host| host.trim_matches(['[', ']']));
                names.extend(host.map(str::to_owned).filter(|host| !names.contains(host)));
            }
        }
        names
    }
}

/// What does not change while we run.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct Settings {
    pub(in crate::cluster) target: Target,
    pub(in crate::cluster) controller_namespace: String,
    /// Where nodes must be able to come back without us.
    pub(in crate::cluster) critical_namespaces: Vec<String>,
    /// Whether there are policies in other namespaces than the controller's.
    pub(in crate::cluster) namespaced_policies: bool,
}

/// The entries that ask about what the pairs of a set match, and trust this CA (PEM).
pub(super) fn desired(set: &PolicySet, settings: &Settings, ca: &[u8]) -> Vec<ValidatingWebhook> {
    let of = |class| set.matched().filter(move |(own, _)| *own == class).map(|(_, matched)| matched);
    let own = settings.controller_namespace.as_str();
    let critical = settings.critical_namespaces.iter().map(String::as_str).filter(|name| *name != own);
    let critical: Vec<&str> = critical.collect();
    let ordinary = || in_namespaces("NotIn", [own].into_iter().chain(critical.iter().copied()));
    let make = |entry, rules: Vec<_>, selector, coverage| {
        made(entry, union(rules, coverage), &selector, settings, ca)
    };
    let mut entries = make(Entry::Fail, of(Class::Fail).collect(), ordinary(), Coverage::Everywhere);
    entries.extend(make(Entry::Ignore, of(Class::Ignore).collect(), ordinary(), Coverage::Everywhere));
    if !critical.is_empty() {
        let rules = set.matched().map(|(_, matched)| matched).collect();
        let selector = in_namespaces("In", critical.iter().copied());
        entries.extend(make(Entry::Critical, rules, selector, Coverage::InNamespaces));
    }
    let namespaces: BTreeSet<&str> = set.matched_in_namespaces().map(|(namespace, _)| namespace).collect();
    if !namespaces.is_empty() {
        let rules = set.matched_in_namespaces().map(|(_, matched)| matched).collect();
        let selector = in_namespaces("In", namespaces.into_iter());
        entries.extend(make(Entry::Namespaced, rules, selector, Coverage::Namespaced));
    }
    entries.push(of_policies(settings, ca));
    entries
}

/// An entry, and those that it needs beside it for what the API server converts. One without rules would ask about
/// nothing.
fn made(
    entry: Entry,
    Union { rules, exact, converted }: Union,
    selector: &LabelSelector,
    settings: &Settings,
    ca: &[u8],
) -> Vec<ValidatingWebhook> {
    if rules.is_empty() {
        return Vec::new();
    }
    let match_policy = if exact || !converted.is_empty() { "Exact" } else { "Equivalent" };
    let first = ValidatingWebhook {
        match_policy: Some(match_policy.to_owned()),
        namespace_selector: Some(selector.clone()),
        rules: Some(rules),
        ..blank(entry, None, settings, ca)
    };
    let others = converted.into_iter().map(|(versions, rules)| ValidatingWebhook {
        match_conditions: Some(vec![stays_out(), is_converted()]),
        namespace_selector: Some(selector.clone()),
        rules: Some(rules),
        ..blank(entry, Some(&versions), settings, ca)
    });
    [first].into_iter().chain(others).collect()
}

/// An entry without rules, of which those that share a path differ in their names and the ends of their paths.
fn blank(entry: Entry, versions: Option<&str>, settings: &Settings, ca: &[u8]) -> ValidatingWebhook {
    let name = entry.path().rsplit('/').next().unwrap_or_default();
    let name = versions.into_iter().chain([name, "portcullis.dev"]).collect::<Vec<_>>().join(".");
    ValidatingWebhook {
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(
            &settings.target,
            &settings.controller_namespace,
            &entry.path_for(versions),
            ca,
        ),
        failure_policy: Some(if entry.fails_closed() { "Fail" } else { "Ignore" }.to_owned()),
        match_conditions: Some(vec![stays_out()]),
        match_policy: Some("Equivalent".to_owned()),
        name,
        namespace_selector: None,
        object_selector: Some(LabelSelector::default()),
        rules: None,
        side_effects: "NoneOnDryRun".to_owned(),
        timeout_seconds: Some(TIMEOUT),
    }
}

/// What asks about the policies themselves.
fn of_policies(settings: &Settings, ca: &[u8]) -> ValidatingWebhook {
    let there = match settings.namespaced_policies {
        true => LabelSelector::default(),
        false => in_namespaces("In", [settings.controller_namespace.as_str()].into_iter()),
    };
    ValidatingWebhook {
        match_conditions: None,
        namespace_selector: Some(there),
        object_selector: Some(labelled()),
        rules: Some(vec![config_maps()]),
        ..blank(Entry::Policies, None, settings, ca)
    }
}

fn client_config(target: &Target, namespace: &str, path: &str, ca: &[u8]) -> WebhookClientConfig {
    let ca_bundle = Some(ByteString(ca.to_vec()));
    match target {
        Target::Url(url) => {
            WebhookClientConfig { ca_bundle, service: None, url: Some(format!("{url}{path}")) }
        }
        Target::Service(name) => {
            let service = ServiceReference {
                name: name.clone(),
                namespace: namespace.to_owned(),
                path: Some(path.to_owned()),
                port: Some(443),
            };
            WebhookClientConfig { ca_bundle, service: Some(service), url: None }
        }
    }
}

/// What is or was labelled as ours.
fn labelled() -> LabelSelector {
    let requirement = LabelSelectorRequirement {
        key: POLICY_LABEL.to_owned(),
        operator: "Exists".to_owned(),
        values: None,
    };
    LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None }
}

/// Not their deletion: what is gone is not wrong.
fn config_maps() -> RuleWithOperations {
    let list = |items: &[&str]| Some(items.iter().map(|&item| item.to_owned()).collect());
    RuleWithOperations {
        api_groups: list(&[""]),
        api_versions: list(&["v1"]),
        operations: list(&["CREATE", "UPDATE"]),
        resources: list(&["configmaps"]),
        scope: Some("Namespaced".to_owned()),
    }
}

fn in_namespaces<'a>(operator: &str, names: impl Iterator<Item = &'a str>) -> LabelSelector {
    let requirement = LabelSelectorRequirement {
        key: NAME_LABEL.to_owned(),
        operator: operator.to_owned(),
        values: Some(names.map(str::to_owned).collect()),
    };
    LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None }
}

/// The API server does not ask about what we would not judge: nobody who brings a node back waits for us.
fn stays_out() -> MatchCondition {
    let of_group = |(group, kinds): &(&str, &[&str])| {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        format!("!(request.kind.group == '{group}' && request.kind.kind in [{}])", kinds.join(", "))
    };
    // For those of its own group the API server asks nobody anyway.
    let groups = excluded_kinds().iter().filter(|(group, _)| *group != "admissionregistration.k8s.io");
    let expression = groups.map(of_group).collect::<Vec<_>>().join(" && ");
    MatchCondition { name: "is-not-what-keeps-the-cluster-alive".to_owned(), expression }
}

/// The API server has converted the object: what it sends as it was sent, the entry itself asks about. A subresource whose
/// kind is of another group, such as Scale, does not tell; then we do.
fn is_converted() -> MatchCondition {
    let differs = |field: &str| format!("request.kind.{field} != request.requestResource.{field}");
    let expression = format!("{} || {}", differs("version"), differs("group"));
    MatchCondition { name: "is-converted".to_owned(), expression }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::document::read_manifest;
    use portcullis_core::set::Sources;

    /// A policy `name: actions failurePolicy`.
    fn policy(text: &str) -> String {
        let (name, rest) = text.split_once(": ").unwrap();
        let (actions, failure_policy) = rest.split_once(' ').unwrap();
        format!(
            "apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, labels: {{portcullis.dev/policy: 'true'}}}}
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {{name: {name}}}
    spec:
      validationActions: [{actions}]
      failurePolicy: {failure_policy}
      matchConstraints:
        resourceRules:
        - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [{name}]}}
      validations: [{{expression: 'object.metadata.name != \"x\"'}}]
---
"
        )
    }

    fn entries(policies: &[&str], critical: &[&str]) -> Vec<ValidatingWebhook> {
        let text: String = policies.iter().map(|text| policy(text)).collect();
        let manifest = read_manifest(Some("f"), &text, "gate");
        let controller_namespace = "gate".to_owned();
        let config_maps = manifest.config_maps;
        let sources = Sources { config_maps, controller_namespace, ..Sources::default() };
        let set = PolicySet::compile(&sources, None);
        assert_eq!(set.problems(), []);
        let settings = Settings {
            target: Target::Service("portcullis".to_owned()),
            controller_namespace: "gate".to_owned(),
            critical_namespaces: critical.iter().map(|&name| name.to_owned()).collect(),
            namespaced_policies: false,
        };
        desired(&set, &settings, b"ca")
    }

    #[test]
    fn each_class_has_its_entry() {
        let check = |policies: &[&str], critical: &[&str], expect: &[&str]| {
            let shown: Vec<String> = entries(policies, critical)
                .iter()
                .map(|entry| {
                    let resources =
                        entry.rules.iter().flatten().flat_map(|rule| rule.resources.iter().flatten());
                    let resources = resources.map(String::as_str).collect::<Vec<_>>().join(",");
                    let selector = entry.namespace_selector.as_ref().unwrap();
                    let requirement = &selector.match_expressions.as_ref().unwrap()[0];
                    let namespaces = requirement.values.as_deref().unwrap().join(",");
                    let failure_policy = entry.failure_policy.as_deref().unwrap();
                    let path = entry.client_config.service.as_ref().unwrap().path.as_deref().unwrap();
                    format!(
                        "{} {path} {failure_policy} {resources} {} {namespaces}",
                        entry.name, requirement.operator
                    )
                })
                .collect();
            assert_eq!(shown, expect, "{policies:?}");
        };
        let policies = "policies.portcullis.dev /validate/policies Ignore configmaps In gate";
        check(&[], &["kube-system"], &[policies]);
        check(
            &["pods: Deny Fail", "secrets: Deny Ignore", "services: Audit Fail"],
            &["kube-system"],
            &[
                "fail.portcullis.dev /validate/fail Fail pods NotIn gate,kube-system",
                "ignore.portcullis.dev /validate/ignore Ignore secrets,services NotIn gate,kube-system",
                "critical.portcullis.dev /validate/critical Ignore pods,secrets,services In kube-system",
                policies,
            ],
        );
        // Our own namespace is nobody's business, wherever we run.
        let fail = "fail.portcullis.dev /validate/fail Fail pods NotIn gate";
        check(&["pods: Deny Fail"], &["gate"], &[fail, policies]);
    }

    #[test]
    fn what_stays_out_stays_out_at_the_api_server() {
        let expression = stays_out().expression;
        assert!(
            expression
                .starts_with("!(request.kind.group == '' && request.kind.kind in ['Node', 'Event']) && "),
            "{expression}"
        );
    }
}
