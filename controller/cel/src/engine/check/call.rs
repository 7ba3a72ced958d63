//! Calls and operators: which overloads can apply, and what the result is.

use super::super::ast::{Call, Conditional, Expr, Index, Logic};
use super::super::library::Feature;
use super::super::registry::Overload;
use super::super::types::{Ty, Type};
use super::{Checker, Resolved, suggest};

impl Checker<'_> {
    pub(super) fn check_call(&mut self, expr: &Expr, call: &Call) -> Type {
        let mut types: Vec<Type> = call.args.iter().map(|arg| self.check(arg)).collect();
        let functions = self.environment.functions();
        let Some(target) = &call.target else {
            let name = call.function.strip_prefix('.').unwrap_or(&call.function);
            return match functions.find(name) {
                Some(overloads) => self.resolve_call(expr, name, overloads, &types, false),
                None => self.undeclared_function(expr, name),
            };
        };
        // A dotted name before the bracket may be that of a function, such as `optional.of`.
        let qualified = target.qualified_name().map(|prefix| format!("{prefix}.{}", call.function));
        let qualified = qualified.as_deref().map(|name| name.strip_prefix('.').unwrap_or(name));
        if let Some((name, overloads)) = qualified.and_then(|name| Some((name, functions.find(name)?))) {
            return self.resolve_call(expr, name, overloads, &types, false);
        }
        types.insert(0, self.check(target));
        match functions.find(&call.function) {
            Some(overloads) => self.resolve_call(expr, &call.function, overloads, &types, true),
            None => self.undeclared_function(expr, &call.function),
        }
    }

    fn undeclared_function(&mut self, expr: &Expr, name: &str) -> Type {
        if !self.environment.is_unchecked() && !self.issues.is_full() {
            let hint = suggest::function(self.environment, name);
            let message = format!("undeclared reference to '{name}' (in container '')");
            self.issues.report_with_hint(expr.at, message, hint);
        }
        Type::Error
    }

    fn resolve_call(
        &mut self,
        expr: &Expr,
        name: &str,
        overloads: &[&'static Overload],
        types: &[Type],
        target: bool,
    ) -> Type {
        if self.environment.is_unchecked() {
            let callable = |overload: &&&'static Overload| {
                overload.member == target && overload.args.len() == types.len()
            };
            let overloads = overloads.iter().filter(callable).copied().collect();
            self.resolve_to(expr, Resolved::Function { overloads, target });
            return Type::Dyn;
        }
        match self.overloads(overloads, types, target) {
            Some((overloads, result)) => {
                self.resolve_to(expr, Resolved::Function { overloads, target });
                result
            }
            None => {
                self.no_matching_overload(expr, name, types, target);
                Type::Error
            }
        }
    }

    /// The overloads that can apply to arguments of these types, and the type of the result: `dyn` if they
    /// differ in it.
    fn overloads(
        &mut self,
        overloads: &[&'static Overload],
        types: &[Type],
        target: bool,
    ) -> Option<(Vec<&'static Overload>, Type)> {
        let mut matching = Vec::new();
        let mut result: Option<Type> = None;
        let across = self.environment.features().has(Feature::CrossTypeComparison);
        let known = |overload: &&&Overload| overload.member == target && (across || !overload.across_types);
        for overload in overloads.iter().filter(known) {
            let parameters = std::array::from_fn(|_| self.substitution.fresh());
            let wanted: Vec<Type> = overload.args.iter().map(|arg| arg.instantiate(&parameters)).collect();
            if !self.substitution.all_assignable(types, &wanted) {
                continue;
            }
            matching.push(*overload);
            let given = self.substitution.resolve(&overload.result.instantiate(&parameters), false);
            result = Some(match result {
                None => given,
                Some(before) if before.is_dyn() || before.same(&given, true) => before,
                Some(_) => Type::Dyn,
            });
        }
        result.map(|result| (matching, result))
    }

    fn no_matching_overload(&mut self, expr: &Expr, name: &str, types: &[Type], target: bool) {
        let shown: Vec<String> =
            types.iter().map(|given| self.substitution.resolve(given, true).to_string()).collect();
        let signature = match shown.split_first() {
            Some((receiver, rest)) if target => format!("{receiver}.({})", rest.join(", ")),
            _ => format!("({})", shown.join(", ")),
        };
        let hint = self.signatures(name, target);
        let message = format!("found no matching overload for '{name}' applied to '{signature}'");
        self.issues.report_with_hint(expr.at, message, hint);
    }

    /// The ways in which a function can be called, for a hint.
    fn signatures(&self, name: &str, target: bool) -> Option<String> {
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let overloads = self.environment.functions().find(name)?;
        let same_style: Vec<&&Overload> =
            overloads.iter().filter(|overload| overload.member == target).collect();
        let shown = if same_style.is_empty() { overloads.iter().collect() } else { same_style };
        let shown: Vec<String> = shown.iter().take(3).map(|overload| signature(name, overload)).collect();
        Some(format!("it is called as {}", shown.join(", ")))
    }

    pub(super) fn check_index(&mut self, expr: &Expr, index: &Index) -> Type {
        let types = [self.check(&index.operand), self.check(&index.index)];
        let name = if index.optional { "_[?_]" } else { "_[_]" };
        self.check_operator(expr, name, &types)
    }

    pub(super) fn check_conditional(&mut self, expr: &Expr, conditional: &Conditional) -> Type {
        let types = [
            self.check(&conditional.condition),
            self.check(&conditional.truthy),
            self.check(&conditional.falsy),
        ];
        self.check_operator(expr, "_?_:_", &types)
    }

    pub(super) fn check_operator(&mut self, expr: &Expr, name: &str, types: &[Type]) -> Type {
        match self.environment.functions().find(name) {
            Some(overloads) => self.resolve_call(expr, name, overloads, types, false),
            None => self.undeclared_function(expr, name),
        }
    }

    /// Checks a call of a method that a macro makes.
    pub(super) fn check_method(&mut self, expr: &Expr, name: &str, types: &[Type]) -> Type {
        match self.environment.functions().find(name) {
            Some(overloads) => self.resolve_call(expr, name, overloads, types, true),
            None => self.undeclared_function(expr, name),
        }
    }

    pub(super) fn check_logic(&mut self, logic: &Logic) -> Type {
        for term in &logic.terms {
            self.check_bool(term);
        }
        Type::Bool
    }

    /// Checks an expression that has to be a `bool`.
    pub(super) fn check_bool(&mut self, expr: &Expr) {
        let found = self.check(expr);
        if !self.substitution.assignable(&found, &Type::Bool) {
            let found = self.substitution.resolve(&found, true);
            self.mismatch(expr.at, &Type::Bool, &found);
        }
    }
}

/// How one overload is called, in the words of an author.
fn signature(name: &str, overload: &Overload) -> String {
    let parameters = std::array::from_fn(|_| Type::Dyn);
    let shown = |ty: &Ty| ty.instantiate(&parameters).to_string();
    let mut args: Vec<String> = overload.args.iter().map(shown).collect();
    if overload.member && !args.is_empty() {
        let target = args.remove(0);
        return format!("`{target}.{name}({})`", args.join(", "));
    }
    format!("`{name}({})`", args.join(", "))
}
