//! Resource rules, as `k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules` compares them.

use super::built_in;
use crate::document::{ResourceRule, Scope, dns_1035_label};
use crate::matching::Match;
use crate::request::{Operation, Request};
use std::collections::BTreeSet;

/// A name of at most 253 characters holds the word of [`ResourceRule::asks_for`] beside what else it says.
const LONGEST_WORD: usize = 200;

/// What rules are compared with: the request as converted, or as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural; `None` where only the kind is known.
    pub resource: Option<&'a str>,
    /// Subresource; empty for the object itself.
    pub sub_resource: &'a str,
    /// What is done.
    pub operation: Operation,
    /// The object's name; empty with `generateName`.
    pub name: &'a str,
    /// The request's namespace.
    pub namespace: &'a str,
    /// The object's kind, for messages.
    pub kind: &'a str,
    /// Whether the object is as somebody wrote it: the API server would convert it to what rules with
    /// `matchPolicy: Equivalent` ask for.
    pub is_convertible: bool,
}

impl<'a> Target<'a> {
    /// The resource that the webhook's rules asked for, into which the API server converted the object.
    pub fn converted(request: &'a Request) -> Self {
        let kind = &request.kind;
        let (group, version, resource) = match &request.resource {
            Some(known) => (&known.group, &known.version, Some(known.resource.as_str())),
            None => (&kind.group, &kind.version, None),
        };
        Self {
            group,
            version,
            resource,
            sub_resource: &request.sub_resource,
            operation: request.operation,
            name: &request.name,
            namespace: &request.namespace,
            kind: &kind.kind,
            is_convertible: request.request_resource.is_none(),
        }
    }

    /// The resource as the requester named it; the converted one where the request does not tell.
    pub fn original(request: &'a Request) -> Self {
        let converted = Self::converted(request);
        match &request.request_resource {
            Some(original) => Self {
                group: &original.group,
                version: &original.version,
                resource: Some(&original.resource),
                sub_resource: request.request_sub_resource.as_deref().unwrap_or(&request.sub_resource),
                ..converted
            },
            None => Self { is_convertible: false, ..converted },
        }
    }

    /// Whether these are different resources, or versions of one.
    pub(super) fn differs(&self, other: &Self) -> bool {
        (self.group, self.version, self.resource) != (other.group, other.version, other.resource)
    }

    fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.version == "v1" && self.resource == Some("namespaces")
    }

    /// What is missing where rules ask for other versions.
    pub(crate) fn in_version(&self, versions: &[String]) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!("{}/", self.group) };
        let versions: Vec<String> = versions.iter().map(|version| format!("`{group}{version}`")).collect();
        format!("the {} as {}", self.kind, versions.join(" or "))
    }

    /// What is missing to know more of a kind.
    pub(crate) fn unknown_kind(&self) -> String {
        built_in::meant(self.group, self.kind)
            .unwrap_or_else(|| format!("the CustomResourceDefinition of kind `{}`", self.kind))
    }
}

/// Whether any of the rules matches. Undecidable only if none surely does.
pub fn any_matches(rules: &[ResourceRule], target: &Target<'_>) -> Match {
    let mut result = Match::No;
    for rule in rules {
        match rule.matches(target) {
            Match::Yes => return Match::Yes,
            Match::No => {}
            unsure => result = unsure,
        }
    }
    result
}

impl ResourceRule {
    /// Whether this rule covers the target; undecidable where that depends on an unknown plural or scope.
    pub fn matches(&self, target: &Target<'_>) -> Match {
        if !self.operations.is_empty() && !self.operations.contains(&target.operation)
            || !contains(&self.api_groups, target.group)
            || !self.names(target.name)
        {
            return Match::No;
        }
        let is_version = contains(&self.api_versions, target.version);
        if !is_version && !target.is_convertible {
            return Match::No;
        }
        match (self.in_scope(target), self.covers_resource(target)) {
            (Some(false), _) | (_, Some(false)) => Match::No,
            (Some(true), Some(true)) if is_version => Match::Yes,
            (Some(true), Some(true)) => Match::Undecidable(target.in_version(&self.api_versions)),
            _ => Match::Undecidable(target.unknown_kind()),
        }
    }

    /// Whether this rule covers whatever has the target's resource, by any name and in any namespace.
    pub(super) fn matches_every(&self, target: &Target<'_>) -> bool {
        self.scope == Scope::All && self.resource_names.is_empty() && self.matches(target) == Match::Yes
    }

    /// The versions that the API server has to convert objects into for this rule, sorted, in one word that is part of a
    /// name and of a path: `v1`, `v1.v1beta1`. None if it takes objects as they are sent.
    pub fn asks_for(&self) -> Option<String> {
        let versions: BTreeSet<&str> = self.api_versions.iter().map(String::as_str).collect();
        if versions.contains("*") {
            return None;
        }
        let mut word = String::new();
        // Nothing is served under another name. What is longer than a word may be is not anybody's list of versions.
        for version in versions.into_iter().filter(|version| dns_1035_label(version)) {
            if word.len() + version.len() < LONGEST_WORD {
                word.extend([if word.is_empty() { "" } else { "." }, version]);
            }
        }
        (!word.is_empty()).then_some(word)
    }

    /// An empty name, as with `generateName`, is in no list.
    fn names(&self, name: &str) -> bool {
        self.resource_names.is_empty()
            || !name.is_empty() && self.resource_names.iter().any(|listed| listed == name)
    }

    /// `None` if that is not known. Namespaces are cluster-scoped, although their requests carry a
    /// namespace: their own name.
    fn in_scope(&self, target: &Target<'_>) -> Option<bool> {
        if self.scope == Scope::All {
            return Some(true);
        }
        if target.resource.is_none() && target.namespace.is_empty() {
            return None;
        }
        let is_cluster = target.namespace.is_empty() || target.is_namespace();
        Some(is_cluster == (self.scope == Scope::Cluster))
    }

    /// `None` if the plural is not known and decides.
    fn covers_resource(&self, target: &Target<'_>) -> Option<bool> {
        let mut named = false;
        for entry in &self.resources {
            let (resource, sub_resource) = split_resource(entry);
            if sub_resource != "*" && sub_resource != target.sub_resource {
                continue;
            }
            if resource == "*" || target.resource == Some(resource) {
                return Some(true);
            }
            named = true;
        }
        if named && target.resource.is_none() { None } else { Some(false) }
    }
}

/// Splits `pods/exec` into resource and subresource, which is empty for the object itself.
pub fn split_resource(entry: &str) -> (&str, &str) {
    entry.split_once('/').unwrap_or((entry, ""))
}

fn contains(listed: &[String], value: &str) -> bool {
    listed.iter().any(|item| item == "*" || item == value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A rule from `groups versions resources operations`, each a comma-separated list; `""` is core.
    pub(crate) fn rule(text: &str) -> ResourceRule {
        let mut fields = text
            .split(' ')
            .map(|list| list.split(',').map(|item| item.trim_matches('"').to_owned()).collect::<Vec<_>>());
        let mut next = || fields.next().unwrap();
        let (api_groups, api_versions, resources) = (next(), next(), next());
        let operations = next().iter().filter_map(|name| Operation::parse(name)).collect();
        ResourceRule { api_groups, api_versions, resources, operations, ..ResourceRule::default() }
    }

    /// A target from `group/version/resource[/subresource] operation`, `?` for an unknown plural.
    fn target(text: &str) -> Target<'_> {
        let (path, operation) = text.split_once(' ').unwrap();
        let mut parts = path.splitn(4, '/');
        let (group, version) = (parts.next().unwrap(), parts.next().unwrap());
        let resource = parts.next().filter(|&plural| plural != "?");
        Target {
            group,
            version,
            resource,
            sub_resource: parts.next().unwrap_or_default(),
            operation: Operation::parse(operation).unwrap(),
            name: "web",
            namespace: "shop",
            kind: "Widget",
            is_convertible: false,
        }
    }

    fn check(rule_text: &str, target_text: &str, expect: bool) {
        let result = rule(rule_text).matches(&target(target_text));
        assert_eq!(result, Match::from(expect), "{rule_text} on {target_text}");
    }

    #[test]
    fn what_objects_have_to_be_converted_into() {
        let long = format!("v{}", "1".repeat(62));
        let many = (100..200).map(|number| format!("v{number}")).collect::<Vec<_>>().join(",");
        for (versions, expect) in [
            ("*", None),
            ("v1", Some("v1")),
            ("v1beta1,v1,v1", Some("v1.v1beta1")),
            ("V1,v-,1v,v.1", None),
            ("v1,V1", Some("v1")),
            (&long, Some(&long)),
            (&format!("{long}1,v2"), Some("v2")),
        ] {
            let rule = rule(&format!("apps {versions} deployments *"));
            assert_eq!(rule.asks_for().as_deref(), expect, "{versions}");
        }
        let word = rule(&format!("apps {many} deployments *")).asks_for().unwrap();
        assert!(
            word.len() <= LONGEST_WORD && word.starts_with("v100.v101.") && !word.ends_with('.'),
            "{word}"
        );
    }

    #[test]
    fn groups_versions_and_operations() {
        check("\"\" v1 pods CREATE", "/v1/pods CREATE", true);
        check("\"\" v1 pods CREATE", "/v1/pods UPDATE", false);
        check("\"\" v1 pods CREATE,UPDATE", "/v1/pods UPDATE", true);
        check("\"\" v1 pods *", "/v1/pods CONNECT", true);
        check("apps v1 pods *", "/v1/pods CREATE", false);
        check("* v1 pods *", "/v1/pods CREATE", true);
        check("apps,* v1 pods *", "/v1/pods CREATE", true);
        check("apps,\"\" v1 pods *", "/v1/pods CREATE", true);
        check("apps v1 deployments *", "apps/v1beta1/deployments CREATE", false);
        check("apps * deployments *", "apps/v1beta1/deployments CREATE", true);
        check("apps v1beta1,v1 deployments *", "apps/v1/deployments DELETE", true);
    }

    #[test]
    fn resources_and_subresources() {
        for (resources, pods, exec, scale) in [
            ("pods", true, false, false),
            ("pods/exec", false, true, false),
            ("pods/*", true, true, false),
            ("*/scale", false, false, true),
            ("*/exec", false, true, false),
            ("*", true, false, false),
            ("*/*", true, true, true),
            ("services,pods/exec", false, true, false),
            ("pod", false, false, false),
            ("deployments/*", false, false, true),
        ] {
            let text = format!("* * {resources} *");
            check(&text, "/v1/pods CREATE", pods);
            check(&text, "/v1/pods/exec CONNECT", exec);
            check(&text, "apps/v1/deployments/scale UPDATE", scale);
        }
    }

    #[test]
    fn names() {
        let mut named = rule("* * pods *");
        named.resource_names = vec!["web".to_owned(), String::new()];
        let mut request = target("/v1/pods UPDATE");
        assert_eq!(named.matches(&request), Match::Yes);
        request.name = "db";
        assert_eq!(named.matches(&request), Match::No);
        request.name = "";
        assert_eq!(named.matches(&request), Match::No, "generateName");
    }

    #[test]
    fn scope() {
        for (text, namespace, namespaced, cluster) in [
            ("/v1/pods CREATE", "shop", true, false),
            ("/v1/nodes CREATE", "", false, true),
            ("/v1/namespaces CREATE", "shop", false, true),
            ("example.com/v1/namespaces CREATE", "shop", true, false),
        ] {
            let request = Target { namespace, ..target(text) };
            for (scope, expect) in
                [(Scope::All, true), (Scope::Namespaced, namespaced), (Scope::Cluster, cluster)]
            {
                let rule = ResourceRule { scope, ..rule("* * * *") };
                assert_eq!(rule.matches(&request), Match::from(expect), "{text} {scope:?}");
            }
        }
    }

    #[test]
    fn an_unknown_plural_is_undecidable_only_where_it_decides() {
        check("* * * *", "example.com/v1/? CREATE", true);
        check("example.com * widgets,*/* *", "example.com/v1/? CREATE", true);
        check("apps v1 widgets *", "example.com/v1/? CREATE", false);
        check("* v2 widgets *", "example.com/v1/? CREATE", false);
        check("* * widgets DELETE", "example.com/v1/? CREATE", false);
        check("* * widgets/status,*/scale *", "example.com/v1/? CREATE", false);
        for resources in ["widgets", "widgets/*"] {
            let result = rule(&format!("* * {resources} *")).matches(&target("example.com/v1/? CREATE"));
            let Match::Undecidable(missing) = result else { panic!("{result:?}") };
            assert_eq!(missing, "the CustomResourceDefinition of kind `Widget`");
        }
    }

    #[test]
    fn an_unknown_scope_is_undecidable_only_where_it_decides() {
        let request = Target { namespace: "", ..target("example.com/v1/? CREATE") };
        for (scope, resources) in [(Scope::Cluster, "*"), (Scope::Namespaced, "*")] {
            let limited = ResourceRule { scope, ..rule(&format!("* * {resources} *")) };
            assert!(matches!(limited.matches(&request), Match::Undecidable(_)));
            let inside = Target { namespace: "shop", ..request };
            assert_eq!(limited.matches(&inside), Match::from(scope == Scope::Namespaced));
            let other = ResourceRule { scope, ..rule("apps * * *") };
            assert_eq!(other.matches(&request), Match::No);
        }
    }

    #[test]
    fn a_sure_match_beats_an_unsure_one() {
        let rules = [rule("* * widgets *"), rule("* * * *")];
        assert_eq!(any_matches(&rules, &target("example.com/v1/? CREATE")), Match::Yes);
        assert!(matches!(
            any_matches(&rules[..1], &target("example.com/v1/? CREATE")),
            Match::Undecidable(_)
        ));
        assert_eq!(any_matches(&[], &target("/v1/pods CREATE")), Match::No);
    }
}
