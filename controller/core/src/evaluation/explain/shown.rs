//! Values as they are told: JSON where they are that, cut where they are long.

use portcullis_cel::engine::Key;
use portcullis_cel::{Failure, Value};
use std::fmt::Write;

/// So long, in bytes, a value is told at most.
const MAX_SHOWN: usize = 2_000;

/// What came out.
pub(super) fn told(result: &Result<Value<'_>, Box<Failure>>) -> String {
    match result {
        Ok(value) => shown(value),
        Err(failure) => {
            let mut text = format!("error: {}", failure.message);
            cut(&mut text);
            text
        }
    }
}

/// A value.
pub(super) fn shown(value: &Value<'_>) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    cut(&mut text);
    text
}

fn cut(text: &mut String) {
    if text.len() > MAX_SHOWN {
        let end = boundary(text, MAX_SHOWN);
        text.truncate(end);
        text.push('…');
    }
}

/// Where to cut so that no character is.
fn boundary(text: &str, wanted: usize) -> usize {
    (0..=wanted.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

/// Writes no more than a little over what is told of it.
fn write_value(text: &mut String, value: &Value<'_>) {
    if text.len() > MAX_SHOWN {
        return;
    }
    // Writing to a string does not fail.
    let _ = match value {
        Value::Text(value) => {
            let value = value.as_str();
            let value = value.get(..boundary(value, MAX_SHOWN)).unwrap_or_default();
            write!(text, "{}", serde_json::Value::from(value))
        }
        Value::JsonList(_) | Value::List(_) => write_children(text, value, ['[', ']'], false),
        Value::JsonMap(_) | Value::Map(_) => write_children(text, value, ['{', '}'], true),
        Value::Optional(None) => text.write_str("optional.none()"),
        Value::Optional(Some(inner)) => {
            text.push_str("optional.of(");
            write_value(text, inner);
            text.write_char(')')
        }
        other => write!(text, "{other}"),
    };
}

fn write_children(
    text: &mut String,
    value: &Value<'_>,
    [open, close]: [char; 2],
    keyed: bool,
) -> std::fmt::Result {
    text.push(open);
    for (index, (key, child)) in value.children().enumerate() {
        if text.len() > MAX_SHOWN {
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        if keyed {
            match &key {
                Key::Text(name) => write!(text, "{}: ", serde_json::Value::from(name.as_str()))?,
                other => write!(text, "{other}: ")?,
            }
        }
        write_value(text, &child);
    }
    text.write_char(close)
}
