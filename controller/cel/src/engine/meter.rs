//! What an evaluation may cost: cel-go's units, and beside them memory and the comparing of large values,
//! which cel-go does not bound.

use std::cell::Cell;

use super::failure::Failure;
use super::value::Value;

/// Memory that one evaluation may allocate, in bytes, all of it counted and none given back.
const MAX_ALLOCATED: u64 = 32 << 20;
/// How many values one evaluation may visit inside operations whose cost does not depend on their size.
const MAX_VISITED: u64 = 4_000_000;

/// The meter of one evaluation, or of several that share a budget.
#[derive(Debug)]
pub struct Meter {
    limit: u64,
    cost: Cell<u64>,
    allocated: Cell<u64>,
    visited: Cell<u64>,
}

impl Meter {
    /// A meter that stops an evaluation once it costs more than `limit`.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, cost: Cell::new(0), allocated: Cell::new(0), visited: Cell::new(0) }
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

    /// Counts memory, before it is allocated.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn allocate(&self, bytes: usize) -> Result<(), Box<Failure>> {
        let allocated = self.allocated.get().saturating_add(bytes as u64);
        self.allocated.set(allocated);
        if allocated > MAX_ALLOCATED { Err(Failure::memory()) } else { Ok(()) }
    }

    /// Counts the memory of a list of so many elements.
    ///
    /// # Errors
    /// The limit is passed.
    pub fn allocate_list(&self, elements: usize) -> Result<(), Box<Failure>> {
        self.allocate(elements.saturating_mul(size_of::<Value<'_>>()))
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
