//! Explanations, as text with carets and as JSON.

use super::carets;
use super::judge::action;
use super::model::{Action, ObjectRef};
use super::table::Paint;
use crate::terminal::clean;
use portcullis_core::decision::{FindingKind, Outcome, Skip, Verdict};
use portcullis_core::enforcement::Door;
use portcullis_core::{Explanation, Request, Subject, Trace};
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// What was decided about one request, and why.
#[derive(Debug)]
pub struct Explained {
    /// The request.
    pub request: Request,
    /// What each policy says under each of its bindings.
    pub outcomes: Vec<(Outcome, Vec<Explanation>)>,
}

/// For people.
pub fn to_text(explained: &[Explained], paint: Paint) -> String {
    let mut out = String::new();
    for Explained { request, outcomes } in explained {
        let object = ObjectRef::of(request).to_string();
        let object = paint.bold(&clean(&object));
        if outcomes.is_empty() {
            put(&mut out, 0, &format!("{object}: no policy matches\n"));
        }
        for (outcome, explanations) in outcomes {
            let is_long = !explanations.is_empty() || !messages(outcome).is_empty();
            if is_long && !out.is_empty() && !out.ends_with("\n\n") {
                out.push('\n');
            }
            put(&mut out, 0, &format!("{object}: {}: {}", name(outcome), painted_verdict(outcome, paint)));
            if explanations.is_empty() {
                messages(outcome).iter().for_each(|message| put(&mut out, 2, &clean(message)));
            }
            let mut violations = Violations::of(outcome);
            for explanation in explanations {
                out.push('\n');
                write_explanation(&mut out, explanation, violations.message_of(explanation), paint);
            }
            if is_long {
                out.push('\n');
            }
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_explanation(out: &mut String, explanation: &Explanation, message: Option<&str>, paint: Paint) {
    let element = explanation.element.as_ref().map(|(index, _)| format!(", element {index}"));
    let heading = match &explanation.subject {
        Subject::Condition(name) => format!("matchConditions[{}]", clean(name)),
        Subject::Validation(index) => format!("validations[{index}]{}", element.unwrap_or_default()),
    };
    let holds = match explanation.holds {
        Some(true) => paint.good("holds"),
        Some(false) => paint.bad("does not hold"),
        None => paint.bad(&clean(&explanation.expression.result)),
    };
    put(out, 2, &format!("{}: {holds}", paint.bold(&heading)));
    if let Some(message) = message {
        put(out, 2, &clean(message));
    }
    out.push('\n');
    carets::write(out, &explanation.expression, 4, paint);
    if let Some((_, element)) = &explanation.element {
        out.push('\n');
        put(out, 4, &format!("{} = {}", paint.bold("each"), carets::cut(&clean(element))));
    }
    for (name, trace) in &explanation.variables {
        out.push('\n');
        put(
            out,
            4,
            &format!("{} = {}", paint.bold(&format!("variables.{name}")), carets::cut(&clean(&trace.result))),
        );
        carets::write(out, trace, 6, paint);
    }
}

/// The messages of what is violated, taken in the order in which validations and elements fail.
struct Violations<'a>(Vec<(Option<usize>, &'a str)>);

impl<'a> Violations<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let found = outcome.findings.iter().filter(|finding| finding.kind == FindingKind::Violation);
        Self(found.map(|finding| (finding.validation, finding.message.as_str())).collect())
    }

    fn message_of(&mut self, explanation: &Explanation) -> Option<&'a str> {
        let wanted = match explanation.subject {
            Subject::Validation(index) if explanation.holds == Some(false) => index,
            _ => return None,
        };
        let index = self.0.iter().position(|(validation, _)| *validation == Some(wanted))?;
        Some(self.0.remove(index).1)
    }
}

fn name(outcome: &Outcome) -> String {
    let binding = outcome.binding.as_ref().map(|binding| format!(" (binding {binding})"));
    let param = outcome.param.as_ref().map(|param| format!(" with {param}"));
    let name = format!("{}{}{}", outcome.policy.name, binding.unwrap_or_default(), param.unwrap_or_default());
    clean(&name).into_owned()
}

fn painted_verdict(outcome: &Outcome, paint: Paint) -> String {
    let verdict = verdict(outcome);
    let verdict = clean(&verdict);
    match action(outcome, Door::Offline) {
        Action::Pass | Action::Skip => paint.good(&verdict),
        _ => paint.bad(&verdict),
    }
}

fn verdict(outcome: &Outcome) -> String {
    let action = action(outcome, Door::Offline).as_str();
    match &outcome.verdict {
        Verdict::Allow => "allowed".to_owned(),
        Verdict::Deny => format!("violated ({action})"),
        Verdict::Error => format!("error ({action})"),
        Verdict::Undecidable(missing) => format!("undecidable, needs {}", missing.join(", ")),
        Verdict::Skip(skip) => format!("skipped, {}", skipped(skip)),
    }
}

fn skipped(skip: &Skip) -> String {
    match skip {
        Skip::Exception { name, reason } => format!("exception `{name}`: {reason}"),
        Skip::Unchanged => "nothing that it reads changes".to_owned(),
        Skip::BeingDeleted => "the object is being deleted".to_owned(),
        Skip::Condition(name) => format!("match condition `{name}` is false"),
        Skip::NoParam => "there are no params".to_owned(),
    }
}

fn messages(outcome: &Outcome) -> Vec<&str> {
    outcome.findings.iter().map(|finding| finding.message.as_str()).collect()
}

fn put(out: &mut String, indent: usize, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}{line}", " ".repeat(indent));
}

/// For programs.
pub fn to_json(explained: &[Explained]) -> String {
    let requests: Vec<Json> = explained
        .iter()
        .map(|Explained { request, outcomes }| {
            let policies: Vec<Json> = outcomes.iter().map(|(outcome, of)| policy(outcome, of)).collect();
            json!({"object": ObjectRef::of(request), "policies": policies})
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&json!({ "requests": requests })).unwrap_or_default();
    text.push('\n');
    text
}

fn policy(outcome: &Outcome, explanations: &[Explanation]) -> Json {
    let mut violations = Violations::of(outcome);
    let explanations: Vec<Json> = explanations
        .iter()
        .map(|explanation| {
            let element = explanation.element.as_ref();
            let variables: Vec<Json> = explanation
                .variables
                .iter()
                .map(|(name, variable)| json!({"name": &**name, "expression": trace(variable)}))
                .collect();
            let (condition, validation) = match &explanation.subject {
                Subject::Condition(name) => (Some(name), None),
                Subject::Validation(index) => (None, Some(index)),
            };
            json!({
                "matchCondition": condition,
                "validation": validation,
                "element": element.map(|(index, value)| json!({"index": index, "value": value})),
                "holds": explanation.holds,
                "message": violations.message_of(explanation),
                "expression": trace(&explanation.expression),
                "variables": variables,
            })
        })
        .collect();
    json!({
        "policy": outcome.policy.name,
        "binding": outcome.binding.as_deref(),
        "param": outcome.param,
        "verdict": verdict(outcome),
        "messages": messages(outcome),
        "explanations": explanations,
    })
}

fn trace(trace: &Trace) -> Json {
    let parts: Vec<Json> = trace
        .parts
        .iter()
        .map(|part| json!({"offset": part.at, "values": part.values, "times": part.times, "element": part.element}))
        .collect();
    json!({"source": trace.source, "result": trace.result, "parts": parts})
}
