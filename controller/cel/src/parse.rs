//! From source to an expression with places: the one file that calls the parser. Runs on a large stack.

use cel::common::ast::{EntryExpr, Expr, SourceInfo};
use cel::parser::Expression;
use cel::{Env, ParseError};

use crate::error::{CompileError, first_line};
use crate::limits;

/// The deepest recursion of the grammar's `expr` rule, as in cel-go.
const MAX_RECURSION: u16 = 250;

/// The deepest expression that is accepted: one that a debug build evaluates on a 2 MiB stack with room to
/// spare, see the tests of the limits.
pub(crate) const MAX_DEPTH: usize = 96;

/// An expression as parsed, macros expanded.
pub(crate) struct Parsed {
    pub(crate) expression: Expression,
    pub(crate) places: Places,
}

/// Where each node of an expression was written.
pub(crate) struct Places {
    info: SourceInfo,
}

impl Places {
    /// An error at a node.
    pub(crate) fn error(&self, node: u64, message: String) -> CompileError {
        let (line, column) = limits::position(&self.info.source, self.start(node));
        CompileError { message, line, column, hint: None }
    }

    /// The byte a node starts at.
    fn start(&self, node: u64) -> usize {
        self.info.offset_for(node).map_or(0, |(start, _)| start as usize)
    }
}

/// Parses `source`; refuses what is too deep to be evaluated.
pub(crate) fn parse(env: &Env, source: &str) -> Result<Parsed, Vec<CompileError>> {
    let parser = env.parser().max_recursion_depth(MAX_RECURSION).enable_ident_escape_syntax(true);
    let (expression, info) = parser.parse_with_source_info(source).map_err(|errors| {
        errors.errors.iter().map(|error| syntax_error(source, error)).collect::<Vec<_>>()
    })?;
    let places = Places { info };
    match too_deep(&expression) {
        Some(node) => Err(vec![limits::too_deep(source, places.start(node))]),
        None => Ok(Parsed { expression, places }),
    }
}

fn syntax_error(source: &str, error: &ParseError) -> CompileError {
    let (line, column) = (u32::try_from(error.pos.0).unwrap_or(0), u32::try_from(error.pos.1).unwrap_or(0));
    let message = first_line(&error.msg).trim_end_matches('.').to_owned();
    if message.contains("Recursion limit") {
        return limits::too_deep(source, 0);
    }
    let message = message.strip_prefix("Syntax error: ").unwrap_or(&message).to_owned();
    CompileError {
        message: format!("syntax error: {message}"),
        line: line.max(1),
        column: column.max(1),
        hint: None,
    }
}

/// A node beyond the accepted depth.
fn too_deep(expression: &Expression) -> Option<u64> {
    let mut waiting = vec![(expression, 1)];
    while let Some((expression, depth)) = waiting.pop() {
        if depth > MAX_DEPTH {
            return Some(expression.id);
        }
        waiting.extend(children(expression).into_iter().map(|child| (child, depth + 1)));
    }
    None
}

fn children(expression: &Expression) -> Vec<&Expression> {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(comprehension) => vec![
            &comprehension.iter_range,
            &comprehension.accu_init,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Expr::Struct(message) => {
            message.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect()
        }
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&Expression> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
