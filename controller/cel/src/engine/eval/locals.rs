//! The variables that macros bring in.

use super::super::value::Value;
use super::Frame;

/// What a local variable holds.
#[derive(Clone, Default)]
pub(super) enum Local<'a> {
    #[default]
    Empty,
    Value(Value<'a>),
    /// A value whose cost is due when it is first read.
    Due {
        value: Value<'a>,
        cost: u64,
    },
}

impl<'a> Frame<'a, '_> {
    pub(super) fn slot(&mut self, slot: u32) -> Option<&mut Local<'a>> {
        self.locals.get_mut(slot as usize)
    }

    pub(super) fn set_local(&mut self, slot: u32, value: Value<'a>) {
        if let Some(found) = self.slot(slot) {
            *found = Local::Value(value);
        }
    }
}
