//! The clauses of a format string, which are read when it is checked and again when it is evaluated.

use std::borrow::Cow;

use super::super::super::failure::Failure;
use super::super::super::meter::Meter;
use super::super::super::value::Value;
use super::{numbers, text};

/// How a clause writes its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    /// `%s`
    String,
    /// `%d`
    Decimal,
    /// `%f`, with the digits behind the point.
    Fixed(Option<u64>),
    /// `%e`, with what cel-go takes for the width.
    Scientific(Option<u64>),
    /// `%b`
    Binary,
    /// `%x`, and `%X` in capitals.
    Hexadecimal { upper: bool },
    /// `%o`
    Octal,
}

/// A piece of a format string.
pub(crate) enum Part<'f> {
    Text(&'f str),
    Clause { index: usize, clause: Clause },
}

/// Why a format string was given up.
#[derive(Debug)]
pub(crate) enum Broken<E> {
    /// It is not one.
    Pattern(String),
    /// What it was walked for failed.
    Visit(E),
}

impl<E> From<E> for Broken<E> {
    fn from(error: E) -> Self {
        Self::Visit(error)
    }
}

impl Broken<Box<Failure>> {
    pub(super) fn into_failure(self) -> Box<Failure> {
        match self {
            Self::Pattern(message) => Failure::new(message),
            Self::Visit(failure) => failure,
        }
    }
}

/// Visits the pieces of a format string for so many arguments, and tells how many of these it wants.
///
/// # Errors
/// At the first clause that is none or has no argument, after the pieces before it; or if `visit` fails.
pub(crate) fn walk<'f, E>(
    format: &'f str,
    arguments: usize,
    mut visit: impl FnMut(Part<'f>) -> Result<(), E>,
) -> Result<usize, Broken<E>> {
    let mut rest = format;
    let mut index = 0;
    while let Some((before, after)) = rest.split_once('%') {
        if !before.is_empty() {
            visit(Part::Text(before))?;
        }
        if let Some(after) = after.strip_prefix('%') {
            visit(Part::Text("%"))?;
            rest = after;
            continue;
        }
        if index >= arguments {
            return Err(Broken::Pattern(format!("index {index} out of range")));
        }
        if after.is_empty() {
            return Err(Broken::Pattern("unexpected end of string".to_owned()));
        }
        let (clause, after) = read(after)
            .map_err(|message| Broken::Pattern(format!("could not parse formatting clause: {message}")))?;
        visit(Part::Clause { index, clause })?;
        index += 1;
        rest = after;
    }
    if !rest.is_empty() {
        visit(Part::Text(rest))?;
    }
    Ok(index)
}

/// Reads a clause behind its percent sign; what follows it comes with it.
fn read(text: &str) -> Result<(Clause, &str), String> {
    let (precision, text) =
        precision(text).map_err(|error| format!("error while parsing precision: {error}"))?;
    let clause = match text.as_bytes().first() {
        Some(b's') => Clause::String,
        Some(b'd') => Clause::Decimal,
        Some(b'f') => Clause::Fixed(precision),
        Some(b'e') => Clause::Scientific(precision),
        Some(b'b') => Clause::Binary,
        Some(b'x') => Clause::Hexadecimal { upper: false },
        Some(b'X') => Clause::Hexadecimal { upper: true },
        Some(b'o') => Clause::Octal,
        // cel-go takes a byte for a character.
        Some(byte) => return Err(format!("unrecognized formatting clause \"{}\"", char::from(*byte))),
        None => return Err("unexpected end of string".to_owned()),
    };
    Ok((clause, text.get(1..).unwrap_or_default()))
}

fn precision(text: &str) -> Result<(Option<u64>, &str), String> {
    let Some(text) = text.strip_prefix('.') else { return Ok((None, text)) };
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if rest.is_empty() {
        return Err("could not find end of precision specifier".to_owned());
    }
    let refused = |reason: &str| {
        Err(format!(
            "error while converting precision to integer: strconv.Atoi: parsing \"{digits}\": {reason}"
        ))
    };
    if digits.is_empty() {
        return refused("invalid syntax");
    }
    match digits.parse::<i64>() {
        Ok(number) => Ok((Some(number.unsigned_abs()), rest)),
        Err(_) => refused("value out of range"),
    }
}

impl Clause {
    /// Writes an argument.
    ///
    /// # Errors
    /// The argument is of a type that the clause cannot write, or the meter runs out.
    pub(super) fn write<'v>(self, value: &'v Value<'_>, meter: &Meter) -> Result<Cow<'v, str>, Box<Failure>> {
        let written = match (self, value) {
            (Self::String, Value::Text(text)) => Some(text.as_str().into()),
            (Self::String, value) => return text::write(value, meter).map(Cow::Owned),
            (Self::Decimal, Value::Int(_) | Value::Uint(_)) => Some(value.to_string().into()),
            (Self::Fixed(digits), value) => double(value).map(|number| numbers::fixed(number, digits).into()),
            (Self::Scientific(width), value) => {
                double(value).map(|number| numbers::scientific(number, width).into())
            }
            (Self::Binary, Value::Bool(truth)) => Some(if *truth { "1" } else { "0" }.into()),
            (Self::Binary, value) => integer(value, |sign, number| format!("{sign}{number:b}")),
            (Self::Octal, value) => integer(value, |sign, number| format!("{sign}{number:o}")),
            (Self::Hexadecimal { upper }, Value::Text(text)) => {
                Some(hexadecimal(text.as_str().as_bytes(), upper, meter)?.into())
            }
            (Self::Hexadecimal { upper }, Value::Bytes(bytes)) => {
                Some(hexadecimal(bytes, upper, meter)?.into())
            }
            (Self::Hexadecimal { upper: true }, value) => {
                integer(value, |sign, number| format!("{sign}{number:X}"))
            }
            (Self::Hexadecimal { upper: false }, value) => {
                integer(value, |sign, number| format!("{sign}{number:x}"))
            }
            (Self::Decimal, _) => None,
        };
        written.ok_or_else(|| Failure::new(self.refusal(value.type_name())))
    }

    /// What is said of an argument of a type that the clause cannot write.
    pub(crate) fn refusal(self, given: &str) -> String {
        let only = match self {
            Self::String => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                 durations, and timestamps"
            }
            Self::Decimal => "decimal clause can only be used on integers",
            Self::Fixed(_) => "fixed-point clause can only be used on doubles",
            Self::Scientific(_) => "scientific clause can only be used on doubles",
            Self::Binary => "only integers and bools can be formatted as binary",
            Self::Hexadecimal { .. } => "only integers, byte buffers, and strings can be formatted as hex",
            Self::Octal => "octal clause can only be used on integers",
        };
        format!("error during formatting: {only}, was given {given}")
    }
}

/// A double, or one of the strings that stand for what JSON cannot say.
fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::Text(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// An integer by its sign and its magnitude.
fn integer<'v>(value: &Value<'_>, write: fn(&str, u64) -> String) -> Option<Cow<'v, str>> {
    match value {
        Value::Int(number) => Some(write(if *number < 0 { "-" } else { "" }, number.unsigned_abs()).into()),
        Value::Uint(number) => Some(write("", *number).into()),
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8], upper: bool, meter: &Meter) -> Result<String, Box<Failure>> {
    use std::fmt::Write as _;
    meter.allocate(bytes.len().saturating_mul(2))?;
    let mut written = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = if upper { write!(written, "{byte:02X}") } else { write!(written, "{byte:02x}") };
    }
    Ok(written)
}
