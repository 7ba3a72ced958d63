//! `assert_allowed!` and the like: what a verdict must be, and the whole of it where it is not.

use crate::verdict::{IntoVerdict, Verdict};

/// Fails unless the verdict has no violations.
#[macro_export]
macro_rules! assert_allowed {
    ($verdict:expr $(,)?) => {
        $crate::testing::allowed($verdict)
    };
}

/// Fails unless the verdict has a violation whose message has this part.
#[macro_export]
macro_rules! assert_denied {
    ($verdict:expr, $message:expr $(,)?) => {
        $crate::testing::denied($verdict, ::core::convert::AsRef::<str>::as_ref(&$message))
    };
}

/// Fails unless the verdict has a violation at this field path whose message has this part.
#[macro_export]
macro_rules! assert_denied_at {
    ($verdict:expr, $path:expr, $message:expr $(,)?) => {
        $crate::testing::denied_at(
            $verdict,
            ::core::convert::AsRef::<str>::as_ref(&$path),
            ::core::convert::AsRef::<str>::as_ref(&$message),
        )
    };
}

/// What [`assert_allowed!`](crate::assert_allowed) does.
#[track_caller]
pub fn allowed(verdict: impl IntoVerdict) {
    let verdict = decided(verdict);
    assert!(verdict.is_allowed(), "the request is denied, and should be allowed:\n{}", told(&verdict));
}

/// What [`assert_denied!`](crate::assert_denied) does.
#[track_caller]
pub fn denied(verdict: impl IntoVerdict, message: &str) {
    assert!(!message.is_empty(), "every message holds an empty text: say a part of it");
    let verdict = decided(verdict);
    let found = verdict.violations().iter().any(|violation| violation.message.contains(message));
    assert!(found, "no violation has `{message}` in its message:\n{}", told(&verdict));
}

/// What [`assert_denied_at!`](crate::assert_denied_at) does.
#[track_caller]
pub fn denied_at(verdict: impl IntoVerdict, path: &str, message: &str) {
    let verdict = decided(verdict);
    let mut there = verdict.violations().iter().filter(|violation| violation.field_path == path);
    let found = there.any(|violation| violation.message.contains(message));
    assert!(found, "no violation at `{path}` has `{message}` in its message:\n{}", told(&verdict));
}

#[track_caller]
#[expect(clippy::panic, reason = "a test has failed")]
fn decided(verdict: impl IntoVerdict) -> Verdict {
    verdict.into_verdict().unwrap_or_else(|error| panic!("the policy does not decide: {error}"))
}

/// A verdict as a person reads it.
fn told(verdict: &Verdict) -> String {
    let mut lines: Vec<String> = Vec::new();
    for violation in verdict.violations() {
        let remedy = violation.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let path = if violation.field_path.is_empty() { "no field path" } else { &violation.field_path };
        lines.push(format!("  violation ({path}): {}{remedy}", violation.message));
    }
    lines.extend(verdict.warnings().iter().map(|warning| format!("  warning: {warning}")));
    let annotations = verdict.audit_annotations().iter();
    lines.extend(annotations.map(|(key, value)| format!("  audit annotation {key}: {value}")));
    if lines.is_empty() { "  the verdict is empty: allowed".to_owned() } else { lines.join("\n") }
}
