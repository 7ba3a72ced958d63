//! Exceptions: which requests, or which of their images, a policy is not applied to.

use crate::document::{ExceptionDocument, Subject};
use crate::request::{GroupVersionKind, Request, UserInfo};
use std::sync::Arc;

/// A PolicyException, ready to be asked.
#[derive(Debug, Clone)]
pub struct Exception {
    document: Arc<ExceptionDocument>,
    /// Kind and group of each entry of `match.kinds`.
    kinds: Vec<(String, String)>,
}

/// What of a request an exception covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage<'a> {
    /// Nothing.
    None,
    /// The request.
    Whole,
    /// Only those elements whose image is under one of these prefixes.
    Images(&'a [String]),
}

impl Exception {
    /// Prepares a document.
    pub fn new(document: Arc<ExceptionDocument>) -> Self {
        let kinds = document
            .kinds
            .iter()
            .map(|entry| entry.split_once('.').unwrap_or((entry, "")))
            .map(|(kind, group)| (kind.to_owned(), group.to_owned()))
            .collect();
        Self { document, kinds }
    }

    /// The document, for its name, reason and expiry.
    pub fn document(&self) -> &ExceptionDocument {
        &self.document
    }

    /// What the exception covers when this policy judges this request: fields are a conjunction, entries of
    /// one field a disjunction, an empty field covers all. An exception holds until `expiresAt`.
    pub fn covers(&self, policy: &str, request: &Request, now: jiff::Timestamp) -> Coverage<'_> {
        let document = &self.document;
        let covered = document.policies.iter().any(|name| name == "*" || name == policy)
            && document.expires_at.is_none_or(|expiry| now < expiry)
            && self.covers_kind(&request.kind)
            && self.covers_namespace(&request.namespace)
            && self.covers_name(&request.name)
            && self.covers_user(request.user.as_ref());
        match (covered, document.images.as_slice()) {
            (false, _) => Coverage::None,
            (true, []) => Coverage::Whole,
            (true, images) => Coverage::Images(images),
        }
    }

    /// By group and kind: an exception outlives a version.
    fn covers_kind(&self, requested: &GroupVersionKind) -> bool {
        self.kinds.is_empty()
            || self.kinds.iter().any(|(kind, group)| *kind == requested.kind && *group == requested.group)
    }

    /// What is in no namespace is in none of those listed.
    fn covers_namespace(&self, namespace: &str) -> bool {
        let listed = &self.document.namespaces;
        listed.is_empty() || !namespace.is_empty() && listed.iter().any(|glob| glob_matches(glob, namespace))
    }

    /// A name that the API server has yet to generate is covered by `*` only.
    fn covers_name(&self, name: &str) -> bool {
        let listed = &self.document.names;
        listed.is_empty()
            || listed.iter().any(|glob| if name.is_empty() { glob == "*" } else { glob_matches(glob, name) })
    }

    /// Nobody is no subject: what is not known is not excepted.
    fn covers_user(&self, user: Option<&UserInfo>) -> bool {
        let subjects = &self.document.subjects;
        subjects.is_empty() || user.is_some_and(|user| subjects.iter().any(|subject| subject.is(user)))
    }
}

impl Subject {
    /// Whether a user is, or belongs to, this subject.
    pub fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => user.username == *name,
            Self::Group(name) => user.groups.contains(name),
            Self::ServiceAccount { namespace, name } => user
                .username
                .strip_prefix("system:serviceaccount:")
                .and_then(|account| account.split_once(':'))
                .is_some_and(|account| account == (namespace, name)),
        }
    }
}

/// Names in Kubernetes have at most 253 characters. Longer ones match no glob but `*`, which bounds the
/// work.
const MAX_NAME: usize = 253;

/// Whether a glob (`*` any characters, `?` exactly one) matches a whole name.
fn glob_matches(glob: &str, name: &str) -> bool {
    if glob == "*" {
        return true;
    }
    if name.len() > MAX_NAME || glob.len() > 2 * MAX_NAME {
        return false;
    }
    let (mut pattern, mut rest) = (glob.chars(), name.chars());
    // After the last `*`: what follows it, and from where in the name that is tried next. Only the last
    // one need be tried again, so the work is at most the product of both lengths.
    let mut retry = None;
    loop {
        let (mut pattern_after, mut rest_after) = (pattern.clone(), rest.clone());
        match (pattern_after.next(), rest_after.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((pattern_after.clone(), rest.clone()));
                pattern = pattern_after;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern = pattern_after;
                rest = rest_after;
            }
            _ => {
                let Some((after_star, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                rest = from.clone();
            }
        }
    }
}
