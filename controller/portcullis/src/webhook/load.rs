//! The thread that reads policies, resources and certificates, at the start and whenever they change.
//!
//! Compiling takes its time and is not done where requests are answered.

use super::tls::CertificateFiles;
use crate::live::{Generation, Live};
use crate::metrics::{Metrics, VerdictCounters};
use crate::source::files::PolicyFiles;
use crate::source::resources::{ResourceFiles, Resources};
use crate::source::tree::Problem;
use crate::source::watch::{Stopper, Wake, Watch};
use anyhow::Context;
use jiff::Timestamp;
use portcullis_core::document::DocumentError;
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
    pub(super) policies: PolicyFiles,
    pub(super) resources: ResourceFiles,
    pub(super) certificate: CertificateFiles,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
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
    /// Starts the thread and waits until the first set is in force.
    ///
    /// # Errors
    /// No directory of policies can be read at all.
    pub(super) fn start(self) -> anyhow::Result<Loading> {
        let (watch, stopper) = Watch::new();
        let (send_first, first) = sync_channel(1);
        let run = move || self.run(watch, &send_first);
        let thread = Builder::new()
            .name("loader".to_owned())
            .stack_size(STACK)
            .spawn(run)
            .context("cannot start a thread")?;
        let loading = Loading { stopper: Some(stopper), thread: Some(thread) };
        let problem = first.recv().context("the first reading of the policies failed")?;
        match problem {
            None => Ok(loading),
            Some(Problem { path, message, .. }) => {
                anyhow::bail!("no policies can be read: `{path}`: {message}")
            }
        }
    }

    fn run(mut self, mut watch: Watch, first: &SyncSender<Option<Problem>>) {
        let sources = match self.policies.read() {
            Ok(sources) => sources.unwrap_or_default(),
            Err(problem) => return drop(first.send(Some(problem))),
        };
        let Resources { facts, problems } = self.resources.read();
        self.put_in_force(Some(&sources), Some((facts, problems)));
        if first.send(None).is_err() {
            return;
        }
        loop {
            let mut points = self.policies.points().clone();
            points.extend(self.resources.points());
            points.extend(self.certificate.points());
            watch.set(points);
            // What changed before it was watched makes no event: look once more before waiting.
            let mut wake = Wake::Look;
            while wake != Wake::Stop && !self.refresh(wake) {
                wake = watch.wait();
            }
            if wake == Wake::Stop {
                return;
            }
        }
    }

    /// Reads what changed. True if anything was read, so that there may be other directories to watch.
    fn refresh(&mut self, wake: Wake) -> bool {
        let refreshed = catch_unwind(AssertUnwindSafe(|| {
            let certificate = self.certificate.refresh();
            let policies = wake == Wake::Changed || self.policies.look_changed();
            let resources = self.resources.look_changed();
            // After the start a root that cannot be read is among the sources' failures.
            let sources = if policies { self.policies.read().ok().flatten() } else { None };
            let facts = resources.then(|| self.resources.read()).map(|read| (read.facts, read.problems));
            if sources.is_some() || facts.is_some() {
                self.put_in_force(sources.as_ref(), facts);
            }
            certificate || policies || resources
        }));
        refreshed.unwrap_or_else(|_| {
            self.metrics.panics.inc();
            tracing::error!("reading the policies panicked; what is in force stays");
            false
        })
    }

    /// Compiles what was read; what was not keeps its version. Then the new generation is in force.
    fn put_in_force(&mut self, sources: Option<&Sources>, facts: Option<(Facts, Vec<String>)>) {
        let begin = Instant::now();
        let current = self.live.current();
        let old = current.as_ref();
        let set = match (sources, old) {
            (None, Some(old)) => Arc::clone(&old.set),
            (sources, old) => {
                let none = Sources::default();
                let previous = old.map(|old| old.set.as_ref());
                Arc::new(PolicySet::compile(sources.unwrap_or(&none), previous))
            }
        };
        let (facts, resource_problems) = match (facts, old) {
            (Some((facts, problems)), _) => (Arc::new(facts), problems),
            (None, Some(old)) => (Arc::clone(&old.facts), old.resource_problems.clone()),
            (None, None) => (Arc::new(Facts::new(true)), Vec::new()),
        };
        let number = old.map_or(1, |old| old.number + 1);
        let verdicts = match old {
            Some(old) => self.metrics.load(&set, &old.verdicts),
            None => self.metrics.load(&set, &VerdictCounters::default()),
        };
        let since = Timestamp::now();
        let generation = Arc::new(Generation { number, set, facts, resource_problems, since, verdicts });
        self.live.swap(Arc::clone(&generation));
        self.report(&generation, begin);
    }

    fn report(&self, generation: &Generation, begin: Instant) {
        let Generation { number, set, resource_problems, since, .. } = generation;
        set.problems().iter().for_each(warn);
        for problem in resource_problems {
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
        let count = |state: State| set.entries().iter().filter(|entry| entry.state == state).count();
        tracing::info!(
            generation = number,
            loaded = count(State::Loaded),
            kept_old = count(State::KeptOld),
            broken = count(State::Broken),
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
