//! Whether the literal argument of a conversion or a match can be read at all, and what it should be like.

use super::super::ast::Literal;
use super::super::format::parse_duration;
use super::super::patterns::Patterns;
use super::super::time::Timestamp;

pub(super) fn duration(literal: &Literal) -> (bool, Option<String>) {
    let hint = "write hours, minutes and seconds, such as '1h30m' or '90s'; there is no unit for days";
    match literal {
        Literal::String(text) => (parse_duration(text).is_some(), Some(hint.to_owned())),
        _ => (true, None),
    }
}

pub(super) fn timestamp(literal: &Literal) -> (bool, Option<String>) {
    let hint = "write RFC 3339, such as '2026-01-31T12:00:00Z'";
    match literal {
        Literal::String(text) => (Timestamp::parse(text).is_ok(), Some(hint.to_owned())),
        Literal::Int(seconds) => (Timestamp::new(*seconds, 0).is_some(), None),
        _ => (true, None),
    }
}

pub(super) fn pattern(literal: &Literal, patterns: &mut Patterns) -> (bool, Option<String>) {
    match literal {
        Literal::String(text) => match patterns.compile(text) {
            Ok(_) => (true, None),
            Err(reason) => (false, Some(reason)),
        },
        _ => (true, None),
    }
}
