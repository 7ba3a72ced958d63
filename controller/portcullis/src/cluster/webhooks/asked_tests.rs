//! Every pair sees every request once, in the version in which the API server's own policies would see it: its webhook
//! dispatcher (`k8s.io/apiserver/pkg/admission/plugin/webhook/generic`) played against what is desired.

use super::desired::{Settings, Target, desired};
use crate::entry::Entry;
use k8s_openapi::api::admissionregistration::v1::{RuleWithOperations, ValidatingWebhook};
use portcullis_core::document::read_manifest;
use portcullis_core::matching::Resources;
use portcullis_core::matching::rules::split_resource;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, Operation, Request};
use portcullis_core::set::Sources;
use portcullis_core::{Facts, PolicySet};
use serde_json::json;

const GROUP: &str = "example.com";
/// In the order in which the CustomResourceDefinition has them.
const DEFINED: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// What a policy matches: `groups versions resources [Exact]`.
type Rule = &'static str;

fn words(rule: Rule) -> [Vec<&'static str>; 3] {
    let mut words = rule.split(' ').map(|word| word.split(',').collect());
    std::array::from_fn(|_| words.next().unwrap())
}

/// Policies of all classes alike, called by the number of their rule.
fn set(rules: &[Rule]) -> PolicySet {
    let document = |(number, rule): (usize, &Rule)| {
        let [groups, versions, resources] = words(rule);
        let policy = if rule.ends_with(" Exact") { "Exact" } else { "Equivalent" };
        let rule = json!({"apiGroups": groups, "apiVersions": versions, "operations": ["*"], "resources": resources});
        json!({
            "apiVersion": "portcullis.dev/v1", "kind": "Policy", "metadata": {"name": format!("p{number}")},
            "spec": {
                "validationActions": ["Deny"], "validations": [{"expression": "request.name != 'x'"}],
                "matchConstraints": {"matchPolicy": policy, "resourceRules": [rule]},
            },
        })
    };
    let data: serde_json::Map<_, _> = (rules.iter().enumerate())
        .map(|it| (format!("{}.yaml", it.0), document(it).to_string().into()))
        .collect();
    let labels = json!({"portcullis.dev/policy": "true"});
    let metadata = json!({"name": "all", "namespace": "gate", "labels": labels});
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
    let config_maps = read_manifest(None, &manifest.to_string(), "gate").config_maps;
    let sources = Sources { config_maps, controller_namespace: "gate".to_owned(), ..Sources::default() };
    let set = PolicySet::compile(&sources, None);
    assert_eq!(set.problems(), []);
    set
}

fn covers(listed: &[impl AsRef<str>], value: &str) -> bool {
    listed.iter().any(|item| item.as_ref() == "*" || item.as_ref() == value)
}

fn covers_resource(resources: &[impl AsRef<str>], sub_resource: &str) -> bool {
    resources.iter().any(|listed| {
        let (resource, sub) = split_resource(listed.as_ref());
        matches!(resource, "*" | "widgets") && (sub == "*" || sub == sub_resource)
    })
}

/// The version in which something is asked about that was sent as this one: as it is if a rule covers that, else
/// by the first rule that covers another one.
fn version(rules: &[[Vec<String>; 3]], exact: bool, sent: &str, sub_resource: &str) -> Option<String> {
    let matches = |[groups, versions, resources]: &[Vec<String>; 3], version: &str| {
        covers(groups, GROUP) && covers(versions, version) && covers_resource(resources, sub_resource)
    };
    if rules.iter().any(|rule| matches(rule, sent)) {
        return Some(sent.to_owned());
    }
    let mut all = rules.iter().filter(|_| !exact).flat_map(|rule| DEFINED.map(|version| (rule, version)));
    all.find(|(rule, version)| matches(rule, version)).map(|(_, version)| version.to_owned())
}

/// What the API server asks an entry: the version, unless it does not ask.
fn asked(entry: &ValidatingWebhook, sent: &str, sub_resource: &str) -> Option<String> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let rules: Vec<_> = (entry.rules.iter().flatten())
        .map(|RuleWithOperations { api_groups, api_versions, resources, .. }| {
            [list(api_groups), list(api_versions), list(resources)]
        })
        .collect();
    let exact = entry.match_policy.as_deref() == Some("Exact");
    let conditions = entry.match_conditions.iter().flatten();
    let only_converted = conditions.filter(|condition| condition.name == "is-converted").count() > 0;
    version(&rules, exact, sent, sub_resource)
        .filter(|version| !only_converted || version != sent || sub_resource == "scale")
}

fn request(version: &str, sent: &str, sub_resource: &str) -> Request {
    let resource = |version: &str| GroupVersionResource {
        group: GROUP.to_owned(),
        version: version.to_owned(),
        resource: "widgets".to_owned(),
    };
    let [group, of_kind, kind] = match sub_resource {
        "scale" => ["autoscaling", "v1", "Scale"],
        _ => [GROUP, version, "Widget"],
    };
    let kind =
        GroupVersionKind { group: group.to_owned(), version: of_kind.to_owned(), kind: kind.to_owned() };
    let object = json!({"metadata": {"name": "w", "namespace": "shop"}});
    Request {
        kind,
        resource: Some(resource(version)),
        request_resource: Some(resource(sent)),
        sub_resource: sub_resource.to_owned(),
        request_sub_resource: Some(sub_resource.to_owned()),
        name: "w".to_owned(),
        namespace: "shop".to_owned(),
        old_object_known: true,
        ..Request::for_object(object, &Resources::new(), Operation::Create)
    }
}

/// Who judged what in which version, in a namespace that is not critical.
fn judged(
    set: &PolicySet,
    entries: &[ValidatingWebhook],
    sent: &str,
    sub_resource: &str,
) -> Vec<(String, String)> {
    let mut judged = Vec::new();
    for entry in entries {
        let Some(version) = asked(entry, sent, sub_resource) else { continue };
        let path = entry.client_config.service.as_ref().unwrap().path.as_deref().unwrap();
        let is_of =
            |entry: &&Entry| entry.path() == path || entry.takes_versions() && entry.versions(path).is_some();
        let own = Entry::ALL.iter().find(is_of).unwrap();
        if !matches!(own, Entry::Fail) {
            continue;
        }
        let pairs = own.pairs().unwrap().converted_to(own.versions(path));
        let request = request(&version, sent, sub_resource);
        let decision = set.decide(pairs, &request, &Facts::new(true), jiff::Timestamp::UNIX_EPOCH);
        judged.extend(decision.outcomes.iter().map(|it| (it.policy.name.clone(), version.clone())));
    }
    judged.sort();
    judged
}

fn check(rules: &[Rule]) -> usize {
    let settings = Settings {
        target: Target::Service("portcullis".to_owned()),
        controller_namespace: "gate".to_owned(),
        critical_namespaces: vec!["kube-system".to_owned()],
        namespaced_policies: false,
    };
    let set = set(rules);
    let entries = desired(&set, &settings, b"ca");
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), entries.len(), "{rules:?}: two entries have one name");
    for (sent, sub_resource) in DEFINED.iter().flat_map(|sent| ["", "status", "scale"].map(|sub| (sent, sub)))
    {
        let alone = |(number, rule): (usize, &Rule)| {
            let own = words(rule).map(|list| list.into_iter().map(str::to_owned).collect());
            let seen = version(&[own], rule.ends_with(" Exact"), sent, sub_resource)?;
            Some((format!("p{number}"), seen))
        };
        let expect: Vec<_> = rules.iter().enumerate().filter_map(alone).collect();
        assert_eq!(judged(&set, &entries, sent, sub_resource), expect, "{rules:?}: {sent} {sub_resource}");
    }
    entries.len()
}

#[test]
fn every_pair_is_asked_once_whatever_others_name() {
    const RULES: [Rule; 18] = [
        "* * */*",
        "* * *",
        "example.com * widgets",
        "example.com * widgets/*",
        "example.com v1 widgets",
        "example.com v1 widgets Exact",
        "example.com v1 *",
        "example.com v1 */scale",
        "* v1 */*",
        "example.com v1 widgets/scale",
        "example.com v1beta1 widgets",
        "example.com v1beta1 widgets/*",
        "example.com v1beta1 */* Exact",
        "example.com v1beta1,v1 widgets",
        "* v1alpha1,v1 */*",
        "example.com v2 widgets",
        "example.com v2,v1 widgets",
        "example.com * widgets,widgets/scale",
    ];
    for one in RULES {
        assert!(check(&[one]) <= 3, "{one}: nobody disagrees");
        for other in RULES {
            check(&[one, other]);
            check(&["example.com v1 widgets", one, other]);
        }
    }
}
