//! Rules and selectors that no request can match.

use crate::document::{
    BindingDocument, ExceptionDocument, LabelSelector, MatchResources, Matching, PolicyDocument,
    ResourceRule, Scope, SelectorOperator, enumeration, near_miss,
};
use crate::matching::{Resource, built_in};
use crate::request::Operation;

/// A part of a policy that matches nothing.
#[derive(Debug)]
pub(super) struct Nothing {
    /// Which part.
    pub(super) field: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Every part of a ValidatingAdmissionPolicyBinding that matches nothing.
pub(super) fn of_binding(binding: &BindingDocument) -> Vec<Nothing> {
    let mut found = Vec::new();
    if let Some(matched) = &binding.match_resources {
        resources("spec.matchResources", matched, &mut found);
    }
    found
}

/// The kinds of an exception that are in no group of Kubernetes', or not in theirs: nothing is excepted by them.
pub(super) fn of_exception(exception: &ExceptionDocument) -> Vec<Nothing> {
    let mut found = Vec::new();
    for (index, written) in exception.kinds.iter().enumerate() {
        let (kind, group) = written.split_once('.').unwrap_or((written, ""));
        let unknown = !group.contains('.') && built_in::find(group, kind).is_none();
        // A dot makes it a group that may be anybody's, unless it is Kubernetes' own.
        if !unknown && (!built_in::is_group(group) || built_in::find(group, kind).is_some()) {
            continue;
        }
        let message = match group {
            "" => format!("there is no kind `{kind}` in the core group"),
            _ => format!("there is no kind `{kind}` in group `{group}`"),
        };
        let hint = match built_in::groups_of_kind(kind).next() {
            Some("") => Some(format!("did you mean `{kind}`?")),
            Some(group) => Some(format!("did you mean `{kind}.{group}`?")),
            None if group.is_empty() => Some(format!("write `{kind}.` and its group")),
            None => None,
        };
        found.push(Nothing { field: format!("spec.match.kinds[{index}]"), message, hint });
    }
    found
}

/// Every part of a policy and its own bindings that matches nothing.
pub(super) fn of(policy: &PolicyDocument) -> Vec<Nothing> {
    let mut found = Vec::new();
    match &policy.matching {
        Matching::Constraints(constraints) => resources("spec.matchConstraints", constraints, &mut found),
        Matching::Pods(pods) => {
            let selectors = [
                ("namespaceSelector", &pods.namespace_selector),
                ("objectSelector", &pods.object_selector),
                ("podSelector", &pods.pod_selector),
            ];
            for (name, written) in selectors {
                selector(format!("spec.matchPods.{name}"), written, &mut found);
            }
        }
    }
    for (index, binding) in policy.bindings.iter().enumerate() {
        if let Some(matched) = &binding.match_resources {
            resources(&format!("spec.bindings[{index}].matchResources"), matched, &mut found);
        }
    }
    found
}

fn resources(field: &str, matched: &MatchResources, found: &mut Vec<Nothing>) {
    selector(format!("{field}.namespaceSelector"), &matched.namespace_selector, found);
    selector(format!("{field}.objectSelector"), &matched.object_selector, found);
    for (index, written) in matched.resource_rules.iter().enumerate() {
        let field = format!("{field}.resourceRules[{index}]");
        if let Some(excluded) = matched.exclude_resource_rules.iter().position(|other| covers(other, written))
        {
            let message = format!("excludeResourceRules[{excluded}] leaves nothing of this rule");
            found.push(Nothing { field, message, hint: None });
        } else {
            rule(&field, written, found);
        }
    }
}

/// Whether one rule matches everything that another one does.
fn covers(wide: &ResourceRule, narrow: &ResourceRule) -> bool {
    fn all(wide: &[String], narrow: &[String]) -> bool {
        narrow.iter().all(|word| wide.iter().any(|known| known == "*" || known == word))
    }
    let resource = |entry: &String| {
        wide.resources
            .iter()
            .any(|known| known == entry || known == "*/*" || (known == "*" && !entry.contains('/')))
    };
    all(&wide.api_groups, &narrow.api_groups)
        && all(&wide.api_versions, &narrow.api_versions)
        && narrow.resources.iter().all(resource)
        && (wide.operations.is_empty()
            || !narrow.operations.is_empty()
                && narrow.operations.iter().all(|operation| wide.operations.contains(operation)))
        && (wide.resource_names.is_empty()
            || !narrow.resource_names.is_empty() && all(&wide.resource_names, &narrow.resource_names))
        && (wide.scope == Scope::All || wide.scope == narrow.scope)
}

/// The groups and versions of a rule that cannot be, and its resources that are in none of its groups, as far as
/// Kubernetes itself owns these.
fn rule(field: &str, rule: &ResourceRule, found: &mut Vec<Nothing>) {
    let before = found.len();
    for (index, group) in rule.api_groups.iter().enumerate() {
        if let Some(hint) = no_group(group, rule) {
            let message = format!("there is no API group `{group}`");
            found.push(Nothing { field: format!("{field}.apiGroups[{index}]"), message, hint });
        }
    }
    for (index, version) in rule.api_versions.iter().enumerate() {
        if let Some((group, own)) = version.split_once('/') {
            let message = format!("there is no version `{version}`");
            let hint = Some(format!("write `{own}` here, and `{group}` under `apiGroups`"));
            found.push(Nothing { field: format!("{field}.apiVersions[{index}]"), message, hint });
        }
    }
    if found.len() > before {
        return;
    }
    if !rule.api_groups.iter().all(|group| built_in::is_group(group)) {
        return;
    }
    for (index, entry) in rule.resources.iter().enumerate() {
        let plural = entry.split('/').next().unwrap_or_default();
        if plural.contains('*') {
            continue;
        }
        let known: Vec<Resource<'_>> =
            rule.api_groups.iter().filter_map(|group| built_in::of_plural(group, plural)).collect();
        let fits = |resource: &Resource<'_>| match rule.scope {
            Scope::All => true,
            Scope::Namespaced => resource.namespaced,
            Scope::Cluster => !resource.namespaced,
        };
        let (message, hint) = if known.is_empty() {
            (format!("there is no resource `{plural}` in {}", groups(&rule.api_groups)), meant(rule, plural))
        } else if !known.iter().any(fits) {
            let lives =
                if rule.scope == Scope::Cluster { "live in namespaces" } else { "live in no namespace" };
            (format!("`{plural}` {lives}, so this scope leaves none"), None)
        } else if let Some(only) = never_asked(rule, entry) {
            let only: Vec<&str> = only.iter().map(|operation| operation.as_str()).collect();
            let message = format!("nobody asks of `{entry}` what this rule has under `operations`");
            (message, Some(format!("with them there is {} only", enumeration(&only, "and"))))
        } else {
            continue;
        };
        found.push(Nothing { field: format!("{field}.resources[{index}]"), message, hint });
    }
}

/// Whether there can be no such group, with what may have been meant: those of others are domains, as the API server
/// wants those of CustomResourceDefinitions to be.
fn no_group(group: &str, rule: &ResourceRule) -> Option<Option<String>> {
    if group == "*" || group.contains('.') || built_in::is_group(group) {
        return None;
    }
    let core = "the core group is written `''`";
    let plurals = rule.resources.iter().filter_map(|entry| entry.split('/').next());
    let names: Vec<&str> = built_in::group_names().collect();
    Some(match plurals.filter_map(built_in::group_of).next() {
        _ if group == "core" => Some(core.to_owned()),
        Some("") => Some(core.to_owned()),
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None => near_miss(group, &names),
    })
}

/// The operations that there are with a resource, if the rule has none of them.
fn never_asked(rule: &ResourceRule, entry: &str) -> Option<&'static [Operation]> {
    let (plural, subresource) = match entry.split_once('/') {
        None => (entry, None),
        Some((plural, subresource)) => (plural, Some(subresource)),
    };
    let asked = built_in::operations(plural, subresource)?;
    let none = !rule.operations.is_empty() && !rule.operations.iter().any(|it| asked.contains(it));
    none.then_some(asked)
}

fn groups(groups: &[String]) -> String {
    let names: Vec<String> = groups
        .iter()
        .map(|group| if group.is_empty() { "the core group".to_owned() } else { format!("group `{group}`") })
        .collect();
    names.join(" or ")
}

/// What may have been meant by a resource that is in none of the groups: one of the same name elsewhere, else one
/// of these groups whose name is near, as those of kinds are.
fn meant(rule: &ResourceRule, plural: &str) -> Option<String> {
    if let Some(group) = built_in::group_of(plural) {
        return Some(match group {
            "" => format!("`{plural}` are in the core group, which is written `''`"),
            group => format!("`{plural}` are in group `{group}`"),
        });
    }
    let names: Vec<&str> = rule.api_groups.iter().flat_map(|group| built_in::plurals(group)).collect();
    near_miss(plural, &names)
}

/// Whether two requirements of a selector exclude each other.
fn selector(field: String, selector: &LabelSelector, found: &mut Vec<Nothing>) {
    let requirements = &selector.requirements;
    let contradicted = requirements.iter().enumerate().find(|(index, one)| {
        let others = requirements.iter().skip(index + 1);
        others.filter(|other| other.key == one.key).any(|other| exclude(&one.operator, &other.operator))
    });
    if let Some((_, one)) = contradicted {
        let message = format!("no object fits what is required of label `{}`", one.key);
        found.push(Nothing { field, message, hint: None });
    }
}

fn exclude(one: &SelectorOperator, other: &SelectorOperator) -> bool {
    use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
    match (one, other) {
        (In(one), In(other)) => !one.iter().any(|value| other.contains(value)),
        (In(values), NotIn(refused)) | (NotIn(refused), In(values)) => {
            values.iter().all(|value| refused.contains(value))
        }
        (Exists | In(_), DoesNotExist) | (DoesNotExist, Exists | In(_)) => true,
        _ => false,
    }
}
