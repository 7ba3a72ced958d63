//! `matchConstraints` and `matchResources`: selectors and rules together, in the API server's order
//! (`k8s.io/apiserver/pkg/admission/plugin/policy/matching/matching.go`).

use crate::document::{MatchResources, ResourceRule};
use crate::facts::Facts;
use crate::matching::Match;
use crate::matching::rules::{Target, any_matches};
use crate::matching::selector::label;
use crate::request::{Operation, Request};
use portcullis_cel::{Node, Tree};

/// The label that every Namespace carries with its own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl MatchResources {
    /// Whether these constraints cover the request. Empty `resourceRules` cover every resource, which only
    /// a binding may use. What is wrong with a selector surfaces only if the rules match.
    pub fn matches(&self, request: &Request, facts: &Facts) -> Match {
        self.covers(request, facts, |rules, original, converted| match self.exact {
            true => any_matches(rules, original),
            false => match any_matches(rules, converted) {
                Match::No if any_matches(rules, original) == Match::Yes => {
                    Match::Undecidable(original.in_version(&[original.version.to_owned()]))
                }
                found => found,
            },
        })
    }

    /// The same for a binding, which narrows what its policy matches and does not say in which version that is seen.
    /// The API server compares it with the object as it was sent and with all that this can be converted to. What that
    /// is, it alone knows: every version that is named counts.
    pub fn matches_in_any_version(&self, request: &Request, facts: &Facts) -> Match {
        if self.exact || request.request_resource.is_none() {
            return self.matches(request, facts);
        }
        self.covers(request, facts, |rules, original, converted| {
            let included = |target: &Target<'_>| {
                any_matches(rules, &Target { is_convertible: true, ..*target }) != Match::No
            };
            (included(original) || included(converted)).into()
        })
    }

    /// Whether selectors and exclusions leave the request to the rules, and whether these include it, as it was sent and
    /// as it was converted.
    fn covers(
        &self,
        request: &Request,
        facts: &Facts,
        include: impl FnOnce(&[ResourceRule], &Target<'_>, &Target<'_>) -> Match,
    ) -> Match {
        let namespace = self.selects_namespace(request, facts);
        if namespace == Match::No || !self.selects_object(request) {
            return Match::No;
        }
        let (original, converted) = (Target::original(request), Target::converted(request));
        // The API server tries the object as it was sent first, then, unless they are to match exactly, as
        // everything that it can be converted to.
        let of_original = |rules: &[ResourceRule]| any_matches(rules, &original);
        let of_converted = |rules: &[ResourceRule]| match self.exact {
            true => of_original(rules),
            false => any_matches(rules, &converted),
        };
        let excluded = of_converted(&self.exclude_resource_rules);
        if excluded == Match::Yes || of_original(&self.exclude_resource_rules) == Match::Yes {
            return Match::No;
        }
        let included = match self.resource_rules.as_slice() {
            [] => Match::Yes,
            rules => include(rules, &original, &converted),
        };
        match (included, excluded) {
            (Match::Yes, Match::No) => namespace,
            (Match::Yes, unsure) | (unsure, _) => unsure,
        }
    }

    /// `objectSelector`: the new object or the old one.
    fn selects_object(&self, request: &Request) -> bool {
        self.object_selector.matches_object(&request.object)
            || self.object_selector.matches_object(&request.old_object)
    }

    /// `namespaceSelector`. Cluster-scoped objects other than Namespaces always pass.
    fn selects_namespace(&self, request: &Request, facts: &Facts) -> Match {
        if self.namespace_selector.is_empty() {
            return Match::Yes;
        }
        let is_namespace = request.resource.as_ref().is_some_and(|known| known.resource == "namespaces");
        if is_namespace && request.sub_resource.is_empty() {
            match request.operation {
                Operation::Create | Operation::Update => return self.selects_labels_of(&request.object),
                Operation::Delete | Operation::Connect => {}
            }
        }
        if request.namespace.is_empty() && !is_namespace {
            return match request.resource {
                Some(_) => Match::Yes,
                None => Match::Undecidable(Target::converted(request).unknown_kind()),
            };
        }
        match facts.namespace(&request.namespace) {
            Some(stored) => self.selects_labels_of(stored),
            None if is_namespace && !request.old_object.is_null() => {
                self.selects_labels_of(&request.old_object)
            }
            None => self.selects_by_name(&request.namespace, facts),
        }
    }

    /// Compares a Namespace's labels. The name's label is implied: the API server always sets it, files
    /// seldom do.
    fn selects_labels_of(&self, namespace: &Tree) -> Match {
        let metadata = namespace.get("metadata");
        let name = metadata.and_then(|metadata| metadata.get("name")).and_then(Node::as_str);
        let labels = metadata.and_then(|metadata| metadata.get("labels"));
        let holds = self.namespace_selector.requirements.iter().all(|requirement| {
            let implied = name.filter(|name| requirement.key == NAME_LABEL && !name.is_empty());
            requirement.matches(implied.or_else(|| label(labels, &requirement.key)))
        });
        holds.into()
    }

    /// Decides for a Namespace of which only the name is known, where the name is enough.
    fn selects_by_name(&self, name: &str, facts: &Facts) -> Match {
        let mut by_name = true;
        for requirement in &self.namespace_selector.requirements {
            if requirement.key != NAME_LABEL {
                by_name = false;
            } else if !requirement.matches(Some(name)) {
                return Match::No;
            }
        }
        if by_name {
            Match::Yes
        } else if facts.is_complete() {
            Match::UnknownNamespace(name.to_owned())
        } else {
            Match::Undecidable(format!("the labels of namespace `{name}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{LabelSelector, MatchPods, Matching, Requirement, Scope, SelectorOperator};
    use crate::matching::Matcher;
    use crate::matching::resources::tests::request;
    use crate::matching::rules::tests::rule;
    use serde_json::{Value as Json, json};

    /// A selector from requirements such as `env=prod`, `env!=prod`, `env`, `!env`.
    fn selector(text: &str) -> LabelSelector {
        let one = |value: &str| vec![value.to_owned()];
        let parse = |text: &str| {
            let (key, operator) = if let Some((key, value)) = text.split_once("!=") {
                (key, SelectorOperator::NotIn(one(value)))
            } else if let Some((key, value)) = text.split_once('=') {
                (key, SelectorOperator::In(one(value)))
            } else if let Some(key) = text.strip_prefix('!') {
                (key, SelectorOperator::DoesNotExist)
            } else {
                (text, SelectorOperator::Exists)
            };
            Requirement { key: key.to_owned(), operator }
        };
        LabelSelector { requirements: text.split_whitespace().map(parse).collect() }
    }

    fn namespace(name: &str, labels: Json) -> Json {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    }

    fn facts(complete: bool) -> Facts {
        let mut facts = Facts::new(complete);
        facts.add(namespace("shop", json!({"env": "prod"})));
        facts
    }

    fn by_namespace(text: &str) -> MatchResources {
        MatchResources {
            namespace_selector: selector(text),
            resource_rules: vec![rule("* * */* *")],
            ..MatchResources::default()
        }
    }

    fn in_namespace(text: &str, namespace: &str) -> Request {
        Request { namespace: namespace.to_owned(), ..request(text) }
    }

    #[test]
    fn namespace_selector() {
        for (text, namespace, expect) in [
            ("env=prod", "shop", true),
            ("env=dev", "shop", false),
            ("!env", "shop", false),
            ("kubernetes.io/metadata.name=shop", "shop", true),
            ("kubernetes.io/metadata.name!=shop", "shop", false),
            ("kubernetes.io/metadata.name!=shop", "unknown", true),
            ("kubernetes.io/metadata.name=shop", "unknown", false),
            ("kubernetes.io/metadata.name=shop env=prod", "unknown", false),
            ("kubernetes.io/metadata.name", "unknown", true),
        ] {
            for complete in [true, false] {
                let result =
                    by_namespace(text).matches(&in_namespace("/v1/pods CREATE", namespace), &facts(complete));
                assert_eq!(result, Match::from(expect), "{text} on {namespace}");
            }
        }
    }

    #[test]
    fn a_namespace_that_is_not_known() {
        let request = in_namespace("/v1/pods CREATE", "other");
        for text in ["env=prod", "!env", "kubernetes.io/metadata.name=other env=prod"] {
            assert_eq!(
                by_namespace(text).matches(&request, &facts(true)),
                Match::UnknownNamespace("other".to_owned())
            );
            assert_eq!(
                by_namespace(text).matches(&request, &facts(false)),
                Match::Undecidable("the labels of namespace `other`".to_owned())
            );
        }
        let mut elsewhere = by_namespace("env=prod");
        elsewhere.resource_rules = vec![rule("apps v1 deployments *")];
        assert_eq!(elsewhere.matches(&request, &facts(true)), Match::No, "errors need matching rules");
        let mut excluded = by_namespace("env=prod");
        excluded.exclude_resource_rules = vec![rule("\"\" v1 pods *")];
        assert_eq!(excluded.matches(&request, &facts(true)), Match::No, "errors need matching rules");
        let mut by_object = by_namespace("env=prod");
        by_object.object_selector = selector("app");
        assert_eq!(by_object.matches(&request, &facts(true)), Match::No, "errors need a selected object");
    }

    #[test]
    fn cluster_scoped_objects_pass_the_namespace_selector() {
        let role = in_namespace("rbac.authorization.k8s.io/v1/clusterroles CREATE", "");
        assert_eq!(by_namespace("env=dev").matches(&role, &facts(true)), Match::Yes);
        let unknown = in_namespace("example.com/v1/? CREATE", "");
        assert!(matches!(by_namespace("env=dev").matches(&unknown, &facts(true)), Match::Undecidable(_)));
        let inside = in_namespace("example.com/v1/? CREATE", "shop");
        assert_eq!(by_namespace("env=prod").matches(&inside, &facts(true)), Match::Yes);
    }

    #[test]
    fn namespaces_bring_their_own_labels_or_the_stored_ones() {
        for (text, own_expected) in [
            ("/v1/namespaces CREATE", true),
            ("/v1/namespaces UPDATE", true),
            ("/v1/namespaces DELETE", false),
            ("/v1/namespaces/finalize UPDATE", false),
            ("/v1/namespaces/status UPDATE", false),
        ] {
            let mut request = in_namespace(text, "shop");
            request.object = match request.operation {
                Operation::Delete => Tree::default(),
                _ => namespace("shop", json!({"env": "dev"})).into(),
            };
            let own = by_namespace("env=dev").matches(&request, &facts(true));
            let stored = by_namespace("env=prod").matches(&request, &facts(true));
            assert_eq!((own, stored), (own_expected.into(), (!own_expected).into()), "{text}");

            request.old_object = namespace("new", json!({"env": "old"})).into();
            request.namespace = "new".to_owned();
            let old = by_namespace("env=old").matches(&request, &facts(true));
            assert_eq!(old, (!own_expected).into(), "{text}: the old object where nothing is stored");
        }
        let mut created = in_namespace("/v1/namespaces CREATE", "new");
        created.object = namespace("new", json!(null)).into();
        let named = by_namespace("kubernetes.io/metadata.name=new !env");
        assert_eq!(named.matches(&created, &facts(true)), Match::Yes, "the name is an implied label");
    }

    #[test]
    fn object_selector_takes_either_object() {
        let labelled = json!({"metadata": {"labels": {"app": "web"}}});
        let bare = json!({"metadata": {"name": "web"}});
        for (object, old_object, expect) in [
            (&labelled, &Json::Null, true),
            (&bare, &labelled, true),
            (&labelled, &bare, true),
            (&Json::Null, &labelled, true),
            (&bare, &bare, false),
            (&json!({"kind": "PodExecOptions"}), &Json::Null, false),
        ] {
            let constraints = MatchResources {
                object_selector: selector("app=web"),
                resource_rules: vec![rule("* * */* *")],
                ..MatchResources::default()
            };
            let request = Request {
                object: object.into(),
                old_object: old_object.into(),
                ..request("/v1/pods UPDATE")
            };
            assert_eq!(constraints.matches(&request, &facts(true)), Match::from(expect), "{object}");
        }
        let absent = MatchResources { object_selector: selector("!app"), ..MatchResources::default() };
        let exec = Request {
            object: json!({"kind": "PodExecOptions", "command": ["sh"]}).into(),
            ..request("/v1/pods/exec CONNECT")
        };
        assert_eq!(absent.matches(&exec, &facts(true)), Match::No, "options have no metadata");
    }

    #[test]
    fn rules_and_exclusions() {
        for (rules, excluded, expect) in [
            (&["\"\" v1 pods *"][..], &[][..], true),
            (&["\"\" v1 pods *"], &["* * * DELETE"], true),
            (&["\"\" v1 pods *"], &["* * * CREATE"], false),
            (&["apps v1 * *"], &[], false),
            (&["apps v1 * *", "\"\" v1 pods *"], &[], true),
            (&[], &[], true),
            (&[], &["\"\" v1 pods *"], false),
        ] {
            let parse = |texts: &[&str]| texts.iter().map(|text| rule(text)).collect::<Vec<_>>();
            let constraints = MatchResources {
                resource_rules: parse(rules),
                exclude_resource_rules: parse(excluded),
                ..MatchResources::default()
            };
            let result = constraints.matches(&request("/v1/pods CREATE"), &facts(true));
            assert_eq!(result, Match::from(expect), "{rules:?} but {excluded:?}");
        }
    }

    #[test]
    fn an_unknown_plural_in_exclusions() {
        let request = request("example.com/v1/? CREATE");
        for (rules, excluded, expect) in [
            ("* * * *", "* * widgets *", None),
            ("* * * *", "apps * widgets *", Some(true)),
            ("* * widgets *", "* * * *", Some(false)),
            ("apps * * *", "* * widgets *", Some(false)),
        ] {
            let constraints = MatchResources {
                resource_rules: vec![rule(rules)],
                exclude_resource_rules: vec![rule(excluded)],
                ..MatchResources::default()
            };
            match (constraints.matches(&request, &facts(true)), expect) {
                (Match::Undecidable(_), None) => {}
                (result, expect) => assert_eq!(Some(result), expect.map(Match::from), "{rules}"),
            }
        }
    }

    #[test]
    fn what_matches_every_request_is_known_ahead() {
        let request = request("/v1/pods CREATE");
        let check = |change: fn(&mut MatchResources), expect: bool| {
            let mut constraints =
                MatchResources { resource_rules: vec![rule("\"\" v1 pods *")], ..MatchResources::default() };
            change(&mut constraints);
            let matcher = Matcher::new(&Matching::Constraints(constraints));
            assert_eq!(matcher.matches_every(&Target::converted(&request)), expect);
            if expect {
                assert_eq!(matcher.matches(&request, &facts(false)), Match::Yes);
            }
        };
        check(|_| {}, true);
        check(|all| all.resource_rules.insert(0, rule("apps v1 * *")), true);
        check(|all| all.resource_rules = vec![rule("\"\" v1 pods UPDATE")], false);
        check(|all| all.resource_rules.clear(), false);
        check(|all| all.resource_rules[0].resource_names = vec!["web".to_owned()], false);
        check(|all| all.resource_rules[0].scope = Scope::Namespaced, false);
        check(|all| all.exclude_resource_rules = vec![rule("apps v1 * *")], false);
        check(|all| all.namespace_selector = selector("env"), false);
        check(|all| all.object_selector = selector("!env"), false);
        check(|all| all.exact = true, false);
        for (text, expect) in [("", true), ("app", false)] {
            let pods = MatchPods { pod_selector: selector(text), ..MatchPods::default() };
            let matcher = Matcher::new(&Matching::Pods(pods));
            assert_eq!(matcher.matches_every(&Target::converted(&request)), expect, "{text}");
        }
    }

    #[test]
    fn match_policy_tells_whether_a_conversion_is_wanted() {
        let converted = Request {
            request_resource: request("extensions/v1beta1/deployments UPDATE").resource,
            ..request("apps/v1/deployments UPDATE")
        };
        let sent = request("apps/v1/deployments UPDATE");
        let file = Request { request_resource: None, ..sent.clone() };
        let needs = |version: &str| Match::Undecidable(format!("the Deployment as `{version}`"));
        for (request, rules, exact, expect) in [
            (&converted, "apps v1 deployments *", false, Match::Yes),
            (&converted, "apps v1 deployments *", true, Match::No),
            (&converted, "extensions v1beta1 deployments *", false, needs("extensions/v1beta1")),
            (&converted, "extensions v1beta1 deployments *", true, Match::Yes),
            (&converted, "batch v1 deployments *", false, Match::No),
            (&sent, "apps v2 deployments *", false, Match::No),
            (&file, "apps v2 deployments *", false, needs("apps/v2")),
            (&file, "apps v2,v1 deployments *", false, Match::Yes),
            (&file, "apps v2 deployments *", true, Match::No),
            (&file, "apps v2 deployments CREATE", false, Match::No),
            (&file, "apps v2 replicasets *", false, Match::No),
            (&file, "batch v2 deployments *", false, Match::No),
        ] {
            let constraints =
                MatchResources { resource_rules: vec![rule(rules)], exact, ..MatchResources::default() };
            assert_eq!(constraints.matches(request, &facts(true)), expect, "{rules} exact: {exact}");
        }
        for (request, rules, exact, expect) in [
            (&converted, "extensions v1beta1 deployments *", false, Match::Yes),
            (&converted, "apps v1beta1 deployments *", false, Match::Yes),
            (&converted, "apps v1beta1 deployments *", true, Match::No),
            (&converted, "batch v1 deployments *", false, Match::No),
            (&sent, "apps v2 deployments *", false, Match::Yes),
            (&sent, "apps v2 deployments *", true, Match::No),
            (&sent, "apps v2 deployments CREATE", false, Match::No),
            (&sent, "apps v2 deployments/scale *", false, Match::No),
            (&file, "apps v2 deployments *", false, needs("apps/v2")),
        ] {
            let narrowing =
                MatchResources { resource_rules: vec![rule(rules)], exact, ..MatchResources::default() };
            assert_eq!(
                narrowing.matches_in_any_version(request, &facts(true)),
                expect,
                "{rules} exact: {exact}"
            );
        }
        let excluding = MatchResources {
            resource_rules: vec![rule("apps * deployments *")],
            exclude_resource_rules: vec![rule("extensions * deployments *")],
            ..MatchResources::default()
        };
        assert_eq!(excluding.matches(&converted, &facts(true)), Match::No, "as it was sent it is excluded");
        assert_eq!(excluding.matches(&sent, &facts(true)), Match::Yes);
        let mut scaled = request("apps/v1/deployments UPDATE");
        scaled.request_resource = scaled.resource.clone();
        scaled.request_sub_resource = Some("scale".to_owned());
        let exact = |resources: &str| MatchResources {
            resource_rules: vec![rule(&format!("apps v1 {resources} *"))],
            exact: true,
            ..MatchResources::default()
        };
        assert_eq!(exact("deployments/scale").matches(&scaled, &facts(true)), Match::Yes);
        assert_eq!(exact("deployments").matches(&scaled, &facts(true)), Match::No);
    }
}
