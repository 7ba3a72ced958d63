//! Which types agree, and what that tells about types still unknown; after cel-go's `checker/types.go`.

use std::sync::Arc;

use super::types::Type;

/// What is known of type variables, with a trail by which a failed attempt is undone.
#[derive(Debug, Default)]
pub(crate) struct Substitution {
    bound: Vec<Option<Type>>,
    trail: Vec<(usize, Option<Type>)>,
}

impl Substitution {
    /// A type variable of which nothing is known.
    pub(crate) fn fresh(&mut self) -> Type {
        let number = u32::try_from(self.bound.len()).unwrap_or(u32::MAX);
        self.bound.push(None);
        Type::Variable(number)
    }

    /// Whether the first type can be used where the second is wanted. Only then is anything learnt.
    pub(crate) fn assignable(&mut self, from: &Type, to: &Type) -> bool {
        self.attempt(|this| this.assign(from, to))
    }

    /// The same for lists of types, such as the arguments of a call.
    pub(crate) fn all_assignable(&mut self, from: &[Type], to: &[Type]) -> bool {
        self.attempt(|this| this.assign_all(from, to))
    }

    /// Replaces what is known; what is not becomes `dyn` when `to_dyn` is set.
    pub(crate) fn resolve(&self, of: &Type, to_dyn: bool) -> Type {
        match of {
            Type::Variable(number) => match self.binding(*number) {
                Some(known) => self.resolve(known, to_dyn),
                None if to_dyn => Type::Dyn,
                None => of.clone(),
            },
            Type::List(element) => Type::list(self.resolve(element, to_dyn)),
            Type::Map(map) => Type::map(self.resolve(&map.0, to_dyn), self.resolve(&map.1, to_dyn)),
            Type::Type(Some(named)) => Type::type_of(self.resolve(named, to_dyn)),
            Type::Opaque(name, parameters) => {
                let parameters: Vec<Type> =
                    parameters.iter().map(|parameter| self.resolve(parameter, to_dyn)).collect();
                Type::Opaque(name, Arc::from(parameters))
            }
            other => other.clone(),
        }
    }

    fn attempt(&mut self, attempt: impl FnOnce(&mut Self) -> bool) -> bool {
        self.trail.clear();
        let agreed = attempt(self);
        if !agreed {
            while let Some((number, before)) = self.trail.pop() {
                if let Some(slot) = self.bound.get_mut(number) {
                    *slot = before;
                }
            }
        }
        agreed
    }

    fn binding(&self, number: u32) -> Option<&Type> {
        self.bound.get(number as usize)?.as_ref()
    }

    fn bind(&mut self, number: u32, to: Type) {
        if let Some(slot) = self.bound.get_mut(number as usize) {
            self.trail.push((number as usize, slot.replace(to)));
        }
    }

    fn assign_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.assign(from, to))
    }

    fn assign(&mut self, from: &Type, to: &Type) -> bool {
        if let Type::Variable(number) = to {
            let (valid, bound) = self.substitutes(from, *number);
            if valid || bound {
                return valid;
            }
        }
        if let Type::Variable(number) = from {
            return self.substitutes(to, *number).0;
        }
        if from.is_dyn_or_error() || to.is_dyn_or_error() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(from), Type::List(to)) => self.assign(from, to),
            (Type::Map(from), Type::Map(to)) => self.assign(&from.0, &to.0) && self.assign(&from.1, &to.1),
            (Type::Object(from), Type::Map(to)) => {
                from.entries().is_some_and(|of| self.assign(&Type::String, &to.0) && self.assign(of, &to.1))
            }
            (Type::Map(from), Type::Object(to)) => {
                to.entries().is_some_and(|of| self.assign(&from.0, &Type::String) && self.assign(&from.1, of))
            }
            (Type::Opaque(from_name, from), Type::Opaque(to_name, to)) => {
                from_name == to_name && self.assign_all(from, to)
            }
            (from, to) => from.same(to, true),
        }
    }

    /// Whether a type is a valid substitution for a variable, and whether that had one before.
    fn substitutes(&mut self, candidate: &Type, number: u32) -> (bool, bool) {
        if matches!(candidate, Type::Variable(other) if *other == number) {
            return (true, true);
        }
        let Some(known) = self.binding(number).cloned() else {
            let free = self.free_of(number, candidate);
            if free {
                self.bind(number, candidate.clone());
            }
            return (free, false);
        };
        if candidate.same(&known, true) {
            return (true, true);
        }
        if !self.assign(candidate, &known) {
            return (false, true);
        }
        let general = most_general(candidate, &known).clone();
        if self.free_of(number, &general) {
            self.bind(number, general);
        }
        (true, true)
    }

    /// Whether a variable does not occur in a type.
    fn free_of(&self, number: u32, within: &Type) -> bool {
        match within {
            Type::Variable(other) if *other == number => false,
            Type::Variable(other) => self.binding(*other).is_none_or(|known| self.free_of(number, known)),
            Type::List(element) => self.free_of(number, element),
            Type::Map(map) => self.free_of(number, &map.0) && self.free_of(number, &map.1),
            Type::Type(Some(named)) => self.free_of(number, named),
            Type::Opaque(_, parameters) => parameters.iter().all(|parameter| self.free_of(number, parameter)),
            _ => true,
        }
    }
}

/// Whether null is a value of the type, by cel-go's older rule too.
fn nullable(of: &Type) -> bool {
    matches!(
        of,
        Type::Null
            | Type::Nullable(_)
            | Type::Opaque(..)
            | Type::Object(_)
            | Type::Duration
            | Type::Timestamp
            | Type::Dyn
    )
}

/// The more general of two types that agree.
pub(crate) fn most_general<'t>(one: &'t Type, two: &'t Type) -> &'t Type {
    if equal_or_less_specific(one, two) { one } else { two }
}

fn equal_or_less_specific(one: &Type, two: &Type) -> bool {
    match (one, two) {
        (Type::Dyn | Type::Variable(_), _) => true,
        (_, Type::Dyn | Type::Variable(_)) => false,
        (Type::Opaque(one, of_one), Type::Opaque(two, of_two)) => {
            one == two
                && of_one.len() == of_two.len()
                && of_one.iter().zip(of_two.iter()).all(|(one, two)| equal_or_less_specific(one, two))
        }
        (Type::List(one), Type::List(two)) => equal_or_less_specific(one, two),
        (Type::Map(one), Type::Map(two)) => {
            equal_or_less_specific(&one.0, &two.0) && equal_or_less_specific(&one.1, &two.1)
        }
        (Type::Type(_), Type::Type(_)) => true,
        (one, two) => one.same(two, true),
    }
}
