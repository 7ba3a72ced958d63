//! What is wrong with an expression, and where.

use std::fmt;

/// One reason why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// What is wrong, in cel-go's words where it has any.
    pub message: String,
    /// Where, as a byte offset into the source.
    pub offset: u32,
    /// The line of that offset, counted from 1.
    pub line: u32,
    /// The column in that line, counted from 1 in characters.
    pub column: u32,
    /// What to do about it, where a near miss is known.
    pub hint: Option<String>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Gathers the issues of one expression.
#[derive(Debug)]
pub(crate) struct Issues<'s> {
    source: &'s str,
    found: Vec<Issue>,
}

impl<'s> Issues<'s> {
    pub(crate) fn new(source: &'s str) -> Self {
        Self { source, found: Vec::new() }
    }

    pub(crate) fn report(&mut self, offset: u32, message: impl Into<String>) {
        self.report_with_hint(offset, message, None);
    }

    pub(crate) fn report_with_hint(&mut self, offset: u32, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = position(self.source, offset);
        let issue = Issue { message: message.into(), offset, line, column, hint };
        if !self.found.contains(&issue) {
            self.found.push(issue);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The issues in the order of their places.
    pub(crate) fn into_sorted(mut self) -> Vec<Issue> {
        self.found.sort_by_key(|issue| issue.offset);
        self.found
    }
}

/// Line and column, counted from 1, of a byte in the source.
fn position(source: &str, offset: u32) -> (u32, u32) {
    let mut end = (offset as usize).min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let before = source.get(..end).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let lines = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let columns = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (u32::try_from(lines).unwrap_or(u32::MAX), u32::try_from(columns).unwrap_or(u32::MAX))
}
