//! Which of the kinds that a cluster serves policies match.

use crate::report::model::Problem;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery, APIVersionDiscovery};
use portcullis_core::document::{ResourceRule, Scope};
use portcullis_core::matching::excluded_kinds;
use portcullis_core::matching::rules::split_resource;
use portcullis_core::request::Operation;
use std::collections::BTreeSet;
use std::fmt;

/// A kind of objects as it is served, in the version that policies ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for core.
    pub group: String,
    /// Such as `v1`.
    pub version: String,
    /// Such as `deployments`.
    pub plural: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    pub(super) fn built_in(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        let [group, version, plural, kind] = [group, version, plural, kind].map(str::to_owned);
        Self { group, version, plural, kind, namespaced }
    }

    pub(super) fn namespaces() -> Self {
        Self::built_in("", "v1", "namespaces", "Namespace", false)
    }

    /// As objects name it.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Whether these are Secrets.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }
}

/// As RBAC and kubectl name it: `pods`, `deployments.apps`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// The kinds that these rules cover as they are created, sorted, and groups that may have more of them.
pub(super) fn matched(rules: &[&ResourceRule], served: &[APIGroupDiscovery]) -> (Vec<Kind>, Vec<Problem>) {
    let (mut kinds, mut problems) = (BTreeSet::new(), Vec::new());
    for group in served {
        let name = group.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()).unwrap_or_default();
        let rules: Vec<&ResourceRule> =
            rules.iter().copied().filter(|rule| has(&rule.api_groups, name)).collect();
        if rules.is_empty() {
            continue;
        }
        let is_stale = |version: &&APIVersionDiscovery| version.freshness.as_deref() == Some("Stale");
        if let Some(version) = group.versions.iter().find(is_stale) {
            let version = version.version.as_deref().unwrap_or_default();
            let message =
                format!("what the API server of `{name}/{version}` has cannot be told: it does not answer");
            problems.push(Problem::new(message).with_hint("see `kubectl get apiservices`"));
        }
        let plurals: BTreeSet<&str> =
            group.versions.iter().flat_map(|version| &version.resources).filter_map(plural).collect();
        kinds.extend(plurals.into_iter().filter_map(|plural| of_resource(name, plural, &rules, group)));
    }
    (kinds.into_iter().collect(), problems)
}

/// The kind of one resource, if any rule covers it in a version that is served.
fn of_resource(
    group: &str,
    resource: &str,
    rules: &[&ResourceRule],
    served: &APIGroupDiscovery,
) -> Option<Kind> {
    let versions = served.versions.iter().filter_map(|version| {
        let resources = &version.resources;
        let found = resources.iter().find(|served| plural(served) == Some(resource))?;
        Some((version.version.as_deref()?, found))
    });
    // In the API server's order of preference.
    let versions: Vec<(&str, &APIResourceDiscovery)> = versions.collect();
    let namespaced = versions.first()?.1.scope.as_deref() == Some("Namespaced");
    let covering: Vec<&&ResourceRule> =
        rules.iter().filter(|rule| covers(rule, resource, namespaced)).collect();
    // What the webhook is asked in: a version that is named comes before any, if it is served.
    let named: BTreeSet<&str> =
        covering.iter().flat_map(|rule| &rule.api_versions).map(String::as_str).collect();
    let any = versions.first().filter(|_| named.contains("*"));
    let (version, found) = versions.iter().find(|(version, _)| named.contains(version)).or(any)?;
    let kind = found.response_kind.as_ref()?.kind.as_deref()?;
    let is_excluded = excluded_kinds().iter().any(|(of, kinds)| *of == group && kinds.contains(&kind));
    let can = |verb: &str| found.verbs.iter().any(|other| other == verb);
    (can("list") && can("create") && !is_excluded)
        .then(|| Kind::built_in(group, version, resource, kind, namespaced))
}

/// Whether a rule covers objects of a resource themselves as they are created.
fn covers(rule: &ResourceRule, resource: &str, namespaced: bool) -> bool {
    let created = rule.operations.is_empty() || rule.operations.contains(&Operation::Create);
    let scope = match rule.scope {
        Scope::All => true,
        Scope::Namespaced => namespaced,
        Scope::Cluster => !namespaced,
    };
    created
        && scope
        && rule.resources.iter().any(|entry| {
            let (plural, sub_resource) = split_resource(entry);
            matches!(sub_resource, "" | "*") && (plural == "*" || plural == resource)
        })
}

fn plural(resource: &APIResourceDiscovery) -> Option<&str> {
    resource.resource.as_deref()
}

fn has(listed: &[String], value: &str) -> bool {
    listed.iter().any(|item| item == "*" || item == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `CREATE apps/v1/deployments,replicasets Namespaced`
    fn rule(text: &str) -> ResourceRule {
        let mut words = text.split(' ');
        let operations = words.next().unwrap().split(',').filter_map(Operation::parse).collect();
        let mut path = words.next().unwrap().splitn(3, '/');
        let mut list = || path.next().unwrap().split(',').map(str::to_owned).collect::<Vec<_>>();
        let (api_groups, api_versions, resources) = (list(), list(), list());
        let scope = match words.next() {
            Some("Namespaced") => Scope::Namespaced,
            Some("Cluster") => Scope::Cluster,
            _ => Scope::All,
        };
        ResourceRule { api_groups, api_versions, resources, operations, scope, ..ResourceRule::default() }
    }

    fn served() -> Vec<APIGroupDiscovery> {
        let resource = |plural: &str, kind: &str, scope: &str, verbs: &[&str]| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": verbs});
        let all: &[&str] = &["create", "get", "list"];
        let groups = json!([
            {"metadata": {}, "versions": [{"version": "v1", "resources": [
                resource("pods", "Pod", "Namespaced", all),
                resource("nodes", "Node", "Cluster", all),
                resource("namespaces", "Namespace", "Cluster", all),
                resource("componentstatuses", "ComponentStatus", "Cluster", &["get", "list"]),
                resource("bindings", "Binding", "Namespaced", &["create"]),
            ]}]},
            {"metadata": {"name": "example.com"}, "versions": [
                {"version": "v2", "resources": [resource("widgets", "Widget", "Namespaced", all)]},
                {"version": "v1", "resources": [
                    resource("widgets", "Widget", "Namespaced", all),
                    resource("gadgets", "Gadget", "Cluster", all),
                ]},
            ]},
            {"metadata": {"name": "down.example.com"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
        ]);
        serde_json::from_value(groups).unwrap()
    }

    #[test]
    fn kinds_that_are_listed() {
        let check = |rules: &[&str], expect: &[&str]| {
            let parsed: Vec<ResourceRule> = rules.iter().map(|text| rule(text)).collect();
            let (kinds, problems) = matched(&parsed.iter().collect::<Vec<_>>(), &served());
            let shown = kinds.iter().map(|kind| format!("{} {} {}", kind.api_version(), kind.kind, kind));
            let shown: Vec<String> =
                shown.chain(problems.into_iter().map(|problem| problem.message)).collect();
            assert_eq!(shown, expect, "{rules:?}");
        };
        let down = "what the API server of `down.example.com/v1` has cannot be told: it does not answer";
        let (pods, namespaces) = ("v1 Pod pods", "v1 Namespace namespaces");
        let gadgets = "example.com/v1 Gadget gadgets.example.com";
        let widgets = |version: &str| format!("example.com/{version} Widget widgets.example.com");
        check(&[], &[]);
        check(&["CREATE /v1/pods"], &[pods]);
        check(&["* /v1/pods"], &[pods]);
        check(&["UPDATE,DELETE /v1/pods"], &[]);
        check(&["CREATE /v2/pods"], &[]);
        check(&["CREATE apps/v1/pods"], &[]);
        // Subresources are no objects; `pods/*` means the Pods, too.
        check(&["CREATE /v1/pods/exec,pods/ephemeralcontainers"], &[]);
        check(&["CREATE /v1/pods/*"], &[pods]);
        check(&["CREATE /v1/* Namespaced"], &[pods]);
        // Nodes stay out, and what nobody can create or list.
        check(&["CREATE /*/*"], &[namespaces, pods]);
        // In the version that is asked for.
        check(&["CREATE example.com/v1/widgets", "CREATE example.com/*/widgets"], &[&widgets("v1")]);
        check(&["CREATE example.com/*/widgets"], &[&widgets("v2")]);
        check(&["CREATE example.com/v3/widgets"], &[]);
        check(&["CREATE example.com/v3/widgets", "CREATE example.com/*/widgets"], &[&widgets("v2")]);
        check(&["CREATE example.com/v1,v2/*"], &[gadgets, &widgets("v2")]);
        check(&["CREATE */*/* Cluster"], &[namespaces, gadgets, down]);
        check(&["CREATE down.example.com/v1/any"], &[down]);
    }
}
