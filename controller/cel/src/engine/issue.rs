//! Gathers what is wrong with one expression, and where.

use crate::error::CompileError;
use crate::limits;

/// At most this many characters of a message are told.
const MAX_MESSAGE: usize = 400;

/// At most this many errors are told, as by cel-go.
const MAX_ERRORS: usize = 100;

/// The errors of one expression, each of them once.
#[derive(Debug)]
pub(crate) struct Issues<'s> {
    source: &'s str,
    found: Vec<CompileError>,
}

impl<'s> Issues<'s> {
    pub(crate) fn new(source: &'s str) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Adds an error at a byte of the source.
    pub(crate) fn report(&mut self, at: u32, message: impl Into<String>) {
        self.report_with_hint(at, message, None);
    }

    /// Adds an error at a byte of the source, and what to do about it.
    pub(crate) fn report_with_hint(&mut self, at: u32, message: impl Into<String>, hint: Option<String>) {
        if self.is_full() {
            return;
        }
        let (line, column) = limits::position(self.source, at as usize);
        let mut message: String = message.into();
        // Names and types in a message are as long as their author made them.
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        self.add(CompileError { message, line, column, hint });
    }

    pub(crate) fn add(&mut self, error: CompileError) {
        if !self.is_full() && !self.found.contains(&error) {
            self.found.push(error);
        }
    }

    /// Whether more would not be told.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MAX_ERRORS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The errors in the order of their places.
    pub(crate) fn into_sorted(mut self) -> Vec<CompileError> {
        self.found.sort_by_key(|error| (error.line, error.column));
        self.found
    }
}
