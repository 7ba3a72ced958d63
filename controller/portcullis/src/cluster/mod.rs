//! The cluster: policies and facts out of its API, kept up to date by watches, and what is written back.
//!
//! `connect` finds the API server, `worker` runs what talks to it on a thread of its own, `follow` keeps a watch going,
//! `mirror` holds what the watch shows, `references` follows what policies take their params from and look up, of which
//! `referred` and `register` hold what is known, and `source` hands it on as a [`Source`](crate::source::Source).
//! `control` starts what looks after the cluster: `leader` says which replica does, `webhooks` keeps the webhook
//! configuration in step, `certificates` the certificate, `accepted` what is in force for those who start later (in
//! ConfigMaps, which `kept` writes), `status` what became of policies, and `switch` tells whether everything is called
//! off, which `disarming` does for a person. `audit` reads what is there, for one run.

mod accepted;
mod answers;
mod asked;
pub mod audit;
mod certificates;
mod connect;
pub(crate) mod control;
pub mod disarming;
mod follow;
mod kept;
mod leader;
mod mirror;
mod policies;
mod references;
mod referred;
mod register;
mod source;
pub mod status;
pub(crate) mod switch;
mod webhooks;
mod worker;

pub(crate) use answers::{Looked, Outside, Question};
pub use certificates::CertificateSecret;
pub use connect::{Cluster, Options};
pub use control::Upkeep;
pub use source::ClusterSource;
pub use webhooks::Target;

use portcullis_core::tree::Tree;
use std::error::Error;

/// A whole object, without what nobody reads.
fn whole<K: kube::ResourceExt + serde::Serialize>(mut object: K) -> Tree {
    object.managed_fields_mut().clear();
    // Kubernetes' own types, and what came as JSON, have no keys that JSON could not have.
    serde_json::to_value(object).unwrap_or_default().into()
}

/// An error with its causes, in one line that says nothing twice.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    // Who wraps whom inside of the client tells a person nothing.
    for wrapper in ["ServiceError: ", "client error (Connect): "] {
        text = text.replacen(wrapper, "", 1);
    }
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
