//! The crate `cel`'s own evaluator, which is another reading of the specification. It has no checker, no limits and
//! no Kubernetes libraries, so that only small programs are compared, and only where both have a value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::objects::Key as CrateKey;
use cel::{Context, Program, Value as CrateValue};
use portcullis_cel::engine::{Key, Text};
use portcullis_cel::{Value, with_large_stack};
use serde_json::Value as Json;

use crate::Case;

/// Above this cost a program may be too much for an evaluator without limits.
const MAX_COST: u64 = 2_000;
/// The longest expression that is compared, in bytes.
const MAX_LENGTH: usize = 500;
/// Words that together in an expression mean a known difference, in which ours is cel-go's: how a double or a time
/// zone is written, in which zone a timestamp is read, how a duration is counted in floating point, and RE2's dialect
/// of patterns (`[a&&b]`, `\\d` in ASCII). `tests/oracle` holds those to cel-go itself.
const KNOWN: [&[&str]; 6] = [
    &["string("],
    &["timestamp(", ".get"],
    &["duration(", ".get"],
    &["duration(", "9223372036854775808"],
    &["matches(", "\\"],
    &["matches(", "["],
];

/// Compares a value with what the crate makes of the same case.
///
/// # Panics
/// If they differ.
pub fn compare(case: &Case, ours: &Value<'_>, cost: u64) {
    let known = KNOWN.iter().any(|words| words.iter().all(|word| case.source.contains(word)));
    if known || cost > MAX_COST || case.source.len() > MAX_LENGTH {
        return;
    }
    let theirs = with_large_stack(|| catch_unwind(AssertUnwindSafe(|| evaluate(case))).ok().flatten());
    if let (Some(theirs), Some(ours)) = (theirs.as_ref().and_then(write_theirs), write(ours)) {
        assert!(ours == theirs, "`{}` over {}:\n  ours {ours}\n  theirs {theirs}", case.source, case.object);
    }
}

fn evaluate(case: &Case) -> Option<CrateValue> {
    let program = Program::compile(&case.source).ok()?;
    let mut context = Context::default();
    context.add_variable_from_value("object", convert(&case.object));
    program.execute(&context).ok()
}

fn convert(json: &Json) -> CrateValue {
    match json {
        Json::Null => CrateValue::Null,
        Json::Bool(truth) => CrateValue::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => CrateValue::Int(number),
            None => CrateValue::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => CrateValue::String(Arc::new(text.clone())),
        Json::Array(items) => CrateValue::List(Arc::new(items.iter().map(convert).collect())),
        Json::Object(fields) => {
            let entries =
                fields.iter().map(|(name, value)| (CrateKey::String(Arc::new(name.clone())), convert(value)));
            CrateValue::Map(cel::objects::Map { map: Arc::new(entries.collect()) })
        }
    }
}

/// A number so that equal ones are written alike and others are not.
fn double(number: f64) -> String {
    if number.is_nan() { "double NaN".to_owned() } else { format!("double {number:?}") }
}

fn list(items: impl Iterator<Item = Option<String>>) -> Option<String> {
    Some(format!("[{}]", items.collect::<Option<Vec<_>>>()?.join(", ")))
}

fn map(entries: impl Iterator<Item = (String, Option<String>)>) -> Option<String> {
    let written = entries.map(|(key, value)| value.map(|value| format!("{key}: {value}")));
    let mut written = written.collect::<Option<Vec<_>>>()?;
    written.sort();
    Some(format!("{{{}}}", written.join(", ")))
}

/// A value in words; none for types that the two keep differently.
fn write(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => format!("int {number}"),
        Value::Uint(number) => format!("uint {number}"),
        Value::Double(number) => double(*number),
        Value::Text(Text::Borrowed(_) | Text::Shared(_)) => format!("{:?}", value.as_str()?),
        Value::Bytes(bytes) => format!("bytes {bytes:?}"),
        Value::Duration(nanoseconds) => format!("duration {nanoseconds}"),
        Value::JsonList(_) | Value::List(_) => list(value.children().map(|(_, item)| write(&item)))?,
        Value::JsonMap(_) | Value::Map(_) => {
            map(value.children().map(|(key, item)| (write_key(&key), write(&item))))?
        }
        _ => return None,
    })
}

fn write_key(key: &Key<'_>) -> String {
    match key {
        Key::Bool(truth) => truth.to_string(),
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => number.to_string(),
        Key::Text(_) => format!("{:?}", key.to_string()),
    }
}

fn write_theirs(value: &CrateValue) -> Option<String> {
    Some(match value {
        CrateValue::Null => "null".to_owned(),
        CrateValue::Bool(truth) => truth.to_string(),
        CrateValue::Int(number) => format!("int {number}"),
        CrateValue::UInt(number) => format!("uint {number}"),
        CrateValue::Float(number) => double(*number),
        CrateValue::String(text) => format!("{text:?}"),
        CrateValue::Bytes(bytes) => format!("bytes {bytes:?}"),
        CrateValue::Duration(length) => format!("duration {}", length.num_nanoseconds()?),
        CrateValue::List(items) => list(items.iter().map(write_theirs))?,
        CrateValue::Map(entries) => map(entries.map.iter().map(|(key, item)| {
            let key = match key {
                CrateKey::Int(number) => number.to_string(),
                CrateKey::Uint(number) => number.to_string(),
                CrateKey::Bool(truth) => truth.to_string(),
                CrateKey::String(text) => format!("{text:?}"),
            };
            (key, write_theirs(item))
        }))?,
        _ => return None,
    })
}
