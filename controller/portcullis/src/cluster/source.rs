//! Policies and facts as the cluster has them now.

use super::connect::Cluster;
use super::follow::{config, follow};
use super::mirror::Mirror;
use crate::source::watch::{Bell, Points, Wake};
use crate::source::{ReadFacts, Reading, Source};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Resource, ResourceExt};
use portcullis_core::Facts;
use portcullis_core::document::{Manifest, POLICY_LABEL, read_live_config_map};
use portcullis_core::set::Sources;
use portcullis_core::tree::Tree;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the watches show.
#[derive(Debug, Default)]
struct Seen {
    policies: Mirror<Manifest>,
    namespaces: Mirror<Tree>,
}

/// A cluster's policies and facts, complete before they are handed on.
#[derive(Debug)]
pub struct ClusterSource {
    seen: Arc<Mutex<Seen>>,
    cluster: Arc<Cluster>,
    /// The versions that were handed on: policies, Namespaces.
    read: [Option<u64>; 2],
}

impl ClusterSource {
    /// Begins to watch a cluster; `bell` is rung at every change. A cluster that does not answer is asked again.
    pub fn watch(cluster: &Arc<Cluster>, bell: Bell) -> Self {
        let client = &cluster.client;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let policies: Api<ConfigMap> = Api::namespaced(client.clone(), &cluster.namespace);
        let (mirror, ring) = (Arc::clone(&seen), bell.clone());
        cluster.worker.spawn(follow(policies, config().labels(POLICY_LABEL), move |event| {
            if lock(&mirror).policies.take(event, policy) {
                ring.ring();
            }
        }));
        let mirror = Arc::clone(&seen);
        cluster.worker.spawn(follow(Api::<Namespace>::all(client.clone()), config(), move |event| {
            if lock(&mirror).namespaces.take(event, whole) {
                bell.ring();
            }
        }));
        Self { seen, cluster: Arc::clone(cluster), read: [None; 2] }
    }
}

impl Source for ClusterSource {
    fn read(&mut self, _: Wake) -> anyhow::Result<Reading> {
        let seen = lock(&self.seen);
        let current = [seen.policies.version(), seen.namespaces.version()];
        let mut reading = Reading::default();
        if current.contains(&None) {
            return Ok(reading);
        }
        let [policies, namespaces] = [0, 1].map(|index| current.get(index) != self.read.get(index));
        reading.policies = policies.then(|| sources(&seen.policies, &self.cluster.namespace));
        reading.facts = namespaces.then(|| {
            let mut facts = Facts::new(true);
            seen.namespaces.objects().for_each(|namespace| facts.add(namespace.clone()));
            ReadFacts { facts, problems: Vec::new() }
        });
        self.read = current;
        Ok(reading)
    }

    fn points(&self) -> Points {
        Points::default()
    }
}

/// A poisoned lock's content is whole: what is put into it is whole.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sources(policies: &Mirror<Manifest>, controller_namespace: &str) -> Sources {
    let mut sources = Sources { controller_namespace: controller_namespace.to_owned(), ..Sources::default() };
    for manifest in policies.objects() {
        sources.config_maps.extend(manifest.config_maps.iter().cloned());
        sources.failures.extend(manifest.failures.iter().cloned());
    }
    sources
}

fn policy(config_map: ConfigMap) -> Manifest {
    let (namespace, name) = (config_map.namespace().unwrap_or_default(), config_map.name_any());
    let label = config_map.labels().get(POLICY_LABEL).cloned().unwrap_or_default();
    let has_modules = config_map.binary_data.is_some_and(|modules| !modules.is_empty());
    read_live_config_map(&namespace, &name, &label, config_map.data.unwrap_or_default(), has_modules)
}

/// A whole object, without what nobody reads.
fn whole<K: Resource + serde::Serialize>(mut object: K) -> Tree {
    object.managed_fields_mut().clear();
    // Kubernetes' own types have no keys that JSON could not have.
    serde_json::to_value(object).unwrap_or_default().into()
}
