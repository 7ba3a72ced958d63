//! What `%s` makes of a value: what `string()` does, and of lists and maps what could be read as CEL again.

use super::super::super::failure::Failure;
use super::super::super::format::quote;
use super::super::super::meter::Meter;
use super::super::super::value::Value;
use super::clause::Clause;

/// A value on its own.
pub(super) fn write(value: &Value<'_>, meter: &Meter) -> Result<String, Box<Failure>> {
    match value {
        Value::List(_) | Value::JsonList(_) => list(value, meter),
        Value::Map(_) | Value::JsonMap(_) => map(value, meter),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => {
                let reason = "invalid UTF-8 in bytes, cannot convert to string";
                let message = format!("could not convert argument \"{reason}\" to string");
                Err(failed(&message))
            }
        },
        Value::Optional(_) | Value::Opaque(_) => Err(Failure::new(Clause::String.refusal(value.type_name()))),
        _ => Ok(value.to_string()),
    }
}

fn failed(message: &str) -> Box<Failure> {
    Failure::new(format!("error during formatting: {message}"))
}

fn list(value: &Value<'_>, meter: &Meter) -> Result<String, Box<Failure>> {
    let mut parts = Vec::new();
    for (_, element) in value.children() {
        parts.push(inside(&element, meter)?);
    }
    Ok(format!("[{}]", parts.join(", ")))
}

fn map(value: &Value<'_>, meter: &Meter) -> Result<String, Box<Failure>> {
    let mut parts = Vec::new();
    for (key, value) in value.children() {
        parts.push((inside(&key.to_value(), meter)?, inside(&value, meter)?));
    }
    parts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let parts: Vec<String> = parts.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", parts.join(", ")))
}

/// A value inside a list or a map.
fn inside(value: &Value<'_>, meter: &Meter) -> Result<String, Box<Failure>> {
    meter.visit(1)?;
    let text = match value {
        Value::Double(number) if number.is_nan() => "\"NaN\"".to_owned(),
        Value::Double(number) if number.is_infinite() => {
            format!("\"{}Inf\"", if *number > 0.0 { '+' } else { '-' })
        }
        Value::Double(number) => format!("{number:.6}"),
        Value::Text(text) => quote(text.as_str()),
        Value::Bytes(_) => format!("b{}", quote(&write(value, meter)?)),
        Value::Timestamp(_) => format!("timestamp({})", quote(&value.to_string())),
        Value::Duration(_) => format!("duration({})", quote(&value.to_string())),
        Value::Optional(_) | Value::Opaque(_) => {
            return Err(failed(&format!("no formatting function for {}", value.type_name())));
        }
        _ => write(value, meter)?,
    };
    meter.allocate(text.len())?;
    Ok(text)
}
