//! The Pod inside an object: its spec, containers and images, wherever the kind keeps them.
//!
//! Objects may have any shape: what is not what it should be is skipped, never a panic.

use crate::request::{GroupVersionKind, Request};
use serde_json::{Value as Json, json};

/// A kind that is a Pod or carries a Pod template.
#[derive(Debug, Clone, Copy)]
pub struct PodKind {
    /// API group, empty for core. The version is v1.
    pub group: &'static str,
    /// Such as `Deployment`.
    pub kind: &'static str,
    /// The plural, then the subresources through which the whole object is changed.
    pub resources: &'static [&'static str],
    /// Where the Pod or template is, from the root; empty for a Pod itself.
    template: &'static [&'static str],
    /// The field path of the Pod's spec, such as `spec.template.spec`.
    pub spec_path: &'static str,
}

const TEMPLATE: &[&str] = &["spec", "template"];
const TEMPLATE_SPEC: &str = "spec.template.spec";

/// Every kind that `matchPods` knows.
#[rustfmt::skip]
pub const POD_KINDS: &[PodKind] = &[
    PodKind { group: "", kind: "Pod", resources: &["pods", "pods/ephemeralcontainers", "pods/resize"], template: &[], spec_path: "spec" },
    PodKind { group: "", kind: "ReplicationController", resources: &["replicationcontrollers"], template: TEMPLATE, spec_path: TEMPLATE_SPEC },
    PodKind { group: "", kind: "PodTemplate", resources: &["podtemplates"], template: &["template"], spec_path: "template.spec" },
    PodKind { group: "apps", kind: "Deployment", resources: &["deployments"], template: TEMPLATE, spec_path: TEMPLATE_SPEC },
    PodKind { group: "apps", kind: "ReplicaSet", resources: &["replicasets"], template: TEMPLATE, spec_path: TEMPLATE_SPEC },
    PodKind { group: "apps", kind: "StatefulSet", resources: &["statefulsets"], template: TEMPLATE, spec_path: TEMPLATE_SPEC },
    PodKind { group: "apps", kind: "DaemonSet", resources: &["daemonsets"], template: TEMPLATE, spec_path: TEMPLATE_SPEC },
    PodKind { group: "batch", kind: "Job", resources: &["jobs"], template: TEMPLATE, spec_path: TEMPLATE_SPEC },
    PodKind { group: "batch", kind: "CronJob", resources: &["cronjobs"], template: &["spec", "jobTemplate", "spec", "template"], spec_path: "spec.jobTemplate.spec.template.spec" },
];

/// A Pod, or the template of one, inside an object.
#[derive(Debug, Clone, Copy)]
pub struct PodView<'a> {
    /// The Pod's spec; null where the object has none.
    pub spec: &'a Json,
    /// The Pod's or template's own metadata; null where there is none.
    pub metadata: &'a Json,
    /// The field path of `spec`, such as `spec.template.spec`.
    pub spec_path: &'static str,
}

/// A container of any sort, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Container<'a> {
    /// The container as the object has it; always a JSON object.
    pub json: &'a Json,
    /// Which of the Pod's lists it is in.
    pub kind: ContainerKind,
    /// Its field path, such as `spec.template.spec.initContainers[0]`.
    pub path: String,
}

/// The list that a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// `containers`.
    Container,
    /// `initContainers`, sidecars among them.
    Init,
    /// `ephemeralContainers`.
    Ephemeral,
}

/// A reference to an image, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image<'a> {
    /// The reference as written; never empty.
    pub reference: &'a str,
    /// `container`, `init`, `ephemeral` or `volume`.
    pub source: &'static str,
    /// The container's name, or the volume's; empty if it has none.
    pub container: &'a str,
    /// The field path of the reference, such as `spec.containers[0].image`.
    pub path: String,
}

impl ContainerKind {
    const ALL: [Self; 3] = [Self::Container, Self::Init, Self::Ephemeral];

    /// The kind as expressions see it: `container`, `init` or `ephemeral`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Init => "init",
            Self::Ephemeral => "ephemeral",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::Init => "initContainers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

impl<'a> PodView<'a> {
    /// The Pod inside an object of this kind; `None` where the kind carries none or there is no object.
    pub fn new(kind: &GroupVersionKind, object: &'a Json) -> Option<Self> {
        let known = POD_KINDS.iter().find(|known| known.kind == kind.kind && known.group == kind.group)?;
        if !object.is_object() {
            return None;
        }
        let pod = known.template.iter().fold(object, |value, field| member(value, field));
        Some(Self {
            spec: member(pod, "spec"),
            metadata: member(pod, "metadata"),
            spec_path: known.spec_path,
        })
    }

    /// Regular containers, then init containers, then ephemeral ones.
    pub fn containers(&self) -> Vec<Container<'a>> {
        let mut containers = Vec::new();
        for kind in ContainerKind::ALL {
            for (index, json) in elements(self.spec, kind.field()) {
                let path = format!("{}.{}[{index}]", self.spec_path, kind.field());
                containers.push(Container { json, kind, path });
            }
        }
        containers
    }

    /// The images of all containers in their order, then those of image volumes. An image that is absent,
    /// empty or not a string gives none.
    pub fn images(&self) -> Vec<Image<'a>> {
        let of_containers = self.containers().into_iter().filter_map(|container| {
            let reference = text(container.json, "image")?;
            let path = format!("{}.image", container.path);
            Some(Image { reference, source: container.kind.as_str(), container: name(container.json), path })
        });
        let of_volumes = elements(self.spec, "volumes").filter_map(|(index, volume)| {
            let reference = text(member(volume, "image"), "reference")?;
            let path = format!("{}.volumes[{index}].image.reference", self.spec_path);
            Some(Image { reference, source: "volume", container: name(volume), path })
        });
        of_containers.chain(of_volumes).collect()
    }
}

impl Container<'_> {
    /// The container as expressions see it: its own fields and `kind`.
    pub fn to_json(&self) -> Json {
        let mut container = self.json.clone();
        if let Json::Object(fields) = &mut container {
            fields.insert("kind".to_owned(), self.kind.as_str().into());
        }
        container
    }
}

impl Image<'_> {
    /// The image as expressions see it.
    pub fn to_json(&self) -> Json {
        json!({"reference": self.reference, "source": self.source, "container": self.container})
    }
}

/// A list bound to an expression, with the field path of each element.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundList {
    /// A JSON array.
    pub list: Json,
    /// As many as the list has elements.
    pub paths: Vec<String>,
}

impl BoundList {
    /// What `containers` is bound to.
    pub fn containers(pod: &PodView<'_>) -> Self {
        let (list, paths) = pod.containers().into_iter().map(|each| (each.to_json(), each.path)).unzip();
        Self { list: Json::Array(list), paths }
    }

    /// What `images` is bound to.
    pub fn images(pod: &PodView<'_>) -> Self {
        let (list, paths) = pod.images().into_iter().map(|each| (each.to_json(), each.path)).unzip();
        Self { list: Json::Array(list), paths }
    }
}

/// Whether a node asks for the mirror of a static Pod that it already runs. Denying that stops nothing and
/// hides the Pod. The annotation alone proves nothing: the requester must be the Pod's own node.
pub fn is_mirror_pod_of_requester(request: &Request) -> bool {
    let Some(user) = &request.user else { return false };
    if !request.kind.group.is_empty() || request.kind.kind != "Pod" {
        return false;
    }
    let pod = &request.object;
    let annotations = member(member(pod, "metadata"), "annotations");
    text(member(pod, "spec"), "nodeName")
        .is_some_and(|node| user.username.strip_prefix("system:node:") == Some(node))
        && user.groups.iter().any(|group| group == "system:nodes")
        && annotations.get("kubernetes.io/config.mirror").is_some()
}

/// More containers and volumes than this in one Pod are more than etcd could store.
const MAX_LISTED: usize = 50_000;

/// Whether a request's Pod lists so much that binding its containers and images would take memory far beyond
/// the request's own size: each entry may be as short as `{}`.
pub fn lists_too_much(request: &Request) -> bool {
    let lists = ["containers", "initContainers", "ephemeralContainers", "volumes"];
    [&request.object, &request.old_object].into_iter().any(|object| {
        PodView::new(&request.kind, object).is_some_and(|view| {
            let listed = lists.iter().filter_map(|list| member(view.spec, list).as_array());
            listed.map(Vec::len).sum::<usize>() > MAX_LISTED
        })
    })
}

static NULL: Json = Json::Null;

fn member<'a>(value: &'a Json, field: &str) -> &'a Json {
    value.get(field).unwrap_or(&NULL)
}

/// The objects of a list, each with its index in it.
fn elements<'a>(value: &'a Json, field: &str) -> impl Iterator<Item = (usize, &'a Json)> {
    let list = member(value, field).as_array().map_or(&[][..], Vec::as_slice);
    list.iter().enumerate().filter(|(_, element)| element.is_object())
}

fn text<'a>(value: &'a Json, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn name(value: &Json) -> &str {
    text(value, "name").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Resources;
    use crate::request::{Operation, UserInfo};

    fn kind(api_version: &str, kind: &str) -> GroupVersionKind {
        GroupVersionKind::from_api_version(api_version, kind)
    }

    fn pod(spec: Json) -> Json {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
    }

    #[test]
    fn the_pod_inside_each_kind() {
        let template = pod(json!({"hostNetwork": true}));
        let workload = json!({"metadata": {"name": "own"}, "spec": {"template": template}});
        for (api_version, name, object, path) in [
            ("v1", "Pod", template.clone(), "spec"),
            ("v1", "PodTemplate", json!({"template": template}), "template.spec"),
            ("v1", "ReplicationController", workload.clone(), "spec.template.spec"),
            ("apps/v1", "Deployment", workload.clone(), "spec.template.spec"),
            ("apps/v1", "ReplicaSet", workload.clone(), "spec.template.spec"),
            ("apps/v1", "StatefulSet", workload.clone(), "spec.template.spec"),
            ("apps/v1", "DaemonSet", workload.clone(), "spec.template.spec"),
            ("batch/v1", "Job", workload.clone(), "spec.template.spec"),
            (
                "batch/v1",
                "CronJob",
                json!({"spec": {"jobTemplate": workload}}),
                "spec.jobTemplate.spec.template.spec",
            ),
        ] {
            let view = PodView::new(&kind(api_version, name), &object).unwrap();
            assert_eq!(view.spec, &json!({"hostNetwork": true}), "{name}");
            assert_eq!(view.metadata, &json!({"labels": {"app": "web"}}), "{name}");
            assert_eq!(view.spec_path, path);
        }
    }

    #[test]
    fn kinds_and_objects_without_a_pod() {
        for (api_version, name, object) in [
            ("v1", "Service", pod(json!({}))),
            ("apps/v1", "Pod", pod(json!({}))),
            ("example.com/v1", "Deployment", pod(json!({}))),
            ("v1", "Pod", Json::Null),
            ("v1", "Pod", json!("pod")),
            ("v1", "Pod", json!([pod(json!({}))])),
        ] {
            assert!(PodView::new(&kind(api_version, name), &object).is_none(), "{api_version} {name}");
        }
    }

    #[test]
    fn containers_and_images_with_their_places() {
        let object = json!({"spec": {"template": pod(json!({
            "containers": [{"name": "web", "image": "r.io/web:1", "kind": "forged"}, {"name": "bare"}],
            "initContainers": [{"name": "init", "image": "r.io/init"}, {"name": "sidecar", "image": "", "restartPolicy": "Always"}],
            "ephemeralContainers": [{"image": "r.io/debug"}],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "model", "image": {"reference": "r.io/model:2"}},
                {"name": "later", "image": {}}
            ]
        }))}});
        let view = PodView::new(&kind("apps/v1", "Deployment"), &object).unwrap();

        let containers = BoundList::containers(&view);
        assert_eq!(
            containers.list,
            json!([
                {"name": "web", "image": "r.io/web:1", "kind": "container"},
                {"name": "bare", "kind": "container"},
                {"name": "init", "image": "r.io/init", "kind": "init"},
                {"name": "sidecar", "image": "", "restartPolicy": "Always", "kind": "init"},
                {"image": "r.io/debug", "kind": "ephemeral"},
            ])
        );
        assert_eq!(
            containers.paths,
            [
                "spec.template.spec.containers[0]",
                "spec.template.spec.containers[1]",
                "spec.template.spec.initContainers[0]",
                "spec.template.spec.initContainers[1]",
                "spec.template.spec.ephemeralContainers[0]",
            ]
        );

        let images = BoundList::images(&view);
        assert_eq!(
            images.list,
            json!([
                {"reference": "r.io/web:1", "source": "container", "container": "web"},
                {"reference": "r.io/init", "source": "init", "container": "init"},
                {"reference": "r.io/debug", "source": "ephemeral", "container": ""},
                {"reference": "r.io/model:2", "source": "volume", "container": "model"},
            ])
        );
        assert_eq!(
            images.paths,
            [
                "spec.template.spec.containers[0].image",
                "spec.template.spec.initContainers[0].image",
                "spec.template.spec.ephemeralContainers[0].image",
                "spec.template.spec.volumes[1].image.reference",
            ]
        );
    }

    #[test]
    fn what_is_not_an_object_is_skipped_but_counted() {
        let object = pod(json!({
            "containers": [null, "web", {"name": 5, "image": 7}, {"image": "r.io/web"}],
            "volumes": [[], {"image": "r.io/model"}, {"image": {"reference": "r.io/model"}}]
        }));
        let view = PodView::new(&kind("v1", "Pod"), &object).unwrap();
        assert_eq!(BoundList::containers(&view).paths, ["spec.containers[2]", "spec.containers[3]"]);
        assert_eq!(
            BoundList::images(&view).paths,
            ["spec.containers[3].image", "spec.volumes[2].image.reference"]
        );
    }

    #[test]
    fn odd_shapes_have_neither_containers_nor_images() {
        for object in [
            json!({}),
            json!({"spec": null}),
            json!({"spec": "x", "metadata": []}),
            json!({"spec": [{"containers": [{"image": "x"}]}]}),
            pod(json!({"containers": {"image": "x"}, "initContainers": null, "volumes": "x"})),
            pod(json!({"containers": [[{"image": "x"}]]})),
        ] {
            let view = PodView::new(&kind("v1", "Pod"), &object).unwrap();
            assert!(view.images().is_empty() && view.containers().is_empty(), "{object}");
        }
    }

    #[test]
    fn pods_that_list_too_much() {
        for (list, count, expect) in [
            ("containers", MAX_LISTED, false),
            ("containers", MAX_LISTED + 1, true),
            ("volumes", MAX_LISTED + 1, true),
            ("tolerations", MAX_LISTED + 1, false),
        ] {
            let object = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {list: vec![json!({}); count]}
            });
            let mut request = Request::for_object(object, &Resources::new(), Operation::Create);
            assert_eq!(lists_too_much(&request), expect, "{count} {list}");
            request.old_object = request.object.take();
            assert_eq!(lists_too_much(&request), expect, "the old one: {count} {list}");
            request.kind.kind = "Widget".to_owned();
            assert!(!lists_too_much(&request), "no Pod");
        }
    }

    #[test]
    fn mirror_pods_are_known_by_their_requester() {
        let mirrored = json!({"kubernetes.io/config.mirror": "hash"});
        for (username, group, annotations, node, expect) in [
            ("system:node:worker", "system:nodes", mirrored.clone(), json!("worker"), true),
            ("system:node:worker", "system:nodes", mirrored.clone(), json!("other"), false),
            ("system:node:worker", "system:nodes", json!({}), json!("worker"), false),
            ("system:node:worker", "system:nodes", json!(null), json!("worker"), false),
            ("system:node:worker", "system:authenticated", mirrored.clone(), json!("worker"), false),
            ("worker", "system:nodes", mirrored.clone(), json!("worker"), false),
            ("system:node:", "system:nodes", mirrored.clone(), json!(""), false),
            ("system:node:", "system:nodes", mirrored.clone(), json!(null), false),
        ] {
            let object = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "kube-proxy-worker", "annotations": annotations},
                "spec": {"nodeName": node}
            });
            let mut request = Request::for_object(object, &Resources::new(), Operation::Create);
            assert!(!is_mirror_pod_of_requester(&request), "nobody asks");
            request.user = Some(UserInfo {
                username: username.to_owned(),
                groups: vec!["system:authenticated".to_owned(), group.to_owned()],
                ..UserInfo::default()
            });
            assert_eq!(is_mirror_pod_of_requester(&request), expect, "{username} {group} {node}");
            request.kind.group = "example.com".to_owned();
            assert!(!is_mirror_pod_of_requester(&request), "another kind of Pod");
        }
    }
}
