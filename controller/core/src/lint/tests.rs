//! Every kind of finding, and what gives none.

use super::{Severity, lint, severity};
use crate::document::read_documents;
use crate::policy::Typing;
use crate::schema::Schemas;
use crate::set::Sources;
use crate::testing::policy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_cel::KubernetesVersion;

/// What exceptions' expiry is compared with.
const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_800_000_000, 0);

/// What is found in documents outside ConfigMaps: code, field, message and hint. That those of ours are not in force
/// is left out.
fn findings(documents: &str) -> Vec<String> {
    let (manifest, plain) = read_documents(Some("f.yaml"), documents, "portcullis");
    let sources = Sources { plain, failures: manifest.failures, ..Sources::default() };
    let linted = lint(&sources, None, NOW);
    let told = linted.findings.iter().filter(|found| found.code.as_str() != "not-in-force");
    let show = |found: &crate::document::DocumentError| {
        let field = found.place.as_ref().map_or("", |place| place.field.as_str());
        let hint = found.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{} {}: {}{hint}", found.code.as_str(), field.trim_start_matches("spec."), found.message)
    };
    told.map(show).collect()
}

fn check(spec: &str, expected: &[&str]) {
    let documents = policy("p", &format!("validationActions: [Deny]\nmatchPods: {{}}\n{spec}"));
    assert_eq!(findings(&documents), expected, "{spec}");
}

const BINDING: &str = "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
                       metadata: {name: b}\nspec: {policyName: v, validationActions: [Deny]}\n";

fn kubernetes(spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: v}}\n\
         spec:\n  {spec}\n{BINDING}"
    )
}

fn check_kubernetes(spec: &str, expected: &[&str]) {
    let rules = "matchConstraints:\n  resourceRules:\n  - {apiGroups: [''], apiVersions: [v1], operations: ['*'], \
                 resources: [configmaps]}\n";
    assert_eq!(findings(&kubernetes(&format!("{rules}{spec}"))), expected, "{spec}");
}

#[test]
fn what_does_not_compile_and_is_left_out_is_told() {
    check_kubernetes(
        "variables: [{name: v, expression: object.x + undeclared}]\nvalidations:\n- expression: variables.v == 1\n  \
         messageExpression: object.x",
        &[
            "broken-variable variables[0].expression: this variable does not compile, and its use is an error: \
             undeclared reference to 'undeclared' (in container '')",
            "unused-message validations[0].messageExpression: this messageExpression does not compile, and is never \
             used: must evaluate to string but got dyn (convert it, as in `string(…)`)",
        ],
    );
}

#[test]
fn errors_of_expressions_are_told_beside_those_of_the_document() {
    check(
        "validations:\n- {expression: request.nmae == 'x', reason: forbidden}\n- expression: 1",
        &[
            "expression validations[0].expression: undefined field 'nmae' (did you mean `name`?)",
            "document validations[0].reason: must be `Invalid`, `Forbidden`, `RequestEntityTooLarge` or \
             `Unauthorized`, found `forbidden` (did you mean `Forbidden`?)",
            "document validations[1].expression: must be a string, found a number (quote it)",
        ],
    );
    // What follows from the first error is not told.
    check(
        "variables: [{nam: x, expression: '1'}]\nvalidations:\n- expression: variables.x == 1",
        &[
            "document variables[0].name: is required",
            "document variables[0].nam: unknown field (did you mean `name`?)",
        ],
    );
}

#[test]
fn what_nothing_reads_is_told() {
    let uses =
        "validations:\n- expression: variables.a == 1\n  messageExpression: \"'x' + string(variables.d)\"";
    let variables = "variables:\n- {name: z, expression: '1'}\n- {name: a, expression: variables.z}\n\
                     - {name: b, expression: variables.a}\n- {name: d, expression: '1'}\n";
    check(&format!("{variables}{uses}"), &["unused-variable variables[2].name: variable `b` is never used"]);
    let params = "params: {most: 1, names: [a], least: 2}\nvalidations:\n- expression: ";
    check(
        &format!("{params}params.most > 1"),
        &[
            "unused-param params.names: no expression reads param `names` (expressions read `most`)",
            "unused-param params.least: no expression reads param `least` (expressions read `most`)",
        ],
    );
    check(&format!("{params}params.size() > 1"), &[]);
    check(&format!("{params}params.exists(name, params[name] == object.x)"), &[]);
    check(
        &format!(
            "variables: [{{name: m, expression: params.most}}]\n{params}variables.m > 1 && has(params.least)"
        ),
        &[
            "unused-param params.names: no expression reads param `names` (expressions read `least` and `most`)",
        ],
    );
    check(
        "bindings: [{name: one, params: {x: 1}}, {name: two, params: {x: 1, w: 1}}]\nparamsSchema:\n  type: object\n  \
         properties: {x: {type: integer}, w: {type: integer}, 'z.z': {type: integer, default: 1}}\n\
         validations:\n- expression: params.x > 0",
        &[
            "unused-param bindings[1].params.w: no expression reads param `w` (expressions read `x`)",
            "unused-param paramsSchema.properties['z.z']: no expression reads param `z.z` (expressions read `x`)",
        ],
    );
    check(
        "params: {name: web}\nlookups:\n- {name: a, apiVersion: v1, kind: Service, objectNameExpression: params.name}\n\
         - {name: b, apiVersion: v1, kind: Service}\nvalidations:\n- expression: size(lookups.a) == 1",
        &["unused-lookup lookups[1].name: no expression reads look-up `b`"],
    );
}

#[test]
fn what_depends_on_nothing_is_told() {
    let validation = |expression: &str| format!("validations:\n- expression: \"{expression}\"");
    let always = "constant validations[0].expression: always true: this validation never fails";
    let never = "constant validations[0].expression: always false: this validation refuses whatever matches (write \
                 `false` if that is meant)";
    for (expression, expected) in [
        ("true", Some(always)),
        ("size([1, 2].filter(x, x > 1)) == 1", Some(always)),
        ("1 == 2", Some(never)),
        ("false", None),
        ("podSpec.x == podSpec.x", None),
        ("[1][5] == 1", None),
    ] {
        check(&validation(expression), &Vec::from_iter(expected));
    }
    check(
        &format!(
            "matchConditions: [{{name: a, expression: 'true'}}, {{name: b, expression: 'false'}}]\n{}",
            validation("object.x == 1")
        ),
        &[
            "constant matchConditions[0].expression: always true: this condition leaves nothing out",
            "never-matches matchConditions[1].expression: always false: the policy never matches",
        ],
    );
    check(
        &format!("audit: {{validations: [{{expression: 'true'}}]}}\n{}", validation("object.x == 1")),
        &["constant audit.validations[0].expression: always true: this validation never fails"],
    );
}

#[test]
fn what_matches_nothing_is_told() {
    let rule = |groups: &str, resources: &str, rest: &str| {
        format!(
            "matchConstraints:\n  resourceRules:\n  - {{apiGroups: [{groups}], apiVersions: [v1], \
             operations: ['*'], resources: [{resources}]{rest}}}\nvalidations: [{{expression: object.x == 1}}]"
        )
    };
    let check = |groups: &str, resources: &str, rest: &str, expected: &[&str]| {
        let expected: Vec<String> = expected
            .iter()
            .map(|wrong| format!("never-matches matchConstraints.resourceRules[0].{wrong}"))
            .collect();
        assert_eq!(
            findings(&kubernetes(&rule(groups, resources, rest))),
            expected,
            "{groups} {resources} {rest}"
        );
    };
    check("'', apps", "pods, deployments/scale, '*/exec', pods/*", "", &[]);
    check("example.com, apps", "widgets", "", &[]);
    check(
        "core",
        "pods",
        "",
        &["apiGroups[0]: there is no API group `core` (the core group is written `''`)"],
    );
    check("v1", "pods", "", &["apiGroups[0]: there is no API group `v1` (the core group is written `''`)"]);
    check("v1", "deployments", "", &["apiGroups[0]: there is no API group `v1` (did you mean `apps`?)"]);
    check(
        "'', batches",
        "'*'",
        "",
        &["apiGroups[1]: there is no API group `batches` (did you mean `batch`?)"],
    );
    check("anything", "widgets", "", &["apiGroups[0]: there is no API group `anything`"]);
    check("'*'", "widgets", "", &[]);
    check(
        "apps",
        "deployment, pods",
        "",
        &[
            "resources[0]: there is no resource `deployment` in group `apps` (did you mean `deployments`?)",
            "resources[1]: there is no resource `pods` in group `apps` (`pods` are in the core group, which is \
             written `''`)",
        ],
    );
    check(
        "'', batch",
        "deployments",
        "",
        &[
            "resources[0]: there is no resource `deployments` in the core group or group `batch` (`deployments` are \
           in group `apps`)",
        ],
    );
    check(
        "''",
        "pods",
        ", scope: Cluster",
        &["resources[0]: `pods` live in namespaces, so this scope leaves none"],
    );
    check(
        "''",
        "namespaces",
        ", scope: Namespaced",
        &["resources[0]: `namespaces` live in no namespace, so this scope leaves none"],
    );
    let of_operations = |resource: &str, operations: &str, only: Option<&str>| {
        let spec = rule("''", &format!("'{resource}'"), "").replace("'*'],", &format!("{operations}],"));
        let expected = only.map(|only| {
            format!(
                "never-matches matchConstraints.resourceRules[0].resources[0]: nobody asks of `{resource}` what this \
                 rule has under `operations` (with them there is {only} only)"
            )
        });
        assert_eq!(findings(&kubernetes(&spec)), Vec::from_iter(expected), "{resource} {operations}");
    };
    of_operations("pods/exec", "CREATE", Some("`CONNECT`"));
    of_operations("pods/exec", "CREATE, CONNECT", None);
    of_operations("pods", "CONNECT", Some("`CREATE`, `UPDATE` and `DELETE`"));
    of_operations("pods/status", "CREATE, DELETE", Some("`UPDATE`"));
    of_operations("pods/*", "CONNECT", None);
    of_operations("*/exec", "CREATE", None);
    let versions = rule("apps", "deployments", "").replace("[v1]", "[v1, apps/v1]");
    assert_eq!(
        findings(&kubernetes(&versions)),
        [
            "never-matches matchConstraints.resourceRules[0].apiVersions[1]: there is no version `apps/v1` (write `v1` \
          here, and `apps` under `apiGroups`)"
        ]
    );
    let with = |rest: &str, expected: &[&str]| {
        let spec = rule("''", "pods", "").replace("resourceRules", &format!("{rest}\n  resourceRules"));
        assert_eq!(findings(&kubernetes(&spec)), expected, "{rest}");
    };
    for (selector, contradiction) in [
        ("{matchLabels: {a: x}, matchExpressions: [{key: a, operator: In, values: [u, z]}]}", true),
        ("{matchLabels: {a: x}, matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", true),
        ("{matchExpressions: [{key: a, operator: DoesNotExist}, {key: a, operator: Exists}]}", true),
        ("{matchLabels: {a: x}, matchExpressions: [{key: a, operator: In, values: [x, z]}]}", false),
        ("{matchLabels: {a: x}, matchExpressions: [{key: b, operator: DoesNotExist}]}", false),
        (
            "{matchExpressions: [{key: a, operator: NotIn, values: [x]}, {key: a, operator: DoesNotExist}]}",
            false,
        ),
    ] {
        let wrong =
            "never-matches matchConstraints.objectSelector: no object fits what is required of label `a`";
        with(
            &format!("objectSelector: {selector}"),
            if contradiction { std::slice::from_ref(&wrong) } else { &[] },
        );
    }
    for (excluded, covers) in [
        ("apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']", true),
        (
            "apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods], scope: Namespaced",
            false,
        ),
        ("apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]", false),
        (
            "apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods], resourceNames: [x]",
            false,
        ),
        ("apiGroups: [''], apiVersions: [v2, v1], operations: ['*'], resources: [services, pods]", true),
    ] {
        let wrong = "never-matches matchConstraints.resourceRules[0]: excludeResourceRules[0] leaves nothing of this \
                     rule";
        with(
            &format!("excludeResourceRules: [{{{excluded}}}]"),
            if covers { std::slice::from_ref(&wrong) } else { &[] },
        );
    }
}

#[test]
fn policies_and_bindings_that_miss_each_other_are_told() {
    let sound = kubernetes(
        "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], \
         resources: [pods]}]}\nvalidations: [{expression: object.x == 1}]",
    );
    assert_eq!(findings(&sound), Vec::<String>::new());
    let (policy, binding) = sound.split_at(sound.rfind("---").unwrap());
    assert_eq!(
        findings(policy),
        ["unbound metadata.name: no binding here names this policy, and without one it judges nothing"]
    );
    assert_eq!(
        findings(binding),
        [
            "missing-policy metadata.name: there is no ValidatingAdmissionPolicy `v` for this binding (bindings of a \
          Policy are written in the Policy itself, under `bindings`)"
        ]
    );
    let narrowed = binding.replace(
        "policyName: v,",
        "policyName: v, matchResources: {objectSelector: {matchExpressions: [{key: a, operator: Exists}, \
         {key: a, operator: DoesNotExist}]}},",
    );
    assert_eq!(
        findings(&format!("{policy}{narrowed}")),
        ["never-matches matchResources.objectSelector: no object fits what is required of label `a`"]
    );
    let broken = sound.replace("operations: ['*']", "operations: [EDIT]");
    assert!(findings(&broken).iter().all(|found| found.starts_with("document ")), "{:?}", findings(&broken));
    assert_eq!(findings(&format!("{sound}{policy}")).len(), 2, "duplicates");
}

#[test]
fn exceptions_that_except_nothing_are_told() {
    let check = |spec: &str, expected: &[&str]| {
        let policies = policy(
            "p",
            "validationActions: [Deny]\nmatchPods: {}\nvalidations: [{expression: object.x == 1}]",
        );
        let exception = format!(
            "---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {{name: e}}\nspec: {{policies: [p], \
             reason: r, {spec}}}\n"
        );
        assert_eq!(findings(&(policies + &exception)), expected, "{spec}");
    };
    check(
        "match: {kinds: [Pod, Deployment.apps, Widget.example.com]}, expiresAt: '2030-01-01T00:00:00Z'",
        &[],
    );
    check(
        "match: {kinds: [Deployment, Pod.core, Widget, Pod.apps, Role.rbac.authorization.k8s.io]}",
        &[
            "never-matches match.kinds[0]: there is no kind `Deployment` in the core group (did you mean \
             `Deployment.apps`?)",
            "never-matches match.kinds[1]: there is no kind `Pod` in group `core` (did you mean `Pod`?)",
            "never-matches match.kinds[2]: there is no kind `Widget` in the core group (write `Widget.` and its group)",
            "never-matches match.kinds[3]: there is no kind `Pod` in group `apps` (did you mean `Pod`?)",
        ],
    );
    check(
        "match: {names: [a]}, expiresAt: '2020-01-01T00:00:00Z'",
        &["expired expiresAt: it expired at 2020-01-01T00:00:00Z, and excepts nothing any more"],
    );
}

#[test]
fn messages_and_objects_that_are_not_what_they_seem_are_told() {
    let check = |operations: &str, validation: &str, expected: &[&str]| {
        let spec = format!(
            "matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [{operations}], \
             resources: [pods]}}]}}\nvalidations:\n- {validation}"
        );
        assert_eq!(findings(&kubernetes(&spec)), expected, "{operations} {validation}");
    };
    let braces = "literal-message validations[0].message: `{{` is told as it is written (`messageExpression` is a CEL \
                  expression: `'container ' + each.name`)";
    check("CREATE", "{expression: object.x == 1, message: 'of {{ request.name }}'}", &[braces]);
    check("CREATE", "{expression: object.x == 1, message: 'of { x }} {{'}", &[]);
    let null = |variable: &str, operation: &str, hint: &str| {
        format!(
            "null-object validations[0].expression: `{variable}` is null in a {operation}, and nothing else is matched \
             ({hint})"
        )
    };
    check(
        "DELETE",
        "expression: object.x == 1",
        &[&null("object", "DELETE", "`oldObject` is what is deleted")],
    );
    check(
        "CREATE",
        "expression: oldObject.x == 1",
        &[&null("oldObject", "CREATE", "`object` is what is created")],
    );
    check("DELETE", "expression: oldObject.x == 1", &[]);
    check("DELETE", "expression: object == null || object.x == 1", &[]);
    check("DELETE, UPDATE", "expression: object.x == 1", &[]);
    check("CREATE", "expression: request.operation == 'CREATE' || oldObject.x == 1", &[]);
}

#[test]
fn what_is_not_in_force_is_an_error() {
    let (manifest, plain) = read_documents(Some("f.yaml"), &policy("p", "validations: []"), "portcullis");
    let linted = lint(&Sources { plain, failures: manifest.failures, ..Sources::default() }, None, NOW);
    let told: Vec<_> =
        linted.findings.iter().map(|found| (severity(found.code), found.code.as_str())).collect();
    assert_eq!(linted.policies, 1);
    assert!(told.contains(&(Severity::Warning, "not-in-force")), "{told:?}");
    assert!(told.contains(&(Severity::Error, "document")), "{told:?}");
}

#[test]
fn what_no_config_map_takes_is_said() {
    let check = |text: usize, module: usize, expect: &[(Severity, &str)]| {
        let padded = format!(
            "# {}\n{}",
            "x".repeat(text),
            policy("p", "validations: [{expression: 'object == null'}]")
        );
        let config_map = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "portcullis", "labels": {"portcullis.dev/policy": "true"}},
            "data": {"policy.yaml": padded},
            "binaryData": {"m.wasm": STANDARD.encode(vec![0; module])},
        });
        let (manifest, _) = read_documents(Some("f.json"), &config_map.to_string(), "portcullis");
        let linted = lint(&Sources { config_maps: manifest.config_maps, ..Sources::default() }, None, NOW);
        let told: Vec<_> = linted
            .findings
            .iter()
            .filter(|found| found.message.contains("bytes"))
            .map(|found| (severity(found.code), found.message.as_str()))
            .collect();
        assert_eq!(told, expect);
    };
    check(0, 190_000, &[]);
    check(261_000, 0, &[]);
    check(
        0,
        196_608,
        &[(Severity::Warning, "`kubectl apply` cannot keep its copy of 262278 bytes in an annotation")],
    );
    check(
        262_100,
        0,
        &[(Severity::Warning, "`kubectl apply` cannot keep its copy of 262234 bytes in an annotation")],
    );
    check(
        48_576,
        1_000_000,
        &[(Severity::Error, "its values have 1048700 bytes, and a ConfigMap takes 1048576 at most")],
    );
}

/// A part of the table of built-in kinds, and two versions of it.
const TABLE: &str = "versions 36 37
kind v1 Pod api.core.v1.Pod
kind v1 ConfigMap api.core.v1.ConfigMap
kind apps/v1 Deployment api.apps.v1.Deployment
kind apps/v1 StatefulSet api.apps.v1.StatefulSet 37-37
type api.core.v1.Pod
 metadata apimachinery.pkg.apis.meta.v1.ObjectMeta
 spec api.core.v1.PodSpec
type api.core.v1.PodSpec
 containers [api.core.v1.Container
 hostNetwork bool
 nodeName string
type api.core.v1.Container
 image string
 limits {string
 ports [api.core.v1.Port
type api.core.v1.EphemeralContainer
 image string
 targetContainerName string
type api.core.v1.Port
 targetPort dyn
 port int
type api.core.v1.ConfigMap
 data {string
 metadata apimachinery.pkg.apis.meta.v1.ObjectMeta
type api.apps.v1.Deployment
 spec api.apps.v1.DeploymentSpec
type api.apps.v1.StatefulSet
 spec api.apps.v1.StatefulSetSpec
type api.apps.v1.DeploymentSpec
 replicas int
 paused bool
type api.apps.v1.StatefulSetSpec
 replicas int
type apimachinery.pkg.apis.meta.v1.ObjectMeta
 creationTimestamp timestamp
 labels {string
 name string
 namespace string
";

fn type_checked(documents: &str, version: &str) -> Vec<String> {
    let version: KubernetesVersion = version.parse().unwrap();
    let schemas = Schemas::read(TABLE, version).unwrap().unwrap();
    let (manifest, plain) = read_documents(Some("f.yaml"), documents, "portcullis");
    let sources = Sources { plain, failures: manifest.failures, ..Sources::default() };
    let linted = lint(&sources, Some(&Typing { schemas, version }), NOW);
    let found = linted.findings.iter().filter(|found| found.code.as_str() == "type-check");
    let show = |found: &crate::document::DocumentError| {
        let field = found.place.as_ref().map_or("", |place| place.field.as_str());
        let hint = found.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", field.trim_start_matches("spec."), found.message)
    };
    found.map(show).collect()
}

#[test]
fn objects_of_built_in_kinds_are_checked_kind_by_kind() {
    let over = |groups: &str, resources: &str, rest: &str| {
        kubernetes(&format!(
            "matchConstraints: {{resourceRules: [{{apiGroups: [{groups}], apiVersions: [v1], operations: ['*'], \
             resources: [{resources}]}}]}}\n{rest}"
        ))
    };
    let check = |groups: &str, resources: &str, rest: &str, expected: &[&str]| {
        assert_eq!(
            type_checked(&over(groups, resources, rest), "1.37"),
            expected,
            "{groups} {resources} {rest}"
        );
    };
    let validation = |expression: &str| format!("validations: [{{expression: \"{expression}\"}}]");
    let replicas = validation("object.spec.replicas <= 5 && oldObject.spec.replicas > 1");
    check("apps", "deployments, statefulsets", &replicas, &[]);
    check(
        "apps",
        "deployments, statefulsets",
        &validation("object.spec.replicass <= 5"),
        &["validations[0].expression: apps/v1, Kind=Deployment; apps/v1, Kind=StatefulSet: undefined field \
           'replicass' (did you mean `replicas`?)"],
    );
    check(
        "apps",
        "deployments, statefulsets",
        &validation("object.spec.paused == 1"),
        &[
            "validations[0].expression: apps/v1, Kind=StatefulSet: undefined field 'paused'",
            "validations[0].expression: apps/v1, Kind=Deployment: found no matching overload for '_==_' applied to \
             '(bool, int)'",
        ],
    );
    // Times are times there, int-or-string may be either, and null is none of a scalar.
    let typed = "object.metadata.creationTimestamp < timestamp('2026-01-01T00:00:00Z') && \
                 object.spec.containers.all(c, c.ports.all(p, p.targetPort == 'x' || p.targetPort == 1)) && \
                 object.metadata.namespace == 'a' && object.metadata.labels['x'] == 'y'";
    check("''", "pods", &validation(typed), &[]);
    check(
        "''",
        "pods",
        &validation("object.spec.nodeName == null"),
        &[
            "validations[0].expression: /v1, Kind=Pod: found no matching overload for '_==_' applied to '(string, \
           null)'",
        ],
    );
    // What a variable holds keeps its type, and what is not known is not checked.
    check(
        "''",
        "pods",
        "variables: [{name: c, expression: 'object.spec.containers.map(c, c.image)'}]\n\
         validations: [{expression: \"variables.c.all(i, i > 1)\", messageExpression: \"string(object.spec.node)\"}]",
        &[
            "validations[0].expression: /v1, Kind=Pod: found no matching overload for '_>_' applied to '(string, int)'",
            "validations[0].messageExpression: /v1, Kind=Pod: undefined field 'node'",
        ],
    );
    for (groups, resources) in [("'*'", "pods"), ("''", "'*'"), ("''", "pods/exec"), ("example.com", "pods")]
    {
        check(groups, resources, &validation("object.spec.nope == 1"), &[]);
    }
    let params =
        "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations: [{expression: params.dat.x == 'y'}]";
    check(
        "''",
        "secrets",
        params,
        &["validations[0].expression: undefined field 'dat' (did you mean `data`?)"],
    );
    // The version decides what there is, libraries included.
    let older = over("apps", "statefulsets", &validation("object.spec.x == 1 && [1].includes(1)"));
    assert_eq!(
        type_checked(&older, "1.36"),
        ["validations[0].expression: undeclared reference to 'includes' (in container '')"]
    );
    assert_eq!(
        type_checked(&older, "1.37"),
        ["validations[0].expression: apps/v1, Kind=StatefulSet: undefined field 'x'"]
    );
}

#[test]
fn what_pods_carry_is_checked_once_for_all_kinds() {
    let check = |spec: &str, expected: &[&str]| {
        let documents = policy(
            "p",
            &format!("validationActions: [Deny]\nmatchPods: {{kinds: [Pod, Deployment]}}\n{spec}"),
        );
        assert_eq!(type_checked(&documents, "1.37"), expected, "{spec}");
    };
    check(
        "validations:\n- expression: podSpec.?hostNetwork.orValue(false) != true && podSpec.nodeName != null\n\
         - forEach: containers\n  expression: each.kind == 'x' || each.image == 'y' || each.targetContainerName == 'z'\n\
         - expression: podMetadata.creationTimestamp == 'x' && podMetadata.labels == {'a':'b'}",
        &[],
    );
    check(
        "validations:\n- expression: podSpec.hostNetwrk\n    == true\n- forEach: containers\n  expression: \
         each.imag == 'x'\n- expression: object.spec.replicas > 1",
        &[
            "validations[0].expression: undefined field 'hostNetwrk' (did you mean `hostNetwork`?)",
            "validations[1].expression: undefined field 'imag' (did you mean `image`?)",
            "validations[2].expression: /v1, Kind=Pod: undefined field 'replicas'",
        ],
    );
}
