//! The union of what policies match, as few rules as say the same.
//!
//! The API server asks an entry about a request once: about the object as it was sent if any rule matches that, else
//! converted into a version that a rule names. Where rules agree on the versions of what they share, all see what they
//! name. Where they do not, the entry asks about objects as they are sent only, and for each list of versions another one
//! asks about those that were converted for it. Each then sees what a policy of the API server's own sees, which is
//! matched by itself (`k8s.io/apiserver/pkg/admission/plugin/policy/matching`).

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use portcullis_core::document::{ResourceRule, Scope};
use portcullis_core::matching::rules::split_resource;
use portcullis_core::request::Operation;
use portcullis_core::set::Matched;
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

/// The rules of an entry, and of those that it needs beside it.
#[derive(Debug, Default)]
pub(super) struct Union {
    /// Sorted.
    pub(super) rules: Vec<RuleWithOperations>,
    /// Whether none of them is about objects that the API server converts. What fails to be converted fails as a whole,
    /// whatever the failurePolicy.
    pub(super) exact: bool,
    /// By the versions that they name, as [`ResourceRule::asks_for`] has it: what to ask about once more where the API
    /// server converts it. If there is anything, the entry itself is to ask about what matches exactly.
    pub(super) converted: BTreeMap<String, Vec<RuleWithOperations>>,
}

/// What makes resources go into one rule: everything else they have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    group: &'a str,
    versions: Vec<&'a str>,
    operations: BTreeSet<&'static str>,
    scope: &'static str,
}

/// One resource of one group and scope, in these versions.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell<'a> {
    group: &'a str,
    resource: &'a str,
    scope: &'static str,
    versions: BTreeSet<&'a str>,
    /// Whether objects are asked about only as they are sent.
    exact: bool,
    /// The versions that objects are converted into.
    word: Option<String>,
}

/// The operations that are asked about.
type Cells<'a> = BTreeMap<Cell<'a>, BTreeSet<&'static str>>;

/// The rules that cover what all of these cover. Names and exclusions are left to ourselves.
pub(super) fn union<'a>(matched: impl IntoIterator<Item = Matched<'a>>, coverage: Coverage) -> Union {
    let mut cells = Cells::new();
    let rules =
        matched.into_iter().flat_map(|Matched { rules, exact }| rules.iter().map(move |it| (it, exact)));
    for (rule, exact) in rules {
        let versions: BTreeSet<&str> = rule.api_versions.iter().map(String::as_str).collect();
        let word = rule.asks_for().filter(|_| !exact);
        for (group, resource, scope) in covered(rule, coverage) {
            let (versions, word) = (versions.clone(), word.clone());
            let cell = Cell { group, resource, scope, versions, exact, word };
            let asked = cells.entry(cell).or_default();
            asked.extend(operations(rule).iter().map(|operation| operation.as_str()));
        }
    }
    let converted = if disagree(&cells) { conversions(&cells) } else { BTreeMap::new() };
    let asked = cells.iter().map(|(cell, operations)| (cell, cell.versions.iter().copied(), operations));
    Union { rules: joined(asked), exact: cells.keys().all(|cell| cell.exact), converted }
}

/// The rules that name versions, by these.
fn conversions(cells: &Cells<'_>) -> BTreeMap<String, Vec<RuleWithOperations>> {
    let words: BTreeSet<&str> = cells.keys().filter_map(|cell| cell.word.as_deref()).collect();
    let rules = |word: &str| {
        let named = cells.iter().filter(|(cell, _)| cell.word.as_deref() == Some(word));
        joined(named.map(|(cell, operations)| (cell, word.split('.'), operations)))
    };
    words.into_iter().map(|word| (word.to_owned(), rules(word))).collect()
}

/// Whether two rules may match one request and name different versions: whoever sees it as the one names it is no use
/// to the other.
fn disagree(cells: &Cells<'_>) -> bool {
    let is_pattern = |cell: &Cell<'_>| cell.group == "*" || cell.resource.contains('*');
    let mut by_name: BTreeMap<(&str, &str), Vec<_>> = BTreeMap::new();
    for entry in cells.iter().filter(|(cell, _)| !is_pattern(cell)) {
        by_name.entry((entry.0.group, entry.0.resource)).or_default().push(entry);
    }
    let differ = |(cell, operations): (&Cell<'_>, &BTreeSet<&str>), other: (&Cell<'_>, &BTreeSet<&str>)| {
        cell.versions != other.0.versions && cell.overlaps(other.0) && !operations.is_disjoint(other.1)
    };
    by_name.values().any(|same| same.iter().any(|&one| same.iter().any(|&other| differ(one, other))))
        || cells
            .iter()
            .filter(|(cell, _)| is_pattern(cell))
            .any(|one| cells.iter().any(|other| differ(one, other)))
}

impl Cell<'_> {
    /// Whether there may be a resource that both are about.
    fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: &str, other: &str| one == other || one == "*" || other == "*";
        let (own, theirs) = (split_resource(self.resource), split_resource(other.resource));
        meet(self.group, other.group)
            && meet(own.0, theirs.0)
            && meet(own.1, theirs.1)
            && meet(self.scope, other.scope)
    }
}

/// As few rules as these cells take.
fn joined<'a, V: Iterator<Item = &'a str>>(
    cells: impl Iterator<Item = (&'a Cell<'a>, V, &'a BTreeSet<&'static str>)>,
) -> Vec<RuleWithOperations> {
    let mut joined: BTreeMap<Key<'_>, BTreeSet<&str>> = BTreeMap::new();
    for (Cell { group, resource, scope, .. }, versions, operations) in cells {
        let key = Key { group, versions: versions.collect(), operations: operations.clone(), scope };
        joined.entry(key).or_default().insert(resource);
    }
    let widest = |resources: BTreeSet<&'a str>| {
        let is_covered = |one: &&str| resources.iter().any(|other| other != one && covers(other, one));
        resources.iter().copied().filter(|one| !is_covered(one)).collect()
    };
    joined.into_iter().map(|(key, resources)| rule(key, widest(resources))).collect()
}

/// Whether an entry of a rule's `resources` names all that another one does. The API server refuses rules that have both
/// (`validateResources` of `pkg/apis/admissionregistration/validation`), and with them the whole configuration.
fn covers(wide: &str, narrow: &str) -> bool {
    let (wide, narrow) = (split_resource(wide), split_resource(narrow));
    let meets = |wide: &str, narrow: &str| wide == "*" || wide == narrow;
    meets(wide.0, narrow.0) && meets(wide.1, narrow.1)
}

/// Groups, resources and scopes that a rule covers.
fn covered(rule: &ResourceRule, coverage: Coverage) -> Vec<(&str, &str, &'static str)> {
    let mut covered = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            match coverage {
                Coverage::Everywhere => covered.push((group.as_str(), resource.as_str(), scope(rule.scope))),
                Coverage::InNamespaces | Coverage::Namespaced => {
                    let (named, sub_resource) = split_resource(resource);
                    if rule.scope != Scope::Cluster && named != "namespaces" {
                        covered.push((group, resource, "Namespaced"));
                    }
                    let is_core = matches!(group.as_str(), "" | "*");
                    let with_namespaces = coverage == Coverage::InNamespaces;
                    if with_namespaces && rule.scope != Scope::Namespaced && is_core {
                        let of_namespaces = match (named, sub_resource) {
                            ("namespaces", _) => Some(resource.as_str()),
                            ("*", "") => Some("namespaces"),
                            ("*", "*") => Some("namespaces/*"),
                            ("*", "status") => Some("namespaces/status"),
                            ("*", "finalize") => Some("namespaces/finalize"),
                            _ => None,
                        };
                        covered.extend(of_namespaces.map(|resource| ("", resource, "Cluster")));
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

fn rule(
    Key { group, versions, operations, scope }: Key<'_>,
    resources: BTreeSet<&str>,
) -> RuleWithOperations {
    let owned = |list: Vec<&str>| Some(list.into_iter().map(str::to_owned).collect());
    // In the order of Kubernetes' documentation.
    let operations = Operation::ALL.iter().map(|it| it.as_str()).filter(|it| operations.contains(it));
    RuleWithOperations {
        api_groups: owned(vec![group]),
        api_versions: owned(versions),
        operations: owned(operations.collect()),
        resources: owned(resources.into_iter().collect()),
        scope: Some(scope.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn matched(rules: &[ResourceRule], exact: bool) -> Matched<'_> {
        Matched { rules, exact }
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

    /// The rules of the entry, and after `for V:` those of what is asked about converted into V.
    fn check(coverage: Coverage, rules: &[&str], expect: &[&str]) {
        let rules: Vec<ResourceRule> = rules.iter().map(|rule| parse(rule)).collect();
        let Union { rules: asked, converted, .. } = union([matched(&rules, false)], coverage);
        let mut shown: Vec<String> = asked.iter().map(show).collect();
        for (word, rules) in converted {
            shown.extend(rules.iter().map(|rule| format!("for {word}: {}", show(rule))));
        }
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
        check(
            &["CREATE apps/v1/deployments", "CREATE autoscaling/v2/horizontalpodautoscalers"],
            &["CREATE apps/v1/deployments *", "CREATE autoscaling/v2/horizontalpodautoscalers *"],
        );
    }

    #[test]
    fn what_a_wider_rule_covers_is_not_named_beside_it() {
        let check = |rules: &[&str], expect: &[&str]| check(Coverage::Everywhere, rules, expect);
        check(&["CREATE /v1/pods,services,pods/exec", "CREATE /v1/*"], &["CREATE /v1/*,pods/exec *"]);
        check(
            &["CREATE /v1/pods,pods/exec,services", "CREATE /v1/pods/*"],
            &["CREATE /v1/pods/*,services *"],
        );
        check(&["CREATE /v1/pods/exec,pods", "CREATE /v1/*/exec"], &["CREATE /v1/*/exec,pods *"]);
        check(&["CREATE /v1/pods,*,pods/exec,*/scale,pods/*", "CREATE /v1/*/*"], &["CREATE /v1/*/* *"]);
    }

    #[test]
    fn where_rules_name_different_versions_each_has_its_own() {
        let check = |rules: &[&str], expect: &[&str]| check(Coverage::Everywhere, rules, expect);
        check(
            &["CREATE */*/*", "CREATE apps/v1/deployments", "CREATE autoscaling/v2/hpas"],
            &[
                "CREATE */*/* *",
                "CREATE apps/v1/deployments *",
                "CREATE autoscaling/v2/hpas *",
                "for v1: CREATE apps/v1/deployments *",
                "for v2: CREATE autoscaling/v2/hpas *",
            ],
        );
        check(
            &["CREATE apps/v1,v1beta1/deployments", "CREATE apps/v1/deployments", "* apps/v2/deployments"],
            &[
                "CREATE apps/v1/deployments *",
                "CREATE apps/v1,v1beta1/deployments *",
                "CREATE,UPDATE,DELETE,CONNECT apps/v2/deployments *",
                "for v1: CREATE apps/v1/deployments *",
                "for v1.v1beta1: CREATE apps/v1,v1beta1/deployments *",
                "for v2: CREATE,UPDATE,DELETE,CONNECT apps/v2/deployments *",
            ],
        );
    }

    #[test]
    fn rules_that_share_nothing_cannot_disagree() {
        for (one, other, disagree) in [
            ("CREATE apps/*/deployments", "CREATE apps/v1/deployments", true),
            ("CREATE apps/*/deployments", "UPDATE apps/v1/deployments", false),
            ("CREATE apps/*/deployments", "UPDATE,CREATE apps/v1/deployments", true),
            ("CREATE apps/*/deployments", "CREATE apps/v1/deployments/scale", false),
            ("CREATE apps/v2/deployments/*", "CREATE apps/v1/deployments/scale", true),
            ("CREATE apps/v2/deployments/*", "CREATE apps/v1/deployments", true),
            ("CREATE apps/v2/*", "CREATE apps/v1/deployments/scale", false),
            ("CREATE apps/v2/*/scale", "CREATE apps/v1/deployments/scale", true),
            ("CREATE apps/v2/*/scale", "CREATE apps/v1/deployments/*", true),
            ("CREATE apps/v2/*/scale", "CREATE apps/v1/deployments/status", false),
            ("CREATE */*/*/*", "CREATE apps/v1/deployments/status", true),
            ("CREATE */*/*", "CREATE apps/v1/deployments/status", false),
            ("CREATE */v1/*", "CREATE apps/v2/deployments", true),
            ("CREATE */v1/*", "CREATE apps/v1/deployments", false),
            ("CREATE batch/v1/*", "CREATE apps/v2/*", false),
            ("CREATE apps/v1/* Cluster", "CREATE apps/v2/* Namespaced", false),
            ("CREATE apps/v1/* Cluster", "CREATE apps/v2/*", true),
            ("CREATE apps/v1,v2/*", "CREATE apps/v2,v1/deployments", false),
        ] {
            let rules = [parse(one), parse(other)];
            let union = union([matched(&rules, false)], Coverage::Everywhere);
            assert_eq!(!union.converted.is_empty(), disagree, "{one} and {other}");
        }
    }

    #[test]
    fn nothing_is_converted_for_who_takes_it_as_it_was_sent() {
        let (every, one) = ([parse("CREATE */*/*")], [parse("CREATE apps/v1/deployments")]);
        let made = |all: &[Matched<'_>]| {
            let Union { exact, converted, .. } = union(all.iter().copied(), Coverage::Everywhere);
            (exact, converted.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(made(&[matched(&one, true)]), (true, vec![]));
        assert_eq!(made(&[matched(&one, false)]), (false, vec![]));
        assert_eq!(made(&[matched(&every, false), matched(&one, true)]), (false, vec![]));
        assert_eq!(made(&[matched(&every, true), matched(&one, false)]), (false, vec!["v1".to_owned()]));
    }

    #[test]
    fn in_critical_namespaces_nothing_else_of_the_cluster_is_asked_about() {
        let check = |rules: &[&str], expect: &[&str]| check(Coverage::InNamespaces, rules, expect);
        check(&["CREATE /v1/pods"], &["CREATE /v1/pods Namespaced"]);
        check(&["CREATE rbac.authorization.k8s.io/v1/clusterroles Cluster"], &[]);
        check(&["CREATE /v1/namespaces"], &["CREATE /v1/namespaces Cluster"]);
        check(&["DELETE */*/*"], &["DELETE /*/namespaces Cluster", "DELETE */*/* Namespaced"]);
        check(&["DELETE */*/*/*"], &["DELETE /*/namespaces/* Cluster", "DELETE */*/*/* Namespaced"]);
        check(&["DELETE /v1/namespaces/*"], &["DELETE /v1/namespaces/* Cluster"]);
        check(
            &["UPDATE */*/*/finalize"],
            &["UPDATE /*/namespaces/finalize Cluster", "UPDATE */*/*/finalize Namespaced"],
        );
        check(&["UPDATE /v1/*/scale"], &["UPDATE /v1/*/scale Namespaced"]);
        check(&["DELETE */*/* Namespaced"], &["DELETE */*/* Namespaced"]);
    }
}
