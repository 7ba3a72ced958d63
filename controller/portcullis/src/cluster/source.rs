//! Policies and facts as the cluster has them now.

use super::accepted;
use super::connect::Cluster;
use super::follow::{config, follow};
use super::mirror::Mirror;
use super::policies::{PolicyConfigMap, sources};
use super::references::{Found, Referred, follow_reference};
use super::whole;
use crate::source::watch::{Bell, Points, Wake};
use crate::source::{ReadFacts, Reading, Source};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use portcullis_core::document::POLICY_LABEL;
use portcullis_core::set::Accepted;
use portcullis_core::tree::{Selection, Tree};
use portcullis_core::{Facts, PolicySet, Projection, Reference};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long policies wait for what they refer to, before they are in force without.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the watches show.
#[derive(Debug, Default)]
struct Seen {
    policies: Mirror<PolicyConfigMap>,
    /// What was in force before we started; `None` as long as that is not known.
    accepted: Option<Vec<Accepted>>,
    namespaces: Mirror<Tree>,
    referred: BTreeMap<Reference, Referred>,
    /// Grows with each change of what facts are made of.
    facts: u64,
}

/// What is seen, and a call to those who wait for more of it.
#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// A cluster's policies and facts, complete before they are handed on.
#[derive(Debug)]
pub struct ClusterSource {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    bell: Bell,
    /// The watches on what policies refer to, each with what it keeps.
    watches: BTreeMap<Reference, (Projection, AbortHandle)>,
    /// The versions that were handed on: of the policies, and of what facts are made of.
    read: (Option<u64>, Option<u64>),
}

impl ClusterSource {
    /// Begins to watch a cluster; `bell` is rung at every change. A cluster that does not answer is asked again.
    /// With `namespaced`, policies of every namespace count.
    pub fn watch(cluster: &Arc<Cluster>, namespaced: bool, bell: Bell) -> Self {
        let client = &cluster.client;
        let shared = Arc::new(Shared::default());
        let policies: Api<ConfigMap> = match namespaced {
            true => Api::all(client.clone()),
            false => Api::namespaced(client.clone(), &cluster.namespace),
        };
        let (mirror, ring) = (Arc::clone(&shared), bell.clone());
        cluster.worker.spawn(follow(policies, config().labels(POLICY_LABEL), move |event| {
            if mirror.lock().policies.take(event, PolicyConfigMap::new) {
                ring.ring();
            }
        }));
        let (mirror, ring) = (Arc::clone(&shared), bell.clone());
        let (reader, namespace) = (client.clone(), cluster.namespace.clone());
        cluster.worker.spawn(async move {
            let accepted = accepted::read(&reader, &namespace).await;
            mirror.lock().accepted = Some(accepted);
            ring.ring();
        });
        let (mirror, ring) = (Arc::clone(&shared), bell.clone());
        cluster.worker.spawn(follow(Api::<Namespace>::all(client.clone()), config(), move |event| {
            let mut seen = mirror.lock();
            if seen.namespaces.take(event, whole) {
                seen.facts += 1;
                ring.ring();
            }
        }));
        let watches = BTreeMap::new();
        Self { shared, cluster: Arc::clone(cluster), bell, watches, read: (None, None) }
    }

    /// Watches what these references mean, and nothing else any more. What is to keep something else begins anew.
    fn refer_to(&mut self, wanted: BTreeMap<Reference, Projection>) {
        let mut seen = self.shared.lock();
        self.watches.retain(|reference, (kept, watch)| {
            let stays = wanted.get(reference) == Some(kept);
            if !stays {
                watch.abort();
                seen.referred.remove(reference);
                seen.facts += 1;
            }
            stays
        });
        for (reference, kept) in wanted {
            if self.watches.contains_key(&reference) {
                continue;
            }
            seen.referred.insert(reference.clone(), Referred::new(Selection::of(&kept)));
            seen.facts += 1;
            let (shared, bell, of) = (Arc::clone(&self.shared), self.bell.clone(), reference.clone());
            let tell = move |found| shared.take(&of, found, &bell);
            let watch = follow_reference(self.cluster.client.clone(), reference.clone(), tell);
            self.watches.insert(reference, (kept, self.cluster.worker.spawn(watch)));
        }
    }
}

impl Shared {
    /// A poisoned lock's content is whole: what is put into it is whole.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was found of a reference. Breaks where more of it is of no use.
    fn take(&self, reference: &Reference, found: Found, bell: &Bell) -> ControlFlow<()> {
        let mut seen = self.lock();
        // None where it was given up meanwhile.
        let Some(referred) = seen.referred.get_mut(reference) else { return ControlFlow::Break(()) };
        let (changed, is_overfull) = (referred.take(found), referred.is_overfull());
        if changed {
            seen.facts += 1;
            self.changed.notify_all();
            bell.ring();
        }
        if is_overfull { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Source for ClusterSource {
    fn read(&mut self, _: Wake) -> anyhow::Result<Reading> {
        let mut seen = self.shared.lock();
        let mut reading = Reading::default();
        let (Some(policies), Some(_), Some(accepted)) =
            (seen.policies.version(), seen.namespaces.version(), &mut seen.accepted)
        else {
            return Ok(reading);
        };
        reading.accepted = std::mem::take(accepted);
        let current = (Some(policies), Some(seen.facts));
        if current.0 != self.read.0 {
            let (policies, versions) = sources(&seen.policies, &self.cluster.namespace);
            (reading.policies, reading.versions) = (Some(policies), versions);
        }
        if current.1 != self.read.1 {
            reading.facts = Some(facts(&seen));
        }
        self.read = current;
        Ok(reading)
    }

    fn prepare(&mut self, set: &PolicySet) -> Option<ReadFacts> {
        self.refer_to(set.references());
        let seen = self.shared.lock();
        let is_unsettled = |seen: &mut Seen| !seen.referred.values().all(Referred::is_settled);
        let waited = self.shared.changed.wait_timeout_while(seen, PATIENCE, is_unsettled);
        let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if self.read.1 == Some(seen.facts) {
            return None;
        }
        self.read.1 = Some(seen.facts);
        Some(facts(&seen))
    }

    fn points(&self) -> Points {
        Points::default()
    }
}

fn facts(seen: &Seen) -> ReadFacts {
    let mut facts = Facts::new(true);
    seen.namespaces.objects().for_each(|namespace| facts.add(namespace.clone()));
    let mut problems = BTreeSet::new();
    // Params first: of Secrets that are looked up only a part is known.
    for (reference, referred) in &seen.referred {
        referred.tell(reference, &mut facts);
        problems.extend(referred.trouble(reference));
    }
    ReadFacts { facts, problems: problems.into_iter().collect() }
}
