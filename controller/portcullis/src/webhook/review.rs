//! AdmissionReview (`admission.k8s.io/v1`), in by `read` and out by `reply`: the one place that knows it.
//!
//! A body becomes a [`Review`]; a [`Reply`] becomes a body. Source: `k8s.io/api/admission/v1/types.go`.

#[cfg(test)]
mod kept_tests;
mod read;
mod reply;

pub(super) use reply::status_json;
pub use reply::{Reply, Undecided};

use portcullis_core::Request;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, Operation, UserInfo};
use portcullis_core::tree::Builder;
pub use read::PlanOf;
use read::{AdmissionRequest, Envelope, EnvelopeSeed, Kind, Resource, TypeMeta, User};
use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::de::StrRead;
use std::sync::Arc;

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

/// What a body is that is no review.
fn what_else(kind: &str, api_version: &str) -> String {
    match (kind, api_version) {
        ("", _) => "has no `kind`".to_owned(),
        (_, "") => "has no `apiVersion`".to_owned(),
        _ => format!("is `{kind}` of `{api_version}`"),
    }
}

/// Why a body is not a review.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or cut off.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// JSON, but something else, or of another version.
    #[error(
        "the body {}; send an `AdmissionReview` of `admission.k8s.io/v1` \
         (in a webhook configuration: `admissionReviewVersions: [v1]`)",
        what_else(kind, api_version)
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
    /// Reads a body that is known to nest at most as deep as this thread's stack allows, and of its objects what
    /// is read by a plan of the set that will decide it.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read(body: &Arc<String>, plan_of: &PlanOf<'_>) -> Result<Self, Unreadable> {
        if let Some(review) = Self::read_once(body, plan_of)? {
            return Ok(review);
        }
        Self::read_once(body, &|_| None)?.ok_or(Unreadable::Missing("request"))
    }

    /// Reads all of a body.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read_whole(body: String) -> Result<Self, Unreadable> {
        Self::read(&Arc::new(body), &|_| None)
    }

    /// None if what the plan keeps turns out not to suffice.
    fn read_once(body: &Arc<String>, plan_of: &PlanOf<'_>) -> Result<Option<Self>, Unreadable> {
        let mut builder = Builder::over(Arc::clone(body));
        let mut deserializer = deserializer(body);
        let read = EnvelopeSeed { builder: &mut builder, plan_of }.deserialize(&mut deserializer);
        let Envelope { api_version, kind, request } =
            match read.and_then(|envelope| deserializer.end().map(|()| envelope)) {
                Ok(envelope) => envelope,
                // Another version may have other fields: say that rather than which of them is odd.
                Err(error) => match TypeMeta::deserialize(&mut self::deserializer(body)) {
                    Ok(other) if !other.is_review() => return Err(other.into()),
                    _ => return Err(Unreadable::Json(in_short(&error))),
                },
            };
        let meta = TypeMeta { api_version: api_version.0, kind: kind.0 };
        if !meta.is_review() {
            return Err(meta.into());
        }
        let mut request = request.ok_or(Unreadable::Missing("request"))?;
        let plan = request.plan.take();
        if request.out_of_order {
            return Ok(None);
        }
        let review = request.into_review(builder)?;
        let suffices = plan.is_none_or(|plan| plan.needs.suffice_for(&review.request));
        Ok(suffices.then_some(review))
    }
}

fn deserializer(body: &str) -> serde_json::Deserializer<StrRead<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    deserializer.disable_recursion_limit();
    deserializer
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

impl AdmissionRequest<'_> {
    fn into_review(self, builder: Builder) -> Result<Review, Unreadable> {
        let (uid, operation) = (self.uid.0, self.operation.0);
        if uid.is_empty() {
            return Err(Unreadable::Missing("request.uid"));
        }
        let kind = self.kind.filter(|kind| !kind.kind.is_empty());
        let resource = self.resource.filter(|resource| !resource.resource.is_empty());
        if operation.is_empty() {
            return Err(Unreadable::Missing("request.operation"));
        }
        let operation =
            Operation::parse(&operation).ok_or_else(|| Unreadable::Operation(clip(&operation)))?;
        let resource: GroupVersionResource = resource.ok_or(Unreadable::Missing("request.resource"))?.into();
        // Where it is not said what was sent, nothing was converted.
        let original = self.request_resource.map_or_else(|| resource.clone(), Into::into);
        let [object, old_object, options] = builder.finish([self.object, self.old_object, self.options]);
        let request = Request {
            kind: kind.ok_or(Unreadable::Missing("request.kind"))?.into(),
            resource: Some(resource),
            sub_resource: self.sub_resource.unwrap_or_default(),
            request_kind: self.request_kind.map(Into::into),
            request_resource: Some(original),
            request_sub_resource: self.request_sub_resource,
            name: self.name.unwrap_or_default(),
            namespace: self.namespace.unwrap_or_default(),
            operation,
            user: Some(self.user_info.unwrap_or_default().into()),
            object,
            old_object,
            old_object_known: true,
            options,
            dry_run: self.dry_run.unwrap_or_default(),
        };
        Ok(Review { uid: uid.into_owned(), request })
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
    use portcullis_core::tree::Tree;
    use serde_json::{Value as Json, json};

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
        Review::read_whole(review.to_string())
    }

    #[test]
    fn every_field_of_a_request_is_read() {
        let Review { uid, request } = read(&request()).unwrap();
        assert_eq!((uid.as_str(), request.operation), ("u", Operation::Update));
        assert_eq!(request.kind, GroupVersionKind::from_api_version("apps/v1", "Deployment"));
        assert_eq!(request.resource.as_ref().unwrap().resource, "deployments");
        assert_eq!(request.request_kind.unwrap().version, "v1beta1");
        assert_eq!((request.request_resource, request.request_sub_resource), (request.resource, None));
        assert_eq!((request.sub_resource.as_str(), request.name.as_str()), ("scale", "web"));
        let user = request.user.unwrap();
        assert_eq!(
            (user.username.as_str(), user.uid.as_str(), user.groups),
            ("jane", "7", vec!["g".to_owned()])
        );
        assert_eq!(user.extra["k"], ["v"]);
        assert_eq!(user.extra["none"], [""; 0]);
        assert_eq!(request.object, json!({"a": 1}));
        assert_eq!(request.old_object, json!({"a": 0}));
        assert!(request.dry_run && request.old_object_known);
        assert_eq!(request.options, json!({"kind": "UpdateOptions"}));
    }

    #[test]
    fn a_field_cannot_be_there_twice() {
        let review = r#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {"x": 1, "x": 2, "object": {}, "object": {}}}"#;
        let error = Review::read_whole(review.to_owned()).unwrap_err().to_string();
        assert!(error.contains("duplicate field `object`"), "{error}");
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
        let null = Tree::default;
        assert_eq!((request.object, request.old_object, request.options), (null(), null(), null()));
        assert_eq!(request.user, Some(UserInfo::default()));
    }
}
