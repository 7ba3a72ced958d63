//! Which parts of its variables a program can depend on.

use std::collections::BTreeSet;
use std::fmt;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// A variable, or what is reached from it by constant field names.
///
/// A program that reads a path depends on everything below it, and, if the path is not there, on how much of
/// it is: `has(object.spec.x)` is false without `x` but fails without `spec`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The variable.
    pub root: String,
    /// The field names, outermost first; empty for the whole variable.
    pub segments: Vec<String>,
}

impl Path {
    /// Whether this path is `other` or leads to it.
    #[must_use]
    pub fn covers(&self, other: &Path) -> bool {
        self.root == other.root && other.segments.starts_with(&self.segments)
    }
}

/// As CEL writes it where all segments are identifiers: `object.spec.rules`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        self.segments.iter().try_for_each(|segment| write!(f, ".{segment}"))
    }
}

/// The paths that `expression` can read, without those that another covers.
pub(crate) fn reads(expression: &IdedExpr, variables: &BTreeSet<String>) -> BTreeSet<Path> {
    let mut reader = Reader { variables, locals: Vec::new(), paths: BTreeSet::new() };
    reader.visit(expression);
    let mut kept: BTreeSet<Path> = BTreeSet::new();
    // A path sorts after those that cover it, and directly after the last of them that is kept.
    for path in reader.paths {
        if !kept.last().is_some_and(|last: &Path| last.covers(&path)) {
            kept.insert(path);
        }
    }
    kept
}

/// The path that is the whole of `expression`, if it is one.
pub(crate) fn plain_selection(expression: &IdedExpr, variables: &BTreeSet<String>) -> Option<Path> {
    let chain = Chain::of(expression);
    let plain = chain.dynamic.is_empty() && !chain.tests;
    match &chain.base.expr {
        Expr::Ident(name) if plain && variables.contains(bare(name)) => {
            Some(Path { root: bare(name).to_owned(), segments: chain.segments() })
        }
        _ => None,
    }
}

/// An absolute name, `.object`, is the name of a variable, whatever a macro binds.
fn bare(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// A chain of selections on a base: `base.a['b'].c`.
struct Chain<'e> {
    base: &'e IdedExpr,
    /// The constant names, outermost last.
    reversed: Vec<&'e str>,
    /// Indices that are not constant; from the first of them on, the chain reads all of what it has reached.
    dynamic: Vec<&'e IdedExpr>,
    tests: bool,
}

impl<'e> Chain<'e> {
    fn of(expression: &'e IdedExpr) -> Self {
        let mut chain = Self { base: expression, reversed: Vec::new(), dynamic: Vec::new(), tests: false };
        loop {
            match &chain.base.expr {
                Expr::Select(select) => {
                    chain.tests |= select.test;
                    chain.reversed.push(&select.field);
                    chain.base = &select.operand;
                }
                Expr::Call(call) if call.target.is_none() && is_index(&call.func_name) => {
                    let [operand, index] = call.args.as_slice() else { return chain };
                    chain.tests |= call.func_name != operators::INDEX;
                    match &index.expr {
                        Expr::Literal(LiteralValue::String(name)) => chain.reversed.push(name.inner()),
                        _ => {
                            chain.dynamic.push(index);
                            // What is selected of an unknown element is covered by the whole list or map.
                            chain.reversed.clear();
                        }
                    }
                    chain.base = operand;
                }
                _ => return chain,
            }
        }
    }

    fn segments(&self) -> Vec<String> {
        self.reversed.iter().rev().map(|name| (*name).to_owned()).collect()
    }
}

fn is_index(function: &str) -> bool {
    matches!(function, operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT)
}

struct Reader<'e> {
    variables: &'e BTreeSet<String>,
    /// The variables that the macros around the current expression bind.
    locals: Vec<&'e str>,
    paths: BTreeSet<Path>,
}

impl<'e> Reader<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) {
        let chain = Chain::of(expression);
        for index in &chain.dynamic {
            self.visit(index);
        }
        match &chain.base.expr {
            Expr::Ident(name) => {
                let local = self.locals.contains(&name.as_str());
                if !local && self.variables.contains(bare(name)) {
                    self.paths.insert(Path { root: bare(name).to_owned(), segments: chain.segments() });
                }
            }
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.visit(target));
                call.args.iter().for_each(|argument| self.visit(argument));
            }
            Expr::Comprehension(comprehension) => {
                self.visit(&comprehension.iter_range);
                self.visit(&comprehension.accu_init);
                let outer = self.locals.len();
                self.locals.push(&comprehension.iter_var);
                self.locals.extend(comprehension.iter_var2.as_deref());
                self.locals.push(&comprehension.accu_var);
                self.visit(&comprehension.loop_cond);
                self.visit(&comprehension.loop_step);
                self.visit(&comprehension.result);
                self.locals.truncate(outer);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.visit_entry(&entry.expr)),
            Expr::Struct(message) => message.entries.iter().for_each(|entry| self.visit_entry(&entry.expr)),
            // A select is part of the chain, so it is never its base.
            Expr::Select(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn visit_entry(&mut self, entry: &'e EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
            EntryExpr::StructField(field) => self.visit(&field.value),
        }
    }
}

#[cfg(test)]
#[path = "reads_tests.rs"]
mod tests;
