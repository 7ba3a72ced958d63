//! Type checking as cel-go does it: every node gets a type, every name what it refers to, every call the
//! overloads that can apply; and everything that is wrong is reported at once.

mod call;
mod fold;
mod format;
mod literal;
mod suggest;
mod validate;

use super::ast::{Element, Entry, Expr, Kind, Literal, Mode, Select};
use super::environment::Environment;
use super::issue::Issues;
use super::parse::Tree;
use super::patterns::Patterns;
use super::registry::Overload;
use super::types::Type;
use super::unify::{Substitution, most_general};
use crate::error::CompileError;

/// What the checker knows of each node, by its id.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) types: Vec<Type>,
    resolved: Vec<Resolved>,
    /// How many local variables there are.
    pub(crate) locals: u32,
    /// The literal patterns that have been compiled.
    pub(crate) patterns: Patterns,
}

/// What a node refers to.
#[derive(Clone, Debug)]
pub(crate) enum Resolved {
    Nothing,
    Local(u32),
    Variable(u32),
    Type(&'static str),
    /// The overloads that can apply; with `target`, the target of the call is its first argument.
    Function {
        overloads: Vec<&'static Overload>,
        target: bool,
    },
    /// The variables that a macro brings in.
    Scope {
        var: u32,
        var2: Option<u32>,
    },
}

impl Checked {
    pub(crate) fn resolved(&self, expr: &Expr) -> &Resolved {
        self.resolved.get(expr.id as usize).unwrap_or(&Resolved::Nothing)
    }
}

/// Checks a tree, whose type must be one of `expected`, if any are given.
pub(crate) fn check(
    environment: &Environment,
    source: &str,
    tree: &Tree,
    expected: &[Type],
) -> Result<Checked, Vec<CompileError>> {
    let nodes = tree.nodes as usize;
    let mut checker = Checker {
        environment,
        issues: Issues::new(source),
        types: vec![Type::Dyn; nodes],
        resolved: vec![Resolved::Nothing; nodes],
        substitution: Substitution::default(),
        scope: Vec::new(),
        locals: 0,
    };
    let result = checker.check(&tree.root);
    let result = checker.substitution.resolve(&result, true);
    for index in 0..nodes {
        if let Some(slot) = checker.types.get_mut(index) {
            *slot = checker.substitution.resolve(slot, true);
        }
    }
    let Checker { mut issues, types, resolved, locals, .. } = checker;
    let mut patterns = Patterns::default();
    if issues.is_empty() && !environment.is_unchecked() {
        patterns = validate::validate(environment, &tree.root, &types, &resolved, &mut issues);
        if let Some(first) = expected.first().filter(|_| !expected.iter().any(|one| result.same(one, true))) {
            let hint = match first {
                Type::Bool if result.is_dyn() => {
                    Some("compare it, as in `… == true`, to give it a type".to_owned())
                }
                Type::Bool => None,
                other => Some(format!("convert it, as in `{other}(…)`")),
            };
            let wanted: Vec<String> = expected.iter().map(Type::to_string).collect();
            let message = format!("must evaluate to {} but got {result}", wanted.join(" or "));
            issues.report_with_hint(tree.root.at, message, hint);
        }
    }
    if issues.is_empty() {
        Ok(Checked { types, resolved, locals, patterns })
    } else {
        Err(issues.into_sorted())
    }
}

struct Local {
    name: Box<str>,
    slot: u32,
    of: Type,
}

struct Checker<'e> {
    environment: &'e Environment,
    issues: Issues<'e>,
    types: Vec<Type>,
    resolved: Vec<Resolved>,
    substitution: Substitution,
    scope: Vec<Local>,
    locals: u32,
}

impl Checker<'_> {
    fn check(&mut self, expr: &Expr) -> Type {
        let found = match &expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(name) => self.check_ident(expr, name),
            Kind::Select(select) => self.check_select(expr, select),
            Kind::Index(index) => self.check_index(expr, index),
            Kind::Call(call) => self.check_call(expr, call),
            Kind::Logic(logic) => self.check_logic(logic),
            Kind::Conditional(conditional) => self.check_conditional(expr, conditional),
            Kind::List(elements) => self.check_list(elements),
            Kind::Map(entries) => self.check_map(entries),
            Kind::Struct(message) => {
                self.undeclared(expr.at, &message.name);
                Type::Error
            }
            Kind::Fold(fold) => self.check_fold(expr, fold),
            Kind::OptMap(map) => self.check_opt_map(expr, map),
        };
        let found = if self.environment.is_unchecked() { Type::Dyn } else { found };
        if let Some(slot) = self.types.get_mut(expr.id as usize) {
            *slot = found.clone();
        }
        found
    }

    fn resolve_to(&mut self, expr: &Expr, to: Resolved) {
        if let Some(slot) = self.resolved.get_mut(expr.id as usize) {
            *slot = to;
        }
    }

    fn report(&mut self, at: u32, message: String) {
        if !self.environment.is_unchecked() {
            self.issues.report(at, message);
        }
    }

    fn undeclared(&mut self, at: u32, name: &str) {
        if !self.environment.is_unchecked() && !self.issues.is_full() {
            let hint = suggest::variable(self.environment, self.scope.iter().map(|local| &*local.name), name);
            let message = format!("undeclared reference to '{name}' (in container '')");
            self.issues.report_with_hint(at, message, hint);
        }
    }

    fn mismatch(&mut self, at: u32, expected: &Type, found: &Type) {
        self.report(at, format!("expected type '{expected}' but found '{found}'"));
    }

    fn check_ident(&mut self, expr: &Expr, written: &str) -> Type {
        let local = self.scope.iter().rev().find(|local| *local.name == *written);
        if let Some((slot, of)) = local.map(|local| (local.slot, local.of.clone())) {
            self.resolve_to(expr, Resolved::Local(slot));
            return of;
        }
        let name = written.strip_prefix('.').unwrap_or(written);
        self.check_global(expr, name).unwrap_or_else(|| {
            self.undeclared(expr.at, name);
            Type::Error
        })
    }

    /// The type of a variable or of the name of a type.
    fn check_global(&mut self, expr: &Expr, name: &str) -> Option<Type> {
        if let Some(index) = self.environment.index(name) {
            self.resolve_to(expr, Resolved::Variable(index));
            return self.environment.variable(index).map(|variable| variable.declared.clone());
        }
        let (name, named) = self.environment.named_type(name)?;
        self.resolve_to(expr, Resolved::Type(name));
        Some(Type::type_of(named.clone()))
    }

    fn is_local(&self, name: &str) -> bool {
        self.scope.iter().any(|local| *local.name == *name)
    }

    fn check_select(&mut self, expr: &Expr, select: &Select) -> Type {
        let rooted = expr.root_name().is_some_and(|root| !self.is_local(root));
        if let Some(name) = expr.qualified_name().filter(|_| rooted)
            && let Some(found) = self.check_global(expr, name.strip_prefix('.').unwrap_or(&name))
        {
            return found;
        }
        let operand = self.check(&select.operand);
        let operand = self.substitution.resolve(&operand, false);
        let (target, unwrapped) = match operand.unwrap_optional() {
            Some(value) => (value.clone(), true),
            None => (operand, false),
        };
        let result = match &target {
            Type::Map(map) => map.1.clone(),
            Type::Object(object) => match object.field(&select.field) {
                Some(field) => field.clone(),
                None => {
                    let hint = suggest::near(&select.field, object.field_names());
                    let message = format!("undefined field '{}'", select.field);
                    self.issues.report_with_hint(expr.at, message, hint);
                    Type::Error
                }
            },
            Type::Variable(_) => {
                self.substitution.assignable(&Type::Dyn, &target);
                Type::Dyn
            }
            other if other.is_dyn_or_error() => Type::Dyn,
            other => {
                let other = self.substitution.resolve(other, true);
                self.report(expr.at, format!("type '{other}' does not support field selection"));
                Type::Dyn
            }
        };
        match select.mode {
            Mode::Test => Type::Bool,
            Mode::Optional => Type::optional(result),
            Mode::Plain if unwrapped => Type::optional(result),
            Mode::Plain => self.substitution.resolve(&result, false),
        }
    }

    fn check_list(&mut self, elements: &[Element]) -> Type {
        let mut joined: Option<Type> = None;
        for element in elements {
            let mut found = self.check(&element.value);
            if element.optional {
                found = self.unwrap(&element.value, found);
            }
            joined = Some(self.join(joined, found));
        }
        Type::list(joined.unwrap_or_else(|| self.substitution.fresh()))
    }

    fn check_map(&mut self, entries: &[Entry]) -> Type {
        let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
        for entry in entries {
            let key = self.check(&entry.key);
            keys = Some(self.join(keys, key));
            let mut value = self.check(&entry.value);
            if entry.optional {
                value = self.unwrap(&entry.value, value);
            }
            values = Some(self.join(values, value));
        }
        let key = keys.unwrap_or_else(|| self.substitution.fresh());
        Type::map(key, values.unwrap_or_else(|| self.substitution.fresh()))
    }

    /// The type inside an optional element or entry.
    fn unwrap(&mut self, expr: &Expr, found: Type) -> Type {
        match found.unwrap_optional() {
            Some(value) => value.clone(),
            None => {
                if !found.is_dyn_or_error() {
                    self.mismatch(expr.at, &Type::optional(found.clone()), &found);
                }
                found
            }
        }
    }

    /// The type of a literal with one more element: `dyn` if they do not agree.
    fn join(&mut self, joined: Option<Type>, next: Type) -> Type {
        match joined {
            None => next,
            Some(joined) if self.substitution.assignable(&joined, &next) => {
                most_general(&joined, &next).clone()
            }
            Some(_) => Type::Dyn,
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
