//! Reports for people: plain text that reads well in 80 columns, coloured on a terminal.

mod audit;
mod check;
mod suites;

pub use audit::audit;
pub(crate) use audit::{counts, summary as audit_summary};
pub use check::check;
pub use suites::suites;

use crate::report::model::{Action, Finding, Judgement, Report};
use crate::terminal::clean;

/// Whether and how to colour. What a colour says is always said in words too.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    enabled: bool,
}

impl Paint {
    /// Colours if `enabled`.
    pub fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.enabled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// The colour of an action on `text`, which may be padded.
    fn action(self, action: Action, text: &str) -> String {
        match action {
            Action::Deny => self.bad(text),
            Action::Warn | Action::Ignore => self.warning(text),
            Action::Audit => self.wrap("36", text),
            Action::Undecidable => self.wrap("35", text),
            Action::Skip => self.dim(text),
            Action::Pass => self.good(text),
        }
    }
}

/// The findings of one judgement, two lines each: place and field, then the message.
fn findings(out: &mut String, paint: Paint, indent: &str, judgement: &Judgement) {
    for Finding { error, message, field_path, place } in &judgement.findings {
        let place = place.as_ref().map(|place| paint.dim(&clean(&place.to_string())));
        let field = Some(clean(field_path).into_owned()).filter(|field| !field.is_empty());
        let prefix = if *error { "cannot be judged: " } else { "" };
        let head: Vec<String> = place.into_iter().chain(field).collect();
        if !head.is_empty() {
            line(out, &format!("{indent}{}", head.join("  ")));
        }
        line(out, &format!("{indent}  {prefix}{}", clean(message)));
    }
    if judgement.omitted > 0 {
        line(out, &format!("{indent}and {} more", judgement.omitted));
    }
}

/// What to do about it.
fn hint(out: &mut String, paint: Paint, indent: &str, text: &str) {
    line(out, &format!("{indent}{} {}", paint.bold("hint:"), clean(text)));
}

/// What a summary says at its end of what could not be used.
fn unusable(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    for (number, what) in
        [(report.invalid_policies.len(), "error in policies"), (report.unreadable.len(), "unreadable input")]
    {
        if number > 0 {
            text.push_str(&format!("; {}", paint.bad(&count(number, what))));
        }
    }
    text
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// `1 object`, `2 objects`, `3 policies`, `4 errors in policies`.
pub(super) fn count(number: usize, thing: &str) -> String {
    let (noun, rest) = thing.find(" in ").map_or((thing, ""), |at| thing.split_at(at));
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies{rest}"),
        _ => format!("{number} {noun}s{rest}"),
    }
}

/// Rows in columns: the first left-aligned, `right` others right-aligned, any further left-aligned.
fn columns(rows: &[Vec<String>], right: usize) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let align = |(column, (cell, width)): (usize, (&String, &usize))| {
        if (1..=right).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    };
    rows.iter()
        .map(|row| row.iter().zip(&widths).enumerate().map(align).collect::<Vec<_>>().join("  "))
        .map(|text| text.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{columns, count};

    #[test]
    fn columns_align() {
        let rows = |rows: &[&[&str]]| -> Vec<Vec<String>> {
            rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
        };
        let lines = columns(&rows(&[&["NAME", "FAIL", "NOTE"], &["long-name", "3", "x"]]), 1);
        assert_eq!(lines, ["NAME       FAIL  NOTE", "long-name     3  x"]);
    }

    #[test]
    fn numbers_agree_with_nouns() {
        assert_eq!(count(1, "policy"), "1 policy");
        assert_eq!(count(0, "policy"), "0 policies");
        assert_eq!(count(2, "object"), "2 objects");
        assert_eq!(count(4, "error in policies"), "4 errors in policies");
    }
}
