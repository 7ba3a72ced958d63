//! The budget of an evaluation: how much of the request it may read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::EvaluationError;

/// A limit on what evaluations may read, shared by all the programs that are run against it.
///
/// Every field or element read from bound data, and every element iterated over or compared, costs one
/// unit. Once the limit is passed, each evaluation against it fails, whatever its expression absorbs.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    spent: AtomicU64,
}

impl Budget {
    /// A budget of `limit` units.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, spent: AtomicU64::new(0) }
    }

    /// The units spent up to now.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Spends `units`; an error once the limit is passed.
    pub(crate) fn charge(&self, units: u64) -> Result<(), EvaluationError> {
        let before = self.spent.fetch_add(units, Ordering::Relaxed);
        if before.saturating_add(units) > self.limit { Err(EvaluationError::budget()) } else { Ok(()) }
    }

    pub(crate) fn is_overrun(&self) -> bool {
        self.spent() > self.limit
    }
}
