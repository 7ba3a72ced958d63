//! Policies judged through the whole core: documents in, verdicts and findings out.

use crate::facts::Facts;
use crate::request::Request;
use crate::testing::{brief, create, decide, decide_with, pod, policy, set, update};
use serde_json::{Value as Json, json};

fn check(documents: &str, request: &Request, expected: &[&str]) {
    assert_eq!(brief(&decide(&set(documents), request)), expected, "{documents}");
}

/// A Deny policy over Pods and templates with one validation.
fn over_pods(validation: &str) -> String {
    policy("p", &format!("validationActions: [Deny]\nmatchPods: {{}}\nvalidations:\n{validation}"))
}

/// A Deny policy over ConfigMaps.
fn over_config_maps(rest: &str) -> String {
    let head = "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  \
                - {apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps]}\n";
    policy("p", &format!("{head}{rest}"))
}

fn config_map(data: Json) -> Json {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": data})
}

#[test]
fn a_violation_is_located_by_what_the_expression_reads() {
    let host_network = over_pods(
        "- expression: \"!has(podSpec.hostNetwork) || podSpec.hostNetwork == false\"\n  message: nope",
    );
    check(&host_network, &create(pod(json!({"hostNetwork": true}))), &["p: deny [spec.hostNetwork] nope"]);
    check(&host_network, &create(pod(json!({"hostNetwork": false}))), &["p: allow"]);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "shop"},
        "spec": {"template": {"spec": {"hostNetwork": true}}},
    });
    check(&host_network, &create(deployment), &["p: deny [spec.template.spec.hostNetwork] nope"]);
    let labels = over_config_maps(
        "validations:\n- expression: \"'a.b/c' in object.metadata.labels\"\n  message: nope",
    );
    let mut object = config_map(json!({}));
    object["metadata"]["labels"] = json!({});
    check(&labels, &create(object), &["p: deny [metadata.labels] nope"]);
}

#[test]
fn for_each_judges_every_element_and_knows_its_path() {
    let object = pod(json!({
        "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}],
        "initContainers": [{"name": "i", "image": "x"}],
        "ephemeralContainers": [{"name": "e", "image": "y"}],
        "volumes": [{"name": "v", "image": {"reference": "y"}}],
    }));
    check(
        &over_pods(
            "- forEach: containers\n  expression: each.image == 'x'\n  messageExpression: each.kind + ' ' + each.name",
        ),
        &create(object.clone()),
        &["p: deny [spec.containers[1].image] container b [spec.ephemeralContainers[0].image] ephemeral e"],
    );
    check(
        &over_pods(
            "- forEach: images\n  expression: each.reference == 'x'\n  messageExpression: each.source",
        ),
        &create(object.clone()),
        &["p: deny [spec.containers[1].image] container [spec.ephemeralContainers[0].image] ephemeral \
           [spec.volumes[0].image.reference] volume"],
    );
    check(
        &over_pods("- forEach: podSpec.volumes\n  expression: has(each.emptyDir)\n  message: nope"),
        &create(object.clone()),
        &["p: deny [spec.volumes[0].emptyDir] nope"],
    );
    check(
        &over_pods(
            "- forEach: podSpec.containers.filter(c, c.name == 'b')\n  expression: 'false'\n  \
             fieldPath: \"'spec.containers[name=' + each.name + ']'\"\n  message: nope",
        ),
        &create(object),
        &["p: deny [spec.containers[name=b]] nope"],
    );
}

#[test]
fn at_most_fifty_failures_are_listed() {
    let containers: Vec<Json> = (0..60).map(|number| json!({"name": format!("c{number}")})).collect();
    let policy = over_pods("- forEach: containers\n  expression: 'false'\n  message: nope");
    let decision = decide(&set(&policy), &create(pod(json!({"containers": containers}))));
    assert_eq!(decision.outcomes[0].findings.len(), 50);
    assert_eq!(decision.outcomes[0].omitted, 10);
}

#[test]
fn messages_fall_back_as_in_kubernetes() {
    let cases = [
        ("messageExpression: \"'  made  '\"\n  message: fixed", "made"),
        ("messageExpression: \"' '\"\n  message: fixed", "fixed"),
        ("messageExpression: \"'a\\\\nb'\"\n  message: fixed", "fixed"),
        ("messageExpression: object.data.absent\n  message: fixed", "fixed"),
        ("messageExpression: \"'x\\\\n'\"\n  message: fixed", "x"),
        ("message: ' fixed '", "fixed"),
        ("reason: Forbidden", "failed expression: 1 == 2"),
    ];
    for (fields, expected) in cases {
        let documents = over_config_maps(&format!("validations:\n- expression: 1 == 2\n  {fields}"));
        check(&documents, &create(config_map(json!({}))), &[&format!("p: deny [] {expected}")]);
    }
}

#[test]
fn variables_are_evaluated_on_use_and_see_earlier_ones() {
    let documents = |expression: &str| {
        over_config_maps(&format!(
            "variables:\n- {{name: one, expression: object.data.a}}\n- {{name: two, expression: variables.one + '!'}}\n\
             - {{name: bad, expression: object.data.absent}}\nvalidations:\n- expression: {expression}\n  message: nope"
        ))
    };
    let request = create(config_map(json!({"a": "x"})));
    check(&documents("variables.two == 'x!'"), &request, &["p: allow"]);
    check(
        &documents("variables.bad == 'x'"),
        &request,
        &["p: error [] expression 'variables.bad == 'x'' resulted in error: \
           composited variable \"bad\" fails to evaluate: no such key: absent"],
    );
    check(&documents("variables.one == 'x' || variables.bad == 'x'"), &request, &["p: allow"]);
}

#[test]
fn one_false_condition_beats_any_error() {
    let documents = |conditions: &str| {
        over_config_maps(&format!(
            "matchConditions:\n{conditions}\nvalidations:\n- expression: 'false'\n  message: nope"
        ))
    };
    let request = create(config_map(json!({})));
    let error = "- {name: broken, expression: object.data.x == 'y'}";
    let no = "- {name: never, expression: 'false'}";
    check(&documents(&format!("{error}\n{no}")), &request, &["p: skip Condition(\"never\")"]);
    check(
        &documents(&format!("{error}\n- {{name: again, expression: object.data.z == 'y'}}")),
        &request,
        &["p: error [] [expression 'object.data.x == 'y'' resulted in error: no such key: x, \
           expression 'object.data.z == 'y'' resulted in error: no such key: z]"],
    );
    check(&documents("- {name: always, expression: 'true'}"), &request, &["p: deny [] nope"]);
}

#[test]
fn updates_that_change_nothing_read_are_skipped() {
    let reads_one_key = "validations:\n- expression: object.data.a == 'good'\n  message: nope";
    let bad = |other: &str| config_map(json!({"a": "bad", "b": other}));
    let unchanged = update(bad("1"), bad("2"));
    check(&over_config_maps(reads_one_key), &unchanged, &["p: skip Unchanged"]);
    let changed = update(config_map(json!({"a": "worse"})), bad("1"));
    check(&over_config_maps(reads_one_key), &changed, &["p: deny [data.a] nope"]);
    check(&over_config_maps(reads_one_key), &create(bad("1")), &["p: deny [data.a] nope"]);

    for always_judged in [
        format!("onUpdate: Always\n{reads_one_key}"),
        "validations:\n- expression: oldObject == null || object.data.a == 'good'\n  message: nope".to_owned(),
        "validations:\n- expression: request.userInfo.username == 'root' || object.data.a == 'good'\n  message: nope".to_owned(),
        "validations:\n- expression: request.operation == 'DELETE' || object.data.a == 'good'\n  message: nope".to_owned(),
    ] {
        let brief = brief(&decide(&set(&over_config_maps(&always_judged)), &unchanged));
        assert!(brief[0].starts_with("p: deny"), "{always_judged}: {brief:?}");
    }
}

#[test]
fn an_update_that_makes_a_selector_match_is_judged() {
    let documents = policy(
        "p",
        "validationActions: [Deny]\nmatchPods:\n  objectSelector: {matchLabels: {team: shop}}\nvalidations:\n\
         - expression: \"!has(podSpec.hostNetwork)\"\n  message: nope",
    );
    let labelled = |team: &str| {
        let mut object = pod(json!({"hostNetwork": true}));
        object["metadata"]["labels"] = json!({"team": team});
        object
    };
    check(&documents, &update(labelled("other"), labelled("shop")), &["p: deny [spec.hostNetwork] nope"]);
    check(&documents, &update(labelled("shop"), labelled("shop")), &["p: skip Unchanged"]);
}

#[test]
fn what_is_being_deleted_may_be_released_but_not_changed() {
    let documents =
        over_config_maps("onUpdate: Always\nvalidations:\n- expression: 'false'\n  message: nope");
    let deleting = |finalizers: Json, data: Json| {
        let mut object = config_map(data);
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["metadata"]["finalizers"] = finalizers;
        object
    };
    let held = || deleting(json!(["a/b"]), json!({"k": "v"}));
    check(&documents, &update(held(), deleting(json!([]), json!({"k": "v"}))), &["p: skip BeingDeleted"]);
    check(&documents, &update(held(), deleting(json!([]), json!({"k": "w"}))), &["p: deny [] nope"]);
    check(&documents, &update(config_map(json!({})), held()), &["p: deny [] nope"]);
}

#[test]
fn values_of_secrets_are_masked_in_everything_that_is_told() {
    let documents = policy(
        "p",
        "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [secrets]}
variables:
- {name: password, expression: object.data.password}
validations:
- expression: object.data.password != 'aHVudGVyMg=='
  messageExpression: \"'password is ' + variables.password + object.data.password\"
- expression: int(object.data.password) > 0
- forEach: object.data.map(key, object.data[key])
  expression: \"false\"
  messageExpression: each
  fieldPath: each
auditAnnotations:
- {key: leak, valueExpression: variables.password}",
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "data": {"password": "aHVudGVyMg=="},
    });
    let decision = decide(&set(&documents), &create(secret));
    let told = format!("{decision:?}");
    assert!(!told.contains("aHVudGVyMg"), "{told}");
    assert_eq!(
        brief(&decision),
        ["p: deny [data.password] password is ****** \
          [] expression 'int(object.data.password) > 0' resulted in error: \
          an error that is not shown, because it may quote a Secret [***] ***"]
    );
    assert_eq!(decision.outcomes[0].audit_annotations, [("leak".to_owned(), "***".to_owned())]);
}

#[test]
fn what_needs_an_unknown_user_is_undecidable_unless_an_audit_variant_decides() {
    let reads_user = "validations:\n- expression: request.userInfo.username == 'robot'\n  message: nope";
    let mut offline = create(config_map(json!({"managed": "no"})));
    offline.user = None;
    offline.old_object_known = false;
    check(&over_config_maps(reads_user), &offline, &["p: undecidable the user"]);
    check(&over_config_maps(reads_user), &create(config_map(json!({}))), &["p: deny [] nope"]);
    let with_variant = format!(
        "{reads_user}\naudit:\n  validations:\n  - expression: object.data.managed == 'yes'\n    message: not managed"
    );
    check(&over_config_maps(&with_variant), &offline, &["p: deny [data.managed] not managed"]);
    let decides_anyway =
        format!("{reads_user}\n- expression: object.data.managed == 'yes'\n  message: not managed");
    check(&over_config_maps(&decides_anyway), &offline, &["p: deny [data.managed] not managed"]);
    let reads_old = "validations:\n- expression: oldObject == null\n  message: nope";
    check(&over_config_maps(reads_old), &offline, &["p: undecidable the old object"]);
}

#[test]
fn exceptions_skip_the_request_or_take_out_elements() {
    let documents = |exception: &str| {
        let policy =
            over_pods("- forEach: images\n  expression: \"false\"\n  messageExpression: each.reference");
        format!(
            "{policy}---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {{name: e}}\nspec:\n  \
             policies: [p]\n  reason: because\n{exception}"
        )
    };
    let request = create(pod(
        json!({"containers": [{"name": "a", "image": "ghcr.io/acme/a"}, {"name": "b", "image": "b"}]}),
    ));
    let denied = "p: deny [spec.containers[0].image] ghcr.io/acme/a [spec.containers[1].image] b";
    check(
        &documents("  match: {namespaces: [shop]}"),
        &request,
        &["p: skip Exception { name: \"e\", reason: \"because\" }"],
    );
    check(&documents("  match: {namespaces: [other]}"), &request, &[denied]);
    check(
        &documents("  match: {namespaces: [shop]}\n  expiresAt: 2026-11-22T11:59:59Z"),
        &request,
        &[denied],
    );
    check(
        &documents("  match: {images: [ghcr.io/acme]}"),
        &request,
        &["p: deny [spec.containers[1].image] b"],
    );
}

#[test]
fn params_come_inline_by_name_or_by_selector() {
    let by = |reference: &str| {
        over_config_maps(&format!(
            "paramKind: {{apiVersion: v1, kind: ConfigMap}}\nparamRef: {reference}\n\
             validations:\n- expression: object.data.a == params.data.a\n  messageExpression: params.metadata.name"
        ))
    };
    let mut facts = Facts::new(true);
    for (name, value) in [("one", "x"), ("two", "y")] {
        let mut param = config_map(json!({"a": value}));
        param["metadata"]["name"] = json!(name);
        param["metadata"]["labels"] = json!({"use": "param"});
        facts.add(param);
    }
    let request = create(config_map(json!({"a": "x"})));
    let check = |reference: &str, facts: &Facts, expected: &[&str]| {
        assert_eq!(brief(&decide_with(&set(&by(reference)), &request, facts)), expected, "{reference}");
    };
    check("{name: one, parameterNotFoundAction: Deny}", &facts, &["p: allow"]);
    check("{name: two, parameterNotFoundAction: Deny}", &facts, &["p: deny [data.a] two"]);
    check(
        "{selector: {matchLabels: {use: param}}, parameterNotFoundAction: Deny}",
        &facts,
        &["p: allow", "p: deny [data.a] two"],
    );
    check("{name: three, parameterNotFoundAction: Allow}", &facts, &["p: skip NoParam"]);
    check(
        "{name: three, parameterNotFoundAction: Deny}",
        &facts,
        &[
            "p: error [] no params found: ConfigMap `three` does not exist, and `parameterNotFoundAction` is Deny",
        ],
    );
    check(
        "{name: three, parameterNotFoundAction: Allow}",
        &Facts::new(false),
        &["p: undecidable ConfigMap `three` (v1)"],
    );
}

#[test]
fn every_matching_binding_is_evaluated() {
    let documents = policy(
        "p",
        "validationActions: [Deny]
matchPods: {}
params: {limit: 1}
bindings:
- name: everywhere
- name: shop
  params: {limit: 5}
  validationActions: [Warn]
- name: elsewhere
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}
validations:
- expression: size(containers) <= params.limit
  messageExpression: \"'at most ' + string(params.limit)\"",
    );
    let request = create(pod(json!({"containers": [{"name": "a"}, {"name": "b"}]})));
    check(&documents, &request, &["p/everywhere: deny [spec] at most 1", "p/shop: allow"]);
}

#[test]
fn a_validating_admission_policy_needs_a_binding_and_skips_nothing() {
    let vap = "---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: v}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}
  validations:
  - expression: object.data.a == 'good'
";
    let binding = "---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: v, validationActions: [Deny]}
";
    let bad = || config_map(json!({"a": "bad"}));
    check(vap, &create(bad()), &[]);
    let bound = format!("{vap}{binding}");
    let denied = "v/b: deny [data.a] failed expression: object.data.a == 'good'";
    check(&bound, &create(bad()), &[denied]);
    check(&bound, &update(bad(), bad()), &[denied]);
}

#[test]
fn a_nodes_own_mirror_pod_is_only_warned_about() {
    let documents = over_pods("- expression: \"!has(podSpec.hostNetwork)\"\n  message: nope");
    let mut mirror = pod(json!({"hostNetwork": true, "nodeName": "n1"}));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let mut request = create(mirror);
    let by = |request: &Request| decide(&set(&documents), request).outcomes[0].actions;
    assert!(by(&request).deny, "the annotation alone proves nothing");
    let user = request.user.as_mut().unwrap();
    user.username = "system:node:n1".to_owned();
    user.groups = vec!["system:nodes".to_owned()];
    assert!(by(&request).warn && !by(&request).deny);
}

#[test]
fn the_namespace_object_is_null_where_there_is_none() {
    let documents = over_config_maps(
        "validations:\n- expression: namespaceObject.metadata.labels.env == 'prod'\n  message: nope",
    );
    let request = create(config_map(json!({})));
    let mut facts = Facts::new(true);
    facts.add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "prod"}}}));
    assert_eq!(brief(&decide_with(&set(&documents), &request, &facts)), ["p: allow"]);
    assert_eq!(brief(&decide(&set(&documents), &request)), ["p: undecidable namespace `shop`"]);
}

#[test]
fn objects_that_stay_out_match_nothing() {
    let everything = policy(
        "p",
        "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  \
         - {apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*']}\nvalidations:\n\
         - expression: 'false'\n  message: nope",
    );
    let own = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "portcullis"}});
    check(&everything, &create(own), &[]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    check(&everything, &create(node), &[]);
    check(&everything, &create(config_map(json!({}))), &["p: deny [] nope"]);
}
