//! From a request to the policies whose rules may match it, at a cost that does not grow with the others.

use crate::document::ResourceRule;
use crate::matching::rules::{Target, split_resource};
use crate::request::{Operation, Request};
use std::collections::HashMap;

/// A policy's rules are indexed exactly up to this many keys, so that lists of groups, versions and
/// resources cannot multiply without bound; what goes beyond makes it a candidate for every request.
const MAX_KEYS_PER_POLICY: usize = 256;

/// Policies by what their rules name. A candidate's rules have still to be compared: the index knows
/// neither names nor scope.
#[derive(Debug, Clone, Default)]
pub struct RuleIndex {
    /// Groups, versions, resources and subresources that rules name.
    symbols: HashMap<Box<str>, Symbol>,
    by_resource: HashMap<ResourceKey, Vec<usize>>,
    /// For requests whose plural is not known.
    by_version: HashMap<VersionKey, Vec<usize>>,
}

/// A string that rules name, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Symbol(usize);

impl Symbol {
    /// `*`
    const ANY: Self = Self(0);
    /// For versions: one or other that a rule names, into which an object from a file might be converted.
    const SOME: Self = Self(usize::MAX);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct VersionKey {
    operation: Operation,
    group: Symbol,
    version: Symbol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ResourceKey {
    version: VersionKey,
    resource: Symbol,
    sub_resource: Symbol,
}

impl RuleIndex {
    /// Indexes policies by their rules. Ids are the caller's own, such as positions in a list.
    pub fn new<'a>(policies: impl IntoIterator<Item = (usize, &'a [ResourceRule])>) -> Self {
        let mut index = Self::default();
        for (id, rules) in policies {
            let keys: usize = rules.iter().map(key_count).fold(0, usize::saturating_add);
            if keys <= MAX_KEYS_PER_POLICY {
                rules.iter().for_each(|rule| index.insert(id, rule));
            } else {
                index.insert_everywhere(id);
            }
        }
        index
    }

    /// The ids of all policies that may match, each once, ascending. What a request was converted to and
    /// what it was sent as are both looked up, since rules with `matchPolicy: Exact` mean the latter.
    pub fn candidates(&self, request: &Request) -> Vec<usize> {
        let original = request.request_resource.is_some().then(|| Target::original(request));
        self.candidates_of(&Target::converted(request), original.as_ref())
    }

    /// The same, for what a request was converted to and what it was sent as, if that is known.
    pub(crate) fn candidates_of(&self, converted: &Target<'_>, original: Option<&Target<'_>>) -> Vec<usize> {
        let mut ids = Vec::new();
        self.look_up(converted, &mut ids);
        original.into_iter().for_each(|original| self.look_up(original, &mut ids));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// At most sixteen probes: each of group, version, resource and subresource by itself and as `*`. For what
    /// nobody has converted yet another eight.
    fn look_up(&self, target: &Target<'_>, ids: &mut Vec<usize>) {
        for group in self.symbols_for(target.group) {
            let other = target.is_convertible.then_some(Symbol::SOME);
            for version in self.symbols_for(target.version).chain(other) {
                let version = VersionKey { operation: target.operation, group, version };
                let Some(resource) = target.resource else {
                    ids.extend(self.by_version.get(&version).into_iter().flatten());
                    continue;
                };
                for resource in self.symbols_for(resource) {
                    for sub_resource in self.symbols_for(target.sub_resource) {
                        let key = ResourceKey { version, resource, sub_resource };
                        ids.extend(self.by_resource.get(&key).into_iter().flatten());
                    }
                }
            }
        }
    }

    /// `*`, and the string itself if any rule names it.
    fn symbols_for(&self, text: &str) -> impl Iterator<Item = Symbol> + use<> {
        [Some(Symbol::ANY), self.symbols.get(text).copied()].into_iter().flatten()
    }

    fn insert(&mut self, id: usize, rule: &ResourceRule) {
        for &operation in operations(rule) {
            for group in &rule.api_groups {
                let group = self.intern(group);
                let versions: Vec<Symbol> =
                    rule.api_versions.iter().map(|version| self.intern(version)).collect();
                for version in versions.into_iter().chain([Symbol::SOME]) {
                    let version = VersionKey { operation, group, version };
                    push(self.by_version.entry(version).or_default(), id);
                    for resource in &rule.resources {
                        let (resource, sub_resource) = split_resource(resource);
                        let resource = self.intern(resource);
                        let key = ResourceKey { version, resource, sub_resource: self.intern(sub_resource) };
                        push(self.by_resource.entry(key).or_default(), id);
                    }
                }
            }
        }
    }

    fn insert_everywhere(&mut self, id: usize) {
        for operation in Operation::ALL {
            let version = VersionKey { operation, group: Symbol::ANY, version: Symbol::ANY };
            push(self.by_version.entry(version).or_default(), id);
            let key = ResourceKey { version, resource: Symbol::ANY, sub_resource: Symbol::ANY };
            push(self.by_resource.entry(key).or_default(), id);
        }
    }

    fn intern(&mut self, text: &str) -> Symbol {
        if text == "*" {
            return Symbol::ANY;
        }
        if let Some(&symbol) = self.symbols.get(text) {
            return symbol;
        }
        let symbol = Symbol(self.symbols.len() + 1);
        self.symbols.insert(text.into(), symbol);
        symbol
    }
}

/// Ids come in order, so a repeated one is the last.
fn push(ids: &mut Vec<usize>, id: usize) {
    if ids.last() != Some(&id) {
        ids.push(id);
    }
}

fn operations(rule: &ResourceRule) -> &[Operation] {
    if rule.operations.is_empty() { &Operation::ALL } else { &rule.operations }
}

fn key_count(rule: &ResourceRule) -> usize {
    [rule.api_groups.len(), rule.api_versions.len(), rule.resources.len(), operations(rule).len()]
        .into_iter()
        .fold(1, usize::saturating_mul)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Match;
    use crate::matching::resources::tests::request;
    use crate::matching::rules::any_matches;
    use crate::matching::rules::tests::rule;

    fn index(policies: &[Vec<ResourceRule>]) -> RuleIndex {
        RuleIndex::new(policies.iter().map(Vec::as_slice).enumerate())
    }

    #[test]
    fn only_candidates_come_back() {
        let mut policies: Vec<_> =
            (0..1_000).map(|number| vec![rule(&format!("example.com v1 widgets{number} *"))]).collect();
        policies[7] = vec![rule("\"\" v1 pods CREATE,UPDATE"), rule("\"\" v1 pods,services *")];
        policies[450] = vec![rule("* * */* *")];
        policies[900] = vec![rule("\"\" * * DELETE,CREATE")];
        policies[901] = vec![rule("\"\" v1 pods/* *")];
        policies[902] = vec![rule("\"\" v1 pods/exec *")];
        policies[903] = Vec::new();
        let index = index(&policies);
        for (target, expect) in [
            ("/v1/pods CREATE", vec![7, 450, 900, 901]),
            ("/v1/pods/exec CONNECT", vec![450, 901, 902]),
            ("/v1/services UPDATE", vec![7, 450]),
            ("/v2/pods DELETE", vec![450, 900]),
            ("example.com/v1/widgets500 CREATE", vec![450, 500]),
            ("example.com/v2/widgets500 CREATE", vec![450]),
            ("apps/v1/deployments CREATE", vec![450]),
        ] {
            assert_eq!(index.candidates(&request(target)), expect, "{target}");
        }
    }

    #[test]
    fn what_a_file_holds_may_be_meant_in_any_version() {
        let index = index(&[vec![rule("apps v1 deployments *")], vec![rule("apps v1 replicasets *")]]);
        let sent = request("apps/v1beta1/deployments CREATE");
        assert_eq!(index.candidates(&sent), [0; 0]);
        assert_eq!(index.candidates(&Request { request_resource: None, ..sent }), [0]);
    }

    #[test]
    fn both_the_converted_and_the_original_resource_are_looked_up() {
        let index =
            index(&[vec![rule("apps v1 deployments *")], vec![rule("extensions v1beta1 deployments *")]]);
        let mut converted = request("apps/v1/deployments CREATE");
        converted.request_resource = request("extensions/v1beta1/deployments CREATE").resource;
        assert_eq!(index.candidates(&converted), [0, 1]);
    }

    #[test]
    fn an_unknown_plural_finds_all_that_could_match() {
        let index = index(&[
            vec![rule("example.com v1 widgets CREATE")],
            vec![rule("example.com v2 widgets CREATE")],
            vec![rule("* * gadgets *")],
            vec![rule("example.com v1 widgets DELETE")],
        ]);
        assert_eq!(index.candidates(&request("example.com/v1/? CREATE")), [0, 1, 2]);
    }

    #[test]
    fn lists_that_multiply_without_bound_are_not_expanded() {
        let many = |prefix: &str| (0..1_000).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
        let wide = ResourceRule {
            api_groups: many("group"),
            api_versions: many("v"),
            resources: many("resource"),
            ..ResourceRule::default()
        };
        let index = index(&[vec![wide], vec![rule("apps v1 deployments *")]]);
        assert!(index.by_resource.len() <= 12, "{}", index.by_resource.len());
        assert_eq!(index.candidates(&request("group1/v1/resource1 CREATE")), [0]);
        assert_eq!(index.candidates(&request("apps/v1/deployments CREATE")), [0, 1]);
        assert_eq!(index.candidates(&request("apps/v1/? CREATE")), [0, 1]);
    }

    /// A linear congruential generator: the same sequence everywhere.
    struct Generator(u64);

    impl Generator {
        fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            choices[(self.0 >> 33) as usize % choices.len()]
        }
    }

    #[test]
    fn candidates_are_a_superset_of_what_matches() {
        let groups = ["\"\"", "apps", "batch", "*", "apps,batch"];
        let versions = ["v1", "v1beta1", "*", "v1,v2"];
        let resources =
            ["pods", "pods/exec", "pods/*", "*/exec", "*", "*/*", "jobs,pods", "jobs/status,*/scale"];
        let operations = ["CREATE", "UPDATE", "CREATE,DELETE", "CONNECT", "*"];
        let mut generator = Generator(3);
        let mut text =
            || [&groups[..], &versions, &resources, &operations].map(|list| generator.pick(list)).join(" ");
        let policies: Vec<Vec<_>> =
            (0..300).map(|number| (0..number % 4).map(|_| rule(&text())).collect()).collect();
        let index = index(&policies);
        let mut matched = 0;
        for _ in 0..1_000 {
            let path = [
                generator.pick(&["", "apps", "batch", "example.com"]),
                generator.pick(&["v1", "v1beta1", "v2"]),
                generator.pick(&["pods", "jobs", "pods/exec", "jobs/status", "jobs/scale", "?"]),
            ]
            .join("/");
            let operation = generator.pick(&["CREATE", "UPDATE", "DELETE", "CONNECT"]);
            let request = request(&format!("{path} {operation}"));
            let concerned =
                |id: &usize| any_matches(&policies[*id], &Target::converted(&request)) != Match::No;
            let brute_force: Vec<usize> = (0..policies.len()).filter(concerned).collect();
            let candidates = index.candidates(&request);
            assert!(candidates.is_sorted_by(|a, b| a < b), "{candidates:?}");
            let filtered: Vec<usize> = candidates.into_iter().filter(concerned).collect();
            assert_eq!(filtered, brute_force, "{path} {operation}");
            matched += filtered.len();
        }
        assert!(matched > 10_000, "{matched}: too few matches to mean anything");
    }
}
