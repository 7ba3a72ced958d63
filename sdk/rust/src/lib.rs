#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! [`Request`] is what is judged, with [`Pod`]s typed; [`Verdict`] is what comes of it; [`Settings`] what the policy's
//! author sets; [`testing`] makes requests for `cargo test`.

mod error;
#[doc(hidden)]
pub mod guest;
mod json;
pub mod log;
mod objects;
mod place;
mod pod;
mod request;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod verdict;

pub use error::Error;
pub use objects::{ConfigMap, Metadata, OwnerReference, Secret};
pub use pod::{
    Capabilities, Container, ContainerKind, ContainerPort, CsiVolume, EnvFrom, EnvVar, HostPath, Image,
    ImageVolume, Named, Placed, Pod, PodSecurityContext, PodSpec, ProjectedVolume, ResourceRequirements,
    SeLinuxOptions, SeccompProfile, SecretVolume, SecurityContext, Sysctl, Volume, VolumeMount,
    VolumeProjection, WindowsOptions,
};
pub use portcullis_sdk_macros::policy;
pub use request::{GroupVersionKind, GroupVersionResource, Operation, Request, UserInfo};
pub use settings::{NoSettings, Settings, SettingsError};
pub use verdict::{IntoVerdict, Reason, Verdict, Violation};

#[cfg(test)]
mod tests;
