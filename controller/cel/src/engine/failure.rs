//! Why a program gave no value.

use std::borrow::Cow;
use std::fmt;

use super::library::AccessReview;
use super::value::Value;

/// A failed evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// What happened, in cel-go's words where it has any.
    pub message: Cow<'static, str>,
}

/// The sorts of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The expression itself failed: a missing key, a division by zero. `&&` and `||` can absorb it.
    Evaluation,
    /// A function or operator has no meaning for the types it was given. `&&` and `||` can absorb it.
    NoSuchOverload,
    /// What lies outside the program cannot be told, and the message quotes no value. `&&` and `||` can absorb it.
    Unavailable,
    /// The authorizer has to be asked first; nothing absorbs this.
    Needs,
    /// The expression has used up its cost or its memory, or its cost cannot be worked out; nothing absorbs this.
    Budget,
}

impl Failure {
    /// A failure of the expression itself.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { kind: FailureKind::Evaluation, message: message.into() })
    }

    /// What lies outside the program cannot be told. The message must quote no value.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { kind: FailureKind::Unavailable, message: message.into() })
    }

    /// A function or operator was given types it has no meaning for.
    #[must_use]
    pub fn no_such_overload() -> Box<Self> {
        Box::new(Self { kind: FailureKind::NoSuchOverload, message: "no such overload".into() })
    }

    /// The same of a named function or operator.
    pub(crate) fn no_such_overload_of(function: String) -> Box<Self> {
        let message = format!("no such overload: {function}").into();
        Box::new(Self { kind: FailureKind::NoSuchOverload, message })
    }

    /// A map has no such key.
    #[must_use]
    pub fn no_such_key(key: &Value<'_>) -> Box<Self> {
        Self::new(format!("no such key: {key}"))
    }

    pub(crate) fn needs(review: &AccessReview) -> Box<Self> {
        let message = format!("the authorizer's answer (`{review}`)").into();
        Box::new(Self { kind: FailureKind::Needs, message })
    }

    pub(crate) fn cost() -> Box<Self> {
        let message = "operation cancelled: actual cost limit exceeded";
        Box::new(Self { kind: FailureKind::Budget, message: message.into() })
    }

    /// cel-go's measure of a cost does not know what to do with an argument, which ends the evaluation.
    pub(crate) fn unexpected(reason: &str) -> Box<Self> {
        let message = format!("internal error: interface conversion: {reason}").into();
        Box::new(Self { kind: FailureKind::Budget, message })
    }

    pub(crate) fn memory() -> Box<Self> {
        let message = "operation cancelled: memory limit exceeded";
        Box::new(Self { kind: FailureKind::Budget, message: message.into() })
    }

    pub(crate) fn work() -> Box<Self> {
        let message = "operation cancelled: too much data to compare";
        Box::new(Self { kind: FailureKind::Budget, message: message.into() })
    }

    /// Whether nothing may absorb it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.kind, FailureKind::Budget | FailureKind::Needs)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
