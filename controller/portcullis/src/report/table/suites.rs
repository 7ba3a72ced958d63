//! The table of `portcullis test`: a line per suite, more about what failed.

use super::{Paint, count, line};
use crate::report::model::Problem;
use crate::suite::{CaseReport, SuiteReport};
use crate::terminal::clean;

/// Renders suites, with every case if `verbose`, and a summary at the end.
pub fn suites(suites: &[SuiteReport], broken: &[Problem], verbose: bool, paint: Paint) -> String {
    let mut out = String::new();
    let width = suites.iter().map(|suite| suite.suite.chars().count()).max().unwrap_or(0);
    for suite in suites {
        let word = if suite.passed() { paint.good("ok  ") } else { paint.bad("FAIL") };
        line(&mut out, &format!("{word}  {:width$}  {}", clean(&suite.suite), state(suite, paint)));
        for case in &suite.cases {
            if verbose || !case.passed() {
                self::case(&mut out, paint, case);
            }
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    line(&mut out, &summary(suites, broken, paint));
    out
}

fn state(suite: &SuiteReport, paint: Paint) -> String {
    if !suite.invalid_policies.is_empty() {
        return paint.bad("invalid policy, no case was run");
    }
    let failed = suite.cases.iter().filter(|case| !case.passed()).count();
    let mut parts = vec![count(suite.cases.len(), "case")];
    for (number, what) in [(failed, "failed"), (suite.problems.len(), "cannot be read")] {
        if number > 0 {
            parts.push(paint.bad(&format!("{number} {what}")));
        }
    }
    parts.join(", ")
}

fn case(out: &mut String, paint: Paint, case: &CaseReport) {
    if case.passed() {
        return line(out, &format!("  {}    {}", paint.good("ok"), clean(&case.name)));
    }
    let place = paint.dim(&clean(&case.place.to_string()));
    line(out, &format!("  {}  {}  {place}", paint.bad("FAIL"), paint.bold(&clean(&case.name))));
    for failure in &case.failures {
        line(out, &format!("        {}", clean(failure)));
    }
    for said in &case.said {
        line(out, &format!("        {} {}", paint.dim("|"), clean(said)));
    }
}

fn summary(suites: &[SuiteReport], broken: &[Problem], paint: Paint) -> String {
    let cases = suites.iter().flat_map(|suite| &suite.cases);
    let (passed, failed): (Vec<_>, Vec<_>) = cases.partition(|case| case.passed());
    let mut parts = vec![paint.good(&format!("{} passed", passed.len()))];
    if !failed.is_empty() {
        parts.push(paint.bad(&format!("{} failed", failed.len())));
    }
    let invalid = suites.iter().filter(|suite| !suite.invalid_policies.is_empty()).count();
    let unreadable = broken.len() + suites.iter().map(|suite| suite.problems.len()).sum::<usize>();
    if invalid > 0 {
        parts.push(paint.bad(&format!("{} with invalid policies", count(invalid, "suite"))));
    }
    if unreadable > 0 {
        parts.push(paint.bad(&format!("{unreadable} cannot be read")));
    }
    let (suites, cases) = (count(suites.len(), "suite"), count(passed.len() + failed.len(), "case"));
    format!("{suites}, {cases}: {}", parts.join(", "))
}
