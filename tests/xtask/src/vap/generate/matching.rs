//! What policies and bindings match: rules, selectors, exclusions. Mostly they match the request.

use super::request::Request;
use crate::vap::dice::Dice;
use serde_json::{Value as Json, json};

/// `matchConstraints` of a policy.
pub(super) fn constraints(dice: &mut Dice<'_>, request: &Request) -> Json {
    let mut rules = vec![rule(dice, request)];
    if dice.happens("match.several-rules") {
        rules.insert(dice.between(0, 1), other_rule(dice));
    }
    if dice.happens("match.other-kinds") {
        rules = vec![other_rule(dice)];
    }
    let mut constraints = json!({"resourceRules": rules});
    if dice.happens("match.excluded-rules") {
        constraints["excludeResourceRules"] = json!([excluding_rule(dice, request)]);
    }
    if dice.happens("match.exact") {
        constraints["matchPolicy"] = json!("Exact");
    } else if dice.percent(20) {
        constraints["matchPolicy"] = json!("Equivalent");
    }
    let labels = dice.happens("match.namespace-selector");
    let expressions = dice.happens("match.namespace-expressions");
    if let Some(selector) = selector(dice, labels, expressions, NAMESPACE_LABELS) {
        constraints["namespaceSelector"] = selector;
    }
    let labels = dice.happens("match.object-selector");
    let expressions = dice.happens("match.object-expressions");
    if let Some(selector) = selector(dice, labels, expressions, OBJECT_LABELS) {
        constraints["objectSelector"] = selector;
    }
    constraints
}

/// `matchResources` of a binding, if it has any.
pub(super) fn resources(dice: &mut Dice<'_>, request: &Request) -> Option<Json> {
    let mut resources = json!({});
    let labels = dice.happens("binding.namespace-selector");
    if let Some(selector) = selector(dice, labels, false, NAMESPACE_LABELS) {
        resources["namespaceSelector"] = selector;
    }
    let labels = dice.happens("binding.object-selector");
    if let Some(selector) = selector(dice, labels, false, OBJECT_LABELS) {
        resources["objectSelector"] = selector;
    }
    if dice.happens("binding.rules") {
        resources["resourceRules"] = json!([rule(dice, request)]);
    }
    if dice.happens("binding.excluded-rules") {
        resources["excludeResourceRules"] = json!([excluding_rule(dice, request)]);
    }
    let is_empty = resources.as_object().is_none_or(|fields| fields.is_empty());
    (!is_empty || dice.percent(10)).then_some(resources)
}

/// Keys with the values that selectors ask for.
type Labels = &'static [(&'static str, &'static [&'static str])];

const NAMESPACE_LABELS: Labels = &[
    ("env", &["prod", "dev"]),
    ("team", &["a", "b"]),
    ("kubernetes.io/metadata.name", &["shop", "lab", "bare"]),
    ("tier", &["", "gold"]),
];
const OBJECT_LABELS: Labels =
    &[("app", &["web", "db"]), ("tier", &["gold", "silver", ""]), ("was", &["here"])];

/// A selector by labels, by expressions, or by both.
pub(super) fn selector(dice: &mut Dice<'_>, labels: bool, expressions: bool, known: Labels) -> Option<Json> {
    let mut selector = json!({});
    if labels {
        let (key, values) = known[dice.index(known.len())?];
        selector["matchLabels"] = json!({key: dice.pick(values)});
    }
    if expressions {
        let made: Vec<Json> = (0..dice.between(1, 2))
            .filter_map(|_| {
                let (key, values) = known[dice.index(known.len())?];
                Some(match dice.pick(&["In", "NotIn", "NotIn", "Exists", "DoesNotExist"]) {
                    operator @ ("In" | "NotIn") => {
                        json!({"key": key, "operator": operator, "values": dice.some(values)})
                    }
                    operator => json!({"key": key, "operator": operator}),
                })
            })
            .collect();
        selector["matchExpressions"] = json!(made);
    }
    (labels || expressions || dice.percent(5)).then_some(selector)
}

/// A rule that the request falls under, but for the features that narrow it.
fn rule(dice: &mut Dice<'_>, request: &Request) -> Json {
    let subject = request.subject;
    let version = request.converted_to.unwrap_or(subject.version);
    let (mut groups, mut versions) = (vec![subject.group], vec![version]);
    // A webhook that asks for any version gets the original; then there is nothing to convert.
    let wildcards = request.converted_to.is_none() && dice.happens("match.wildcards");
    if wildcards {
        match dice.between(0, 2) {
            0 => groups = vec!["*"],
            1 => versions = vec!["*"],
            _ => (groups, versions) = (vec!["*"], vec!["*"]),
        }
    }
    let own = match request.sub_resource {
        "" => subject.resource.to_owned(),
        sub_resource => format!("{}/{sub_resource}", subject.resource),
    };
    let resources = if dice.happens("match.sub-resources") {
        match dice.between(0, 4) {
            0 => vec![format!("{}/*", subject.resource)],
            1 => vec![subject.resource.to_owned(), format!("{}/status", subject.resource)],
            2 if !request.sub_resource.is_empty() => vec![format!("*/{}", request.sub_resource)],
            3 => vec!["*/*".to_owned()],
            _ => vec![own],
        }
    } else if wildcards && (subject.feature == "kind.kept-out" || dice.percent(30)) {
        vec!["*".to_owned()]
    } else {
        vec![own]
    };
    let operations = if dice.happens("match.other-operations") {
        dice.some(&["CREATE", "UPDATE", "DELETE", "CONNECT"])
    } else if dice.percent(30) {
        vec!["*"]
    } else {
        vec![request.operation]
    };
    let mut rule = json!({
        "apiGroups": groups,
        "apiVersions": versions,
        "resources": resources,
        "operations": operations,
    });
    if dice.happens("match.scope") {
        rule["scope"] = json!(dice.pick(&["Namespaced", "Cluster", "*"]));
    }
    if dice.happens("match.resource-names") {
        rule["resourceNames"] = json!(dice.some(&["web", "db", "x"]));
    }
    rule
}

fn excluding_rule(dice: &mut Dice<'_>, request: &Request) -> Json {
    if dice.percent(50) { other_rule(dice) } else { rule(dice, request) }
}

fn other_rule(dice: &mut Dice<'_>) -> Json {
    let resource = dice.pick(&["endpoints", "persistentvolumeclaims", "pods/log", "pods"]);
    json!({
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": [resource],
        "operations": dice.some(&["CREATE", "UPDATE", "DELETE"]),
    })
}
