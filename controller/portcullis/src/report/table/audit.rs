//! The table of `portcullis audit`: who would be denied, by policy, namespace and kind, then the findings.

use super::check::{exceptions, heading, undecidable};
use super::{Paint, columns, count, findings, hint, line, unusable};
use crate::report::counts::{Counts, Tally};
use crate::report::model::{Action, Judged, Judgement, PolicyRef, Report};
use crate::terminal::clean;
use std::collections::BTreeMap;

/// What stands for the namespace of cluster-scoped objects.
const CLUSTER: &str = "(cluster)";

/// Renders a report by policy: counts first, then what fails, grouped by policy and namespace.
pub fn audit(report: &Report, paint: Paint) -> String {
    let mut out = counts(report, paint);
    let failing = failing(report);
    for policy in &report.policies {
        if let Some(found) = failing.get(policy.name.as_str()) {
            failures(&mut out, paint, policy, found, report.counts.unlisted(&policy.name));
        }
    }
    undecidable(
        &mut out,
        paint,
        report,
        "an audit has no user and no old object; --resources supplies the rest",
    );
    exceptions(&mut out, paint, report);
    notes(&mut out, paint, report);
    line(&mut out, &summary(report, paint));
    out
}

/// How much fails, by policy, namespace and kind.
pub(crate) fn counts(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    by_policy(&mut out, paint, report);
    tallies(&mut out, paint, "NAMESPACE", &report.counts.namespaces);
    tallies(&mut out, paint, "KIND", &report.counts.kinds);
    out
}

fn by_policy(out: &mut String, paint: Paint, report: &Report) {
    let titles = ["POLICY", "FAIL", "PASS", "IGNORED", "UNDECIDABLE", "SKIP", "ACTION"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for PolicyRef { name, .. } in &report.policies {
        let counts = report.counts.policies.get(name).copied().unwrap_or_default();
        let Counts { pass, ignore, undecidable, skip, .. } = counts;
        let mut row = vec![clean(name).into_owned()];
        row.extend([counts.failing(), pass, ignore, undecidable, skip].map(|number| number.to_string()));
        row.push(actions_now(counts));
        rows.push(row);
    }
    table(out, paint, &rows, 5);
}

/// Failures, and errors that are let pass, by policy.
fn failing(report: &Report) -> BTreeMap<&str, Vec<(&Judged, &Judgement)>> {
    let mut by_policy: BTreeMap<&str, Vec<(&Judged, &Judgement)>> = BTreeMap::new();
    for (judged, judgement) in report.judgements().filter(|(_, each)| each.action <= Action::Ignore) {
        by_policy.entry(&judgement.policy).or_default().push((judged, judgement));
    }
    by_policy
}

/// What failures lead to today.
fn actions_now(Counts { deny, warn, audit, .. }: Counts) -> String {
    let actions = [(Action::Deny, deny), (Action::Warn, warn), (Action::Audit, audit)];
    let actions = actions.into_iter().filter(|(_, number)| *number > 0).map(|(action, _)| action.as_str());
    actions.collect::<Vec<_>>().join(", ")
}

/// Objects and how many of them fail, by something that they share.
fn tallies(out: &mut String, paint: Paint, title: &str, tallies: &BTreeMap<String, Tally>) {
    if tallies.is_empty() {
        return;
    }
    let mut rows = vec![[title, "OBJECTS", "FAIL"].map(str::to_owned).to_vec()];
    for (name, Tally { objects, failing }) in tallies {
        let name = if name.is_empty() { CLUSTER } else { name };
        rows.push(vec![clean(name).into_owned(), objects.to_string(), failing.to_string()]);
    }
    table(out, paint, &rows, 2);
}

fn table(out: &mut String, paint: Paint, rows: &[Vec<String>], right: usize) {
    for (index, text) in columns(rows, right).into_iter().enumerate() {
        line(out, &if index == 0 { paint.bold(&text) } else { text });
    }
    out.push('\n');
}

fn failures(
    out: &mut String,
    paint: Paint,
    policy: &PolicyRef,
    failing: &[(&Judged, &Judgement)],
    unlisted: usize,
) {
    let mut by_namespace: BTreeMap<&str, Vec<(&Judged, &Judgement)>> = BTreeMap::new();
    for (judged, judgement) in failing {
        by_namespace.entry(&judged.object.namespace).or_default().push((judged, judgement));
    }
    let title = policy.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default();
    let severity = policy.severity.as_ref().map(|severity| format!(" ({severity})")).unwrap_or_default();
    line(out, &paint.bold(&clean(&format!("{}{title}{severity}", policy.name))));
    if let Some(remedy) = failing.iter().find_map(|(_, judgement)| judgement.remedy.as_ref()) {
        hint(out, paint, "  ", remedy);
    }
    for (namespace, failures) in by_namespace {
        let name = if namespace.is_empty() { CLUSTER } else { namespace };
        line(out, &format!("  {}", clean(name)));
        for (judged, judgement) in failures {
            let action = judgement.action;
            let label = paint.action(action, &format!("{:<6}", action.as_str()));
            let binding = match heading(judgement).split_once(", ") {
                Some((_, binding)) => format!(" ({binding})"),
                None => String::new(),
            };
            let object = format!("{} {}", judged.object.kind, judged.object.name);
            line(out, &format!("    {label} {}{binding}", clean(&object)));
            findings(out, paint, "      ", judgement);
        }
    }
    if unlisted > 0 {
        line(out, &format!("  and {unlisted} more, which are counted only"));
    }
    out.push('\n');
}

fn notes(out: &mut String, paint: Paint, report: &Report) {
    for note in &report.notes {
        line(out, &format!("{} {}", paint.bold("note:"), clean(note)));
    }
    if !report.notes.is_empty() {
        out.push('\n');
    }
}

/// The whole in one line.
pub(crate) fn summary(report: &Report, paint: Paint) -> String {
    let failing = report.counts.total.failing;
    let counts = report.counts.objects;
    let mut text = format!(
        "{}, {}: {}",
        count(report.counts.total.objects, "object"),
        count(report.policies.len(), "policy"),
        match failing {
            0 => paint.good("none would be denied"),
            number => paint.bad(&format!("{number} would be denied under [Deny]")),
        }
    );
    if counts.undecidable > 0 {
        text.push_str(&format!(
            ", {}",
            paint.action(Action::Undecidable, &format!("{} undecidable", counts.undecidable))
        ));
    }
    text.push_str(&unusable(report, paint));
    text
}
