//! The way out: every body that the webhook answers with is built here.

use super::{API_VERSION, KIND};
use portcullis_core::Request;
use portcullis_core::enforcement::Answer;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// At most this many causes are listed in a reply; the rest are counted.
const MAX_CAUSES: usize = 100;
/// The message of a reply ends after this many bytes; the causes carry the rest.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// What came of a review.
#[derive(Debug)]
pub enum Reply<'a> {
    /// It was decided.
    Decided {
        /// What the requester is told.
        answer: &'a Answer,
        /// What it was about.
        request: &'a Request,
    },
    /// It stays out: no policy is asked.
    Excluded,
    /// It could not be decided, and the class of the entry says what that means.
    Undecided {
        /// Whether the entry fails closed.
        closed: bool,
        /// Why.
        cause: &'a Undecided,
    },
    /// It breaks a limit that holds in every class: padding must not get around a policy.
    OverLimit(&'a str),
}

/// Why a review could not be decided: a status code with its reason and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided {
    /// HTTP code of the status.
    pub code: u16,
    /// `metav1.StatusReason`.
    pub reason: &'static str,
    /// What happened.
    pub message: &'static str,
}

impl Reply<'_> {
    /// Whether the request may proceed.
    pub fn allowed(&self) -> bool {
        match self {
            Self::Decided { answer, .. } => answer.allowed,
            Self::Excluded => true,
            Self::Undecided { closed, .. } => !closed,
            Self::OverLimit(_) => false,
        }
    }

    /// The body of the answer.
    pub fn to_json(&self, uid: &str) -> Vec<u8> {
        let mut response = Response {
            uid,
            allowed: self.allowed(),
            status: None,
            audit_annotations: BTreeMap::new(),
            warnings: Vec::new(),
        };
        match self {
            Self::Decided { answer, request } => {
                response.status = (!answer.allowed).then(|| denial(answer, request));
                response.warnings.extend(answer.warnings.iter().map(|warning| Cow::from(warning.as_str())));
                let annotations = answer.audit_annotations.iter();
                response
                    .audit_annotations
                    .extend(annotations.map(|(key, value)| (key.as_str(), value.as_str())));
            }
            Self::Excluded => {}
            Self::Undecided { closed: true, cause } => {
                let message = Cow::from(format!("portcullis did not decide: {}", cause.message));
                response.status = Some(Status::failure(cause.code, cause.reason, message));
            }
            Self::Undecided { closed: false, cause } => {
                response.warnings.push(format!("portcullis did not decide: {}", cause.message).into());
            }
            Self::OverLimit(message) => {
                response.status = Some(Status::failure(413, "RequestEntityTooLarge", (*message).into()));
            }
        }
        let review = ReviewOut { api_version: API_VERSION, kind: KIND, response };
        // Strings, numbers and maps with string keys always serialise.
        serde_json::to_vec(&review).unwrap_or_default()
    }
}

/// A `metav1.Status` on its own: the body of an HTTP error.
pub(in crate::webhook) fn status_json(code: u16, reason: &'static str, message: &str) -> Vec<u8> {
    serde_json::to_vec(&Status::failure(code, reason, message.into())).unwrap_or_default()
}

fn denial<'a>(answer: &'a Answer, request: &'a Request) -> Status<'a> {
    let (denials, reason) = (&answer.denials, answer.reason());
    let mut message = String::new();
    for (index, cause) in denials.iter().enumerate() {
        if index > 0 {
            message.push('\n');
        }
        if message.len() + cause.line.len() > MAX_MESSAGE_BYTES && index > 0 {
            message.push_str(&format!("and {} more", denials.len() - index));
            break;
        }
        message.push_str(&cause.line);
    }
    let causes = denials.iter().take(MAX_CAUSES).map(|cause| StatusCause {
        reason: (!cause.field_path.is_empty()).then_some("FieldValueInvalid"),
        message: &cause.line,
        field: &cause.field_path,
    });
    let details = Details {
        name: &request.name,
        group: &request.kind.group,
        kind: &request.kind.kind,
        causes: causes.collect(),
    };
    Status { details: Some(details), ..Status::failure(reason.code(), reason.as_str(), message.into()) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewOut<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: BTreeMap<&'static str, &'static str>,
    status: &'static str,
    message: Cow<'a, str>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    code: u16,
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    kind: &'a str,
    causes: Vec<StatusCause<'a>>,
}

#[derive(Serialize)]
struct StatusCause<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'a str,
}

impl<'a> Status<'a> {
    fn failure(code: u16, reason: &'a str, message: Cow<'a, str>) -> Self {
        let metadata = BTreeMap::new();
        let details = None;
        Self {
            api_version: "v1",
            kind: "Status",
            metadata,
            status: "Failure",
            message,
            reason,
            details,
            code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, request};
    use super::*;
    use portcullis_core::decision::Reason;
    use portcullis_core::enforcement::Cause;
    use serde_json::{Value as Json, json};

    fn denied(count: usize, line: &str) -> Json {
        let cause = Cause {
            policy: "p".to_owned(),
            line: line.to_owned(),
            field_path: "spec.replicas".to_owned(),
            reason: Reason::Forbidden,
        };
        let answer = Answer {
            allowed: false,
            denials: vec![cause; count],
            warnings: vec!["careful".to_owned()],
            audit_annotations: vec![("key".to_owned(), "value".to_owned())],
        };
        let request = read(&request()).unwrap().request;
        let json = Reply::Decided { answer: &answer, request: &request }.to_json("u");
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn a_denial_says_all_that_kubectl_shows() {
        let line = "policy `p`: `spec.replicas` must be odd";
        let cause = json!({"reason": "FieldValueInvalid", "message": line, "field": "spec.replicas"});
        let expect = json!({
            "apiVersion": API_VERSION, "kind": KIND,
            "response": {
                "uid": "u", "allowed": false, "warnings": ["careful"], "auditAnnotations": {"key": "value"},
                "status": {
                    "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                    "message": format!("{line}\n{line}"), "reason": "Forbidden", "code": 403,
                    "details": {"name": "web", "group": "apps", "kind": "Deployment", "causes": [cause, cause]}
                }
            }
        });
        assert_eq!(denied(2, line), expect);
    }

    #[test]
    fn a_reply_stays_within_bounds() {
        let reply = denied(5_000, &"x".repeat(1_000));
        let status = &reply["response"]["status"];
        let message = status["message"].as_str().unwrap();
        assert!(
            message.len() < MAX_MESSAGE_BYTES + 100 && message.ends_with("\nand 4984 more"),
            "{}",
            message.len()
        );
        assert_eq!(status["details"]["causes"].as_array().unwrap().len(), MAX_CAUSES);
    }
}
