//! Policies: conditions, variables, validations with their messages, audit annotations.

use super::expressions::{self, Scope, Variable, VariableKind};
use super::matching;
use super::request::Request;
use super::world::{CONFIG_MAP, LIMIT, ParamKind, RULE, STORAGE_CLASS, UNKNOWN};
use crate::vap::dice::Dice;
use serde_json::{Value as Json, json};

/// Searches a long text: 900,000 units.
const COSTLY: &str = "object.metadata.annotations.hay.contains(object.metadata.annotations.needle)";
/// Does so with a needle as long as the text: more than an expression may cost.
const TOO_COSTLY: &str = "object.metadata.annotations.hay.contains(object.metadata.annotations.hay)";

/// A policy with the kind of its params.
pub(super) fn policy(dice: &mut Dice<'_>, name: &str, request: &Request) -> (Json, Option<ParamKind>) {
    let params = dice.happens("params").then(|| param_kind(dice));
    let mut scope = Scope {
        kind: request.subject.feature,
        sub_resource: request.sub_resource,
        params: params.map(|kind| kind.kind),
        variables: Vec::new(),
    };
    let mut spec = json!({"matchConstraints": matching::constraints(dice, request)});
    if let Some(kind) = params {
        spec["paramKind"] = json!({"apiVersion": kind.api_version, "kind": kind.kind});
    }
    if dice.happens("failure-policy.ignore") {
        spec["failurePolicy"] = json!("Ignore");
    } else if dice.percent(30) {
        spec["failurePolicy"] = json!("Fail");
    }
    if dice.happens("conditions") {
        spec["matchConditions"] = json!(conditions(dice, &scope));
    }
    if dice.happens("variables") {
        spec["variables"] = json!(variables(dice, &mut scope));
    }
    spec["validations"] = json!(validations(dice, &scope));
    if dice.happens("annotations") {
        spec["auditAnnotations"] = json!(annotations(dice, &scope));
    }
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": spec,
    });
    (policy, params)
}

/// Has a policy cost nearly all that a binding may.
pub(super) fn spend(policy: &mut Json) {
    if let Some(validations) = policy["spec"]["validations"].as_array_mut() {
        validations.extend((0..11).map(|_| json!({"expression": format!("!{COSTLY}")})));
    }
}

fn param_kind(dice: &mut Dice<'_>) -> ParamKind {
    match dice.one_of(&[
        "params.config-map",
        "params.namespaced-custom",
        "params.cluster-scoped",
        "params.built-in-cluster-scoped",
        "params.unknown-kind",
    ]) {
        "params.namespaced-custom" => RULE,
        "params.cluster-scoped" => LIMIT,
        "params.built-in-cluster-scoped" => STORAGE_CLASS,
        "params.unknown-kind" => UNKNOWN,
        _ => CONFIG_MAP,
    }
}

fn conditions(dice: &mut Dice<'_>, scope: &Scope) -> Vec<Json> {
    // Only the params are there: variables are not declared for conditions, nor is the Namespace bound.
    let bare = Scope {
        kind: scope.kind,
        sub_resource: scope.sub_resource,
        params: scope.params.filter(|_| dice.happens("conditions.params")),
        variables: Vec::new(),
    };
    let mut texts = vec![
        dice.pick(&["true", "request.operation != 'NONE'", "object != null || oldObject != null"]).to_owned(),
    ];
    if dice.happens("conditions.several") {
        texts.push(expressions::truth(dice, &bare));
    }
    if dice.happens("conditions.false") {
        texts.push(dice.pick(&["false", "request.userInfo.username == 'nobody'"]).to_owned());
    }
    if dice.happens("conditions.failing") {
        texts.insert(0, expressions::failing(dice));
        if dice.happens("conditions.failing-twice") {
            texts.push(expressions::failing(dice));
        }
    }
    if dice.happens("authorizer.in-condition") {
        texts.push(expressions::authorized(dice));
    }
    if dice.happens("conditions.namespace-object") {
        texts.push("namespaceObject.metadata.name == 'shop'".to_owned());
    }
    if dice.happens("conditions.exhausted") {
        texts.extend(std::iter::repeat_n(format!("!{COSTLY}"), 3));
    }
    if dice.happens("broken.condition") {
        texts.push("object.spec.on ? object.a : object.b".to_owned());
    }
    let named = texts.iter().enumerate();
    named.map(|(at, text)| json!({"name": format!("condition-{at}"), "expression": text})).collect()
}

fn variables(dice: &mut Dice<'_>, scope: &mut Scope) -> Vec<Json> {
    let mut made = Vec::new();
    let mut usable = Vec::new();
    for at in 0..dice.between(1, 3) {
        let name = format!("v{at}");
        let kinds: &[(VariableKind, &str)] = &[
            (VariableKind::Bool, "has(object.metadata)"),
            (VariableKind::Bool, "request.operation == 'CREATE'"),
            (VariableKind::Text, "string(object.metadata.name)"),
            (VariableKind::Text, "request.kind.kind + 's'"),
            (VariableKind::Number, "size(object.metadata.name)"),
            (VariableKind::Number, "size(request.userInfo.username)"),
            (VariableKind::Unknown, "object.metadata.name"),
            (VariableKind::Unknown, "(object == null ? oldObject : object).kind"),
        ];
        let typed = dice.happens("variables.typed");
        let least = if typed { 0 } else { 6 };
        let (kind, expression) = kinds[dice.between(least, if typed { 5 } else { 7 })];
        made.push(json!({"name": name, "expression": expression}));
        usable.push(Variable { name, kind });
    }
    if dice.happens("variables.chained") {
        let first = usable[0].clone();
        let expression = format!("[variables.{}, variables.{}][0]", first.name, first.name);
        made.push(json!({"name": "chain", "expression": expression}));
        usable.push(Variable { name: "chain".to_owned(), ..first });
    }
    if dice.happens("variables.failing") {
        made.push(json!({"name": "fails", "expression": expressions::failing(dice)}));
        usable = vec![Variable { name: "fails".to_owned(), kind: VariableKind::Bool }];
    }
    if dice.happens("authorizer.in-variable") {
        made.push(json!({"name": "may", "expression": expressions::authorized(dice)}));
        usable.push(Variable { name: "may".to_owned(), kind: VariableKind::Bool });
    }
    if dice.happens("broken.variable") {
        made.push(json!({"name": "broken", "expression": "object.spec +"}));
        if dice.must("broken.variable") {
            usable = vec![Variable { name: "broken".to_owned(), kind: VariableKind::Unknown }];
        }
    }
    if dice.happens("variables.unused-failing") {
        made.push(json!({"name": "unusedFails", "expression": "object.spec.none.none"}));
    }
    if dice.happens("variables.unused") {
        made.push(json!({"name": "unused", "expression": "object.metadata"}));
    }
    if dice.happens("variables.costly") {
        made.push(json!({"name": "costly", "expression": COSTLY}));
        usable = vec![Variable { name: "costly".to_owned(), kind: VariableKind::Bool }];
    }
    scope.variables = usable;
    made
}

fn validations(dice: &mut Dice<'_>, scope: &Scope) -> Vec<Json> {
    let mut expressions = vec![expressions::truth(dice, scope)];
    if dice.happens("validations.several") {
        expressions
            .extend((0..dice.between(1, 3)).map(|_| expressions::truth(dice, scope)).collect::<Vec<_>>());
    }
    if dice.happens("authorizer") {
        expressions.push(expressions::authorized(dice));
    }
    if dice.happens("validations.many") {
        expressions.extend((0..60).map(|at| format!("request.kind.version == 'none-{at}'")));
    }
    if dice.happens("validations.failing") {
        let at = dice.between(0, expressions.len());
        expressions.insert(at, expressions::failing(dice));
    }
    if scope.variables.iter().any(|variable| variable.name == "costly") {
        expressions.extend((0..dice.between(1, 12)).map(|_| "!variables.costly".to_owned()));
    }
    if dice.happens("cost.expression") {
        expressions.push(format!("!{TOO_COSTLY}"));
    }
    if dice.happens("cost.binding") {
        expressions.extend(std::iter::repeat_n(format!("!{COSTLY}"), 12));
    }
    if dice.happens("broken.validation") {
        expressions.push(
            dice.pick(&[
                "object.spec.on",
                "object.spec +",
                "unknown.name == 1",
                "request.uid == ''",
                "1 + 'a' == 2",
            ])
            .to_owned(),
        );
    }
    let mut validations: Vec<Json> = expressions.iter().map(|text| validation(dice, scope, text)).collect();
    if dice.happens("cost.message") {
        validations.extend((0..11).map(|_| json!({"expression": format!("!{COSTLY}")})));
        validations.push(json!({"expression": dice.pick(&["true", "false"]), "messageExpression": format!("{COSTLY} ? 'a' : 'b'")}));
        // Eleven of them leave too little for the message.
    }
    validations
}

fn validation(dice: &mut Dice<'_>, scope: &Scope, expression: &str) -> Json {
    let mut validation = json!({"expression": expression});
    match dice.one_of(&["reason.default", "reason.invalid", "reason.forbidden", "reason.too-large"]) {
        "reason.invalid" => validation["reason"] = json!("Invalid"),
        "reason.forbidden" => validation["reason"] = json!("Forbidden"),
        "reason.too-large" => validation["reason"] = json!("RequestEntityTooLarge"),
        _ => {}
    }
    let chosen = dice.one_of(&[
        "message.none",
        "message.plain",
        "message.padded",
        "message.expression",
        "message.blank",
        "message.lines",
        "message.trimmed",
        "message.too-long",
        "message.failing",
        "message.namespace-object",
        "message.long",
    ]);
    let computed = match chosen {
        "message.blank" => Some(dice.pick(&["''", "'  \\t '", "'\\n'"]).to_owned()),
        "message.lines" => Some("'two\\nlines'".to_owned()),
        "message.trimmed" => {
            Some(dice.pick(&["'  x\\n'", "'\\u00a0x\\u2003'", "'a\\rb'", "'\\tx\\u0085'"]).to_owned())
        }
        "message.too-long" => Some(format!("'{}'", "é".repeat(2_561))),
        "message.long" => Some(format!("'{}'", dice.pick(&["é", "long "]).repeat(1_000))),
        "message.failing" => Some("'x' + object.metadata.none".to_owned()),
        "message.namespace-object" => Some("'in ' + namespaceObject.metadata.name".to_owned()),
        "message.expression" => Some(message(dice, scope)),
        _ => None,
    };
    if let Some(text) = computed {
        validation["messageExpression"] = json!(text);
    }
    if dice.happens("broken.message") {
        validation["messageExpression"] = json!(dice.pick(&["object.metadata.name", "1", "'a' +"]));
    }
    match chosen {
        "message.plain" => {
            validation["message"] = json!(dice.pick(&["not allowed", "ask team größe <b> & \"co\""]))
        }
        "message.padded" => validation["message"] = json!("  padded\u{a0} "),
        "message.none" => {}
        _ if dice.percent(60) => validation["message"] = json!("fallback"),
        _ => {}
    }
    if validation["message"].is_string() && dice.percent(15) {
        validation["expression"] = json!(format!("  {expression}\n && true "));
    }
    validation
}

fn message(dice: &mut Dice<'_>, scope: &Scope) -> String {
    if !scope.variables.is_empty() && dice.happens("variables.in-message") {
        let variable = &scope.variables[0].name;
        return format!("'the value is ' + string(variables.{variable})");
    }
    expressions::text(dice, scope)
}

fn annotations(dice: &mut Dice<'_>, scope: &Scope) -> Vec<Json> {
    let mut texts = vec![expressions::text(dice, scope)];
    if dice.happens("annotations.several") {
        texts.push(expressions::text(dice, scope));
    }
    if dice.happens("annotations.null") {
        texts.push("null".to_owned());
    }
    if dice.happens("annotations.blank") {
        texts.push(dice.pick(&["''", "' \\n '"]).to_owned());
    }
    if dice.happens("annotations.failing") {
        texts.push("'a' + object.metadata.none".to_owned());
    }
    if dice.happens("annotations.long") {
        texts.push(format!(
            "'{}' + {}",
            "long ".repeat(900),
            (0..2).map(|_| format!("'{}'", "é".repeat(10))).collect::<Vec<_>>().join(" + ")
        ));
        texts.push(format!("['{0}', '{0}', '{0}'][0] + ' {0} ' + ['{0}'][0]", "0123456789".repeat(80)));
    }
    if dice.happens("annotations.of-bindings") && scope.params.is_some() {
        texts.push("string(params.metadata.name)".to_owned());
    }
    if !scope.variables.is_empty() && dice.happens("variables.in-annotation") {
        texts.push(format!("'it is ' + string(variables.{})", scope.variables[0].name));
    }
    if dice.happens("authorizer.in-annotation") {
        texts.push(format!("string({})", expressions::authorized(dice)));
    }
    if dice.happens("cost.annotation") {
        texts.extend(std::iter::repeat_n(format!("{COSTLY} ? 'a' : 'b'"), 12));
    }
    if dice.happens("broken.annotation") {
        texts.push(dice.pick(&["1", "object.metadata.name", "'a' +"]).to_owned());
    }
    let keyed = texts.iter().enumerate();
    keyed.map(|(at, text)| json!({"key": format!("key-{at}"), "valueExpression": text})).collect()
}
