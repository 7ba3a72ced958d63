//! What cel-go makes of expressions, and what our engine makes of them, in one form that can be compared.

pub(crate) mod ours;
pub(crate) mod peer;
pub(crate) mod value;

use portcullis_cel::KubernetesVersion;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// An expression with what it may name; both engines are asked the same.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) expression: String,
    pub(crate) scope: Arc<Scope>,
    /// What `object` is bound to: the name of a document.
    pub(crate) object: Option<Arc<str>>,
    /// The namespace in which names are looked up; Kubernetes has none.
    pub(crate) container: String,
    /// Literals may hold values of several types, as in the standard.
    pub(crate) mixed: bool,
    /// The type checker is left out.
    pub(crate) unchecked: bool,
    /// The version of Kubernetes whose environment it is; the newest, if there is none.
    pub(crate) kubernetes: Option<KubernetesVersion>,
}

/// Variables with their types and values, in the JSON that `tests/go/internal/wire` reads.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) declarations: Map<String, Json>,
    pub(crate) objects: Map<String, Json>,
    /// Variables bound to documents of the same name.
    pub(crate) documents: Vec<String>,
    pub(crate) values: Map<String, Json>,
}

/// What became of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It is not a program: the first reason.
    Refused(String),
    /// It is one, of this type if it was checked. It ends in one of these ways; a map's order is not fixed.
    Ran { checked: Option<String>, ends: Vec<End> },
    /// The engine itself failed.
    Crashed(String),
}

/// One way in which an evaluation ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    /// The value in the form of [`value`], or the error's text.
    pub(crate) result: Result<Json, String>,
    /// In cel-go's units.
    pub(crate) cost: u64,
}

/// The part of an error's text that does not depend on the values at hand.
pub(crate) fn class(message: &str) -> &str {
    let kinds = [
        "no such overload",
        "no such key",
        "no such attribute",
        "index out of bounds",
        "actual cost limit exceeded",
        "type conversion error",
        "unsupported key type",
        "unsupported index",
        "overflow",
        "out of range",
        "unknown time zone",
        "parsing time",
        "strconv",
    ];
    kinds.into_iter().find(|kind| message.contains(kind)).unwrap_or_else(|| {
        message.split_once([':', '\'', '"', '`']).map_or(message, |(before, _)| before.trim_end())
    })
}
