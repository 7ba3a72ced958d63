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
        ("messageExpression: string(object.data.absent)\n  message: fixed", "fixed"),
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

/// Each of these is within what one expression may take; all stay until the validation is done.
#[test]
fn variables_are_limited_in_memory_together() {
    let documents = |count: usize| {
        let variables: String = (0..count)
            .map(|n| format!("- {{name: v{n}, expression: object.data.a.upperAscii()}}\n"))
            .collect();
        let read: Vec<String> = (0..count).map(|n| format!("variables.v{n} != ''")).collect();
        over_config_maps(&format!(
            "variables:\n{variables}validations:\n- expression: {}\n  message: nope",
            read.join(" && ")
        ))
    };
    let request = create(config_map(json!({"a": "x".repeat(100_000)})));
    check(&documents(50), &request, &["p: allow"]);
    let answer = brief(&decide(&set(&documents(200)), &request)).join("\n");
    assert!(answer.ends_with("fails to evaluate: operation cancelled: memory limit exceeded"), "{answer}");
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
  messageExpression: string(each)
  fieldPath: string(each)
auditAnnotations:
- {key: leak, valueExpression: string(variables.password)}",
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
    check(
        &over_config_maps(reads_user),
        &offline,
        &["p: undecidable the user (`request.userInfo.username`)"],
    );
    check(&over_config_maps(reads_user), &create(config_map(json!({}))), &["p: deny [] nope"]);
    let with_variant = format!(
        "{reads_user}\naudit:\n  validations:\n  - expression: object.data.managed == 'yes'\n    message: not managed"
    );
    check(&over_config_maps(&with_variant), &offline, &["p: deny [data.managed] not managed"]);
    let decides_anyway =
        format!("{reads_user}\n- expression: object.data.managed == 'yes'\n  message: not managed");
    check(&over_config_maps(&decides_anyway), &offline, &["p: deny [data.managed] not managed"]);
    let reads_old = "validations:\n- expression: oldObject == null\n  message: nope";
    check(&over_config_maps(reads_old), &offline, &["p: undecidable the old object (`oldObject`)"]);
    let reads_request = "validations:\n- expression: request == null\n  message: nope";
    check(
        &over_config_maps(reads_request),
        &offline,
        &["p: undecidable the user (`request`), what options the request carries (`request`)"],
    );
    let mut pod = create(pod(json!({})));
    pod.old_object_known = false;
    check(
        &over_pods("- expression: oldPodSpec == null\n  message: nope"),
        &pod,
        &["p: undecidable the old object (`oldPodSpec`)"],
    );
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
             validations:\n- expression: object.data.a == params.data.a\n  messageExpression: string(params.metadata.name)"
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
    let mut withheld = facts.clone();
    let set_of = |reference: &str| set(&by(reference)).references().into_keys().next().unwrap();
    withheld.withhold(set_of("{name: two, parameterNotFoundAction: Allow}"), "forbidden".to_owned());
    check("{name: one, parameterNotFoundAction: Allow}", &withheld, &["p: allow"]);
    check("{name: two, parameterNotFoundAction: Allow}", &withheld, &["p: error [] forbidden"]);
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
        &["p: undecidable ConfigMap `three` of v1 (`params.data.a`)"],
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
    let native = bound("  validations:\n  - expression: 'false'", "")
        .replace("configmaps, namespaces", "pods")
        .replace("[Audit]", "[Deny]");
    assert!(decide(&set(&native), &request).outcomes[0].actions.deny, "Kubernetes knows no such thing");
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
    assert_eq!(
        brief(&decide(&set(&documents), &request)),
        ["p: undecidable namespace `shop` (`namespaceObject.metadata.labels.env`)"]
    );
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

#[test]
fn a_namespaces_own_labels_count_as_read_by_a_namespace_selector() {
    let documents = |selectors: &str| {
        policy(
            "p",
            &format!(
                "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  \
                 - {{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [namespaces]}}\n{selectors}\n\
                 validations:\n- expression: object.metadata.annotations.owner != 'nobody'\n  message: nope"
            ),
        )
    };
    let namespace = |env: &str| {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "n", "labels": {"env": env}, "annotations": {"owner": "nobody"}}})
    };
    let denied = "p: deny [metadata.annotations.owner] nope";
    let of_policy = documents("  namespaceSelector: {matchLabels: {env: prod}}");
    let of_binding =
        documents("bindings:\n- name: b\n  matchResources: {namespaceSelector: {matchLabels: {env: prod}}}");
    check(&of_policy, &update(namespace("dev"), namespace("prod")), &[denied]);
    check(&of_policy, &update(namespace("prod"), namespace("prod")), &["p: skip Unchanged"]);
    check(&of_binding, &update(namespace("dev"), namespace("prod")), &[&denied.replace("p:", "p/b:")]);
}

#[test]
fn how_much_of_a_path_is_there_is_read_too() {
    let documents =
        over_config_maps("validations:\n- expression: \"!has(object.data.inner.key)\"\n  message: nope");
    let with = |inner: Json| config_map(json!({"inner": inner}));
    for (old, new, expected) in [
        (with(json!({})), with(json!({})), "p: skip Unchanged"),
        (with(json!({"other": 1})), with(json!({"other": 2})), "p: skip Unchanged"),
        (config_map(json!({})), with(json!({})), "p: allow"),
        (
            with(json!({})),
            config_map(json!({})),
            "p: error [] expression '!has(object.data.inner.key)' resulted in error: no such key: inner",
        ),
    ] {
        check(&documents, &update(old, new), &[expected]);
    }
    let text = update(with(json!({})), with(json!("text")));
    // What has no fields has none of that name, too, as in cel-go.
    check(&documents, &text, &["p: allow"]);
}

#[test]
fn errors_hide_no_violation() {
    let containers: Vec<Json> =
        (0..60).map(|number| json!({"name": "c", "image": format!("Not/Valid-{number}")})).collect();
    let mut containers = containers;
    containers.push(json!({"name": "evil", "image": "evil.example.com/x"}));
    let documents = over_pods(
        "- forEach: images\n  expression: image(each.reference).isUnder('ghcr.io')\n  messageExpression: each.reference",
    );
    let decision = decide(&set(&documents), &create(pod(json!({"containers": containers}))));
    let outcome = &decision.outcomes[0];
    assert_eq!(outcome.verdict, crate::decision::Verdict::Deny);
    assert!(outcome.findings.iter().any(|finding| finding.message == "evil.example.com/x"));
    assert_eq!((outcome.findings.len(), outcome.omitted), (50, 11));
}

#[test]
fn params_from_a_secret_are_compared_as_they_are_and_told_masked() {
    let documents = over_config_maps(
        "paramKind: {apiVersion: v1, kind: Secret}\nparamRef: {name: s, parameterNotFoundAction: Deny}\n\
         matchConditions:\n- {name: known, expression: params.data.key == 'c2VjcmV0'}\n\
         validations:\n- expression: object.data.key == params.data.key\n  messageExpression: \"'not ' + params.data.key\"",
    );
    let mut facts = Facts::new(true);
    facts.add(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "data": {"key": "c2VjcmV0"}}));
    for (key, expected) in [("c2VjcmV0", "p: allow"), ("other", "p: deny [data.key] not ***")] {
        let decision = decide_with(&set(&documents), &create(config_map(json!({"key": key}))), &facts);
        assert_eq!(brief(&decision), [expected]);
    }
}

#[test]
fn a_masked_list_that_is_another_list_names_no_element() {
    let documents = |list: &str| {
        policy(
            "p",
            &format!(
                "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  \
                 - {{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [secrets]}}\n\
                 validations:\n- forEach: {list}\n  expression: \"false\"\n  message: a key is wrong\n  \
                 messageExpression: string(each)\n  fieldPath: \"'data.' + each\""
            ),
        )
    };
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "data": {"a": "Z29vZA==", "b": "YmFk", "c": "YmFk"},
    });
    for (list, expected) in [
        ("object.data.map(key, key)", "[data.a] a [data.b] b [data.c] c"),
        ("object.data.filter(key, key != 'a')", "[data.b] b [data.c] c"),
        ("object.data.filter(key, object.data[key] == 'YmFk')", "[] a key is wrong [] a key is wrong"),
        ("object.data.filter(key, object.data[key] != 'Z29vZA==')", "[] a key is wrong [] a key is wrong"),
        (
            "object.data.filter(key, key == 'a' || object.data[key] == 'YmFk')",
            "[data.a] a [] a key is wrong [] a key is wrong",
        ),
    ] {
        check(&documents(list), &create(secret.clone()), &[&format!("p: deny {expected}")]);
    }
}

#[test]
fn an_audit_variant_never_stands_in_at_admission() {
    let documents = over_config_maps(
        "validations:\n- expression: namespaceObject.metadata.name == 'x'\n  message: nope\n\
         audit:\n  validations:\n  - expression: 'true'",
    );
    let request = create(config_map(json!({})));
    check(&documents, &request, &["p: undecidable namespace `shop` (`namespaceObject.metadata.name`)"]);
    let mut offline = request;
    offline.user = None;
    check(&documents, &offline, &["p: allow"]);
}

#[test]
fn a_condition_that_is_surely_false_needs_no_more() {
    let documents = over_config_maps(
        "matchConditions:\n- {name: robot, expression: request.userInfo.username == 'robot'}\n\
         - {name: good, expression: object.data.a == 'good'}\nvalidations:\n- expression: 'false'\n  message: nope",
    );
    let mut offline = create(config_map(json!({"a": "bad"})));
    offline.user = None;
    check(&documents, &offline, &["p: skip Condition(\"good\")"]);
    offline.object = config_map(json!({"a": "good"})).into();
    check(&documents, &offline, &["p: undecidable the user (`request.userInfo.username`)"]);
}

#[test]
fn a_binding_that_does_not_match_is_not_in_doubt() {
    let documents = |rest: &str| {
        let head = "validationActions: [Deny]\nmatchConstraints:\n  \
            namespaceSelector: {matchLabels: {env: prod}}\n  resourceRules:\n  \
            - {apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps]}\n";
        policy("p", &format!("{head}{rest}\nvalidations:\n- expression: 'false'\n  message: nope"))
    };
    let bindings = documents(
        "bindings:\n- name: pods\n  matchResources:\n    resourceRules:\n    \
         - {apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods]}\n\
         - name: every",
    );
    let request = create(config_map(json!({})));
    let unknown = "error [] namespace `shop` is not known, so namespaceSelector cannot be evaluated";
    check(&bindings, &request, &[&format!("p/every: {unknown}")]);
    let exception = "---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {name: e}\nspec:\n  \
         policies: [p]\n  reason: because\n  match: {namespaces: [shop]}\n";
    check(
        &format!("{}{exception}", documents("")),
        &request,
        &["p: skip Exception { name: \"e\", reason: \"because\" }"],
    );
}

/// A ValidatingAdmissionPolicy over ConfigMaps and Namespaces, with one binding.
fn bound(spec: &str, binding: &str) -> String {
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: v}}\n\
         spec:\n  matchConstraints:\n    resourceRules:\n    \
         - {{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps, namespaces]}}\n{spec}\n\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: b}}\nspec:\n  policyName: v\n  validationActions: [Audit]\n{binding}\n"
    )
}

#[test]
fn in_a_validating_admission_policy_conditions_see_no_namespace_object() {
    let documents = bound(
        "  matchConditions:\n  - {name: shop, expression: namespaceObject.metadata.name == 'shop'}\n  \
         validations:\n  - expression: namespaceObject.metadata.name == 'x'",
        "",
    );
    let mut facts = Facts::new(true);
    facts.add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    let told = brief(&decide_with(&set(&documents), &create(config_map(json!({}))), &facts));
    assert!(
        told[0].starts_with("v/b: error [] expression 'namespaceObject.metadata.name == 'shop'' resulted in"),
        "{told:?}"
    );
}

#[test]
fn what_cannot_be_configured_is_told_as_kubernetes_tells_it() {
    let by = |reference: &str| {
        bound(
            "  paramKind: {apiVersion: v1, kind: ConfigMap}\n  validations:\n  - expression: 'true'",
            &format!("  paramRef: {reference}"),
        )
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    let cluster_role = || {
        let mut request = create(config_map(json!({})));
        request.namespace = String::new();
        request
    };
    for (documents, request, expected) in [
        (
            by("{name: gone, parameterNotFoundAction: Deny}"),
            create(config_map(json!({}))),
            "error [] failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
        ),
        (by("{name: gone, parameterNotFoundAction: Allow}"), create(config_map(json!({}))), "skip NoParam"),
        (by("{name: gone, parameterNotFoundAction: Allow}"), create(namespace), "skip NoParam"),
        (
            by("{name: gone, parameterNotFoundAction: Allow}"),
            cluster_role(),
            "error [] failed to configure binding: cannot use namespaced paramRef in policy binding that \
             matches cluster-scoped resources",
        ),
        (
            bound(
                "  validations:\n  - expression: 'true'",
                "  paramRef: {name: x, parameterNotFoundAction: Deny}",
            ),
            create(config_map(json!({}))),
            "allow",
        ),
    ] {
        check(&documents, &request, &[&format!("v/b: {expected}")]);
    }
    let selector = bound(
        "  validations:\n  - expression: 'true'",
        "  matchResources: {namespaceSelector: {matchLabels: {env: prod}}}",
    );
    let decision = decide(&set(&selector), &create(config_map(json!({}))));
    assert_eq!(decision.outcomes[0].findings[0].kind, crate::decision::FindingKind::Configuration);
}

#[test]
fn objects_may_nest_as_deeply_as_reviews_do() {
    let documents = format!(
        "{}---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {{name: e}}\nspec:\n  \
         policies: [p]\n  reason: because\n  match: {{images: [ghcr.io/acme]}}\n",
        over_pods(
            "- forEach: containers\n  expression: each != oldObject\n  message: nope\n- expression: object == oldObject\n  message: changed"
        )
    );
    let deep = || {
        let deepest =
            (0..990).fold(
                json!({}),
                |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"k": inner}) },
            );
        pod(json!({"containers": [{"name": "a", "image": "x", "deep": deepest}]}))
    };
    check(&documents, &update(deep(), deep()), &["p: allow"]);
}

#[test]
fn an_update_of_anything_of_a_pod_that_is_read_is_judged() {
    let deployment = |labels: Json, spec: Json| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "shop"},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}},
        })
    };
    let before = deployment(
        json!({"app": "a"}),
        json!({"containers": [{"name": "a", "image": "x"}], "hostIPC": true}),
    );
    let changed = |path: &str, value: Json| {
        let mut after = before.clone();
        *after.pointer_mut(&format!("/spec/template{path}")).unwrap() = value;
        after
    };
    let label = changed("/metadata/labels/app", json!("b"));
    let image = changed("/spec/containers/0/image", json!("y"));
    let name = changed("/spec/containers/0/name", json!("b"));
    let ipc = changed("/spec/hostIPC", json!(false));
    for (reads, judged, skipped) in [
        ("podMetadata.labels.app == ''", vec![&label], vec![&image, &name, &ipc]),
        ("podSpec.hostIPC == null", vec![&ipc], vec![&label, &image, &name]),
        ("size(containers) == 0", vec![], vec![&image, &name, &label, &ipc]),
        ("containers.all(c, c.image == '')", vec![&image], vec![&name, &label, &ipc]),
        ("containers.all(c, c.name == '' || has(c.x))", vec![&name], vec![&image, &label, &ipc]),
        ("containers == []", vec![&image, &name], vec![&label, &ipc]),
        ("size(images) == 0", vec![&image, &name], vec![&label, &ipc]),
        ("podSpec == null", vec![&image, &name, &ipc], vec![&label]),
        ("oldPodSpec == null", vec![&label, &image, &name, &ipc, &before], vec![]),
    ] {
        let set = set(&over_pods(&format!("- expression: {reads}\n  message: nope")));
        let verdict =
            |after: &Json| decide(&set, &update(before.clone(), after.clone())).outcomes[0].verdict.clone();
        for after in judged {
            assert_eq!(verdict(after), crate::decision::Verdict::Deny, "{reads}: {after}");
        }
        for after in skipped {
            assert!(matches!(verdict(after), crate::decision::Verdict::Skip(_)), "{reads}: {after}");
        }
    }
    let selected = policy(
        "p",
        "validationActions: [Deny]\nmatchPods: {podSelector: {matchLabels: {app: b}}}\nvalidations:\n\
         - expression: podSpec.hostIPC == false\n  message: nope",
    );
    check(&selected, &update(before.clone(), label.clone()), &["p: deny [spec.template.spec.hostIPC] nope"]);
    check(&selected, &update(label.clone(), label), &["p: skip Unchanged"]);
}

#[test]
fn an_update_is_judged_where_nobody_knows_what_was() {
    let object = || config_map(json!({"a": "bad"}));
    let mut facts = Facts::new(true);
    facts.add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    facts.add(object());
    let known = update(object(), object());
    let unknown = Request { old_object_known: false, ..known.clone() };
    let rest = "validations:\n- expression: object.data.a == 'good'\n  message: nope";
    let by_param = format!(
        "paramKind: {{apiVersion: v1, kind: ConfigMap}}\nparamRef: {{name: c, parameterNotFoundAction: Deny}}\n\
         matchConditions:\n- {{name: c, expression: params.data.a == 'bad'}}\n{rest}"
    );
    let by_namespace = format!(
        "matchConditions:\n- {{name: c, expression: namespaceObject.metadata.name == 'shop'}}\n{rest}"
    );
    for (documents, request, expected) in [
        (rest, &known, "p: skip Unchanged"),
        (rest, &unknown, "p: deny [data.a] nope"),
        (&by_param, &known, "p: deny [data.a] nope"),
        (&by_namespace, &known, "p: deny [data.a] nope"),
    ] {
        let decision = decide_with(&set(&over_config_maps(documents)), request, &facts);
        assert_eq!(brief(&decision), [expected], "{documents}");
    }
}

#[test]
fn only_what_is_being_deleted_may_be_released() {
    let documents =
        over_config_maps("onUpdate: Always\nvalidations:\n- expression: 'false'\n  message: nope");
    let held = |finalizers: Json| {
        let mut object = config_map(json!({}));
        object["metadata"]["finalizers"] = finalizers;
        object
    };
    let deleted = |mut object: Json| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        object
    };
    let (before, after) = (|| held(json!(["a/b"])), || held(json!([])));
    for (old, new, expected) in [
        (before(), after(), "p: deny [] nope"),
        (before(), deleted(after()), "p: deny [] nope"),
        (deleted(before()), after(), "p: deny [] nope"),
        (deleted(before()), deleted(after()), "p: skip BeingDeleted"),
    ] {
        check(&documents, &update(old, new), &[expected]);
    }
}

#[test]
fn objects_that_a_reference_leads_to_are_held_to_the_schema() {
    let documents = over_config_maps(
        "paramKind: {apiVersion: v1, kind: ConfigMap}\n\
         paramRef: {selector: {matchLabels: {use: param}}, parameterNotFoundAction: Deny}\n\
         paramsSchema:\n  type: object\n  properties:\n    data:\n      type: object\n      properties:\n        \
         limit: {type: string, pattern: '^[0-9]+$'}\n        unit: {type: string, default: Mi}\n      required: [limit]\n\
         validations:\n- expression: object.data.a == params.data.limit + params.data.unit\n  message: nope",
    );
    let param = |data: Json| {
        let mut object = config_map(data);
        object["metadata"]["labels"] = json!({"use": "param"});
        object
    };
    let wrong = |what: &str| format!("p: error [] ConfigMap `shop/c`: `data{what}");
    for (data, expected) in [
        (json!({"limit": "7"}), "p: allow".to_owned()),
        (json!({"limit": "7", "unit": "Gi"}), "p: deny [data.a] nope".to_owned()),
        (json!({"limit": "x"}), wrong(".limit` must match `^[0-9]+$`")),
        (json!({}), wrong(".limit` is required")),
        (json!({"limit": "7", "units": "x"}), wrong(".units` not in `paramsSchema`")),
    ] {
        let mut facts = Facts::new(true);
        facts.add(param(data));
        let found = brief(&decide_with(&set(&documents), &create(config_map(json!({"a": "7Mi"}))), &facts));
        assert_eq!(found, [expected]);
    }
}
