//! The variables that macros bring in. A few need no memory of their own.

use super::super::value::Value;

/// How many variables are kept inline.
const INLINE: usize = 6;

/// The values of local variables by slot.
pub(super) struct Locals<'a> {
    inline: [Local<'a>; INLINE],
    more: Vec<Local<'a>>,
}

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

impl<'a> Locals<'a> {
    pub(super) fn new(count: u32) -> Self {
        let more = (count as usize).saturating_sub(INLINE);
        Self { inline: Default::default(), more: vec![Local::Empty; more] }
    }

    pub(super) fn slot(&mut self, slot: u32) -> Option<&mut Local<'a>> {
        let slot = slot as usize;
        match self.inline.get_mut(slot) {
            Some(found) => Some(found),
            None => self.more.get_mut(slot - INLINE),
        }
    }

    pub(super) fn set(&mut self, slot: u32, value: Value<'a>) {
        if let Some(found) = self.slot(slot) {
            *found = Local::Value(value);
        }
    }
}
