//! Which ConfigMaps of a file are policies: those that carry our label, and errors for those that look as
//! if they should.

use super::config_map::is_ours;
use super::fields::{child_path, what};
use super::{DocumentError, GROUP, Origin, Place};
use crate::yaml::{self, Entry, Node, Position, Text, Value};

/// The label that makes a ConfigMap a policy, with the value `true`.
pub const POLICY_LABEL: &str = "portcullis.dev/policy";

/// A ConfigMap that holds policies, from a file or from a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigMap {
    /// The file it came from.
    pub file: Option<String>,
    /// Its namespace; the controller's where a file names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `data`: key and text, sorted by key.
    pub data: Vec<(String, Text)>,
}

/// What a file holds for us.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// Labelled ConfigMaps, in the order of the file. One of which a part is broken is here without it.
    pub config_maps: Vec<ConfigMap>,
    /// What could not be read, and what looks like ours but would not be in force.
    pub failures: Vec<DocumentError>,
}

/// Finds the policy ConfigMaps of a file, also inside Lists. Other objects are left alone.
pub fn read_manifest(file: Option<&str>, text: &str, controller_namespace: &str) -> Manifest {
    let mut reading = Reading { file, controller_namespace, manifest: Manifest::default() };
    for document in yaml::read(text) {
        match document {
            Ok(node) => reading.object(&node),
            Err(error) => {
                let position = error.position;
                reading.fail("", "", position, None, error.message, None);
            }
        }
    }
    reading.manifest
}

struct Reading<'a> {
    file: Option<&'a str>,
    controller_namespace: &'a str,
    manifest: Manifest,
}

impl Reading<'_> {
    /// Looks at an object and, if it is a list, at its items.
    fn object(&mut self, node: &Node) {
        let mut waiting = vec![(node, false)];
        while let Some((node, is_config_map)) = waiting.pop() {
            let kind = string(node, "kind");
            let api_version = string(node, "apiVersion");
            let (group, _) = crate::request::split_api_version(api_version);
            let items = node.get("items").map(|items| &items.value);
            match (kind, items) {
                ("List" | "ConfigMapList", Some(Value::Sequence(items))) if api_version == "v1" => {
                    waiting.extend(items.iter().rev().map(|item| (item, kind == "ConfigMapList")));
                }
                ("ConfigMap", _) if api_version == "v1" => self.config_map(node),
                ("", _) if is_config_map => self.config_map(node),
                (kind, _) if group == GROUP && kind != "Suite" => self.bare(node, kind),
                _ => {}
            }
        }
    }

    /// One of our documents outside a ConfigMap.
    fn bare(&mut self, node: &Node, kind: &str) {
        let name = node.get("metadata").map(|metadata| string(metadata, "name")).unwrap_or_default();
        let at = node.at;
        self.fail(
            "",
            name,
            at,
            None,
            format!("`{kind}` outside a ConfigMap is not in force"),
            Some(format!("wrap it in a ConfigMap labelled `{POLICY_LABEL}: \"true\"`, under a key such as `policy.yaml`")),
        );
    }

    fn config_map(&mut self, node: &Node) {
        let metadata = node.get("metadata");
        let name = metadata.map(|metadata| string(metadata, "name")).unwrap_or_default();
        let label =
            metadata.and_then(|metadata| metadata.get("labels")).and_then(|labels| labels.get(POLICY_LABEL));
        let Some(label) = label else {
            return self.unlabelled(node, name);
        };
        let namespace = metadata.map(|metadata| string(metadata, "namespace")).unwrap_or_default();
        let namespace = if namespace.is_empty() { self.controller_namespace } else { namespace };
        let in_map = |field: &str| Place { field: field.to_owned(), position: node.position_of(field) };
        let before = self.manifest.failures.len();
        if label.as_str() != Some("true") {
            let field = child_path("metadata.labels", POLICY_LABEL);
            let hint = format!("set `{POLICY_LABEL}: \"true\"`, or remove the label");
            let message = match &label.value {
                Value::String(text) => format!("must be `\"true\"`, found `{}`", text.text),
                other => format!("must be the string `\"true\"`, found {}", what(other)),
            };
            self.fail(namespace, name, label.at, Some(in_map(&field)), message, Some(hint));
            return;
        }
        if name.is_empty() {
            let message = "a policy ConfigMap must have a name".to_owned();
            self.fail(namespace, name, node.at, Some(in_map("metadata.name")), message, None);
            return;
        }
        if namespace != self.controller_namespace {
            let place = in_map("metadata.namespace");
            let (at, own) = (place.position, self.controller_namespace);
            let message = format!("is in namespace `{namespace}`, but policies are read from `{own}`");
            let hint = format!("move it to `{own}`, or give `--namespace {namespace}`");
            self.fail(namespace, name, at, Some(place), message, Some(hint));
            return;
        }
        if let Some(binary) = filled(node, "binaryData") {
            let message = "WASM modules are not supported yet".to_owned();
            self.fail(namespace, name, binary.at, Some(in_map("binaryData")), message, None);
        }
        let data = self.data(node, namespace, name);
        if data.is_empty() {
            if self.manifest.failures.len() == before {
                let message = "a policy ConfigMap must have `data`".to_owned();
                self.fail(namespace, name, node.at, Some(in_map("data")), message, None);
            }
            return;
        }
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.manifest.config_maps.push(ConfigMap {
            file: self.file.map(str::to_owned),
            namespace,
            name,
            data,
        });
    }

    fn data(&mut self, node: &Node, namespace: &str, name: &str) -> Vec<(String, Text)> {
        let Some(data) = node.get("data") else { return Vec::new() };
        let entries: &[Entry] = match &data.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            other => {
                let message = format!("must be a mapping, found {}", what(other));
                let place = Place { field: "data".to_owned(), position: data.at };
                self.fail(namespace, name, data.at, Some(place), message, None);
                &[]
            }
        };
        let mut found = Vec::new();
        for entry in entries {
            let at = entry.key_at;
            let place = || Some(Place { field: child_path("data", &entry.key), position: at });
            let is_text = [".yaml", ".yml", ".json"].iter().any(|end| entry.key.ends_with(end));
            match &entry.value.value {
                _ if !is_text => self.fail(
                    namespace,
                    name,
                    at,
                    place(),
                    "a policy ConfigMap's keys must end in `.yaml`, `.yml` or `.json`".to_owned(),
                    Some("keep other data in a ConfigMap of its own".to_owned()),
                ),
                Value::String(text) => found.push((entry.key.clone(), text.clone())),
                other => {
                    let message = format!("must be a string, found {}", what(other));
                    let hint = "quote the value, or begin it with `|`".to_owned();
                    self.fail(namespace, name, at, place(), message, Some(hint));
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// A ConfigMap without the label is no policy, unless it holds what can only be one.
    fn unlabelled(&mut self, node: &Node, name: &str) {
        let Some(Value::Mapping(entries)) = node.get("data").map(|data| &data.value) else { return };
        for entry in entries {
            let Some(text) = entry.value.as_str() else { continue };
            if !text.contains(GROUP) && !text.contains(super::KUBERNETES_GROUP) {
                continue;
            }
            if yaml::read(text).into_iter().flatten().any(|document| is_ours(&document)) {
                let place = Place { field: child_path("data", &entry.key), position: entry.key_at };
                let namespace = node.get("metadata").map(|metadata| string(metadata, "namespace"));
                let namespace = namespace.filter(|it| !it.is_empty()).unwrap_or(self.controller_namespace);
                let message = "holds a policy, but the ConfigMap is not labelled, so it is not in force";
                let hint = format!("add the label `{POLICY_LABEL}: \"true\"`");
                self.fail(namespace, name, entry.key_at, Some(place), message.to_owned(), Some(hint));
                return;
            }
        }
    }

    fn fail(
        &mut self,
        namespace: &str,
        config_map: &str,
        at: Position,
        place: Option<Place>,
        message: String,
        hint: Option<String>,
    ) {
        // Without a namespace it is no ConfigMap that the name belongs to.
        let (config_map, name) = if namespace.is_empty() { ("", config_map) } else { (config_map, "") };
        self.manifest.failures.push(DocumentError {
            origin: Origin {
                file: self.file.map(str::to_owned),
                namespace: namespace.to_owned(),
                config_map: config_map.to_owned(),
                key: String::new(),
                document: 0,
                text: None,
            },
            name: (!name.is_empty()).then(|| name.to_owned()),
            place,
            file_position: self.file.is_some().then_some(at),
            message,
            hint,
        });
    }
}

fn string<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::as_str).unwrap_or_default()
}

/// A field that is there and neither null nor an empty mapping.
fn filled<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    node.get(key).filter(|value| match &value.value {
        Value::Null => false,
        Value::Mapping(entries) => !entries.is_empty(),
        _ => true,
    })
}
