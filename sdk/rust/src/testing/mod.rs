//! Requests and assertions for `cargo test`: a policy is a function, so that no cluster is needed.
//!
//! ```
//! use portcullis_sdk::testing::{deployment, pod};
//! use portcullis_sdk::{assert_allowed, assert_denied, assert_denied_at, Request, Verdict};
//!
//! fn validate(request: Request) -> Verdict {
//!     let mut verdict = Verdict::allowed();
//!     for image in request.images().unwrap() {
//!         if !image.reference.contains('@') {
//!             verdict.violation(format!("image `{}` has no digest", image.reference)).at(image.path);
//!         }
//!     }
//!     verdict
//! }
//!
//! assert_allowed!(validate(pod().image("nginx@sha256:0000").request()));
//! assert_denied!(validate(pod().image("nginx:1").request()), "`nginx:1` has no digest");
//! let path = "spec.template.spec.containers[0].image";
//! assert_denied_at!(validate(deployment().image("nginx:1").request()), path, "has no digest");
//! ```

mod assertions;
mod builder;

#[doc(hidden)]
pub use assertions::{allowed, denied, denied_at};
pub use builder::{
    RequestBuilder, config_map, cron_job, daemon_set, deployment, job, object, pod, replica_set,
    replication_controller, secret, stateful_set,
};

use crate::settings::{self, Settings, SettingsError};
use serde_json::Value;

/// What is wrong with settings, as the policy's author would be told.
pub fn settings_errors<S: Settings>(settings: &Value) -> Vec<SettingsError> {
    settings::errors::<S>(&settings.to_string())
}
