//! The cluster as an audit reads it: from one end to the other, once, and no more than a page of it at a time.
//!
//! `kinds` says what there is to read, `listing` reads it page by page, and `facts` reads what policies may look at.

mod facts;
#[cfg(test)]
pub(crate) mod fake;
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
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What is read of policies and facts at a time.
const PAGE: u32 = 500;

/// A cluster that is read. Not to be used from an async task.
#[derive(Debug, Clone)]
pub struct Inventory {
    cluster: Arc<Cluster>,
    /// How long an answer may take, repetitions included.
    timeout: Duration,
}

impl Inventory {
    /// Of this cluster, which has so long to answer a request, also where that is repeated; zero for as long as it
    /// takes.
    pub fn new(cluster: Arc<Cluster>, timeout: Duration) -> Self {
        let timeout = if timeout.is_zero() { Duration::MAX } else { timeout };
        Self { cluster, timeout }
    }

    /// Asks the cluster something.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let limit = self.timeout;
        let answer = self.cluster.worker.run(async move { timeout(limit, question).await })?;
        answer.map_err(|_| {
            anyhow!("the API server gave no answer within {limit:?}; `--request-timeout` allows for more")
        })
    }

    /// The policies in the controller's namespace, as they are in force there: what is broken as it was before. With
    /// `namespaced` those of other namespaces, too, which govern these.
    ///
    /// # Errors
    /// They cannot be read, or there are none: nothing would be judged, and all would look well.
    pub fn policies(&self, namespaced: bool) -> anyhow::Result<PolicySet> {
        let namespace = &self.cluster.namespace;
        let place = if namespaced { "any namespace".to_owned() } else { format!("namespace `{namespace}`") };
        let kind = Kind::built_in("", "v1", "configmaps", "ConfigMap", true);
        let mut listing = self.listing(&kind, PAGE).labelled(POLICY_LABEL);
        if !namespaced {
            listing = listing.in_namespace(namespace);
        }
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
            return Err(anyhow!("the policies in {place} cannot be read: {error}"));
        }
        if policies.version().is_none() {
            let hint = "name the controller's namespace with `--namespace`, or files with `--policies`";
            return Err(Hinted::new(format!("no policies in {place}"), hint).into());
        }
        let (sources, _) = sources(&policies, namespace);
        let (client, of) = (self.cluster.client.clone(), namespace.clone());
        let accepted = self.ask(async move { accepted::read(&client, &of).await })?;
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
        let client = self.cluster.client.clone();
        let served = self.ask(async move {
            let core = client.list_core_api_versions_aggregated().await?;
            let groups = client.list_api_groups_aggregated().await?;
            Ok::<_, kube::Error>(core.items.into_iter().chain(groups.items).collect::<Vec<_>>())
        })?;
        let served =
            served.map_err(|error| anyhow!("the cluster cannot be read: {}", listing::reason(&error)))?;
        let everywhere = set.matched().flat_map(|(_, matched)| matched.rules);
        let rules: Vec<_> =
            everywhere.chain(set.matched_in_namespaces().flat_map(|(_, matched)| matched.rules)).collect();
        Ok(kinds::matched(&rules, &served))
    }

    /// A Namespace as it is now, if there is one of that name.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn namespace(&self, name: &str) -> Result<Option<Json>, Problem> {
        let kind = Kind::namespaces();
        let (mut found, mut broken) = (None, None);
        // Not by its name alone: that would take another right than the list of all of them.
        let end = self.listing(&kind, PAGE).named(name).each(&mut |object| match object {
            Ok(object) => found = Some(object),
            Err(reason) => broken = Some(Problem::new(reason)),
        });
        end.map_err(|failed| failed.of(&kind))?;
        broken.map_or(Ok(found), Err)
    }

    /// Every object of a kind, so many at a time.
    pub fn listing(&self, kind: &Kind, size: u32) -> Listing {
        Listing::new(self.clone(), kind, size)
    }
}
