//! What `kubectl apply` refuses of Kubernetes' own documents is refused here, under the same field: the rules of
//! `pkg/apis/admissionregistration/validation` and of what that calls, one case for each.

use super::{document, errors};

/// The fields that are refused, without what is said of them.
fn fields(document: &str) -> Vec<String> {
    let field = |error: &String| error.split(": ").next().unwrap_or_default().to_owned();
    errors(document).iter().map(field).collect()
}

const GROUP: &str = "admissionregistration.k8s.io/v1";
const RULES: &str =
    "resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods]}]";

/// A policy with these fields, and sound ones for those of the required that are not among them.
fn policy(spec: &str) -> String {
    let mut spec = spec.to_owned();
    if !spec.contains("matchConstraints") {
        spec.push_str(&format!("\nmatchConstraints: {{{RULES}}}"));
    }
    if !spec.contains("validations") && !spec.contains("auditAnnotations") {
        spec.push_str("\nvalidations: [{expression: 'true'}]");
    }
    document(GROUP, "ValidatingAdmissionPolicy", spec.trim_start())
}

fn binding(spec: &str) -> String {
    let mut spec = spec.to_owned();
    for (field, sound) in
        [("policyName", "policyName: v"), ("validationActions", "validationActions: [Deny]")]
    {
        if !spec.contains(field) {
            spec.push_str(&format!("\n{sound}"));
        }
    }
    document(GROUP, "ValidatingAdmissionPolicyBinding", spec.trim_start())
}

#[test]
fn a_policy_is_refused_as_by_kubectl_apply() {
    let long = "a".repeat(64);
    let conditions: Vec<String> =
        (0..65).map(|index| format!("{{name: c{index}, expression: 'true'}}")).collect();
    let annotations: Vec<String> =
        (0..21).map(|index| format!("{{key: k{index}, valueExpression: \"'x'\"}}")).collect();
    let annotation = |fields: &str| format!("auditAnnotations: [{fields}]");
    let wide = format!("'{}'", "x".repeat(5 << 10));
    let table: Vec<(String, Vec<&str>)> = vec![
        (String::new(), vec![]),
        ("failurePolicy: Fail".into(), vec![]),
        ("failurePolicy: fail".into(), vec!["failurePolicy"]),
        ("failurePolicy: ''".into(), vec!["failurePolicy"]),
        ("matchConstraints: {}".into(), vec!["matchConstraints.resourceRules"]),
        ("matchConstraints: {resourceRules: []}".into(), vec!["matchConstraints.resourceRules"]),
        ("matchConstraints: null".into(), vec!["matchConstraints"]),
        ("validations: []".into(), vec!["validations"]),
        ("validations: []\nauditAnnotations: []".into(), vec!["validations"]),
        // paramKind
        ("paramKind: {apiVersion: v1, kind: ConfigMap}".into(), vec![]),
        ("paramKind: {apiVersion: example.com/v1, kind: Widget}".into(), vec![]),
        ("paramKind: {}".into(), vec!["paramKind.apiVersion", "paramKind.kind"]),
        ("paramKind: {apiVersion: '', kind: ''}".into(), vec!["paramKind.apiVersion", "paramKind.kind"]),
        ("paramKind: {apiVersion: a/b/c, kind: Widget}".into(), vec!["paramKind.apiVersion"]),
        ("paramKind: {apiVersion: example.com/, kind: Widget}".into(), vec!["paramKind.apiVersion"]),
        ("paramKind: {apiVersion: 'Example!/v1', kind: Widget}".into(), vec!["paramKind.apiVersion"]),
        ("paramKind: {apiVersion: example.com/V1, kind: Widget}".into(), vec!["paramKind.apiVersion"]),
        ("paramKind: {apiVersion: v1, kind: Wid_get}".into(), vec!["paramKind.kind"]),
        ("paramKind: {apiVersion: v1, kind: '9Widget'}".into(), vec!["paramKind.kind"]),
        // matchConditions
        (format!("matchConditions: [{}]", conditions.join(", ")), vec!["matchConditions"]),
        ("matchConditions: [{}]".into(), vec!["matchConditions[0].name", "matchConditions[0].expression"]),
        (
            "matchConditions: [{name: '', expression: ' '}]".into(),
            vec!["matchConditions[0].name", "matchConditions[0].expression"],
        ),
        ("matchConditions: [{name: a b, expression: 'true'}]".into(), vec!["matchConditions[0].name"]),
        ("matchConditions: [{name: a/b/c, expression: 'true'}]".into(), vec!["matchConditions[0].name"]),
        ("matchConditions: [{name: example.com/a, expression: 'true'}]".into(), vec![]),
        (
            "matchConditions: [{name: a, expression: 'true'}, {name: a, expression: 'true'}]".into(),
            vec!["matchConditions[1].name"],
        ),
        // variables
        ("variables: [{}]".into(), vec!["variables[0].name", "variables[0].expression"]),
        (
            "variables: [{name: ' ', expression: ' '}]".into(),
            vec!["variables[0].name", "variables[0].expression"],
        ),
        ("variables: [{name: 4ever, expression: '1'}]".into(), vec!["variables[0].name"]),
        ("variables: [{name: a.b, expression: '1'}]".into(), vec!["variables[0].name"]),
        ("variables: [{name: namespace, expression: '1'}]".into(), vec!["variables[0].name"]),
        ("variables: [{name: _a1, expression: '1'}]".into(), vec![]),
        // validations
        ("validations: [{}]".into(), vec!["validations[0].expression"]),
        ("validations: [{expression: ' '}]".into(), vec!["validations[0].expression"]),
        (
            "validations: [{expression: 'true', messageExpression: ' '}]".into(),
            vec!["validations[0].messageExpression"],
        ),
        ("validations: [{expression: 'true', messageExpression: ''}]".into(), vec![]),
        ("validations: [{expression: 'true', message: ' '}]".into(), vec!["validations[0].message"]),
        ("validations: [{expression: 'true', message: ''}]".into(), vec![]),
        ("validations: [{expression: 'true', message: \"a\\nb\"}]".into(), vec!["validations[0].message"]),
        ("validations: [{expression: 'true', message: \"a\\rb\"}]".into(), vec!["validations[0].message"]),
        ("validations: [{expression: 'true', message: \"\\n a\\n\"}]".into(), vec![]),
        ("validations: [{expression: 'true', reason: Forbidden}]".into(), vec![]),
        ("validations: [{expression: 'true', reason: RequestEntityTooLarge}]".into(), vec![]),
        ("validations: [{expression: 'true', reason: Unauthorized}]".into(), vec!["validations[0].reason"]),
        ("validations: [{expression: 'true', reason: ''}]".into(), vec!["validations[0].reason"]),
        // auditAnnotations
        (format!("auditAnnotations: [{}]", annotations.join(", ")), vec!["auditAnnotations"]),
        (annotation("{}"), vec!["auditAnnotations[0].key", "auditAnnotations[0].valueExpression"]),
        (annotation("{key: a/b, valueExpression: \"'x'\"}"), vec!["auditAnnotations[0].key"]),
        (annotation("{key: -a, valueExpression: \"'x'\"}"), vec!["auditAnnotations[0].key"]),
        (annotation(&format!("{{key: {long}, valueExpression: \"'x'\"}}")), vec!["auditAnnotations[0].key"]),
        (annotation("{key: a, valueExpression: ' '}"), vec!["auditAnnotations[0].valueExpression"]),
        (
            annotation(&format!("{{key: a, valueExpression: \"{wide}\"}}")),
            vec!["auditAnnotations[0].valueExpression"],
        ),
        (
            annotation("{key: a, valueExpression: \"'x'\"}, {key: a, valueExpression: \"'y'\"}"),
            vec!["auditAnnotations[1].key"],
        ),
        // strict decoding
        ("validation: []".into(), vec!["validation"]),
    ];
    for (spec, expected) in table {
        let expected: Vec<String> = expected.iter().map(|field| format!("spec.{field}")).collect();
        assert_eq!(fields(&policy(&spec)), expected, "{spec}");
    }
}

/// What is refused of the constraints of a policy, and of those of a binding in the same words.
#[test]
fn constraints_are_refused_as_by_kubectl_apply() {
    let ok = "apiGroups: [''], apiVersions: [v1], operations: [CREATE]";
    let rule = |fields: &str| format!("resourceRules: [{{{fields}}}]");
    let pods = |fields: &str| format!("resourceRules: [{{{ok}, resources: [pods], {fields}}}]");
    let resources = |entries: &str| format!("resourceRules: [{{{ok}, resources: [{entries}]}}]");
    let selector = |fields: &str| format!("objectSelector: {{{fields}}}, {RULES}");
    let requirement =
        |fields: &str| format!("namespaceSelector: {{matchExpressions: [{{{fields}}}]}}, {RULES}");
    let all = ["apiGroups", "apiVersions", "operations", "resources"]
        .map(|field| format!("resourceRules[0].{field}"));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let table: Vec<(String, Vec<&str>)> = vec![
        (rule(""), all.clone()),
        (rule("apiGroups: [], apiVersions: [], operations: [], resources: []"), all.clone()),
        (
            rule(
                "apiGroups: ['*', a], apiVersions: ['*', v1], operations: ['*', CREATE], resources: ['*/*', pods]",
            ),
            all,
        ),
        (
            rule("apiGroups: [''], apiVersions: [''], operations: ['*'], resources: [pods]"),
            vec!["resourceRules[0].apiVersions[0]"],
        ),
        (
            rule("apiGroups: [''], apiVersions: [v1], operations: [create], resources: [pods]"),
            vec!["resourceRules[0].operations[0]"],
        ),
        (resources("''"), vec!["resourceRules[0].resources[0]"]),
        (resources("'*', pods"), vec!["resourceRules[0].resources"]),
        (resources("pods, '*'"), vec![]),
        (resources("'*', pods/exec"), vec![]),
        (resources("pods, '*/*'"), vec!["resourceRules[0].resources"]),
        (resources("'pods/*', pods/exec"), vec!["resourceRules[0].resources[1]"]),
        (resources("pods/exec, 'pods/*'"), vec![]),
        (resources("'*/scale', deployments/scale"), vec!["resourceRules[0].resources[1]"]),
        (
            resources("'pods/*', '*/exec', pods/exec"),
            vec!["resourceRules[0].resources[2]", "resourceRules[0].resources[2]"],
        ),
        (pods("scope: '*'"), vec![]),
        (pods("scope: cluster"), vec!["resourceRules[0].scope"]),
        (pods("resourceNames: [a, b]"), vec![]),
        (
            pods("resourceNames: [.., a/b, 'a%b', a, a]"),
            vec![
                "resourceRules[0].resourceNames[0]",
                "resourceRules[0].resourceNames[1]",
                "resourceRules[0].resourceNames[2]",
                "resourceRules[0].resourceNames[4]",
            ],
        ),
        (
            format!("excludeResourceRules: [{{}}], {RULES}"),
            vec![
                "excludeResourceRules[0].apiGroups",
                "excludeResourceRules[0].apiVersions",
                "excludeResourceRules[0].operations",
                "excludeResourceRules[0].resources",
            ],
        ),
        (format!("matchPolicy: exact, {RULES}"), vec!["matchPolicy"]),
        (selector("matchLabels: {a: b, example.com/c: ''}"), vec![]),
        (selector("matchLabels: {a b: c}"), vec!["objectSelector.matchLabels"]),
        (selector("matchLabels: {a: -b}"), vec!["objectSelector.matchLabels"]),
        (requirement("key: a, operator: Exists"), vec![]),
        (requirement("operator: Exists"), vec!["namespaceSelector.matchExpressions[0].key"]),
        (requirement("key: a b, operator: Exists"), vec!["namespaceSelector.matchExpressions[0].key"]),
        (requirement("key: a, operator: In"), vec!["namespaceSelector.matchExpressions[0].values"]),
        (
            requirement("key: a, operator: NotIn, values: []"),
            vec!["namespaceSelector.matchExpressions[0].values"],
        ),
        (
            requirement("key: a, operator: Exists, values: [b]"),
            vec!["namespaceSelector.matchExpressions[0].values"],
        ),
        (
            requirement("key: a, operator: DoesNotExist, values: [b]"),
            vec!["namespaceSelector.matchExpressions[0].values"],
        ),
        (
            requirement("key: a, operator: Equals, values: [b]"),
            vec!["namespaceSelector.matchExpressions[0].operator"],
        ),
        (
            requirement("key: a, operator: In, values: [b, '-']"),
            vec!["namespaceSelector.matchExpressions[0].values[1]"],
        ),
    ];
    for (constraints, expected) in table {
        let under =
            |parent: &str| expected.iter().map(|field| format!("spec.{parent}.{field}")).collect::<Vec<_>>();
        let found = fields(&policy(&format!("matchConstraints: {{{constraints}}}")));
        assert_eq!(found, under("matchConstraints"), "{constraints}");
        let found = fields(&binding(&format!("matchResources: {{{constraints}}}")));
        assert_eq!(found, under("matchResources"), "{constraints}");
    }
}

#[test]
fn a_binding_is_refused_as_by_kubectl_apply() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("policyName: ''", &["policyName"]),
        ("policyName: A_b", &["policyName"]),
        ("validationActions: []", &["validationActions"]),
        ("validationActions: null", &["validationActions"]),
        ("validationActions: [deny]", &["validationActions[0]"]),
        ("validationActions: [Audit, Audit]", &["validationActions[1]"]),
        ("validationActions: [Deny, Warn]", &["validationActions"]),
        ("validationActions: [Warn, Audit]", &[]),
        ("matchResources: {}", &[]),
        ("matchResources: {resourceRules: []}", &[]),
        ("paramRef: {name: a, parameterNotFoundAction: Deny}", &[]),
        ("paramRef: {selector: {}, parameterNotFoundAction: Allow}", &[]),
        ("paramRef: {parameterNotFoundAction: Deny}", &["paramRef"]),
        ("paramRef: {name: '', parameterNotFoundAction: Deny}", &["paramRef"]),
        ("paramRef: {name: a}", &["paramRef.parameterNotFoundAction"]),
        ("paramRef: {name: a, parameterNotFoundAction: ''}", &["paramRef.parameterNotFoundAction"]),
        ("paramRef: {name: a, parameterNotFoundAction: Ignore}", &["paramRef.parameterNotFoundAction"]),
        ("paramRef: {name: a/b, parameterNotFoundAction: Deny}", &["paramRef.name"]),
        ("paramRef: {name: '..', parameterNotFoundAction: Deny}", &["paramRef.name"]),
        (
            "paramRef: {name: a, selector: {}, parameterNotFoundAction: Deny}",
            &["paramRef.name", "paramRef.selector"],
        ),
        (
            "paramRef: {selector: {matchLabels: {a: '-'}}, parameterNotFoundAction: Deny}",
            &["paramRef.selector.matchLabels"],
        ),
        ("spare: 1", &["spare"]),
    ];
    for (spec, expected) in table {
        let expected: Vec<String> = expected.iter().map(|field| format!("spec.{field}")).collect();
        assert_eq!(fields(&binding(spec)), expected, "{spec}");
    }
}

#[test]
fn metadata_is_refused_as_by_kubectl_apply() {
    let many = format!("annotations: {{a: {}}}", "x".repeat(256 << 10));
    let table: &[(&str, &[&str])] = &[
        ("name: a.b-c", &[]),
        ("name: a, labels: {example.com/a: b}, annotations: {Example.com/A: b}", &[]),
        ("", &["name"]),
        ("name: ''", &["name"]),
        ("name: A", &["name"]),
        ("name: a.static.k8s.io", &["name"]),
        ("name: a, namespace: b", &["namespace"]),
        ("name: a, labels: {a b: c}", &["labels"]),
        ("name: a, labels: {a: b c}", &["labels"]),
        ("name: a, annotations: {a b: c}", &["annotations"]),
        (&format!("name: a, {many}"), &["annotations"]),
    ];
    for (metadata, expected) in table {
        let expected: Vec<String> = expected.iter().map(|field| format!("metadata.{field}")).collect();
        for sound in [policy(""), binding("")] {
            let document = sound.replace("metadata: {name: d}", &format!("metadata: {{{metadata}}}"));
            assert_eq!(fields(&document), expected, "{metadata:.80}");
        }
    }
}
