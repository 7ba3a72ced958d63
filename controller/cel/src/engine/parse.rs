//! From text to the engine's own tree: the `cel` crate parses, with its macros off, and nothing after
//! [`lower`] sees its types.

use std::sync::LazyLock;

use cel::Env;
use cel::common::ast::{CallExpr, EntryExpr, Expr as Parsed, IdedEntryExpr, IdedExpr, LiteralValue};
use cel::common::ast::{SourceInfo, operators};

use super::ast::{
    Call, Conditional, Element, Entry, Expr, Index, Kind, Literal, Logic, Mode, Select, Struct,
};
use super::issue::Issues;
use super::library::{Feature, Features};
use super::macros;
use crate::error::CompileError;
use crate::{limits, syntax};

/// The deepest tree that is accepted: what evaluating and dropping it need fits an ordinary stack.
const MAX_DEPTH: u32 = 250;
/// The deepest recursion of the grammar's `expr` rule, as in cel-go.
const MAX_RECURSION: u16 = 250;

/// An environment without a single macro, so that macro calls stay calls.
static ENV: LazyLock<Env> = LazyLock::new(Env::default);

/// A parsed expression.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Expr,
    /// How many nodes it has; their ids are below this.
    pub(crate) nodes: u32,
}

/// Parses `source` and hands the tree to `then`, both on a stack that is large enough. Safe for any text.
pub(crate) fn with_parsed<T>(
    source: &str,
    features: Features,
    then: impl FnOnce(Tree) -> Result<T, Vec<CompileError>>,
) -> Result<T, Vec<CompileError>> {
    let depth = limits::scan(source).map_err(|error| vec![error])?;
    let parsed = limits::with_stack_for(depth, || parse(source, features).and_then(then));
    parsed.unwrap_or_else(|| {
        let message = "the parser gave up on this expression".to_owned();
        Err(vec![CompileError { message, line: 1, column: 1, hint: None }])
    })
}

fn parse(source: &str, features: Features) -> Result<Tree, Vec<CompileError>> {
    let parser = ENV.parser().max_recursion_depth(MAX_RECURSION).enable_ident_escape_syntax(true);
    let (expression, info) = parser
        .parse_with_source_info(source)
        .map_err(|errors| vec![syntax::first_error(source, &errors.errors)])?;
    let mut lowering = Lowering { info, issues: Issues::new(source), features, next_id: 0, source };
    let root = lowering.lower(expression, 1);
    let nodes = lowering.next_id;
    match root {
        Some(root) if lowering.issues.is_empty() => Ok(Tree { root, nodes }),
        _ => Err(lowering.issues.into_sorted()),
    }
}

/// Turns the parser's tree into ours, macros included.
pub(crate) struct Lowering<'s> {
    info: SourceInfo,
    pub(crate) issues: Issues<'s>,
    pub(crate) features: Features,
    next_id: u32,
    source: &'s str,
}

impl Lowering<'_> {
    pub(crate) fn node(&mut self, at: u32, kind: Kind) -> Expr {
        let id = self.next_id;
        self.next_id += 1;
        Expr { kind, at, id }
    }

    fn place(&self, id: u64) -> u32 {
        self.info.offset_for(id).map_or(0, |(start, _)| start)
    }

    /// None when something below it was wrong and has been reported.
    fn lower(&mut self, expression: IdedExpr, depth: u32) -> Option<Expr> {
        let at = self.place(expression.id);
        if depth > MAX_DEPTH {
            self.issues.add(limits::too_deep(self.source, at as usize));
            return None;
        }
        let below = depth + 1;
        let kind = match expression.expr {
            Parsed::Literal(literal) => Kind::Literal(lower_literal(literal)),
            Parsed::Ident(name) => Kind::Ident(name.into()),
            Parsed::Select(select) => Kind::Select(Box::new(Select {
                operand: self.lower(*select.operand, below)?,
                field: select.field.into(),
                mode: if select.test { Mode::Test } else { Mode::Plain },
            })),
            Parsed::Call(call) => return self.lower_call(at, call, below),
            Parsed::List(list) => {
                let mut elements = Vec::with_capacity(list.elements.len());
                for (position, element) in list.elements.into_iter().enumerate() {
                    let optional = list.optional_indices.contains(&position);
                    let value = self.lower(element, below)?;
                    if optional {
                        self.allow_optional(value.at, "?")?;
                    }
                    elements.push(Element { value, optional });
                }
                Kind::List(elements)
            }
            Parsed::Map(map) => {
                let entries: Option<Vec<_>> =
                    map.entries.into_iter().map(|entry| self.lower_entry(entry, below)).collect();
                Kind::Map(entries?)
            }
            Parsed::Struct(message) => {
                let mut fields = Vec::new();
                for entry in message.entries {
                    if let EntryExpr::StructField(field) = entry.expr {
                        fields.push(self.lower(field.value, below)?);
                    }
                }
                Kind::Struct(Struct { name: message.type_name.into(), fields })
            }
            Parsed::Comprehension(_) | Parsed::Unspecified => {
                self.issues.report(at, "syntax error");
                return None;
            }
        };
        Some(self.node(at, kind))
    }

    fn lower_entry(&mut self, entry: IdedEntryExpr, depth: u32) -> Option<Entry> {
        match entry.expr {
            EntryExpr::MapEntry(entry) => {
                let key = self.lower(entry.key, depth)?;
                if entry.optional {
                    self.allow_optional(key.at, "?")?;
                }
                Some(Entry { key, value: self.lower(entry.value, depth)?, optional: entry.optional })
            }
            EntryExpr::StructField(_) => None,
        }
    }

    fn lower_call(&mut self, at: u32, call: CallExpr, depth: u32) -> Option<Expr> {
        let CallExpr { func_name, target, args } = call;
        match (func_name.as_str(), target) {
            (operators::LOGICAL_AND, None) => self.lower_logic(at, true, args, depth),
            (operators::LOGICAL_OR, None) => self.lower_logic(at, false, args, depth),
            (_, None) => {
                let args = self.lower_all(args, depth)?;
                self.lower_global(at, func_name, args)
            }
            (_, Some(target)) => {
                let at = self.place_of_name(at, &func_name);
                let target = self.lower(*target, depth)?;
                let args = self.lower_all(args, depth)?;
                match macros::expand(self, at, &func_name, target, args) {
                    macros::Expansion::Done(expr) => Some(expr),
                    macros::Expansion::Wrong => None,
                    macros::Expansion::NoMacro(target, args) => {
                        let call = Call { function: func_name.into(), target: Some(Box::new(target)), args };
                        Some(self.node(at, Kind::Call(call)))
                    }
                }
            }
        }
    }

    fn lower_all(&mut self, args: Vec<IdedExpr>, depth: u32) -> Option<Vec<Expr>> {
        args.into_iter().map(|arg| self.lower(arg, depth)).collect()
    }

    /// Joins the nested pairs of the parser into one list of terms.
    fn lower_logic(&mut self, at: u32, and: bool, args: Vec<IdedExpr>, depth: u32) -> Option<Expr> {
        let name = if and { operators::LOGICAL_AND } else { operators::LOGICAL_OR };
        let mut waiting: Vec<IdedExpr> = args.into_iter().rev().collect();
        let mut terms = Vec::new();
        while let Some(next) = waiting.pop() {
            match next.expr {
                Parsed::Call(call) if call.func_name == name && call.target.is_none() => {
                    waiting.extend(call.args.into_iter().rev());
                }
                expr => terms.push(self.lower(IdedExpr { id: next.id, expr }, depth)?),
            }
        }
        Some(self.node(at, Kind::Logic(Logic { and, terms })))
    }

    /// Operators with a node of their own, `has`, and every other function that has no target.
    fn lower_global(&mut self, at: u32, function: String, args: Vec<Expr>) -> Option<Expr> {
        let kind = match (function.as_str(), three(args)) {
            (operators::CONDITIONAL, Args::Three(condition, truthy, falsy)) => {
                Kind::Conditional(Box::new(Conditional { condition, truthy, falsy }))
            }
            (operators::INDEX, Args::Two(operand, index)) => {
                Kind::Index(Box::new(Index { operand, index, optional: false }))
            }
            (operators::OPT_INDEX, Args::Two(operand, index)) => {
                self.allow_optional(at, "[?")?;
                Kind::Index(Box::new(Index { operand, index, optional: true }))
            }
            (operators::OPT_SELECT, Args::Two(operand, field)) => match field.kind {
                Kind::Literal(Literal::String(name)) => {
                    self.allow_optional(field.at, ".?")?;
                    Kind::Select(Box::new(Select { operand, field: name, mode: Mode::Optional }))
                }
                _ => {
                    self.issues.report(field.at, "unsupported optional field selection");
                    return None;
                }
            },
            (operators::HAS, Args::One(arg)) => return macros::has(self, at, arg),
            (name, args) => {
                let at = self.place_of_name(at, name);
                let args = match args {
                    Args::One(a) => vec![a],
                    Args::Two(a, b) => vec![a, b],
                    Args::Three(a, b, c) => vec![a, b, c],
                    Args::Other(args) => args,
                };
                let call = Call { function: name.into(), target: None, args };
                return Some(self.node(at, Kind::Call(call)));
            }
        };
        Some(self.node(at, kind))
    }

    /// Refuses the syntax of optionals where they do not exist.
    fn allow_optional(&mut self, at: u32, syntax: &str) -> Option<()> {
        if self.features.has(Feature::Optionals) {
            return Some(());
        }
        self.issues.report(at, format!("unsupported syntax '{syntax}'"));
        None
    }

    /// The place of the name that ends right before a call's bracket, or the bracket if none does.
    fn place_of_name(&self, bracket: u32, name: &str) -> u32 {
        let before = self.source.get(..bracket as usize).map(str::trim_end);
        let start = before.and_then(|before| before.strip_suffix(name)).map(str::len);
        start.and_then(|start| u32::try_from(start).ok()).unwrap_or(bracket)
    }
}

enum Args {
    One(Expr),
    Two(Expr, Expr),
    Three(Expr, Expr, Expr),
    Other(Vec<Expr>),
}

fn three(args: Vec<Expr>) -> Args {
    match <[Expr; 1]>::try_from(args) {
        Ok([a]) => Args::One(a),
        Err(args) => match <[Expr; 2]>::try_from(args) {
            Ok([a, b]) => Args::Two(a, b),
            Err(args) => match <[Expr; 3]>::try_from(args) {
                Ok([a, b, c]) => Args::Three(a, b, c),
                Err(args) => Args::Other(args),
            },
        },
    }
}

fn lower_literal(literal: LiteralValue) -> Literal {
    match literal {
        LiteralValue::Boolean(value) => Literal::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Literal::Bytes(value.inner().into()),
        LiteralValue::Double(value) => Literal::Double(*value.inner()),
        LiteralValue::Int(value) => Literal::Int(*value.inner()),
        LiteralValue::Null => Literal::Null,
        LiteralValue::String(value) => Literal::String(value.inner().into()),
        LiteralValue::UInt(value) => Literal::Uint(*value.inner()),
    }
}
