//! What check and audit found, as values: no colours, columns or wording of a format.
//!
//! The serialised form is part of the JSON documents (`report/json.rs`), so its field names are stable.

use super::counts::Totals;
use portcullis_core::document::DocumentError;
use portcullis_core::yaml::Position;
use serde::Serialize;
use std::fmt;

/// What a policy's failure leads to, or why there is none; from the gravest to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The request would be denied.
    Deny,
    /// The requester would be warned.
    Warn,
    /// The failure would be recorded.
    Audit,
    /// An error that `failurePolicy: Ignore` lets pass.
    Ignore,
    /// What the policy needs is not known here.
    Undecidable,
    /// The policy matches but does not judge: an exception, a condition.
    Skip,
    /// Every validation holds.
    Pass,
}

impl Action {
    /// Every action, from the gravest to the least.
    pub const ALL: [Self; 7] =
        [Self::Deny, Self::Warn, Self::Audit, Self::Ignore, Self::Undecidable, Self::Skip, Self::Pass];

    /// The word that people and programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Audit => "audit",
            Self::Ignore => "ignore",
            Self::Undecidable => "undecidable",
            Self::Skip => "skip",
            Self::Pass => "pass",
        }
    }
}

/// A place in an input file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// The file as the user named it; `<stdin>` for standard input.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name, or `generateName` with a `*` for what the server appends.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name, .. } = self;
        let separator = if namespace.is_empty() { "" } else { "/" };
        write!(f, "{kind} {namespace}{separator}{name}")
    }
}

/// One reason for a result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whether something could not be evaluated, rather than being violated.
    pub error: bool,
    /// What is wrong, one line.
    pub message: String,
    /// Where in the object; empty if not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
    /// Where in the file: of the field, or of what is nearest to it; `None` for an object of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What one policy says of one object, under one binding and param.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The policy's name.
    pub policy: String,
    /// The binding; `None` for a Policy's implicit one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// The param object's `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// What follows from it.
    pub action: Action,
    /// Violations and errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many findings beyond those listed there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
    /// What would have to be known, where undecidable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    /// The policy's remedy, where something is violated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Why a policy that matches did not judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "because")]
pub enum Skipped {
    /// A PolicyException covers it.
    Exception {
        /// The PolicyException's name.
        name: String,
        /// Its reason.
        reason: String,
    },
    /// A match condition is false.
    Condition {
        /// The condition's name.
        name: String,
    },
    /// The update changes nothing that the policy reads.
    Unchanged,
    /// The object is being deleted, and the update only releases it.
    BeingDeleted,
    /// The binding's params do not exist, which it allows.
    NoParam,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception { name, reason } if reason.is_empty() => write!(f, "exception `{name}`"),
            Self::Exception { name, reason } => write!(f, "exception `{name}`: {reason}"),
            Self::Condition { name } => write!(f, "match condition `{name}` is false"),
            Self::Unchanged => f.write_str("the update changes nothing that the policy reads"),
            Self::BeingDeleted => f.write_str("the object is being deleted"),
            Self::NoParam => f.write_str("no params, which the binding allows"),
        }
    }
}

/// What every policy says of one object.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Which object.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Where it begins; `None` in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// One per policy, binding and param that matched, in the decision's order.
    pub judgements: Vec<Judgement>,
}

/// A policy or an input that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, if it is a place in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What is wrong, one line.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of no place in particular.
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), hint: None }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<&DocumentError> for Problem {
    fn from(error: &DocumentError) -> Self {
        let place = match (&error.origin.file, error.file_position) {
            (Some(file), Some(Position { line, column })) => Some(Place { file: file.clone(), line, column }),
            _ => None,
        };
        // The error names its place by itself; a problem keeps it apart.
        let bare = Self { place, message: String::new(), hint: error.hint.clone() };
        let whole = error.to_string();
        let message = whole.strip_prefix(&bare.to_string()).unwrap_or(&whole).to_owned();
        Self { message, ..bare }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, column }) = &self.place {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that one run of check or audit found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Objects with something to tell, in the order in which they were judged, and of their judgements those
    /// alone.
    pub objects: Vec<Judged>,
    /// How much was found, told or not.
    pub counts: Totals,
    /// How many objects are told of each policy; more are counted only. `None` for all.
    pub most: Option<usize>,
    /// The policies that judged, by name; also those that matched nothing.
    pub policies: Vec<PolicyRef>,
    /// Policies that are invalid.
    pub invalid_policies: Vec<Problem>,
    /// Files, documents and kinds that could not be read.
    pub unreadable: Vec<Problem>,
    /// What else a reader has to know of what was judged.
    pub notes: Vec<String>,
}

/// What a report says about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// Its title, if it has one.
    pub title: Option<String>,
    /// Its severity, if it has one.
    pub severity: Option<String>,
}

impl Action {
    /// Whether it is a failure that `[Deny]` would deny, whatever it leads to now.
    pub fn fails(self) -> bool {
        self < Self::Ignore
    }
}

impl Report {
    /// Takes in what was found of one object.
    pub fn take(&mut self, mut judged: Judged) {
        self.counts.add(&judged);
        judged.judgements.retain(Judgement::is_notable);
        self.list(judged);
    }

    /// Takes in what another report found of objects.
    pub fn absorb(&mut self, other: Self) {
        self.counts.absorb(other.counts);
        other.objects.into_iter().for_each(|judged| self.list(judged));
        self.unreadable.extend(other.unreadable);
        self.notes.extend(other.notes);
    }

    fn list(&mut self, mut judged: Judged) {
        if let Some(most) = self.most {
            judged.judgements.retain(|judgement| self.counts.may_list(&judgement.policy, most));
        }
        if !judged.judgements.is_empty() {
            self.objects.push(judged);
        }
    }

    /// Every judgement that is told, with its object.
    pub fn judgements(&self) -> impl Iterator<Item = (&Judged, &Judgement)> {
        self.objects.iter().flat_map(|judged| judged.judgements.iter().map(move |each| (judged, each)))
    }
}

impl Judgement {
    /// Whether a reader wants to see it: failures, what is undecidable, and exceptions taken. Passes are counted
    /// only, and so are skips that are a policy's own choice.
    pub fn is_notable(&self) -> bool {
        match (self.action, &self.skipped) {
            (Action::Pass, _) => false,
            (Action::Skip, skipped) => matches!(skipped, Some(Skipped::Exception { .. })),
            _ => true,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
