//! The immutable set of policies that a request is decided by.

use crate::decision::Decision;
use crate::document::{ConfigMap, DocumentError};
use crate::facts::Facts;
use crate::policy::{Class, PolicyInfo};
use crate::request::Request;
use std::sync::Arc;

/// What a set is made from: everything that was found at once.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Labelled ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
    /// Files and ConfigMaps that could not be read at all.
    pub failures: Vec<DocumentError>,
}

/// Compiled policies with their index. Never changed: a new one is swapped in whole.
#[derive(Debug, Default)]
pub struct PolicySet {
    entries: Vec<Entry>,
    problems: Vec<DocumentError>,
}

/// What is in force of one policy.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name, origin and texts.
    pub info: Arc<PolicyInfo>,
    /// Whether the document as it stands now is in force.
    pub state: State,
    /// Bindings by name with their class; empty for an inert policy.
    pub bindings: Vec<(Option<Arc<str>>, Class)>,
}

/// How the policy in force relates to what was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// What was read is in force.
    Loaded,
    /// What was read is broken; the version before stays in force.
    KeptOld,
    /// What was read is broken and there is no earlier version: matching requests are errors under the
    /// failure policy.
    Broken,
}

/// Which pairs (policy, binding) a request is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Every one.
    All,
    /// Those of one class.
    Of(Class),
}

impl PolicySet {
    /// Compiles what was found. Never fails: what is wrong is in [`problems`](Self::problems), and a policy
    /// that is broken now keeps its version from `previous`.
    pub fn compile(sources: &Sources, previous: Option<&Self>) -> Self {
        let _ = (sources, previous);
        Self::default()
    }

    /// What is in force, sorted by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was wrong with the sources, in their order.
    pub fn problems(&self) -> &[DocumentError] {
        &self.problems
    }

    /// Decides a request by the pairs asked for. `now` is what exceptions' expiry is compared with.
    pub fn decide(&self, pairs: Pairs, request: &Request, facts: &Facts, now: jiff::Timestamp) -> Decision {
        let _ = (pairs, request, facts, now);
        Decision::default()
    }
}
