//! What a policy says of a request.

use crate::log;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::Display;

/// What a reply may have in bytes; the host takes 256 KiB.
const MAX_REPLY: usize = 240 << 10;
/// Of which violations may take so many, so that something is left for warnings and audit annotations.
const MAX_VIOLATIONS: usize = 160 << 10;
/// The host cuts texts off there.
const MAX_TEXT: usize = 5 << 10;
/// And values of audit annotations there.
const MAX_ANNOTATION: usize = 10 << 10;
/// More warnings are not told to anybody.
const MAX_WARNINGS: usize = 20;

/// What a policy says of a request: allowed, unless there are violations. What becomes of them (denied, warned, recorded) is
/// in the policy's `validationActions`.
///
/// ```
/// use portcullis_sdk::{Reason, Verdict};
///
/// let mut verdict = Verdict::allowed();
/// verdict
///     .violation("the image has no digest")
///     .at("spec.containers[0].image")
///     .remedy("pin it: image@sha256:…")
///     .reason(Reason::Forbidden);
/// verdict.warn("ghcr.io/acme/web will be removed");
/// verdict.annotate("images", 3);
/// assert!(!verdict.is_allowed());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    violations: Vec<Violation>,
    warnings: Vec<String>,
    audit_annotations: BTreeMap<String, String>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub message: String,
    /// Where in the object; empty if that cannot be said. A PolicyException for some images takes out only what is at one of
    /// their containers, or below it.
    pub field_path: String,
    /// What to do about it, in place of the policy's own `portcullis.dev/remediation`.
    pub remedy: Option<String>,
    /// The status reason.
    pub reason: Reason,
}

/// The reason of a denial as clients see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// 422: the object is not as it must be.
    #[default]
    Invalid,
    /// 403: this requester may not do so.
    Forbidden,
    /// 413.
    RequestEntityTooLarge,
    /// 401.
    Unauthorized,
}

impl Verdict {
    /// A verdict without violations so far.
    pub fn allowed() -> Self {
        Self::default()
    }

    /// A verdict with one violation.
    pub fn denied(message: impl Into<String>) -> Self {
        let mut verdict = Self::default();
        verdict.violation(message);
        verdict
    }

    /// Adds a violation, to which more can be said. Its message is lower case, one line, without a final period.
    pub fn violation(&mut self, message: impl Into<String>) -> &mut Violation {
        self.violations.push_mut(Violation::bare(message.into()))
    }

    /// Adds a warning for the requester, whether or not the request is allowed. At most 20 are told.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Adds an annotation to the API server's audit event; the last one of a key counts.
    ///
    /// # Panics
    /// If the key is not at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
    pub fn annotate(&mut self, key: &str, value: impl Display) {
        assert!(is_key(key), "`{key}` cannot be the key of an audit annotation");
        self.audit_annotations.insert(key.to_owned(), value.to_string());
    }

    /// Takes over everything that another verdict says.
    pub fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        self.warnings.extend(other.warnings);
        self.audit_annotations.extend(other.audit_annotations);
    }

    /// Whether there is no violation.
    pub fn is_allowed(&self) -> bool {
        self.violations.is_empty()
    }

    /// What is wrong, in the order in which it was said.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What the requester is told besides.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What is recorded of the request, by key.
    pub fn audit_annotations(&self) -> &BTreeMap<String, String> {
        &self.audit_annotations
    }

    /// The reply as the ABI has it. A reply that is too long would be an error, and an error may let a request pass: what
    /// does not fit is counted in a violation of its own.
    pub(crate) fn reply(&self) -> Vec<u8> {
        let mut reply = b"{\"violations\":[".to_vec();
        for (place, violation) in self.violations.iter().enumerate() {
            let left = self.violations.len() - place;
            if !add_within(&mut reply, None, violation, MAX_VIOLATIONS) {
                let rest = format!("{left} more violations do not fit into the reply");
                add_within(&mut reply, None, &Violation::bare(rest), MAX_REPLY);
                break;
            }
        }
        reply.extend_from_slice(b"],\"warnings\":[");
        for warning in self.warnings.iter().take(MAX_WARNINGS) {
            add_within(&mut reply, None, &cut(warning, MAX_TEXT), MAX_REPLY);
        }
        reply.extend_from_slice(b"],\"auditAnnotations\":{");
        for (key, value) in &self.audit_annotations {
            if !add_within(&mut reply, Some(key), &cut(value, MAX_ANNOTATION), MAX_REPLY) {
                log::warn(format!("the audit annotation `{key}` does not fit into the reply"));
            }
        }
        reply.extend_from_slice(b"}}");
        reply
    }
}

impl Violation {
    /// Says where: the path of the field in the object.
    pub fn at(&mut self, field_path: impl Into<String>) -> &mut Self {
        self.field_path = field_path.into();
        self
    }

    /// Says what to do about it.
    pub fn remedy(&mut self, remedy: impl Into<String>) -> &mut Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Says for what reason clients are told that they are denied.
    pub fn reason(&mut self, reason: Reason) -> &mut Self {
        self.reason = reason;
        self
    }

    fn bare(message: String) -> Self {
        Self { message, field_path: String::new(), remedy: None, reason: Reason::default() }
    }
}

/// What a policy may return; anything else does not compile:
///
/// ```compile_fail
/// #[portcullis_sdk::policy]
/// fn validate(_: portcullis_sdk::Request) -> bool {
///     true
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a policy returns a `Verdict`, or a `Result` with one",
    label = "this is `{Self}`"
)]
pub trait IntoVerdict {
    /// The verdict.
    ///
    /// # Errors
    /// There is none: why, for the requester to be told.
    fn into_verdict(self) -> Result<Verdict, String>;
}

impl IntoVerdict for Verdict {
    fn into_verdict(self) -> Result<Verdict, String> {
        Ok(self)
    }
}

impl<E: Display> IntoVerdict for Result<Verdict, E> {
    fn into_verdict(self) -> Result<Verdict, String> {
        self.map_err(|error| error.to_string())
    }
}

impl Serialize for Violation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            field_path: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            remedy: Option<&'a str>,
            reason: Reason,
        }
        // The host trims it, and takes no reply in which nothing is left of one: what is made of values that a requester
        // chose must not undo a denial.
        let message = match cut(self.message.trim(), MAX_TEXT) {
            "" => "(no message)",
            message => message,
        };
        let written = Written {
            message,
            field_path: cut(&self.field_path, MAX_TEXT),
            remedy: self.remedy.as_deref().map(|remedy| cut(remedy, MAX_TEXT)),
            reason: self.reason,
        };
        written.serialize(serializer)
    }
}

/// Adds an entry if no more than so many bytes then are written.
fn add_within(reply: &mut Vec<u8>, key: Option<&str>, entry: &impl Serialize, limit: usize) -> bool {
    let before = reply.len();
    if !reply.ends_with(b"[") && !reply.ends_with(b"{") {
        reply.push(b',');
    }
    // A vector takes all of it, and these are texts.
    if let Some(key) = key {
        let _ = serde_json::to_writer(&mut *reply, key);
        reply.push(b':');
    }
    let _ = serde_json::to_writer(&mut *reply, entry);
    let fits = reply.len() <= limit;
    if !fits {
        reply.truncate(before);
    }
    fits
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// As the API server has it: the name part of a qualified name.
fn is_key(key: &str) -> bool {
    let alphanumeric = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    key.len() <= 63
        && alphanumeric(key.chars().next())
        && alphanumeric(key.chars().next_back())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reply(verdict: &Verdict) -> Value {
        let reply = verdict.reply();
        assert!(reply.len() <= MAX_REPLY + 100, "{}", reply.len());
        serde_json::from_slice(&reply).unwrap()
    }

    #[test]
    fn a_reply_is_as_the_abi_has_it() {
        let nothing = json!({"violations": [], "warnings": [], "auditAnnotations": {}});
        assert_eq!(reply(&Verdict::allowed()), nothing);
        let mut verdict = Verdict::denied("one");
        verdict.violation("two").at("spec.a[0]").remedy("mend it").reason(Reason::Forbidden);
        verdict.warn("three");
        verdict.annotate("four", 4);
        verdict.annotate("five", "\"5\"");
        assert_eq!(
            reply(&verdict),
            json!({
                "violations": [
                    {"message": "one", "reason": "Invalid"},
                    {"message": "two", "fieldPath": "spec.a[0]", "remedy": "mend it", "reason": "Forbidden"}],
                "warnings": ["three"],
                "auditAnnotations": {"four": "4", "five": "\"5\""},
            })
        );
    }

    #[test]
    fn what_does_not_fit_is_counted_and_never_forgotten() {
        let mut verdict = Verdict::allowed();
        for number in 0..100 {
            verdict.violation("\u{1}".repeat(10_000)).at(format!("spec.containers[{number}]"));
            verdict.warn("ä".repeat(10_000));
            verdict.annotate(&format!("key{number}"), "v".repeat(20_000));
        }
        let reply = reply(&verdict);
        let violations = reply["violations"].as_array().unwrap();
        let (last, told) = violations.split_last().unwrap();
        assert_eq!(told.len(), 5);
        assert_eq!(last["message"], "95 more violations do not fit into the reply");
        assert!(last.get("fieldPath").is_none(), "no exception takes it out");
        assert_eq!(told[0]["message"].as_str().map(str::len), Some(MAX_TEXT));
        assert!(reply["warnings"].as_array().unwrap().len() > 10);
    }

    #[test]
    fn a_verdict_can_be_put_together() {
        let mut verdict = Verdict::allowed();
        verdict.add(Verdict::denied("one"));
        verdict.add(Verdict::denied("two"));
        let messages: Vec<&str> = verdict.violations().iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, ["one", "two"]);
        assert!(!verdict.is_allowed());
    }

    #[test]
    fn a_violation_stands_whatever_its_message_is_made_of() {
        let message = |message: String| reply(&Verdict::denied(message))["violations"][0]["message"].clone();
        assert_eq!(message(String::new()), "(no message)");
        assert_eq!(message(" \n".repeat(9_000)), "(no message)");
        assert_eq!(message(format!("{}x", " ".repeat(9_000))), "x");
    }

    #[test]
    #[should_panic(expected = "`a/b` cannot be the key of an audit annotation")]
    fn a_key_must_be_one() {
        Verdict::allowed().annotate("a/b", "");
    }
}
