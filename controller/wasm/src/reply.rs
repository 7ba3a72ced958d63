//! What a module replies: JSON of the ABI, read strictly, so that a misspelt field does not pass for an allowed
//! request.

use portcullis_core::decision::Reason;
use portcullis_core::module::{Reply, Violation};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object", rename_all = "camelCase")]
struct Written {
    violations: Vec<WrittenViolation>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    audit_annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object", rename_all = "camelCase")]
struct WrittenViolation {
    message: String,
    #[serde(default)]
    field_path: Option<String>,
    #[serde(default)]
    remedy: Option<String>,
    #[serde(default)]
    reason: Option<WrittenReason>,
}

#[derive(Deserialize)]
enum WrittenReason {
    Invalid,
    Forbidden,
    RequestEntityTooLarge,
    Unauthorized,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct WrittenSettings {
    errors: Vec<SettingsError>,
}

/// Something that a module does not accept of its settings.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct SettingsError {
    /// Where in the settings; empty for the whole of them.
    #[serde(default)]
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads the reply to a request.
pub(crate) fn read(reply: &[u8]) -> Result<Reply, String> {
    let written: Written = serde_json::from_slice(reply).map_err(|error| garbage(&error))?;
    let violations = written.violations.into_iter().map(violation).collect::<Result<_, _>>()?;
    let annotations: Vec<(String, String)> = written.audit_annotations.into_iter().collect();
    if let Some((key, _)) = annotations.iter().find(|(key, _)| !is_key(key)) {
        return Err(format!(
            "the module replied an audit annotation whose key cannot be one: `{}`",
            line(key)
        ));
    }
    let warnings = written.warnings.iter().map(|warning| line(warning)).collect();
    Ok(Reply { violations, warnings, audit_annotations: annotations })
}

/// Reads the reply to settings.
pub(crate) fn read_settings(reply: &[u8]) -> Result<Vec<SettingsError>, String> {
    let written: WrittenSettings = serde_json::from_slice(reply).map_err(|error| garbage(&error))?;
    Ok(written.errors)
}

fn violation(written: WrittenViolation) -> Result<Violation, String> {
    let message = line(&written.message);
    if message.is_empty() {
        return Err("the module replied a violation without a message".to_owned());
    }
    Ok(Violation {
        message,
        field_path: line(&written.field_path.unwrap_or_default()),
        remedy: written.remedy.map(|remedy| line(&remedy)).filter(|remedy| !remedy.is_empty()),
        reason: match written.reason {
            None | Some(WrittenReason::Invalid) => Reason::Invalid,
            Some(WrittenReason::Forbidden) => Reason::Forbidden,
            Some(WrittenReason::RequestEntityTooLarge) => Reason::RequestEntityTooLarge,
            Some(WrittenReason::Unauthorized) => Reason::Unauthorized,
        },
    })
}

fn garbage(error: &serde_json::Error) -> String {
    format!("the module's reply is not what the ABI asks for: {}", line(&error.to_string()))
}

/// One line, whatever was written.
pub(crate) fn line(text: &str) -> String {
    text.trim().replace(char::is_control, " ")
}

/// As the API server has it for the keys of a policy's audit annotations: the name part of a qualified name.
fn is_key(key: &str) -> bool {
    let alphanumeric = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    key.len() <= 63
        && alphanumeric(key.chars().next())
        && alphanumeric(key.chars().next_back())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
