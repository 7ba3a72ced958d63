//! What is told of expressions, and what is not.

use super::{Explanation, Subject};
use crate::facts::Facts;
use crate::request::Request;
use crate::testing::{create, pod, policy, set, update};
use serde_json::{Value as Json, json};

fn explain(documents: &str, request: &Request, all: bool) -> Vec<Explanation> {
    let facts = Facts::new(true);
    let explained = set(documents).explain(None, request, &facts, jiff::Timestamp::UNIX_EPOCH, all);
    explained.into_iter().flat_map(|(_, explanations)| explanations).collect()
}

/// What is told of each part, after as much of the source as names it.
fn parts(explanation: &Explanation) -> Vec<String> {
    let expressions = std::iter::once(&explanation.expression)
        .chain(explanation.variables.iter().map(|(_, variable)| variable));
    let told = expressions.flat_map(|trace| {
        trace.parts.iter().map(|part| {
            let from: String = trace.source.chars().skip(part.at).collect();
            let name: String = from.chars().take_while(|next| next.is_alphanumeric()).collect();
            let operator = from.chars().take_while(|next| "[]=!<>&|+?".contains(*next));
            let name = if name.is_empty() { operator.collect() } else { name };
            let element = part.element.map(|element| format!(" (element {element})"));
            let times =
                if part.times > part.values.len() { format!(" x{}", part.times) } else { String::new() };
            format!("{name}: {}{}{times}", part.values.join(", "), element.unwrap_or_default())
        })
    });
    told.collect()
}

/// A policy of one validation for everything that these tests look at.
fn over_everything(rest: &str) -> String {
    let rules = "{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*']}";
    policy(
        "p",
        &format!(
            "validationActions: [Deny]\nonUpdate: Always\nmatchConstraints:\n  resourceRules:\n  - {rules}\n{rest}"
        ),
    )
}

fn validation(expression: &str) -> String {
    over_everything(&format!("validations:\n- expression: {}\n  message: nope", json!(expression)))
}

#[track_caller]
fn check(expression: &str, object: &Json, expected: &[&str]) {
    let explanations = explain(&validation(expression), &create(object.clone()), true);
    assert_eq!(parts(&explanations[0]), expected, "{expression}");
}

#[test]
fn each_part_is_told_of_once_and_for_the_element_that_decides() {
    let numbers: Vec<u32> = (0..200).collect();
    let object = pod(json!({"n": [1, 2, 3], "many": numbers, "hostNetwork": false}));
    check("object.spec.n[0] == 2", &object, &["[: 1", "==: false"]);
    check(
        "object.spec.hostNetwork && object.spec.n[0] == 1",
        &object,
        &["hostNetwork: false", "&&: false", "==: "],
    );
    // Errors are told where they arose.
    check("object.spec.none.size() > 1", &object, &["none: error: no such key: none"]);
    check(
        "!has(object.spec.n) || object.spec.n.none > 1",
        &object,
        &["!: false", "has: true", "none: error: unsupported index type 'string' in list"],
    );
    // `all` and `exists` that are decided, and not.
    check(
        "object.spec.n.all(n, n != 2)",
        &object,
        &["n: [1, 2, 3]", "all: false (element 1)", "n: 2", "!=: false"],
    );
    check(
        "object.spec.n.exists(n, n == 2)",
        &object,
        &["n: [1, 2, 3]", "exists: true (element 1)", "n: 2", "==: true"],
    );
    check(
        "object.spec.n.exists(n, n == 9)",
        &object,
        &["n: [1, 2, 3]", "exists: false", "n: 1, 2, 3", "==: false, false, false"],
    );
    check("object.spec.n.all(n, n.x == 9)", &object, &["n: [1, 2, 3]", "x: error: no such key: x"]);
    // What is long is cut.
    let told =
        &explain(&validation("object.spec.many.map(n, n + 1).size() == 0"), &create(object.clone()), true)[0];
    let of_body = told.expression.parts.iter().find(|part| part.at == 24).unwrap();
    assert_eq!((of_body.times, of_body.values.len()), (200, 20));
    // Each `all` inside is that of the element that decides.
    check(
        "object.spec.n.all(n, object.spec.n.all(m, n + m != 4))",
        &object,
        &[
            "n: [1, 2, 3]",
            "all: false (element 0)",
            "n: [1, 2, 3]",
            "all: false (element 2)",
            "n: 1",
            "+: 4",
            "m: 3",
            "!=: false",
        ],
    );
}

#[test]
fn conditions_variables_and_elements_are_explained() {
    let documents = over_everything(
        "matchConditions:\n- {name: any, expression: 'true'}\n- {name: named, expression: object.metadata.name == 'x'}\n\
         validations:\n- {expression: 'false', message: nope}",
    );
    let explanations = explain(&documents, &create(pod(json!({}))), false);
    assert_eq!(explanations.len(), 1, "{explanations:?}");
    assert_eq!(explanations[0].subject, Subject::Condition("named".to_owned()));
    assert_eq!(parts(&explanations[0]), ["name: \"p\"", "==: false"]);

    let documents = over_everything(
        "variables:\n- {name: a, expression: object.spec.list}\n- {name: b, expression: variables.a.size()}\n\
         - {name: c, expression: '1'}\nvalidations:\n- {forEach: variables.a, expression: each < variables.b, message: nope}",
    );
    let explanations = explain(&documents, &create(pod(json!({"list": [1, 2]}))), false);
    assert_eq!(explanations.len(), 1, "{explanations:?}");
    assert_eq!(explanations[0].element, Some((1, "2".to_owned())));
    assert_eq!(
        parts(&explanations[0]),
        ["each: 2", "<: false", "b: 2", "list: [1, 2]", "a: [1, 2]", "size: 2"]
    );
}

/// Values that are found by nothing but reading the Secret.
const VALUES: [&str; 3] = ["aHVudGVyMg==", "swordfish", "1234567"];

fn secret() -> Json {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "s", "namespace": "shop", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"password\":\"aHVudGVyMg==\"}}",
        }},
        "data": {"password": "aHVudGVyMg=="},
        "stringData": {"login": "swordfish", "pin": "1234567"},
    })
}

#[test]
fn values_of_secrets_are_not_told() {
    let login = "object.stringData.login";
    let letters: Vec<String> = ('a'..='z').map(|letter| format!("'{letter}'")).collect();
    let letters = letters.join(", ");
    let expressions = [
        format!("{login} == 'x'"),
        format!("{login} + {login} == ''"),
        format!("{login}.upperAscii().lowerAscii() == 'x'"),
        format!("{login}.substring(1).size() == 4"),
        format!("{login}.charAt(0) == 'x'"),
        format!("{login}.split('').join('-') == 'x'"),
        format!("[{login}, object.stringData.pin].exists(v, v == 'x')"),
        format!("{{'a': {login}}}.a == 'x'"),
        format!("({login} == 'swordfis' ? object.data.password : {login}) == 'x'"),
        format!("optional.of({login}).optMap(v, v + 'x').orValue('') == 'x'"),
        "object.?stringData.login.orValue('') == 'x'".to_owned(),
        format!("dyn({login}) == dyn(1)"),
        format!("quantity({login}).isInteger()"),
        format!("int({login}) == 1"),
        format!("duration({login}) == duration('1s')"),
        format!("object.metadata[{login}] == 'x'"),
        format!("{{'a': 1}}[{login}] == 1"),
        format!("bytes({login}) == b'x'"),
        format!("'%s'.format([{login}]) == 'x'"),
        "object.data == {}".to_owned(),
        "object == {}".to_owned(),
        "[object][0].data.map(k, object.data[k]) == []".to_owned(),
        "object.stringData.pin.size() == 4".to_owned(),
        "int(object.stringData.pin) == 4".to_owned(),
        "object.metadata.annotations == {}".to_owned(),
        "object.metadata.annotations.exists(k, v, v == 'x')".to_owned(),
        "object.stringData.transformMap(k, v, v + v) == {}".to_owned(),
        "object.stringData.all(k, object.stringData[k].size() > 8)".to_owned(),
        "variables.login == 'x'".to_owned(),
        "variables.length == 1".to_owned(),
        "variables.values.exists(v, v.endsWith('x'))".to_owned(),
        "has(oldObject.data) && oldObject.data.password == 'x'".to_owned(),
    ];
    let variables = "variables:\n- {name: login, expression: object.stringData.login}\n\
         - {name: length, expression: variables.login.size() + 1000}\n\
         - {name: values, expression: 'object.stringData.map(k, object.stringData[k])'}\n";
    for expression in &expressions {
        let quoted = json!(expression);
        for rest in [
            format!("validations:\n- {{expression: {quoted}, message: nope}}"),
            format!(
                "matchConditions:\n- {{name: c, expression: {quoted}}}\nvalidations:\n- {{expression: 'false', message: nope}}"
            ),
            format!("validations:\n- {{forEach: variables.values, expression: {quoted}, message: nope}}"),
        ] {
            // Conditions see no variables.
            if rest.starts_with("match") && expression.contains("variables.") {
                continue;
            }
            let documents = over_everything(&format!("{variables}{rest}"));
            for request in [create(secret()), update(secret(), secret())] {
                let explanations = explain(&documents, &request, true);
                let text = format!("{explanations:?}");
                assert!(!explanations.is_empty(), "{expression}");
                let leaked = VALUES.iter().find(|value| text.replace(expression, "").contains(**value));
                assert_eq!(leaked, None, "{expression}: {text}");
            }
        }
    }
    // Nor what they are made of, nor how long they are, nor letter by letter.
    check(
        &format!("{login}.charAt(0) + 'x' == 'y'"),
        &secret(),
        &["login: \"***\"", "charAt: ***", "+: ***", "==: false"],
    );
    check(&format!("{login}.size() == 3"), &secret(), &["login: \"***\"", "size: ***", "==: false"]);
    check(&format!("[{letters}].exists(l, {login}.charAt(0) == l)"), &secret(), &["exists: true", "==: ***"]);
    check(
        &format!("[{letters}].filter(l, {login}.charAt(0) == l).map(l, l + l).size() == 9"),
        &secret(),
        &["filter: ***", "l: ***", "==: ***", "map: ***", "+: ***", "size: ***", "==: false"],
    );
    check(&format!("int({login}) == 1"), &secret(), &["int: error: ***", "login: \"***\""]);
    // What is no value is told.
    check(
        "object.data.all(k, k != 'password') && object.type == 'x'",
        &secret(),
        &["data: {\"password\": \"***\"}", "all: false", "!=: ***", "&&: false", "==: "],
    );
    check(
        "has(object.data.password) && object.metadata.name == 'x'",
        &secret(),
        &["has: true", "&&: false", "name: \"s\"", "==: false"],
    );
}

#[test]
fn values_of_a_secret_that_is_a_param_are_not_told() {
    let documents = "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
        metadata: {name: p}\nspec:\n  paramKind: {apiVersion: v1, kind: Secret}\n  matchConstraints:\n    \
        resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods]}]\n  \
        validations: [{expression: \"params.stringData.login == object.metadata.name\"}]\n---\n\
        apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\n\
        spec: {policyName: p, validationActions: [Deny], paramRef: {name: s, namespace: shop, parameterNotFoundAction: Deny}}\n";
    let mut facts = Facts::new(true);
    facts.add(secret());
    let explained =
        set(documents).explain(None, &create(pod(json!({}))), &facts, jiff::Timestamp::UNIX_EPOCH, false);
    let (outcome, explanations) = &explained[0];
    assert_eq!(outcome.param.as_deref(), Some("shop/s"));
    assert_eq!(parts(&explanations[0]), ["login: \"***\"", "==: false", "name: \"p\""]);
}
