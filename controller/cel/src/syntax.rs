//! Says what the parser found wrong in the words of someone who writes policies.

use cel::ParseError;

use crate::error::{CompileError, first_line, shown};
use crate::limits;

/// The first syntax error; those after it are mostly its consequences.
pub(crate) fn first_error(source: &str, errors: &[ParseError]) -> CompileError {
    if errors.iter().any(|error| error.msg.contains("Recursion limit")) {
        return limits::too_deep(source, 0);
    }
    // A construct that is missing a part is reported too, but at its beginning.
    let chosen = errors.iter().find(|error| !is_consequence(&error.msg)).or(errors.first());
    let Some(error) = chosen else {
        return CompileError { message: "syntax error".to_owned(), line: 1, column: 1, hint: None };
    };
    let place = |number: isize| u32::try_from(number).unwrap_or(1).max(1);
    let (problem, hint) = describe(&error.msg);
    CompileError {
        message: format!("syntax error: {problem}"),
        line: place(error.pos.0),
        column: place(error.pos.1),
        hint,
    }
}

fn is_consequence(message: &str) -> bool {
    message.contains("ContextAll`") || message.starts_with("Incomplete `") || message == "UNKNOWN"
}

/// The parser's message in our words, and a hint.
fn describe(message: &str) -> (String, Option<String>) {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if let Some(text) = quoted(message, "token recognition error at: '") {
        return match text.chars().next() {
            Some('\'' | '"') => {
                ("the string is not closed, or has an escape that does not exist".to_owned(), None)
            }
            _ => unexpected(text),
        };
    }
    if let Some(text) = quoted(message, "no viable alternative at input '") {
        return unexpected(text);
    }
    for beginning in ["mismatched input '", "extraneous input '"] {
        if let Some((text, _)) =
            message.strip_prefix(beginning).and_then(|rest| rest.rsplit_once("' expecting "))
        {
            return unexpected(text);
        }
    }
    if let Some((missing, found)) =
        message.strip_prefix("missing '").and_then(|rest| rest.split_once("' at '"))
    {
        let (problem, hint) = unexpected(found.strip_suffix('\'').unwrap_or(found));
        return (format!("{problem}, `{missing}` is missing"), hint);
    }
    if is_consequence(message) {
        return ("a part of the expression is missing".to_owned(), None);
    }
    (shown(first_line(message).trim_end_matches('.')), None)
}

fn quoted<'m>(message: &'m str, beginning: &str) -> Option<&'m str> {
    message.strip_prefix(beginning).map(|text| text.strip_suffix('\'').unwrap_or(text))
}

fn unexpected(text: &str) -> (String, Option<String>) {
    let meant = match text.trim() {
        "<EOF>" => return ("the expression ends too early".to_owned(), None),
        "and" | "&" => "&&",
        "or" | "|" => "||",
        "not" => "!",
        "=" => "==",
        _ => return (format!("unexpected `{}`", shown(text)), None),
    };
    (format!("unexpected `{}`", text.trim()), Some(format!("did you mean `{meant}`?")))
}
