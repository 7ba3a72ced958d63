//! The thread that reads policies, resources and certificates, at the start and whenever they change.
//!
//! Compiling takes its time and is not done where requests are answered.

use super::followed::Followed;
use super::memory;
use crate::live::{Generation, Live};
use crate::metrics::{Metrics, VerdictCounters};
use crate::source::watch::{Stopper, Wake, Watch};
use crate::source::{ReadFacts, Reading, Source, Version};
use anyhow::Context;
use jiff::Timestamp;
use portcullis_core::document::DocumentError;
use portcullis_core::module::Modules;
use portcullis_core::set::{Sources, State};
use portcullis_core::{Facts, PolicySet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

/// Stack of the thread that compiles: policies may nest deeply. Only what is used takes memory.
const STACK: usize = 32 << 20;

/// What is read, and what it is read into.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) source: Box<dyn Source>,
    /// Certificates and CAs in files.
    pub(super) files: Vec<Box<dyn Followed>>,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    /// Who runs modules, and rings the bell when one is loaded.
    pub(super) modules: Arc<dyn Modules>,
    /// What was read last, as long as some of it waits for a module.
    pub(super) waiting: Option<(Sources, Vec<Version>)>,
    /// Whether policies were replaced since memory was given back.
    pub(super) is_untrimmed: bool,
}

/// The running thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Loading {
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Loading {
    fn drop(&mut self) {
        drop(self.stopper.take());
        if let Some(thread) = self.thread.take() {
            // It ended by a panic that was logged when it happened.
            let _ = thread.join();
        }
    }
}

impl Loader {
    /// Starts the thread and waits for the first reading: what is known then is in force.
    ///
    /// # Errors
    /// The source has nothing to read and will not have.
    pub(super) fn start(self, watch: Watch, stopper: Stopper) -> anyhow::Result<Loading> {
        let (send_first, first) = sync_channel(1);
        let run = move || self.run(watch, &send_first);
        let thread = Builder::new()
            .name("loader".to_owned())
            .stack_size(STACK)
            .spawn(run)
            .context("cannot start a thread")?;
        let loading = Loading { stopper: Some(stopper), thread: Some(thread) };
        first.recv().context("the first reading of the policies failed")??;
        Ok(loading)
    }

    fn run(mut self, mut watch: Watch, first: &SyncSender<anyhow::Result<()>>) {
        let read = self.source.read(Wake::Changed).map(|reading| self.put_in_force(reading));
        let failed = read.is_err();
        if first.send(read).is_err() || failed {
            return;
        }
        loop {
            let mut points = self.source.points();
            self.files.iter().for_each(|files| points.extend(files.points()));
            watch.set(points);
            // What changed before it was watched makes no event: look once more before waiting.
            let mut wake = Wake::Look;
            while wake != Wake::Stop && !self.refresh(wake) {
                wake = watch.wait();
                // Nothing has changed for a while: what was in force before is not needed by any request.
                if wake == Wake::Look && std::mem::take(&mut self.is_untrimmed) {
                    memory::trim();
                }
            }
            if wake == Wake::Stop {
                return;
            }
        }
    }

    /// Reads what changed. True if there may be other directories to watch.
    fn refresh(&mut self, wake: Wake) -> bool {
        let refreshed = catch_unwind(AssertUnwindSafe(|| {
            let mut refreshed = false;
            for files in &mut self.files {
                refreshed |= files.refresh();
            }
            let reading = self.source.read(wake).unwrap_or_else(|error| {
                tracing::error!("what is in force stays: {error:#}");
                Reading::default()
            });
            let looked = reading.looked;
            self.put_in_force(reading);
            refreshed || looked
        }));
        refreshed.unwrap_or_else(|_| {
            self.metrics.panics.inc();
            tracing::error!("reading the policies panicked; what is in force stays");
            false
        })
    }

    /// Compiles what was read; what was not keeps its version. Then the new generation is in force. Nothing is
    /// before the first policies were read.
    fn put_in_force(&mut self, Reading { policies, versions, accepted, facts, .. }: Reading) {
        let (policies, versions) = match policies {
            None => self.waiting.take().unzip(),
            policies => (policies, Some(versions)),
        };
        if policies.is_none() && facts.is_none() {
            return;
        }
        let begin = Instant::now();
        let current = self.live.current();
        let old = current.as_ref();
        let mut facts = facts;
        let (set, versions) = match (policies, old) {
            (Some(sources), old) => {
                let before =
                    old.is_none().then(|| PolicySet::restore(&accepted, &sources.controller_namespace));
                let before = old.map(|old| old.set.as_ref()).or(before.as_ref());
                let sources = Sources { modules: Some(Arc::clone(&self.modules)), ..sources };
                let set = PolicySet::compile(&sources, before);
                facts = self.source.prepare(&set).or(facts);
                let versions = versions.unwrap_or_default();
                self.waiting = set.is_pending().then(|| (sources, versions.clone()));
                self.is_untrimmed = true;
                (Arc::new(set), versions.into())
            }
            (None, Some(old)) => (Arc::clone(&old.set), Arc::clone(&old.versions)),
            (None, None) => return,
        };
        let (facts, resource_problems) = match (facts, old) {
            (Some(ReadFacts { facts, problems }), _) => {
                self.metrics.hold(&facts);
                (Arc::new(facts), problems)
            }
            (None, Some(old)) => (Arc::clone(&old.facts), old.resource_problems.clone()),
            (None, None) => (Arc::new(Facts::new(true)), Vec::new()),
        };
        let number = old.map_or(1, |old| old.number + 1);
        let verdicts = match old {
            Some(old) => self.metrics.load(&set, &old.verdicts),
            None => self.metrics.load(&set, &VerdictCounters::default()),
        };
        let since = Timestamp::now();
        let generation =
            Arc::new(Generation { number, set, facts, versions, resource_problems, since, verdicts });
        self.live.swap(Arc::clone(&generation));
        self.report(&generation, old, begin);
        if number == 1 {
            tracing::info!("ready");
        }
    }

    /// Says what became of what was read, and what is new of that: facts may change many times in a second.
    fn report(&self, generation: &Generation, old: Option<&Arc<Generation>>, begin: Instant) {
        let Generation { number, set, resource_problems, since, .. } = generation;
        let old = old.map(|old| (&old.set, old.resource_problems.as_slice()));
        let same_set = old.is_some_and(|(old, _)| Arc::ptr_eq(old, set));
        if !same_set {
            set.problems().iter().for_each(warn);
        }
        let old_problems = old.map(|(_, problems)| problems).unwrap_or_default();
        for problem in resource_problems.iter().filter(|problem| !old_problems.contains(problem)) {
            tracing::warn!("resources: {problem}");
        }
        let problems = set.problems().len() + resource_problems.len();
        let result = usize::from(problems > 0);
        if let (Some(count), Some(at)) =
            (self.metrics.reloads.get(result), self.metrics.reloaded_at.get(result))
        {
            count.inc();
            at.set(since.as_duration().as_secs_f64());
        }
        self.metrics.generation.set(i64::try_from(*number).unwrap_or(i64::MAX));
        self.metrics.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
        if same_set {
            return;
        }
        let count = |state: State| set.entries().iter().filter(|entry| entry.state == state).count();
        tracing::info!(
            generation = number,
            loaded = count(State::Loaded),
            kept_old = count(State::KeptOld),
            broken = count(State::Broken),
            pending = count(State::Pending),
            shadowed = set.shadowed().len(),
            problems,
            millis = begin.elapsed().as_millis(),
            "policies in force"
        );
    }
}

fn warn(problem: &DocumentError) {
    let position = problem.file_position.or(problem.place.as_ref().map(|place| place.position));
    tracing::warn!(
        policy = problem.name.as_deref(),
        file = problem.origin.file.as_deref(),
        config_map = problem.origin.config_map,
        key = problem.origin.key,
        field = problem.place.as_ref().map(|place| place.field.as_str()),
        line = position.map(|position| position.line),
        column = position.map(|position| position.column),
        hint = problem.hint.as_deref(),
        "{}",
        problem.message
    );
}
