//! Which pairs of policy and binding a request is decided by.

use crate::policy::{Class, CompiledBinding, CompiledPolicy};
use crate::request::Request;

/// Which pairs (policy, binding) a request is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Every one.
    All,
    /// Those of policies that govern the whole cluster.
    ClusterWide,
    /// Those of them of one class.
    Of(Class),
    /// Those of policies that govern their own namespace only.
    Namespaced,
}

impl Pairs {
    pub(super) fn contain(self, policy: &CompiledPolicy, binding: &CompiledBinding) -> bool {
        match self {
            Self::All | Self::ClusterWide | Self::Namespaced => true,
            Self::Of(class) => binding.class(policy.failure_policy) == class,
        }
    }

    /// Of these pairs only those whose rules name just these versions, and match a request only because the API server
    /// converted it for them; without versions all of these pairs.
    pub fn converted_to(self, versions: Option<&str>) -> Asked<'_> {
        Asked { pairs: self, versions }
    }
}

/// Which pairs a request is decided by, where the API server asks about it more than once.
///
/// Policies may name different versions of one resource, or any. Then it asks about the object as it was sent first,
/// for all whose rules match that, and once more for each list of versions that rules name, converted into one of these.
/// Who has been asked already is not asked again. Nothing but the request and the policy itself tells that: whatever
/// other policies come and go, none is asked twice, or never. Only a policy several rules of which name different versions
/// of one resource may be asked by each, about what is sent in none of them.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub(super) pairs: Pairs,
    /// As [`ResourceRule::asks_for`](crate::document::ResourceRule::asks_for) has it.
    versions: Option<&'a str>,
}

impl From<Pairs> for Asked<'_> {
    fn from(pairs: Pairs) -> Self {
        pairs.converted_to(None)
    }
}

impl Asked<'_> {
    /// Whether it is this policy's turn.
    pub(super) fn concern(&self, policy: &CompiledPolicy, request: &Request) -> bool {
        self.versions.is_none_or(|versions| policy.matcher.matches_converted(request, versions))
    }
}
