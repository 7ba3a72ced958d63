//! Types and values in the JSON of `tests/go/internal/wire`, from and to those of our engine.

use anyhow::{Context, Result, bail};
use portcullis_cel::engine::{Key, MapValue, ObjectType, Timestamp, Type, Value};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// Reads a type; `objects` declares the object types by name and field.
///
/// # Errors
/// It is none.
pub(crate) fn read_type(described: &Json, objects: &Map<String, Json>) -> Result<Type> {
    let of = |index: usize| read_type(&described[index], objects);
    if let Some(name) = described.as_str() {
        return Ok(match name {
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "double" => Type::Double,
            "duration" => Type::Duration,
            "dyn" => Type::Dyn,
            "int" => Type::Int,
            "null" => Type::Null,
            "string" => Type::String,
            "timestamp" => Type::Timestamp,
            "type" => Type::Type(None),
            "uint" => Type::Uint,
            _ => bail!("no type is called `{name}`"),
        });
    }
    Ok(match described[0].as_str() {
        Some("list") => Type::list(of(1)?),
        Some("map") => Type::map(of(1)?, of(2)?),
        Some("optional") => Type::optional(of(1)?),
        Some("type") => Type::type_of(of(1)?),
        Some("wrapper") => Type::Nullable(Arc::new(of(1)?)),
        Some("object") => {
            let name = described[1].as_str().context("an object type needs a name")?;
            let fields = objects.get(name).and_then(Json::as_object);
            let fields = fields.with_context(|| format!("no object type is called `{name}`"))?;
            let fields =
                fields.iter().map(|(field, described)| Ok((field.as_str(), read_type(described, objects)?)));
            Type::Object(ObjectType::new(name, fields.collect::<Result<Vec<_>>>()?))
        }
        _ => bail!("not a type: {described}"),
    })
}

/// Reads a value.
///
/// # Errors
/// It is none.
pub(crate) fn read_value(written: &Json) -> Result<Value<'_>> {
    let value = &written["value"];
    let text = value.as_str().unwrap_or_default();
    let wrong = || format!("not a value: {written}");
    Ok(match written["type"].as_str().with_context(wrong)? {
        "null" => Value::Null,
        "bool" => Value::Bool(value.as_bool().with_context(wrong)?),
        "int" => Value::Int(text.parse().with_context(wrong)?),
        "uint" => Value::Uint(text.parse().with_context(wrong)?),
        "double" => Value::Double(text.parse().with_context(wrong)?),
        "string" => Value::borrowed(value.as_str().with_context(wrong)?),
        "bytes" => Value::Bytes(base64::decode(text).with_context(wrong)?.into()),
        "duration" => Value::Duration(text.parse().with_context(wrong)?),
        "timestamp" => {
            let (seconds, nanoseconds) = text.split_once('.').with_context(wrong)?;
            let time = Timestamp::new(seconds.parse()?, nanoseconds.parse()?);
            Value::Timestamp(time.with_context(wrong)?)
        }
        "type" => Value::Type(type_named(text).with_context(wrong)?),
        "optional" if value.is_null() => Value::Optional(None),
        "optional" => Value::some(read_value(value)?),
        "list" => {
            let items = value.as_array().with_context(wrong)?;
            Value::list(items.iter().map(read_value).collect::<Result<_>>()?)
        }
        "map" => {
            let mut map = MapValue::default();
            for pair in value.as_array().with_context(wrong)? {
                let key = Key::of(&read_value(&pair[0])?).with_context(wrong)?;
                map.insert(key, read_value(&pair[1])?);
            }
            Value::map(map)
        }
        other => bail!("no value is of type `{other}`"),
    })
}

fn type_named(name: &str) -> Option<&'static str> {
    let names = [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "type",
        "uint",
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "optional_type",
    ];
    names.into_iter().find(|known| *known == name)
}

/// Writes a value in its normal form: see [`normal`].
pub(crate) fn write(value: &Value<'_>) -> Json {
    let (kind, value) = match value {
        Value::Null => ("null", Json::Null),
        Value::Bool(truth) => ("bool", json!(truth)),
        Value::Int(number) => ("int", json!(number.to_string())),
        Value::Uint(number) => ("uint", json!(number.to_string())),
        Value::Double(number) => ("double", json!(format!("{number:?}"))),
        Value::Text(text) => ("string", json!(text.as_str())),
        Value::Bytes(bytes) => ("bytes", json!(base64::encode(bytes))),
        Value::Duration(nanoseconds) => ("duration", json!(nanoseconds.to_string())),
        Value::Timestamp(time) => {
            ("timestamp", json!(format!("{}.{:09}", time.seconds(), time.nanoseconds())))
        }
        Value::Type(name) => ("type", json!(name)),
        Value::Optional(None) => ("optional", Json::Null),
        Value::Optional(Some(value)) => ("optional", write(value)),
        Value::JsonList(list) => ("list", list.iter().map(|item| write(&Value::from_json(item))).collect()),
        Value::List(items) => ("list", items.iter().map(write).collect()),
        Value::JsonMap(map) => (
            "map",
            map.iter()
                .map(|(key, value)| json!([write(&Value::borrowed(key)), write(&Value::from_json(value))]))
                .collect(),
        ),
        Value::Map(map) => {
            ("map", map.iter().map(|(key, value)| json!([write(&key.to_value()), write(value)])).collect())
        }
        Value::Opaque(value) => ("opaque", json!(value.to_string())),
    };
    normal(json!({"type": kind, "value": value}))
}

/// A written value with its numbers and the order of its maps' entries in the one form that is compared.
pub(crate) fn normal(mut written: Json) -> Json {
    let kind = written["type"].as_str().unwrap_or_default().to_owned();
    let value = written["value"].take();
    let pair = |mut pair: Json| json!([normal(pair[0].take()), normal(pair[1].take())]);
    written["value"] = match (kind.as_str(), value) {
        ("double", Json::String(text)) => match text.parse::<f64>() {
            Ok(number) => json!(format!("{number:?}")),
            Err(_) => json!(text),
        },
        ("optional", Json::Object(inner)) => normal(Json::Object(inner)),
        ("list", Json::Array(items)) => items.into_iter().map(normal).collect(),
        ("map", Json::Array(pairs)) => {
            let mut pairs: Vec<Json> = pairs.into_iter().map(pair).collect();
            pairs.sort_by_cached_key(|pair| pair[0].to_string());
            Json::Array(pairs)
        }
        (_, value) => value,
    };
    written
}

/// Base64 with padding, as Go's `encoding/base64.StdEncoding`.
mod base64 {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    pub(super) fn encode(bytes: &[u8]) -> String {
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits =
                (0..3).fold(0u32, |bits, index| bits << 8 | u32::from(*chunk.get(index).unwrap_or(&0)));
            for index in 0..4 {
                let digit = (bits >> (18 - 6 * index) & 63) as usize;
                text.push(if index <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
            }
        }
        text
    }

    pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let (mut bits, mut count) = (0u32, 0);
        for digit in text.trim_end_matches('=').bytes() {
            bits = bits << 6 | u32::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()?;
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count & 255) as u8);
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{normal, read_value, write};
    use serde_json::json;

    #[test]
    fn what_is_read_is_written_again() {
        for written in [
            json!({"type": "null", "value": null}),
            json!({"type": "uint", "value": "18446744073709551615"}),
            json!({"type": "double", "value": "-0.0"}),
            json!({"type": "double", "value": "inf"}),
            json!({"type": "bytes", "value": "YQ=="}),
            json!({"type": "bytes", "value": "YWJjZA=="}),
            json!({"type": "timestamp", "value": "-1.000000001"}),
            json!({"type": "optional", "value": {"type": "int", "value": "1"}}),
            json!({"type": "map", "value": [[{"type": "int", "value": "1"}, {"type": "list", "value": []}]]}),
        ] {
            assert_eq!(write(&read_value(&written).unwrap()), written);
        }
    }

    #[test]
    fn cel_gos_numbers_and_orders_become_ours() {
        let check = |theirs, ours| assert_eq!(normal(theirs), ours);
        check(json!({"type": "double", "value": "1e+06"}), json!({"type": "double", "value": "1000000.0"}));
        check(json!({"type": "double", "value": "-Inf"}), json!({"type": "double", "value": "-inf"}));
        let (one, two) = (json!({"type": "int", "value": "1"}), json!({"type": "int", "value": "2"}));
        check(
            json!({"type": "map", "value": [[two, one], [one, two]]}),
            json!({"type": "map", "value": [[one, two], [two, one]]}),
        );
    }
}
