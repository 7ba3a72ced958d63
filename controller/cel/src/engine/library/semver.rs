//! `semver()` and the methods of versions, after apiserver's `pkg/cel/library/semverlib.go` and the Go module
//! `github.com/blang/semver/v4`. Numbers are checked and messages worded as there, which the crate of the same
//! name does otherwise.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::format::quote;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Value};
use super::Library;
use super::args::{own, same};

/// The name of the type.
const SEMVER: &str = "kubernetes.Semver";

const TYPE: Ty = Ty::Opaque(SEMVER, &[]);

pub(super) static LIBRARY: Library = Library::of(FUNCTIONS);

static FUNCTIONS: &[Function] = &[
    Function {
        name: "semver",
        overloads: &[
            Overload::function("string_to_semver", &[Ty::String], TYPE, semver).named_cost(Cost::FIRST),
            Overload::function("string_bool_to_semver", &[Ty::String, Ty::Bool], TYPE, semver)
                .named_cost(Cost::FIRST),
        ],
    },
    Function {
        name: "isSemver",
        overloads: &[
            Overload::function("is_semver_string", &[Ty::String], Ty::Bool, is_semver)
                .named_cost(Cost::FIRST),
            Overload::function("is_semver_string_bool", &[Ty::String, Ty::Bool], Ty::Bool, is_semver)
                .named_cost(Cost::FIRST),
        ],
    },
    Function {
        name: "major",
        overloads: &[Overload::method("semver_major", &[TYPE], Ty::Int, |_, args| number(args, 0))],
    },
    Function {
        name: "minor",
        overloads: &[Overload::method("semver_minor", &[TYPE], Ty::Int, |_, args| number(args, 1))],
    },
    Function {
        name: "patch",
        overloads: &[Overload::method("semver_patch", &[TYPE], Ty::Int, |_, args| number(args, 2))],
    },
    Function {
        name: "isGreaterThan",
        overloads: &[Overload::method("semver_is_greater_than", &[TYPE, TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(compare(args)?.is_gt()))
        })],
    },
    Function {
        name: "isLessThan",
        overloads: &[Overload::method("semver_is_less_than", &[TYPE, TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(compare(args)?.is_lt()))
        })],
    },
    Function {
        name: "compareTo",
        overloads: &[Overload::method("semver_compare_to", &[TYPE, TYPE], Ty::Int, |_, args| {
            Ok(Value::Int(compare(args)? as i64))
        })],
    },
];

/// A version of semantic versioning 2.0.
#[derive(Debug)]
struct Semver {
    numbers: [u64; 3],
    prerelease: Vec<Identifier>,
    build: Vec<Box<str>>,
}

/// A part of a pre-release: numbers come before words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(Box<str>),
}

impl Semver {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (major, minor) = (numeric("major", "Major", major)?, numeric("minor", "Minor", minor)?);
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, prerelease) =
            rest.split_once('-').map_or((rest, None), |(patch, prerelease)| (patch, Some(prerelease)));
        let patch = numeric("patch", "Patch", patch)?;
        let prerelease = prerelease.into_iter().flat_map(|prerelease| prerelease.split('.'));
        let prerelease = prerelease.map(Identifier::parse).collect::<Result<_, _>>()?;
        let build = build.into_iter().flat_map(|build| build.split('.'));
        let build = build
            .map(|part| {
                if part.is_empty() {
                    return Err("Build meta data is empty".to_owned());
                }
                if !part.chars().all(is_word) {
                    return Err(format!("Invalid character(s) found in build meta data {}", quote(part)));
                }
                Ok(part.into())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { numbers: [major, minor, patch], prerelease, build })
    }

    /// Reads a version that may begin with `v`, lack its minor and patch numbers, and have leading zeros.
    fn parse_normalized(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text.splitn(3, '.').map(without_leading_zeros).collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::parse(&parts.join("."))
    }

    /// The order of precedence, to which build metadata do not count.
    fn precedence(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            let released = self.prerelease.is_empty().cmp(&other.prerelease.is_empty());
            released.then_with(|| self.prerelease.cmp(&other.prerelease))
        })
    }
}

impl Identifier {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Prerelease is empty".to_owned());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            if has_leading_zero(text) {
                let written = quote(text);
                return Err(format!("Numeric PreRelease version must not contain leading zeroes {written}"));
            }
            return parse_uint(text).map(Self::Number);
        }
        if !text.chars().all(is_word) {
            return Err(format!("Invalid character(s) found in prerelease {}", quote(text)));
        }
        Ok(Self::Word(text.into()))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

impl fmt::Display for Semver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (index, part) in self.prerelease.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { '-' } else { '.' })?;
        }
        for (index, part) in self.build.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { '+' } else { '.' })?;
        }
        Ok(())
    }
}

impl Opaque for Semver {
    fn type_name(&self) -> &'static str {
        SEMVER
    }

    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        same::<Self>(other).map(|other| self.precedence(other).is_eq())
    }

    fn equality_is_nominal(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-'
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

fn numeric(name: &str, capitalised: &str, text: &str) -> Result<u64, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {name} number {}", quote(text)));
    }
    if has_leading_zero(text) {
        return Err(format!("{capitalised} number must not contain leading zeroes {}", quote(text)));
    }
    parse_uint(text)
}

/// Digits as Go's `strconv.ParseUint` reads them, with its messages.
fn parse_uint(digits: &str) -> Result<u64, String> {
    let problem = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
    digits.parse().map_err(|_| format!("strconv.ParseUint: parsing {}: {problem}", quote(digits)))
}

fn without_leading_zeros(part: &str) -> String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|first: char| first.is_ascii_digit()) { rest.to_owned() } else { format!("0{rest}") }
}

/// Reads the first argument, normalised if the second one says so.
fn parse(call: &Invocation<'_>, args: &[Value<'_>]) -> Result<Result<Semver, String>, Box<Failure>> {
    let (text, normalize) = match args {
        [Value::Text(text)] => (text.as_str(), false),
        [Value::Text(text), Value::Bool(normalize)] => (text.as_str(), *normalize),
        _ => return Err(Failure::no_such_overload()),
    };
    // A part of one character and its dot takes the space of an identifier.
    let parts = text.len().div_ceil(2);
    call.meter.allocate(size_of::<Semver>() + parts.saturating_mul(size_of::<Identifier>()))?;
    Ok(if normalize { Semver::parse_normalized(text) } else { Semver::parse(text) })
}

fn semver<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    Ok(Value::Opaque(Arc::new(parse(call, args)?.map_err(Failure::new)?)))
}

fn is_semver<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    Ok(Value::Bool(parse(call, args)?.is_ok()))
}

/// One of the numbers. One that does not fit an `int` turns negative, as it does in Go.
fn number<'a>(args: &[Value<'a>], index: usize) -> Result<Value<'a>, Box<Failure>> {
    let version = own::<Semver>(args, 0)?;
    Ok(Value::Int(version.numbers.get(index).copied().unwrap_or_default().cast_signed()))
}

fn compare(args: &[Value<'_>]) -> Result<Ordering, Box<Failure>> {
    Ok(own::<Semver>(args, 0)?.precedence(own::<Semver>(args, 1)?))
}
