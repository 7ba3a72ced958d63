//! Checks the names in an expression before it runs: every variable is declared, every function exists.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};

use crate::environment::Environment;
use crate::error::{CompileError, shown};
use crate::functions::{self, Style};
use crate::parse::{Parsed, Places};

/// How many errors are told; what follows so many tells nothing new.
const MAX_ERRORS: usize = 20;

/// Finds all names that mean nothing.
pub(crate) fn check(environment: &Environment, parsed: &Parsed) -> Result<(), Vec<CompileError>> {
    let mut checker = Checker { environment, places: &parsed.places, locals: Vec::new(), errors: Vec::new() };
    checker.visit(&parsed.expression);
    let mut errors = checker.errors;
    errors.sort_by_key(|error| (error.line, error.column));
    errors.dedup();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

struct Checker<'e> {
    environment: &'e Environment,
    places: &'e Places,
    /// The variables that the macros around the current expression bind.
    locals: Vec<&'e str>,
    errors: Vec<CompileError>,
}

impl<'e> Checker<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        match &expression.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.check_name(expression.id, name),
            Expr::Select(select) => {
                // A type's name may have dots: `google.protobuf.Timestamp`.
                let is_type = qualified_name(expression)
                    .is_some_and(|name| self.environment.env().types().find_type(&name).is_some());
                if !is_type {
                    self.visit(&select.operand);
                }
            }
            Expr::Call(call) => self.visit_call(expression.id, call),
            Expr::Comprehension(comprehension) => {
                self.visit(&comprehension.iter_range);
                self.visit(&comprehension.accu_init);
                let outer = self.locals.len();
                self.locals.push(&comprehension.iter_var);
                self.locals.push(&comprehension.accu_var);
                self.visit(&comprehension.loop_cond);
                self.visit(&comprehension.loop_step);
                self.visit(&comprehension.result);
                self.locals.truncate(outer);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key);
                        self.visit(&entry.value);
                    }
                }
            }
            Expr::Struct(message) => {
                let name = &message.type_name;
                let problem = format!("`{}` cannot be constructed: there are no message types", shown(name));
                let hint = Some("write a map: `{'field': value}`".to_owned());
                self.errors
                    .push(CompileError { hint, ..self.places.error_at_name(expression.id, name, problem) });
            }
            Expr::Unspecified => {
                self.error(expression.id, "an expression is missing here".to_owned(), None);
            }
        }
    }

    fn visit_call(&mut self, node: u64, call: &'e CallExpr) {
        let images = self.environment.images;
        let name = call.func_name.as_str();
        let Some(target) = &call.target else {
            return self.check_call(node, call, name, Style::Global);
        };
        let before = self.errors.len();
        let Some(qualified) = qualified_name(target).map(|namespace| format!("{namespace}.{name}")) else {
            self.visit(target);
            // Of a chain of calls on something unknown, the first error says enough.
            if self.errors.len() == before {
                self.check_call(node, call, name, Style::Method);
            }
            return;
        };
        // As the evaluator decides: a name with dots that names a function does, whatever it begins with.
        if functions::exists(&qualified, Style::Global, images) {
            return self.check_call(node, call, &qualified, Style::Global);
        }
        self.visit(target);
        let undeclared = self.errors.len() > before && !qualified.starts_with("authorizer.");
        if undeclared && !functions::exists(name, Style::Method, images) {
            // `math.greatest(1, 2)`: the namespace is no variable that somebody forgot.
            self.errors.truncate(before);
            return self.check_call(node, call, &qualified, Style::Global);
        }
        if self.errors.len() == before {
            self.check_call(node, call, name, Style::Method);
        }
    }

    /// Checks a function and, if it exists, its arguments: those of an unknown macro would only mislead.
    fn check_call(&mut self, node: u64, call: &'e CallExpr, name: &str, style: Style) {
        match functions::check(name, style, call.args.len(), self.environment.images) {
            Ok(()) => call.args.iter().for_each(|argument| self.visit(argument)),
            Err(bad) => {
                let error = self.places.error_at_name(node, name, bad.message);
                self.errors.push(CompileError { hint: bad.hint, ..error });
            }
        }
    }

    fn check_name(&mut self, node: u64, name: &str) {
        if self.locals.contains(&name) {
            return;
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        let variables = &self.environment.variables;
        if variables.contains(name) || self.environment.env().types().find_type(name).is_some() {
            return;
        }
        if name == "authorizer" {
            return self.error(node, "`authorizer` is not supported yet".to_owned(), None);
        }
        let known = variables.iter().map(String::as_str).chain(self.locals.iter().copied());
        let hint = functions::nearest(name, known.filter(|known| !known.starts_with('@')));
        self.error(node, format!("undeclared variable `{}`", shown(name)), hint);
    }

    fn error(&mut self, node: u64, message: String, hint: Option<String>) {
        self.errors.push(CompileError { hint, ..self.places.error(node, message) });
    }
}

/// The name that identifiers joined by dots spell.
fn qualified_name(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified_name(&select.operand)?, select.field))
        }
        _ => None,
    }
}
