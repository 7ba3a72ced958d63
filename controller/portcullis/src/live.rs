//! What is in force right now: one snapshot of policies and facts, swapped whole.

use crate::metrics::VerdictCounters;
use crate::source::Version;
use arc_swap::{ArcSwapOption, Guard};
use portcullis_core::{Facts, PolicySet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// One generation: what a request is decided by, from its beginning to its end.
#[derive(Debug)]
pub struct Generation {
    /// From 1, growing with each swap.
    pub number: u64,
    /// The policies.
    pub set: Arc<PolicySet>,
    /// Namespaces and params.
    pub facts: Arc<Facts>,
    /// Which versions of which ConfigMaps the policies are from, where those have any.
    pub versions: Arc<[Version]>,
    /// What was wrong with resources, one line each.
    pub resource_problems: Vec<String>,
    /// When it came into force.
    pub since: jiff::Timestamp,
    /// Counters of its policies' verdicts.
    pub verdicts: VerdictCounters,
}

/// The generation in force, and whether we want requests at all.
#[derive(Debug)]
pub struct Live {
    generation: ArcSwapOption<Generation>,
    /// The number of the generation in force, for those who wait for the next.
    number: watch::Sender<u64>,
    /// Whether there is a certificate to serve.
    certified: AtomicBool,
    draining: AtomicBool,
    /// Whether another replica may answer requests while our modules are compiled for the first time.
    accompanied: AtomicBool,
    begin: Instant,
    /// When a thread that decides last had nothing better to do, in milliseconds since `begin`.
    beat: AtomicU64,
    /// When the API server last answered, in milliseconds since `begin`; `NEVER` where none is asked.
    heard: AtomicU64,
    /// Whether it did not when it was last asked.
    missed: AtomicBool,
}

/// No time.
const NEVER: u64 = u64::MAX;
/// So long it may say nothing until that is worth a word.
const SILENCE: Duration = Duration::from_secs(10);

/// So long after the start nobody waits for modules any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Without a beat for so long, every thread that decides is stuck: only a restart helps.
const STUCK: Duration = Duration::from_secs(30);

impl Default for Live {
    fn default() -> Self {
        Self {
            generation: ArcSwapOption::empty(),
            number: watch::Sender::new(0),
            certified: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            accompanied: AtomicBool::new(false),
            begin: Instant::now(),
            beat: AtomicU64::new(0),
            heard: AtomicU64::new(NEVER),
            missed: AtomicBool::new(false),
        }
    }
}

impl Live {
    /// Beats once a second for as long as a thread of this runtime is free to do so.
    pub async fn keep_beating(&self) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            self.beat.store(self.millis(Instant::now()), Ordering::Relaxed);
        }
    }

    /// Whether no thread that decides has come round for 30 seconds.
    pub fn is_stuck(&self, now: Instant) -> bool {
        let silent = self.millis(now).saturating_sub(self.beat.load(Ordering::Relaxed));
        Duration::from_millis(silent) > STUCK
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.begin).as_millis()).unwrap_or(u64::MAX)
    }

    /// The generation in force; `None` until the first is compiled.
    pub fn current(&self) -> Guard<Option<Arc<Generation>>> {
        self.generation.load()
    }

    /// Puts a generation into force.
    pub fn swap(&self, generation: Arc<Generation>) {
        let number = generation.number;
        if !generation.set.is_pending() {
            self.stand_alone();
        }
        self.generation.store(Some(generation));
        self.number.send_replace(number);
    }

    /// Tells the number of each generation once it is in force; 0 before the first. Some may be left out.
    pub fn numbers(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// The API server answered.
    pub fn hear(&self) {
        self.heard.store(self.millis(Instant::now()), Ordering::Relaxed);
        self.missed.store(false, Ordering::Relaxed);
    }

    /// It did not.
    pub fn miss(&self) {
        // From now on it counts.
        let now = self.millis(Instant::now());
        let _ = self.heard.compare_exchange(NEVER, now, Ordering::Relaxed, Ordering::Relaxed);
        self.missed.store(true, Ordering::Relaxed);
    }

    /// How long ago the API server last answered; `None` where nobody asks it.
    pub fn last_heard(&self) -> Option<Duration> {
        let heard = Some(self.heard.load(Ordering::Relaxed)).filter(|heard| *heard != NEVER)?;
        Some(Duration::from_millis(self.millis(Instant::now()).saturating_sub(heard)))
    }

    /// The same if it is long ago: what is in force may be out of date.
    pub fn unheard(&self) -> Option<Duration> {
        self.last_heard().filter(|silence| self.missed.load(Ordering::Relaxed) && *silence > SILENCE)
    }

    /// Another replica may answer requests: it goes when we are ready, and until its modules can run ours would answer what
    /// they judge by the failurePolicy. So we are ready when they can.
    pub fn stand_beside(&self) {
        self.accompanied.store(true, Ordering::Relaxed);
    }

    /// Nobody else answers requests, or there is nothing more to wait for. From now on edits are waited for no more.
    pub fn stand_alone(&self) {
        self.accompanied.store(false, Ordering::Relaxed);
    }

    /// There is a certificate to serve.
    pub fn certify(&self) {
        self.certified.store(true, Ordering::Relaxed);
    }

    /// From now on nobody should send requests, though they are answered still.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether nobody should send requests any more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why we are not ready; `None` if we are.
    pub fn unready(&self) -> Option<&'static str> {
        if self.is_draining() {
            Some("shutting down")
        } else if self.generation.load().is_none() {
            Some("the first policy set is not compiled yet")
        } else if !self.certified.load(Ordering::Relaxed) {
            Some("there is no certificate yet")
        } else if self.accompanied.load(Ordering::Relaxed) && self.begin.elapsed() < PATIENCE {
            Some("modules are still being compiled, and another replica serves meanwhile")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::document::{POLICY_LABEL, read_live_config_map};
    use portcullis_core::set::Sources;
    use std::collections::BTreeMap;

    #[tokio::test]
    async fn a_runtime_that_does_not_come_round_is_stuck() {
        let live = Live::default();
        let begin = Instant::now();
        assert!(!live.is_stuck(begin + STUCK / 2));
        assert!(live.is_stuck(begin + STUCK * 2));
        let old = Live { begin: begin.checked_sub(STUCK * 2).unwrap(), ..Live::default() };
        assert!(old.is_stuck(Instant::now()));
        // Ends by its time limit: it beats forever.
        let _ = tokio::time::timeout(Duration::from_millis(20), old.keep_beating()).await;
        assert!(!old.is_stuck(Instant::now()));
    }

    #[test]
    fn readiness_begins_with_generation_and_certificate_and_ends_with_draining() {
        let live = Live::default();
        assert_eq!(live.unready(), Some("the first policy set is not compiled yet"));
        live.swap(Arc::new(Generation {
            number: 1,
            set: Arc::default(),
            facts: Arc::default(),
            versions: Arc::default(),
            resource_problems: Vec::new(),
            since: jiff::Timestamp::now(),
            verdicts: VerdictCounters::default(),
        }));
        assert_eq!(live.unready(), Some("there is no certificate yet"));
        live.certify();
        assert_eq!(live.unready(), None);
        live.drain();
        assert_eq!(live.unready(), Some("shutting down"));
    }

    /// A generation whose only policy waits for its module, or none.
    fn generation(pending: bool) -> Arc<Generation> {
        let text = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec: {validationActions: [Deny], \
                    matchPods: {}, wasm: {module: m.wasm}}";
        let data = BTreeMap::from([("p.yaml".to_owned(), text.to_owned())]);
        let labels = BTreeMap::from([(POLICY_LABEL.to_owned(), "true".to_owned())]);
        let manifest = read_live_config_map("portcullis", "p", &labels, data, BTreeMap::new());
        // Without anybody who runs modules.
        let config_maps = if pending { manifest.config_maps } else { Vec::new() };
        let set = PolicySet::compile(&Sources { config_maps, ..Sources::default() }, None);
        assert_eq!(set.is_pending(), pending);
        Arc::new(Generation {
            number: 1,
            set: Arc::new(set),
            facts: Arc::default(),
            versions: Arc::default(),
            resource_problems: Vec::new(),
            since: jiff::Timestamp::now(),
            verdicts: VerdictCounters::default(),
        })
    }

    #[test]
    fn modules_are_waited_for_while_another_replica_serves_and_only_at_the_start() {
        let check = |case: &str, steps: &[fn(&Live)], ready: bool| {
            let live = Live::default();
            live.certify();
            steps.iter().for_each(|step| step(&live));
            assert_eq!(live.unready().is_none(), ready, "{case}: {:?}", live.unready());
        };
        let pending = |live: &Live| live.swap(generation(true));
        let complete = |live: &Live| live.swap(generation(false));
        check("alone", &[pending], true);
        check("beside another", &[Live::stand_beside, pending], false);
        check("there are none", &[Live::stand_beside, complete], true);
        check("they are there", &[Live::stand_beside, pending, complete], true);
        check("edited", &[Live::stand_beside, pending, complete, pending], true);
        check("the other one is gone", &[Live::stand_beside, pending, Live::stand_alone], true);
        check("no policies", &[Live::stand_beside, Live::stand_alone], false);
        let begin = Instant::now().checked_sub(PATIENCE).unwrap();
        let late = Live { begin, ..Live::default() };
        [Live::certify, Live::stand_beside, pending].iter().for_each(|step| step(&late));
        assert_eq!(late.unready(), None, "not for ever");
    }
}
