//! Expressions by CEL's grammar, over JSON with the same few names, so that selections find something.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{Map, Value as Json, json};

/// An expression, and the object it is evaluated over.
#[derive(Debug)]
pub struct Case {
    /// The expression.
    pub source: String,
    /// What `object` is.
    pub object: Json,
}

/// The deepest nesting of generated expressions.
const DEPTH: u32 = 7;
const NAMES: [&str; 6] = ["a", "b", "items", "name", "text", "n"];
const TEXTS: [&str; 12] = [
    "''",
    "'a'",
    "'name'",
    "'ab,c'",
    "'10'",
    "'1.5'",
    "'1h'",
    "'ü😀'",
    "'^a+$'",
    "'2024-02-29T00:00:00Z'",
    "','",
    "'%s'",
];
const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "-1",
    "2",
    "7u",
    "0u",
    "1.5",
    "-0.0",
    "1e300",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615u",
];
const BINARY: [&str; 14] =
    [" + ", " - ", " * ", " / ", " % ", " == ", " != ", " < ", " <= ", " > ", " >= ", " && ", " || ", " in "];
const GLOBAL: [&str; 13] = [
    "size",
    "string",
    "int",
    "uint",
    "double",
    "bytes",
    "dyn",
    "type",
    "bool",
    "duration",
    "timestamp",
    "optional.of",
    "optional.ofNonZeroValue",
];
const METHODS: [(&str, usize); 30] = [
    ("size", 0),
    ("startsWith", 1),
    ("endsWith", 1),
    ("contains", 1),
    ("matches", 1),
    ("getFullYear", 0),
    ("getSeconds", 0),
    ("getHours", 1),
    ("charAt", 1),
    ("indexOf", 1),
    ("lastIndexOf", 2),
    ("lowerAscii", 0),
    ("upperAscii", 0),
    ("trim", 0),
    ("replace", 2),
    ("split", 1),
    ("substring", 2),
    ("join", 1),
    ("join", 0),
    ("hasValue", 0),
    ("value", 0),
    ("orValue", 1),
    ("or", 1),
    ("find", 1),
    ("findAll", 1),
    ("format", 1),
    ("isSorted", 0),
    ("sum", 0),
    ("max", 0),
    ("flatten", 0),
];
const MACROS: [(&str, usize); 9] = [
    ("all", 1),
    ("exists", 1),
    ("exists_one", 1),
    ("map", 1),
    ("map", 2),
    ("filter", 1),
    ("optMap", 1),
    ("optFlatMap", 1),
    ("sortBy", 1),
];
const MACROS_OF_TWO: [(&str, usize); 7] = [
    ("all", 1),
    ("exists", 1),
    ("existsOne", 1),
    ("transformList", 1),
    ("transformList", 2),
    ("transformMap", 1),
    ("transformMapEntry", 1),
];

/// A case from the fuzzer's bytes: after an even byte they choose rules of the grammar, after an odd one they are
/// the text of an expression, a zero, and JSON.
pub fn case(data: &[u8]) -> Option<Case> {
    let (first, rest) = data.split_first()?;
    if first % 2 == 1 {
        let text = std::str::from_utf8(rest).ok()?;
        let (source, object) = text.split_once('\0').unwrap_or((text, "{}"));
        return Some(Case { source: source.to_owned(), object: serde_json::from_str(object).ok()? });
    }
    let mut bytes = Unstructured::new(rest);
    let object = json(&mut bytes, 3).ok()?;
    let mut variables = vec!["object".to_owned()];
    let source = expression(&mut bytes, DEPTH, &mut variables).ok()?;
    Some(Case {
        source,
        object: json!({"a": object.clone(), "items": [1, "b", object], "name": "ab", "n": 3}),
    })
}

fn json(bytes: &mut Unstructured<'_>, depth: u32) -> Result<Json> {
    let kinds = if depth == 0 { 6 } else { 8 };
    Ok(match bytes.int_in_range(0..=kinds)? {
        0 => Json::Null,
        1 => bytes.arbitrary::<bool>()?.into(),
        2 => bytes.arbitrary::<i64>()?.into(),
        3 => bytes.arbitrary::<f64>()?.into(),
        4 => u64::MAX.into(),
        5 => bytes.arbitrary::<&str>()?.into(),
        6 => (*bytes.choose(&NAMES)?).into(),
        7 => (0..bytes.int_in_range(0..=4)?)
            .map(|_| json(bytes, depth - 1))
            .collect::<Result<Vec<_>>>()?
            .into(),
        _ => {
            let mut fields = Map::new();
            for _ in 0..bytes.int_in_range(0..=4)? {
                fields.insert((*bytes.choose(&NAMES)?).to_owned(), json(bytes, depth - 1)?);
            }
            fields.into()
        }
    })
}

/// One expression; where the bytes end, it is a short one.
fn expression(bytes: &mut Unstructured<'_>, depth: u32, variables: &mut Vec<String>) -> Result<String> {
    let rules = if depth == 0 || bytes.is_empty() { 3 } else { 15 };
    let one = |bytes: &mut Unstructured<'_>, variables: &mut Vec<String>| {
        expression(bytes, depth.saturating_sub(1), variables)
    };
    Ok(match bytes.int_in_range(0..=rules)? {
        0 => (*bytes.choose(&TEXTS)?).to_owned(),
        1 => (*bytes.choose(&NUMBERS)?).to_owned(),
        2 => (*bytes.choose(&["true", "false", "null", "[]", "{}", "b'ab'", "optional.none()"])?).to_owned(),
        3 => bytes.choose(variables)?.clone(),
        4 | 5 => {
            let mark = if bytes.ratio(1, 4)? { "?" } else { "" };
            format!("{}.{mark}{}", one(bytes, variables)?, bytes.choose(&NAMES)?)
        }
        6 => format!("{}[{}]", one(bytes, variables)?, one(bytes, variables)?),
        7 => {
            let left = one(bytes, variables)?;
            format!("({left}{}{})", bytes.choose(&BINARY)?, one(bytes, variables)?)
        }
        8 => format!("{}({})", bytes.choose(&["!", "-"])?, one(bytes, variables)?),
        9 => {
            let condition = one(bytes, variables)?;
            format!("({condition} ? {} : {})", one(bytes, variables)?, one(bytes, variables)?)
        }
        10 => format!("{}({})", bytes.choose(&GLOBAL)?, one(bytes, variables)?),
        11 => {
            let (name, args) = bytes.choose(&METHODS)?;
            let target = one(bytes, variables)?;
            let args = (0..*args).map(|_| one(bytes, variables)).collect::<Result<Vec<_>>>()?;
            format!("{target}.{name}({})", args.join(", "))
        }
        12 => {
            let items =
                (0..bytes.int_in_range(0..=4)?).map(|_| one(bytes, variables)).collect::<Result<Vec<_>>>()?;
            format!("[{}]", items.join(", "))
        }
        13 => {
            let mut entries = Vec::new();
            for _ in 0..bytes.int_in_range(0..=3)? {
                entries.push(format!("{}: {}", one(bytes, variables)?, one(bytes, variables)?));
            }
            format!("{{{}}}", entries.join(", "))
        }
        14 => {
            let two = bytes.ratio(1, 3)?;
            let (name, args) = bytes.choose(if two { &MACROS_OF_TWO[..] } else { &MACROS[..] })?;
            let target = one(bytes, variables)?;
            let known = variables.len();
            let names =
                if two { vec![format!("v{known}"), format!("w{known}")] } else { vec![format!("v{known}")] };
            variables.extend(names.iter().cloned());
            let bodies = (0..*args).map(|_| one(bytes, variables)).collect::<Result<Vec<_>>>();
            variables.truncate(known);
            format!("{target}.{name}({}, {})", names.join(", "), bodies?.join(", "))
        }
        _ => format!("has({}.{})", one(bytes, variables)?, bytes.choose(&NAMES)?),
    })
}
