//! Programs that are not CEL: what a policy may run in place of validations, behind traits that whoever runs them
//! implements.
//!
//! A module is loaded with its settings when policies are compiled, and called with a request's JSON, which holds what
//! the policy declares that it reads (`sdk/ABI.md` has the shape). What it replies becomes findings like those of
//! validations; it never learns of actions, bindings or exceptions.

use crate::decision::Reason;
use serde_json::Value as Json;
use std::fmt::Debug;
use std::sync::Arc;

/// A module's instructions that cost as much as one unit of CEL's cost.
pub const INSTRUCTIONS_PER_COST: u64 = 30;

/// At most so many parts may a module be delivered in.
pub const MAX_PARTS: usize = 8;

/// So many digits of its SHA-256 the keys of a module's parts carry.
pub const SHORT_DIGEST: usize = 16;

/// Makes programs of modules.
pub trait Modules: Debug + Send + Sync {
    /// Loads a module. Asked again, with the same, it answers the same or has got further; it keeps what it has until
    /// [`settle`](Self::settle).
    fn load(&self, source: &Source<'_>) -> Loading;

    /// A set of policies is complete: what was not asked for since the last time is needed no more.
    fn settle(&self);
}

/// A module as it was delivered, with its settings.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The policy that it is for.
    pub policy: &'a str,
    /// Its parts in order: raw or compressed, once they are put together.
    pub parts: &'a [Arc<[u8]>],
    /// The SHA-256 that the uncompressed module must have, in hexadecimal.
    pub sha256: Option<&'a str>,
    /// What the policy sets.
    pub settings: &'a Json,
    /// What it is given besides, as `wasm.reads` names it.
    pub reads: &'a [&'a str],
    /// The names of what the policy looks up.
    pub lookups: &'a [&'a str],
}

/// How far loading a module has come.
#[derive(Debug, Clone)]
pub enum Loading {
    /// It can run.
    Ready(Arc<dyn Module>),
    /// Not yet; whoever loads it says so when it is time to ask again.
    Pending,
    /// It is no policy, or does not accept its settings.
    Refused(Vec<Refusal>),
}

/// Something that is wrong with a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about: a path below `wasm`, such as `module` or `settings.patterns[0]`.
    pub field: String,
    /// What is wrong: lower case, one line, no final period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A program with its settings.
pub trait Module: Debug + Send + Sync {
    /// Whether it asks for each list that is looked up by its name, so that the request need not hold them.
    fn asks_for_lookups(&self) -> bool;

    /// Judges a request at no more than this cost, in CEL's units.
    fn validate(&self, input: Input, budget: u64) -> Run;
}

/// What a module is called with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The request as JSON.
    pub request: String,
    /// What was looked up, for a module that asks for it: names, and lists of objects as JSON.
    pub lookups: Vec<(String, String)>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The reply, or why there is none: lower case, one line, no final period.
    pub result: Result<Reply, String>,
    /// What it cost, in CEL's units.
    pub cost: u64,
}

/// What a module says of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// What is wrong; the request is allowed if there is none.
    pub violations: Vec<Violation>,
    /// What the requester is told besides.
    pub warnings: Vec<String>,
    /// Key (without prefix) and value.
    pub audit_annotations: Vec<(String, String)>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub message: String,
    /// Where in the object; empty if not known.
    pub field_path: String,
    /// What to do about it; the policy's own remedy if absent.
    pub remedy: Option<String>,
    /// The status reason.
    pub reason: Reason,
}
