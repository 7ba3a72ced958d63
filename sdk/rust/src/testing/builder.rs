//! Requests, put together bit by bit.

use crate::request::{Operation, Request};
use crate::settings::{self, Settings};
use serde_json::{Map, Value, json};

/// Where Pods are in the kinds that have one, as JSON pointers.
const HERE: &str = "";
const SPEC_TEMPLATE: &str = "/spec/template";
const JOB_TEMPLATE: &str = "/spec/jobTemplate/spec/template";

/// The operation of which the object is the old one.
const DELETE: &str = "DELETE";

/// Subresources through which objects of another kind are written than the resource's own.
const OF_OTHER_KINDS: [(&str, &str); 8] = [
    ("scale", "Scale"),
    ("eviction", "Eviction"),
    ("binding", "Binding"),
    ("token", "TokenRequest"),
    ("exec", "PodExecOptions"),
    ("attach", "PodAttachOptions"),
    ("portforward", "PodPortForwardOptions"),
    ("proxy", "PodProxyOptions"),
];

/// What stands in place of a Secret's value.
const MASK: &str = "***";

/// A request in the making: an object is created in namespace `default`, and the policy reads nothing besides, until it is
/// said otherwise. What the policy does not name in `wasm.reads`, do not say here.
///
/// The methods on containers, images and Pods do nothing sensible on objects without a Pod, and panic.
#[derive(Debug, Clone)]
#[must_use]
pub struct RequestBuilder {
    object: Value,
    /// Where the Pod is, if there is one.
    pod: Option<&'static str>,
    request: Map<String, Value>,
    /// What stands beside the request.
    beside: Map<String, Value>,
    settings: Value,
    /// Of the Pod's lists of containers the one that was added to last.
    last: &'static str,
}

macro_rules! kinds {
    ($($(#[$docs:meta])* $name:ident: $api_version:literal $kind:literal $resource:literal at $pod:expr;)*) => {
        $($(#[$docs])*
        pub fn $name() -> RequestBuilder {
            RequestBuilder::new($api_version, $kind, $resource, $pod)
        })*
    };
}

kinds! {
    /// A Pod without containers.
    pod: "v1" "Pod" "pods" at Some(HERE);
    /// A Deployment whose Pods have no containers.
    deployment: "apps/v1" "Deployment" "deployments" at Some(SPEC_TEMPLATE);
    /// A StatefulSet whose Pods have no containers.
    stateful_set: "apps/v1" "StatefulSet" "statefulsets" at Some(SPEC_TEMPLATE);
    /// A DaemonSet whose Pods have no containers.
    daemon_set: "apps/v1" "DaemonSet" "daemonsets" at Some(SPEC_TEMPLATE);
    /// A ReplicaSet whose Pods have no containers.
    replica_set: "apps/v1" "ReplicaSet" "replicasets" at Some(SPEC_TEMPLATE);
    /// A ReplicationController whose Pods have no containers.
    replication_controller: "v1" "ReplicationController" "replicationcontrollers" at Some(SPEC_TEMPLATE);
    /// A Job whose Pods have no containers.
    job: "batch/v1" "Job" "jobs" at Some(SPEC_TEMPLATE);
    /// A CronJob whose Pods have no containers.
    cron_job: "batch/v1" "CronJob" "cronjobs" at Some(JOB_TEMPLATE);
    /// An empty ConfigMap.
    config_map: "v1" "ConfigMap" "configmaps" at None;
    /// An empty Secret. Whatever is written as its values, a policy sees `***`.
    secret: "v1" "Secret" "secrets" at None;
}

/// An object of any kind, whose resource is the plural given.
pub fn object(resource: &str, object: Value) -> RequestBuilder {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut builder = RequestBuilder::new(text("apiVersion"), text("kind"), resource, None);
    builder.object = object;
    builder
}

impl RequestBuilder {
    fn new(api_version: &str, kind: &str, resource: &str, pod: Option<&'static str>) -> Self {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let request = json!({
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
        });
        let request = request.as_object().cloned().unwrap_or_default();
        let metadata = json!({"name": "test", "namespace": "default"});
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
        let builder =
            Self { object, pod, request, beside: Map::new(), settings: json!({}), last: "containers" };
        match pod {
            Some(place) => builder.set(&format!("{place}/spec/containers"), json!([])),
            None => builder,
        }
    }

    /// Sets any field of the object, by its JSON pointer: `/spec/template/spec/hostNetwork`. What is above it is made.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *place(&mut self.object, pointer) = value.into();
        self
    }

    /// Names the object.
    pub fn name(self, name: &str) -> Self {
        self.set("/metadata/name", name)
    }

    /// Puts the object into a namespace; into none if it is empty.
    pub fn namespace(self, namespace: &str) -> Self {
        self.set("/metadata/namespace", namespace)
    }

    /// Labels the object.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        place(&mut self.object, "/metadata/labels")[key] = value.into();
        self
    }

    /// Annotates the object.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        place(&mut self.object, "/metadata/annotations")[key] = value.into();
        self
    }

    /// Sets a key of a ConfigMap or Secret.
    pub fn data(mut self, key: &str, value: &str) -> Self {
        place(&mut self.object, "/data")[key] = value.into();
        self
    }

    /// Adds a container with this image.
    pub fn image(self, image: &str) -> Self {
        self.add("containers", json!({"image": image}))
    }

    /// Adds an init container with this image.
    pub fn init_image(self, image: &str) -> Self {
        self.add("initContainers", json!({"image": image}))
    }

    /// Adds an ephemeral container with this image.
    pub fn ephemeral_image(self, image: &str) -> Self {
        self.add("ephemeralContainers", json!({"image": image}))
    }

    /// Adds a container as it is written; it gets a name if it has none.
    pub fn container(self, container: Value) -> Self {
        self.add("containers", container)
    }

    /// Sets an environment variable of the container that was added last.
    pub fn env(self, name: &str, value: &str) -> Self {
        self.of_last("env", json!({"name": name, "value": value}))
    }

    /// Adds an argument to the container that was added last.
    pub fn arg(self, argument: &str) -> Self {
        self.of_last("args", argument.into())
    }

    /// Sets a field of the Pod's spec, wherever that is in the object.
    pub fn spec(self, field: &str, value: impl Into<Value>) -> Self {
        let pointer = format!("{}/spec/{field}", self.pod());
        self.set(&pointer, value)
    }

    /// Says what is done. Of what is deleted, the object is the old one; what an update changes, [`old`](Self::old) says.
    pub fn operation(self, operation: Operation) -> Self {
        let name = match operation {
            Operation::Create => return self.with("operation", "CREATE").with("oldObject", Value::Null),
            Operation::Update => "UPDATE",
            Operation::Delete => DELETE,
            Operation::Connect => "CONNECT",
        };
        self.with("operation", name)
    }

    /// Says who asks.
    pub fn user(self, name: &str, groups: &[&str]) -> Self {
        self.with("userInfo", json!({"username": name, "groups": groups}))
    }

    /// Says through which subresource; empty for none.
    ///
    /// # Panics
    /// If what is written through it is no such object: a `scale` is a Scale, and neither has a Pod nor what else the builder
    /// was begun with. Begin with [`object`], and say the [`resource`](Self::resource).
    #[track_caller]
    pub fn sub_resource(self, name: &str) -> Self {
        let kind = self.object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let other = OF_OTHER_KINDS.iter().find(|(sub_resource, _)| *sub_resource == name);
        if let Some((_, expected)) = other {
            assert!(
                kind == *expected,
                "through `{name}` a {expected} is written: begin with `object(\"…\", json!({{\"kind\": \"{expected}\", …}}))`"
            );
        }
        self.with("subResource", name)
    }

    /// Says through which resource the object is written, where that is of another group than the object: a Scale is
    /// written through `deployments` of `apps`.
    pub fn resource(self, group: &str, version: &str, resource: &str) -> Self {
        self.with("resource", json!({"group": group, "version": version, "resource": resource}))
    }

    /// Says that nothing will be persisted.
    pub fn dry_run(self) -> Self {
        self.with("dryRun", true)
    }

    /// Says with which options, such as CreateOptions.
    pub fn options(self, options: Value) -> Self {
        self.with("options", options)
    }

    /// Makes it an update of what another builder has made.
    pub fn old(self, before: Self) -> Self {
        self.operation(Operation::Update).with("oldObject", before.object)
    }

    /// Makes it the deletion of the object.
    pub fn deleted(self) -> Self {
        self.operation(Operation::Delete)
    }

    /// Gives the policy params.
    pub fn params(mut self, params: Value) -> Self {
        self.beside.insert("params".to_owned(), params);
        self
    }

    /// Gives the Namespace that the object is in.
    pub fn namespace_object(mut self, namespace: Value) -> Self {
        self.beside.insert("namespaceObject".to_owned(), namespace);
        self
    }

    /// Has a look-up find these.
    pub fn lookup(mut self, name: &str, found: Vec<Value>) -> Self {
        let lookups = self.beside.entry("lookups").or_insert_with(|| json!({}));
        lookups[name] = Value::Array(found);
        self
    }

    /// Sets what a policy's author would set.
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// The request as the policy gets it. Its text lives as long as the process, as in a module.
    ///
    /// # Panics
    /// If the policy does not accept the settings.
    pub fn request<S: Settings>(mut self) -> Request<S> {
        let settings = self.settings.to_string();
        let errors = settings::errors::<S>(&settings);
        assert!(errors.is_empty(), "the settings are not accepted: {errors:?}");
        for field in ["name", "namespace"] {
            let value = self.object.get("metadata").and_then(|metadata| metadata.get(field)).cloned();
            self.request.insert(field.to_owned(), value.unwrap_or_else(|| "".into()));
        }
        let is_deleted = self.request.get("operation").is_some_and(|operation| operation == DELETE);
        let (place, other) = if is_deleted { ("oldObject", Some("object")) } else { ("object", None) };
        self.request.insert(place.to_owned(), self.object);
        self.request.extend(other.map(|other| (other.to_owned(), Value::Null)));
        self.request.values_mut().chain(self.beside.values_mut()).for_each(mask);
        let mut whole = Map::from_iter([("abi".to_owned(), 1.into()), ("policy".to_owned(), "test".into())]);
        whole.extend(self.beside);
        whole.insert("request".to_owned(), self.request.into());
        let text: &'static str = Value::Object(whole).to_string().leak();
        #[expect(clippy::expect_used, reason = "settings were just read, and the request was just made")]
        settings::read(&settings).and_then(|settings| Request::read(text, settings)).expect("a request")
    }

    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.request.insert(field.to_owned(), value.into());
        self
    }

    #[track_caller]
    #[expect(clippy::expect_used, reason = "a test is wrong")]
    fn pod(&self) -> &'static str {
        self.pod.expect("the object has a Pod, or the template of one")
    }

    #[track_caller]
    fn add(mut self, list: &'static str, mut container: Value) -> Self {
        let pointer = format!("{}/spec/{list}", self.pod());
        let containers = place(&mut self.object, &pointer);
        let number = containers.as_array().map_or(0, Vec::len);
        if container.get("name").is_none() {
            let name = match list {
                "initContainers" => "init",
                "ephemeralContainers" => "ephemeral",
                _ => "container",
            };
            *place(&mut container, "/name") = format!("{name}-{number}").into();
        }
        push(containers, container);
        self.last = list;
        self
    }

    #[track_caller]
    fn of_last(mut self, field: &str, value: Value) -> Self {
        let pointer = format!("{}/spec/{}", self.pod(), self.last);
        let containers = place(&mut self.object, &pointer).as_array_mut();
        #[expect(clippy::expect_used, reason = "a test is wrong")]
        let container = containers.and_then(|list| list.last_mut()).expect("a container was added before");
        push(&mut container[field], value);
        self
    }
}

/// Hides the values of Secrets, also in lists, as the controller does it.
fn mask(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(mask),
        Value::Object(object) if object.get("kind").is_some_and(|kind| kind == "Secret") => {
            for field in ["data", "stringData"] {
                let values = object.get_mut(field).and_then(Value::as_object_mut);
                values.into_iter().flat_map(Map::values_mut).for_each(|value| *value = MASK.into());
            }
            let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
            let annotations = metadata.and_then(|metadata| metadata.get_mut("annotations")?.as_object_mut());
            let is_copy = |key: &str| key.contains("last-applied") || key == "kapp.k14s.io/original";
            let copies = annotations.into_iter().flatten().filter(|(key, _)| is_copy(key));
            copies.for_each(|(_, copy)| *copy = MASK.into());
        }
        Value::Object(object) => object.values_mut().filter(|value| value.is_array()).for_each(mask),
        _ => {}
    }
}

/// Adds to a list, which is made if there is none.
fn push(list: &mut Value, value: Value) {
    match list {
        Value::Array(list) => list.push(value),
        other => *other = json!([value]),
    }
}

/// What a JSON pointer leads to. What is not there is made, of objects.
fn place<'v>(value: &'v mut Value, pointer: &str) -> &'v mut Value {
    pointer.split('/').skip(1).fold(value, |value, part| {
        let name = part.replace("~1", "/").replace("~0", "~");
        match name.parse::<usize>() {
            Ok(index) if value.is_array() => &mut value[index],
            _ => &mut value[name],
        }
    })
}
