//! The webhook configuration, kept in step with the policies in force: `desired` says what it should be, and
//! `reconcile` makes it so.

mod desired;
mod reconcile;
mod rules;

pub(super) use desired::Settings;
pub use desired::Target;
pub(super) use reconcile::{CONTROLLER_LABEL, reconcile, role};

#[cfg(test)]
mod asked_tests;
