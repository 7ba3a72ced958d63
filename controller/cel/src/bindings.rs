//! The values a program's variables have in one evaluation.

use crate::value::Value;

/// Names and their values. Cloning copies a few words for each name.
#[derive(Clone, Debug, Default)]
pub struct Bindings<'a> {
    entries: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Bindings<'a> {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `name` a value, replacing the one it had.
    pub fn set(&mut self, name: &'a str, value: Value<'a>) {
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.entries.push((name, value)),
        }
    }

    /// The value of `name`, if it has one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Value<'a>> {
        self.entries.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}
