//! The functions that exist, by name and number of arguments: the evaluator only finds out when it calls.

use cel::common::ast::operators;

use crate::error::shown;

/// A function, method or macro, with the fewest and most arguments it takes.
struct Signature {
    name: &'static str,
    fewest: usize,
    most: usize,
}

const fn takes(name: &'static str, fewest: usize, most: usize) -> Signature {
    Signature { name, fewest, most }
}

const GLOBAL: &[Signature] = &[
    takes("bool", 1, 1),
    takes("bytes", 1, 1),
    takes("double", 1, 1),
    takes("duration", 1, 1),
    takes("dyn", 1, 1),
    takes("has", 1, 1),
    takes("int", 1, 1),
    takes("lists.range", 1, 1),
    takes("matches", 2, 2),
    takes("optional.none", 0, 0),
    takes("optional.of", 1, 1),
    takes("optional.ofNonZeroValue", 1, 1),
    takes("size", 1, 1),
    takes("string", 1, 1),
    takes("strings.quote", 1, 1),
    takes("timestamp", 1, 1),
    takes("type", 1, 1),
    takes("uint", 1, 1),
];

const IMAGE_GLOBAL: &[Signature] = &[takes("image", 1, 1), takes("isImage", 1, 1)];

const METHODS: &[Signature] = &[
    takes("all", 2, 2),
    takes("charAt", 1, 1),
    takes("contains", 1, 1),
    takes("distinct", 0, 0),
    takes("endsWith", 1, 1),
    takes("exists", 2, 2),
    takes("existsOne", 2, 2),
    takes("exists_one", 2, 2),
    takes("filter", 2, 2),
    takes("flatten", 0, 1),
    takes("format", 1, 1),
    takes("getDate", 0, 1),
    takes("getDayOfMonth", 0, 1),
    takes("getDayOfWeek", 0, 1),
    takes("getDayOfYear", 0, 1),
    takes("getFullYear", 0, 1),
    takes("getHours", 0, 1),
    takes("getMilliseconds", 0, 1),
    takes("getMinutes", 0, 1),
    takes("getMonth", 0, 1),
    takes("getSeconds", 0, 1),
    takes("hasValue", 0, 0),
    takes("indexOf", 1, 2),
    takes("join", 0, 1),
    takes("lastIndexOf", 1, 2),
    takes("lowerAscii", 0, 0),
    takes("map", 2, 3),
    takes("matches", 1, 1),
    takes("optFlatMap", 2, 2),
    takes("optMap", 2, 2),
    takes("or", 1, 1),
    takes("orValue", 1, 1),
    takes("replace", 2, 3),
    takes("reverse", 0, 0),
    takes("size", 0, 0),
    takes("slice", 2, 2),
    takes("sort", 0, 0),
    takes("sortBy", 2, 2),
    takes("split", 1, 2),
    takes("startsWith", 1, 1),
    takes("substring", 1, 2),
    takes("trim", 0, 0),
    takes("upperAscii", 0, 0),
    takes("value", 0, 0),
];

const IMAGE_METHODS: &[Signature] = &[
    takes("digest", 0, 0),
    takes("host", 0, 0),
    takes("isQualified", 0, 0),
    takes("isUnder", 1, 1),
    takes("repository", 0, 0),
    takes("tag", 0, 0),
];

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Global,
    Method,
}

/// What is wrong with a call.
pub(crate) struct BadCall {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Whether there is a function of that name.
pub(crate) fn exists(name: &str, style: Style, images: bool) -> bool {
    signatures(style, images).any(|signature| signature.name == name)
}

/// Checks that a function exists and takes so many arguments.
pub(crate) fn check(name: &str, style: Style, count: usize, images: bool) -> Result<(), BadCall> {
    if is_operator(name) {
        return Ok(());
    }
    let Some(signature) = signatures(style, images).find(|signature| signature.name == name) else {
        return Err(unknown(name, style, images));
    };
    if (signature.fewest..=signature.most).contains(&count) {
        return Ok(());
    }
    let wanted = match (signature.fewest, signature.most) {
        (0, 0) => "no arguments".to_owned(),
        (1, 1) => "1 argument".to_owned(),
        (fewest, most) if fewest == most => format!("{fewest} arguments"),
        (fewest, most) => format!("{fewest} to {most} arguments"),
    };
    Err(BadCall { message: format!("`{name}` takes {wanted}, not {count}"), hint: None })
}

fn unknown(name: &str, style: Style, images: bool) -> BadCall {
    let other = match style {
        Style::Global => Style::Method,
        Style::Method => Style::Global,
    };
    let hint = if exists(name, other, images) {
        Some(match style {
            Style::Global => format!("it is a method: `x.{name}(…)`"),
            Style::Method => format!("it is a function: `{name}(x)`"),
        })
    } else {
        nearest(name, signatures(style, images).map(|signature| signature.name))
    };
    let noun = if style == Style::Global { "function" } else { "method" };
    BadCall { message: format!("unknown {noun} `{}`", shown(name)), hint }
}

/// A hint naming the candidate closest to a misspelt name, if one is close.
pub(crate) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<String> {
    const CLOSE: f64 = 0.8;
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= CLOSE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

fn signatures(style: Style, images: bool) -> impl Iterator<Item = &'static Signature> {
    let (always, with_images) = match style {
        Style::Global => (GLOBAL, IMAGE_GLOBAL),
        Style::Method => (METHODS, IMAGE_METHODS),
    };
    always.iter().chain(with_images.iter().filter(move |_| images))
}

/// Whether the parser made this name, from an operator or in a macro.
fn is_operator(name: &str) -> bool {
    name.starts_with('@') || OPERATORS.contains(&name)
}

const OPERATORS: [&str; 19] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
];
