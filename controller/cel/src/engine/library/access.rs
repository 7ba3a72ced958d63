//! What policies ask the authorizer, and what it answers: `SubjectAccessReview` of `authorization.k8s.io/v1`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One question: may this user do this?
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessReview {
    /// Who wants to do it; `None` is the requester, where it is not known who that is.
    pub user: Option<Arc<AccessUser>>,
    /// Such as `get`; of a path the HTTP method in lower case.
    pub verb: Box<str>,
    /// What it is done to.
    pub attributes: AccessAttributes,
}

/// A user, as an authenticator describes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessUser {
    /// Such as `system:serviceaccount:shop:deployer`.
    pub username: String,
    /// Unique over time, where the authenticator has one.
    pub uid: String,
    /// Such as `system:authenticated`.
    pub groups: Vec<String>,
    /// What the authenticator adds.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What somebody may or may not do something to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessAttributes {
    /// A path that is no resource, such as `/healthz`.
    Path(Box<str>),
    /// A resource, or one object of it.
    Resource(ResourceAttributes),
}

/// Objects of one resource; what is empty is not narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceAttributes {
    /// API group, empty for core.
    pub group: Box<str>,
    /// Such as `pods`.
    pub resource: Box<str>,
    /// Such as `exec`.
    pub subresource: Box<str>,
    /// Every namespace, if empty.
    pub namespace: Box<str>,
    /// Every object, if empty.
    pub name: Box<str>,
    /// Such as `spec.nodeName=worker`.
    pub field_selector: Box<str>,
    /// Such as `app=web`.
    pub label_selector: Box<str>,
}

/// What the authorizer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessAnswer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, as the authorizer tells.
    pub reason: String,
    /// Why it could not be told.
    pub error: Option<String>,
}

/// Who answers for the authorizer.
pub trait Authorizer: fmt::Debug + Send + Sync {
    /// The answer; none if it is not known (yet), in which case the evaluation fails with
    /// [`FailureKind::Needs`](super::super::FailureKind::Needs).
    fn answer(&self, review: &AccessReview) -> Option<AccessAnswer>;
}

impl ResourceAttributes {
    /// The bytes of its texts.
    pub(super) fn size(&self) -> usize {
        let Self { group, resource, subresource, namespace, name, field_selector, label_selector } = self;
        [group, resource, subresource, namespace, name, field_selector, label_selector]
            .into_iter()
            .map(|part| part.len())
            .sum()
    }
}

impl AccessUser {
    /// A service account.
    pub(super) fn service_account(namespace: &str, name: &str) -> Self {
        let group = format!("system:serviceaccounts:{namespace}");
        Self {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec!["system:serviceaccounts".to_owned(), group],
            ..Self::default()
        }
    }
}

/// As one would ask with `kubectl auth can-i`.
impl fmt::Display for AccessReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map_or("the user", |user| &user.username);
        write!(f, "may {user} {} {}", self.verb, self.attributes)
    }
}

impl fmt::Display for AccessAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = match self {
            Self::Path(path) => return f.write_str(path),
            Self::Resource(resource) => resource,
        };
        f.write_str(&resource.resource)?;
        for (separator, part) in [('.', &resource.group), ('/', &resource.subresource), (' ', &resource.name)]
        {
            if !part.is_empty() {
                write!(f, "{separator}{part}")?;
            }
        }
        for (name, value) in [
            ("namespace", &resource.namespace),
            ("field selector", &resource.field_selector),
            ("label selector", &resource.label_selector),
        ] {
            if !value.is_empty() {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}
