//! What can go wrong while a request is read.

use crate::json;
use std::fmt;

/// Why a request cannot be judged. A policy that returns it has not decided: its `failurePolicy` says what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with this message: lower case, one line, no final period.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn of_json(what: &str, error: &json::Error) -> Self {
        let dot = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
        let (path, message) = (&error.path, &error.message);
        Self(format!("`{what}{dot}{path}` is not of the type that it is read as: {message}"))
    }

    /// Something was asked for that the policy does not name in `wasm.reads`.
    pub(crate) fn not_given(name: &str) -> Self {
        Self(format!("`{name}` is not given: name it in `wasm.reads` of the policy"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}
