//! A case's request as the API server would send it.

use portcullis_core::Request;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, UserInfo};
use serde_json::{Value, json};

/// The AdmissionReview of a request.
pub(super) fn review(request: &Request, uid: &str) -> Value {
    let resource = request.resource.as_ref().map(resource);
    let original =
        |sub_resource: &Option<String>| sub_resource.clone().unwrap_or_else(|| request.sub_resource.clone());
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": kind(&request.kind),
            "resource": resource,
            "subResource": request.sub_resource,
            "requestKind": request.request_kind.as_ref().map_or_else(|| kind(&request.kind), kind),
            "requestResource": request.request_resource.as_ref().map(self::resource).or(resource),
            "requestSubResource": original(&request.request_sub_resource),
            "name": request.name,
            "namespace": request.namespace,
            "operation": request.operation.as_str(),
            "userInfo": request.user.as_ref().map(user),
            "object": request.object,
            "oldObject": request.old_object,
            "options": request.options,
            "dryRun": request.dry_run,
        },
    })
}

fn kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(resource: &GroupVersionResource) -> Value {
    json!({"group": resource.group, "version": resource.version, "resource": resource.resource})
}

fn user(user: &UserInfo) -> Value {
    json!({"username": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra})
}
