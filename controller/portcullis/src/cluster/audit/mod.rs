//! The cluster as an audit reads it: from one end to the other, once, and no more than a page of it at a time.
//!
//! `kinds` says what there is to read, `listing` reads it page by page, and `facts` reads what policies may look at.

mod facts;
mod kinds;
mod listing;

pub use kinds::Kind;
pub use listing::{Failed, Listing};

use super::mirror::Mirror;
use super::policies::{PolicyConfigMap, sources};
use super::{Cluster, accepted};
use crate::modules;
use crate::report::model::Problem;
use crate::terminal::Hinted;
use anyhow::anyhow;
use kube::runtime::watcher::Event;
use portcullis_core::document::POLICY_LABEL;
use portcullis_core::set::Sources;
use portcullis_core::{Facts, PolicySet};
use std::sync::Arc;

/// What is read of policies and facts at a time.
const PAGE: u32 = 500;

/// A cluster that is read. Not to be used from an async task.
#[derive(Debug, Clone)]
pub struct Inventory(Arc<Cluster>);

impl Inventory {
    /// Of this cluster.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self(cluster)
    }

    /// The policies in the controller's namespace, as they are in force there: what is broken as it was before.
    ///
    /// # Errors
    /// They cannot be read, or there are none: nothing would be judged, and all would look well.
    pub fn policies(&self) -> anyhow::Result<PolicySet> {
        let namespace = &self.0.namespace;
        let kind = Kind::built_in("", "v1", "configmaps", "ConfigMap", true);
        let mut listing = self.listing(&kind, PAGE).in_namespace(namespace).labelled(POLICY_LABEL);
        let mut policies = Mirror::default();
        let mut broken = None;
        let end = listing.each(&mut |object| match object
            .and_then(|object| serde_json::from_value(object).map_err(|error| error.to_string()))
        {
            Ok(config_map) => drop(policies.take(Event::Apply(config_map), PolicyConfigMap::new)),
            Err(error) => broken = Some(error),
        });
        let broken = end.err().map(|failed| failed.to_string()).or(broken);
        if let Some(error) = broken {
            return Err(anyhow!("the policies in namespace `{namespace}` cannot be read: {error}"));
        }
        if policies.version().is_none() {
            let hint = "name the controller's namespace with `--namespace`, or files with `--policies`";
            return Err(Hinted::new(format!("no policies in namespace `{namespace}`"), hint).into());
        }
        let (sources, _) = sources(&policies, namespace);
        let (client, of) = (self.0.client.clone(), namespace.clone());
        let accepted = self.0.worker.run(async move { accepted::read(&client, &of).await })?;
        let sources = Sources { modules: Some(modules::waiting()?), ..sources };
        Ok(PolicySet::compile(&sources, Some(&PolicySet::restore(&accepted, namespace))))
    }

    /// What policies may look at, and what of it cannot be read: that is unknown to them.
    pub fn facts(&self, set: &PolicySet) -> (Facts, Vec<Problem>) {
        facts::read(self, set)
    }

    /// The kinds that policies match as they are created, sorted, and what cannot be told of them.
    ///
    /// # Errors
    /// The API server does not say what it serves.
    pub fn kinds(&self, set: &PolicySet) -> anyhow::Result<(Vec<Kind>, Vec<Problem>)> {
        let client = self.0.client.clone();
        let served = self.0.worker.run(async move {
            let core = client.list_core_api_versions_aggregated().await?;
            let groups = client.list_api_groups_aggregated().await?;
            Ok::<_, kube::Error>(core.items.into_iter().chain(groups.items).collect::<Vec<_>>())
        })?;
        let served =
            served.map_err(|error| anyhow!("the cluster cannot be read: {}", listing::reason(&error)))?;
        let rules: Vec<_> = set.matched().flat_map(|(_, rules)| rules).collect();
        Ok(kinds::matched(&rules, &served))
    }

    /// Every object of a kind, so many at a time.
    pub fn listing(&self, kind: &Kind, size: u32) -> Listing {
        Listing::new(Arc::clone(&self.0), kind, size)
    }
}
