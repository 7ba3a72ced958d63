//! How violations and errors are worded.

use super::phase::Phase;
use crate::policy::{CompiledExpression, CompiledValidation};
use portcullis_cel::Value;

/// `MaxEvaluatedMessageExpressionSizeBytes` of apiserver's `pkg/cel/limits.go`.
pub(super) const MAX_MESSAGE_BYTES: usize = 5 * 1024;

/// Trimmed messageExpression, else message, else the expression (`validator.go` in apiserver's
/// `policy/validating`).
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
    evaluated.as_ref().and_then(usable).unwrap_or_else(|| fall_back(validation))
}

/// The text that a messageExpression gave, if it can be a message.
pub(super) fn usable(evaluated: &Value<'_>) -> Option<String> {
    let text = evaluated.as_str()?.trim();
    (!text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n')).then(|| text.to_owned())
}

/// The message of a validation whose messageExpression gives none: its `message`, else what failed.
pub(super) fn fall_back(validation: &CompiledValidation) -> String {
    let message = validation.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
    message.map_or_else(
        || format!("failed expression: {}", validation.expression.program.source().trim()),
        str::to_owned,
    )
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
