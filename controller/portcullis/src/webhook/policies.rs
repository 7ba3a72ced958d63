//! Policy ConfigMaps as they are written: what would not be in force is refused there and then, as `lint` tells
//! it.

use super::review::Review;
use crate::live::Generation;
use crate::report::lint::LintReport;
use portcullis_core::decision::Reason;
use portcullis_core::document::{ConfigMap, Manifest, POLICY_LABEL, read_config_map, read_live_config_map};
use portcullis_core::enforcement::{Answer, Cause, within_limits};
use portcullis_core::lint::lint;
use portcullis_core::set::Sources;
use portcullis_core::tree::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be said of a ConfigMap that is created or changed. What has no label of ours, or has it no longer,
/// is none of our business: nothing is kept from being deleted or called off.
pub(super) fn judge(review: &Review, generation: Option<&Generation>, controller_namespace: &str) -> Answer {
    let request = &review.request;
    let texts = |field: &str| request.object.pointer(field).map(texts).unwrap_or_default();
    let labels = texts("/metadata/labels");
    if !labels.contains_key(POLICY_LABEL) {
        return answer(Vec::new(), Vec::new());
    }
    let data = texts("/data");
    // What modules hold is looked at when they are loaded, which takes longer than anybody waits here.
    let modules = texts("/binaryData").into_keys().map(|key| (key, Arc::from([]))).collect();
    let manifest = read_live_config_map(&request.namespace, &request.name, &labels, data.clone(), modules);
    let mut warnings = Vec::new();
    if let Some(generation) = generation {
        warnings.extend(twins(&manifest, generation, controller_namespace));
    }
    let report = LintReport::new(
        &lint(&by_key(manifest, controller_namespace), None, jiff::Timestamp::now()),
        Vec::new(),
        false,
    );
    warnings.extend(report.warnings());
    let denials = report.errors(&data).map(|(policy, key, line)| {
        let field_path = if key.is_empty() { "metadata".to_owned() } else { format!("data[{key}]") };
        Cause { policy, line, field_path, reason: Reason::Invalid }
    });
    answer(denials.collect(), warnings)
}

fn answer(denials: Vec<Cause>, warnings: Vec<String>) -> Answer {
    let (allowed, warnings) = (denials.is_empty(), within_limits(warnings));
    Answer { allowed, denials, warnings, audit_annotations: Vec::new() }
}

/// Keys with their texts; values that are none are not for us to refuse.
fn texts(map: Node<'_>) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flat_map(|map| map.iter());
    entries.filter_map(|(key, value)| Some((key.to_owned(), value.as_str()?.to_owned()))).collect()
}

/// Each key as a file of its own name: that is where whoever wrote it finds lines and columns.
fn by_key(manifest: Manifest, controller_namespace: &str) -> Sources {
    let config_maps = manifest.config_maps.into_iter().flat_map(|config_map| {
        let ConfigMap { namespace, name, exceptions_only, data, .. } = config_map;
        data.into_iter().map(move |(key, text)| ConfigMap {
            file: Some(key.clone()),
            namespace: namespace.clone(),
            name: name.clone(),
            exceptions_only,
            data: vec![(key, text)],
            modules: Vec::new(),
        })
    });
    Sources {
        config_maps: config_maps.collect(),
        failures: manifest.failures,
        controller_namespace: controller_namespace.to_owned(),
        ..Sources::default()
    }
}

/// Policies of the same name that are in force from another ConfigMap. One of both may be about to go, as when a
/// generator gives a ConfigMap another name, so that is no reason to refuse it.
fn twins(manifest: &Manifest, generation: &Generation, controller_namespace: &str) -> Vec<String> {
    let mut twins = Vec::new();
    for config_map in &manifest.config_maps {
        for identity in read_config_map(config_map).into_iter().filter_map(|read| read.identity) {
            let name = match config_map.namespace == controller_namespace {
                true => identity.name,
                false => format!("{}/{}", config_map.namespace, identity.name),
            };
            let of_name = generation.set.entries().iter().map(|entry| &entry.info);
            let other = of_name
                .filter(|info| {
                    (info.origin.namespace == config_map.namespace)
                        && info.name == name
                        && info.dialect.kind() == identity.kind
                })
                .find(|info| info.origin.config_map != config_map.name);
            if let Some(other) = other {
                let place = &other.origin.config_map;
                twins.push(format!(
                    "policy `{name}` is in ConfigMap `{place}`, too, which counts until it is gone"
                ));
            }
        }
    }
    twins
}
