//! The webhook configuration, kept in step with the policies in force: `desired` says what it should be, by
//! what the cluster serves (`served`), and `reconcile` makes it so.

mod desired;
mod reconcile;
mod rules;
mod served;

pub(super) use desired::Settings;
pub use desired::Target;
pub(super) use reconcile::{CONTROLLER_LABEL, reconcile, role};
