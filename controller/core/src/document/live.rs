//! A labelled ConfigMap as the API server hands it out: its texts have no place in any file.

use super::manifest::{NO_DATA, NO_MODULES, key_problem};
use super::{Code, ConfigMap, DocumentError, EXCEPTIONS_LABEL, Manifest, Origin, POLICY_LABEL};
use crate::yaml::{self, Text, TextPlace};
use std::collections::BTreeMap;

/// Reads a ConfigMap that carries our label, whatever the label's value. `has_modules` says whether it has
/// `binaryData`.
pub fn read_live_config_map(
    namespace: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
    data: BTreeMap<String, String>,
    has_modules: bool,
) -> Manifest {
    let mut manifest = Manifest::default();
    let mut fail = |field: &str, message: &str, hint: Option<String>| {
        let origin = Origin {
            file: None,
            namespace: namespace.to_owned(),
            config_map: name.to_owned(),
            key: String::new(),
            document: 0,
            text: None,
        };
        let message = yaml::one_line(format!("`{field}`: {message}"));
        manifest.failures.push(DocumentError {
            code: Code::Document,
            origin,
            name: None,
            place: None,
            file_position: None,
            message,
            hint,
        });
    };
    let label = labels.get(POLICY_LABEL).map_or("", String::as_str);
    if label != "true" {
        let hint = format!("set `{POLICY_LABEL}: \"true\"`, or remove the label");
        fail("metadata.labels", &format!("`{POLICY_LABEL}` must be `\"true\"`, found `{label}`"), Some(hint));
        return manifest;
    }
    if has_modules {
        fail("binaryData", NO_MODULES, None);
    } else if data.is_empty() {
        fail("data", NO_DATA, None);
    }
    let mut texts = Vec::new();
    for (key, text) in data {
        match key_problem(&key) {
            Some((message, hint)) => fail(&format!("data.{key}"), message, hint.map(str::to_owned)),
            None => {
                texts.push((key, Text { text, place: TextPlace::whole() }));
            }
        }
    }
    if !texts.is_empty() {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let exceptions_only = labels.contains_key(EXCEPTIONS_LABEL);
        manifest.config_maps.push(ConfigMap { file: None, namespace, name, exceptions_only, data: texts });
    }
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_in_force_is_said() {
        let labels = |label: &str| BTreeMap::from([(POLICY_LABEL.to_owned(), label.to_owned())]);
        let check = |label: &str, keys: &[&str], has_modules: bool, held: &[&str], failures: &[&str]| {
            let data = keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
            let manifest = read_live_config_map("gate", "a", &labels(label), data, has_modules);
            let keys = manifest.config_maps.iter().flat_map(|it| it.data.iter().map(|(key, _)| key.as_str()));
            assert_eq!(keys.collect::<Vec<_>>(), held);
            let messages = manifest.failures.iter().map(ToString::to_string);
            assert_eq!(messages.collect::<Vec<_>>(), failures);
        };
        check("true", &["b.yaml", "a.json"], false, &["a.json", "b.yaml"], &[]);
        check(
            "yes",
            &["a.yaml"],
            false,
            &[],
            &["ConfigMap gate/a: `metadata.labels`: `portcullis.dev/policy` must be `\"true\"`, found `yes`"],
        );
        check(
            "true",
            &["a.yaml", "readme"],
            false,
            &["a.yaml"],
            &[
                "ConfigMap gate/a: `data.readme`: a policy ConfigMap's keys must end in `.yaml`, `.yml` or `.json`",
            ],
        );
        check("true", &[], false, &[], &["ConfigMap gate/a: `data`: a policy ConfigMap must have `data`"]);
        check(
            "true",
            &[],
            true,
            &[],
            &["ConfigMap gate/a: `binaryData`: WASM modules are not supported yet"],
        );
    }
}
