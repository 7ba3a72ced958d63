//! What policies ask the authorizer, and what is known of its answers.
//!
//! Nothing here asks anybody: a decision lists what it would have to know
//! ([`Decision::unanswered`](crate::decision::Decision::unanswered)), and whoever can find out does so and has
//! the request decided again.

use crate::request::{Request, UserInfo};
pub use portcullis_cel::{
    AccessAnswer, AccessAttributes, AccessReview, AccessUser, Authorizer, ResourceAttributes,
};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So often a request is decided at most: what one answer leads to asking may lead to asking more.
pub const MAX_ROUNDS: usize = 4;

/// Answers that are known.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<AccessReview, AccessAnswer>);

impl Answers {
    /// Adds an answer.
    pub fn insert(&mut self, review: AccessReview, answer: AccessAnswer) {
        self.0.insert(review, answer);
    }
}

impl Authorizer for Answers {
    fn answer(&self, review: &AccessReview) -> Option<AccessAnswer> {
        self.0.get(review).cloned()
    }
}

/// Asks whoever answers, and keeps what was asked in vain.
#[derive(Debug)]
pub(crate) struct Asked {
    answers: Option<Arc<dyn Authorizer>>,
    unanswered: Mutex<Vec<AccessReview>>,
}

impl Asked {
    pub(crate) fn new(answers: Option<Arc<dyn Authorizer>>) -> Self {
        Self { answers, unanswered: Mutex::default() }
    }

    /// What was asked in vain, each once, in the order of asking. Nobody can answer for a user who is not known.
    pub(crate) fn unanswered(&self) -> Vec<AccessReview> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Authorizer for Asked {
    fn answer(&self, review: &AccessReview) -> Option<AccessAnswer> {
        let answer = self.answers.as_ref().and_then(|answers| answers.answer(review));
        if answer.is_none() && review.user.is_some() {
            let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
            if !unanswered.contains(review) {
                unanswered.push(review.clone());
            }
        }
        answer
    }
}

/// A requester, as the authorizer is asked about them.
pub(crate) fn user(user: &UserInfo) -> AccessUser {
    let UserInfo { username, uid, groups, extra } = user.clone();
    AccessUser { username, uid, groups, extra }
}

/// What `authorizer.requestResource` asks about: the resource of the original request
/// (`NewResourceAuthorizerVal` in apiserver's `pkg/cel/library/authz.go`). `None` where the resource is not known.
pub(crate) fn request_resource(request: &Request) -> Option<ResourceAttributes> {
    let resource = request.request_resource.as_ref().or(request.resource.as_ref())?;
    let subresource = request.request_sub_resource.as_ref().unwrap_or(&request.sub_resource);
    Some(ResourceAttributes {
        group: resource.group.as_str().into(),
        resource: resource.resource.as_str().into(),
        subresource: subresource.as_str().into(),
        namespace: request.namespace.as_str().into(),
        name: request.name.as_str().into(),
        ..ResourceAttributes::default()
    })
}

/// The `SubjectAccessReview` (authorization.k8s.io/v1) that asks the API server; `None` where it is not known
/// who the user is.
pub fn subject_access_review(review: &AccessReview) -> Option<Json> {
    let user = review.user.as_deref()?;
    let mut spec = Map::new();
    for (field, text) in [("user", &user.username), ("uid", &user.uid)] {
        if !text.is_empty() {
            spec.insert(field.to_owned(), json!(text));
        }
    }
    spec.insert("groups".to_owned(), json!(user.groups));
    spec.insert("extra".to_owned(), json!(user.extra));
    let verb = &*review.verb;
    match &review.attributes {
        AccessAttributes::Path(path) => {
            spec.insert("nonResourceAttributes".to_owned(), json!({"path": &**path, "verb": verb}));
        }
        AccessAttributes::Resource(resource) => {
            spec.insert("resourceAttributes".to_owned(), resource_attributes(resource, verb));
        }
    }
    Some(json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}))
}

fn resource_attributes(resource: &ResourceAttributes, verb: &str) -> Json {
    let mut fields = Map::new();
    for (field, text) in [
        ("group", &*resource.group),
        ("version", "*"),
        ("resource", &*resource.resource),
        ("subresource", &*resource.subresource),
        ("namespace", &*resource.namespace),
        ("name", &*resource.name),
        ("verb", verb),
    ] {
        if !text.is_empty() {
            fields.insert(field.to_owned(), json!(text));
        }
    }
    for (field, selector) in
        [("fieldSelector", &resource.field_selector), ("labelSelector", &resource.label_selector)]
    {
        if !selector.is_empty() {
            fields.insert(field.to_owned(), json!({"rawSelector": &**selector}));
        }
    }
    Json::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(user: Option<AccessUser>, attributes: AccessAttributes) -> AccessReview {
        AccessReview { user: user.map(Arc::new), verb: "list".into(), attributes }
    }

    #[test]
    fn reviews_as_the_api_server_takes_them() {
        let user = AccessUser {
            username: "jane".to_owned(),
            groups: vec!["dev".to_owned()],
            ..AccessUser::default()
        };
        let pods = ResourceAttributes {
            resource: "pods".into(),
            namespace: "shop".into(),
            label_selector: "app=web".into(),
            ..ResourceAttributes::default()
        };
        for (attributes, field, expected) in [
            (
                AccessAttributes::Resource(pods),
                "resourceAttributes",
                json!({"version": "*", "resource": "pods", "namespace": "shop", "verb": "list",
                    "labelSelector": {"rawSelector": "app=web"}}),
            ),
            (
                AccessAttributes::Path("/healthz".into()),
                "nonResourceAttributes",
                json!({"path": "/healthz", "verb": "list"}),
            ),
        ] {
            let asked = subject_access_review(&review(Some(user.clone()), attributes.clone()));
            let spec = json!({"user": "jane", "groups": ["dev"], "extra": {}, field: expected});
            assert_eq!(asked.unwrap().get("spec"), Some(&spec));
            assert_eq!(subject_access_review(&review(None, attributes)), None);
        }
    }

    #[test]
    fn what_was_asked_in_vain() {
        let known = review(Some(AccessUser::default()), AccessAttributes::Path("/known".into()));
        let unknown = review(Some(AccessUser::default()), AccessAttributes::Path("/unknown".into()));
        let nobody = review(None, AccessAttributes::Path("/unknown".into()));
        let mut answers = Answers::default();
        answers.insert(known.clone(), AccessAnswer { allowed: true, ..AccessAnswer::default() });
        let asked = Asked::new(Some(Arc::new(answers)));
        assert!(asked.answer(&known).is_some_and(|answer| answer.allowed));
        for review in [&unknown, &unknown, &nobody] {
            assert_eq!(asked.answer(review), None);
        }
        assert_eq!(asked.unanswered(), [unknown]);
    }
}
