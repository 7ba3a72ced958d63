//! Policy ConfigMaps as the cluster has them: what they hold, how old they are, and which version of them that is.

use super::mirror::Mirror;
use crate::source::Version;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use portcullis_core::document::{Manifest, read_live_config_map};
use portcullis_core::set::Sources;
use std::sync::Arc;

/// A policy ConfigMap.
#[derive(Debug, PartialEq)]
pub(super) struct PolicyConfigMap {
    created: Timestamp,
    version: Version,
    manifest: Manifest,
}

impl PolicyConfigMap {
    /// What is needed of a ConfigMap that carries our label.
    pub(super) fn new(config_map: ConfigMap) -> Arc<Self> {
        let version = Version {
            namespace: config_map.namespace().unwrap_or_default(),
            name: config_map.name_any(),
            uid: config_map.uid().unwrap_or_default(),
            resource_version: config_map.resource_version().unwrap_or_default(),
        };
        let created = config_map.creation_timestamp().map_or(Timestamp::MAX, |time| time.0);
        let labels = config_map.labels().clone();
        let modules = config_map.binary_data.unwrap_or_default().into_iter();
        let modules = modules.map(|(key, module)| (key, Arc::from(module.0))).collect();
        let data = config_map.data.unwrap_or_default();
        let manifest = read_live_config_map(&version.namespace, &version.name, &labels, data, modules);
        Arc::new(Self { created, version, manifest })
    }
}

/// All of them, those first that were there first: it is they that have a name which several claim. And which
/// versions these are.
pub(super) fn sources(
    policies: &Mirror<Arc<PolicyConfigMap>>,
    controller_namespace: &str,
) -> (Sources, Vec<Version>) {
    let mut sources = Sources { controller_namespace: controller_namespace.to_owned(), ..Sources::default() };
    let mut by_age: Vec<&PolicyConfigMap> = policies.objects().map(|config_map| &**config_map).collect();
    // Those of one second stay in the order of their names.
    by_age.sort_by_key(|config_map| config_map.created);
    for PolicyConfigMap { manifest, .. } in &by_age {
        sources.config_maps.extend(manifest.config_maps.iter().cloned());
        sources.failures.extend(manifest.failures.iter().cloned());
    }
    (sources, by_age.into_iter().map(|config_map| config_map.version.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    #[test]
    fn the_oldest_comes_first_and_then_the_first_name() {
        let mut mirror = Mirror::default();
        for (name, created) in
            [("c", "2026-01-02"), ("b", "2026-01-01"), ("a", "2026-01-02"), ("d", "2025-01-01")]
        {
            let config_map: ConfigMap = serde_json::from_value(json!({
                "metadata": {
                    "name": name, "namespace": "gate", "uid": "u", "resourceVersion": "7",
                    "creationTimestamp": format!("{created}T00:00:00Z"),
                    "labels": {"portcullis.dev/policy": "true"},
                },
                "data": {"policy.yaml": "x"},
            }))
            .unwrap();
            mirror.take(Event::Apply(config_map), PolicyConfigMap::new);
        }
        let (sources, versions) = sources(&mirror, "gate");
        let names: Vec<&str> = sources.config_maps.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["d", "b", "a", "c"]);
        assert_eq!(versions.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(), names);
        let first = versions.first().unwrap();
        assert_eq!((&*first.namespace, &*first.uid, &*first.resource_version), ("gate", "u", "7"));
    }
}
