//! From source to an expression with places: the one file that calls the parser. Runs on a large stack.

use cel::Env;
use cel::common::ast::{EntryExpr, Expr, SourceInfo};
use cel::parser::Expression;

use crate::error::CompileError;
use crate::{limits, syntax};

/// The deepest recursion of the grammar's `expr` rule, as in cel-go.
const MAX_RECURSION: u16 = 250;

/// The deepest expression that is accepted: one that a debug build evaluates on a 2 MiB stack with room to
/// spare, see the tests of the limits.
pub(crate) const MAX_DEPTH: usize = 250;

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

    /// An error at the name of the function a node calls: the node itself is at the bracket after it.
    pub(crate) fn error_at_name(&self, node: u64, name: &str, message: String) -> CompileError {
        let source = &self.info.source;
        let bracket = self.start(node);
        let named = source.get(..bracket).map(str::trim_end).and_then(|before| before.strip_suffix(name));
        let (line, column) = limits::position(source, named.map_or(bracket, str::len));
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
    let (expression, info) = parser
        .parse_with_source_info(source)
        .map_err(|errors| vec![syntax::first_error(source, &errors.errors)])?;
    let places = Places { info };
    match too_deep(&expression) {
        Some(node) => Err(vec![limits::too_deep(source, places.start(node))]),
        None => Ok(Parsed { expression, places }),
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
