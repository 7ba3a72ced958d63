//! `matchConstraints`, `matchResources`, `matchPods` and label selectors, by Kubernetes' own validation
//! (`pkg/apis/admissionregistration/validation` and apimachinery's `meta/v1/validation`).

use super::fields::{Field, Fields, refuse_duplicates};
use super::metadata::read_labels;
use super::{
    LabelSelector, MatchPods, MatchResources, Requirement, ResourceRule, Scope, SelectorOperator, names,
};
use crate::request::Operation;

/// The kinds that `matchPods` covers.
const POD_KINDS: [(&str, &str); 9] = [
    ("Pod", "Pod"),
    ("Deployment", "Deployment"),
    ("ReplicaSet", "ReplicaSet"),
    ("StatefulSet", "StatefulSet"),
    ("DaemonSet", "DaemonSet"),
    ("Job", "Job"),
    ("CronJob", "CronJob"),
    ("ReplicationController", "ReplicationController"),
    ("PodTemplate", "PodTemplate"),
];

const OPERATIONS: [(&str, Option<Operation>); 5] = [
    ("*", None),
    ("CREATE", Some(Operation::Create)),
    ("UPDATE", Some(Operation::Update)),
    ("DELETE", Some(Operation::Delete)),
    ("CONNECT", Some(Operation::Connect)),
];

const SCOPES: [(&str, Scope); 3] =
    [("*", Scope::All), ("Cluster", Scope::Cluster), ("Namespaced", Scope::Namespaced)];

/// A policy's `matchConstraints`: at least one rule.
pub(super) fn constraints(field: &Field<'_>) -> Option<MatchResources> {
    let fields = field.fields()?;
    if let Some(rules) = fields.required("resourceRules") {
        rules.filled_list();
    }
    read(fields)
}

/// A binding's `matchResources`: without rules it matches what the policy matches.
pub(super) fn resources(field: &Field<'_>) -> Option<MatchResources> {
    read(field.fields()?)
}

fn read(fields: Fields<'_>) -> Option<MatchResources> {
    let policy = fields.optional("matchPolicy");
    let exact = policy.and_then(|field| field.one_of(&[("Equivalent", false), ("Exact", true)]));
    let namespace_selector = selector(&fields, "namespaceSelector");
    let object_selector = selector(&fields, "objectSelector");
    let rules = fields.optional("resourceRules");
    let resource_rules = rules.map(|field| rule_list(field.list())).unwrap_or_default();
    let excluded = fields.optional("excludeResourceRules");
    let exclude_resource_rules = excluded.map(|field| rule_list(field.list())).unwrap_or_default();
    fields.finish();
    Some(MatchResources {
        namespace_selector,
        object_selector,
        resource_rules,
        exclude_resource_rules,
        exact: exact.unwrap_or_default(),
    })
}

/// `matchPods`.
pub(super) fn pods(field: &Field<'_>) -> Option<MatchPods> {
    let fields = field.fields()?;
    let kinds = fields.optional("kinds").and_then(|field| field.filled_list()).unwrap_or_default();
    let kinds: Vec<_> = kinds.into_iter().filter_map(|kind| Some((kind.one_of(&POD_KINDS)?, kind))).collect();
    refuse_duplicates(kinds.iter().map(|(kind, field)| (*kind, field.clone())));
    let pods = MatchPods {
        kinds: kinds.into_iter().map(|(kind, _)| kind.to_owned()).collect(),
        namespace_selector: selector(&fields, "namespaceSelector"),
        object_selector: selector(&fields, "objectSelector"),
        pod_selector: selector(&fields, "podSelector"),
    };
    fields.finish();
    Some(pods)
}

fn rule_list(items: Option<Vec<Field<'_>>>) -> Vec<ResourceRule> {
    items.unwrap_or_default().iter().filter_map(Field::fields).map(rule).collect()
}

fn rule(fields: Fields<'_>) -> ResourceRule {
    let api_groups = words(&fields, "apiGroups", true);
    let api_versions = words(&fields, "apiVersions", false);
    let operations = operations(&fields);
    let resources = resource_list(&fields);
    let names = fields.optional("resourceNames").and_then(|field| field.list()).unwrap_or_default();
    let names: Vec<_> = names.into_iter().filter_map(|item| Some((&*item.text()?.text, item))).collect();
    for (name, field) in &names {
        field.require(names::path_segment(name));
    }
    refuse_duplicates(names.iter().map(|(name, field)| (*name, field.clone())));
    let scope = fields.optional("scope").and_then(|field| field.one_of(&SCOPES));
    fields.finish();
    ResourceRule {
        api_groups,
        api_versions,
        operations,
        resources,
        resource_names: names.into_iter().map(|(name, _)| name.to_owned()).collect(),
        scope: scope.unwrap_or_default(),
    }
}

/// A list of words of which `*` must stand alone. The core group is the empty word.
fn words(fields: &Fields<'_>, name: &'static str, empty_allowed: bool) -> Vec<String> {
    let Some(field) = fields.required(name) else { return Vec::new() };
    let items = field.filled_list().unwrap_or_default();
    let words: Vec<String> = items
        .iter()
        .filter_map(|item| if empty_allowed { Some(item.text()?.text.as_str()) } else { item.string() })
        .map(str::to_owned)
        .collect();
    if words.len() > 1 && words.iter().any(|word| word == "*") {
        field.refuse("`*` must stand alone");
    }
    words
}

fn operations(fields: &Fields<'_>) -> Vec<Operation> {
    let Some(field) = fields.required("operations") else { return Vec::new() };
    let items = field.filled_list().unwrap_or_default();
    let found: Vec<_> = items.iter().filter_map(|item| item.one_of(&OPERATIONS)).collect();
    if found.contains(&None) {
        if found.len() > 1 {
            field.refuse("`*` must stand alone");
        }
        return Vec::new();
    }
    found.into_iter().flatten().collect()
}

/// `resources`, whose wildcards must not overlap with other entries.
fn resource_list(fields: &Fields<'_>) -> Vec<String> {
    let Some(field) = fields.required("resources") else { return Vec::new() };
    let items = field.strings();
    let all: Vec<&str> = items.iter().map(|(resource, _)| *resource).collect();
    if all.len() > 1 && all.contains(&"*/*") {
        field.refuse("`*/*` must stand alone");
    }
    // Kubernetes looks at the last one alone.
    let last = all.iter().rev().find(|resource| !resource.contains('/'));
    if all.contains(&"*") && last.is_some_and(|resource| *resource != "*") {
        field.refuse("beside `*` there must be no resource without a subresource");
    }
    for (index, (resource, item)) in items.iter().enumerate() {
        let Some((name, sub)) = resource.split_once('/') else { continue };
        let earlier = all.get(..index).unwrap_or_default();
        for wider in [format!("{name}/*"), format!("*/{sub}")] {
            if earlier.contains(&wider.as_str()) {
                item.refuse(format!("`{wider}` covers `{resource}` already"));
            }
        }
    }
    all.into_iter().map(str::to_owned).collect()
}

/// A label selector; absent and empty ones match everything.
pub(super) fn selector(fields: &Fields<'_>, name: &'static str) -> LabelSelector {
    fields.optional(name).and_then(|field| read_selector(&field)).unwrap_or_default()
}

/// Reads a label selector.
pub(super) fn read_selector(field: &Field<'_>) -> Option<LabelSelector> {
    let fields = field.fields()?;
    let mut requirements = Vec::new();
    if let Some(labels) = fields.optional("matchLabels").and_then(|field| field.fields()) {
        for (key, value) in read_labels(&labels) {
            let operator = SelectorOperator::In(vec![value.to_owned()]);
            requirements.push(Requirement { key: key.to_owned(), operator });
        }
    }
    let expressions = fields.optional("matchExpressions").and_then(|field| field.list());
    for expression in expressions.unwrap_or_default().iter().filter_map(Field::fields) {
        requirements.extend(requirement(expression));
    }
    fields.finish();
    Some(LabelSelector { requirements })
}

#[derive(Clone, Copy, PartialEq)]
enum OperatorName {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

const SELECTOR_OPERATORS: [(&str, OperatorName); 4] = [
    ("In", OperatorName::In),
    ("NotIn", OperatorName::NotIn),
    ("Exists", OperatorName::Exists),
    ("DoesNotExist", OperatorName::DoesNotExist),
];

fn requirement(fields: Fields<'_>) -> Option<Requirement> {
    let key = fields.required("key").and_then(|field| {
        let key = field.string()?;
        field.require(names::qualified_name(key));
        Some(key.to_owned())
    });
    let operator = fields.required("operator").and_then(|field| field.one_of(&SELECTOR_OPERATORS));
    let listed = fields.optional("values");
    let mut values = Vec::new();
    for item in listed.as_ref().and_then(Field::list).unwrap_or_default() {
        if let Some(text) = item.text() {
            item.require(names::label_value(&text.text));
            values.push(text.text.clone());
        }
    }
    let needs_values = matches!(operator, Some(OperatorName::In | OperatorName::NotIn));
    match (&listed, operator) {
        (None, Some(_)) if needs_values => fields.missing("values", "is required with `In` and `NotIn`"),
        (Some(field), Some(_)) if needs_values && values.is_empty() => {
            field.refuse("must not be empty with `In` and `NotIn`");
        }
        (Some(field), Some(_)) if !needs_values && !values.is_empty() => {
            field.refuse("must be absent with `Exists` and `DoesNotExist`");
        }
        _ => {}
    }
    fields.finish();
    let operator = match operator? {
        OperatorName::In => SelectorOperator::In(values),
        OperatorName::NotIn => SelectorOperator::NotIn(values),
        OperatorName::Exists => SelectorOperator::Exists,
        OperatorName::DoesNotExist => SelectorOperator::DoesNotExist,
    };
    Some(Requirement { key: key?, operator })
}
