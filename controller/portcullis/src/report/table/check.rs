//! The table of `portcullis check`: failures by object, then what could not be decided, then exceptions.

use super::{Paint, count, findings, hint, line, unusable};
use crate::report::model::{Action, Judged, Judgement, Report};
use crate::terminal::clean;
use std::collections::BTreeMap;

/// Renders a report by object, with a summary at the end.
pub fn check(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    for judged in &report.objects {
        failures(&mut out, paint, judged);
    }
    undecidable(
        &mut out,
        paint,
        report,
        "--as, --old, --resources and --complete supply what the files lack",
    );
    exceptions(&mut out, paint, report);
    line(&mut out, &summary(report, paint));
    out
}

fn failures(out: &mut String, paint: Paint, judged: &Judged) {
    let mut judgements: Vec<&Judgement> =
        judged.judgements.iter().filter(|judgement| judgement.action <= Action::Ignore).collect();
    if judgements.is_empty() {
        return;
    }
    judgements.sort_by_key(|judgement| judgement.action);
    line(out, &paint.bold(&clean(&judged.object.to_string())));
    for judgement in judgements {
        let action = judgement.action;
        let label = paint.action(action, &format!("{:<6}", action.as_str()));
        line(out, &format!("  {label} {}", heading(judgement)));
        findings(out, paint, "    ", judgement);
        if let Some(remedy) = &judgement.remedy {
            hint(out, paint, "    ", remedy);
        }
    }
    out.push('\n');
}

/// The policy, with its binding and param where there are any.
pub(super) fn heading(judgement: &Judgement) -> String {
    let mut text = judgement.policy.clone();
    if let Some(binding) = &judgement.binding {
        text.push_str(&format!(", binding {binding}"));
    }
    if let Some(param) = &judgement.param {
        text.push_str(&format!(", params {param}"));
    }
    clean(&text).into_owned()
}

/// What could not be decided, once per policy and missing thing, with the objects concerned.
pub(super) fn undecidable(out: &mut String, paint: Paint, report: &Report, advice: &str) {
    let mut groups: BTreeMap<(String, String), Vec<&Judged>> = BTreeMap::new();
    for (judged, judgement) in report.judgements() {
        if judgement.action == Action::Undecidable {
            groups.entry((heading(judgement), judgement.missing.join(", "))).or_default().push(judged);
        }
    }
    if groups.is_empty() {
        return;
    }
    line(out, &paint.action(Action::Undecidable, "Undecidable"));
    for ((policy, missing), objects) in groups {
        line(out, &format!("  {policy} needs {}", clean(&missing)));
        for judged in objects {
            object_line(out, paint, judged);
        }
    }
    hint(out, paint, "  ", advice);
    out.push('\n');
}

/// Which exceptions were taken, for which objects.
pub(super) fn exceptions(out: &mut String, paint: Paint, report: &Report) {
    let mut groups: BTreeMap<(String, String), Vec<&Judged>> = BTreeMap::new();
    for judged in &report.objects {
        for judgement in judged.judgements.iter().filter(|judgement| judgement.action == Action::Skip) {
            let why = judgement.skipped.as_ref().map(ToString::to_string).unwrap_or_default();
            groups.entry((heading(judgement), why)).or_default().push(judged);
        }
    }
    if groups.is_empty() {
        return;
    }
    line(out, &paint.bold("Skipped by exception"));
    for ((policy, why), objects) in groups {
        line(out, &format!("  {policy}: {}", clean(&why)));
        for judged in objects {
            object_line(out, paint, judged);
        }
    }
    out.push('\n');
}

fn object_line(out: &mut String, paint: Paint, judged: &Judged) {
    let place = judged.place.as_ref().map(|place| format!("{}  ", paint.dim(&clean(&place.to_string()))));
    line(out, &format!("    {}{}", place.unwrap_or_default(), clean(&judged.object.to_string())));
}

fn summary(report: &Report, paint: Paint) -> String {
    let counts = report.counts.objects;
    let parts: Vec<String> = [
        (Action::Deny, counts.deny, "denied"),
        (Action::Warn, counts.warn, "warned"),
        (Action::Audit, counts.audit, "audited"),
        (Action::Ignore, counts.ignore, "with ignored errors"),
        (Action::Undecidable, counts.undecidable, "undecidable"),
        (Action::Skip, counts.skip, "excepted"),
    ]
    .into_iter()
    .filter(|(_, number, _)| *number > 0)
    .map(|(action, number, word)| paint.action(action, &format!("{number} {word}")))
    .collect();
    let verdict = if parts.is_empty() { paint.good("no findings") } else { parts.join(", ") };
    let objects = count(report.counts.total.objects, "object");
    format!("{objects}, {}: {verdict}{}", count(report.policies.len(), "policy"), unusable(report, paint))
}
