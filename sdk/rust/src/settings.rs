//! What a policy's author sets under `wasm.settings`.

use crate::error::Error;
use crate::json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The settings of a policy: a type that serde reads, and what else must hold of its values.
///
/// `#[serde(default)]` on the type gives what is not set its value of [`Default`]; `#[serde(deny_unknown_fields)]` refuses
/// what is misspelt, which is nearly always what you want.
///
/// ```
/// use portcullis_sdk::{Settings, SettingsError};
///
/// #[derive(Default, serde::Deserialize)]
/// #[serde(default, deny_unknown_fields, rename_all = "camelCase")]
/// struct Limits {
///     max_replicas: u32,
/// }
///
/// impl Settings for Limits {
///     fn validate(&self) -> Vec<SettingsError> {
///         match self.max_replicas {
///             0 => vec![SettingsError::new("maxReplicas", "must be at least 1")],
///             _ => Vec::new(),
///         }
///     }
/// }
/// ```
pub trait Settings: DeserializeOwned {
    /// What is wrong with them although their types are right; asked once, when the policy is loaded. A policy with such
    /// errors is not in force.
    fn validate(&self) -> Vec<SettingsError> {
        Vec::new()
    }
}

/// The settings of a policy that has none: whatever is set is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Settings for NoSettings {}

/// Something that is wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingsError {
    /// Where, below `settings`, such as `patterns[0]`; empty for the whole of them.
    pub path: String,
    /// What is wrong: lower case, one line, no final period.
    pub message: String,
}

impl SettingsError {
    /// What is wrong at a path below `settings`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Settings that were found to be right when the policy was loaded.
pub(crate) fn read<S: Settings>(text: &str) -> Result<S, Error> {
    json::read(text).map_err(|error| Error::of_json("settings", &error))
}

/// Everything that is wrong with settings.
pub(crate) fn errors<S: Settings>(text: &str) -> Vec<SettingsError> {
    match json::read::<S>(text) {
        Ok(settings) => settings.validate(),
        Err(json::Error { path, message }) => vec![SettingsError { path, message }],
    }
}
