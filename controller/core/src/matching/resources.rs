//! Which resource a kind belongs to, and requests for objects that come without one.

use crate::matching::built_in;
use crate::request::{GroupVersionKind, GroupVersionResource, Operation, Request};
use portcullis_cel::Tree;
use serde_json::Value as Json;
use std::collections::HashMap;

/// Resources by group and kind: those built into Kubernetes, and those that were added.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// Custom kinds by group.
    custom: HashMap<String, HashMap<String, Custom>>,
}

#[derive(Debug, Clone)]
struct Custom {
    plural: String,
    namespaced: bool,
}

/// How objects of a kind are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Lower case, such as `ingresses`.
    pub plural: &'a str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

impl Resources {
    /// What every cluster has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the kind of a CustomResourceDefinition and tells whether it could: anything else, and a
    /// definition that lacks what is needed, is left out.
    pub fn add_crd(&mut self, object: &Json) -> bool {
        let text = |path: &str| object.pointer(path).and_then(Json::as_str).filter(|text| !text.is_empty());
        let is_crd = text("/kind") == Some("CustomResourceDefinition")
            && text("/apiVersion").is_some_and(|version| version.starts_with("apiextensions.k8s.io/"));
        let (true, Some(group), Some(kind), Some(plural), Some(scope)) = (
            is_crd,
            text("/spec/group"),
            text("/spec/names/kind"),
            text("/spec/names/plural"),
            text("/spec/scope"),
        ) else {
            return false;
        };
        self.add(group, kind, plural, scope == "Namespaced");
        true
    }

    /// Adds a kind.
    pub fn add(&mut self, group: &str, kind: &str, plural: &str, namespaced: bool) {
        let custom = Custom { plural: plural.to_owned(), namespaced };
        self.custom.entry(group.to_owned()).or_default().insert(kind.to_owned(), custom);
    }

    /// The resource of a kind, in whatever version. A definition cannot change what is built in.
    pub fn find(&self, group: &str, kind: &str) -> Option<Resource<'_>> {
        built_in::find(group, kind).or_else(|| {
            let Custom { plural, namespaced } = self.custom.get(group)?.get(kind)?;
            Some(Resource { plural, namespaced: *namespaced })
        })
    }
}

impl Request {
    /// The request that would bring this object about: what `check` and audits decide on. Nobody asks it,
    /// and nothing is known about an existing object, except on DELETE, where the object is that.
    ///
    /// A namespaced object without a namespace gets `default`, as kubectl would send it. No other defaults
    /// are filled in.
    pub fn for_object(mut object: Json, resources: &Resources, operation: Operation) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Json::as_str).unwrap_or_default();
        let kind = GroupVersionKind::from_api_version(text("/apiVersion"), text("/kind"));
        let name = text("/metadata/name").to_owned();
        let namespace = text("/metadata/namespace");
        let resource = resources.find(&kind.group, &kind.kind);
        let namespace = match resource {
            Some(Resource { namespaced: true, .. }) if namespace.is_empty() => "default",
            Some(Resource { namespaced: true, .. }) | None => namespace,
            Some(_) if kind.group.is_empty() && kind.kind == "Namespace" => &name,
            Some(_) => "",
        }
        .to_owned();
        if resource.is_some_and(|resource| resource.namespaced)
            && let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut)
        {
            metadata.insert("namespace".to_owned(), Json::from(namespace.as_str()));
        }
        let (object, old_object) = match operation {
            Operation::Delete => (Tree::default(), Tree::from(object)),
            Operation::Create | Operation::Update | Operation::Connect => {
                (Tree::from(object), Tree::default())
            }
        };
        Self {
            resource: resource.map(|resource| GroupVersionResource {
                group: kind.group.clone(),
                version: kind.version.clone(),
                resource: resource.plural.to_owned(),
            }),
            kind,
            sub_resource: String::new(),
            request_kind: None,
            request_resource: None,
            request_sub_resource: None,
            name,
            namespace,
            operation,
            user: None,
            old_object_known: operation == Operation::Delete,
            object,
            old_object,
            options: Tree::default(),
            dry_run: false,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pod::POD_KINDS;
    use serde_json::json;

    /// A request from `group/version/resource[/subresource] OPERATION`, as it was sent; with `?` for the plural
    /// as a file of an unknown kind gives it. It is in
    /// the namespace `shop`, about an object without labels.
    pub(crate) fn request(text: &str) -> Request {
        let (path, operation) = text.split_once(' ').unwrap();
        let mut parts = path.splitn(4, '/').map(str::to_owned);
        let (group, version, resource) =
            (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let object = json!({"metadata": {"name": "web"}});
        let mut request =
            Request::for_object(object, &Resources::new(), Operation::parse(operation).unwrap());
        let kind = built_in::kinds_of(&group, &resource).next().unwrap_or("Widget").to_owned();
        request.kind = GroupVersionKind { group: group.clone(), version: version.clone(), kind };
        request.resource = (resource != "?").then_some(GroupVersionResource { group, version, resource });
        request.request_resource = request.resource.clone();
        request.sub_resource = parts.next().unwrap_or_default();
        request.namespace = "shop".to_owned();
        request
    }

    fn widgets() -> Resources {
        let mut resources = Resources::new();
        assert!(resources.add_crd(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"}}
        })));
        resources
    }

    #[test]
    fn built_in_kinds_are_known() {
        let resources = Resources::new();
        for (group, kind, expect) in [
            ("", "Pod", Some(("pods", true))),
            ("", "Endpoints", Some(("endpoints", true))),
            ("", "Namespace", Some(("namespaces", false))),
            ("networking.k8s.io", "Ingress", Some(("ingresses", true))),
            ("networking.k8s.io", "NetworkPolicy", Some(("networkpolicies", true))),
            ("rbac.authorization.k8s.io", "ClusterRole", Some(("clusterroles", false))),
            ("events.k8s.io", "Event", Some(("events", true))),
            ("apps", "Pod", None),
            ("", "pod", None),
            ("example.com", "Widget", None),
        ] {
            let found = resources.find(group, kind).map(|found| (found.plural, found.namespaced));
            assert_eq!(found, expect, "{group}/{kind}");
        }
    }

    #[test]
    fn every_kind_with_a_pod_template_is_in_the_table() {
        for known in POD_KINDS {
            let resources = Resources::new();
            let resource = resources.find(known.group, known.kind).unwrap();
            assert_eq!(Some(&resource.plural), known.resources.first());
        }
    }

    #[test]
    fn custom_kinds_are_added_but_replace_nothing() {
        let mut resources = widgets();
        assert_eq!(
            resources.find("example.com", "Widget"),
            Some(Resource { plural: "widgets", namespaced: true })
        );
        assert_eq!(resources.find("example.org", "Widget"), None);
        resources.add_crd(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"group": "apps", "scope": "Cluster", "names": {"kind": "Deployment", "plural": "x"}}
        }));
        assert_eq!(
            resources.find("apps", "Deployment"),
            Some(Resource { plural: "deployments", namespaced: true })
        );
    }

    #[test]
    fn what_is_no_definition_is_left_out() {
        for object in [
            json!(null),
            json!({"kind": "CustomResourceDefinition"}),
            json!({"apiVersion": "v1", "kind": "CustomResourceDefinition",
                "spec": {"group": "g", "scope": "Cluster", "names": {"kind": "K", "plural": "ks"}}}),
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": {"group": "g", "scope": "Cluster", "names": {"kind": "K", "plural": ""}}}),
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": {"group": "g", "names": []}}),
        ] {
            assert!(!Resources::new().add_crd(&object), "{object}");
        }
    }

    #[test]
    fn requests_for_objects() {
        for (object, resource, namespace) in [
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}), Some("pods"), "default"),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}}),
                Some("pods"),
                "shop",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}),
                Some("namespaces"),
                "a",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "namespace": "shop"}}),
                Some("nodes"),
                "",
            ),
            (
                json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}),
                Some("widgets"),
                "default",
            ),
            (json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"}}), None, ""),
            (
                json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "shop"}}),
                None,
                "shop",
            ),
        ] {
            let request = Request::for_object(object.clone(), &widgets(), Operation::Create);
            assert_eq!(request.resource.map(|known| known.resource).as_deref(), resource, "{object}");
            assert_eq!(request.namespace, namespace, "{object}");
            assert_eq!(request.name, "a");
            assert!(request.user.is_none() && !request.old_object_known);
        }
    }

    #[test]
    fn a_deletion_has_only_an_old_object() {
        let mut object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generateName": "a-"}});
        let request = Request::for_object(object.clone(), &Resources::new(), Operation::Delete);
        object["metadata"]["namespace"] = json!("default");
        assert_eq!((request.object, request.old_object), (Tree::default(), Tree::from(object)));
        assert!(request.old_object_known && request.name.is_empty());
        assert_eq!(request.kind.api_version(), "apps/v1");
    }

    #[test]
    fn garbage_gives_an_unknown_kind() {
        for object in [json!(null), json!([]), json!("x"), json!({"kind": 5, "metadata": "x"})] {
            let request = Request::for_object(object, &Resources::new(), Operation::Create);
            assert_eq!((request.resource, request.kind.kind.as_str()), (None, ""));
        }
    }
}
