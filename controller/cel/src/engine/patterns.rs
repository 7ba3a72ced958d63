//! Compiled regular expressions. What compiling them may take is limited by their weight, which is known before:
//! neither a policy's own patterns nor those it finds in objects can take the memory or the time of the process.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast, RepetitionKind, RepetitionRange};

use super::failure::Failure;
use super::meter::Meter;
use super::pattern::{self, MAX_NESTING};
use super::registry::Invocation;

/// The largest compiled size, in bytes; [`MAX_WEIGHT`] is reached before.
const MAX_SIZE: usize = 4 << 20;
/// The most that a match may keep of what it has found out about a pattern, in bytes.
const MAX_DFA_SIZE: usize = 1 << 20;
/// The heaviest pattern.
const MAX_WEIGHT: u64 = 60_000;
/// What all constant patterns of one expression may weigh together.
const MAX_CONSTANT: u64 = 120_000;
/// What the patterns kept for one evaluation may weigh together.
const MAX_KEPT: u64 = 60_000;
/// The weight of a Unicode class such as `\pL`, in states.
const CLASS: u64 = 600;
/// What a pattern weighs at least: what is prepared for any of them.
const LEAST: u64 = 60;
/// How many visited values compiling one unit of weight counts as, by time.
const VISITS: u64 = 16;
/// How many bytes one unit of weight takes.
const BYTES: u64 = 32;

/// The constant patterns of one expression, each compiled once.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    compiled: HashMap<Box<str>, Regex>,
    weight: u64,
}

impl Patterns {
    /// Compiles a pattern, if that has not been done yet.
    ///
    /// # Errors
    /// The pattern is wrong, in Go's words where they are known, or too large.
    pub(crate) fn compile(&mut self, written: &str) -> Result<Regex, String> {
        if let Some(known) = self.compiled.get(written) {
            return Ok(known.clone());
        }
        let pattern = Translated::of(written)?;
        self.weight += pattern.weight;
        if self.weight > MAX_CONSTANT {
            return Err(pattern.too_large());
        }
        let regex = pattern.compile()?;
        self.compiled.insert(written.into(), regex.clone());
        Ok(regex)
    }
}

/// The patterns that an evaluation has come across.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    compiled: BTreeMap<Box<str>, Arc<Regex>>,
    weight: u64,
}

/// The pattern of a call.
pub(crate) enum Pattern<'i> {
    Constant(&'i Regex),
    Made(Arc<Regex>),
}

impl Deref for Pattern<'_> {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        match self {
            Self::Constant(regex) => regex,
            Self::Made(regex) => regex,
        }
    }
}

impl<'i> Invocation<'i> {
    /// The call's pattern: compiled ahead if it is a constant, now otherwise.
    ///
    /// # Errors
    /// The pattern is wrong, which is told after `prefix`, or the meter runs out.
    pub(crate) fn pattern(&self, written: &str, prefix: &str) -> Result<Pattern<'i>, Box<Failure>> {
        match self.regex {
            Some(regex) => Ok(Pattern::Constant(regex)),
            None => self.meter.pattern(written, prefix).map(Pattern::Made),
        }
    }
}

impl Meter {
    fn pattern(&self, written: &str, prefix: &str) -> Result<Arc<Regex>, Box<Failure>> {
        let mut kept = self.patterns().borrow_mut();
        let kept = kept.get_or_insert_default();
        if let Some(known) = kept.compiled.get(written) {
            return Ok(Arc::clone(known));
        }
        let wrong = |reason: String| Failure::new(format!("{prefix}{reason}"));
        let count = |units: u64| usize::try_from(units).unwrap_or(usize::MAX);
        // Reading it takes time in proportion to its length.
        self.visit(written.len())?;
        let pattern = Translated::of(written).map_err(wrong)?;
        self.visit(count(pattern.weight * VISITS))?;
        self.allocate(count(pattern.weight * BYTES))?;
        let regex = Arc::new(pattern.compile().map_err(wrong)?);
        if kept.weight + pattern.weight > MAX_KEPT {
            **kept = Kept::default();
        }
        kept.weight += pattern.weight;
        kept.compiled.insert(written.into(), Arc::clone(&regex));
        Ok(regex)
    }
}

/// A pattern in the `regex` crate's dialect.
struct Translated<'p> {
    written: &'p str,
    text: String,
    weight: u64,
}

impl<'p> Translated<'p> {
    fn of(written: &'p str) -> Result<Self, String> {
        let text = pattern::translate(written)?;
        // Longer than that, it is not worth reading.
        let weight = if text.len() as u64 > 8 * MAX_WEIGHT { u64::MAX } else { weigh(&text) };
        let translated = Self { written, text, weight };
        if weight > MAX_WEIGHT { Err(translated.too_large()) } else { Ok(translated) }
    }

    fn too_large(&self) -> String {
        format!("error parsing regexp: expression too large: `{}`", self.written)
    }

    fn compile(&self) -> Result<Regex, String> {
        RegexBuilder::new(&self.text)
            .size_limit(MAX_SIZE)
            .dfa_size_limit(MAX_DFA_SIZE)
            .nest_limit(MAX_NESTING)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => self.too_large(),
                other => {
                    let detail = other.to_string();
                    let reason = detail.lines().last().unwrap_or("invalid syntax");
                    let reason = match reason.trim_start_matches("error: ") {
                        "unclosed group" => "missing closing )",
                        "unopened group" => "unexpected )",
                        reason => reason,
                    };
                    format!("error parsing regexp: {reason}: `{}`", self.written)
                }
            })
    }
}

/// About how many states a pattern compiles to; the least for one that is wrong.
fn weigh(pattern: &str) -> u64 {
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(MAX_NESTING).build();
    let weighed =
        parser.parse(pattern).ok().and_then(|tree| ast::visit(&tree, Scale(pattern, Vec::new())).ok());
    weighed.unwrap_or(0).saturating_add(LEAST)
}

/// The weights of what has been visited and is not part of something larger yet.
struct Scale<'p>(&'p str, Vec<u64>);

impl Scale<'_> {
    fn take(&mut self, parts: usize) -> u64 {
        let from = self.1.len().saturating_sub(parts);
        self.1.drain(from..).fold(0, u64::saturating_add)
    }

    /// Literals and ranges by their length, and what they say in few letters by what that holds.
    fn class(&self, span: &ast::Span) -> u64 {
        let text = self.0.get(span.start.offset..span.end.offset).unwrap_or_default();
        let classes = text.matches("\\p").count() + text.matches("\\P").count();
        (text.len() as u64).saturating_add(classes as u64 * CLASS)
    }
}

impl ast::Visitor for Scale<'_> {
    type Output = u64;
    type Err = ();

    fn finish(mut self) -> Result<u64, ()> {
        Ok(self.take(usize::MAX))
    }

    fn visit_post(&mut self, tree: &Ast) -> Result<(), ()> {
        let weight = match tree {
            Ast::Repetition(repetition) => {
                let times = match &repetition.op.kind {
                    RepetitionKind::Range(
                        RepetitionRange::Exactly(times)
                        | RepetitionRange::AtLeast(times)
                        | RepetitionRange::Bounded(_, times),
                    ) => u64::from(*times).max(1),
                    _ => 1,
                };
                self.take(1).saturating_add(1).saturating_mul(times)
            }
            Ast::Group(_) => self.take(1).saturating_add(2),
            Ast::Alternation(alternation) => self.take(alternation.asts.len()).saturating_add(1),
            Ast::Concat(concatenation) => self.take(concatenation.asts.len()),
            Ast::Dot(_) => 10,
            Ast::ClassUnicode(class) => self.class(&class.span),
            Ast::ClassBracketed(class) => self.class(&class.span),
            Ast::ClassPerl(_) => CLASS,
            Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Assertion(_) => 1,
        };
        self.1.push(weight);
        Ok(())
    }
}
