//! AdmissionReview (`admission.k8s.io/v1`), in and out: the one place that knows it.
//!
//! A body becomes a [`Review`]; a [`Reply`] becomes a body. Source: `k8s.io/api/admission/v1/types.go`.

use portcullis_core::Request;
use portcullis_core::enforcement::Answer;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, Operation, UserInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The only version that is spoken.
pub const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// At most this many causes are listed in a reply; the rest are counted.
const MAX_CAUSES: usize = 100;
/// The message of a reply ends after this many bytes; the causes carry the rest.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// A review that can be answered.
#[derive(Debug)]
pub struct Review {
    /// The review's uid, repeated in the reply.
    pub uid: String,
    /// What is to be decided.
    pub request: Request,
}

/// Why a body is not a review.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or cut off.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// JSON, but something else, or of another version.
    #[error("the body is `{kind}` of `{api_version}`, not `AdmissionReview` of `admission.k8s.io/v1`")]
    Other {
        /// Its `apiVersion`.
        api_version: String,
        /// Its `kind`.
        kind: String,
    },
    /// A review that lacks what every API server sends.
    #[error("the review has no `{0}`")]
    Missing(&'static str),
    /// An operation that does not exist.
    #[error("`request.operation` is `{0}`, none of CREATE, UPDATE, DELETE and CONNECT")]
    Operation(String),
}

impl Review {
    /// Reads a body that is known to nest at most as deep as this thread's stack allows.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let envelope: Envelope<'_> = match parse(body) {
            Ok(envelope) => envelope,
            // Another version may have other fields: say that rather than which of them is odd.
            Err(error) => match parse::<TypeMeta<'_>>(body) {
                Ok(other) if !other.is_review() => return Err(other.into()),
                _ => return Err(Unreadable::Json(error.to_string())),
            },
        };
        let Envelope { api_version, kind, request } = envelope;
        let meta = TypeMeta { api_version, kind };
        if !meta.is_review() {
            return Err(meta.into());
        }
        request.ok_or(Unreadable::Missing("request"))?.read()
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object with `apiVersion` and `kind`")]
struct TypeMeta<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
}

impl TypeMeta<'_> {
    fn is_review(&self) -> bool {
        self.api_version == API_VERSION && self.kind == KIND
    }
}

impl From<TypeMeta<'_>> for Unreadable {
    fn from(meta: TypeMeta<'_>) -> Self {
        Self::Other { api_version: clip(&meta.api_version), kind: clip(&meta.kind) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an AdmissionReview")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    request: Option<AdmissionRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an AdmissionRequest")]
struct AdmissionRequest {
    #[serde(default)]
    uid: String,
    kind: Option<Kind>,
    resource: Option<Resource>,
    sub_resource: Option<String>,
    request_kind: Option<Kind>,
    request_resource: Option<Resource>,
    request_sub_resource: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    operation: String,
    user_info: Option<User>,
    #[serde(default)]
    object: Json,
    #[serde(default)]
    old_object: Json,
    dry_run: Option<bool>,
    #[serde(default)]
    options: Json,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a group, version and kind")]
struct Kind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a group, version and resource")]
struct Resource {
    group: String,
    version: String,
    resource: String,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a UserInfo")]
struct User {
    username: String,
    uid: String,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Option<Vec<String>>>>,
}

impl AdmissionRequest {
    fn read(self) -> Result<Review, Unreadable> {
        if self.uid.is_empty() {
            return Err(Unreadable::Missing("request.uid"));
        }
        let kind = self.kind.filter(|kind| !kind.kind.is_empty());
        let resource = self.resource.filter(|resource| !resource.resource.is_empty());
        if self.operation.is_empty() {
            return Err(Unreadable::Missing("request.operation"));
        }
        let operation =
            Operation::parse(&self.operation).ok_or_else(|| Unreadable::Operation(clip(&self.operation)))?;
        let request = Request {
            kind: kind.ok_or(Unreadable::Missing("request.kind"))?.into(),
            resource: Some(resource.ok_or(Unreadable::Missing("request.resource"))?.into()),
            sub_resource: self.sub_resource.unwrap_or_default(),
            request_kind: self.request_kind.map(Into::into),
            request_resource: self.request_resource.map(Into::into),
            request_sub_resource: self.request_sub_resource,
            name: self.name.unwrap_or_default(),
            namespace: self.namespace.unwrap_or_default(),
            operation,
            user: Some(self.user_info.unwrap_or_default().into()),
            object: self.object,
            old_object: self.old_object,
            old_object_known: true,
            options: self.options,
            dry_run: self.dry_run.unwrap_or_default(),
        };
        Ok(Review { uid: self.uid, request })
    }
}

impl From<Kind> for GroupVersionKind {
    fn from(Kind { group, version, kind }: Kind) -> Self {
        Self { group, version, kind }
    }
}

impl From<Resource> for GroupVersionResource {
    fn from(Resource { group, version, resource }: Resource) -> Self {
        Self { group, version, resource }
    }
}

impl From<User> for UserInfo {
    fn from(user: User) -> Self {
        let extra = user.extra.unwrap_or_default();
        Self {
            username: user.username,
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: extra.into_iter().map(|(key, values)| (key, values.unwrap_or_default())).collect(),
        }
    }
}

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
pub(super) fn status_json(code: u16, reason: &'static str, message: &str) -> Vec<u8> {
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
        message: &cause.message,
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

/// What a message repeats of the input: enough to recognise it.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::decision::Reason;
    use portcullis_core::enforcement::Cause;
    use serde_json::json;

    fn request() -> Json {
        json!({
            "uid": "u", "operation": "UPDATE", "name": "web", "namespace": "a", "subResource": "scale",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "requestKind": {"group": "apps", "version": "v1beta1", "kind": "Deployment"},
            "userInfo": {"username": "jane", "uid": "7", "groups": ["g"], "extra": {"k": ["v"], "none": null}},
            "object": {"a": 1}, "oldObject": {"a": 0}, "dryRun": true, "options": {"kind": "UpdateOptions"},
            "a field of tomorrow": [1]
        })
    }

    fn read(request: &Json) -> Result<Review, Unreadable> {
        let review = json!({"kind": KIND, "apiVersion": API_VERSION, "request": request});
        Review::read(review.to_string().as_bytes())
    }

    #[test]
    fn every_field_of_a_request_is_read() {
        let Review { uid, request } = read(&request()).unwrap();
        assert_eq!((uid.as_str(), request.operation), ("u", Operation::Update));
        assert_eq!(request.kind, GroupVersionKind::from_api_version("apps/v1", "Deployment"));
        assert_eq!(request.resource.unwrap().resource, "deployments");
        assert_eq!(request.request_kind.unwrap().version, "v1beta1");
        assert_eq!((request.request_resource, request.request_sub_resource), (None, None));
        assert_eq!((request.sub_resource.as_str(), request.name.as_str()), ("scale", "web"));
        let user = request.user.unwrap();
        assert_eq!(
            (user.username.as_str(), user.uid.as_str(), user.groups),
            ("jane", "7", vec!["g".to_owned()])
        );
        assert_eq!(user.extra["k"], ["v"]);
        assert_eq!(user.extra["none"], [""; 0]);
        assert_eq!((request.object, request.old_object), (json!({"a": 1}), json!({"a": 0})));
        assert!(request.dry_run && request.old_object_known);
        assert_eq!(request.options["kind"], "UpdateOptions");
    }

    #[test]
    fn what_go_leaves_out_or_writes_as_null_is_empty() {
        let mut sparse = request();
        for field in ["name", "namespace", "subResource", "requestKind", "userInfo", "object", "oldObject"] {
            sparse[field] = Json::Null;
        }
        sparse.as_object_mut().unwrap().remove("dryRun");
        sparse.as_object_mut().unwrap().remove("options");
        let request = read(&sparse).unwrap().request;
        assert_eq!((request.name.as_str(), request.namespace.as_str(), request.dry_run), ("", "", false));
        assert_eq!(
            (request.object, request.old_object, request.options),
            (Json::Null, Json::Null, Json::Null)
        );
        assert_eq!(request.user, Some(UserInfo::default()));
    }

    fn denied(count: usize, line: &str) -> Json {
        let cause = Cause {
            policy: "p".to_owned(),
            message: "policy `p`: `spec.replicas` must be odd".to_owned(),
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
