//! The values that a program's variables have in one evaluation.

use std::fmt;
use std::rc::Rc;

use super::environment::Environment;
use super::failure::Failure;
use super::value::Value;

/// An object whose fields are computed when they are first read, and kept by whoever implements this.
pub trait Lazy<'a> {
    /// The value of a field, the failure it is, or none if there is no such field.
    fn field(&self, name: &str) -> Option<Result<Value<'a>, Box<Failure>>>;
}

/// The values of the variables of an [`Environment`].
#[derive(Clone, Debug)]
pub struct Bindings<'a> {
    environment: Environment,
    slots: Vec<Slot<'a>>,
}

#[derive(Clone)]
pub(crate) enum Slot<'a> {
    Absent,
    Value(Value<'a>),
    Lazy(Rc<dyn Lazy<'a> + 'a>),
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Value(value) => value.fmt(f),
            Self::Lazy(_) => f.write_str("Lazy"),
        }
    }
}

impl<'a> Bindings<'a> {
    /// No variable has a value yet.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let slots = environment.variables().iter().map(|_| Slot::Absent).collect();
        Self { environment: environment.clone(), slots }
    }

    /// Gives a declared variable a value; one that is not declared is ignored.
    pub fn set(&mut self, name: &str, value: Value<'a>) {
        self.put(name, Slot::Value(value));
    }

    /// Gives a declared variable fields that are computed when they are first read. Such a variable can be
    /// selected from, but not used as a whole.
    pub fn set_lazy(&mut self, name: &str, object: Rc<dyn Lazy<'a> + 'a>) {
        self.put(name, Slot::Lazy(object));
    }

    fn put(&mut self, name: &str, value: Slot<'a>) {
        let index = self.environment.index(name);
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index as usize)) {
            *slot = value;
        }
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot<'a> {
        self.slots.get(index as usize).unwrap_or(&Slot::Absent)
    }

    pub(crate) fn name(&self, index: u32) -> &str {
        self.environment.variable(index).map_or("", |variable| &variable.name)
    }
}
