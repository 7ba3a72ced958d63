//! Policies and facts as the cluster has them now.

use super::accepted;
use super::connect::Cluster;
use super::follow::{config, follow};
use super::mirror::Mirror;
use super::policies::{PolicyConfigMap, sources};
use super::references::{Found, follow_reference};
use super::register::{self, Known, Number, Register, View};
use super::whole;
use crate::source::watch::{Bell, Points, Wake};
use crate::source::{ReadFacts, Reading, Source};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use portcullis_core::document::POLICY_LABEL;
use portcullis_core::set::Accepted;
use portcullis_core::tree::Tree;
use portcullis_core::{Facts, PolicySet, Projection, Reference};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// How long policies wait for what they refer to, before they are in force without.
const PATIENCE: Duration = Duration::from_secs(3);

/// Facts are made anew at most for so long a part of the time, and however long that takes, once in so long.
const REST: u32 = 10;
const MAX_REST: Duration = Duration::from_secs(2);

/// What the watches show.
#[derive(Debug, Default)]
struct Seen {
    policies: Mirror<Arc<PolicyConfigMap>>,
    /// What was in force before we started; `None` as long as that is not known.
    accepted: Option<Vec<Accepted>>,
    namespaces: Mirror<Tree>,
    referred: Register,
    /// The watches on what is referred to.
    watches: BTreeMap<Number, AbortHandle>,
}

impl Seen {
    /// Changes with what facts are made of.
    fn facts(&self) -> (Option<u64>, u64) {
        (self.namespaces.version(), self.referred.version())
    }

    fn end(&mut self, watches: Vec<Number>) {
        watches.iter().filter_map(|number| self.watches.remove(number)).for_each(|watch| watch.abort());
    }
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
    /// The objects of which the last facts were made.
    known: Known,
    /// The versions that were handed on: of the policies, and of what facts are made of.
    read: (Option<u64>, Option<(Option<u64>, u64)>),
    /// Until when facts alone are not made anew, and whether the bell will be rung then.
    rest: Option<(Instant, bool)>,
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
            if mirror.lock().namespaces.take(event, whole) {
                ring.ring();
            }
        }));
        let (cluster, known) = (Arc::clone(cluster), Known::new());
        Self { shared, cluster, bell, known, read: (None, None), rest: None }
    }

    /// Watches what these references mean, and nothing else any more.
    fn refer_to(&self, wanted: &BTreeMap<Reference, Projection>) {
        let mut seen = self.shared.lock();
        let orders = seen.referred.want(wanted);
        seen.end(orders.end);
        for (number, reference) in orders.begin {
            let (shared, bell) = (Arc::clone(&self.shared), self.bell.clone());
            let tell = move |found| shared.take(number, found, &bell);
            let watch = follow_reference(self.cluster.client.clone(), reference, tell);
            seen.watches.insert(number, self.cluster.worker.spawn(watch));
        }
    }

    /// Makes facts of what is seen. Nobody else need wait for that: while it is locked, only what changed is taken out.
    fn facts(&mut self, seen: MutexGuard<'_, Seen>) -> ReadFacts {
        let begin = Instant::now();
        self.read.1 = Some(seen.facts());
        let namespaces: Vec<Tree> = seen.namespaces.objects().cloned().collect();
        let views: Vec<View> = seen.referred.views(&self.known);
        drop(seen);
        let mut facts = Facts::new(true);
        namespaces.into_iter().for_each(|namespace| facts.add(namespace));
        let problems = register::tell(views, &mut self.known, &mut facts);
        self.rest = Some((Instant::now() + (begin.elapsed() * REST).min(MAX_REST), false));
        ReadFacts { facts, problems: problems.into_iter().collect() }
    }

    /// Whether facts were made just now, so that it is better to wait for more. The bell is rung once they may be again.
    fn rests(&mut self) -> bool {
        let Some((rest, is_called)) = self.rest.as_mut().filter(|(rest, _)| *rest > Instant::now()) else {
            return false;
        };
        if !std::mem::replace(is_called, true) {
            let (bell, end) = (self.bell.clone(), *rest);
            self.cluster.worker.spawn(async move {
                tokio::time::sleep_until(end.into()).await;
                bell.ring();
            });
        }
        true
    }
}

impl Shared {
    /// A poisoned lock's content is whole: what is put into it is whole.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a watch found. Breaks where more of it is of no use.
    fn take(&self, number: Number, found: Found, bell: &Bell) -> ControlFlow<()> {
        let mut seen = self.lock();
        let before = seen.referred.version();
        let (flow, ended) = seen.referred.take(number, found);
        seen.end(ended);
        if seen.referred.version() != before {
            self.changed.notify_all();
            bell.ring();
        }
        flow
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
        if self.read.0 != Some(policies) {
            let (policies, versions) = sources(&seen.policies, &self.cluster.namespace);
            (reading.policies, reading.versions) = (Some(policies), versions);
        }
        self.read.0 = Some(policies);
        let is_news = self.read.1 != Some(seen.facts());
        drop(seen);
        if is_news && (reading.policies.is_some() || !self.rests()) {
            let shared = Arc::clone(&self.shared);
            reading.facts = Some(self.facts(shared.lock()));
        }
        Ok(reading)
    }

    fn prepare(&mut self, set: &PolicySet) -> Option<ReadFacts> {
        self.refer_to(&set.references());
        let shared = Arc::clone(&self.shared);
        let is_unsettled = |seen: &mut Seen| !seen.referred.is_settled();
        let waited = shared.changed.wait_timeout_while(shared.lock(), PATIENCE, is_unsettled);
        let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (self.read.1 != Some(seen.facts())).then(|| self.facts(seen))
    }

    fn points(&self) -> Points {
        Points::default()
    }
}
