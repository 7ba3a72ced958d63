//! Macros: the types of the variables they bring in, and of what they make.

use super::super::ast::{Expr, Fold, FoldKind, OptMap};
use super::super::library::SORT_BY_KEYS;
use super::super::types::Type;
use super::{Checker, Local, Resolved};

impl Checker<'_> {
    /// Makes a local variable known.
    fn bring_in(&mut self, name: &str, of: Type) -> u32 {
        let slot = self.locals;
        self.locals += 1;
        self.scope.push(Local { name: name.into(), slot, of });
        slot
    }

    pub(super) fn check_fold(&mut self, expr: &Expr, fold: &Fold) -> Type {
        let range = self.check(&fold.range);
        let (first, second) = self.range_types(&fold.range, &range);
        let outer = self.scope.len();
        let (var, var2) = match &fold.var2 {
            None => (self.bring_in(&fold.var, element_of(&range, &first, &second)), None),
            Some(name) => {
                let var = self.bring_in(&fold.var, first.clone());
                (var, Some(self.bring_in(name, second)))
            }
        };
        self.resolve_to(expr, Resolved::Scope { var, var2 });
        let filter = fold.filter.as_ref().map(|filter| self.check(filter));
        let result = self.check_body(expr, fold, &range, &first);
        self.scope.truncate(outer);
        if let Some(filter) = filter {
            self.check_operator(expr, "_?_:_", &[filter, result.clone(), result.clone()]);
        }
        // The conditional above is not what the node refers to.
        self.resolve_to(expr, Resolved::Scope { var, var2 });
        // What is learned of its variables outside does not change what it is, as in cel-go.
        self.substitution.resolve(&result, false)
    }

    /// The types of index or key, and of element or value.
    fn range_types(&mut self, range: &Expr, found: &Type) -> (Type, Type) {
        match self.substitution.resolve(found, false) {
            Type::List(element) => (Type::Int, (*element).clone()),
            Type::Map(map) => (map.0.clone(), map.1.clone()),
            Type::Object(object) if object.entries().is_some() => {
                (Type::String, object.entries().cloned().unwrap_or(Type::Dyn))
            }
            unknown @ (Type::Dyn | Type::Error | Type::Variable(_)) => {
                self.substitution.assignable(&Type::Dyn, &unknown);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(range.at, message);
                (Type::Error, Type::Error)
            }
        }
    }

    fn check_body(&mut self, expr: &Expr, fold: &Fold, range: &Type, first: &Type) -> Type {
        match fold.kind {
            FoldKind::All | FoldKind::Exists => {
                self.check_bool(&fold.body);
                Type::Bool
            }
            FoldKind::ExistsOne => {
                let predicate = self.check(&fold.body);
                self.check_operator(expr, "_?_:_", &[predicate, Type::Int, Type::Int]);
                Type::Bool
            }
            FoldKind::List => Type::list(self.check(&fold.body)),
            FoldKind::SortBy => {
                let keys = Type::list(self.check(&fold.body));
                let types = [self.substitution.resolve(range, false), keys];
                self.check_method(expr, SORT_BY_KEYS, &types)
            }
            FoldKind::Map => Type::map(first.clone(), self.check(&fold.body)),
            FoldKind::MapEntry => {
                let entry = self.check(&fold.body);
                let map = Type::map(self.substitution.fresh(), self.substitution.fresh());
                if !self.substitution.assignable(&entry, &map) {
                    let entry = self.substitution.resolve(&entry, true);
                    let signature = format!("(map(dyn, dyn), {entry})");
                    self.report(
                        expr.at,
                        format!("found no matching overload for 'cel.@mapInsert' applied to '{signature}'"),
                    );
                }
                self.substitution.resolve(&map, false)
            }
        }
    }

    pub(super) fn check_opt_map(&mut self, expr: &Expr, map: &OptMap) -> Type {
        let target = self.check(&map.target);
        let value = self.substitution.fresh();
        if !self.substitution.assignable(&target, &Type::optional(value.clone())) {
            let target = self.substitution.resolve(&target, true);
            self.report(
                expr.at,
                format!("found no matching overload for 'hasValue' applied to '{target}.()'"),
            );
        }
        let outer = self.scope.len();
        let value = self.substitution.resolve(&value, false);
        let var = self.bring_in(&map.var, value);
        let body = self.check(&map.body);
        let body = self.substitution.resolve(&body, false);
        self.scope.truncate(outer);
        let present = if map.flat { body } else { Type::optional(body) };
        let absent = Type::optional(self.substitution.fresh());
        let result = self.check_operator(expr, "_?_:_", &[Type::Bool, present, absent]);
        self.resolve_to(expr, Resolved::Scope { var, var2: None });
        result
    }
}

/// What the only variable of a macro is: an element, or the key of a map.
fn element_of(range: &Type, first: &Type, second: &Type) -> Type {
    match (range, first) {
        (Type::Map(_) | Type::Object(_), key) => key.clone(),
        (_, Type::Dyn | Type::Error) => first.clone(),
        _ => second.clone(),
    }
}
