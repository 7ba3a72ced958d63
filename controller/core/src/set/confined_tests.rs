//! Policies of namespaces other than the controller's.

use super::tests::{messages, named};
use super::{Pairs, PolicySet, Sources, State};
use crate::policy::Class;
use crate::testing::{brief, config_map, create};
use crate::{Facts, Request};
use serde_json::json;

/// A set of ConfigMaps `namespace/name`.
fn set(config_maps: &[(&str, String)]) -> PolicySet {
    let config_maps = config_maps.iter().map(|(place, text)| {
        let (namespace, name) = place.split_once('/').unwrap();
        let mut config_map = config_map(name, text);
        config_map.namespace = namespace.to_owned();
        config_map
    });
    PolicySet::compile(&Sources { config_maps: config_maps.collect(), ..Sources::default() }, None)
}

fn pod(namespace: &str) -> Request {
    create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}}))
}

fn says(set: &PolicySet, pairs: Pairs, request: &Request) -> Vec<String> {
    brief(&set.decide(pairs, request, &Facts::new(true), jiff::Timestamp::UNIX_EPOCH))
}

/// A policy with everything of its spec but actions and validations given.
fn with(name: &str, more: &str, expression: &str) -> String {
    crate::testing::policy(
        name,
        &format!("validationActions: [Deny]\n{more}\nvalidations:\n- expression: {expression}\n  message: m"),
    )
}

const CORE: &str = "matchConstraints:\n  resourceRules:\n  - {apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: ['*']}";

#[test]
fn they_govern_their_own_namespace_and_clash_with_nothing() {
    let set = set(&[
        ("portcullis/a", named("same", "of the cluster")),
        ("shop/a", named("same", "of the shop")),
        ("bank/b", named("same", "of the bank")),
    ]);
    assert_eq!(messages(&set), [] as [&str; 0]);
    let names: Vec<(&str, State)> =
        set.entries().iter().map(|it| (it.info.name.as_str(), it.state)).collect();
    assert_eq!(names, [("bank/same", State::Loaded), ("same", State::Loaded), ("shop/same", State::Loaded)]);
    let (cluster, shop) = ("same: deny [] of the cluster", "shop/same: deny [] of the shop");
    for (pairs, expect) in [
        (Pairs::All, vec![cluster, shop]),
        (Pairs::ClusterWide, vec![cluster]),
        (Pairs::Of(Class::Fail), vec![cluster]),
        (Pairs::Of(Class::Ignore), vec![]),
        (Pairs::Namespaced, vec![shop]),
    ] {
        assert_eq!(says(&set, pairs, &pod("shop")), expect, "{pairs:?}");
    }
    assert_eq!(says(&set, Pairs::Namespaced, &pod("else")), [] as [&str; 0]);
    let matched: Vec<&str> = set.matched_in_namespaces().map(|(namespace, _)| namespace).collect();
    assert_eq!(matched, ["bank", "shop"]);
    assert_eq!(set.matched().count(), 1);
}

#[test]
fn what_is_in_no_namespace_is_none_of_theirs() {
    let set = set(&[("shop/a", with("a", CORE, "'false'"))]);
    assert_eq!(says(&set, Pairs::All, &pod("shop")), ["shop/a: deny [] m"]);
    let mut namespace =
        create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    // As the API server has it.
    namespace.namespace = "shop".to_owned();
    let volume = create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}}));
    for request in [namespace, volume] {
        assert_eq!(says(&set, Pairs::All, &request), [] as [&str; 0], "{:?}", request.kind);
    }
}

#[test]
fn their_exceptions_are_for_their_own_policies_and_others_are_not() {
    let exception = |policies: &str| {
        format!(
            "---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {{name: e}}\nspec:\n  policies: \
             [{policies}]\n  match: {{names: [p]}}\n  reason: because\n"
        )
    };
    let skipped = |policies: &str, of: &str| {
        let set =
            set(&[("portcullis/a", named("a", "m")), ("shop/a", named("a", "m")), (of, exception(policies))]);
        assert_eq!(messages(&set), [] as [&str; 0], "{policies} of {of}");
        let said = says(&set, Pairs::All, &pod("shop"));
        said.iter()
            .filter(|line| line.contains(": skip"))
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for policies in ["a", "'*'"] {
        assert_eq!(skipped(policies, "shop/e"), ["shop/a"]);
        assert_eq!(skipped(policies, "portcullis/e"), ["a"]);
    }
    assert_eq!(skipped("'*'", "bank/e"), [] as [&str; 0]);
}

#[test]
fn what_would_look_outside_is_refused() {
    let check = |more: &str, expression: &str, expect: &str| {
        let set = set(&[("shop/p", with("p", &format!("{CORE}\n{more}"), expression))]);
        let found = messages(&set).join("; ");
        assert!(if expect.is_empty() { found.is_empty() } else { found.contains(expect) }, "{more}: {found}");
        let state = if expect.is_empty() { State::Loaded } else { State::Broken };
        assert_eq!(
            set.entries().first().map(|entry| (entry.info.name.as_str(), entry.state)),
            Some(("shop/p", state))
        );
    };
    let params = |reference: &str| {
        format!(
            "paramKind: {{apiVersion: v1, kind: ConfigMap}}\nparamRef: {{name: limits, {reference} parameterNotFoundAction: Deny}}"
        )
    };
    let lookup = |more: &str| format!("lookups:\n- {{name: them, apiVersion: v1, {more}}}");
    let sees = "size(lookups.them) == 0";
    check("", "'true'", "");
    check(&params(""), "params != null", "");
    check(&params("namespace: shop,"), "params != null", "");
    check(&params("namespace: bank,"), "params != null", "`paramRef.namespace` is `bank`");
    check(&lookup("kind: Service"), sees, "");
    check(&lookup("kind: Service, namespace: shop"), sees, "");
    check(&lookup("kind: Service, namespace: bank"), sees, "may look into namespace `shop` only");
    check(&lookup("kind: Service, namespace: '*'"), sees, "may look into namespace `shop` only");
    check(
        &lookup("kind: Service, namespaceExpression: object.metadata.name"),
        sees,
        "may look into namespace `shop` only",
    );
    check(&lookup("kind: Namespace"), sees, "a Namespace lives outside namespace `shop`");
    check(
        "",
        "authorizer.group('').resource('pods').check('get').allowed()",
        "`authorizer` tells of the whole cluster",
    );
}

#[test]
fn a_reference_without_a_namespace_means_their_own() {
    let more = "lookups:\n- {name: them, apiVersion: v1, kind: Service}\nparamKind: {apiVersion: v1, kind: ConfigMap}\n\
                paramRef: {name: limits, parameterNotFoundAction: Deny}";
    let set = set(&[(
        "shop/p",
        with("p", &format!("{CORE}\n{more}"), "size(lookups.them) == 0 && params != null"),
    )]);
    assert_eq!(messages(&set), [] as [&str; 0]);
    for reference in set.references().keys() {
        assert_eq!(reference.namespace.as_deref(), Some("shop"), "{reference:?}");
    }
    assert_eq!(set.references().len(), 2);
}
