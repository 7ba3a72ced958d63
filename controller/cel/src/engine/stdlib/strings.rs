//! The standard library's functions on strings.

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "contains",
        overloads: &[Overload::method("contains_string", &[Ty::String, Ty::String], Ty::Bool, contains)
            .costs(Cost::SEARCH)],
    },
    Function {
        name: "startsWith",
        overloads: &[Overload::method(
            "starts_with_string",
            &[Ty::String, Ty::String],
            Ty::Bool,
            starts_with,
        )
        .costs(Cost::SECOND)],
    },
    Function {
        name: "endsWith",
        overloads: &[Overload::method("ends_with_string", &[Ty::String, Ty::String], Ty::Bool, ends_with)
            .costs(Cost::SECOND)],
    },
    Function {
        name: "matches",
        overloads: &[
            Overload::function("matches", &[Ty::String, Ty::String], Ty::Bool, matches)
                .costs(Cost::MATCH)
                .regex(1),
            Overload::method("matches_string", &[Ty::String, Ty::String], Ty::Bool, matches)
                .costs(Cost::MATCH)
                .regex(1),
        ],
    },
];

fn texts<'v>(args: &'v [Value<'_>]) -> Result<(&'v str, &'v str), Box<Failure>> {
    match args {
        [Value::Text(one), Value::Text(other)] => Ok((one.as_str(), other.as_str())),
        _ => Err(Failure::no_such_overload()),
    }
}

fn contains<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    texts(args).map(|(text, part)| Value::Bool(text.contains(part)))
}

fn starts_with<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    texts(args).map(|(text, prefix)| Value::Bool(text.starts_with(prefix)))
}

fn ends_with<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    texts(args).map(|(text, suffix)| Value::Bool(text.ends_with(suffix)))
}

fn matches<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, written) = texts(args)?;
    Ok(Value::Bool(call.pattern(written, "")?.is_match(text)))
}
