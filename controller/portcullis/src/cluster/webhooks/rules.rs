//! The union of what policies match, as few rules as say the same.

use super::served::Served;
use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use portcullis_core::document::{ResourceRule, Scope};
use portcullis_core::request::Operation;
use std::collections::{BTreeMap, BTreeSet};

/// Which namespaces an entry is about, as far as rules can say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// As the policies' own rules have it.
    Everywhere,
    /// Namespaced objects and Namespaces only: the API server compares a namespaceSelector with nothing else,
    /// and would ask about every other cluster-scoped object.
    InNamespaces,
    /// Namespaced objects only.
    Namespaced,
}

/// What makes resources go into one rule: everything else they have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: String,
    versions: BTreeSet<String>,
    operations: BTreeSet<&'static str>,
    scope: &'static str,
}

/// One resource of one group and scope: what is asked about it.
#[derive(Debug, Default)]
struct Asked {
    versions: BTreeSet<String>,
    operations: BTreeSet<&'static str>,
}

/// The rules that cover what all of these cover, sorted. Names and exclusions are left to ourselves.
pub(super) fn union<'a>(
    rules: impl IntoIterator<Item = &'a ResourceRule>,
    coverage: Coverage,
    served: Option<&Served>,
) -> Vec<RuleWithOperations> {
    let mut asked: BTreeMap<(String, String, &'static str), Asked> = BTreeMap::new();
    for rule in rules {
        for (group, resource, scope) in covered(rule, coverage) {
            let asked = asked.entry((group.to_owned(), resource.to_owned(), scope)).or_default();
            asked.versions.extend(rule.api_versions.iter().cloned());
            asked.operations.extend(operations(rule).iter().map(|operation| operation.as_str()));
        }
    }
    let mut joined: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for ((group, resource, scope), Asked { mut versions, operations }) in asked {
        // The API server converts objects into the version that is asked for. With `*` beside it, it would not, and a
        // policy written for that version would not see what was sent as another. One that is not served is never
        // asked for, and must not hide those that are; where nobody knows, all are asked for.
        if versions.len() > 1 && versions.remove("*") {
            versions.retain(|version| served.is_some_and(|served| served.serves(&group, version, &resource)));
            if versions.is_empty() {
                versions.insert("*".to_owned());
            }
        }
        joined.entry(Key { group, versions, operations, scope }).or_default().insert(resource);
    }
    joined.into_iter().map(|(key, resources)| rule(key, resources)).collect()
}

/// Groups, resources and scopes that a rule covers.
fn covered(rule: &ResourceRule, coverage: Coverage) -> Vec<(&str, &str, &'static str)> {
    let mut covered = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            match coverage {
                Coverage::Everywhere => covered.push((group.as_str(), resource.as_str(), scope(rule.scope))),
                Coverage::InNamespaces | Coverage::Namespaced => {
                    if rule.scope != Scope::Cluster && resource != "namespaces" {
                        covered.push((group, resource, "Namespaced"));
                    }
                    let is_core = matches!(group.as_str(), "" | "*");
                    let is_namespaces = matches!(resource.as_str(), "namespaces" | "*" | "*/*");
                    let with_namespaces = coverage == Coverage::InNamespaces;
                    if with_namespaces && rule.scope != Scope::Namespaced && is_core && is_namespaces {
                        covered.push(("", "namespaces", "Cluster"));
                    }
                }
            }
        }
    }
    covered
}

fn operations(rule: &ResourceRule) -> &[Operation] {
    if rule.operations.is_empty() { &Operation::ALL } else { &rule.operations }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "*",
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    }
}

fn rule(Key { group, versions, operations, scope }: Key, resources: BTreeSet<String>) -> RuleWithOperations {
    // In the order of Kubernetes' documentation.
    let operations = Operation::ALL.iter().map(|it| it.as_str()).filter(|it| operations.contains(it));
    RuleWithOperations {
        api_groups: Some(vec![group]),
        api_versions: Some(versions.into_iter().collect()),
        operations: Some(operations.map(str::to_owned).collect()),
        resources: Some(resources.into_iter().collect()),
        scope: Some(scope.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `CREATE,UPDATE apps/v1/deployments,replicasets Namespaced`; `*` for all operations and scopes
    fn parse(text: &str) -> ResourceRule {
        let mut words = text.split(' ');
        let operations = words.next().unwrap();
        let mut path = words.next().unwrap().splitn(3, '/');
        let mut list = || path.next().unwrap().split(',').map(str::to_owned).collect::<Vec<_>>();
        let (api_groups, api_versions, resources) = (list(), list(), list());
        ResourceRule {
            api_groups,
            api_versions,
            resources,
            operations: operations.split(',').filter_map(Operation::parse).collect(),
            scope: match words.next() {
                Some("Namespaced") => Scope::Namespaced,
                Some("Cluster") => Scope::Cluster,
                _ => Scope::All,
            },
            ..ResourceRule::default()
        }
    }

    fn served() -> Served {
        let resources =
            |names: &[&str]| names.iter().map(|name| json!({"resource": name})).collect::<Vec<_>>();
        let groups = json!([
            {"metadata": {}, "versions": [{"version": "v1", "resources": resources(&["pods", "services"])}]},
            {"metadata": {"name": "apps"}, "versions": [
                {"version": "v1", "resources": resources(&["deployments"])},
                {"version": "v1beta1", "resources": resources(&["deployments", "controllers"])},
            ]},
        ]);
        Served::of(serde_json::from_value(groups).unwrap())
    }

    fn show(rule: &RuleWithOperations) -> String {
        let join = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().join(",");
        format!(
            "{} {}/{}/{} {}",
            join(&rule.operations),
            join(&rule.api_groups),
            join(&rule.api_versions),
            join(&rule.resources),
            rule.scope.as_deref().unwrap_or_default()
        )
    }

    fn check(coverage: Coverage, rules: &[&str], expect: &[&str]) {
        let rules: Vec<ResourceRule> = rules.iter().map(|rule| parse(rule)).collect();
        let shown: Vec<String> = union(&rules, coverage, Some(&served())).iter().map(show).collect();
        assert_eq!(shown, expect, "{rules:?}");
    }

    #[test]
    fn rules_are_joined_where_they_say_the_same() {
        let check = |rules: &[&str], expect: &[&str]| check(Coverage::Everywhere, rules, expect);
        check(&[], &[]);
        check(
            &["CREATE /v1/pods", "UPDATE /v1/pods", "CREATE,UPDATE /v1/services"],
            &["CREATE,UPDATE /v1/pods,services *"],
        );
        check(
            &["CREATE /v1/pods", "CREATE apps/v1/deployments"],
            &["CREATE /v1/pods *", "CREATE apps/v1/deployments *"],
        );
        check(&["* /v1/pods/exec"], &["CREATE,UPDATE,DELETE,CONNECT /v1/pods/exec *"]);
        // One that asks for a version keeps being told that version.
        check(
            &["CREATE apps/*/deployments", "CREATE apps/v1/deployments"],
            &["CREATE apps/v1/deployments *"],
        );
        // Unless that is not served, or nobody knows.
        let beside = |version: &str, resource: &str| {
            let named = format!("CREATE apps/{version}/{resource}");
            [format!("CREATE apps/*/{resource}"), named]
        };
        for (version, resource, expect) in [
            ("v2", "deployments", "*"),
            ("v2,v1", "deployments", "v1"),
            ("v1", "controllers", "*"),
            ("v1", "deployments/scale", "v1"),
            ("v2", "*", "*"),
            ("v1", "*", "v1"),
        ] {
            let rules = beside(version, resource);
            check(&[&rules[0], &rules[1]], &[&format!("CREATE apps/{expect}/{resource} *")]);
        }
        check(&["CREATE apps/v2/deployments"], &["CREATE apps/v2/deployments *"]);
        let rules = beside("v1", "deployments").map(|rule| parse(&rule));
        let unknown: Vec<String> = union(&rules, Coverage::Everywhere, None).iter().map(show).collect();
        assert_eq!(unknown, ["CREATE apps/*/deployments *"]);
    }

    #[test]
    fn in_critical_namespaces_nothing_else_of_the_cluster_is_asked_about() {
        let check = |rules: &[&str], expect: &[&str]| check(Coverage::InNamespaces, rules, expect);
        check(&["CREATE /v1/pods"], &["CREATE /v1/pods Namespaced"]);
        check(&["CREATE rbac.authorization.k8s.io/v1/clusterroles Cluster"], &[]);
        check(&["CREATE /v1/namespaces"], &["CREATE /v1/namespaces Cluster"]);
        check(&["DELETE */*/*"], &["DELETE /*/namespaces Cluster", "DELETE */*/* Namespaced"]);
        check(&["DELETE */*/* Namespaced"], &["DELETE */*/* Namespaced"]);
    }
}
