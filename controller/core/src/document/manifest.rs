//! Which ConfigMaps of a file are policies: those that carry our label, and errors for those that look as
//! if they should.

use super::config_map::{ReadDocument, is_ours, read_document};
use super::error::unquoted;
use super::fields::{child_path, what};
use super::{Code, DocumentError, GROUP, KUBERNETES_GROUP, Origin, Place, names};
use crate::yaml::{self, Entry, Node, Text, TextPlace, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// The label that makes a ConfigMap a policy, with the value `true`.
pub const POLICY_LABEL: &str = "portcullis.dev/policy";

/// The label, whatever its value, of a policy ConfigMap that holds PolicyExceptions and nothing else: who may
/// write those need not be allowed to write policies.
pub const EXCEPTIONS_LABEL: &str = "portcullis.dev/exceptions";

pub(super) const NO_KEY: &str = "a ConfigMap's keys are letters, digits, `-`, `_` and `.`";
pub(super) const NO_DATA: &str = "a policy ConfigMap must have `data`";
/// Who may write exceptions need not be allowed to write programs.
pub(super) const NO_MODULES: &str = "a ConfigMap that holds PolicyExceptions only must not have `binaryData`";

/// A ConfigMap that holds policies, from a file or from a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigMap {
    /// The file it came from.
    pub file: Option<String>,
    /// Its namespace; the controller's where a file names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it may hold PolicyExceptions only: it carries [`EXCEPTIONS_LABEL`].
    pub exceptions_only: bool,
    /// `data`: key and text, sorted by key.
    pub data: Vec<(String, Text)>,
    /// `binaryData`: modules of WASM policies, or parts of them, sorted by key.
    pub modules: Vec<(String, Arc<[u8]>)>,
}

/// What a file, or a ConfigMap of a cluster, holds for us.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// Labelled ConfigMaps, in the order of the file. One of which a part is broken is here without it.
    pub config_maps: Vec<ConfigMap>,
    /// What could not be read, and what looks like ours but would not be in force.
    pub failures: Vec<DocumentError>,
}

/// Finds the policy ConfigMaps of a file, also inside Lists. Documents of ours outside ConfigMaps are failures, other
/// objects are left alone.
pub fn read_manifest(file: Option<&str>, text: &str, controller_namespace: &str) -> Manifest {
    read(file, text, controller_namespace, None).manifest
}

/// The same, and the documents that stand outside ConfigMaps: what is not in force can be wrong all the same, and those
/// of Kubernetes are in force as they are.
pub fn read_documents(
    file: Option<&str>,
    text: &str,
    controller_namespace: &str,
) -> (Manifest, Vec<ReadDocument>) {
    let Reading { manifest, plain, .. } = read(file, text, controller_namespace, Some(Vec::new()));
    (manifest, plain.unwrap_or_default())
}

fn read<'a>(
    file: Option<&'a str>,
    text: &str,
    controller_namespace: &'a str,
    plain: Option<Vec<ReadDocument>>,
) -> Reading<'a> {
    let mut reading = Reading { file, controller_namespace, plain, manifest: Manifest::default() };
    for document in yaml::read(text) {
        match document {
            Ok(node) => reading.object(&node),
            Err(error) => {
                let place = Place { field: String::new(), position: error.position };
                let hint = unquoted(text, error.position);
                reading.fail_with(Code::Yaml, Owner::default(), place, error.message(|at| at), hint);
            }
        }
    }
    reading
}

struct Reading<'a> {
    file: Option<&'a str>,
    controller_namespace: &'a str,
    /// Documents outside ConfigMaps, if they are read, too.
    plain: Option<Vec<ReadDocument>>,
    manifest: Manifest,
}

/// The ConfigMap that an error is about; empty for what is none.
#[derive(Clone, Copy, Default)]
struct Owner<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl Reading<'_> {
    /// Looks at an object and, if it is a list, at its items.
    fn object(&mut self, node: &Node) {
        let mut waiting = vec![(node, false)];
        while let Some((node, in_config_map_list)) = waiting.pop() {
            let kind = string(node, "kind");
            let api_version = string(node, "apiVersion");
            let (group, _) = crate::request::split_api_version(api_version);
            let items = node.get("items").map(|items| &items.value);
            match (kind, items) {
                ("List" | "ConfigMapList", Some(Value::Sequence(items))) if api_version == "v1" => {
                    waiting.extend(items.iter().rev().map(|item| (item, kind == "ConfigMapList")));
                }
                ("ConfigMap", _) if api_version == "v1" => self.config_map(node),
                // The items of a typed list need not repeat their kind.
                ("", _) if in_config_map_list => self.config_map(node),
                (kind, _) if group == GROUP && kind != "Suite" => {
                    self.bare(node, kind, "");
                    self.plain(node);
                }
                (kind, _) if is_ours(node) => {
                    if self.plain.is_none() {
                        self.bare(node, kind, "apply it to the cluster, whose API server enforces it, or ");
                    }
                    self.plain(node);
                }
                _ => {}
            }
        }
    }

    /// A document outside a ConfigMap, for whoever wants those.
    fn plain(&mut self, node: &Node) {
        let Some(plain) = &mut self.plain else { return };
        let origin = Origin {
            file: self.file.map(str::to_owned),
            namespace: String::new(),
            config_map: String::new(),
            key: String::new(),
            document: plain.len() + 1,
            text: self.file.is_some().then(TextPlace::whole),
        };
        plain.push(read_document(origin, node.clone()));
    }

    /// One of our documents outside a ConfigMap, and what else can be done with it.
    fn bare(&mut self, node: &Node, kind: &str, instead: &str) {
        let here = if instead.is_empty() { "" } else { " here" };
        let message = format!("`{kind}` outside a ConfigMap is not in force{here}");
        let hint = format!(
            "{instead}wrap it in a ConfigMap labelled `{POLICY_LABEL}: \"true\"`, under a key such as `policy.yaml`"
        );
        let place = Place { field: String::new(), position: node.at };
        self.fail_with(Code::NotInForce, Owner::default(), place, message, Some(hint));
    }

    fn config_map(&mut self, node: &Node) {
        let metadata = node.get("metadata");
        let written = |key| metadata.map(|metadata| string(metadata, key)).unwrap_or_default();
        let namespace = Some(written("namespace")).filter(|it| !it.is_empty());
        let namespace = namespace.unwrap_or(self.controller_namespace);
        let owner = Owner { namespace, name: written("name") };
        let labels = metadata.and_then(|metadata| metadata.get("labels"));
        match labels.and_then(|labels| labels.get(POLICY_LABEL)) {
            None => self.unlabelled(node, owner),
            Some(label) if self.may_hold_policies(node, label, owner) => {
                let exceptions_only = labels.is_some_and(|labels| labels.get(EXCEPTIONS_LABEL).is_some());
                self.labelled(node, owner, exceptions_only);
            }
            Some(_) => {}
        }
    }

    /// Whether label, name and namespace of a ConfigMap with our label are right.
    fn may_hold_policies(&mut self, node: &Node, label: &Node, owner: Owner<'_>) -> bool {
        let Owner { namespace, name } = owner;
        if label.as_str() != Some("true") {
            let hint = format!("set `{POLICY_LABEL}: \"true\"`, or remove the label");
            let message = match &label.value {
                Value::String(text) => format!("must be `\"true\"`, found `{}`", text.text),
                other => format!("must be the string `\"true\"`, found {}", what(other)),
            };
            let place = place_in(node, &child_path("metadata.labels", POLICY_LABEL));
            self.fail(owner, place, message, Some(hint));
            return false;
        }
        if name.is_empty() {
            self.fail(owner, place_in(node, "metadata.name"), "a policy ConfigMap must have a name", None);
            return false;
        }
        let own = self.controller_namespace;
        if namespace != own {
            let message = format!("is in namespace `{namespace}`, but policies are read from `{own}`");
            let hint = format!("move it to `{own}`, or give `--namespace {namespace}`");
            self.fail(owner, place_in(node, "metadata.namespace"), message, Some(hint));
            return false;
        }
        true
    }

    fn labelled(&mut self, node: &Node, owner: Owner<'_>, exceptions_only: bool) {
        let before = self.manifest.failures.len();
        let data = self.data(node, owner);
        let mut modules = self.modules(node, owner);
        if exceptions_only && !modules.is_empty() {
            self.fail(owner, place_in(node, "binaryData"), NO_MODULES, None);
            modules.clear();
        }
        if !data.is_empty() || !modules.is_empty() {
            let file = self.file.map(str::to_owned);
            let (namespace, name) = (owner.namespace.to_owned(), owner.name.to_owned());
            let config_map = ConfigMap { file, namespace, name, exceptions_only, data, modules };
            self.manifest.config_maps.push(config_map);
        } else if self.manifest.failures.len() == before {
            self.fail(owner, place_in(node, "data"), NO_DATA, None);
        }
    }

    fn data(&mut self, node: &Node, owner: Owner<'_>) -> Vec<(String, Text)> {
        let entries: &[Entry] = match node.get("data").map(|data| &data.value) {
            Some(Value::Mapping(entries)) => entries,
            None | Some(Value::Null) => &[],
            Some(other) => {
                let message = format!("must be a mapping, found {}", what(other));
                self.fail(owner, place_in(node, "data"), message, None);
                &[]
            }
        };
        let mut found = Vec::new();
        for entry in entries {
            let place = place_of(entry);
            match &entry.value.value {
                _ if let Some((message, hint)) = key_problem(&entry.key) => {
                    self.fail(owner, place, message, hint.map(str::to_owned));
                }
                Value::String(text) => found.push((entry.key.clone(), text.clone())),
                other => {
                    let message = format!("must be a string, found {}", what(other));
                    let hint = "quote the value, or begin it with `|`".to_owned();
                    self.fail(owner, place, message, Some(hint));
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// `binaryData`, decoded as the API server does it.
    fn modules(&mut self, node: &Node, owner: Owner<'_>) -> Vec<(String, Arc<[u8]>)> {
        let entries: &[Entry] = match node.get("binaryData").map(|data| &data.value) {
            Some(Value::Mapping(entries)) => entries,
            None | Some(Value::Null) => &[],
            Some(other) => {
                let message = format!("must be a mapping, found {}", what(other));
                self.fail(owner, place_in(node, "binaryData"), message, None);
                &[]
            }
        };
        let mut found = Vec::new();
        for entry in entries {
            let place = Place { field: child_path("binaryData", &entry.key), position: entry.key_at };
            if !names::is_config_map_key(&entry.key) {
                self.fail(owner, place, NO_KEY, None);
                continue;
            }
            let text = entry.value.as_str().map(|text| text.replace(['\r', '\n'], ""));
            match text.and_then(|text| STANDARD.decode(text).ok()) {
                Some(module) => found.push((entry.key.clone(), Arc::from(module))),
                None => {
                    let hint = "`portcullis wrap` writes it".to_owned();
                    self.fail(owner, place, "must be base64", Some(hint));
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// A ConfigMap without the label is no policy, unless it holds what can only be one.
    fn unlabelled(&mut self, node: &Node, owner: Owner<'_>) {
        let Some(Value::Mapping(entries)) = node.get("data").map(|data| &data.value) else { return };
        let holds_ours = |text: &str| {
            (text.contains(GROUP) || text.contains(KUBERNETES_GROUP))
                && yaml::read(text).into_iter().flatten().any(|document| is_ours(&document))
        };
        if let Some(entry) = entries.iter().find(|entry| entry.value.as_str().is_some_and(holds_ours)) {
            let message = "holds a policy, but the ConfigMap is not labelled, so it is not in force";
            let hint = format!("add the label `{POLICY_LABEL}: \"true\"`");
            self.fail(owner, place_of(entry), message, Some(hint));
        }
    }

    fn fail(&mut self, owner: Owner<'_>, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.fail_with(Code::Document, owner, place, message, hint);
    }

    fn fail_with(
        &mut self,
        code: Code,
        owner: Owner<'_>,
        place: Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.manifest.failures.push(DocumentError {
            code,
            origin: Origin {
                file: self.file.map(str::to_owned),
                namespace: owner.namespace.to_owned(),
                config_map: owner.name.to_owned(),
                key: String::new(),
                document: 0,
                text: None,
            },
            name: None,
            file_position: self.file.is_some().then_some(place.position),
            place: Some(place),
            message: yaml::one_line(message.into()),
            hint,
        });
    }
}

/// Why a key of `data` holds no policies: what is wrong, and what to do.
pub(super) fn key_problem(key: &str) -> Option<(&'static str, Option<&'static str>)> {
    if !names::is_config_map_key(key) {
        return Some((NO_KEY, None));
    }
    let is_text = [".yaml", ".yml", ".json"].iter().any(|end| key.ends_with(end));
    (!is_text).then_some((
        "a policy ConfigMap's keys must end in `.yaml`, `.yml` or `.json`",
        Some("keep other data in a ConfigMap of its own"),
    ))
}

fn string<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::as_str).unwrap_or_default()
}

pub(super) fn place_in(node: &Node, field: &str) -> Place {
    Place { field: field.to_owned(), position: node.position_of(field) }
}

fn place_of(entry: &Entry) -> Place {
    Place { field: child_path("data", &entry.key), position: entry.key_at }
}
