//! Suites: the cases that a policy brings along, what each expects, and what came out.
//!
//! A case is decided twice: as an admission request, with a user and the old object, and offline, as check
//! and audit see the object: nobody asks, and nothing is known of what was there before.

mod authorizations;
mod fields;
mod read;
mod request;
mod run;

pub use authorizations::Rules;
pub use read::{Loaded, load};
pub use request::user;
pub use run::{expect_of, run, with_params};

use crate::report::model::{Place, Problem};
use portcullis_core::matching::Resources;
use portcullis_core::request::Operation;
use portcullis_core::{Facts, Request};
use regex::Regex;
use serde::Serialize;
use serde_json::Value as Json;
use std::path::PathBuf;
use std::sync::Arc;

/// A `Suite` document as read, its samples included.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The file it stands in.
    pub file: PathBuf,
    /// Files and directories that hold the policies under test: `policies`, by default the `policy.yaml`
    /// beside the suite.
    pub policies: Vec<PathBuf>,
    /// The cases that could be read, in the order of the file.
    pub cases: Vec<Case>,
    /// What is wrong with the other cases.
    pub problems: Vec<Problem>,
}

/// One case of a suite.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique within the suite.
    pub name: String,
    /// Where the case begins.
    pub place: Place,
    /// The request as the webhook would get it: with a user, and with the old object on UPDATE.
    pub request: Request,
    /// The file of the object, where the case names one.
    pub object_file: Option<PathBuf>,
    /// Replaces the policy's inline `params` for this case.
    pub params: Option<Json>,
    /// Namespaces, params and definitions that the policies may look at. The request's Namespace is among
    /// them: without labels of its own if the case gives none.
    pub resources: Vec<Json>,
    /// What the authorizer allows; `None` where the case does not say, and nothing is known of its answers.
    pub authorizations: Option<Arc<Rules>>,
    /// Looks at this policy only; `None` at all that the suite tests.
    pub policy: Option<String>,
    /// The verdict at admission.
    pub expect: Expect,
    /// The verdict of check and audit. `None` where the case gives what only admission knows (a user, an old
    /// object, a whole request) and does not say.
    pub expect_offline: Option<Expect>,
    /// Must be found in one of the messages.
    pub message: Option<Regex>,
}

/// A verdict that a case can expect, of all policies together the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// A validation fails and the action is Deny.
    Deny,
    /// Something cannot be evaluated.
    Error,
    /// Offline only: what is needed is not known.
    Undecidable,
    /// A validation fails and the action is Warn.
    Warn,
    /// A validation fails and the action is Audit.
    Audit,
    /// The policy matches and does not judge.
    Skip,
    /// Every validation holds, or nothing matches.
    Allow,
}

impl Expect {
    /// Every verdict.
    pub const ALL: [Self; 7] =
        [Self::Allow, Self::Deny, Self::Warn, Self::Audit, Self::Skip, Self::Error, Self::Undecidable];

    /// As suites spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Error => "error",
            Self::Undecidable => "undecidable",
            Self::Warn => "warn",
            Self::Audit => "audit",
            Self::Skip => "skip",
            Self::Allow => "allow",
        }
    }
}

impl Case {
    /// What the policies may look at. Offline nobody knows whether that is everything, and nobody answers for
    /// the authorizer.
    pub fn facts(&self, complete: bool) -> Facts {
        let mut facts = Facts::new(complete);
        if let Some(rules) = self.authorizations.as_ref().filter(|_| complete) {
            facts.set_authorizer(Arc::<Rules>::clone(rules));
        }
        self.resources.iter().cloned().for_each(|object| facts.add(object));
        facts
    }

    /// The request as check and audit make it from the object alone.
    pub fn offline_request(&self) -> Request {
        let mut resources = Resources::new();
        for object in &self.resources {
            resources.add_crd(object);
        }
        Request::for_object(self.request.object.to_json(), &resources, Operation::Create)
    }
}

/// What came out of a suite.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuiteReport {
    /// The suite's file.
    pub suite: String,
    /// What is wrong with cases that could not be run.
    pub problems: Vec<Problem>,
    /// What is wrong with the policies: then no case was run.
    pub invalid_policies: Vec<Problem>,
    /// One per case that was run.
    pub cases: Vec<CaseReport>,
}

/// What came out of a case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseReport {
    /// The case's name.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// The verdict at admission.
    pub actual: Expect,
    /// The verdict of check and audit; `None` where the case does not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_offline: Option<Expect>,
    /// Which expectations were not met; none if the case passed.
    pub failures: Vec<String>,
    /// What the policies said, for a case that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

impl SuiteReport {
    /// Whether every case could be run and passed.
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
            && self.invalid_policies.is_empty()
            && self.cases.iter().all(CaseReport::passed)
    }
}

impl CaseReport {
    /// Whether every expectation was met.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}
