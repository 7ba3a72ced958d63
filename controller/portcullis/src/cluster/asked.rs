//! Questions to the API server: the same one is asked once, however many requests wait for the answer, and the answer
//! holds for a while.

use super::connect::Cluster;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use kube::Client;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// How many answers are kept, and how many questions wait to be asked.
const MAX_KEPT: usize = 4_096;
/// What the answers take that are kept, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// How many questions may be under way; others wait, as long as their requests may.
const MAX_UNDER_WAY: usize = 64;
/// No request waits longer for its answer.
const LONGEST: Duration = Duration::from_secs(10);

/// An answer that somebody else may wait for as well; none if nobody could tell.
type Waiting<V> = Shared<BoxFuture<'static, Option<V>>>;

/// Questions of one sort and their answers.
pub(super) struct Asked<K, V> {
    known: Mutex<Known<K, V>>,
    places: Semaphore,
    /// How long an answer holds.
    holds: fn(&V) -> Duration,
    /// What it takes, in bytes.
    weigh: fn(&V) -> usize,
}

struct Known<K, V> {
    /// Each with its end.
    kept: HashMap<K, (V, Instant)>,
    bytes: usize,
    under_way: HashMap<K, Waiting<V>>,
}

impl<K, V> Asked<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(holds: fn(&V) -> Duration, weigh: fn(&V) -> usize) -> Arc<Self> {
        let known = Known { kept: HashMap::new(), bytes: 0, under_way: HashMap::new() };
        Arc::new(Self { known: Mutex::new(known), places: Semaphore::new(MAX_UNDER_WAY), holds, weigh })
    }

    /// The answer, asked for on the cluster's thread from now on, whether or not it is waited for.
    pub(super) fn ask<F>(
        self: &Arc<Self>,
        cluster: &Cluster,
        key: K,
        question: impl FnOnce(Client, K) -> F,
    ) -> Waiting<V>
    where
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let mut known = self.lock();
        if let Some((value, _)) = known.kept.get(&key).filter(|(_, end)| *end > Instant::now()) {
            return std::future::ready(Some(value.clone())).boxed().shared();
        }
        // One that has its answer and is still here came to a bad end.
        if let Some(waiting) = known.under_way.get(&key).filter(|waiting| waiting.peek().is_none()) {
            return waiting.clone();
        }
        if known.under_way.len() >= MAX_KEPT {
            return std::future::ready(None).boxed().shared();
        }
        let (this, own) = (Arc::clone(self), key.clone());
        let question = question(cluster.client.clone(), key.clone());
        let task = cluster.worker.call(async move {
            let asked = async {
                let _place = this.places.acquire().await.ok()?;
                question.await
            };
            let answer = timeout(LONGEST, asked).await.ok().flatten();
            this.take(own, answer.as_ref());
            answer
        });
        let waiting = task.map(|answer| answer.ok().flatten()).boxed().shared();
        known.under_way.insert(key, waiting.clone());
        waiting
    }

    /// It is under way no more. Keeps the answer as long as it holds.
    fn take(&self, key: K, answer: Option<&V>) {
        let mut known = self.lock();
        known.under_way.remove(&key);
        let Some((answer, holds)) = answer.map(|answer| (answer, (self.holds)(answer))) else { return };
        if holds.is_zero() {
            return;
        }
        let (now, more) = (Instant::now(), (self.weigh)(answer));
        let is_full = |known: &Known<K, V>| known.kept.len() >= MAX_KEPT || known.bytes + more > MAX_BYTES;
        if is_full(&known) {
            known.kept.retain(|_, (_, end)| *end > now);
            known.bytes = known.kept.values().map(|(value, _)| (self.weigh)(value)).sum();
        }
        // All of them are fresh: they are asked for again soon enough.
        if is_full(&known) {
            known.kept.clear();
            known.bytes = 0;
        }
        if more <= MAX_BYTES {
            let old = known.kept.insert(key, (answer.clone(), now + holds));
            known.bytes = (known.bytes + more).saturating_sub(old.map_or(0, |(old, _)| (self.weigh)(&old)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known<K, V>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Debug for Asked<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::worker::Worker;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn cluster() -> Cluster {
        let nobody = tower::service_fn(|_: hyper::Request<kube::client::Body>| {
            std::future::pending::<Result<hyper::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let worker = Worker::start().unwrap();
        let client = worker.run(async move { Client::new(nobody, "default") }).unwrap();
        let (namespace, url) = ("portcullis".to_owned(), "http://nowhere".to_owned());
        Cluster { client, namespace, worker, url }
    }

    /// How often it is asked, if the answers that are not odd hold.
    async fn asks(questions: &[usize]) -> usize {
        let cluster = cluster();
        let holds = |answer: &usize| Duration::from_secs(if answer.is_multiple_of(2) { 3_600 } else { 0 });
        let asked: Arc<Asked<usize, usize>> = Asked::new(holds, |_| 1);
        let count = Arc::new(AtomicUsize::new(0));
        for question in questions {
            let count = Arc::clone(&count);
            let answer = asked.ask(&cluster, *question, |_, question| async move {
                count.fetch_add(1, Ordering::Relaxed);
                Some(question)
            });
            assert_eq!(answer.await, Some(*question));
        }
        count.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn answers_are_kept_as_long_as_they_hold() {
        assert_eq!(asks(&[2, 2, 2]).await, 1);
        assert_eq!(asks(&[2, 4, 2]).await, 2);
        assert_eq!(asks(&[1, 1, 1]).await, 3);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let cluster = cluster();
        let check = async |weigh: fn(&usize) -> usize, expected: std::ops::RangeInclusive<usize>| {
            let asked: Arc<Asked<usize, usize>> = Asked::new(|_| Duration::from_secs(3_600), weigh);
            for question in 0..MAX_KEPT + 10 {
                asked.ask(&cluster, question, async |_, question| Some(question)).await;
            }
            let known = asked.lock();
            assert!(expected.contains(&known.kept.len()), "{}", known.kept.len());
            assert!(known.bytes <= MAX_BYTES && known.under_way.is_empty());
        };
        check(|_| 1, 1..=MAX_KEPT).await;
        check(|_| MAX_BYTES / 4, 1..=4).await;
        check(|_| MAX_BYTES + 1, 0..=0).await;
    }
}
