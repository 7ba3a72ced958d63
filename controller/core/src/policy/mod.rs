//! Compiled policies: what a document becomes once its expressions are programs.

mod compile;
mod declarations;
mod expression;
pub(crate) mod given;
mod lint;
mod lookups;
mod matches_nothing;
mod places;
mod reads;
mod references;
mod secrets;
#[cfg(test)]
mod tests;
mod typecheck;

pub(crate) use compile::{
    CompiledBinding, CompiledPolicy, CompiledValidation, Programs, Validations, compile, compile_binding,
    frame,
};
pub(crate) use expression::CompiledExpression;
pub(crate) use lint::{lint, lint_binding, lint_exception};
pub(crate) use lookups::CompiledLookup;
pub(crate) use places::Places;
pub(crate) use reads::{Input, Origins, Reads, Unsure};
pub(crate) use secrets::{reads_values, repeats_the_object};
pub use typecheck::Typing;
pub(crate) use typecheck::typecheck;

use crate::document::{Dialect, Origin};

/// What a failure leads to. Deny and Warn together are refused when a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions {
    /// The request is denied.
    pub deny: bool,
    /// The requester is warned.
    pub warn: bool,
    /// The failure is recorded.
    pub audit: bool,
}

/// What an error leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// As a failure.
    #[default]
    Fail,
    /// As if the policy did not match.
    Ignore,
}

/// Who asks a pair (policy, binding) at admission, and what happens when nobody answers: each class has
/// its own entry in the webhook configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The pair contains Deny and its policy's failurePolicy is Fail.
    Fail,
    /// Every other pair.
    Ignore,
}

impl Class {
    /// The class of a pair.
    pub fn of(actions: Actions, failure_policy: FailurePolicy) -> Self {
        if actions.deny && failure_policy == FailurePolicy::Fail { Self::Fail } else { Self::Ignore }
    }

    /// `fail` or `ignore`, as the webhook's paths have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Ignore => "ignore",
        }
    }
}

/// What reports say about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Ours or Kubernetes'.
    pub dialect: Dialect,
    /// `metadata.name`.
    pub name: String,
    /// `portcullis.dev/title`.
    pub title: Option<String>,
    /// `portcullis.dev/severity`.
    pub severity: Option<String>,
    /// `portcullis.dev/category`.
    pub category: Option<String>,
    /// `portcullis.dev/remediation`: what to do about a failure.
    pub remediation: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}
