//! Replaces calls whose evaluation we do better than the evaluator: equality and membership across JSON and
//! computed values, and regular expressions compiled once. The names begin with `@`, which no source can say.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBool, CelString, DYN_TYPE, Kind, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use crate::equality::equal;
use crate::error::{EvaluationError, first_line, shown};

pub(crate) const EQUAL: &str = "@equal";
pub(crate) const UNEQUAL: &str = "@unequal";
pub(crate) const WITHIN: &str = "@within";
pub(crate) const MATCHES: &str = "@matches";
/// The variable that holds a program's [`Patterns`].
pub(crate) const PATTERNS: &str = "@patterns";

/// The most memory a compiled regular expression may take, in bytes.
const MAX_REGEX_SIZE: usize = 1 << 20;
/// How many patterns that are not constant a program keeps compiled.
const MAX_KEPT: usize = 64;

static PATTERNS_TYPE: Type = Type::new_unspecified_type(PATTERNS);

/// The compiled regular expressions of one program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns {
    constant: Arc<HashMap<String, Regex>>,
    computed: Arc<Mutex<HashMap<String, Regex>>>,
}

impl Patterns {
    fn is_match(&self, text: &str, pattern: &str) -> Result<bool, String> {
        if let Some(regex) = self.constant.get(pattern) {
            return Ok(regex.is_match(text));
        }
        let known = self.computed.lock().unwrap_or_else(PoisonError::into_inner).get(pattern).cloned();
        let regex = match known {
            Some(regex) => regex,
            None => {
                let regex = compile_pattern(pattern)?;
                let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
                if computed.len() >= MAX_KEPT {
                    computed.clear();
                }
                computed.insert(pattern.to_owned(), regex.clone());
                regex
            }
        };
        Ok(regex.is_match(text))
    }
}

fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_REGEX_SIZE).build().map_err(|error| {
        let reason = match &error {
            // The parser's message draws the pattern over several lines; the last one says what is wrong.
            regex::Error::Syntax(message) => {
                message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            other => first_line(&other.to_string()),
        };
        format!("`{}` is not a valid regular expression: {reason}", shown(pattern))
    })
}

impl Val for Patterns {
    fn get_type(&self) -> &Type {
        &PATTERNS_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERNS_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Patterns {}

/// Declares the functions that replaced calls go to.
pub(crate) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(EQUAL, EQUAL, vec![DYN_TYPE, DYN_TYPE], |arguments| {
        with_two(&arguments, |left, right| Ok(equal(left, right)))
    })?;
    env.add_overload(UNEQUAL, UNEQUAL, vec![DYN_TYPE, DYN_TYPE], |arguments| {
        with_two(&arguments, |left, right| Ok(!equal(left, right)))
    })?;
    env.add_overload(WITHIN, WITHIN, vec![DYN_TYPE, DYN_TYPE], |arguments| with_two(&arguments, within))?;
    let signature = vec![STRING_TYPE, STRING_TYPE, PATTERNS_TYPE.to_owned()];
    env.add_overload(MATCHES, MATCHES, signature, |arguments| matches(&arguments))
}

fn with_two<'b, 'v>(
    arguments: &[CowVal<'b, 'v>],
    test: impl FnOnce(&dyn Val, &dyn Val) -> Result<bool, ExecutionError>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match arguments {
        [left, right] => test(left.as_ref(), right.as_ref()).map(|truth| CowVal::owned(CelBool::from(truth))),
        _ => Err(ExecutionError::invalid_argument_count(2, arguments.len())),
    }
}

/// `value in container`.
fn within(value: &dyn Val, container: &dyn Val) -> Result<bool, ExecutionError> {
    let types = || vec![value.get_type().name().to_owned(), container.get_type().name().to_owned()];
    let overload = || ExecutionError::no_such_overload(WITHIN, types());
    if container.get_type().kind() != Kind::List {
        let container = container.as_container().ok_or_else(overload)?;
        return container.contains(value).map_err(|error| match error {
            ExecutionError::UnexpectedType { .. } => overload(),
            other => other,
        });
    }
    let mut elements = container.as_iterable().ok_or_else(overload)?.iter();
    while let Some(element) = elements.next() {
        if equal(element, value) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn matches<'b, 'v>(arguments: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(text), Some(pattern), Some(patterns)) = (
        arguments.first().and_then(|value| value.downcast_ref::<CelString<'_>>()),
        arguments.get(1).and_then(|value| value.downcast_ref::<CelString<'_>>()),
        arguments.get(2).and_then(|value| value.downcast_ref::<Patterns>()),
    ) else {
        return Err(ExecutionError::no_such_overload(MATCHES, Vec::new()));
    };
    match patterns.is_match(text.inner(), pattern.inner()) {
        Ok(truth) => Ok(CowVal::owned(CelBool::from(truth))),
        Err(message) => Err(EvaluationError::new(message).pass_through()),
    }
}

/// A constant pattern that does not compile: the node it stands at, and why.
pub(crate) struct BadPattern {
    pub(crate) node: u64,
    pub(crate) message: String,
}

/// Replaces the calls in `expression`.
pub(crate) fn rewrite(expression: &mut IdedExpr) -> Result<Patterns, Vec<BadPattern>> {
    let mut rewriter = Rewriter { constant: HashMap::new(), bad: Vec::new() };
    rewriter.visit(expression);
    if rewriter.bad.is_empty() {
        Ok(Patterns { constant: Arc::new(rewriter.constant), computed: Arc::default() })
    } else {
        Err(rewriter.bad)
    }
}

struct Rewriter {
    constant: HashMap<String, Regex>,
    bad: Vec<BadPattern>,
}

impl Rewriter {
    fn visit(&mut self, expression: &mut IdedExpr) {
        match &mut expression.expr {
            Expr::Call(call) => {
                if let Some(target) = &mut call.target {
                    self.visit(target);
                }
                call.args.iter_mut().for_each(|argument| self.visit(argument));
                self.replace(call);
            }
            Expr::Comprehension(comprehension) => {
                self.visit(&mut comprehension.iter_range);
                self.visit(&mut comprehension.accu_init);
                self.visit(&mut comprehension.loop_cond);
                self.visit(&mut comprehension.loop_step);
                self.visit(&mut comprehension.result);
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.visit(element)),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&mut entry.key);
                            self.visit(&mut entry.value);
                        }
                        EntryExpr::StructField(field) => self.visit(&mut field.value),
                    }
                }
            }
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }

    fn replace(&mut self, call: &mut CallExpr) {
        let replacement = match (call.func_name.as_str(), call.args.len(), call.target.is_some()) {
            (operators::EQUALS, 2, false) => EQUAL,
            (operators::NOT_EQUALS, 2, false) => UNEQUAL,
            (operators::IN, 2, false) => WITHIN,
            ("matches", 2, false) | ("matches", 1, true) => MATCHES,
            _ => return,
        };
        call.func_name = replacement.to_owned();
        if replacement != MATCHES {
            return;
        }
        if let Some(target) = call.target.take() {
            call.args.insert(0, *target);
        }
        if let Some(IdedExpr { id, expr: Expr::Literal(LiteralValue::String(pattern)) }) = call.args.get(1) {
            match compile_pattern(pattern.inner()) {
                Ok(regex) => {
                    self.constant.insert(pattern.inner().to_owned(), regex);
                }
                Err(message) => self.bad.push(BadPattern { node: *id, message }),
            }
        }
        call.args.push(IdedExpr { id: 0, expr: Expr::Ident(PATTERNS.to_owned()) });
    }
}
