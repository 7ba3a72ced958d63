//! What was decided: one outcome per policy, binding and param, with its reasons, before enforcement.

use crate::facts::Sought;
use crate::policy::{Actions, FailurePolicy, PolicyInfo};
use portcullis_cel::AccessReview;
use std::sync::Arc;

/// Everything that was found out about one request, in a stable order: by policy, binding and param.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// One entry per pair (policy, binding) and param that matched. Pairs that do not match are not listed.
    pub outcomes: Vec<Outcome>,
    /// What the authorizer was asked in vain. The verdicts that depend on it are undecidable; whoever can find
    /// out has the request decided again, at most [`MAX_ROUNDS`](crate::authorization::MAX_ROUNDS) times in all.
    pub unanswered: Vec<AccessReview>,
    /// What was looked up by its name in vain, and taken not to exist. Whoever can find out whether that is so has
    /// the request decided again, as for the authorizer.
    pub sought: Vec<Sought>,
}

/// The result of one policy under one binding with one param.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Name, title, severity, remedy and origin of the policy.
    pub policy: Arc<PolicyInfo>,
    /// The binding; `None` for a Policy's implicit one.
    pub binding: Option<Arc<str>>,
    /// The param object's `namespace/name`, where `paramRef` found one.
    pub param: Option<String>,
    /// What a failure leads to.
    pub actions: Actions,
    /// What an error leads to.
    pub failure_policy: FailurePolicy,
    /// The verdict before enforcement.
    pub verdict: Verdict,
    /// Violations and errors, in the order of the policy's validations, then of the elements. At most
    /// [`MAX_FINDINGS`] are listed.
    pub findings: Vec<Finding>,
    /// How many violations beyond [`MAX_FINDINGS`] there were.
    pub omitted: usize,
    /// What a module asked to be told to the requester.
    pub warnings: Vec<String>,
    /// Audit annotations that the policy asked for: key (without prefix) and value.
    pub audit_annotations: Vec<(String, String)>,
}

/// At most this many findings are listed per outcome; the rest are counted.
pub const MAX_FINDINGS: usize = 50;

/// The verdict of one policy under one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every validation holds.
    Allow,
    /// At least one validation does not hold.
    Deny,
    /// Something could not be evaluated, and nothing is violated.
    Error,
    /// Matched, but not judged.
    Skip(Skip),
    /// What is needed is not known here: each entry names one missing thing. Never a denial in an audit or
    /// a check; at admission an error under the failure policy.
    Undecidable(Vec<String>),
}

/// Why a policy that matched was not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// A PolicyException covers the request: its name and reason.
    Exception {
        /// The PolicyException's name.
        name: String,
        /// Its `reason`.
        reason: String,
    },
    /// The update changes nothing that the policy reads (`onUpdate: Changed`).
    Unchanged,
    /// The object is being deleted, and the update only releases it.
    BeingDeleted,
    /// A matchCondition is false: its name.
    Condition(String),
    /// `parameterNotFoundAction: Allow` and no param.
    NoParam,
}

/// One reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Violation or error.
    pub kind: FindingKind,
    /// What is wrong, one line, as the policy says it.
    pub message: String,
    /// Where in the object, such as `spec.containers[0].image`; empty if not known.
    pub field_path: String,
    /// What to do about it, if that is not what the policy says of all its violations.
    pub remedy: Option<String>,
    /// The status reason that the policy asks for.
    pub reason: Reason,
    /// Which of the policy's validations, from 0; `None` for errors outside them.
    pub validation: Option<usize>,
}

/// What kind of reason a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// A validation is false.
    Violation,
    /// Something could not be evaluated; follows the failure policy, then the actions.
    Error,
    /// The policy could not be applied (missing params, an audit annotation that fails): under
    /// `failurePolicy: Fail` of a ValidatingAdmissionPolicy this denies whatever the actions are.
    Configuration,
}

/// The machine-readable reason of a denial (`metav1.StatusReason`), and its HTTP code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reason {
    /// 422, the default.
    #[default]
    Invalid,
    /// 403.
    Forbidden,
    /// 413.
    RequestEntityTooLarge,
    /// 401.
    Unauthorized,
}

impl Reason {
    /// The reason as `metav1.Status` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::Forbidden => "Forbidden",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::Unauthorized => "Unauthorized",
        }
    }

    /// The HTTP code that goes with it.
    pub fn code(self) -> u16 {
        match self {
            Self::Invalid => 422,
            Self::Forbidden => 403,
            Self::RequestEntityTooLarge => 413,
            Self::Unauthorized => 401,
        }
    }
}
