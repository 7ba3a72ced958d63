//! From a decision to what the requester is told: the one place where Deny, Warn and Audit differ.

use crate::decision::{Decision, Reason};

/// Where a decision is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A real admission request: what is undecidable is an error under the failure policy.
    Admission,
    /// A file under check or an object under audit: what is undecidable never denies.
    Offline,
}

/// What the requester is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the request may proceed.
    pub allowed: bool,
    /// Every reason for a denial, strongest first in the order of the decision; empty if allowed.
    pub denials: Vec<Cause>,
    /// What the requester is warned about, already within Kubernetes' limits.
    pub warnings: Vec<String>,
    /// Audit annotations (key without a `/`, value), sorted by key.
    pub audit_annotations: Vec<(String, String)>,
}

/// One reason for a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The policy that denies.
    pub policy: String,
    /// The whole line: policy, field path, problem and remedy.
    pub message: String,
    /// Where in the object; empty if not known.
    pub field_path: String,
    /// The status reason.
    pub reason: Reason,
}

/// Applies the actions of each outcome. With `audit_only` nothing denies and nothing warns.
pub fn enforce(decision: &Decision, door: Door, audit_only: bool) -> Answer {
    let _ = (decision, door, audit_only);
    Answer { allowed: true, denials: Vec::new(), warnings: Vec::new(), audit_annotations: Vec::new() }
}
