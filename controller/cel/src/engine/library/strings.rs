//! cel-go's extension of strings, versions 0 and 2, at the costs of apiserver's `pkg/cel/library/cost.go`.

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::Value;
use super::Library;
use super::formatting::FORMAT;

const TEXTS: Ty = Ty::List(&Ty::String);
/// The target read once and a result of its size built.
const REBUILT: Cost = Cost::rule(|args, _| args.first().map_or(1, |text| cost::traversals(text, 2)));
/// The result read and built.
const RESULT: Cost = Cost::rule(|_, result| result.as_ref().map_or(1, |text| cost::traversals(text, 2)));

/// What every version of Kubernetes has.
pub(super) static VERSION_0: Library = Library::of(&[
    Function {
        name: "charAt",
        overloads: &[Overload::method("string_char_at_int", &[Ty::String, Ty::Int], Ty::String, char_at)],
    },
    Function {
        name: "indexOf",
        overloads: &[
            Overload::method("string_index_of_string", &[Ty::String, Ty::String], Ty::Int, index_of)
                .named_cost(Cost::VALUES),
            Overload::method(
                "string_index_of_string_int",
                &[Ty::String, Ty::String, Ty::Int],
                Ty::Int,
                index_of,
            )
            .named_cost(Cost::VALUES),
        ],
    },
    Function {
        name: "lastIndexOf",
        overloads: &[
            Overload::method(
                "string_last_index_of_string",
                &[Ty::String, Ty::String],
                Ty::Int,
                last_index_of,
            )
            .named_cost(Cost::VALUES),
            Overload::method(
                "string_last_index_of_string_int",
                &[Ty::String, Ty::String, Ty::Int],
                Ty::Int,
                last_index_of,
            )
            .named_cost(Cost::VALUES),
        ],
    },
    Function {
        name: "lowerAscii",
        overloads: &[Overload::method("string_lower_ascii", &[Ty::String], Ty::String, |call, args| {
            mapped(call, args, str::to_ascii_lowercase)
        })
        .named_cost(Cost::FIRST)],
    },
    Function {
        name: "upperAscii",
        overloads: &[Overload::method("string_upper_ascii", &[Ty::String], Ty::String, |call, args| {
            mapped(call, args, str::to_ascii_uppercase)
        })
        .named_cost(Cost::FIRST)],
    },
    Function {
        name: "trim",
        overloads: &[Overload::method("string_trim", &[Ty::String], Ty::String, |call, args| {
            mapped(call, args, |text| text.trim().to_owned())
        })
        .named_cost(Cost::FIRST)],
    },
    Function {
        name: "replace",
        overloads: &[
            Overload::method(
                "string_replace_string_string",
                &[Ty::String, Ty::String, Ty::String],
                Ty::String,
                replace,
            )
            .named_cost(REBUILT),
            Overload::method(
                "string_replace_string_string_int",
                &[Ty::String, Ty::String, Ty::String, Ty::Int],
                Ty::String,
                replace,
            )
            .named_cost(REBUILT),
        ],
    },
    Function {
        name: "split",
        overloads: &[
            Overload::method("string_split_string", &[Ty::String, Ty::String], TEXTS, split)
                .named_cost(REBUILT),
            Overload::method("string_split_string_int", &[Ty::String, Ty::String, Ty::Int], TEXTS, split)
                .named_cost(REBUILT),
        ],
    },
    Function {
        name: "substring",
        overloads: &[
            Overload::method("string_substring_int", &[Ty::String, Ty::Int], Ty::String, substring)
                .named_cost(Cost::FIRST),
            Overload::method(
                "string_substring_int_int",
                &[Ty::String, Ty::Int, Ty::Int],
                Ty::String,
                substring,
            )
            .named_cost(Cost::FIRST),
        ],
    },
    Function {
        name: "join",
        overloads: &[
            Overload::method("list_join", &[TEXTS], Ty::String, join).named_cost(RESULT),
            Overload::method("list_join_string", &[TEXTS, Ty::String], Ty::String, join).named_cost(RESULT),
        ],
    },
]);

/// What version 2 adds.
pub(super) static VERSION_2: Library = Library::of(&[
    FORMAT,
    Function {
        name: "strings.quote",
        overloads: &[Overload::function("strings_quote", &[Ty::String], Ty::String, |call, args| {
            mapped(call, args, quote)
        })
        .costs(Cost::FIRST)],
    },
]);

fn target<'v>(args: &'v [Value<'_>]) -> Result<&'v str, Box<Failure>> {
    args.first().and_then(Value::as_str).ok_or_else(Failure::no_such_overload)
}

fn out_of_range(index: i64) -> Box<Failure> {
    Failure::new(format!("index out of range: {index}"))
}

/// The byte at which a code point begins; the end for the number of code points.
fn byte_of(text: &str, index: i64) -> Result<usize, Box<Failure>> {
    let wanted = usize::try_from(index).map_err(|_| out_of_range(index))?;
    if text.is_ascii() {
        return if wanted <= text.len() { Ok(wanted) } else { Err(out_of_range(index)) };
    }
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    places.nth(wanted).ok_or_else(|| out_of_range(index))
}

fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn char_at<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let [Value::Text(text), Value::Int(index)] = args else { return Err(Failure::no_such_overload()) };
    call.meter.read(text.as_str())?;
    let at = byte_of(text.as_str(), *index)?;
    let character: String = text.as_str().get(at..).unwrap_or_default().chars().take(1).collect();
    call.meter.allocate(character.len())?;
    Ok(Value::text(character))
}

fn index_of<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, part, offset) = match args {
        [Value::Text(text), Value::Text(part)] => (text.as_str(), part.as_str(), 0),
        [Value::Text(text), Value::Text(part), Value::Int(offset)] => (text.as_str(), part.as_str(), *offset),
        _ => return Err(Failure::no_such_overload()),
    };
    if offset < 0 {
        return Err(out_of_range(offset));
    }
    if part.is_empty() {
        return Ok(Value::Int(offset.min(count(text))));
    }
    let Ok(from) = byte_of(text, offset) else { return Ok(Value::Int(-1)) };
    let after = text.get(from..).unwrap_or_default();
    let found = after.find(part).map(|at| offset + count(after.get(..at).unwrap_or_default()));
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn last_index_of<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, part, offset) = match args {
        [Value::Text(text), Value::Text(part)] => (text.as_str(), part.as_str(), None),
        [Value::Text(text), Value::Text(part), Value::Int(offset)] => {
            (text.as_str(), part.as_str(), Some(*offset))
        }
        _ => return Err(Failure::no_such_overload()),
    };
    let length = count(text);
    if let Some(offset) = offset.filter(|offset| *offset < 0) {
        return Err(out_of_range(offset));
    }
    if part.is_empty() {
        return Ok(Value::Int(offset.map_or(length, |offset| offset.min(length))));
    }
    if offset.is_some_and(|offset| offset >= length) {
        return Ok(Value::Int(-1));
    }
    // The last occurrence that begins no later than the offset ends no later than this.
    let end = offset.map_or(length, |offset| offset.saturating_add(count(part)).min(length));
    let before = text.get(..byte_of(text, end)?).unwrap_or_default();
    let found = before.rfind(part).map(|at| count(before.get(..at).unwrap_or_default()));
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn mapped<'a>(
    call: &Invocation<'_>,
    args: &[Value<'a>],
    map: fn(&str) -> String,
) -> Result<Value<'a>, Box<Failure>> {
    let text = target(args)?;
    call.meter.allocate(text.len())?;
    Ok(Value::text(map(text)))
}

fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0C' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0B' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn replace<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, from, to, limit) = match args {
        [Value::Text(text), Value::Text(from), Value::Text(to)] => (text, from, to, -1),
        [Value::Text(text), Value::Text(from), Value::Text(to), Value::Int(limit)] => {
            (text, from, to, *limit)
        }
        _ => return Err(Failure::no_such_overload()),
    };
    let (text, from, to) = (text.as_str(), from.as_str(), to.as_str());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let times = text.matches(from).count().min(limit);
    call.meter.allocate(text.len().saturating_add(times.saturating_mul(to.len())))?;
    Ok(Value::text(text.replacen(from, to, limit)))
}

fn split<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, separator, limit) = match args {
        [Value::Text(text), Value::Text(separator)] => (text.as_str(), separator.as_str(), -1),
        [Value::Text(text), Value::Text(separator), Value::Int(limit)] => {
            (text.as_str(), separator.as_str(), *limit)
        }
        _ => return Err(Failure::no_such_overload()),
    };
    call.meter.allocate(text.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts: Vec<Value<'a>> = Vec::new();
    let mut rest = text;
    while parts.len() + 1 < limit {
        // Nothing between two separators is a part; with an empty separator each character is one.
        let end = if separator.is_empty() {
            rest.chars().next().map(char::len_utf8).filter(|end| *end < rest.len())
        } else {
            rest.find(separator)
        };
        let Some((part, after)) = end.and_then(|end| rest.split_at_checked(end)) else { break };
        call.meter.allocate_list(1)?;
        parts.push(Value::text(part));
        rest = after.get(separator.len()..).unwrap_or_default();
    }
    if limit > 0 && !(separator.is_empty() && rest.is_empty()) {
        parts.push(Value::text(rest));
    }
    Ok(Value::list(parts))
}

fn substring<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (text, start, end) = match args {
        [Value::Text(text), Value::Int(start)] => (text.as_str(), *start, None),
        [Value::Text(text), Value::Int(start), Value::Int(end)] => (text.as_str(), *start, Some(*end)),
        _ => return Err(Failure::no_such_overload()),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(Failure::new(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let from = byte_of(text, start)?;
    let to = end.map_or(Ok(text.len()), |end| byte_of(text, end))?;
    let part = text.get(from..to).unwrap_or_default();
    call.meter.allocate(part.len())?;
    Ok(Value::text(part))
}

fn join<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let separator = match args {
        [_] => "",
        [_, Value::Text(separator)] => separator.as_str(),
        _ => return Err(Failure::no_such_overload()),
    };
    let elements = args.first().and_then(Value::elements).ok_or_else(Failure::no_such_overload)?;
    // cel-go's dispatch looks at the first element.
    if elements.first().is_some_and(|first| first.as_str().is_none()) {
        return Err(Failure::no_such_overload());
    }
    let mut joined = String::new();
    for (index, element) in elements.iter().enumerate() {
        let text = element.as_str().ok_or_else(|| Failure::new(format!("join: invalid input: {element}")))?;
        call.meter.allocate(text.len() + separator.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::text(joined))
}
