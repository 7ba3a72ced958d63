//! Requests: objects of several kinds, created, changed, deleted and connected to.

use super::world::merge;
use crate::vap::dice::Dice;
use serde_json::{Value as Json, json};

/// A request, with what policies have to know to be about it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) json: Json,
    pub(super) subject: Subject,
    pub(super) sub_resource: &'static str,
    pub(super) operation: &'static str,
    /// The version that policies and webhooks ask for, where the request is of another.
    pub(super) converted_to: Option<&'static str>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Subject {
    pub(super) feature: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) resource: &'static str,
    pub(super) namespaced: bool,
}

const fn subject(
    feature: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    resource: &'static str,
    namespaced: bool,
) -> Subject {
    Subject { feature, group, version, kind, resource, namespaced }
}

const SUBJECTS: &[Subject] = &[
    subject("kind.pod", "", "v1", "Pod", "pods", true),
    subject("kind.deployment", "apps", "v1", "Deployment", "deployments", true),
    subject("kind.config-map", "", "v1", "ConfigMap", "configmaps", true),
    subject("kind.service", "", "v1", "Service", "services", true),
    subject("kind.cluster-role", "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    subject("kind.namespace", "", "v1", "Namespace", "namespaces", false),
    subject("kind.custom", "example.com", "v1", "Widget", "widgets", true),
    subject("kind.custom-cluster", "example.com", "v1", "Region", "regions", false),
    subject("kind.secret", "", "v1", "Secret", "secrets", true),
    subject(
        "kind.never-evaluated",
        "authorization.k8s.io",
        "v1",
        "SubjectAccessReview",
        "subjectaccessreviews",
        false,
    ),
    subject("kind.kept-out", "coordination.k8s.io", "v1", "Lease", "leases", true),
];

/// The long text and the short one in it that costly expressions look for: 900,000 units a search.
const HAY: usize = 100_000;
const NEEDLE: usize = 900;

pub(super) fn request(dice: &mut Dice<'_>) -> Request {
    let names: Vec<&'static str> = SUBJECTS.iter().map(|subject| subject.feature).collect();
    let chosen = dice.one_of(&names);
    let subject = SUBJECTS.iter().find(|subject| subject.feature == chosen).copied().unwrap_or(SUBJECTS[0]);
    let operation = operation(dice, subject);
    let sub_resource = sub_resource(dice, subject, operation);
    // Only a Namespace that exists can be changed.
    let names: &[&str] = match (subject.feature, operation) {
        ("kind.namespace", "UPDATE" | "DELETE") => &["shop", "lab", "bare", "ending"],
        _ => &["web", "db", "cache-1", "x"],
    };
    let name = dice.pick(names).to_owned();
    let namespace = namespace(dice, subject, &name);
    let mut json = json!({
        "kind": {"group": subject.group, "version": subject.version, "kind": subject.kind},
        "resource": {"group": subject.group, "version": subject.version, "resource": subject.resource},
        "subResource": sub_resource,
        "name": name,
        "namespace": namespace,
        "operation": operation,
        "userInfo": user(dice),
        "dryRun": dice.happens("request.dry-run"),
    });
    let mut object = object(dice, subject, &name, &namespace);
    for feature in [
        "cost.expression",
        "cost.binding",
        "cost.message",
        "cost.annotation",
        "cost.request",
        "conditions.exhausted",
        "variables.costly",
    ] {
        costly(dice.must(feature), &mut object);
    }
    place(dice, &mut json, object, operation, subject);
    as_sub_resource(&mut json, sub_resource, &name, &namespace);
    let converted_to = convert(dice, subject, &mut json);
    if dice.percent(85) {
        let kind = match operation {
            "CREATE" => "CreateOptions",
            "UPDATE" => dice.pick(&["UpdateOptions", "PatchOptions"]),
            _ => "DeleteOptions",
        };
        if operation != "CONNECT" {
            json["options"] = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind});
            if operation != "DELETE" && dice.percent(40) {
                json["options"]["fieldManager"] = json!("kubectl");
            }
        }
    }
    Request { json, subject, sub_resource, operation, converted_to }
}

fn costly(wanted: bool, object: &mut Json) {
    if wanted && object["metadata"].is_object() {
        object["metadata"]["annotations"]["hay"] = json!("x".repeat(HAY));
        object["metadata"]["annotations"]["needle"] = json!("y".repeat(NEEDLE));
    }
}

fn operation(dice: &mut Dice<'_>, subject: Subject) -> &'static str {
    let mut operations = vec!["operation.create", "operation.update", "operation.delete"];
    match subject.feature {
        "kind.pod" => operations.push("operation.connect"),
        "kind.never-evaluated" => operations.truncate(1),
        _ => {}
    }
    match dice.one_of(&operations) {
        "operation.update" => "UPDATE",
        "operation.delete" => "DELETE",
        "operation.connect" => "CONNECT",
        _ => "CREATE",
    }
}

fn sub_resource(dice: &mut Dice<'_>, subject: Subject, operation: &str) -> &'static str {
    match (operation, subject.feature) {
        ("CONNECT", _) => match dice.one_of(&["sub-resource.exec", "sub-resource.attach"]) {
            "sub-resource.attach" => "attach",
            _ => "exec",
        },
        ("UPDATE", "kind.deployment") if dice.happens("sub-resource.scale") => "scale",
        ("UPDATE", "kind.namespace") if dice.happens("sub-resource.finalize") => "finalize",
        ("UPDATE", "kind.pod" | "kind.deployment" | "kind.namespace" | "kind.custom")
            if dice.happens("sub-resource.status") =>
        {
            "status"
        }
        ("CREATE", "kind.pod") if dice.happens("sub-resource.eviction") => "eviction",
        _ => "",
    }
}

fn namespace(dice: &mut Dice<'_>, subject: Subject, name: &str) -> String {
    if subject.feature == "kind.namespace" {
        return name.to_owned();
    }
    if !subject.namespaced {
        return String::new();
    }
    if dice.happens("namespace.unknown") {
        return "missing".to_owned();
    }
    if dice.happens("namespace.terminating") {
        return "ending".to_owned();
    }
    dice.pick(&["shop", "shop", "shop", "lab", "bare"]).to_owned()
}

fn user(dice: &mut Dice<'_>) -> Json {
    let mut user = json!({"username": dice.pick(&["jane", "system:serviceaccount:shop:builder", "admin"])});
    if !dice.happens("request.without-groups") {
        user["groups"] = json!(dice.some(&["dev", "ops", "system:authenticated"]));
    }
    if dice.percent(40) {
        user["uid"] = json!("42");
    }
    if dice.happens("request.extra") {
        user["extra"] = json!({"scopes": ["read", "write"], "example.com/team": ["a"]});
    }
    user
}

/// Puts object, old object and name where the operation has them.
fn place(dice: &mut Dice<'_>, request: &mut Json, mut object: Json, operation: &str, subject: Subject) {
    match operation {
        "CREATE" => {
            if subject.feature != "kind.never-evaluated" && dice.happens("request.generated-name") {
                request["name"] = json!("");
                if subject.feature == "kind.namespace" {
                    request["namespace"] = json!("");
                }
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("name");
                    metadata.insert("generateName".to_owned(), json!("web-"));
                    if let Some(labels) = metadata.get_mut("labels").and_then(Json::as_object_mut) {
                        labels.remove("kubernetes.io/metadata.name");
                    }
                }
            }
            request["object"] = object;
        }
        "UPDATE" => {
            request["oldObject"] = changed(dice, &object);
            request["object"] = object;
        }
        "DELETE" => {
            request["oldObject"] = object;
            if dice.happens("request.delete-collection") {
                request["name"] = json!("");
            }
        }
        _ => {}
    }
}

/// The object as it was before.
fn changed(dice: &mut Dice<'_>, object: &Json) -> Json {
    let mut old = object.clone();
    if let (true, Some(metadata)) = (dice.percent(60), old["metadata"].as_object_mut()) {
        let labels = dice.pick(&["web", "old", "db"]);
        metadata.insert("labels".to_owned(), json!({"app": labels, "was": "here"}));
    }
    if dice.percent(40) && old["spec"]["replicas"].is_number() {
        old["spec"]["replicas"] = json!(1);
    }
    old
}

/// What sub-resources carry in place of the object.
fn as_sub_resource(request: &mut Json, sub_resource: &str, name: &str, namespace: &str) {
    let metadata = json!({"name": name, "namespace": namespace});
    let (group, version, kind, object) = match sub_resource {
        "exec" => (
            "",
            "v1",
            "PodExecOptions",
            json!({"stdin": true, "tty": true, "container": "app", "command": ["sh", "-c", "id"]}),
        ),
        "attach" => ("", "v1", "PodAttachOptions", json!({"stdin": true, "stdout": true})),
        "eviction" => ("policy", "v1", "Eviction", json!({"metadata": metadata})),
        "scale" => ("autoscaling", "v1", "Scale", json!({"metadata": metadata, "spec": {"replicas": 4}})),
        _ => return,
    };
    let mut typed = object;
    typed["apiVersion"] =
        json!(if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") });
    typed["kind"] = json!(kind);
    if sub_resource == "scale" {
        let mut old = typed.clone();
        old["spec"]["replicas"] = json!(2);
        request["oldObject"] = old;
    }
    request["object"] = typed;
    request["kind"] = json!({"group": group, "version": version, "kind": kind});
    if sub_resource == "eviction" {
        request["oldObject"] = Json::Null;
        request["name"] = json!(name);
    }
}

/// Widgets come in two versions; the request may be in the other one than what policies ask for.
fn convert(dice: &mut Dice<'_>, subject: Subject, request: &mut Json) -> Option<&'static str> {
    if subject.feature != "kind.custom" || !dice.happens("request.converted") {
        return None;
    }
    for at in ["kind", "resource"] {
        request[at]["version"] = json!("v1beta1");
    }
    for at in ["object", "oldObject"] {
        if request[at].is_object() {
            request[at]["apiVersion"] = json!("example.com/v1beta1");
        }
    }
    Some("v1")
}

fn object(dice: &mut Dice<'_>, subject: Subject, name: &str, namespace: &str) -> Json {
    let api_version = if subject.group.is_empty() {
        subject.version.to_owned()
    } else {
        format!("{}/{}", subject.group, subject.version)
    };
    let mut object = json!({"apiVersion": api_version, "kind": subject.kind, "metadata": {"name": name}});
    if subject.namespaced {
        object["metadata"]["namespace"] = json!(namespace);
    }
    if !dice.happens("request.unlabelled") {
        let app = dice.pick(&["web", "db", "cache"]);
        object["metadata"]["labels"] = json!({"app": app, "tier": dice.pick(&["gold", "silver", ""])});
    }
    if dice.percent(40) {
        object["metadata"]["annotations"] = json!({"note": "größe", "empty": ""});
    }
    let more = match subject.feature {
        "kind.pod" => json!({"spec": pod_spec(dice)}),
        "kind.deployment" => json!({"spec": {
            "replicas": dice.between(0, 5),
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(dice)},
        }}),
        "kind.config-map" => json!({"data": {"max": dice.pick(&["1", "3", "many"]), "note": "a\nb"}}),
        "kind.secret" => json!({
            "type": "Opaque",
            "data": {"password": "aHVudGVyMg==", "user": "cm9vdA=="},
        }),
        "kind.service" => json!({"spec": {
            "type": dice.pick(&["ClusterIP", "NodePort"]),
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"port": 443, "targetPort": 8443}],
        }}),
        "kind.cluster-role" => json!({"rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": dice.some(&["get", "list", "*"])},
        ]}),
        "kind.namespace" => {
            json!({"metadata": {"labels": {"env": dice.pick(&["prod", "dev"])}}, "spec": {"finalizers": ["kubernetes"]}})
        }
        "kind.custom" | "kind.custom-cluster" => json!({"spec": {
            "size": dice.between(0, 9),
            "ratio": 1.5,
            "names": dice.some(&["a", "b", "web"]),
            "nothing": null,
            "on": dice.percent(50),
            "limits": {"cpu": "100m", "memory": "1Gi"},
            "port": dice.pick(&["http", "8080"]),
        }}),
        "kind.never-evaluated" => {
            json!({"spec": {"user": "jane", "nonResourceAttributes": {"path": "/", "verb": "get"}}})
        }
        _ => json!({"spec": {"holderIdentity": "node-1"}}),
    };
    merge(&mut object, &more);
    if subject.feature == "kind.namespace" {
        // A default of the API server.
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    }
    object
}

fn pod_spec(dice: &mut Dice<'_>) -> Json {
    let container = |dice: &mut Dice<'_>, name: &str| {
        let mut container = json!({
            "name": name,
            "image": dice.pick(&["registry.example.com/web:1.2", "nginx", "ghcr.io/acme/db@sha256:00"]),
        });
        if dice.percent(50) {
            container["securityContext"] =
                json!({"privileged": dice.percent(50), "runAsUser": dice.between(0, 2)});
        }
        if dice.percent(50) {
            container["resources"] =
                json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "0.1"}});
        }
        if dice.percent(40) {
            container["ports"] =
                json!([{"containerPort": 8080, "hostPort": 80}, {"containerPort": 9090, "name": "m"}]);
            container["livenessProbe"] = json!({"httpGet": {"path": "/", "port": "http"}});
        }
        container
    };
    let containers: Vec<Json> =
        (0..dice.between(1, 3)).map(|i| container(dice, ["app", "side", "log"][i])).collect();
    let mut spec = json!({"containers": containers});
    if dice.percent(40) {
        spec["hostNetwork"] = json!(dice.percent(50));
    }
    if dice.percent(30) {
        spec["initContainers"] = json!([container(dice, "init")]);
    }
    if dice.percent(30) {
        spec["terminationGracePeriodSeconds"] = json!(dice.between(0, 60));
        spec["nodeSelector"] = json!({"disk": "ssd"});
    }
    spec
}
