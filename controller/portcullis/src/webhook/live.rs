//! What is in force right now: one snapshot of policies and facts, swapped whole.

use crate::ops::metrics::VerdictCounters;
use arc_swap::{ArcSwapOption, Guard};
use portcullis_core::{Facts, PolicySet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One generation: what a request is decided by, from its beginning to its end.
#[derive(Debug)]
pub struct Generation {
    /// From 1, growing with each swap.
    pub number: u64,
    /// The policies.
    pub set: Arc<PolicySet>,
    /// Namespaces and params.
    pub facts: Arc<Facts>,
    /// What was wrong with resources, one line each.
    pub resource_problems: Vec<String>,
    /// When it came into force.
    pub since: jiff::Timestamp,
    /// Counters of its policies' verdicts.
    pub verdicts: VerdictCounters,
}

/// The generation in force, and whether we want requests at all.
#[derive(Debug, Default)]
pub struct Live {
    generation: ArcSwapOption<Generation>,
    draining: AtomicBool,
}

impl Live {
    /// The generation in force; `None` until the first is compiled.
    pub fn current(&self) -> Guard<Option<Arc<Generation>>> {
        self.generation.load()
    }

    /// Puts a generation into force.
    pub fn swap(&self, generation: Arc<Generation>) {
        self.generation.store(Some(generation));
    }

    /// From now on nobody should send requests, though they are answered still.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why we are not ready; `None` if we are.
    pub fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            Some("shutting down")
        } else if self.generation.load().is_none() {
            Some("the first policy set is not compiled yet")
        } else {
            None
        }
    }
}
