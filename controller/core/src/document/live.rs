//! A labelled ConfigMap as the API server hands it out: its texts have no place in any file.

use super::manifest::{NO_DATA, NO_MODULES, key_problem};
use super::{Code, ConfigMap, DocumentError, EXCEPTIONS_LABEL, Manifest, Origin, POLICY_LABEL};
use crate::yaml::{self, Text, TextPlace};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads a ConfigMap that carries our label, whatever the label's value.
pub fn read_live_config_map(
    namespace: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
    data: BTreeMap<String, String>,
    modules: BTreeMap<String, Arc<[u8]>>,
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
    let exceptions_only = labels.contains_key(EXCEPTIONS_LABEL);
    let mut modules: Vec<_> = modules.into_iter().collect();
    if exceptions_only && !modules.is_empty() {
        fail("binaryData", NO_MODULES, None);
        modules.clear();
    } else if data.is_empty() && modules.is_empty() {
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
    if !texts.is_empty() || !modules.is_empty() {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let config_map = ConfigMap { file: None, namespace, name, exceptions_only, data: texts, modules };
        manifest.config_maps.push(config_map);
    }
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_in_force_is_said() {
        let labels = |label: &str| {
            let exceptions = label == "exceptions";
            let value = if exceptions { "true" } else { label };
            let mut labels = BTreeMap::from([(POLICY_LABEL.to_owned(), value.to_owned())]);
            labels.extend(exceptions.then(|| (EXCEPTIONS_LABEL.to_owned(), String::new())));
            labels
        };
        let check = |label: &str, keys: &[&str], has_modules: bool, held: &[&str], failures: &[&str]| {
            let module = has_modules.then(|| ("a.wasm".to_owned(), Arc::from([0_u8])));
            let data = keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
            let manifest =
                read_live_config_map("gate", "a", &labels(label), data, module.into_iter().collect());
            let keys = manifest.config_maps.iter().flat_map(|it| {
                let modules = it.modules.iter().map(|(key, _)| key.as_str());
                it.data.iter().map(|(key, _)| key.as_str()).chain(modules)
            });
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
        check("true", &[], true, &["a.wasm"], &[]);
        check("true", &["a.yaml"], true, &["a.yaml", "a.wasm"], &[]);
        check(
            "exceptions",
            &["a.yaml"],
            true,
            &["a.yaml"],
            &["ConfigMap gate/a: `binaryData`: a ConfigMap that holds PolicyExceptions only must not have \
                 `binaryData`"],
        );
    }
}
