//! What an evaluation may cost: cel-go's units, and beside them memory and the comparing of large values,
//! which cel-go does not bound.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::failure::Failure;
use super::patterns::Kept;
use super::value::Value;

/// Memory that one evaluation may allocate, in bytes, all of it counted and none given back. In fact it takes up to
/// twice as much for a moment, where something is copied when it is whole.
const MAX_ALLOCATED: u64 = 16 << 20;
/// What each allocation takes beside its bytes.
const OVERHEAD: u64 = 32;
/// How many values one evaluation may visit inside operations whose cost does not depend on their size.
const MAX_VISITED: u64 = 4_000_000;

/// How many bytes of a text are read in the time of a value visited.
const READ_AT_ONCE: usize = 64;

/// The meter of one evaluation, or of several that share a budget.
#[derive(Debug)]
pub struct Meter {
    limit: u64,
    /// What is left for this and other evaluations together.
    shared: Option<Rc<Cell<u64>>>,
    cost: Cell<u64>,
    allocated: Cell<u64>,
    visited: Cell<u64>,
    /// None until one is compiled.
    patterns: RefCell<Option<Box<Kept>>>,
}

impl Meter {
    /// A meter that stops an evaluation once it costs more than `limit`.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            shared: None,
            cost: Cell::new(0),
            allocated: Cell::new(0),
            visited: Cell::new(0),
            patterns: RefCell::default(),
        }
    }

    /// The same, taking memory from what is left for several evaluations together, in bytes.
    #[must_use]
    pub fn with_memory(mut self, left: &Rc<Cell<u64>>) -> Self {
        self.shared = Some(Rc::clone(left));
        self
    }

    /// The cost up to now, in cel-go's units.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost.get()
    }

    /// The bytes allocated up to now.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.allocated.get()
    }

    /// Adds to the cost.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn charge(&self, units: u64) -> Result<(), Box<Failure>> {
        let cost = self.cost.get().saturating_add(units);
        self.cost.set(cost);
        if cost > self.limit { Err(Failure::cost()) } else { Ok(()) }
    }

    /// Takes back what cel-go takes back.
    pub(crate) fn refund(&self, units: u64) {
        self.cost.set(self.cost.get().saturating_sub(units));
    }

    /// The patterns that were compiled on the way.
    pub(crate) fn patterns(&self) -> &RefCell<Option<Box<Kept>>> {
        &self.patterns
    }

    /// Counts memory, before it is allocated.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn allocate(&self, bytes: usize) -> Result<(), Box<Failure>> {
        let bytes = (bytes as u64).saturating_add(OVERHEAD);
        let allocated = self.allocated.get().saturating_add(bytes);
        self.allocated.set(allocated);
        let mut exhausted = allocated > MAX_ALLOCATED;
        if let Some(left) = &self.shared {
            exhausted |= bytes > left.get();
            left.set(left.get().saturating_sub(bytes));
        }
        if exhausted { Err(Failure::memory()) } else { Ok(()) }
    }

    /// Counts the memory of a list of so many elements.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn allocate_list(&self, elements: usize) -> Result<(), Box<Failure>> {
        self.allocate(elements.saturating_mul(size_of::<Value<'_>>()))
    }

    /// Counts a text that is read by an operation whose cost does not depend on its length.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn read(&self, text: &str) -> Result<(), Box<Failure>> {
        self.visit(text.len() / READ_AT_ONCE)
    }

    /// Counts values visited.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn visit(&self, values: usize) -> Result<(), Box<Failure>> {
        let visited = self.visited.get().saturating_add(values as u64);
        self.visited.set(visited);
        if visited > MAX_VISITED { Err(Failure::work()) } else { Ok(()) }
    }
}
