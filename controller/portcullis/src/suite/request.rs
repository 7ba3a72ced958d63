//! The request of a case: what it says, and what follows from its object.

use super::fields::{Fault, Fields};
use portcullis_core::Request;
use portcullis_core::matching::Resources;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, Operation, UserInfo};
use portcullis_core::yaml::{Node, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Who asks where a case does not say: somebody who may do anything and is nobody in particular.
const DEFAULT_USER: &str = "kubernetes-admin";

/// The request that creates `object`, or changes `old` into it.
pub(super) fn from_object(object: Json, old: Option<Json>, resources: &Resources) -> Request {
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let mut request = Request::for_object(object, resources, operation);
    request.old_object = old.unwrap_or_default().into();
    request.old_object_known = true;
    request.user = Some(user(DEFAULT_USER, Vec::new()));
    request
}

/// A request spelt out, with AdmissionRequest's names; what it leaves out follows from its objects.
pub(super) fn from_node(node: &Node, resources: &Resources) -> Result<Request, Fault> {
    let fields = Fields::of(
        node,
        &[
            "operation",
            "subResource",
            "kind",
            "resource",
            "name",
            "namespace",
            "userInfo",
            "object",
            "oldObject",
            "options",
            "dryRun",
        ],
    )?;
    let json = |key: &str| fields.get(key).map(Node::to_json);
    let (object, old) = (json("object"), json("oldObject"));
    let operation = match fields.get("operation") {
        Some(node) => operation(node)?,
        None if object.is_none() => Operation::Delete,
        None if old.is_some() => Operation::Update,
        None => Operation::Create,
    };
    let subject = object.clone().or_else(|| old.clone()).unwrap_or(Json::Null);
    let mut request = from_object(subject, None, resources);
    request.operation = operation;
    request.object = object.unwrap_or_default().into();
    request.old_object = old.unwrap_or_default().into();
    request.sub_resource = fields.text("subResource")?.unwrap_or_default();
    if let Some(name) = fields.text("name")? {
        request.name = name;
    }
    if let Some(namespace) = fields.text("namespace")? {
        request.namespace = namespace;
    }
    if let Some(node) = fields.get("kind") {
        let kind = Fields::of(node, &["group", "version", "kind"])?;
        request.kind = GroupVersionKind {
            group: kind.text("group")?.unwrap_or_default(),
            version: kind.required("version")?,
            kind: kind.required("kind")?,
        };
    }
    if let Some(node) = fields.get("resource") {
        let resource = Fields::of(node, &["group", "version", "resource"])?;
        request.resource = Some(GroupVersionResource {
            group: resource.text("group")?.unwrap_or_default(),
            version: resource.required("version")?,
            resource: resource.required("resource")?,
        });
    }
    if let Some(node) = fields.get("userInfo") {
        request.user = Some(user_from(node)?);
    }
    request.options = json("options").unwrap_or_default().into();
    request.dry_run = fields.boolean("dryRun")?.unwrap_or_default();
    Ok(request)
}

fn operation(node: &Node) -> Result<Operation, Fault> {
    node.as_str()
        .and_then(Operation::parse)
        .ok_or_else(|| Fault::new(node.at, "`operation` must be CREATE, UPDATE, DELETE or CONNECT"))
}

/// A user: a name, or AdmissionRequest's UserInfo.
pub(super) fn user_from(node: &Node) -> Result<UserInfo, Fault> {
    if let Some(name) = node.as_str() {
        return Ok(user(name, Vec::new()));
    }
    let fields = Fields::of(node, &["username", "groups", "uid", "extra"])?;
    let mut extra = BTreeMap::new();
    if let Some(node) = fields.get("extra") {
        let Value::Mapping(entries) = &node.value else {
            return Err(Fault::new(node.at, "`extra` must be a mapping"));
        };
        for entry in entries {
            extra.insert(entry.key.clone(), strings(&entry.key, &entry.value)?);
        }
    }
    let groups = fields.get("groups").map(|node| strings("groups", node)).transpose()?;
    let mut user = user(&fields.required("username")?, groups.unwrap_or_default());
    user.uid = fields.text("uid")?.unwrap_or_default();
    user.extra = extra;
    Ok(user)
}

/// A user with the groups that the API server adds to an impersonated one: of service accounts, if no
/// groups are given, and of everybody who is authenticated.
pub fn user(username: &str, mut groups: Vec<String>) -> UserInfo {
    let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    let told = ["system:authenticated", "system:unauthenticated"];
    if username != "system:anonymous" && !groups.iter().any(|group| told.contains(&group.as_str())) {
        groups.push("system:authenticated".to_owned());
    }
    UserInfo { username: username.to_owned(), uid: String::new(), groups, extra: BTreeMap::new() }
}

pub(super) fn strings(name: &str, node: &Node) -> Result<Vec<String>, Fault> {
    let wrong = |node: &Node| Fault::new(node.at, format!("`{name}` must be a list of strings"));
    let Value::Sequence(items) = &node.value else { return Err(wrong(node)) };
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
}

#[cfg(test)]
mod tests {
    use super::user;

    #[test]
    fn users_get_the_groups_that_the_api_server_adds() {
        let check = |name: &str, groups: &[&str], expect: &[&str]| {
            let groups = groups.iter().map(|&group| group.to_owned()).collect();
            assert_eq!(user(name, groups).groups, expect, "{name}");
        };
        check("jane", &[], &["system:authenticated"]);
        check("jane", &["dev"], &["dev", "system:authenticated"]);
        check(
            "system:serviceaccount:shop:web",
            &[],
            &["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
        );
        check("system:serviceaccount:shop:web", &["system:authenticated"], &["system:authenticated"]);
        check("system:anonymous", &["system:unauthenticated"], &["system:unauthenticated"]);
    }
}
