//! `find` and `findAll`, after apiserver's `pkg/cel/library/regex.go`.

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;
use super::Library;

const TEXTS: Ty = Ty::List(&Ty::String);

pub(super) static LIBRARY: Library = Library::of(&[
    Function {
        name: "find",
        overloads: &[Overload::method("string_find_string", &[Ty::String, Ty::String], Ty::String, find)
            .named_cost(Cost::MATCH)
            .regex(1)],
    },
    Function {
        name: "findAll",
        overloads: &[
            Overload::method("string_find_all_string", &[Ty::String, Ty::String], TEXTS, find_all)
                .named_cost(Cost::MATCH)
                .regex(1),
            Overload::method(
                "string_find_all_string_int",
                &[Ty::String, Ty::String, Ty::Int],
                TEXTS,
                find_all,
            )
            .named_cost(Cost::MATCH)
            .regex(1),
        ],
    },
]);

const ILLEGAL: &str = "Illegal regex: ";

fn find<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [Value::Text(text), Value::Text(written)] = args else { return Err(Failure::no_such_overload()) };
    let found =
        call.pattern(written.as_str(), ILLEGAL)?.find(text.as_str()).map_or("", |found| found.as_str());
    call.meter.allocate(found.len())?;
    Ok(Value::text(found))
}

fn find_all<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, written, limit) = match args {
        [Value::Text(text), Value::Text(written)] => (text, written, -1),
        [Value::Text(text), Value::Text(written), Value::Int(limit)] => (text, written, *limit),
        _ => return Err(Failure::no_such_overload()),
    };
    let regex = call.pattern(written.as_str(), ILLEGAL)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    for found in regex.find_iter(text.as_str()).take(limit) {
        call.meter.allocate_list(1)?;
        call.meter.allocate(found.len())?;
        all.push(Value::text(found.as_str()));
    }
    Ok(Value::list(all))
}
