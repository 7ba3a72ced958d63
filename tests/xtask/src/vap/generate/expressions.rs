//! Expressions, put together from lists.

use super::lists::{
    ANY, AUTHORIZER, CLUSTER_ROLE, CONFIG, CUSTOM, DEPLOYMENT, EXEC, FAILING, LIBRARIES, NAMESPACE,
    NAMESPACES, POD, REQUEST, SCALE, SECRET, SERVICE,
};
use crate::vap::dice::Dice;

/// What an expression may speak of.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The feature that names the kind of object.
    pub(super) kind: &'static str,
    pub(super) sub_resource: &'static str,
    /// The kind of params, if there are any.
    pub(super) params: Option<&'static str>,
    pub(super) variables: Vec<Variable>,
}

/// A variable, as far as expressions have to know it.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) kind: VariableKind,
}

/// The checked type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VariableKind {
    Bool,
    Text,
    Number,
    Unknown,
}

/// A bool for a validation or a matchCondition.
pub(super) fn truth(dice: &mut Dice<'_>, scope: &Scope) -> String {
    let variables = scope.variables.clone();
    let single = |dice: &mut Dice<'_>| -> String {
        if let (true, Some(at)) = (dice.percent(50), dice.index(variables.len())) {
            return of_variable(dice, &variables[at]);
        }
        if let (true, Some(kind)) = (dice.percent(50), scope.params) {
            return dice.pick(of_params(kind)).to_owned();
        }
        let lists = [about(scope), about(scope), ANY, REQUEST, NAMESPACE, LIBRARIES];
        let at = dice.between(0, lists.len() - 1);
        dice.pick(lists[at]).to_owned()
    };
    let first = single(dice);
    if dice.percent(75) {
        return first;
    }
    let second = single(dice);
    match dice.between(0, 4) {
        0 => format!("({first}) && ({second})"),
        1 => format!("({first}) || ({second})"),
        2 => format!("!({first})"),
        3 => format!("({first}) ? ({second}) : false"),
        _ => format!("({first}) == ({second})"),
    }
}

/// A bool whose evaluation mostly fails.
pub(super) fn failing(dice: &mut Dice<'_>) -> String {
    dice.pick(FAILING).to_owned()
}

/// A bool that the authorizer knows.
pub(super) fn authorized(dice: &mut Dice<'_>) -> String {
    dice.pick(AUTHORIZER).to_owned()
}

/// A text: for messages, audit annotations and variables.
pub(super) fn text(dice: &mut Dice<'_>, scope: &Scope) -> String {
    let of_text = scope.variables.iter().find(|variable| variable.kind == VariableKind::Text);
    if let (true, Some(variable)) = (dice.percent(40), of_text) {
        return format!("'see ' + variables.{}", variable.name);
    }
    if let (true, Some(kind)) = (dice.percent(40), scope.params) {
        return match kind {
            "ConfigMap" => "'at most ' + params.data.max",
            "StorageClass" => "'by ' + string(params.provisioner)",
            _ => "'at most ' + string(params.spec.max)",
        }
        .to_owned();
    }
    dice.pick(&[
        "'plain text'",
        "'name ' + object.metadata.name",
        "'name ' + string(object.metadata.name) + ' is not allowed'",
        "request.operation + ' of ' + request.resource.resource",
        "'you are ' + request.userInfo.username",
        "object == null ? 'gone' : 'kind ' + string(object.kind)",
        "string(size(object.metadata.name)) + ' characters'",
        "'größe ✓ \"quoted\" <b>&'",
        "'a\\tb'",
        "string(object.?metadata.?labels.?app.orValue('no app'))",
        "'in ' + namespaceObject.metadata.name",
        "['a', 'b'].exists(x, x == 'b') ? 'has b' : 'has none'",
        "string(1.5) + ' ' + string(true) + ' ' + string(timestamp('2024-01-01T00:00:00Z'))",
    ])
    .to_owned()
}

fn about(scope: &Scope) -> &'static [&'static str] {
    match (scope.sub_resource, scope.kind) {
        ("exec" | "attach", _) => EXEC,
        ("scale", _) => SCALE,
        ("eviction", _) => ANY,
        (_, "kind.pod") => POD,
        (_, "kind.deployment") => DEPLOYMENT,
        (_, "kind.config-map") => CONFIG,
        (_, "kind.secret") => SECRET,
        (_, "kind.service") => SERVICE,
        (_, "kind.cluster-role") => CLUSTER_ROLE,
        (_, "kind.namespace") => NAMESPACES,
        (_, "kind.custom" | "kind.custom-cluster") => CUSTOM,
        _ => REQUEST,
    }
}

fn of_params(kind: &str) -> &'static [&'static str] {
    match kind {
        "ConfigMap" => &[
            "params != null",
            "int(params.data.max) >= 3",
            "params.data['team'] == 'a'",
            "has(params.data) && 'team' in params.data",
            "params.kind == 'ConfigMap' && params.apiVersion == 'v1'",
            "params.metadata.namespace == request.namespace",
            "has(params.metadata.labels) && params.metadata.labels.tier == 'gold'",
            "size(object.metadata.name) <= int(params.data.max)",
        ],
        "StorageClass" => &[
            "params.provisioner.startsWith('example.com/')",
            "has(params.reclaimPolicy) && params.reclaimPolicy == 'Retain'",
            "params.allowVolumeExpansion && true",
            "has(params.parameters) && params.parameters.max == '4'",
            "params.kind == 'StorageClass'",
        ],
        _ => &[
            "params.spec.max >= 2",
            "params.spec.names.exists(n, n == object.metadata.name)",
            "object.metadata.name in params.spec.names",
            "!has(params.spec.strict) || !params.spec.strict",
            "params.spec.strict || false",
            "params.spec.?ratio.orValue(1.0) < 1.0",
            "params.kind == 'Rule'",
            "params.metadata.name == 'main'",
            "params == null || params.spec.max != 1",
        ],
    }
}

fn of_variable(dice: &mut Dice<'_>, variable: &Variable) -> String {
    let name = &variable.name;
    match variable.kind {
        VariableKind::Bool => match dice.between(0, 2) {
            0 => format!("variables.{name}"),
            1 => format!("!variables.{name}"),
            _ => format!("variables.{name} || variables.{name}"),
        },
        VariableKind::Text => match dice.between(0, 2) {
            0 => format!("variables.{name} != ''"),
            1 => format!("size(variables.{name}) < 10"),
            _ => format!("variables.{name}.contains('a')"),
        },
        VariableKind::Number => match dice.between(0, 2) {
            0 => format!("variables.{name} > 2"),
            1 => format!("variables.{name} % 2 == 0"),
            _ => format!("variables.{name} + variables.{name} < 9"),
        },
        VariableKind::Unknown => match dice.between(0, 3) {
            0 => format!("variables.{name} != null"),
            1 => format!("has(variables.{name})"),
            2 => format!("variables.{name} == 'web'"),
            _ => format!("type(variables.{name}) == string"),
        },
    }
}
