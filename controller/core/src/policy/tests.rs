//! What the expressions of a policy may name, and what they must be.

use crate::set::PolicySet;
use crate::testing::{brief, create, decide, policy, set, sources};
use serde_json::json;

/// What is wrong with documents: field, message and hint, one a line.
fn problems(documents: &str) -> Vec<String> {
    let set = PolicySet::compile(&sources(&[("policies", documents)]), None);
    let show = |problem: &crate::document::DocumentError| {
        let field = problem.place.as_ref().map_or("", |place| place.field.as_str());
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", field.trim_start_matches("spec."), problem.message)
    };
    set.problems().iter().map(show).collect()
}

fn ours(spec: &str) -> String {
    policy("p", &format!("validationActions: [Deny]\nmatchPods: {{}}\n{spec}"))
}

fn check(spec: &str, expected: &[&str]) {
    assert_eq!(problems(&ours(spec)), expected, "{spec}");
}

/// A ValidatingAdmissionPolicy over ConfigMaps with a binding that denies.
fn kubernetes(spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: v}}\n\
         spec:\n  matchConstraints:\n    resourceRules:\n    \
         - {{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps]}}\n  {spec}\n\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: b}}\nspec:\n  policyName: v\n  validationActions: [Deny]\n"
    )
}

fn check_kubernetes(spec: &str, expected: &[&str]) {
    assert_eq!(problems(&kubernetes(spec)), expected, "{spec}");
}

#[test]
fn request_and_namespace_object_are_typed_as_in_the_api_server() {
    let checks = |expression: &str, expected: &[&str]| {
        let spec = format!("validations:\n- expression: \"{expression}\"");
        let expected: Vec<String> =
            expected.iter().map(|wrong| format!("validations[0].expression: {wrong}")).collect();
        assert_eq!(problems(&ours(&spec)), expected, "{expression}");
        assert_eq!(problems(&kubernetes(&spec)), expected, "{expression}");
    };
    for sound in [
        "request.operation == 'CREATE' && request.kind.group == '' && request.resource.resource == 'pods'",
        "request.requestKind.kind == 'Pod' && request.requestResource.version == 'v1' && request.dryRun",
        "!has(request.subResource) || request.requestSubResource == 'exec' || request.options.anything == 1",
        "request.userInfo.groups.exists(g, g == 'a') && request.userInfo.extra['scopes'].size() == 1",
        "namespaceObject.metadata.labels['env'] == 'x' && namespaceObject.status.phase == 'Active'",
        "namespaceObject.metadata.creationTimestamp < timestamp('2026-01-01T00:00:00Z')",
        "namespaceObject.metadata.generation + namespaceObject.metadata.deletionGracePeriodSeconds > 1",
        "namespaceObject.spec.finalizers.size() == 0 && namespaceObject.status.conditions.all(c, c.type == 'x')",
        "namespaceObject == null || object.anything.at.all == 1",
    ] {
        checks(sound, &[]);
    }
    checks("request.operatoin == 'CREATE'", &["undefined field 'operatoin' (did you mean `operation`?)"]);
    checks("request.uid == 'x'", &["undefined field 'uid'"]);
    checks("has(request.object)", &["undefined field 'object'"]);
    checks("request.userInfo.user == 'x'", &["undefined field 'user'"]);
    checks("namespaceObject.metadata.uid == 'x'", &["undefined field 'uid' (did you mean `UID`?)"]);
    checks("namespaceObject.metadata.managedFields == []", &["undefined field 'managedFields'"]);
    checks("namespaceObject.spec.hard == 1", &["undefined field 'hard'"]);
    checks(
        "request.operation == 1 && request.dryRun == 'x'",
        &[
            "found no matching overload for '_==_' applied to '(string, int)'",
            "found no matching overload for '_==_' applied to '(bool, string)'",
        ],
    );
}

#[test]
fn inline_params_have_the_types_of_their_values() {
    let params = "params:
  registries: [a, b]
  most: 3
  ratio: 0.5
  strict: true
  mixed: [a, 1]
  empty: []
  absent: null
  limits: {team-a: 1, team-b: 2}
  rules: [{name: x}, {name: y, port: 1}]
";
    let with = |expression: &str, expected: &[&str]| {
        let expected: Vec<String> =
            expected.iter().map(|wrong| format!("validations[0].expression: {wrong}")).collect();
        let spec = format!("{params}validations:\n- expression: \"{expression}\"");
        assert_eq!(problems(&ours(&spec)), expected, "{expression}");
    };
    for sound in [
        "params.strict",
        "params.registries.exists(r, r.startsWith('x')) && params.most > 1 && params.ratio < 1.0",
        "params.mixed[0] == 'x' && params.mixed[1] == 1 && params.empty.exists(e, e == 'x')",
        "params.absent == 'x' || params.absent == null",
        "params.limits['team-c'] > 1 && params.limits[request.namespace] > 1 && 'team-a' in params.limits",
        "params.limits.all(team, team.startsWith('team')) && params.limits.size() > 1",
        "params.limits == object.metadata.labels && has(params.registries) && params.?most.orValue(1) > 1",
        "params.rules.all(rule, rule.name != '' && (!has(rule.port) || rule.port > 1))",
        "params.exists(key, key == 'most') && 'most' in params && params == object",
    ] {
        with(sound, &[]);
    }
    with("params.registrys.size() == 1", &["undefined field 'registrys' (did you mean `registries`?)"]);
    with("has(params.mots)", &["undefined field 'mots' (did you mean `most`?)"]);
    with("params.rules.all(rule, rule.nmae == 'x')", &["undefined field 'nmae' (did you mean `name`?)"]);
    with("params.most == 'x'", &["found no matching overload for '_==_' applied to '(int, string)'"]);
    with(
        "params.registries.exists(r, r == 1)",
        &["found no matching overload for '_==_' applied to '(string, int)'"],
    );
    with("params.mixed", &["must evaluate to bool but got list(dyn)"]);
}

#[test]
fn what_would_declare_a_name_is_told() {
    let check = |document: String, expected: Option<&str>| {
        let found = problems(&document);
        let [found] = found.as_slice() else { panic!("{document}: {found:?}") };
        let hint = found.split_once("(in container '')").map(|(_, hint)| hint.trim());
        assert_eq!(hint.unwrap_or(found), expected.map(|hint| format!("({hint})")).unwrap_or_default());
    };
    let uses = |expression: &str| format!("validations:\n- expression: \"{expression}\"");
    let rules = |expression: &str| ours(&uses(expression));
    check(rules("each.name == 'a'"), Some("`forEach` declares it, for the validation that has it"));
    check(rules("params.a == 1"), Some("`params` declares it, or `paramKind` with a `paramRef`"));
    check(rules("objekt.a == 1"), Some("did you mean `object`?"));
    let variables = "variables: [{name: imgs, expression: '[1]'}]\n";
    check(ours(&format!("{variables}{}", uses("imgs == [1]"))), Some("write `variables.imgs`"));
    check(kubernetes(&uses("params.a == 1")), Some("`paramKind` declares it"));
    check(kubernetes(&uses("containers == []")), None);
    let constraints = "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                       resources: [pods]}]}";
    check(rules("containers == []").replace("matchPods: {}", constraints), Some("`matchPods` declares it"));
}

#[test]
fn params_are_known_by_every_binding_and_by_their_schema() {
    let uses = |expression: &str| format!("validations:\n- expression: \"{expression}\"");
    check(
        &uses("params.a == 1"),
        &[
            "validations[0].expression: undeclared reference to 'params' (in container '') (`params` declares it, or \
           `paramKind` with a `paramRef`)",
        ],
    );
    let bindings = "bindings:\n- name: one\n  params: {a: 1, b: x}\n- name: two\n  params: {a: y, c: 1}\n";
    check(&format!("{bindings}{}", uses("params.a == 1 && params.b == 'x' && params.c == 1")), &[]);
    check(
        &format!("{bindings}{}", uses("params.d == 1")),
        &["validations[0].expression: undefined field 'd' (did you mean `a`?)"],
    );
    let schema = "params: {}
paramsSchema:
  type: object
  properties:
    size: {type: integer}
    ratio: {type: number}
    names: {type: array, items: {type: string}}
    byTeam: {type: object, additionalProperties: {type: string}}
    any: {type: object}
    one: {type: object, properties: {inner: {type: boolean}}}
";
    let all = "params.size > 1 && params.ratio > 1 && params.ratio > 0.5 && params.names[0].startsWith('x')
      && params.byTeam.whatever == 'x' && params.any.x == 1 && params.one.inner";
    check(&format!("{schema}{}", uses(all)), &[]);
    check(
        &format!("{schema}{}", uses("params.one.iner || params.byTeam.x == 1")),
        &[
            "validations[0].expression: undefined field 'iner' (did you mean `inner`?)",
            "validations[0].expression: found no matching overload for '_==_' applied to '(string, int)'",
        ],
    );
    let reference = "paramKind: {apiVersion: v1, kind: ConfigMap}\n\
                     paramRef: {name: x, parameterNotFoundAction: Deny}\n";
    check(&format!("{reference}{}", uses("params.anything == 1")), &[]);
}

#[test]
fn what_is_told_must_be_a_string_and_what_is_iterated_over_a_list() {
    let validation = |rest: &str| format!("validations:\n- expression: 'true'\n  {rest}");
    let told = |field: &str, wrong: &str| format!("validations[0].{field}: {wrong}");
    for (rest, field, wrong) in [
        (
            "messageExpression: 1 + 1",
            "messageExpression",
            "must evaluate to string but got int (convert it, as in `string(…)`)",
        ),
        (
            "messageExpression: object.x",
            "messageExpression",
            "must evaluate to string but got dyn (convert it, as in `string(…)`)",
        ),
        (
            "messageExpression: authorizer.path('/x').check('get').reason()",
            "messageExpression",
            "`authorizer` cannot be used in messages and field paths",
        ),
        (
            "fieldPath: object.x",
            "fieldPath",
            "must evaluate to string but got dyn (convert it, as in `string(…)`)",
        ),
        ("forEach: \"'x'\"", "forEach", "must evaluate to a list but got string"),
        ("forEach: \"{'a': 1}\"", "forEach", "must evaluate to a list but got map(string, int)"),
        (
            "forEach: '[1]'\n  messageExpression: each",
            "messageExpression",
            "must evaluate to string but got int (convert it, as in `string(…)`)",
        ),
        (
            "forEach: images\n  messageExpression: each.refrence",
            "messageExpression",
            "undefined field 'refrence' (did you mean `reference`?)",
        ),
    ] {
        check(&validation(rest), &[&told(field, wrong)]);
    }
    for sound in [
        "messageExpression: \"'x' + object.x\"",
        "forEach: object.spec.rules\n  fieldPath: \"'spec.' + each.name\"",
        "forEach: \"['a'].map(x, x + 'b')\"\n  messageExpression: each",
        "forEach: images\n  messageExpression: each.reference + each.source + each.container",
        "forEach: containers\n  messageExpression: \"'x' + each.name\"",
    ] {
        check(&validation(sound), &[]);
    }
    let annotation = |value: &str| format!("auditAnnotations:\n- key: a\n  valueExpression: {value}");
    let wrong = "auditAnnotations[0].valueExpression: must evaluate to string or null but got ";
    let hint = " (convert it, as in `string(…)`)";
    for (value, found) in
        [("object.x", Some("dyn")), ("'1'", Some("int")), ("\"'x'\"", None), ("'null'", None)]
    {
        let expected: Vec<String> = found.iter().map(|found| format!("{wrong}{found}{hint}")).collect();
        assert_eq!(problems(&ours(&annotation(value))), expected, "{value}");
        assert_eq!(problems(&kubernetes(&annotation(value))), expected, "{value}");
    }
}

#[test]
fn a_validating_admission_policy_names_params_only_with_a_kind() {
    let uses = "validations:\n- expression: params.a == 1";
    let undeclared = "validations[0].expression: undeclared reference to 'params' (in container '') (`paramKind` \
                      declares it)";
    check_kubernetes(uses, &[undeclared]);
    check_kubernetes(&format!("paramKind: {{apiVersion: v1, kind: ConfigMap}}\n{uses}"), &[]);
    let images = "validations:\n- expression: images.size() == 0";
    check_kubernetes(
        images,
        &["validations[0].expression: undeclared reference to 'images' (in container '')"],
    );
}

#[test]
fn variables_keep_their_types_as_far_as_each_dialect_keeps_them() {
    let variable = |source: &str, expression: &str| {
        format!(
            "variables:\n- {{name: v, expression: \"{source}\"}}\nvalidations:\n- expression: {expression}"
        )
    };
    for (source, expression, ours_finds, kubernetes_finds) in [
        ("1", "variables.v == 'x'", Some("(int, string)"), Some("(int, string)")),
        ("[[1]]", "variables.v[0][0] == 'x'", Some("(int, string)"), Some("(int, string)")),
        ("request.userInfo", "variables.v.username == 1", Some("(string, int)"), None),
        ("[request.kind]", "variables.v[0].kind == 1", Some("(string, int)"), None),
        ("optional.of(1)", "variables.v.value() == 'x'", Some("(int, string)"), None),
    ] {
        let spec = variable(source, expression);
        let told = |found: Option<&str>| {
            let told = "validations[0].expression: found no matching overload for '_==_' applied to";
            found.map(|found| format!("{told} '{found}'")).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(problems(&ours(&spec)), told(ours_finds), "{spec}");
        assert_eq!(problems(&kubernetes(&spec)), told(kubernetes_finds), "{spec}");
    }
}

#[test]
fn what_does_not_compile_is_an_error_at_load_or_told_as_kubernetes_tells_it() {
    let broken = "variables:\n- {name: v, expression: object.x + undeclared}\nvalidations:\n";
    let uses = format!("{broken}- expression: variables.v == 1\n- expression: 'true'");
    let wrong = "variables[0].expression: undeclared reference to 'undeclared' (in container '')";
    check(&uses, &[wrong]);
    let told = "v/b: error [] expression 'variables.v == 1' resulted in error: composited variable \"v\" fails to \
                compile: compilation failed: ERROR: <input>:1:12: undeclared reference to 'undeclared' (in \
                container '')\n | object.x + undeclared\n | ...........^";
    let config_map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}});
    let decides = |spec: &str, expected: &str| {
        let found = decide(&set(&kubernetes(spec)), &create(config_map.clone()));
        assert_eq!(brief(&found), [expected], "{spec}");
    };
    decides(&uses, told);
    decides(&format!("{broken}- expression: 'true'"), "v/b: allow");
    let denied = "v/b: deny [] fixed";
    for message in ["object.x", "undeclared", "1", "authorizer.path('/x').check('get').allowed() ? 'a' : 'b'"]
    {
        let message = format!("  messageExpression: \"{message}\"\n  message: fixed");
        decides(&format!("validations:\n- expression: 1 == 2\n{message}"), denied);
    }
}

#[test]
fn lookups_are_lists_under_their_names() {
    let checks = |expression: &str, validation: &str, expected: &[&str]| {
        let spec = format!(
            "lookups:\n- {{name: services, apiVersion: v1, kind: Service, {expression}}}\nvalidations:\n\
             - expression: \"{validation}\""
        );
        check(&spec, expected);
    };
    let sound = "size(lookups.services) == 0";
    checks("namespace: '*'", "lookups.services.all(s, s.spec.type == 'ClusterIP')", &[]);
    checks("objectNameExpression: \"object.metadata.name + '-x'\"", sound, &[]);
    checks("objectNameExpression: podMetadata.name", sound, &[]);
    checks(
        "namespace: '*'",
        "size(lookups.service) == 0",
        &["validations[0].expression: undefined field 'service' (did you mean `services`?)"],
    );
    checks(
        "objectNameExpression: '1'",
        sound,
        &["lookups[0].objectNameExpression: must evaluate to a string but got int"],
    );
    checks(
        "selectorExpression: \"'a'\"",
        sound,
        &["lookups[0].selectorExpression: must evaluate to a map but got string"],
    );
    checks(
        "objectNameExpression: variables.a",
        sound,
        &["lookups[0].objectNameExpression: undefined field 'a'"],
    );
    checks(
        "objectNameExpression: \"lookups.services[0].metadata.name\"",
        sound,
        &["lookups[0].objectNameExpression: undeclared reference to 'lookups' (in container '')"],
    );
    checks(
        "objectNameExpression: \"authorizer.path('/x').check('get').allowed() ? 'a' : 'b'\"",
        sound,
        &["lookups[0].objectNameExpression: `authorizer` cannot be used in look-ups"],
    );
    check(
        "validations:\n- expression: lookups.a == []",
        &["validations[0].expression: undeclared reference to 'lookups' (in container '')"],
    );
}
