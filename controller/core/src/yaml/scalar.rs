//! What a plain scalar stands for: YAML 1.1 as goyaml.v2 resolves it, then JSON as sigs.k8s.io/yaml has it
//! (kubernetes-sigs/yaml, `goyaml.v2/resolve.go` and `yaml.go`).

use super::{Node, Value, YamlError};
use serde_json::Number;

/// What a scalar turns out to be; a string keeps its text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Number(Number),
    /// A float that JSON cannot hold: `.inf`, `.nan`.
    NotJson,
    String,
}

/// Resolves a scalar that is not quoted and has no tag.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Resolved::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Resolved::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Resolved::NotJson,
        _ => {}
    }
    let number = integer(text).or_else(|| json_number(float(text)?)).or_else(|| binary(text));
    number.map_or(Resolved::String, Resolved::Number)
}

/// Resolves a scalar with a tag of YAML's own (`int` of `!!int`); `Err` names what it is instead.
pub(super) fn resolve_tagged(tag: &str, text: &str) -> Result<Resolved, &'static str> {
    if matches!(tag, "str" | "timestamp") {
        return Ok(Resolved::String);
    }
    let resolved = resolve(text);
    let is_float = |number: &Number| number.is_f64() || text.contains(['.', 'e', 'E']) && !is_hex(text);
    match (tag, &resolved) {
        ("null", Resolved::Null) | ("bool", Resolved::Bool(_)) => Ok(resolved),
        ("float", Resolved::Number(_) | Resolved::NotJson) => Ok(resolved),
        ("int", Resolved::Number(number)) if !is_float(number) => Ok(resolved),
        (_, Resolved::Null) => Err("null"),
        (_, Resolved::Bool(_)) => Err("a boolean"),
        (_, Resolved::Number(_) | Resolved::NotJson) => Err("a number"),
        (_, Resolved::String) => Err("a string"),
    }
}

/// A key as JSON has it: numbers and booleans are written out.
pub(super) fn key(node: Node) -> Result<String, YamlError> {
    match node.value {
        Value::String(text) => Ok(text.text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Err(YamlError::new(node.at, "a key must be a string, found null")),
        Value::Sequence(_) | Value::Mapping(_) => {
            Err(YamlError::new(node.at, "a key must be a string, found a list or a mapping"))
        }
    }
}

/// Whether a text may be a number that begins with a digit or a sign; underscores are left out of those.
fn digits(text: &str) -> Option<String> {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-').then(|| text.replace('_', ""))
}

/// Go's `ParseInt` and `ParseUint` with base 0.
fn integer(text: &str) -> Option<Number> {
    let text = digits(text)?;
    let unsigned = text.strip_prefix(['-', '+']);
    let (radix, digits) = radix(unsigned.unwrap_or(&text));
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if text.starts_with('-') {
        return 0i64.checked_sub_unsigned(value).map(Number::from);
    }
    (unsigned.is_none() || i64::try_from(value).is_ok()).then(|| Number::from(value))
}

/// goyaml's own reading of binary numbers, which lets a sign stand behind the prefix.
fn binary(text: &str) -> Option<Number> {
    let text = digits(text)?;
    let value = match text.strip_prefix("-0b") {
        Some(digits) => i64::from_str_radix(&format!("-{digits}"), 2),
        None => i64::from_str_radix(text.strip_prefix("0b")?, 2),
    };
    value.ok().map(Number::from)
}

fn radix(digits: &str) -> (u32, &str) {
    let Some(rest) = digits.strip_prefix('0').filter(|rest| !rest.is_empty()) else { return (10, digits) };
    for (letters, radix) in [(['x', 'X'], 16), (['o', 'O'], 8), (['b', 'B'], 2)] {
        if let Some(digits) = rest.strip_prefix(letters) {
            return (radix, digits);
        }
    }
    (8, rest)
}

fn is_hex(text: &str) -> bool {
    radix(text.trim_start_matches(['+', '-'])).0 == 16
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`: Rust reads the same, but also words. Behind a
/// leading point Go's `ParseFloat` reads, which wants underscores between digits.
fn float(text: &str) -> Option<f64> {
    let text = match text.strip_prefix('.') {
        Some(decimals) if underscores_separate_digits(decimals) => text.replace('_', ""),
        Some(_) => return None,
        None => digits(text)?,
    };
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let number = text.chars().all(allowed) && text.contains(|c: char| c.is_ascii_digit());
    number.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    bytes
        .iter()
        .enumerate()
        .all(|(index, byte)| *byte != b'_' || index.checked_sub(1).is_some_and(digit) && digit(index + 1))
}

/// A float as it is after a trip through JSON: whole values that fit become integers there.
fn json_number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() < i64::MAX as f64 {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// What sigs.k8s.io/yaml makes of a key that is a float: Go's `FormatFloat(value, 'g', -1, 32)`. `None` for
/// other keys.
pub(super) fn float_key(text: &str) -> Option<String> {
    let value = if integer(text).is_some() { return None } else { float(text)? as f32 };
    if value.is_infinite() {
        return Some(if value > 0.0 { ".inf" } else { "-.inf" }.to_owned());
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if (-4..6).contains(&exponent) {
        return Some(value.to_string());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()))
}
