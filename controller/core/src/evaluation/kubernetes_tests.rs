//! ValidatingAdmissionPolicies where they differ from our own policies: budgets, messages, what cannot be applied.

use crate::decision::{FindingKind, Verdict};
use crate::facts::Facts;
use crate::request::Request;
use crate::testing::{brief, create, decide, decide_with, set};
use portcullis_cel::Tree;
use serde_json::{Value as Json, json};

/// A ValidatingAdmissionPolicy over ConfigMaps, bound by `b`.
fn bound(spec: &str, binding: &str) -> String {
    let lines = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: v}}\n\
         spec:\n  matchConstraints:\n    resourceRules:\n    \
         - {{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps]}}\n{}\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: b}}\nspec:\n  policyName: v\n  validationActions: [Deny]\n{}",
        lines(spec),
        lines(binding)
    )
}

fn config_map(data: Json) -> Json {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": data})
}

/// A request for an object with a text of a million characters, each search in which costs 100,000.
fn large() -> Request {
    create(config_map(json!({"text": "x".repeat(1_000_000)})))
}

/// True, at a cost of so many hundreds of thousands.
fn costly(searches: usize) -> String {
    let list: Vec<String> = (0..searches).map(|number| number.to_string()).collect();
    format!("[{}].all(i, !object.data.text.contains('yy'))", list.join(", "))
}

#[track_caller]
fn check(spec: &str, request: &Request, expected: &[&str]) {
    let found = brief(&decide(&set(&bound(spec, "")), request));
    assert_eq!(found, expected.iter().map(|line| format!("v/b: {line}")).collect::<Vec<_>>(), "{spec}");
}

fn list(name: &str, entries: impl Iterator<Item = String>) -> String {
    format!("{name}:\n{}", entries.map(|entry| format!("- {entry}\n")).collect::<String>())
}

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

#[test]
fn an_expression_that_costs_too_much_is_an_error_of_its_own() {
    let text = format!(
        "error [] expression '{}' resulted in error: operation cancelled: actual cost limit exceeded",
        costly(12)
    );
    check(
        &format!("validations:\n- expression: \"{}\"\n- expression: 'true'", costly(12)),
        &large(),
        &[&text],
    );
    let variable = |expression: &str| {
        format!(
            "variables:\n- {{name: v, expression: \"{}\"}}\nvalidations:\n- expression: {expression}",
            costly(12)
        )
    };
    check(&variable("variables.v || true"), &large(), &["allow"]);
    check(
        &variable("variables.v"),
        &large(),
        &[
            "error [] expression 'variables.v' resulted in error: composited variable \"v\" fails to evaluate: \
           operation cancelled: actual cost limit exceeded",
        ],
    );
}

#[test]
fn validations_that_cost_too_much_together_leave_nothing_but_an_error() {
    let validations = |count: usize| {
        let costly = (0..count).map(|_| format!("expression: \"{}\"", costly(9)));
        list("validations", ["expression: 1 == 2".to_owned()].into_iter().chain(costly))
    };
    check(&validations(11), &large(), &["deny [] failed expression: 1 == 2"]);
    check(&validations(12), &large(), &[&format!("error [] {OUT_OF_BUDGET}")]);
    // What variables cost counts, once.
    let variables = |count: usize| {
        let entries = (0..count).map(|number| format!("{{name: v{number}, expression: \"{}\"}}", costly(9)));
        let uses = (0..count).map(|number| format!("expression: variables.v{number} && variables.v{number}"));
        format!("{}{}", list("variables", entries), list("validations", uses))
    };
    check(&variables(11), &large(), &["allow"]);
    check(&variables(12), &large(), &[&format!("error [] {OUT_OF_BUDGET}")]);
}

#[test]
fn messages_are_made_of_what_is_left_even_those_nobody_hears() {
    let message = |count: usize| {
        let costly_message = format!("{} ? 'm' : 'n'", costly(9));
        let quiet =
            (0..count).map(|_| format!("{{expression: 'true', messageExpression: \"{costly_message}\"}}"));
        let costly = (0..8).map(|_| format!("expression: \"{}\"", costly(9)));
        list("validations", ["expression: 1 == 2".to_owned()].into_iter().chain(costly).chain(quiet))
    };
    check(&message(3), &large(), &["deny [] failed expression: 1 == 2"]);
    let error = format!("[] failed messageExpression: {OUT_OF_BUDGET}");
    let all = format!("error {}", vec![error; 13].join(" "));
    check(&message(4), &large(), &[&all]);
}

#[test]
fn conditions_have_a_budget_of_their_own_and_are_all_evaluated() {
    let conditions = |first: &str, count: usize| {
        let first = [format!("{{name: first, expression: \"{first}\"}}")].into_iter();
        let costly = (0..count).map(|number| format!("{{name: c{number}, expression: \"{}\"}}", costly(9)));
        format!("{}validations:\n- expression: 1 == 2", list("matchConditions", first.chain(costly)))
    };
    check(&conditions("true", 2), &large(), &["deny [] failed expression: 1 == 2"]);
    check(&conditions("1 == 2", 2), &large(), &["skip Condition(\"first\")"]);
    check(&conditions("1 == 2", 3), &large(), &[&format!("error [] {OUT_OF_BUDGET}")]);
    check(
        "matchConditions:\n- {name: a, expression: object.data.a == ''}\n- {name: b, expression: object.data.b == ''}\n\
         validations:\n- expression: 'true'",
        &create(config_map(json!({}))),
        &["error [] [expression 'object.data.a == ''' resulted in error: no such key: a, \
           expression 'object.data.b == ''' resulted in error: no such key: b]"],
    );
    check(
        "matchConditions:\n- {name: a, expression: object.data.a == ''}\n- {name: b, expression: object.data.a == ''}\n\
         validations:\n- expression: 'true'",
        &create(config_map(json!({}))),
        &["error [] expression 'object.data.a == ''' resulted in error: no such key: a"],
    );
}

#[test]
fn what_is_asked_of_variables_and_options_that_are_not_there() {
    let variable =
        "variables:\n- {name: v, expression: object.data.a}\nvalidations:\n- expression: has(variables.v)";
    check(variable, &create(config_map(json!({"a": "x"}))), &["allow"]);
    let error = "error [] expression 'has(variables.v)' resulted in error: composited variable \"v\" fails to \
                 evaluate: no such key: a";
    check(variable, &create(config_map(json!({}))), &[error]);
    let options = "validations:\n- expression: has(request.options) && !has(request.options.fieldManager)";
    check(options, &create(config_map(json!({}))), &["allow"]);
}

#[test]
fn annotations_that_cost_too_much_leave_nothing_but_an_error() {
    let annotations = |count: usize| {
        let entries = (0..count)
            .map(|number| format!("{{key: k{number}, valueExpression: \"{} ? 'v' : 'w'\"}}", costly(9)));
        format!("validations:\n- expression: 1 == 2\n{}", list("auditAnnotations", entries))
    };
    let decision = decide(&set(&bound(&annotations(11), "")), &large());
    assert_eq!(brief(&decision), ["v/b: deny [] failed expression: 1 == 2"]);
    assert_eq!(decision.outcomes[0].audit_annotations.len(), 11);
    let decision = decide(&set(&bound(&annotations(12), "")), &large());
    assert_eq!(brief(&decision), [format!("v/b: error [] {OUT_OF_BUDGET}")]);
    assert!(decision.outcomes[0].audit_annotations.is_empty());
}

#[test]
fn messages_and_annotations_cannot_ask_the_authorizer() {
    let asks = "authorizer.path('/x').check('get').allowed()";
    let decision = |spec: &str| decide(&set(&bound(spec, "")), &create(config_map(json!({}))));
    let annotated = |expression: &str| {
        decision(&format!(
            "variables:\n- {{name: v, expression: \"{asks}\"}}\nvalidations:\n- expression: 'true'\n\
             auditAnnotations:\n- key: k\n  valueExpression: \"{expression}\""
        ))
    };
    let annotation = format!("string({asks})");
    for (expression, expected) in [
        (annotation.as_str(), "no such attribute(s): authorizer"),
        (
            "string(variables.v)",
            "composited variable \"v\" fails to evaluate: no such attribute(s): authorizer",
        ),
    ] {
        let found = annotated(expression);
        assert_eq!(
            brief(&found),
            [format!("v/b: error [] expression '{expression}' resulted in error: {expected}")]
        );
        assert_eq!(found.outcomes[0].findings[0].kind, FindingKind::Configuration);
    }
    let message = format!(
        "variables:\n- {{name: v, expression: \"{asks}\"}}\nvalidations:\n- expression: 1 == 2\n  \
         messageExpression: string(variables.v)\n  message: fixed"
    );
    assert_eq!(brief(&decision(&message)), ["v/b: deny [] fixed"]);
}

#[test]
fn all_policies_together_have_a_budget() {
    let binding = |number: usize| {
        format!(
            "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
             metadata: {{name: b{number:02}}}\nspec:\n  policyName: v\n  validationActions: [Deny]\n"
        )
    };
    let validations = list("validations", (0..11).map(|_| format!("expression: \"{}\"", costly(9))));
    let bindings: String = (0..12).map(binding).collect();
    let decision = decide(&set(&format!("{}{bindings}", bound(&validations, ""))), &large());
    let verdicts: Vec<&Verdict> = decision.outcomes.iter().map(|outcome| &outcome.verdict).collect();
    assert!(verdicts[..10].iter().all(|verdict| **verdict == Verdict::Allow), "{verdicts:?}");
    let message = &decision.outcomes[12].findings[0].message;
    assert_eq!(
        message,
        "not judged: the policies that match this request have used up what may be spent on one"
    );
    assert_eq!(decision.outcomes[10].findings[0].message, *message, "in the middle of its validations");
}

#[test]
fn messages() {
    let message = |fields: &str| format!("validations:\n- expression: 1 == 2\n  {fields}");
    for (fields, expected) in [
        ("message: ' fixed '", "fixed"),
        ("{}", "failed expression: 1 == 2"),
        ("messageExpression: \"' made '\"\n  message: fixed", "made"),
        ("messageExpression: \"'two\\\\nlines'\"\n  message: fixed", "fixed"),
        ("messageExpression: \"'last line\\\\n'\"\n  message: fixed", "last line"),
        ("messageExpression: \"'tab\\\\tstays'\"", "tab\tstays"),
        ("messageExpression: \"' '\"\n  message: fixed", "fixed"),
        ("messageExpression: object.data.gone\n  message: fixed", "fixed"),
        ("messageExpression: \"object.data.long + ''\"\n  message: fixed", "fixed"),
        ("messageExpression: \"object.data.fits + ''\"", &"é".repeat(2_560)),
    ] {
        let fields = if fields == "{}" { "reason: Forbidden" } else { fields };
        let object = config_map(json!({"long": "é".repeat(2_561), "fits": "é".repeat(2_560)}));
        check(&message(fields), &create(object), &[&format!("deny [] {expected}")]);
    }
}

#[test]
fn what_cannot_be_applied_at_all_is_said_of_the_policy_alone() {
    let validations = "validations:\n- expression: 'true'";
    let by_namespace = bound(validations, "")
        .replace("matchConstraints:", "matchConstraints:\n    namespaceSelector: {matchLabels: {env: prod}}");
    let unknown_kind = |group_version: &str| {
        let kind = format!("paramKind: {{apiVersion: {group_version}, kind: Limits}}\n{validations}");
        bound(&kind, "paramRef: {name: x, parameterNotFoundAction: Allow}")
    };
    let request = create(config_map(json!({})));
    for (documents, expected) in [
        (by_namespace, "v: error [] failed to configure policy: namespaces \"shop\" not found"),
        (
            bound(validations, "matchResources: {namespaceSelector: {matchLabels: {env: prod}}}"),
            "v/b: error [] failed to configure binding: namespaces \"shop\" not found",
        ),
        (
            unknown_kind("example.com/v1"),
            "v: error [] failed to configure policy: failed to find resource referenced by paramKind: \
             'example.com/v1, Kind=Limits'",
        ),
        (
            unknown_kind("v1"),
            "v: error [] failed to configure policy: failed to find resource referenced by paramKind: \
             '/v1, Kind=Limits'",
        ),
    ] {
        let decision = decide(&set(&documents), &request);
        assert_eq!(brief(&decision), [expected]);
        assert_eq!(decision.outcomes[0].findings[0].kind, FindingKind::Configuration);
    }
    let defined = |scope: &str| {
        let mut facts = Facts::new(true);
        facts.add(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "limits.example.com"},
            "spec": {"group": "example.com", "scope": scope, "names": {"kind": "Limits", "plural": "limits"}},
        }));
        facts
    };
    let known = unknown_kind("example.com/v1");
    for (documents, scope, expected) in [
        (known.clone(), "Namespaced", "v/b: skip NoParam"),
        (known.replace("{name: x,", "{name: x, namespace: other,"), "Namespaced", "v/b: skip NoParam"),
        (
            known.replace("{name: x,", "{name: x, namespace: other,"),
            "Cluster",
            "v/b: error [] failed to configure binding: paramRef.namespace must not be provided for a \
             cluster-scoped `paramKind`",
        ),
    ] {
        assert_eq!(brief(&decide_with(&set(&documents), &request, &defined(scope))), [expected]);
    }
}

#[test]
fn whether_unknown_params_exist_decides_only_where_it_matters() {
    let spec = "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations:\n";
    let both = "- expression: params.data.a == 'x'\n- expression: object.data.a == 'x'";
    let other = "- expression: object.data.a == 'x'";
    let missing = "undecidable ConfigMap `p` of v1";
    for (validations, value, action, expected) in [
        (both, "x", "Deny", "undecidable ConfigMap `p` of v1 (`params.data.a`)"),
        (both, "y", "Deny", "deny [data.a] failed expression: object.data.a == 'x'"),
        (both, "y", "Allow", missing),
        (other, "x", "Allow", "allow"),
        (other, "x", "Deny", missing),
        (other, "y", "Deny", "deny [data.a] failed expression: object.data.a == 'x'"),
    ] {
        let reference = format!("paramRef: {{name: p, parameterNotFoundAction: {action}}}");
        let documents = bound(&format!("{spec}{validations}"), &reference);
        let request = create(config_map(json!({"a": value})));
        let found = brief(&decide_with(&set(&documents), &request, &Facts::new(false)));
        assert_eq!(found, [format!("v/b: {expected}")], "{validations} {value} {action}");
    }
}

#[test]
fn what_an_unknown_kind_does_not_tell_is_undecidable() {
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let mut request = create(widget);
    request.user = None;
    let documents = |expression: &str| {
        bound(&format!("validations:\n- expression: {expression}"), "")
            .replace("apiGroups: ['']", "apiGroups: ['*']")
            .replace("resources: [configmaps]", "resources: ['*']")
    };
    let definition = "the CustomResourceDefinition of kind `Widget`";
    for (expression, expected) in [
        (
            "request.resource.resource == 'widgets'",
            format!("undecidable {definition} (`request.resource.resource`)"),
        ),
        ("has(request.namespace)", format!("undecidable {definition} (`request.namespace`)")),
        ("namespaceObject == null", format!("undecidable {definition} (`namespaceObject`)")),
        (
            "has(request.options) && request.requestResource.group == ''",
            format!(
                "undecidable {definition} (`request.requestResource.group`), \
                 what options the request carries (`request.options`)"
            ),
        ),
        ("request.kind.kind == 'Widget' && request.name == 'w'", "allow".to_owned()),
    ] {
        let found = brief(&decide(&set(&documents(expression)), &request));
        assert_eq!(found, [format!("v/b: {expected}")], "{expression}");
    }
    request.options = Tree::from(json!({"kind": "CreateOptions"}));
    assert_eq!(brief(&decide(&set(&documents("has(request.options)")), &request)), ["v/b: allow"]);
}
