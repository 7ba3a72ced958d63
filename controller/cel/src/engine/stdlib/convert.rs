//! Conversions between types.

use std::sync::Arc;

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::format;
use super::super::number;
use super::super::registry::{Function, Invocation, Overload};
use super::super::time::{ParseError, Timestamp};
use super::super::types::Ty;
use super::super::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "type",
        overloads: &[Overload::function("type", &[Ty::A], Ty::TypeOf(&Ty::A), type_of)],
    },
    Function { name: "dyn", overloads: &[Overload::function("to_dyn", &[Ty::A], Ty::Dyn, identity)] },
    Function {
        name: "bool",
        overloads: &[
            Overload::function("bool_to_bool", &[Ty::Bool], Ty::Bool, to_bool),
            Overload::function("string_to_bool", &[Ty::String], Ty::Bool, to_bool),
        ],
    },
    Function {
        name: "bytes",
        overloads: &[
            Overload::function("bytes_to_bytes", &[Ty::Bytes], Ty::Bytes, to_bytes),
            Overload::function("string_to_bytes", &[Ty::String], Ty::Bytes, to_bytes).costs(Cost::FIRST),
        ],
    },
    Function {
        name: "double",
        overloads: &[
            Overload::function("double_to_double", &[Ty::Double], Ty::Double, to_double),
            Overload::function("int64_to_double", &[Ty::Int], Ty::Double, to_double),
            Overload::function("string_to_double", &[Ty::String], Ty::Double, to_double),
            Overload::function("uint64_to_double", &[Ty::Uint], Ty::Double, to_double),
        ],
    },
    Function {
        name: "duration",
        overloads: &[
            Overload::function("duration_to_duration", &[Ty::Duration], Ty::Duration, to_duration),
            Overload::function("string_to_duration", &[Ty::String], Ty::Duration, to_duration),
        ],
    },
    Function {
        name: "int",
        overloads: &[
            Overload::function("int64_to_int64", &[Ty::Int], Ty::Int, to_int),
            Overload::function("double_to_int64", &[Ty::Double], Ty::Int, to_int),
            Overload::function("duration_to_int64", &[Ty::Duration], Ty::Int, to_int),
            Overload::function("string_to_int64", &[Ty::String], Ty::Int, to_int),
            Overload::function("timestamp_to_int64", &[Ty::Timestamp], Ty::Int, to_int),
            Overload::function("uint64_to_int64", &[Ty::Uint], Ty::Int, to_int),
        ],
    },
    Function {
        name: "string",
        overloads: &[
            Overload::function("string_to_string", &[Ty::String], Ty::String, to_string),
            Overload::function("bool_to_string", &[Ty::Bool], Ty::String, to_string),
            Overload::function("bytes_to_string", &[Ty::Bytes], Ty::String, to_string).costs(Cost::FIRST),
            Overload::function("double_to_string", &[Ty::Double], Ty::String, to_string),
            Overload::function("duration_to_string", &[Ty::Duration], Ty::String, to_string),
            Overload::function("int64_to_string", &[Ty::Int], Ty::String, to_string),
            Overload::function("timestamp_to_string", &[Ty::Timestamp], Ty::String, to_string),
            Overload::function("uint64_to_string", &[Ty::Uint], Ty::String, to_string),
        ],
    },
    Function {
        name: "timestamp",
        overloads: &[
            Overload::function("timestamp_to_timestamp", &[Ty::Timestamp], Ty::Timestamp, to_timestamp),
            Overload::function("int64_to_timestamp", &[Ty::Int], Ty::Timestamp, to_timestamp),
            Overload::function("string_to_timestamp", &[Ty::String], Ty::Timestamp, to_timestamp),
        ],
    },
    Function {
        name: "uint",
        overloads: &[
            Overload::function("uint64_to_uint64", &[Ty::Uint], Ty::Uint, to_uint),
            Overload::function("double_to_uint64", &[Ty::Double], Ty::Uint, to_uint),
            Overload::function("int64_to_uint64", &[Ty::Int], Ty::Uint, to_uint),
            Overload::function("string_to_uint64", &[Ty::String], Ty::Uint, to_uint),
        ],
    },
];

/// Whether a function is a conversion of one value, which cel-go evaluates ahead if the value is constant.
pub(crate) fn is_conversion(name: &str) -> bool {
    FUNCTIONS.iter().any(|function| function.name == name)
}

fn unreadable(wanted: &str) -> Box<Failure> {
    Failure::new(format!("type conversion error from 'string' to '{wanted}'"))
}

fn type_of<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    args.first().map(|value| Value::Type(value.type_name())).ok_or_else(Failure::no_such_overload)
}

fn identity<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    args.first().cloned().ok_or_else(Failure::no_such_overload)
}

fn to_bool<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Bool(truth)] => Ok(Value::Bool(*truth)),
        [Value::Text(text)] => {
            format::parse_bool(text.as_str()).map(Value::Bool).ok_or_else(|| unreadable("bool"))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_bytes<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [value @ Value::Bytes(_)] => Ok(value.clone()),
        [Value::Text(text)] => {
            call.meter.allocate(text.as_str().len())?;
            Ok(Value::Bytes(Arc::from(text.as_str().as_bytes())))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_double<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(*number)),
        [Value::Int(number)] => Ok(Value::Double(*number as f64)),
        [Value::Uint(number)] => Ok(Value::Double(*number as f64)),
        [Value::Text(text)] => {
            format::parse_double(text.as_str()).map(Value::Double).ok_or_else(|| unreadable("double"))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_duration<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [Value::Duration(length)] => Ok(Value::Duration(*length)),
        [Value::Text(text)] => format::parse_duration(text.as_str())
            .map(Value::Duration)
            .ok_or_else(|| unreadable("google.protobuf.Duration")),
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_int<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let overflow = || Failure::new("integer overflow");
    match args {
        [Value::Int(number)] => Ok(Value::Int(*number)),
        [Value::Double(number)] => number::to_int(*number).map(Value::Int).ok_or_else(overflow),
        [Value::Duration(length)] => Ok(Value::Int(*length)),
        [Value::Timestamp(time)] => Ok(Value::Int(time.seconds())),
        [Value::Uint(number)] => i64::try_from(*number).map(Value::Int).map_err(|_| overflow()),
        [Value::Text(text)] => text.as_str().parse().map(Value::Int).map_err(|_| unreadable("int")),
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_uint<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let overflow = || Failure::new("unsigned integer overflow");
    match args {
        [Value::Uint(number)] => Ok(Value::Uint(*number)),
        [Value::Double(number)] => number::to_uint(*number).map(Value::Uint).ok_or_else(overflow),
        [Value::Int(number)] => u64::try_from(*number).map(Value::Uint).map_err(|_| overflow()),
        [Value::Text(text)] => {
            let text = text.as_str();
            let number = text.parse().ok().filter(|_| !text.starts_with('+'));
            number.map(Value::Uint).ok_or_else(|| unreadable("uint"))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_string<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    match args {
        [value @ Value::Text(_)] => Ok(value.clone()),
        [Value::Bytes(bytes)] => {
            call.meter.allocate(bytes.len())?;
            let text = std::str::from_utf8(bytes)
                .map_err(|_| Failure::new("invalid UTF-8 in bytes, cannot convert to string"))?;
            Ok(Value::text(text))
        }
        [
            value @ (Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::Duration(_)
            | Value::Timestamp(_)),
        ] => {
            let text = value.to_string();
            call.meter.allocate(text.len())?;
            Ok(Value::text(text))
        }
        _ => Err(Failure::no_such_overload()),
    }
}

fn to_timestamp<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let overflow = || Failure::new("timestamp overflow");
    match args {
        [Value::Timestamp(time)] => Ok(Value::Timestamp(*time)),
        [Value::Int(seconds)] => Timestamp::new(*seconds, 0).map(Value::Timestamp).ok_or_else(overflow),
        [Value::Text(text)] => {
            Timestamp::parse(text.as_str()).map(Value::Timestamp).map_err(|error| match error {
                ParseError::Range => overflow(),
                ParseError::Syntax => unreadable("google.protobuf.Timestamp"),
            })
        }
        _ => Err(Failure::no_such_overload()),
    }
}
