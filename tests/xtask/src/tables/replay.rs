//! A decision that a test of the API server's made, on our side: the same constraints, conditions and validations in
//! a ValidatingAdmissionPolicy, for the same request. Those tests make up what expressions give; ours gives it too.

use super::verdicts::Decided;
use crate::vap::ours::World;
use portcullis_core::decision::{Finding, FindingKind, Outcome, Skip, Verdict};
use portcullis_core::enforcement::{Effect, effect_of};
use portcullis_core::set::Pairs;
use serde_json::{Value as Json, json};

/// What became of a record.
pub(super) enum Replayed {
    /// What ours says, and what theirs did.
    Said { ours: String, theirs: String },
    /// Why it cannot be asked.
    Lost(String),
}

/// Asks ours.
pub(super) fn replay(decided: &Decided) -> Replayed {
    let record = &decided.record;
    if let Some(lost) = record["lost"].as_str() {
        return Replayed::Lost(lost.to_owned());
    }
    if record["constraints"].is_object() {
        matching(record)
    } else if record["conditions"].is_array() {
        conditions(record)
    } else {
        validations(record)
    }
}

fn matching(record: &Json) -> Replayed {
    let mut constraints = record["constraints"].clone();
    let selectors = ["namespaceSelector", "objectSelector"];
    if selectors.iter().any(|selector| !constraints[selector].is_object()) {
        return Replayed::Lost("a selector that is not there".to_owned());
    }
    if constraints["resourceRules"].as_array().is_none_or(Vec::is_empty) {
        constraints["resourceRules"] =
            json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}]);
    }
    // What the API server would send, once it found out what the rules ask for.
    let mut request = record["request"].clone();
    for (field, original) in [("kind", "requestKind"), ("resource", "requestResource")] {
        request[original] = request[field].clone();
        if record[field].is_object() {
            request[field] = record[field].clone();
        }
    }
    let theirs = match record["error"].as_str() {
        Some(error) => format!("failed to configure policy: {error}"),
        None => record["matches"].to_string(),
    };
    let spec = json!({"matchConstraints": constraints, "validations": [{"expression": "1 == 2", "message": "true"}]});
    decide(spec, request, &record["namespaces"], |outcomes| match outcomes.first() {
        Some(outcome) => outcome.findings.iter().map(|finding| finding.message.clone()).collect(),
        None => "false".to_owned(),
    })
    .map_or_else(Replayed::Lost, |ours| Replayed::Said { ours, theirs })
}

fn conditions(record: &Json) -> Replayed {
    let results = record["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let written = results.iter().enumerate().map(|(at, result)| {
        json!({"name": name(at, result["name"].as_str().unwrap_or_default()), "expression": expression(result)})
    });
    let spec = json!({
        "failurePolicy": record["failurePolicy"],
        "matchConditions": written.collect::<Vec<_>>(),
        "validations": [{"expression": "1 == 2", "message": "matches"}],
    });
    let failed = results.iter().position(|result| result["value"] == false);
    let theirs = match (record["error"].as_str(), failed) {
        (Some(error), _) => in_our_words(error, results, expression),
        (None, _) if record["matches"] == true => "matches".to_owned(),
        (None, Some(at)) => name(at, record["failed"].as_str().unwrap_or_default()),
        (None, None) => "ignored".to_owned(),
    };
    decide(spec, Json::Null, &Json::Null, |outcomes| match outcomes.first() {
        Some(Outcome { verdict: Verdict::Skip(Skip::Condition(name)), .. }) => name.clone(),
        Some(outcome) => match outcome.findings.iter().find(|finding| denies(outcome, finding)) {
            Some(finding) => finding.message.clone(),
            None => "ignored".to_owned(),
        },
        None => "no outcome".to_owned(),
    })
    .map_or_else(Replayed::Lost, |ours| Replayed::Said { ours, theirs })
}

/// A name that is unique and not empty.
fn name(at: usize, name: &str) -> String {
    format!("c{at}{name}")
}

fn validations(record: &Json) -> Replayed {
    let results = record["validations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut validations, mut replaced) = (Vec::new(), Vec::new());
    for (at, result) in results.iter().enumerate() {
        let written = &result["written"];
        let mut validation = json!({"expression": expression(result)});
        if let Some(message) = written["Message"].as_str().filter(|message| !message.is_empty()) {
            validation["message"] = json!(message);
        }
        if written["Reason"].is_string() {
            validation["reason"] = written["Reason"].clone();
        }
        if record["messages"][at].is_object() {
            validation["messageExpression"] = json!(message(&record["messages"][at]));
        }
        let told = written["Expression"].as_str().unwrap_or_default().trim();
        replaced.push((
            format!("failed expression: {told}"),
            format!("failed expression: {}", expression(result)),
        ));
        validations.push(validation);
    }
    let of_annotations = record["annotations"].as_array().map(Vec::as_slice).unwrap_or_default();
    if validations.is_empty() && of_annotations.is_empty() {
        return Replayed::Lost("neither validations nor auditAnnotations".to_owned());
    }
    let annotations = of_annotations.iter().enumerate();
    let annotations =
        annotations.map(|(at, result)| json!({"key": format!("k{at}"), "valueExpression": message(result)}));
    let condition = json!({"value": record["matches"], "error": record["conditionError"]});
    let mut spec = json!({
        "validations": validations,
        "auditAnnotations": annotations.collect::<Vec<_>>(),
        "matchConditions": [{"name": "c", "expression": expression(&condition)}],
    });
    if record["failurePolicy"].is_string() {
        spec["failurePolicy"] = record["failurePolicy"].clone();
    }
    let conditions_too: Vec<Json> = results.iter().chain([&condition]).cloned().collect();
    let decisions = record["decisions"].as_array().into_iter().flatten();
    let denied = decisions.filter(|decision| decision["Action"] == "deny").map(|decision| {
        let text = decision["Message"].as_str().unwrap_or_default();
        let text = match replaced.iter().find(|(theirs, _)| theirs == text) {
            Some((_, ours)) if decision["Evaluation"] == "deny" => ours.clone(),
            _ if decision["Evaluation"] == "deny" => text.to_owned(),
            _ => in_our_words(text, &conditions_too, expression),
        };
        let reason = decision["Reason"].as_str().filter(|reason| !reason.is_empty()).unwrap_or("Invalid");
        format!("{reason}: {text}")
    });
    let annotated = record["auditAnnotations"].as_array().into_iter().flatten();
    let annotated = annotated.filter_map(|annotation| match annotation["Action"].as_str()? {
        "publish" => Some(format!("annotation: {}", annotation["Value"].as_str().unwrap_or_default())),
        "error" => {
            let error = annotation["Error"].as_str().unwrap_or_default();
            Some(in_our_words(error, of_annotations, message))
        }
        _ => None,
    });
    let theirs: Vec<String> = denied.chain(annotated).collect();
    decide(spec, Json::Null, &Json::Null, |outcomes| {
        let told = outcomes.first().into_iter().flat_map(|outcome| {
            let found =
                outcome.findings.iter().filter(|finding| denies(outcome, finding)).map(
                    |finding| match finding.kind {
                        FindingKind::Configuration => finding.message.clone(),
                        _ => format!("{}: {}", finding.reason.as_str(), finding.message),
                    },
                );
            let annotations =
                outcome.audit_annotations.iter().map(|(_, value)| format!("annotation: {value}"));
            found.chain(annotations).collect::<Vec<_>>()
        });
        told.collect::<Vec<_>>().join("\n")
    })
    .map_or_else(Replayed::Lost, |ours| Replayed::Said {
        ours: sorted(&ours),
        theirs: sorted(&theirs.join("\n")),
    })
}

/// The order of annotations and errors among them is no matter.
fn sorted(lines: &str) -> String {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn denies(outcome: &Outcome, finding: &Finding) -> bool {
    effect_of(outcome, finding, false) == Effect::Deny
}

/// An expression that gives what one of a test gave.
fn expression(result: &Json) -> String {
    match (result["error"].as_str(), result["value"].as_bool()) {
        (Some(error), _) => format!("{} == ''", absent(error)),
        (None, Some(true)) => "true".to_owned(),
        _ => "1 == 2".to_owned(),
    }
}

/// The same where a text is wanted.
fn message(result: &Json) -> String {
    match (result["error"].as_str(), &result["type"]) {
        (Some(error), _) => format!("string({})", absent(error)),
        (None, Json::String(_)) => "1".to_owned(),
        // A text of JSON is one of CEL.
        _ => result["value"].to_string(),
    }
}

/// Something that is not there: the same for the same error.
fn absent(error: &str) -> String {
    format!("object.data[{}]", json!(format!("none {error}")))
}

/// An error as ours is, if the test made it up.
fn in_our_words(text: &str, results: &[Json], expression: impl Fn(&Json) -> String) -> String {
    match results.iter().find(|result| result["error"] == text) {
        Some(result) => {
            format!("expression '{}' resulted in error: no such key: none {text}", expression(result))
        }
        None => text.to_owned(),
    }
}

fn decide(
    mut spec: Json,
    mut request: Json,
    namespaces: &Json,
    told: impl Fn(&[Outcome]) -> String,
) -> Result<String, String> {
    if spec["matchConstraints"].is_null() {
        spec["matchConstraints"] = json!({"resourceRules": [
            {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
        ]});
    }
    for (field, default) in [
        ("kind", json!({"group": "", "version": "v1", "kind": "ConfigMap"})),
        ("resource", json!({"group": "", "version": "v1", "resource": "configmaps"})),
        ("operation", json!("CREATE")),
        ("object", json!({"data": {}})),
    ] {
        if request[field].is_null() || request[field].get(field).is_some_and(|name| name == "") {
            request[field] = default;
        }
    }
    request["uid"] = json!("0");
    let document = |kind: &str, name: &str, spec: &Json| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        })
    };
    let binding = json!({"policyName": "p", "validationActions": ["Deny"]});
    let case = json!({
        "policies": [document("ValidatingAdmissionPolicy", "p", &spec)],
        "bindings": [document("ValidatingAdmissionPolicyBinding", "b", &binding)],
        "namespaces": namespaces,
    });
    let world = World::of(&case);
    if let Some(problem) = world.problems().first() {
        return Err(format!("refused: {problem}"));
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    let request = World::read(&review).map_err(|error| format!("no request: {error:#}"))?;
    let decision = world.set.decide(Pairs::All, &request, &world.facts, jiff::Timestamp::UNIX_EPOCH);
    Ok(told(&decision.outcomes))
}
