//! AdmissionReview (`admission.k8s.io/v1`), in here and out in `reply`: the one place that knows it.
//!
//! A body becomes a [`Review`]; a [`Reply`] becomes a body. Source: `k8s.io/api/admission/v1/types.go`.

mod reply;

pub(super) use reply::status_json;
pub use reply::{Reply, Undecided};

use portcullis_core::Request;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, Operation, UserInfo};
use serde::Deserialize;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The only version that is spoken.
pub const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

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
    #[error(
        "the body is `{kind}` of `{api_version}`; send an `AdmissionReview` of `admission.k8s.io/v1` \
         (in a webhook configuration: `admissionReviewVersions: [v1]`)"
    )]
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
                _ => return Err(Unreadable::Json(in_short(&error))),
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

/// What a message repeats of the input: enough to recognise it, in one line.
fn clip(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What is wrong and where. It may quote a string that is as long as the body.
fn in_short(error: &serde_json::Error) -> String {
    const LONGEST: usize = 200;
    let message = error.to_string();
    match message.char_indices().nth(LONGEST) {
        None => message,
        Some((end, _)) => {
            let begin = message.get(..end).unwrap_or_default();
            format!("{begin}… at line {} column {}", error.line(), error.column())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn request() -> Json {
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

    pub(super) fn read(request: &Json) -> Result<Review, Unreadable> {
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
}
