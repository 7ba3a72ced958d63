//! The entries of the webhook configuration: one path each, each with its pairs and its class.
//!
//! Where policies disagree about the version in which they see a resource, an entry is there several times: as it is
//! for objects as they are sent, and with versions at the end of its path for those that are converted into them.

use portcullis_core::policy::Class;
use portcullis_core::set::Pairs;

/// An entry of the webhook configuration, or the path for offline use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// `/validate/fail`: pairs of class fail, outside critical namespaces.
    Fail,
    /// `/validate/ignore`: pairs of class ignore, outside critical namespaces.
    Ignore,
    /// `/validate/critical`: every pair of the cluster's policies, in critical namespaces; open when we cannot answer, so that a node
    /// can always come back.
    Critical,
    /// `/validate/namespaced`: policies that govern their own namespace only; open when we cannot answer.
    Namespaced,
    /// `/validate/policies`: the ConfigMaps that hold our policies, before they are in force; open when we
    /// cannot answer.
    Policies,
    /// `/validate`: every pair, fails closed.
    All,
}

impl Entry {
    /// Every entry, in the order of their indices.
    pub const ALL: [Self; 6] =
        [Self::Fail, Self::Ignore, Self::Critical, Self::Namespaced, Self::Policies, Self::All];

    /// Where it listens.
    pub fn path(self) -> &'static str {
        match self {
            Self::Fail => "/validate/fail",
            Self::Ignore => "/validate/ignore",
            Self::Critical => "/validate/critical",
            Self::Namespaced => "/validate/namespaced",
            Self::Policies => "/validate/policies",
            Self::All => "/validate",
        }
    }

    /// The same for what the API server converts into one of these versions: `/validate/fail/v1`.
    pub fn path_for(self, versions: Option<&str>) -> String {
        [self.path()].into_iter().chain(versions).collect::<Vec<_>>().join("/")
    }

    /// The versions at the end of a path of this entry.
    pub fn versions(self, path: &str) -> Option<&str> {
        path.strip_prefix(self.path())?.strip_prefix('/')
    }

    /// Whether there may be such paths.
    pub fn takes_versions(self) -> bool {
        !matches!(self, Self::Policies | Self::All)
    }

    /// The pairs that it asks; `None` for what is about policies themselves.
    pub fn pairs(self) -> Option<Pairs> {
        match self {
            Self::Fail => Some(Pairs::Of(Class::Fail)),
            Self::Ignore => Some(Pairs::Of(Class::Ignore)),
            Self::Critical => Some(Pairs::ClusterWide),
            Self::Namespaced => Some(Pairs::Namespaced),
            Self::All => Some(Pairs::All),
            Self::Policies => None,
        }
    }

    /// Whether a request that cannot be decided here is denied.
    pub fn fails_closed(self) -> bool {
        matches!(self, Self::Fail | Self::All)
    }
}
