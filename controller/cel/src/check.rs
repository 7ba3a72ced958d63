//! Checks the names in an expression before it runs: every variable is declared, every function exists.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};

use crate::environment::Environment;
use crate::error::CompileError;
use crate::functions::{self, Style};
use crate::parse::{Parsed, Places};

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
                let message =
                    format!("`{}` cannot be constructed: there are no message types", message.type_name);
                self.error(expression.id, message, Some("write a map: `{'field': value}`".to_owned()));
            }
            Expr::Unspecified => {
                self.error(expression.id, "an expression is missing here".to_owned(), None);
            }
        }
    }

    fn visit_call(&mut self, node: u64, call: &'e CallExpr) {
        let images = self.environment.images;
        let count = call.args.len();
        call.args.iter().for_each(|argument| self.visit_argument(call, argument));
        let Some(target) = &call.target else {
            let outcome = functions::check(&call.func_name, Style::Global, count, images);
            return self.report(node, outcome);
        };
        let qualified = qualified_name(target).map(|namespace| format!("{namespace}.{}", call.func_name));
        if let Some(name) = qualified.filter(|name| functions::exists(name, Style::Global, images)) {
            let outcome = functions::check(&name, Style::Global, count, images);
            return self.report(node, outcome);
        }
        self.visit(target);
        let outcome = functions::check(&call.func_name, Style::Method, count, images);
        self.report(node, outcome);
    }

    /// The arguments of a call that has the name of a macro but is none would only give errors that mislead.
    fn visit_argument(&mut self, call: &'e CallExpr, argument: &'e IdedExpr) {
        let macros =
            [operators::ALL, operators::EXISTS, operators::EXISTS_ONE, operators::MAP, operators::FILTER];
        if !macros.contains(&call.func_name.as_str()) {
            self.visit(argument);
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
        self.error(node, format!("undeclared variable `{name}`"), hint);
    }

    fn report(&mut self, node: u64, outcome: Result<(), functions::BadCall>) {
        if let Err(bad) = outcome {
            self.error(node, bad.message, bad.hint);
        }
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
