//! Cases: a request, the policies and bindings that it meets, and the cluster around it.

mod expressions;
mod lists;
mod matching;
mod policy;
mod request;
mod world;

use super::dice::Dice;
use super::features::FEATURES;
use crate::oracle::random::Random;
use request::Request;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use world::ParamKind;

/// A case with what it shows.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) json: Json,
    pub(super) features: BTreeSet<&'static str>,
}

/// Makes so many cases: the same ones for the same seed.
pub(super) fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut random = Random::new(seed);
    (0..count).map(|number| case(&mut random, number)).collect()
}

fn case(random: &mut Random, number: usize) -> Case {
    // Three features, each in its turn, so that rare ones are shown often enough too.
    let turn = |step: usize| FEATURES.get((number * step + number / FEATURES.len()) % FEATURES.len());
    let forced: Vec<&'static str> =
        [turn(1), turn(7), turn(11)].into_iter().flatten().map(|feature| feature.name).collect();
    let mut dice = Dice::new(random, &forced);
    let request = request::request(&mut dice);
    let (mut policies, mut bindings) = (Vec::new(), Vec::new());
    let count = if dice.happens("policies.several") { dice.between(2, 3) } else { 1 };
    for at in 0..count {
        let name = format!("policy-{at}");
        let (mut policy, params) = policy::policy(&mut dice, &name, &request);
        let spends = at == 0 && dice.happens("cost.request");
        if spends {
            policy::spend(&mut policy);
        }
        policies.push(policy);
        let several = dice.happens("bindings.several");
        for number in 0..if spends {
            12
        } else if several {
            dice.between(2, 3)
        } else {
            1
        } {
            bindings.push(binding(&mut dice, &format!("binding-{at}-{number:02}"), &name, params, &request));
        }
    }
    if dice.happens("policies.unbound") {
        policies.push(policy::policy(&mut dice, "unbound", &request).0);
    }
    let mut json = json!({
        "policies": policies,
        "bindings": bindings,
        "kinds": world::kinds(),
        "params": world::params(),
        "namespaces": world::namespaces(),
        "request": request.json,
        // What has no metadata is always of a Go type.
        "untyped": request.json["operation"] != "CONNECT" && dice.happens("request.untyped"),
    });
    if let Some(version) = request.converted_to {
        let widgets = json!({
            "apiVersion": format!("example.com/{version}"),
            "kind": "Widget",
            "resource": "widgets",
            "namespaced": true,
        });
        json["equivalent"] = json!([widgets]);
        json["webhook"] = widgets;
    }
    Case { json, features: dice.into_shown() }
}

fn binding(
    dice: &mut Dice<'_>,
    name: &str,
    policy: &str,
    params: Option<ParamKind>,
    request: &Request,
) -> Json {
    let actions = match dice.one_of(&[
        "actions.deny",
        "actions.warn",
        "actions.audit",
        "actions.deny-audit",
        "actions.warn-audit",
    ]) {
        "actions.warn" => vec!["Warn"],
        "actions.audit" => vec!["Audit"],
        "actions.deny-audit" if dice.percent(50) => vec!["Audit", "Deny"],
        "actions.deny-audit" => vec!["Deny", "Audit"],
        "actions.warn-audit" => vec!["Warn", "Audit"],
        _ => vec!["Deny"],
    };
    let mut spec = json!({"policyName": policy, "validationActions": actions});
    if let Some(resources) = matching::resources(dice, request) {
        spec["matchResources"] = resources;
    }
    let refers = match params {
        Some(_) => !dice.happens("params.without-reference"),
        None => dice.happens("params.reference-without-kind"),
    };
    if refers {
        spec["paramRef"] = reference(dice, params);
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": spec,
    })
}

fn reference(dice: &mut Dice<'_>, params: Option<ParamKind>) -> Json {
    let missing = dice.happens("params.missing");
    let allowed = dice.happens("params.missing-allowed");
    let mut reference = json!({"parameterNotFoundAction": if allowed { "Allow" } else { "Deny" }});
    if dice.one_of(&["params.by-name", "params.by-selector"]) == "params.by-name" {
        reference["name"] =
            json!(if missing { "absent" } else { dice.pick(&["main", "main", "more", "none"]) });
    } else if missing {
        reference["selector"] = json!({"matchLabels": {"tier": "wood"}});
    } else if dice.happens("params.by-expressions") {
        let operator = dice.pick(&["In", "NotIn", "Exists"]);
        let mut expression = json!({"key": "tier", "operator": operator});
        if operator != "Exists" {
            expression["values"] = json!(dice.some(&["gold", "silver", "iron"]));
        }
        reference["selector"] = json!({"matchExpressions": [expression]});
    } else if dice.happens("params.several") {
        reference["selector"] = dice
            .pick(&["gold", ""])
            .is_empty()
            .then(|| json!({}))
            .unwrap_or(json!({"matchLabels": {"tier": "gold"}}));
    } else {
        reference["selector"] = json!({"matchLabels": {"tier": dice.pick(&["gold", "silver", "iron"])}});
    }
    if params.is_none_or(|kind| kind.namespaced) && dice.happens("params.other-namespace") {
        reference["namespace"] = json!(dice.pick(&["shop", "lab", "default"]));
    }
    reference
}
