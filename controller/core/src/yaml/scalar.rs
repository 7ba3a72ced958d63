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
    let number = match text.as_bytes().first() {
        Some(b'.') => float(text),
        Some(b'0'..=b'9' | b'+' | b'-') => number(&text.replace('_', "")),
        _ => None,
    };
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
        Value::Number(number) => Ok(match number.as_f64() {
            Some(value) if number.is_f64() => float_key(value),
            _ => number.to_string(),
        }),
        Value::Null => Err(YamlError::new(node.at, "a key must be a string, found null")),
        Value::Sequence(_) | Value::Mapping(_) => {
            Err(YamlError::new(node.at, "a key must be a string, found a list or a mapping"))
        }
    }
}

fn number(text: &str) -> Option<Number> {
    integer(text).or_else(|| float_of_digits(text))
}

/// Go's `ParseInt` and `ParseUint` with base 0, then goyaml's own binary spelling; what is beyond 64 bits
/// becomes a float.
fn integer(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']);
    let (negative, signed, digits) = (text.starts_with('-'), unsigned.is_some(), unsigned.unwrap_or(text));
    let (radix, digits) = radix(digits);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    match u64::from_str_radix(digits, radix) {
        Ok(value) if negative => match 0i64.checked_sub_unsigned(value) {
            Some(value) => Some(Number::from(value)),
            None => float_of_radix(digits, radix).and_then(|value| Number::from_f64(-value)),
        },
        Ok(value) if signed && i64::try_from(value).is_err() => Number::from_f64(value as f64),
        Ok(value) => Some(Number::from(value)),
        Err(_) => {
            let value = float_of_radix(digits, radix)?;
            Number::from_f64(if negative { -value } else { value })
        }
    }
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

fn float_of_radix(digits: &str, radix: u32) -> Option<f64> {
    if radix == 10 {
        return digits.parse().ok();
    }
    Some(
        digits
            .chars()
            .filter_map(|digit| digit.to_digit(radix))
            .fold(0.0, |sum, digit| sum * f64::from(radix) + f64::from(digit)),
    )
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`: Rust reads the same, but also words.
fn float_of_digits(text: &str) -> Option<Number> {
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    text.chars().all(allowed).then(|| float(text)).flatten()
}

/// A float as it is after a trip through JSON: whole values that fit become integers there.
fn float(text: &str) -> Option<Number> {
    if !text.chars().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    if value.fract() == 0.0 && value.abs() < i64::MAX as f64 {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// Go's `FormatFloat(value, 'g', -1, 32)`, by which sigs.k8s.io/yaml writes float keys.
fn float_key(value: f64) -> String {
    let short = value as f32;
    let scientific = format!("{short:e}");
    match scientific.split_once('e').map(|(mantissa, exponent)| (mantissa, exponent.parse::<i32>())) {
        Some((mantissa, Ok(exponent))) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => short.to_string(),
    }
}
