//! What the tests give and expect: values and types in CEL's protocol buffers, as the engine's.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use portcullis_cel::engine::{
    Failure, Function, Invocation, Key, MapValue, ObjectType, Overload, Timestamp, Ty, Type, Value,
};

use crate::textproto::{self, Message, Value as Proto};

/// The names under which types are values.
const TYPES: [&str; 12] = [
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
];

/// A `cel.expr.Value`.
///
/// # Errors
/// It is of a kind that only protocol buffers have.
pub(crate) fn value(message: &Message) -> Result<Value<'static>> {
    let (name, value) = message.fields().next().context("an empty value")?;
    Ok(match (name, value) {
        ("null_value", _) => Value::Null,
        ("bool_value", Proto::Word(word)) => Value::Bool(word == "true"),
        ("int64_value", Proto::Word(word)) => Value::Int(word.parse()?),
        ("uint64_value", Proto::Word(word)) => Value::Uint(word.trim_end_matches('u').parse()?),
        ("double_value", Proto::Word(word)) => Value::Double(word.to_lowercase().parse()?),
        ("string_value", Proto::Bytes(bytes)) => Value::text(std::str::from_utf8(bytes)?),
        ("bytes_value", Proto::Bytes(bytes)) => Value::Bytes(Arc::from(bytes.as_slice())),
        ("type_value", Proto::Bytes(bytes)) => {
            let name = std::str::from_utf8(bytes)?;
            Value::Type(TYPES.into_iter().find(|known| *known == name).context("an unknown type")?)
        }
        ("list_value", Proto::Message(list)) => {
            Value::list(list.messages("values").map(self::value).collect::<Result<_>>()?)
        }
        ("map_value", Proto::Message(map)) => {
            let mut entries = MapValue::default();
            for entry in map.messages("entries") {
                let key = self::value(entry.message("key").context("an entry without a key")?)?;
                let value = self::value(entry.message("value").context("an entry without a value")?)?;
                entries.insert(Key::of(&key).context("a wrong key")?, value);
            }
            Value::map(entries)
        }
        ("object_value", Proto::Message(any)) => object(any)?,
        (other, _) => bail!("a value of kind {other}"),
    })
}

fn object(any: &Message) -> Result<Value<'static>> {
    let (name, value) = any.fields().next().context("an empty object")?;
    let Proto::Message(message) = value else { bail!("an object of {name}") };
    let number = |field| message.text(field).map_or(Ok(0_i64), |word| word.parse()).context("a number");
    let (seconds, nanoseconds) = (number("seconds")?, number("nanos")?);
    match name {
        "[type.googleapis.com/google.protobuf.Duration]" => {
            Ok(Value::Duration(seconds * 1_000_000_000 + nanoseconds))
        }
        "[type.googleapis.com/google.protobuf.Timestamp]" => {
            let time = Timestamp::new(seconds, u32::try_from(nanoseconds)?).context("out of range")?;
            Ok(Value::Timestamp(time))
        }
        other => bail!("an object of {other}"),
    }
}

/// A `cel.expr.Type`.
///
/// # Errors
/// It is of a kind that only protocol buffers have.
pub(crate) fn declared(message: &Message) -> Result<Type> {
    let (name, value) = message.fields().next().context("an empty type")?;
    Ok(match (name, value) {
        ("dyn", _) => Type::Dyn,
        ("error", _) => Type::Error,
        ("null", _) => Type::Null,
        ("primitive" | "wrapper", Proto::Word(word)) => {
            let plain = match word.as_str() {
                "BOOL" => Type::Bool,
                "INT64" => Type::Int,
                "UINT64" => Type::Uint,
                "DOUBLE" => Type::Double,
                "STRING" => Type::String,
                "BYTES" => Type::Bytes,
                other => bail!("a primitive {other}"),
            };
            if name == "wrapper" { Type::Nullable(Arc::new(plain)) } else { plain }
        }
        ("well_known", Proto::Word(word)) => match word.as_str() {
            "DURATION" => Type::Duration,
            "TIMESTAMP" => Type::Timestamp,
            "ANY" => Type::Dyn,
            other => bail!("a type {other}"),
        },
        ("list_type", Proto::Message(list)) => Type::list(part(list, "elem_type")?),
        ("map_type", Proto::Message(map)) => Type::map(part(map, "key_type")?, part(map, "value_type")?),
        ("type", Proto::Message(named)) if named.fields().next().is_none() => Type::Type(None),
        ("type", Proto::Message(named)) => Type::type_of(declared(named)?),
        ("type_param", _) => Type::Dyn,
        ("abstract_type", Proto::Message(opaque)) => {
            let name = opaque.text("name").unwrap_or_default();
            let of: Vec<Type> = opaque.messages("parameter_types").map(declared).collect::<Result<_>>()?;
            match (name.as_str(), <[Type; 1]>::try_from(of)) {
                ("optional_type", Ok([of])) => Type::optional(of),
                (_, Ok(of)) => Type::Opaque(name.leak(), Arc::new(of)),
                (_, Err(of)) => Type::Opaque(name.leak(), of.into()),
            }
        }
        ("message_type", Proto::Bytes(name)) => message_type(std::str::from_utf8(name)?)?,
        (other, _) => bail!("a type of kind {other}"),
    })
}

/// A message type: durations and timestamps, and of the one that tests use the fields that type checks need.
fn message_type(name: &str) -> Result<Type> {
    let nullable = |plain| Type::Nullable(Arc::new(plain));
    Ok(match name {
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "cel.expr.conformance.proto3.TestAllTypes.NestedMessage" => {
            Type::Object(ObjectType::new(name, [("bb", Type::Int)]))
        }
        "cel.expr.conformance.proto3.TestAllTypes" => {
            let nested = message_type("cel.expr.conformance.proto3.TestAllTypes.NestedMessage")?;
            let fields = [
                ("repeated_nested_message", Type::list(nested)),
                ("single_int64", Type::Int),
                ("single_int64_wrapper", nullable(Type::Int)),
                ("single_string_wrapper", nullable(Type::String)),
                ("single_duration", Type::Duration),
                ("single_timestamp", Type::Timestamp),
            ];
            Type::Object(ObjectType::new(name, fields))
        }
        other => bail!("a message {other}"),
    })
}

/// A declared function, which nothing but type checks can use.
///
/// # Errors
/// It is of a kind that only protocol buffers have.
pub(crate) fn function(name: &str, message: &Message) -> Result<Function> {
    let mut overloads = Vec::new();
    for overload in message.messages("overloads") {
        let parameters: Vec<String> = overload.all("type_params").filter_map(textproto::text_of).collect();
        let args: Vec<Ty> =
            overload.messages("params").map(|arg| ty(arg, &parameters)).collect::<Result<_>>()?;
        let result = ty(overload.message("result_type").context("a result")?, &parameters)?;
        let id = overload.text("overload_id").unwrap_or_default();
        let run = |_: &Invocation<'_>, _: &[Value<'_>]| Err(Failure::no_such_overload());
        overloads.push(if overload.is_true("is_instance_function") {
            Overload::method(id.leak(), args.leak(), result, run)
        } else {
            Overload::function(id.leak(), args.leak(), result, run)
        });
    }
    Ok(Function { name: name.to_owned().leak(), overloads: overloads.leak() })
}

/// A type in the declaration of a function with these type parameters.
fn ty(message: &Message, parameters: &[String]) -> Result<Ty> {
    let (name, value) = message.fields().next().context("an empty type")?;
    let part = |message: &Message, field: &str| {
        message.message(field).map_or(Ok(Ty::Dyn), |part| ty(part, parameters))
    };
    Ok(match (name, value) {
        ("dyn", _) => Ty::Dyn,
        ("type_param", Proto::Bytes(bytes)) => {
            let position = parameters.iter().position(|known| known.as_bytes() == bytes);
            *[Ty::A, Ty::B, Ty::C].get(position.context("a parameter")?).context("too many parameters")?
        }
        ("primitive", Proto::Word(word)) => match word.as_str() {
            "BOOL" => Ty::Bool,
            "INT64" => Ty::Int,
            "UINT64" => Ty::Uint,
            "DOUBLE" => Ty::Double,
            "STRING" => Ty::String,
            "BYTES" => Ty::Bytes,
            other => bail!("a primitive {other}"),
        },
        ("list_type", Proto::Message(list)) => Ty::List(Box::leak(Box::new(part(list, "elem_type")?))),
        ("abstract_type", Proto::Message(opaque)) => {
            let of: Vec<Ty> =
                opaque.messages("parameter_types").map(|of| ty(of, parameters)).collect::<Result<_>>()?;
            Ty::Opaque(opaque.text("name").unwrap_or_default().leak(), of.leak())
        }
        (other, _) => bail!("a type of kind {other}"),
    })
}

fn part(message: &Message, field: &str) -> Result<Type> {
    message.message(field).map_or(Ok(Type::Dyn), declared)
}

/// Whether a result is exactly what is expected, its type included; NaN is itself here.
pub(crate) fn same(found: &Value<'_>, expected: &Value<'_>) -> bool {
    match (found, expected) {
        (Value::Double(found), Value::Double(expected)) => {
            found == expected || (found.is_nan() && expected.is_nan())
        }
        (Value::Optional(Some(found)), expected) => same(found, expected),
        _ if found.type_name() != expected.type_name() => false,
        (Value::Null, Value::Null) => true,
        (Value::Bool(found), Value::Bool(expected)) => found == expected,
        (Value::Int(found), Value::Int(expected)) => found == expected,
        (Value::Uint(found), Value::Uint(expected)) => found == expected,
        (Value::Text(_), Value::Text(_)) => found.as_str() == expected.as_str(),
        (Value::Bytes(found), Value::Bytes(expected)) => found == expected,
        (Value::Duration(found), Value::Duration(expected)) => found == expected,
        (Value::Timestamp(found), Value::Timestamp(expected)) => found == expected,
        (Value::Type(found), Value::Type(expected)) => found == expected,
        (Value::Map(found), Value::Map(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected.iter()).all(|((found_key, found), (key, expected))| {
                    same(&found_key.to_value(), &key.to_value()) && same(found, expected)
                })
        }
        _ => match (found.elements(), expected.elements()) {
            (Some(found), Some(expected)) => {
                found.len() == expected.len()
                    && found.iter().zip(&expected).all(|(found, expected)| same(found, expected))
            }
            _ => false,
        },
    }
}
