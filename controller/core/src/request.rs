//! What is decided on: an admission request, wherever it came from.

use portcullis_cel::Tree;
use std::collections::BTreeMap;

/// One admission request: from an AdmissionReview, from a live object, or from a file.
///
/// Field names are AdmissionRequest's (`admission.k8s.io/v1`). What the source of the request cannot know
/// is `None` in [`user`](Self::user), or told by [`old_object_known`](Self::old_object_known).
#[derive(Debug, Clone)]
pub struct Request {
    /// The kind of `object`, converted to the version that the webhook's rules ask for.
    pub kind: GroupVersionKind,
    /// The resource; `None` where only the kind is known (a file of a kind without a CRD beside it).
    pub resource: Option<GroupVersionResource>,
    /// The subresource, such as `ephemeralcontainers`; empty for the object itself.
    pub sub_resource: String,
    /// The kind of the original request, where the API server converted it.
    pub request_kind: Option<GroupVersionKind>,
    /// The resource of the original request, where the API server converted it.
    pub request_resource: Option<GroupVersionResource>,
    /// The subresource of the original request.
    pub request_sub_resource: Option<String>,
    /// The object's name; empty with `generateName`.
    pub name: String,
    /// The object's namespace, empty for cluster-scoped objects; a Namespace's own name for Namespaces.
    pub namespace: String,
    /// What the requester wants to do.
    pub operation: Operation,
    /// Who asks; `None` outside admission, where nobody does.
    pub user: Option<UserInfo>,
    /// The new object; null on DELETE.
    pub object: Tree,
    /// The existing object; null on CREATE and CONNECT.
    pub old_object: Tree,
    /// Whether `old_object` is really what it says; false for a file or a live object, which may be a
    /// change of something that is not in sight.
    pub old_object_known: bool,
    /// CreateOptions, UpdateOptions, DeleteOptions or what CONNECT carries; null if absent.
    pub options: Tree,
    /// Whether nothing will be persisted.
    pub dry_run: bool,
}

/// What a request does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of an existing one (PATCH, PUT, apply).
    Update,
    /// A deletion.
    Delete,
    /// `exec`, `attach`, `portforward`, `proxy`.
    Connect,
}

impl Operation {
    /// Every operation, in the order of their indices.
    pub const ALL: [Operation; 4] = [Self::Create, Self::Update, Self::Delete, Self::Connect];

    /// The operation as AdmissionRequest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// Reads AdmissionRequest's spelling; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text)
    }
}

/// A kind with its group and version. The core group is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group, empty for core.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind, such as `Pod`.
    pub kind: String,
}

/// A resource (plural, lower case) with its group and version. The core group is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionResource {
    /// API group, empty for core.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Resource, such as `pods`.
    pub resource: String,
}

/// Who sent the request (`authentication.k8s.io/v1` UserInfo).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// Such as `system:serviceaccount:external-secrets:external-secrets`.
    pub username: String,
    /// Unique over time, where the authenticator has one.
    pub uid: String,
    /// Such as `system:masters`.
    pub groups: Vec<String>,
    /// What the authenticator adds.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Request {
    /// Whether nobody sends this: what a file or a live object stands for, of which something that every real
    /// request tells is not known.
    pub fn is_hypothetical(&self) -> bool {
        self.user.is_none() || !self.old_object_known
    }

    /// Whether it updates what is being deleted already, and stays so.
    pub(crate) fn updates_what_is_being_deleted(&self) -> bool {
        let is_being_deleted = |object: &Tree| {
            object.pointer("/metadata/deletionTimestamp").is_some_and(|timestamp| !timestamp.is_null())
        };
        self.operation == Operation::Update
            && is_being_deleted(&self.old_object)
            && is_being_deleted(&self.object)
    }
}

impl GroupVersionKind {
    /// From an object's `apiVersion` and `kind`.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = split_api_version(api_version);
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// Whether objects of this kind are Namespaces.
    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.kind == "Namespace"
    }

    /// `apps/v1` or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Splits `apps/v1` into group and version; the core group is empty.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
