//! Tables of documents and of what is wrong with them.

mod kubernetes;

use super::*;
use crate::decision::Reason;
use crate::policy::FailurePolicy;
use crate::request::Operation;
use crate::yaml::{Position, TextPlace};
use serde_json::json;

/// A ConfigMap file with one key that holds `document`.
fn file(document: &str) -> String {
    let indented: String = document.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: policies\n  labels: {{portcullis.dev/policy: \"true\"}}\ndata:\n  p.yaml: |\n{indented}"
    )
}

fn read_all(text: &str) -> Vec<ReadDocument> {
    let manifest = read_manifest(Some("f.yaml"), text, "portcullis");
    assert_eq!(manifest.failures, [], "{text}");
    manifest.config_maps.iter().flat_map(read_config_map).collect()
}

fn show(error: &DocumentError) -> String {
    match &error.hint {
        Some(hint) => format!("{error} (hint: {hint})"),
        None => error.to_string(),
    }
}

/// The errors of a file, whole lines with their hints.
fn file_errors(text: &str) -> Vec<String> {
    let manifest = read_manifest(Some("f.yaml"), text, "portcullis");
    let documents: Vec<_> = manifest.config_maps.iter().flat_map(read_config_map).collect();
    manifest.failures.iter().chain(documents.iter().flat_map(errors_of)).map(show).collect()
}

fn errors_of(document: &ReadDocument) -> &[DocumentError] {
    match &document.outcome {
        Outcome::Document(_) => &[],
        Outcome::Broken { errors, .. } => errors,
    }
}

/// What is wrong with one document: field, message and hint.
fn errors(document: &str) -> Vec<String> {
    let documents = read_all(&file(document));
    assert_eq!(documents.len(), 1, "{document}");
    let brief = |error: &DocumentError| {
        let field = error.place.as_ref().map(|place| place.field.as_str()).unwrap_or_default();
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{field}: {}{hint}", error.message)
    };
    errors_of(&documents[0]).iter().map(brief).collect()
}

fn check(document: &str, expect: &[&str]) {
    assert_eq!(errors(document), expect, "{document}");
}

/// A sound Policy whose spec consists of these lines besides its actions, matching and validation.
fn policy(spec: &str) -> String {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  validationActions: [Deny]\n  matchPods: {{}}\n  validations: [{{expression: \"true\"}}]\n{indented}"
    )
}

/// A document of a kind with this spec.
fn document(api_version: &str, kind: &str, spec: &str) -> String {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: d}}\nspec:\n{indented}")
}

fn vap(spec: &str) -> String {
    document("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", spec)
}

fn vapb(spec: &str) -> String {
    document("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", spec)
}

fn exception(spec: &str) -> String {
    document("portcullis.dev/v1", "PolicyException", spec)
}

const FULL: &str = r#"apiVersion: portcullis.dev/v1
kind: Policy
metadata:
  name: full
  labels: {team: platform}
  annotations:
    example.com/owner: platform
    portcullis.dev/title: Everything at once
    portcullis.dev/severity: high
    portcullis.dev/category: tests
    portcullis.dev/description: every field
    portcullis.dev/remediation: ask
spec:
  validationActions: [Warn, Audit]
  failurePolicy: Ignore
  matchConstraints:
    matchPolicy: Exact
    namespaceSelector:
      matchLabels: {env: prod}
      matchExpressions:
      - {key: a, operator: In, values: [x, w]}
      - {key: b, operator: NotIn, values: [z]}
      - {key: example.com/c, operator: Exists}
      - {key: d, operator: DoesNotExist}
    objectSelector: {matchLabels: {app: web}}
    resourceRules:
    - apiGroups: ["", apps]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [pods, deployments, pods/ephemeralcontainers]
      resourceNames: [one]
      scope: Namespaced
    excludeResourceRules:
    - {apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/scale"]}
  matchConditions:
  - {name: example.com/not-system, expression: "!request.userInfo.username.startsWith('system:')"}
  variables:
  - name: names
    expression: |
      object.spec.rules
        .map(r, r.name)
  paramKind: {apiVersion: rules.example.com/v1, kind: Limit}
  params: {most: 3}
  paramsSchema:
    type: object
    required: [most]
    properties:
      most: {type: integer, minimum: 1, maximum: 10, description: how many}
      unit: {type: string, default: pieces, enum: [pieces, boxes]}
  bindings:
  - name: by-limit
    matchResources: {namespaceSelector: {matchLabels: {tier: gold}}}
    validationActions: [Deny]
    paramRef: {selector: {matchLabels: {kind: limit}}, namespace: limits, parameterNotFoundAction: Allow}
  - name: by-name
    paramRef: {name: one, parameterNotFoundAction: Deny}
  - {name: inherits}
  validations:
  - forEach: object.spec.rules
    expression: each.count <= params.most
    fieldPath: "'spec.rules'"
    message: " too many "
    messageExpression: "'too many: ' + string(each.count)"
    reason: Forbidden
  auditAnnotations:
  - {key: count, valueExpression: string(size(variables.names))}
  onUpdate: Always
  audit:
    validations:
    - expression: "true"
"#;

#[test]
fn a_policy_with_every_field_is_read() {
    let documents = read_all(&file(FULL));
    let [ReadDocument { outcome: Outcome::Document(Document::Policy(policy)), identity, origin, .. }] =
        documents.as_slice()
    else {
        panic!("{documents:#?}");
    };
    let identity = identity.as_ref().unwrap();
    assert_eq!((identity.kind, identity.name.as_str()), ("Policy", "full"));
    assert_eq!((origin.config_map.as_str(), origin.key.as_str(), origin.document), ("policies", "p.yaml", 1));
    assert_eq!(policy.dialect, Dialect::Portcullis);
    assert_eq!(policy.annotations["portcullis.dev/severity"], "high");
    assert_eq!(policy.failure_policy, FailurePolicy::Ignore);
    let actions = policy.actions.expect("actions");
    assert_eq!((actions.deny, actions.warn, actions.audit), (false, true, true));
    let Matching::Constraints(matching) = &policy.matching else { panic!("{:?}", policy.matching) };
    assert!(matching.exact);
    let text = |text: &str| text.to_owned();
    let requirement = |key: &str, operator| Requirement { key: text(key), operator };
    assert_eq!(
        matching.namespace_selector.requirements,
        [
            requirement("env", SelectorOperator::In(vec![text("prod")])),
            requirement("a", SelectorOperator::In(vec![text("x"), text("w")])),
            requirement("b", SelectorOperator::NotIn(vec![text("z")])),
            requirement("example.com/c", SelectorOperator::Exists),
            requirement("d", SelectorOperator::DoesNotExist),
        ]
    );
    let rule = ResourceRule {
        api_groups: vec![text(""), text("apps")],
        api_versions: vec![text("v1")],
        operations: vec![Operation::Create, Operation::Update],
        resources: vec![text("pods"), text("deployments"), text("pods/ephemeralcontainers")],
        resource_names: vec![text("one")],
        scope: Scope::Namespaced,
    };
    assert_eq!(matching.resource_rules, [rule]);
    assert_eq!(matching.exclude_resource_rules[0].operations, []);
    assert_eq!(policy.match_conditions[0].name, "example.com/not-system");
    assert_eq!(policy.variables[0].expression.text, "object.spec.rules\n  .map(r, r.name)\n");
    assert_eq!(policy.param_kind.as_ref().map(|kind| kind.kind.as_str()), Some("Limit"));
    let Params::Inline(params) = &policy.params else { panic!("{:?}", policy.params) };
    assert_eq!(*params, json!({"most": 3, "unit": "pieces"}));
    let [by_limit, by_name, inherits] = policy.bindings.as_slice() else { panic!("{:?}", policy.bindings) };
    assert_eq!((by_limit.name.as_str(), by_limit.policy_name.as_str()), ("by-limit", "full"));
    assert!(by_limit.actions.is_some_and(|actions| actions.deny));
    assert!(by_limit.match_resources.as_ref().is_some_and(|m| m.resource_rules.is_empty()));
    let Params::Ref(reference) = &by_limit.params else { panic!("{:?}", by_limit.params) };
    assert_eq!((reference.namespace.as_deref(), reference.allow_not_found), (Some("limits"), true));
    assert!(matches!(&reference.select, ParamSelect::Selector(s) if s.requirements.len() == 1));
    let Params::Ref(reference) = &by_name.params else { panic!("{:?}", by_name.params) };
    assert!(matches!(&reference.select, ParamSelect::Name(name) if name == "one"));
    assert!(inherits.actions.is_none() && matches!(inherits.params, Params::None));
    let [validation] = policy.validations.as_slice() else { panic!("{:?}", policy.validations) };
    assert_eq!(validation.for_each.as_ref().map(|e| e.text.as_str()), Some("object.spec.rules"));
    assert_eq!(validation.field_path.as_ref().map(|e| e.text.as_str()), Some("'spec.rules'"));
    assert_eq!(validation.message.as_deref(), Some("too many"));
    assert!(validation.message_expression.is_some());
    assert_eq!(validation.reason, Reason::Forbidden);
    assert_eq!(policy.audit_annotations[0].name, "count");
    assert_eq!(policy.on_update, OnUpdate::Always);
    assert_eq!(policy.audit_validations.as_ref().map(Vec::len), Some(1));
}

#[test]
fn kubernetes_documents_are_read_as_dumped() {
    let text = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: v, uid: x, resourceVersion: '1', creationTimestamp: null, generation: 1, managedFields: []}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods]}]
  validations: [{expression: 'true', messageExpression: ''}]
status: {observedGeneration: 1}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec:
  policyName: v
  validationActions: [Deny, Audit]
  paramRef: {name: x, parameterNotFoundAction: Allow}
  matchResources: {objectSelector: {}}
";
    let documents = read_all(&file(text));
    let outcomes: Vec<_> = documents.iter().map(|document| &document.outcome).collect();
    let [Outcome::Document(Document::Policy(policy)), Outcome::Document(Document::Binding(binding))] =
        outcomes.as_slice()
    else {
        panic!("{outcomes:#?}");
    };
    assert_eq!((policy.dialect, policy.on_update), (Dialect::Kubernetes, OnUpdate::Always));
    assert!(policy.actions.is_none() && policy.validations[0].message_expression.is_none());
    assert_eq!((binding.name.as_str(), binding.policy_name.as_str()), ("b", "v"));
    assert_eq!(documents[1].origin.document, 2);
}

#[test]
fn an_exception_is_read() {
    let text = "policies: [a, b]
match:
  kinds: [Pod, Deployment.apps]
  namespaces: [team-*]
  names: [web-?]
  images: [registry.example.com/team]
  subjects:
  - {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
  - {kind: Group, name: admins}
  - {kind: ServiceAccount, name: ci, namespace: build}
reason: until the migration is over
expiresAt: 2030-12-31T00:00:00Z";
    let documents = read_all(&file(&exception(text)));
    let Outcome::Document(Document::Exception(exception)) = &documents[0].outcome else {
        panic!("{documents:#?}");
    };
    assert_eq!(exception.policies, ["a", "b"]);
    assert_eq!(exception.kinds, ["Pod", "Deployment.apps"]);
    assert_eq!(exception.subjects[0], Subject::User("jane".to_owned()));
    let account = Subject::ServiceAccount { namespace: "build".to_owned(), name: "ci".to_owned() };
    assert_eq!(exception.subjects[2], account);
    assert_eq!(exception.expires_at.map(|at| at.to_string()).as_deref(), Some("2030-12-31T00:00:00Z"));
}

#[test]
fn the_whole_line_of_an_error_names_every_place() {
    let text = file(&policy("validation: []\nfailurePolicy: fail"));
    assert_eq!(
        file_errors(&text),
        [
            "f.yaml:15:7: ConfigMap portcullis/policies, key p.yaml, document 1, line 8, column 3, \
             spec.validation: unknown field (hint: did you mean `validations`?)",
            "f.yaml:16:22: ConfigMap portcullis/policies, key p.yaml, document 1, line 9, column 18, \
             spec.failurePolicy: must be `Fail` or `Ignore`, found `fail` (hint: did you mean `Fail`?)",
        ]
    );
    // From a cluster there is no file, and of a text that was put together only its beginning is known.
    let mut config_map = read_manifest(None, &text, "portcullis").config_maps.remove(0);
    let documents = read_config_map(&config_map);
    assert!(
        errors_of(&documents[0])[0].to_string().starts_with("ConfigMap portcullis/policies, key p.yaml, ")
    );
    assert_eq!(errors_of(&documents[0])[0].file_position, None);
    config_map.file = Some("f.json".to_owned());
    config_map.data[0].1.place = TextPlace::at(Position { line: 8, column: 5 });
    let documents = read_config_map(&config_map);
    assert_eq!(errors_of(&documents[0])[0].file_position, Some(Position { line: 8, column: 5 }));
}

#[test]
fn errors_within_expressions_are_placed() {
    let spec =
        "variables:\n- name: a\n  expression: |\n    one\n      two\n- {name: b, expression: \"three\"}";
    let documents = read_all(&file(&policy(spec)));
    let Outcome::Document(Document::Policy(policy)) = &documents[0].outcome else { panic!("{documents:?}") };
    let at = |index: usize, line, column| {
        let expression = &policy.variables[index].expression;
        let inside = Position { line, column };
        show(&DocumentError::in_expression(&documents[0].origin, Some("p"), expression, inside, "wrong"))
    };
    assert_eq!(
        at(0, 2, 3),
        "f.yaml:19:13: ConfigMap portcullis/policies, key p.yaml, document 1, line 12, column 9, \
         spec.variables[0].expression: wrong"
    );
    assert_eq!(
        at(1, 1, 2),
        "f.yaml:20:33: ConfigMap portcullis/policies, key p.yaml, document 1, line 13, column 29, \
         spec.variables[1].expression: wrong"
    );
}

#[test]
fn what_yaml_takes_out_of_an_expression_is_an_error() {
    const TAG: &str = "an unquoted `!` begins a YAML tag, which is no part of the value (quote the whole value, or write it \
                       under `|`)";
    const QUOTE: &str = "(quote the expression, or write it under `|`)";
    let refused = |spec: &str, fields: &[&str]| {
        let expect: Vec<String> = fields.iter().map(|field| format!("{field}: {TAG}")).collect();
        assert_eq!(errors(&policy(spec)), expect, "{spec}");
    };
    refused("variables: [{name: a, expression: !b &c d}]", &["spec.variables[0].expression"]);
    refused("variables:\n- name: a\n  expression: !has(x)", &["spec.variables[0].expression"]);
    refused("variables:\n- name: a\n  expression: ! x", &["spec.variables[0].expression"]);
    refused("variables:\n- name: a\n  expression: !a [b]", &["spec.variables[0].expression"]);
    refused("variables:\n- name: a\n  expression: &a !x b", &["spec.variables[0].expression"]);
    refused("matchConditions:\n- name: a\n  expression: !!has(x)", &["spec.matchConditions[0].expression"]);
    refused(
        "auditAnnotations:\n- key: a\n  valueExpression: !a b",
        &["spec.auditAnnotations[0].valueExpression"],
    );
    refused("audit: {validations: [{expression: !a b}]}", &["spec.audit.validations[0].expression"]);
    refused(
        "params: {a: ! b, c: [!x d], e: !y {f: g}}",
        &["spec.params.a", "spec.params.c[0]", "spec.params.e"],
    );
    refused("params: !a\n  b: c", &["spec.params"]);
    refused("failurePolicy: !x Ignore", &["spec.failurePolicy"]);
    refused(
        "paramsSchema: {type: object, properties: {a: {type: string, default: !x y, enum: [y, !z y]}}}",
        &["spec.paramsSchema.properties.a.default", "spec.paramsSchema.properties.a.enum[1]"],
    );
    let module = policy("wasm: {module: m.wasm, settings: {a: [!x b]}}")
        .replace("  validations: [{expression: \"true\"}]\n", "");
    check(&module, &[&format!("spec.wasm.settings.a[0]: {TAG}")]);
    for field in ["expression", "forEach", "fieldPath", "messageExpression", "message", "reason"] {
        let others = if field == "expression" { "" } else { "expression: 'true'\n    " };
        let written = policy("").replace("[{expression: \"true\"}]", &format!("\n  - {others}{field}: !x b"));
        check(&written, &[&format!("spec.validations[0].{field}: {TAG}")]);
    }
    let rules = "matchConstraints:\n  resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods]}]\n";
    for spec in [
        rules.to_owned() + "validations:\n- expression: !has(x)\n",
        rules.to_owned() + "validations:\n- expression: ! x\n",
    ] {
        check(&vap(&spec), &[&format!("spec.validations[0].expression: {TAG}")]);
    }
    check(
        &exception("policies: [p]\nmatch: {names: [!x y]}\nreason: z"),
        &[&format!("spec.match.names[0]: {TAG}")],
    );
    // YAML's own say what a value is, and anchors repeat it.
    check(&policy("variables: [{name: a, expression: !!str &x 1}, {name: b, expression: *x}]"), &[]);

    let unreadable = [
        ("!has(a) && b", "`&` begins an anchor, whose name is letters, digits, `-` and `_`, found `&`"),
        ("!has(a) || !b", "did not find expected comment or line break"),
        ("'a' == b", "invalid trailing content after a quoted scalar"),
        ("\"a\" == b", "invalid trailing content after a quoted scalar"),
        ("x ? 'a: b' : c", "mapping values are not allowed in this context"),
        ("[a].all(b, c)", "did not find expected key"),
        ("{'a': b}.a", "did not find expected key"),
        ("&& a", "`&` begins an anchor, whose name is letters, digits, `-` and `_`, found `&`"),
        ("@a", "unexpected character: `@'"),
        ("`a` in b", "unexpected character: ``'"),
        ("%a", "unexpected character: `%'"),
    ];
    for (expression, message) in unreadable {
        let found = errors(&policy(&format!("variables:\n- name: a\n  expression: {expression}")));
        assert_eq!(found, [format!(": {message} {QUOTE}")], "{expression}");
    }
}

#[test]
fn config_maps_are_found_and_checked() {
    let labelled = "metadata: {name: c, labels: {portcullis.dev/policy: 'true'}}";
    let table: [(String, &[&str]); 19] = [
        ("kind: Pod\napiVersion: v1\n---\n[1, 2]\n---\nkind: Suite\napiVersion: portcullis.dev/v1\n".into(), &[]),
        ("kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {a: 'x: portcullis.dev'}\n".into(), &[]),
        (
            vap("{}"),
            &[
                "f.yaml:1:1: `ValidatingAdmissionPolicy` outside a ConfigMap is not in force here (hint: apply it to the \
               cluster, whose API server enforces it, or wrap it in a ConfigMap labelled `portcullis.dev/policy: \"true\"`, \
               under a key such as `policy.yaml`)",
            ],
        ),
        (
            "a: [1\n---\nb: 1\n".into(),
            &["f.yaml:2:1: expected `,` or `]`"],
        ),
        (
            "---\n".to_owned() + &policy(""),
            &["f.yaml:2:1: `Policy` outside a ConfigMap is not in force (hint: wrap it in a ConfigMap labelled \
               `portcullis.dev/policy: \"true\"`, under a key such as `policy.yaml`)"],
        ),
        (
            file(&policy("")).replace("  labels:", "  annotations:"),
            &["f.yaml:7:3: ConfigMap portcullis/policies, data['p.yaml']: holds a policy, but the ConfigMap is \
               not labelled, so it is not in force (hint: add the label `portcullis.dev/policy: \"true\"`)"],
        ),
        (
            file("").replace("\"true\"", "yes"),
            &["f.yaml:5:12: ConfigMap portcullis/policies, metadata.labels['portcullis.dev/policy']: must be \
               the string `\"true\"`, found a boolean (hint: set `portcullis.dev/policy: \"true\"`, or remove \
               the label)"],
        ),
        (
            file("").replace("\"true\"", "'yes'"),
            &["f.yaml:5:12: ConfigMap portcullis/policies, metadata.labels['portcullis.dev/policy']: must be \
               `\"true\"`, found `yes` (hint: set `portcullis.dev/policy: \"true\"`, or remove the label)"],
        ),
        (
            file(&policy("")).replace("name: policies", "{namespace: other, name: policies}").replace("metadata:\n  {", "metadata:\n  x: {"),
            &["f.yaml:3:1: metadata.name: a policy ConfigMap must have a name"],
        ),
        (
            file(&policy("")).replace("  name: policies", "  name: policies\n  namespace: other"),
            &["f.yaml:5:3: ConfigMap other/policies, metadata.namespace: is in namespace `other`, but policies \
               are read from `portcullis` (hint: move it to `portcullis`, or give `--namespace other`)"],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\n"),
            &["f.yaml:1:1: ConfigMap portcullis/c, data: a policy ConfigMap must have `data`"],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\nbinaryData: {{m.wasm: 'aG k=', a b: aGk=}}\n"),
            &[
                "f.yaml:4:14: ConfigMap portcullis/c, binaryData['m.wasm']: must be base64 (hint: `portcullis wrap` \
                 writes it)",
                "f.yaml:4:31: ConfigMap portcullis/c, binaryData['a b']: a ConfigMap's keys are letters, digits, `-`, \
                 `_` and `.`",
            ],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\nbinaryData: [aGk=]\n"),
            &["f.yaml:4:1: ConfigMap portcullis/c, binaryData: must be a mapping, found a list"],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\nbinaryData: {{m.wasm: \"aG\\nk=\"}}\n"),
            &[],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\ndata: {{README.md: x, a.yaml: yes}}\n"),
            &[
                "f.yaml:4:8: ConfigMap portcullis/c, data['README.md']: a policy ConfigMap's keys must end in \
                 `.yaml`, `.yml` or `.json` (hint: keep other data in a ConfigMap of its own)",
                "f.yaml:4:22: ConfigMap portcullis/c, data['a.yaml']: must be a string, found a boolean (hint: \
                 quote the value, or begin it with `|`)",
            ],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\ndata: [1]\n"),
            &["f.yaml:4:1: ConfigMap portcullis/c, data: must be a mapping, found a list"],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\ndata: {{a.yaml: '# nothing'}}\n"),
            &["f.yaml:4:17: ConfigMap portcullis/c, key a.yaml: holds no document"],
        ),
        (
            format!("kind: ConfigMap\napiVersion: v1\n{labelled}\ndata:\n  a.yaml: |\n    a: {{\n    ---\n    [1]\n"),
            &[
                "f.yaml:7:5: ConfigMap portcullis/c, key a.yaml, document 1, line 2, column 1: did not find expected node content",
                "f.yaml:8:5: ConfigMap portcullis/c, key a.yaml, document 2, line 3, column 1: must be a mapping, \
                 found a list",
            ],
        ),
        (
            "kind: ConfigMapList\napiVersion: v1\nitems:\n- metadata: {name: c, labels: {portcullis.dev/policy: 'no'}}\n"
                .to_owned()
                + "---\nkind: List\napiVersion: v1\nitems:\n- kind: Policy\n  apiVersion: portcullis.dev/v1\n",
            &[
                "f.yaml:4:32: ConfigMap portcullis/c, metadata.labels['portcullis.dev/policy']: must be \
                 `\"true\"`, found `no` (hint: set `portcullis.dev/policy: \"true\"`, or remove the label)",
                "f.yaml:9:3: `Policy` outside a ConfigMap is not in force (hint: wrap it in a ConfigMap labelled \
                 `portcullis.dev/policy: \"true\"`, under a key such as `policy.yaml`)",
            ],
        ),
    ];
    for (text, expect) in table {
        assert_eq!(file_errors(&text), expect, "{text}");
    }
}

#[test]
fn kinds_and_metadata_are_checked() {
    let head = |kind: &str, metadata: &str| {
        policy("").replace("kind: Policy", &format!("kind: {kind}")).replace("{name: p}", metadata)
    };
    let known =
        "`Policy`, `PolicyException`, `ValidatingAdmissionPolicy` or `ValidatingAdmissionPolicyBinding`";
    check(&head("Policy", "{name: p}"), &[]);
    check("{}", &["apiVersion: is required", "kind: is required"]);
    check(&head("Polcy", "{name: p}"), &["kind: unknown kind `Polcy` (did you mean `Policy`?)"]);
    check(
        &head("Suite", "{name: p}"),
        &[&format!("kind: unknown kind `Suite` (a policy ConfigMap holds {known})")],
    );
    check(
        &policy("").replace("dev/v1", "dev/v2"),
        &["apiVersion: unknown apiVersion `portcullis.dev/v2` (`Policy` is of `portcullis.dev/v1`)"],
    );
    check(
        &head("ValidatingAdmissionPolicy", "{name: p}"),
        &["apiVersion: wrong apiVersion `portcullis.dev/v1` (`ValidatingAdmissionPolicy` is of \
           `admissionregistration.k8s.io/v1`)"],
    );
    let subdomain = "metadata.name: must be a DNS subdomain: at most 253 lower case letters, digits, `-` and \
                     `.`, beginning and ending with a letter or digit";
    check(&head("Policy", "{}"), &["metadata.name: is required"]);
    check(&head("Policy", "{name: ''}"), &["metadata.name: must not be empty"]);
    check(&head("Policy", "{name: Upper}"), &[subdomain]);
    check(&head("Policy", "{name: 12}"), &["metadata.name: must be a string, found a number (quote it)"]);
    check(&head("Policy", "{name: p, uid: x}"), &["metadata.uid: unknown field"]);
    check(
        &head("Policy", "{name: p, namespace: n}"),
        &[
            "metadata.namespace: a document has no namespace of its own (the ConfigMap's namespace tells what it \
           governs)",
        ],
    );
    check(
        &head("Policy", "{name: p, labels: {a: yes}, annotations: {b: 1}}"),
        &[
            "metadata.labels.a: must be a string, found a boolean (quote it)",
            "metadata.annotations.b: must be a string, found a number (quote it)",
        ],
    );
    check(
        &head("Policy", "{name: p, annotations: {portcullis.dev/titel: x, portcullis.dev/severity: hi}}"),
        &[
            "metadata.annotations['portcullis.dev/titel']: unknown annotation (did you mean \
             `portcullis.dev/title`?)",
            "metadata.annotations['portcullis.dev/severity']: must be `low`, `medium`, `high` or `critical`, \
             found `hi`",
        ],
    );
    check(&(policy("") + "status: {}\n"), &["status: unknown field"]);
}

#[test]
fn every_error_of_a_spec_is_reported() {
    let spec = |lines: &str| document("portcullis.dev/v1", "Policy", lines);
    check(
        &spec("{}"),
        &[
            "spec: one of `matchPods` and `matchConstraints` is required",
            "spec.validationActions: is required",
            "spec.validations: `validations` or `auditAnnotations` must have at least one entry",
        ],
    );
    check("apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: p}", &["spec: is required"]);
    check(
        &spec("validationActions: Deny\nmatchPods: []\nvalidations: {}"),
        &[
            "spec.validationActions: must be a list, found a string",
            "spec.matchPods: must be a mapping, found a list",
            "spec.validations: must be a list, found a mapping",
        ],
    );
    let actions = |actions: &str| policy("").replace("[Deny]", actions);
    check(&actions("[]"), &["spec.validationActions: must not be empty"]);
    check(&actions("[Audit, Deny]"), &[]);
    check(
        &actions("[Deny, Warn]"),
        &[
            "spec.validationActions: must not contain both `Deny` and `Warn` (a denial tells the requester the \
           same; leave out `Warn`)",
        ],
    );
    check(&actions("[Warn, Warn]"), &["spec.validationActions[1]: `Warn` is given twice"]);
    check(
        &actions("[deny]"),
        &[
            "spec.validationActions[0]: must be `Deny`, `Warn` or `Audit`, found `deny` (did you mean `Deny`?)",
        ],
    );
    let table: [(&str, &[&str]); 18] = [
        ("lookups: []", &[]),
        ("onUpdate: Never", &["spec.onUpdate: must be `Changed` or `Always`, found `Never`"]),
        ("failurePolicy: yes", &["spec.failurePolicy: must be a string, found a boolean (quote it)"]),
        ("audit: {}", &["spec.audit.validations: is required"]),
        ("audit: {validations: []}", &["spec.audit.validations: must not be empty"]),
        ("matchConstraints: {}", &["spec.matchPods: must not be given together with `matchConstraints`"]),
        ("variables: null", &[]),
        (
            "variables: [{name: a, expression: '1'}, {name: a, expression: '2'}]",
            &["spec.variables[1].name: `a` is given twice"],
        ),
        (
            "variables: [{name: a-b, expression: ' '}, {}]",
            &[
                "spec.variables[0].name: must be a CEL identifier: letters, digits and `_`, not beginning with \
                 a digit, not a reserved word",
                "spec.variables[0].expression: must not be empty",
                "spec.variables[1].name: is required",
                "spec.variables[1].expression: is required",
            ],
        ),
        (
            "matchConditions: [{name: a b, expression: x, extra: 1}]",
            &[
                "spec.matchConditions[0].name: must be a qualified name: at most 63 letters, digits, `-`, `_` \
                 and `.`, beginning and ending with a letter or digit, with an optional DNS subdomain and `/` \
                 before it",
                "spec.matchConditions[0].extra: unknown field",
            ],
        ),
        (
            "auditAnnotations: [{key: a/b, valueExpression: x}, {key: c, valueExpresion: x}]",
            &[
                "spec.auditAnnotations[0].key: must be at most 63 letters, digits, `-`, `_` and `.`, beginning \
                 and ending with a letter or digit",
                "spec.auditAnnotations[1].valueExpression: is required",
                "spec.auditAnnotations[1].valueExpresion: unknown field (did you mean `valueExpression`?)",
            ],
        ),
        ("bindings: []", &["spec.bindings: must not be empty"]),
        (
            "bindings: [{name: a}, {name: a}, {name: B, policyName: x}]",
            &[
                "spec.bindings[1].name: `a` is given twice",
                "spec.bindings[2].name: must be a DNS subdomain: at most 253 lower case letters, digits, `-` \
                 and `.`, beginning and ending with a letter or digit",
                "spec.bindings[2].policyName: unknown field",
            ],
        ),
        ("params: [1]", &["spec.params: must be a mapping, found a list"]),
        (
            "params: {}\nparamRef: {name: x, parameterNotFoundAction: Deny}\nparamKind: {apiVersion: v1, kind: ConfigMap}",
            &["spec.params: must not be given together with `paramRef`"],
        ),
        (
            "paramRef: {name: x, parameterNotFoundAction: Deny}",
            &["spec.paramKind: is required with `paramRef`"],
        ),
        (
            "paramKind: {apiVersion: v1, kind: ConfigMap}",
            &["spec.paramKind: needs a `paramRef` (inline `params` need no `paramKind`)"],
        ),
        (
            "paramKind: {apiVersion: a/b/c, kind: 1x}\nparamRef: {selector: {}, name: a, namespace: 'B b'}",
            &[
                "spec.paramKind.apiVersion: must be a version or `group/version`",
                "spec.paramKind.kind: must be a kind: at most 63 letters, digits and `-`, beginning with a \
                 letter",
                "spec.paramRef.parameterNotFoundAction: is required",
                "spec.paramRef.selector: must not be given together with `name`",
                "spec.paramRef.name: must not be given together with `selector`",
                "spec.paramRef.namespace: must be a DNS subdomain: at most 253 lower case letters, digits, `-` \
                 and `.`, beginning and ending with a letter or digit",
            ],
        ),
    ];
    for (lines, expect) in table {
        check(&policy(lines), expect);
    }
    let many = |list: &str, entry: &dyn Fn(usize) -> String, count| {
        let entries: Vec<String> = (0..count).map(entry).collect();
        policy(&format!("{list}: [{}]", entries.join(", ")))
    };
    let condition = |index| format!("{{name: c{index}, expression: x}}");
    check(&many("matchConditions", &condition, 64), &[]);
    check(
        &many("matchConditions", &condition, 65),
        &["spec.matchConditions: must not have more than 64 entries, found 65"],
    );
    let annotation = |index| format!("{{key: c{index}, valueExpression: x}}");
    check(
        &many("auditAnnotations", &annotation, 21),
        &["spec.auditAnnotations: must not have more than 20 entries, found 21"],
    );
    let long = "x".repeat(5_121);
    check(
        &policy(&format!("auditAnnotations: [{{key: a, valueExpression: {long}}}]")),
        &["spec.auditAnnotations[0].valueExpression: must not be longer than 5120 bytes"],
    );
}

#[test]
fn validations_are_checked() {
    let validations = |entry: &str| policy("").replace("{expression: \"true\"}", entry);
    let table: [(&str, &[&str]); 7] = [
        ("{}", &["spec.validations[0].expression: is required"]),
        (
            "{expression: yes}",
            &["spec.validations[0].expression: must be a string, found a boolean (quote it)"],
        ),
        ("{expression: x, message: ' '}", &["spec.validations[0].message: must not be blank"]),
        (
            "{expression: x, message: \"a\\nb\"}",
            &["spec.validations[0].message: must not contain line breaks"],
        ),
        (
            "{expression: x, messageExpression: ' '}",
            &["spec.validations[0].messageExpression: must not be empty"],
        ),
        (
            "{expression: x, reason: forbidden}",
            &["spec.validations[0].reason: must be `Invalid`, `Forbidden`, `RequestEntityTooLarge` or \
               `Unauthorized`, found `forbidden` (did you mean `Forbidden`?)"],
        ),
        (
            "{expresion: x}",
            &[
                "spec.validations[0].expression: is required",
                "spec.validations[0].expresion: unknown field (did you mean `expression`?)",
            ],
        ),
    ];
    for (entry, expect) in table {
        check(&validations(entry), expect);
    }
}

#[test]
fn matching_is_checked() {
    let rule = |rule: &str| {
        vap(&format!("matchConstraints: {{resourceRules: [{rule}]}}\nvalidations: [{{expression: x}}]"))
    };
    let at = "spec.matchConstraints.resourceRules[0]";
    let ok = "apiGroups: [''], apiVersions: [v1], operations: [CREATE]";
    let table: [(String, &[&str]); 13] = [
        (format!("{{{ok}, resources: ['*', pods/exec, 'deployments/*']}}"), &[]),
        ("{}".into(), &[
            ".apiGroups: is required", ".apiVersions: is required", ".operations: is required", ".resources: is required",
        ]),
        ("{apiGroups: [], apiVersions: [], operations: [], resources: []}".into(), &[
            ".apiGroups: must not be empty", ".apiVersions: must not be empty", ".operations: must not be empty", ".resources: must not be empty",
        ]),
        ("{apiGroups: ['*', a], apiVersions: ['*', v1], operations: ['*', CREATE], resources: ['*/*', pods]}".into(), &[
            ".apiGroups: `*` must stand alone", ".apiVersions: `*` must stand alone",
            ".operations: `*` must stand alone", ".resources: `*/*` must stand alone",
        ]),
        (format!("{{{ok}, resources: [pods], resourceNames: []}}"), &[]),
        (format!("{{{ok}, resources: ['*', pods]}}"), &[
            ".resources: beside `*` there must be no resource without a subresource",
        ]),
        (format!("{{{ok}, resources: ['pods/*', pods/exec]}}"), &[
            ".resources[1]: `pods/*` covers `pods/exec` already",
        ]),
        (format!("{{{ok}, resources: ['*/scale', deployments/scale]}}"), &[
            ".resources[1]: `*/scale` covers `deployments/scale` already",
        ]),
        (format!("{{{ok}, resources: ['']}}"), &[".resources[0]: must not be empty"]),
        (format!("{{{ok}, resources: [pods], scope: namespaced}}"), &[
            ".scope: must be `*`, `Cluster` or `Namespaced`, found `namespaced` (did you mean `Namespaced`?)",
        ]),
        (format!("{{{ok}, resources: [pods], resourceNames: [a/b, c, c]}}"), &[
            ".resourceNames[0]: must not be `.` or `..`, nor contain `/` or `%`", ".resourceNames[2]: `c` is given twice",
        ]),
        ("{apiGroups: [''], apiVersions: [v1], operations: [PATCH], resources: [pods]}".into(), &[
            ".operations[0]: must be `*`, `CREATE`, `UPDATE`, `DELETE` or `CONNECT`, found `PATCH`",
        ]),
        (format!("{{{ok}, resource: [pods], resources: [pods]}}"), &[
            ".resource: unknown field (did you mean `resources`?)",
        ]),
    ];
    for (entry, expect) in table {
        let expect: Vec<String> = expect.iter().map(|message| format!("{at}{message}")).collect();
        assert_eq!(errors(&rule(&entry)), expect, "{entry}");
    }
    check(&vap("validations: [{expression: x}]"), &["spec.matchConstraints: is required"]);
    check(
        &vap("matchConstraints: {matchPolicy: Fuzzy}\nvalidations: [{expression: x}]"),
        &[
            "spec.matchConstraints.resourceRules: is required",
            "spec.matchConstraints.matchPolicy: must be `Equivalent` or `Exact`, found `Fuzzy`",
        ],
    );
    let pods = |pods: &str| policy("").replace("matchPods: {}", &format!("matchPods: {pods}"));
    check(&pods("{kinds: [Pod, CronJob], podSelector: {matchLabels: {a: b}}}"), &[]);
    check(
        &pods("{kinds: [Pod, Node, Pod], selector: {}}"),
        &[
            "spec.matchPods.kinds[1]: must be `Pod`, `Deployment`, `ReplicaSet`, `StatefulSet`, `DaemonSet`, \
             `Job`, `CronJob`, `ReplicationController` or `PodTemplate`, found `Node`",
            "spec.matchPods.kinds[2]: `Pod` is given twice",
            "spec.matchPods.selector: unknown field",
        ],
    );
    let selector = |entry: &str| pods(&format!("{{objectSelector: {{matchExpressions: [{entry}]}}}}"));
    let at = "spec.matchPods.objectSelector.matchExpressions[0]";
    let table: [(&str, &str); 6] = [
        (
            "{key: a, operator: in, values: [b]}",
            ".operator: must be `In`, `NotIn`, `Exists` or `DoesNotExist`, found `in` (did you mean `In`?)",
        ),
        ("{key: a, operator: In}", ".values: is required with `In` and `NotIn`"),
        ("{key: a, operator: NotIn, values: []}", ".values: must not be empty with `In` and `NotIn`"),
        (
            "{key: a, operator: Exists, values: [b]}",
            ".values: must be absent with `Exists` and `DoesNotExist`",
        ),
        ("{operator: Exists}", ".key: is required"),
        (
            "{key: a, operator: In, values: [-b]}",
            ".values[0]: must be a label value: at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
        ),
    ];
    for (entry, expect) in table {
        check(&selector(entry), &[&format!("{at}{expect}")]);
    }
}

#[test]
fn bindings_of_kubernetes_are_checked() {
    check(&vapb("{}"), &["spec.policyName: is required", "spec.validationActions: is required"]);
    let with = |line: &str| vapb(&format!("policyName: v\nvalidationActions: [Audit]\n{line}"));
    check(
        &with("paramRef: {parameterNotFoundAction: Deny}"),
        &["spec.paramRef: one of `name` and `selector` is required"],
    );
    check(&with("paramRef: {name: x}"), &["spec.paramRef.parameterNotFoundAction: is required"]);
    check(
        &with("paramRef: {name: x, parameterNotFoundAction: Fail}"),
        &["spec.paramRef.parameterNotFoundAction: must be `Allow` or `Deny`, found `Fail`"],
    );
    check(&with("params: {}"), &["spec.params: unknown field"]);
    check(
        &vap(
            "validationActions: [Deny]\nmatchConstraints: {resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']}]}\nvalidations: [{expression: x, forEach: y}]",
        ),
        &["spec.validationActions: unknown field", "spec.validations[0].forEach: unknown field"],
    );
}

#[test]
fn exceptions_are_checked() {
    check(
        &exception("{}"),
        &["spec.policies: is required", "spec.match: is required", "spec.reason: is required"],
    );
    let with = |matched: &str| exception(&format!("policies: [a]\nreason: r\nmatch: {matched}"));
    check(&with("{names: [x]}"), &[]);
    check(
        &with("{}"),
        &["spec.match: must name at least one of `kinds`, `namespaces`, `names`, `images` or `subjects`"],
    );
    check(&with("{kinds: []}"), &["spec.match.kinds: must not be empty"]);
    check(
        &with("{names: null, images: }"),
        &["spec.match: must name at least one of `kinds`, `namespaces`, `names`, `images` or `subjects`"],
    );
    check(&with("{images: [ghcr.io, docker.io/library/nginx]}"), &[]);
    check(
        &with("{images: [nginx, 'ghcr.io/acme:1', 'ghcr.io/']}"),
        &[
            "spec.match.images[0]: `nginx` is not a valid image prefix: it names no registry; those of Docker Hub \
             begin with `docker.io/`",
            "spec.match.images[1]: `ghcr.io/acme:1` is not a valid image prefix: a prefix has no tag",
            "spec.match.images[2]: `ghcr.io/` is not a valid image prefix: it ends with `/`",
        ],
    );
    check(
        &with("{kinds: [pods, Deployment.apps/v1]}"),
        &[
            "spec.match.kinds[0]: must be `Kind` or `Kind.group`, such as `Pod` or `Deployment.apps`",
            "spec.match.kinds[1]: must be `Kind` or `Kind.group`, such as `Pod` or `Deployment.apps`",
        ],
    );
    check(
        &with(
            "{subjects: [{kind: ServiceAccount, name: a}, {kind: User, name: b, namespace: c}, {kind: Robot}]}",
        ),
        &[
            "spec.match.subjects[0].namespace: is required with `kind: ServiceAccount`",
            "spec.match.subjects[1].namespace: must be absent: only a ServiceAccount has a namespace",
            "spec.match.subjects[2].name: is required",
            "spec.match.subjects[2].kind: must be `User`, `Group` or `ServiceAccount`, found `Robot`",
        ],
    );
    check(
        &exception("policies: [a, '*', a, B]\nreason: ' '\nmatch: {names: [x]}\nexpiresAt: tomorrow"),
        &[
            "spec.policies: `*` must stand alone",
            "spec.policies[2]: `a` is given twice",
            "spec.policies[3]: must be a DNS subdomain: at most 253 lower case letters, digits, `-` and `.`, \
             beginning and ending with a letter or digit",
            "spec.reason: must not be empty",
            "spec.expiresAt: must be a time as RFC 3339 writes it, such as `2030-12-31T00:00:00Z`",
        ],
    );
}

#[test]
fn params_are_checked_against_their_schema() {
    let schema = "paramsSchema:
  type: object
  required: [registries]
  properties:
    registries: {type: array, minItems: 1, maxItems: 2, items: {type: string, minLength: 2, pattern: '^[a-z.]+$'}}
    most: {type: integer, minimum: 1, maximum: 9, default: 3}
    mode: {type: string, enum: [strict, lax]}
    share: {type: number}
    limits: {type: object, additionalProperties: {type: integer}}
    free: {type: object}
";
    let with = |params: &str| policy(&format!("{schema}params: {params}"));
    let table: [(&str, &[&str]); 13] = [
        ("{registries: [a.b], most: 2, mode: lax, share: 0.5, limits: {x: 1}, free: {y: [z]}}", &[]),
        ("{}", &["registries: is required"]),
        ("{registries: a}", &["registries: must be a list, found a string"]),
        ("{registries: []}", &["registries: must have at least 1 entry"]),
        ("{registries: [a.b, c.d, e.f]}", &["registries: must have at most 2 entries"]),
        (
            "{registries: [1, x]}",
            &[
                "registries[0]: must be a string, found a number",
                "registries[1]: must have at least 2 characters",
            ],
        ),
        ("{registries: [A.B]}", &["registries[0]: must match `^[a-z.]+$`"]),
        ("{registries: [a.b], most: 0}", &["most: must be at least 1"]),
        ("{registries: [a.b], most: 1.5}", &["most: must be an integer, found a number"]),
        ("{registries: [a.b], mode: strickt}", &["mode: must be `strict` or `lax` (did you mean `strict`?)"]),
        ("{registries: [a.b], limits: {x: z}}", &["limits.x: must be an integer, found a string"]),
        ("{registries: [a.b], free: null}", &["free: must be a mapping, found null"]),
        (
            "{registeries: [a.b]}",
            &["registries: is required", "registeries: not in `paramsSchema` (did you mean `registries`?)"],
        ),
    ];
    for (params, expect) in table {
        let expect: Vec<String> = expect.iter().map(|message| format!("spec.params.{message}")).collect();
        assert_eq!(errors(&with(params)), expect, "{params}");
    }
    check(&policy(schema), &["spec.params: is required: `paramsSchema` asks for `registries`"]);
    check(
        &policy(&format!(
            "{schema}params: {{registries: [a.b]}}\nbindings: [{{name: b, params: {{most: x}}}}]"
        )),
        &[
            "spec.bindings[0].params.registries: is required",
            "spec.bindings[0].params.most: must be an integer, found a string",
        ],
    );
    check(
        &policy(
            "paramsSchema: {type: object, oneOf: [], properties: {a: {}, b: {type: text, pattern: '('}}, minimum: x}",
        ),
        &[
            "spec.paramsSchema.oneOf: unknown field",
            "spec.paramsSchema.properties.a.type: is required",
            "spec.paramsSchema.properties.b.type: must be `object`, `array`, `string`, `integer`, `number` or \
             `boolean`, found `text`",
            "spec.paramsSchema.properties.b.pattern: must be a regular expression",
            "spec.paramsSchema.minimum: must be a number, found a string",
        ],
    );
    check(
        &policy("paramsSchema: {type: array}"),
        &["spec.paramsSchema: must describe an object: `type: object`"],
    );
    check(
        &policy("paramsSchema: {type: object, properties: {a: {type: integer, default: x}}}"),
        &["spec.paramsSchema.properties.a.default: must be an integer, found a string"],
    );
    let deep = "{type: object, properties: {a: ".repeat(40) + "{type: string}" + &"}}".repeat(40);
    assert!(errors(&policy(&format!("paramsSchema: {deep}")))[0].ends_with("nest deeper than 32 levels"));
}

#[test]
fn lookups() {
    let check = |lookups: &str, expected: &[&str]| {
        assert_eq!(errors(&policy(&format!("lookups: [{lookups}]"))), expected, "{lookups}");
    };
    let of = |rest: &str| format!("{{name: a, apiVersion: v1, kind: Service{rest}}}");
    let wrong = |rest: &str, expected: &[&str]| check(&of(rest), expected);
    wrong("", &[]);
    wrong(", namespace: '*', objectName: web", &[]);
    wrong(", kindNotFoundAction: Allow", &[]);
    wrong(
        ", kindNotFoundAction: Ignore",
        &["spec.lookups[0].kindNotFoundAction: must be `Allow` or `Deny`, found `Ignore`"],
    );
    wrong(", namespaceExpression: object.a, selectorExpression: object.b", &[]);
    wrong(", selector: {matchExpressions: [{key: a, operator: Exists}]}", &[]);
    check(
        "{}",
        &[
            "spec.lookups[0].name: is required",
            "spec.lookups[0].apiVersion: is required",
            "spec.lookups[0].kind: is required",
        ],
    );
    check(&format!("{}, {}", of(""), of("")), &["spec.lookups[1].name: `a` is given twice"]);
    let mistyped = of("").replace("name: a", "name: a-b");
    let identifier = "spec.lookups[0].name: must be a CEL identifier: letters, digits and `_`, not beginning with a \
                      digit, not a reserved word";
    check(&mistyped, &[identifier]);
    wrong(", name2: x", &["spec.lookups[0].name2: unknown field (did you mean `name`?)"]);
    wrong(
        ", objectName: a, objectNameExpression: object.b",
        &["spec.lookups[0].objectNameExpression: must not be given together with `objectName`"],
    );
    wrong(
        ", objectName: a, selector: {}",
        &["spec.lookups[0].selector: must not be given together with `objectName`"],
    );
    wrong(
        ", objectName: a/b",
        &["spec.lookups[0].objectName: must not be `.` or `..`, nor contain `/` or `%`"],
    );
    check(
        "{name: a, apiVersion: v1, kind: Node, namespace: shop}",
        &["spec.lookups[0].namespace: must not be given: a Node lives in no namespace"],
    );
    check(
        "{name: a, apiVersion: v1/x/y, kind: Node}",
        &["spec.lookups[0].apiVersion: must be a version or `group/version`"],
    );
    let many: Vec<String> = (0..17).map(|n| of("").replace("name: a", &format!("name: a{n}"))).collect();
    check(&many.join(", "), &["spec.lookups: must not have more than 16 entries, found 17"]);
}

#[test]
fn a_broken_policy_keeps_what_tells_whom_it_concerns() {
    let salvaged = |document: &str| match &read_all(&file(document))[0].outcome {
        Outcome::Broken { salvage, .. } => salvage.is_some(),
        Outcome::Document(_) => panic!("{document} is sound"),
    };
    let table = [
        (policy("variable: []"), true),
        (policy("variables: [{name: x}]"), true),
        (policy("onUpdate: x"), true),
        (policy("lookups: [{}]"), true),
        (policy("failurePolicy: x"), false),
        (policy("bindings: [{}]"), false),
        (policy("").replace("matchPods: {}", "matchPods: {kinds: [X]}"), false),
        (policy("").replace("[Deny]", "[deny]"), false),
        (policy("").replace("{name: p}", "{}"), false),
        (vap("matchConstraints: {}\nvalidations: []"), false),
    ];
    for (document, expect) in table {
        assert_eq!(salvaged(&document), expect, "{document}");
    }
}

#[test]
fn one_broken_document_does_not_hide_the_others() {
    let text = file(&format!("{}---\na: [\n---\n{}", policy(""), exception("{}")));
    let documents = read_all(&text);
    let broken: Vec<bool> = documents.iter().map(|document| !errors_of(document).is_empty()).collect();
    assert_eq!(broken, [false, true, true]);
    let identity = documents[2].identity.as_ref().unwrap();
    assert_eq!((identity.kind, identity.name.as_str()), ("PolicyException", "d"));
}

#[test]
fn a_truncated_file_never_makes_the_reader_panic() {
    let text = file(FULL);
    for (end, _) in text.char_indices() {
        file_errors(&text[..end]);
    }
    for (end, _) in FULL.char_indices().step_by(31) {
        file_errors(&file(&FULL[..end]));
    }
}

#[test]
fn who_may_write_exceptions_only_writes_no_policies() {
    let text = |label: &str, document: &str| {
        let body = document.lines().map(|line| format!("    {line}\n")).collect::<String>();
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {{portcullis.dev/policy: 'true'{label}}}\n\
             data:\n  p.yaml: |\n{body}"
        )
    };
    let (label, kind) = (", portcullis.dev/exceptions: ''", |kind: &str| {
        format!(
            "apiVersion: portcullis.dev/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{failurePolicy: Fail}}"
        )
    });
    for kind in ["Policy", "ValidatingAdmissionPolicyBinding", "Nothing"].map(kind) {
        let read = read_manifest(None, &text(label, &kind), "portcullis");
        let documents = read_config_map(&read.config_maps[0]);
        assert_eq!(
            errors_of(&documents[0])[0].message,
            "a ConfigMap labelled `portcullis.dev/exceptions` holds PolicyExceptions only"
        );
        // Nor is anything refused in a broken policy's name.
        assert_eq!(documents[0].identity, None);
        assert!(matches!(&documents[0].outcome, Outcome::Broken { salvage: None, partial: None, .. }));
    }
    let exception = "apiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {name: x}\n\
                     spec: {policies: [a], match: {namespaces: [b]}, reason: because}";
    assert_eq!(file_errors(&text(label, exception)), [] as [&str; 0]);
}

#[test]
fn what_a_module_is_given_is_declared() {
    let check_wasm = |wasm: &str, expect: &[&str]| {
        let document = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  validationActions: [Deny]\n  \
             matchPods: {{}}\n  wasm: {wasm}\n"
        );
        check(&document, expect);
    };
    check_wasm("{module: m.wasm}", &[]);
    check_wasm("{module: m.wasm, settings: {}, reads: []}", &[]);
    check_wasm(
        "{module: m.wasm, reads: [oldObject, operation, subResource, userInfo, options, dryRun, namespaceObject]}",
        &[],
    );
    check_wasm("{}", &["spec.wasm.module: is required"]);
    check_wasm(
        "{module: a/b}",
        &[
            "spec.wasm.module: must be letters, digits, `-`, `_` and `.` (it is a key of `binaryData`, or the beginning of \
           up to 8 keys that end in `.1-of-N` and so on)",
        ],
    );
    check_wasm(
        "{module: m, sha256: abc}",
        &["spec.wasm.sha256: must be 64 hexadecimal digits (`sha256sum` prints them)"],
    );
    check_wasm("{module: m, settings: [1]}", &["spec.wasm.settings: must be a mapping, found a list"]);
    check_wasm(
        "{module: m, reads: [user, oldObject, oldObject]}",
        &[
            "spec.wasm.reads[0]: must be `oldObject`, `operation`, `subResource`, `userInfo`, `options`, `dryRun` or \
             `namespaceObject`, found `user`",
            "spec.wasm.reads[2]: `oldObject` is given twice",
        ],
    );
    check_wasm(
        "{module: m}\n  validations: [{expression: 'true'}]",
        &["spec.validations: must not be given together with `wasm`"],
    );
}
