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

/// How many variables need no memory of their own.
const INLINE: usize = 14;

/// The values of the variables of an [`Environment`].
#[derive(Clone, Debug)]
pub struct Bindings<'a> {
    environment: Environment,
    inline: [Slot<'a>; INLINE],
    more: Vec<Slot<'a>>,
}

/// Where the bindings of an [`Environment`] keep a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub(crate) u32);

#[derive(Clone, Default)]
pub(crate) enum Slot<'a> {
    #[default]
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
        let more = environment.variables().len().saturating_sub(INLINE);
        let more = std::iter::repeat_n(Slot::Absent, more).collect();
        Self { environment: environment.clone(), inline: Default::default(), more }
    }

    /// Gives a declared variable a value; one that is not declared is ignored.
    pub fn set(&mut self, name: &str, value: Value<'a>) {
        self.put(name, Slot::Value(value));
    }

    /// Gives the variable at a place a value. The place must be one of the environment's own.
    pub fn set_at(&mut self, place: Place, value: Value<'a>) {
        self.put_at(place, Slot::Value(value));
    }

    /// Gives a declared variable fields that are computed when they are first read. Such a variable can be
    /// selected from, but not used as a whole.
    pub fn set_lazy(&mut self, name: &str, object: Rc<dyn Lazy<'a> + 'a>) {
        self.put(name, Slot::Lazy(object));
    }

    fn put(&mut self, name: &str, value: Slot<'a>) {
        if let Some(place) = self.environment.place(name) {
            self.put_at(place, value);
        }
    }

    fn put_at(&mut self, Place(index): Place, value: Slot<'a>) {
        let index = index as usize;
        let slot = match self.inline.get_mut(index) {
            Some(slot) => Some(slot),
            None => self.more.get_mut(index - INLINE),
        };
        if let Some(slot) = slot {
            *slot = value;
        }
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot<'a> {
        let index = index as usize;
        match self.inline.get(index) {
            Some(slot) => slot,
            None => self.more.get(index - INLINE).unwrap_or(&Slot::Absent),
        }
    }

    pub(crate) fn name(&self, index: u32) -> &str {
        self.environment.variable(index).map_or("", |variable| &variable.name)
    }
}
