//! The status that people, scripts and GitOps tools read: a ConfigMap that the leader keeps, Events on policy
//! ConfigMaps, and what `portcullis status` makes of it.

mod ask;
mod events;
mod keep;

pub use ask::{Answer, ask, wait};
pub(super) use keep::keep;

/// The ConfigMap.
pub(crate) const NAME: &str = "portcullis-status";
/// Its keys that are lists.
const POLICIES: &str = "policies.json";
const CONFIG_MAPS: &str = "configmaps.json";
