//! How violations and errors are worded.

use super::phase::Phase;
use crate::policy::{CompiledExpression, CompiledValidation};
use portcullis_cel::Value;

/// `MaxEvaluatedMessageExpressionSizeBytes` of apiserver's `pkg/cel/limits.go`.
pub(super) const MAX_MESSAGE_BYTES: usize = 5 * 1024;

/// Trimmed messageExpression, else message, else the expression (`validator.go`).
pub(super) fn message<'a>(
    phase: &mut Phase<'a>,
    validation: &'a CompiledValidation,
    each: Option<&Value<'a>>,
) -> String {
    let evaluated = validation
        .message_expression
        .as_ref()
        // An element that masking took out of its list cannot be worded.
        .filter(|_| validation.for_each.is_none() || each.is_some())
        .and_then(|expression| phase.evaluate_with(expression, each).ok());
    if let Some(text) = evaluated.as_ref().and_then(|value| value.as_str()) {
        let text = text.trim();
        if !text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n') {
            return text.to_owned();
        }
    }
    match &validation.message {
        Some(message) => message.trim().to_owned(),
        None => format!("failed expression: {}", validation.expression.program.source().trim()),
    }
}

pub(super) fn not_bool(expression: &CompiledExpression, found: &str) -> String {
    format!(
        "expression '{}' resulted in error: must evaluate to bool but got {found}",
        expression.program.source()
    )
}

pub(super) fn one_line(text: &str, limit: usize) -> String {
    cut(text, limit).replace(['\n', '\r'], " ")
}

/// At most `limit` bytes, at a character's boundary.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
