//! `metadata` of a document: its name and the annotations that reports show.

use super::fields::{Fields, near_miss};
use super::{GROUP, Place, names};
use crate::yaml::Value;
use std::collections::BTreeMap;

/// What is kept of `metadata`.
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) annotations: BTreeMap<String, String>,
}

/// Our annotations, without their prefix.
const ANNOTATIONS: [&str; 5] = ["title", "severity", "category", "remediation", "description"];

const SEVERITIES: [(&str, ()); 4] = [("low", ()), ("medium", ()), ("high", ()), ("critical", ())];

/// How long annotations may be, keys and values together (apimachinery, `pkg/api/validation/objectmeta.go`).
const MAX_ANNOTATIONS: usize = 256 << 10;

/// What the names of policies end with that an API server reads from its own files
/// (`pkg/apis/admissionregistration/validation/static_suffix.go`).
const STATIC_SUFFIX: &str = ".static.k8s.io";

/// What an API server writes, which Kubernetes' own documents may carry when they were dumped.
const SERVER_FIELDS: [&str; 11] = [
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "selfLink",
];

/// Reads `metadata`; `None` if it has no usable name. `from_server` lets pass what an API server adds.
pub(super) fn read(root: &Fields<'_>, from_server: bool) -> Option<Metadata> {
    let metadata = root.required("metadata")?.fields()?;
    let name = metadata.required("name").and_then(|field| {
        let name = field.string()?;
        field.require(names::dns_subdomain(name));
        if from_server && name.ends_with(STATIC_SUFFIX) {
            field.refuse(format!(
                "names that end with `{STATIC_SUFFIX}` are reserved for files of the API server"
            ));
        }
        Some((name.to_owned(), field.place()))
    });
    if let Some(namespace) = metadata.optional("namespace") {
        namespace.refuse_with_hint(
            "a document has no namespace of its own",
            "the ConfigMap's namespace tells what it governs",
        );
    }
    let annotations = metadata.optional("annotations").and_then(|field| field.fields()).map(read_annotations);
    if let Some(labels) = metadata.optional("labels").and_then(|field| field.fields()) {
        read_labels(&labels);
    }
    if from_server {
        metadata.ignore(&SERVER_FIELDS);
    }
    metadata.finish();
    let (name, place) = name?;
    Some(Metadata { name, place, annotations: annotations.unwrap_or_default() })
}

/// Labels, of an object or of a selector.
pub(super) fn read_labels<'a>(labels: &Fields<'a>) -> Vec<(&'a str, &'a str)> {
    let mut read = Vec::new();
    for (key, key_at, value) in labels.all() {
        if let Err(rule) = names::qualified_name(key) {
            labels.refuse_entry(key_at, format!("key `{key}` {rule}"));
        }
        if let Some(text) = value.text() {
            if let Err(rule) = names::label_value(&text.text) {
                labels.refuse_entry(value.place().position, format!("`{}` {rule}", text.text));
            }
            read.push((key, text.text.as_str()));
        }
    }
    read
}

fn read_annotations(fields: Fields<'_>) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let mut size = 0;
    for (key, key_at, value) in fields.all() {
        if let Err(rule) = names::qualified_name(&key.to_lowercase()) {
            fields.refuse_entry(key_at, format!("key `{key}` {rule}"));
        }
        if let Some(ours) = key.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/')) {
            if !ANNOTATIONS.contains(&ours) {
                let known = ANNOTATIONS.map(|name| format!("{GROUP}/{name}"));
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                fields.refuse_key(key, key_at, "unknown annotation", near_miss(key, &known));
                continue;
            }
            if ours == "severity" && matches!(value.node().value, Value::String(_)) {
                value.one_of(&SEVERITIES);
            }
        }
        if let Some(text) = value.text() {
            size += key.len() + text.text.len();
            annotations.insert(key.to_owned(), text.text.clone());
        }
    }
    if size > MAX_ANNOTATIONS {
        fields.parent().refuse(format!("must not be longer than {MAX_ANNOTATIONS} bytes together"));
    }
    annotations
}
