//! The Pod inside an object: its spec, containers and images, wherever the kind keeps them.
//!
//! Objects may have any shape: what is not what it should be is skipped, never a panic.

use crate::request::{GroupVersionKind, Request};
use portcullis_cel::tree::{Builder, NodeList};
use portcullis_cel::{Extent, Node, Projection, Tree};

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
    pub spec: Node<'a>,
    /// The Pod's or template's own metadata; null where there is none.
    pub metadata: Node<'a>,
    /// The field path of `spec`, such as `spec.template.spec`.
    pub spec_path: &'static str,
}

/// A container of any sort, with its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Container<'a> {
    /// The container as the object has it; always a map.
    pub json: Node<'a>,
    /// Which of the Pod's lists it is in.
    pub kind: ContainerKind,
    /// Where it is in that list.
    index: usize,
    spec_path: &'static str,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Image<'a> {
    /// The reference as written; never empty.
    pub reference: &'a str,
    /// The container's name, or the volume's; empty if it has none.
    pub container: &'a str,
    place: ImagePlace<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum ImagePlace<'a> {
    Container(Container<'a>),
    Volume { index: usize, spec_path: &'static str },
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
    pub fn new(kind: &GroupVersionKind, object: &'a Tree) -> Option<Self> {
        let object = object.root();
        let known = known(kind)?;
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
    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        let Self { spec, spec_path, .. } = *self;
        ContainerKind::ALL.into_iter().flat_map(move |kind| {
            elements(spec, kind.field()).map(move |(index, json)| Container { json, kind, index, spec_path })
        })
    }

    /// The images of all containers in their order, then those of image volumes. An image that is absent,
    /// empty or not a string gives none.
    pub fn images(&self) -> impl Iterator<Item = Image<'a>> + use<'a> {
        let spec_path = self.spec_path;
        let of_containers = self.containers().filter_map(|container| {
            let reference = text(container.json, "image")?;
            let place = ImagePlace::Container(container);
            Some(Image { reference, container: name(container.json), place })
        });
        let of_volumes = elements(self.spec, "volumes").filter_map(move |(index, volume)| {
            let reference = text(member(volume, "image"), "reference")?;
            Some(Image { reference, container: name(volume), place: ImagePlace::Volume { index, spec_path } })
        });
        of_containers.chain(of_volumes)
    }
}

/// Where the Pod or template is in an object of this kind, from the root; `None` where the kind carries none.
pub(crate) fn template_path(kind: &GroupVersionKind) -> Option<&'static [&'static str]> {
    known(kind).map(|known| known.template)
}

fn known(kind: &GroupVersionKind) -> Option<&'static PodKind> {
    POD_KINDS.iter().find(|known| known.kind == kind.kind && known.group == kind.group)
}

/// What is read of a Pod's spec by who reads this of `containers`.
pub(crate) fn containers_read(containers: &Projection) -> Projection {
    // What is no object is left out; `kind` says which list it is in.
    let mut element = Projection::new(Extent::Type);
    match containers.element() {
        Some(every) if every.is_whole() => element.merge(every),
        Some(every) => {
            every.element().into_iter().for_each(|entry| element.merge(&entry.clone().of_every()));
            let own = every.fields().filter(|(name, _)| *name != "kind");
            own.for_each(|(name, field)| element.merge(&field.clone().below(&[name])));
        }
        None => {}
    }
    union(ContainerKind::ALL.into_iter().map(|kind| element.clone().of_every().below(&[kind.field()])))
}

/// What is read of a Pod's spec by who reads anything of `images`: no image is listed that is no text.
pub(crate) fn images_read() -> Projection {
    let whole = || Projection::new(Extent::Whole);
    let of_containers = ContainerKind::ALL.into_iter().flat_map(|kind| {
        ["image", "name"].map(|field| whole().below(&[field]).of_every().below(&[kind.field()]))
    });
    let of_volumes = [&["image", "reference"][..], &["name"]]
        .map(|path| whole().below(path).of_every().below(&["volumes"]));
    union(of_containers.chain(of_volumes))
}

fn union(parts: impl Iterator<Item = Projection>) -> Projection {
    let mut all = Projection::new(Extent::Type);
    parts.for_each(|part| all.merge(&part));
    all
}

impl Container<'_> {
    /// Its field path, such as `spec.template.spec.initContainers[0]`.
    pub fn path(&self) -> String {
        format!("{}.{}[{}]", self.spec_path, self.kind.field(), self.index)
    }
}

impl Image<'_> {
    /// `container`, `init`, `ephemeral` or `volume`.
    pub fn source(&self) -> &'static str {
        match self.place {
            ImagePlace::Container(container) => container.kind.as_str(),
            ImagePlace::Volume { .. } => "volume",
        }
    }

    /// The field path of the reference, such as `spec.containers[0].image`.
    pub fn path(&self) -> String {
        match self.place {
            ImagePlace::Container(container) => format!("{}.image", container.path()),
            ImagePlace::Volume { index, spec_path } => {
                format!("{spec_path}.volumes[{index}].image.reference")
            }
        }
    }
}

/// What `containers` and `images` are bound to.
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    /// Each container's own entries, and `kind`.
    pub containers: Tree,
    /// For each reference to an image `reference`, `source` and `container`.
    pub images: Tree,
}

impl Lists {
    /// The lists of the Pod in an object, which share what the object has.
    pub fn of(object: &Tree, pod: &PodView<'_>) -> Self {
        let mut builder = Builder::beside(object);
        let [container, kind, reference, source] =
            ["container", "kind", "reference", "source"].map(|key| builder.key(key));
        let kinds = ContainerKind::ALL.map(|kind| builder.text(kind.as_str()));
        let list = builder.open_list();
        for each in pod.containers() {
            let of_kind = kinds.get(each.kind as usize).copied().unwrap_or_default();
            let map = builder.with_entry(each.json, kind, of_kind);
            builder.item(map);
        }
        let containers = builder.close_list(list);
        let list = builder.open_list();
        for image in pod.images() {
            let map = builder.open_map();
            // In the order of the keys, so that nothing has to be sorted.
            for (key, text) in
                [(container, image.container), (reference, image.reference), (source, image.source())]
            {
                let value = builder.text(text);
                builder.entry_of(key, value);
            }
            let image = builder.close_map(map);
            builder.item(image);
        }
        let images = builder.close_list(list);
        let [containers, images] = builder.finish([containers, images]);
        Self { containers, images }
    }
}

/// Marks Pods that mirror a static one.
pub(crate) const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Whether a node asks for the mirror of a static Pod that it already runs. Denying that stops nothing and
/// hides the Pod. The annotation alone proves nothing: the requester must be the Pod's own node.
pub fn is_mirror_pod_of_requester(request: &Request) -> bool {
    let Some(user) = &request.user else { return false };
    if !request.kind.group.is_empty() || request.kind.kind != "Pod" {
        return false;
    }
    // Told by the user of nearly every request, before anything is looked for in the object.
    let Some(of_node) = user.username.strip_prefix("system:node:") else { return false };
    let pod = request.object.root();
    let annotations = member(member(pod, "metadata"), "annotations");
    text(member(pod, "spec"), "nodeName") == Some(of_node)
        && user.groups.iter().any(|group| group == "system:nodes")
        && annotations.get(MIRROR_ANNOTATION).is_some()
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
            listed.map(NodeList::len).sum::<usize>() > MAX_LISTED
        })
    })
}

fn member<'a>(value: Node<'a>, field: &str) -> Node<'a> {
    value.get(field).unwrap_or_default()
}

/// The maps of a list, each with its index in it.
fn elements<'a>(value: Node<'a>, field: &str) -> impl Iterator<Item = (usize, Node<'a>)> + use<'a> {
    let list = member(value, field).as_array();
    let elements = list.into_iter().flat_map(NodeList::iter);
    elements.enumerate().filter(|(_, element)| element.is_object())
}

fn text<'a>(value: Node<'a>, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn name(value: Node<'_>) -> &str {
    text(value, "name").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Resources;
    use crate::request::{Operation, UserInfo};
    use serde_json::{Value as Json, json};

    fn kind(api_version: &str, kind: &str) -> GroupVersionKind {
        GroupVersionKind::from_api_version(api_version, kind)
    }

    fn pod(spec: Json) -> Json {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
    }

    fn container_paths(view: &PodView<'_>) -> Vec<String> {
        view.containers().map(|container| container.path()).collect()
    }

    fn image_paths(view: &PodView<'_>) -> Vec<String> {
        view.images().map(|image| image.path()).collect()
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
            let object = Tree::from(object);
            let view = PodView::new(&kind(api_version, name), &object).unwrap();
            assert_eq!(view.spec, json!({"hostNetwork": true}), "{name}");
            assert_eq!(view.metadata, json!({"labels": {"app": "web"}}), "{name}");
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
            assert!(
                PodView::new(&kind(api_version, name), &Tree::from(object)).is_none(),
                "{api_version} {name}"
            );
        }
    }

    #[test]
    fn containers_and_images_with_their_places() {
        let object = Tree::from(json!({"spec": {"template": pod(json!({
            "containers": [{"name": "web", "image": "r.io/web:1", "kind": "forged"}, {"name": "bare"}],
            "initContainers": [{"name": "init", "image": "r.io/init"}, {"name": "sidecar", "image": "", "restartPolicy": "Always"}],
            "ephemeralContainers": [{"image": "r.io/debug"}],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "model", "image": {"reference": "r.io/model:2"}},
                {"name": "later", "image": {}}
            ]
        }))}}));
        let view = PodView::new(&kind("apps/v1", "Deployment"), &object).unwrap();

        let lists = Lists::of(&object, &view);
        assert_eq!(
            lists.containers,
            json!([
                {"name": "web", "image": "r.io/web:1", "kind": "container"},
                {"name": "bare", "kind": "container"},
                {"name": "init", "image": "r.io/init", "kind": "init"},
                {"name": "sidecar", "image": "", "restartPolicy": "Always", "kind": "init"},
                {"image": "r.io/debug", "kind": "ephemeral"},
            ])
        );
        assert_eq!(
            container_paths(&view),
            [
                "spec.template.spec.containers[0]",
                "spec.template.spec.containers[1]",
                "spec.template.spec.initContainers[0]",
                "spec.template.spec.initContainers[1]",
                "spec.template.spec.ephemeralContainers[0]",
            ]
        );

        assert_eq!(
            lists.images,
            json!([
                {"reference": "r.io/web:1", "source": "container", "container": "web"},
                {"reference": "r.io/init", "source": "init", "container": "init"},
                {"reference": "r.io/debug", "source": "ephemeral", "container": ""},
                {"reference": "r.io/model:2", "source": "volume", "container": "model"},
            ])
        );
        assert_eq!(
            image_paths(&view),
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
        let object = Tree::from(pod(json!({
            "containers": [null, "web", {"name": 5, "image": 7}, {"image": "r.io/web"}],
            "volumes": [[], {"image": "r.io/model"}, {"image": {"reference": "r.io/model"}}]
        })));
        let view = PodView::new(&kind("v1", "Pod"), &object).unwrap();
        assert_eq!(container_paths(&view), ["spec.containers[2]", "spec.containers[3]"]);
        assert_eq!(image_paths(&view), ["spec.containers[3].image", "spec.volumes[2].image.reference"]);
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
            let object = Tree::from(object);
            let view = PodView::new(&kind("v1", "Pod"), &object).unwrap();
            assert!(view.images().next().is_none() && view.containers().next().is_none(), "{object}");
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
            request.old_object = std::mem::take(&mut request.object);
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
