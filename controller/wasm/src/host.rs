//! Loads modules and keeps them: each is compiled once, however many policies use it.

use crate::abi::{self, refusal};
use crate::cache::Cache;
use crate::compiler::{Compiler, Failed};
use crate::delivery::{self, Digest};
use crate::engine;
use crate::instance::{Linked, Policy};
use crate::reply::SettingsError;
use crate::section;
use portcullis_core::module::{Loading, Modules, Refusal, Source};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};
use wasmtime::{Engine, Module};

/// Stack of the thread that loads: settings are validated on it.
const STACK: usize = 4 << 20;
/// What is loaded within such a time is told together: whoever hears of it looks at all policies anew.
const TOGETHER: Duration = Duration::from_millis(250);

/// After such a time what failed for a reason that passes is tried again; after twice as long if it does again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What whoever loads a module does until it is loaded.
pub enum Waiting {
    /// It waits.
    Blocks,
    /// It goes on without. A thread loads one module after the other, and calls this when some are loaded.
    Calls(Box<dyn Fn() + Send + Sync>),
}

/// Loads modules, and runs them.
pub struct Host {
    loader: Arc<Loader>,
    /// To the thread that loads, if there is one. It ends when this is dropped.
    queue: Option<Sender<Job>>,
}

/// What makes programs of modules.
struct Loader {
    compiler: Compiler,
    cache_directory: Option<PathBuf>,
    /// Made when the first module comes: it reserves memory for instances.
    runtime: Mutex<Option<Result<Arc<Runtime>, Refusal>>>,
    /// Compiled modules, as long as somebody uses them.
    modules: Mutex<HashMap<Digest, Weak<Module>>>,
    /// Locked while one is compiled, and nothing else with it: one at a time, and whoever has no module does not wait.
    compiling: Mutex<()>,
    programs: Mutex<HashMap<Key, Slot>>,
}

struct Runtime {
    engine: Engine,
    cache: Option<Cache>,
}

/// What tells programs apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    policy: String,
    delivered: Digest,
    sha256: Option<String>,
    settings: String,
    reads: Vec<String>,
    lookups: Vec<String>,
}

/// A module to be loaded.
struct Job {
    key: Key,
    parts: Vec<Arc<[u8]>>,
    /// How long to wait if it fails for a reason that passes.
    pause: Duration,
}

struct Slot {
    /// What came of it; `None` as long as nothing has.
    loaded: Option<Result<Loaded, Vec<Refusal>>>,
    /// Whether it was asked for since the last set was complete.
    wanted: bool,
}

#[derive(Clone)]
struct Loaded {
    program: Arc<Policy>,
    /// Kept, so that it is there for others.
    _module: Arc<Module>,
}

impl Host {
    /// A host whose modules are compiled by this program and, if there is a directory for them, kept there.
    ///
    /// # Errors
    /// The thread that loads cannot be started.
    pub fn new(
        compiler: Compiler,
        cache_directory: Option<PathBuf>,
        waiting: Waiting,
    ) -> std::io::Result<Self> {
        let loader = Arc::new(Loader {
            compiler,
            cache_directory,
            runtime: Mutex::default(),
            modules: Mutex::default(),
            compiling: Mutex::default(),
            programs: Mutex::default(),
        });
        let queue = match waiting {
            Waiting::Blocks => None,
            Waiting::Calls(call) => {
                let (queue, jobs) = channel();
                let at_work = Arc::clone(&loader);
                let work = move || at_work.work(&jobs, &call);
                Builder::new().name("modules".to_owned()).stack_size(STACK).spawn(work)?;
                Some(queue)
            }
        };
        Ok(Self { loader, queue })
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("programs", &lock(&self.loader.programs).len()).finish_non_exhaustive()
    }
}

/// What is in a poisoned lock is whole: it is changed by single insertions.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Modules for Host {
    fn load(&self, source: &Source<'_>) -> Loading {
        let key = Key {
            policy: source.policy.to_owned(),
            delivered: delivery::fingerprint(source.parts),
            sha256: source.sha256.map(str::to_owned),
            settings: source.settings.to_string(),
            reads: source.reads.iter().map(ToString::to_string).collect(),
            lookups: source.lookups.iter().map(ToString::to_string).collect(),
        };
        if let Some(slot) = lock(&self.loader.programs).get_mut(&key) {
            slot.wanted = true;
            return match &slot.loaded {
                None => Loading::Pending,
                Some(loaded) => loading(loaded.clone()),
            };
        }
        let parts = source.parts.to_vec();
        lock(&self.loader.programs).insert(key.clone(), Slot { loaded: None, wanted: true });
        match &self.queue {
            None => {
                let loaded = refused(self.loader.load(&key, &parts));
                self.loader.put(&key, loaded.clone());
                loading(loaded)
            }
            Some(queue) => match queue.send(Job { key, parts, pause: FIRST_PAUSE }) {
                Ok(()) => Loading::Pending,
                Err(error) => {
                    lock(&self.loader.programs).remove(&error.0.key);
                    Loading::Refused(vec![refusal("the thread that loads modules has ended", None)])
                }
            },
        }
    }

    fn settle(&self) {
        lock(&self.loader.programs).retain(|_, slot| std::mem::replace(&mut slot.wanted, false));
        lock(&self.loader.modules).retain(|_, module| module.strong_count() > 0);
    }
}

fn loading(loaded: Result<Loaded, Vec<Refusal>>) -> Loading {
    match loaded {
        Ok(loaded) => Loading::Ready(loaded.program),
        Err(refusals) => Loading::Refused(refusals),
    }
}

/// For whom nothing is tried again.
fn refused(loaded: Result<Loaded, Failed>) -> Result<Loaded, Vec<Refusal>> {
    loaded.map_err(|failed| match failed {
        Failed::Refused(refusals) => refusals,
        Failed::Passing(refusal) => vec![refusal],
    })
}

/// Loads, and refuses what makes that panic: a defect of ours must not keep other modules from being loaded.
fn guarded(load: impl FnOnce() -> Result<Loaded, Failed>) -> Result<Loaded, Failed> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
        let hint = "this is a defect of the controller; its log says more";
        Err(refusal("loading the module failed", Some(hint)).into())
    })
}

/// The next job: one that has come, or one that is to be tried again when it is time. None once nobody sends any.
fn await_job(jobs: &Receiver<Job>, later: &mut Vec<(Instant, Job)>) -> Option<Job> {
    let first = later.iter().enumerate().min_by_key(|(_, (when, _))| *when);
    let Some((index, when)) = first.map(|(index, (when, _))| (index, *when)) else { return jobs.recv().ok() };
    match jobs.recv_timeout(when.saturating_duration_since(Instant::now())) {
        Ok(job) => Some(job),
        Err(RecvTimeoutError::Timeout) => Some(later.swap_remove(index).1),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

impl Loader {
    /// Loads one module after the other. Who waits for many is called every now and then, and after the last.
    fn work(&self, jobs: &Receiver<Job>, call: &(dyn Fn() + Send + Sync)) {
        // What is to be tried again, and when.
        let mut later: Vec<(Instant, Job)> = Vec::new();
        let mut next = await_job(jobs, &mut later);
        let (mut called, mut untold) = (Instant::now(), false);
        while let Some(job) = next {
            // Nobody may want it any more.
            if lock(&self.programs).contains_key(&job.key) {
                match guarded(|| self.load(&job.key, &job.parts)) {
                    Err(Failed::Passing(Refusal { message, .. })) => {
                        let (policy, seconds) = (&job.key.policy, job.pause.as_secs());
                        tracing::warn!(policy, seconds, "a module is loaded again in a while: {message}");
                        let pause = (job.pause * 2).min(LONGEST_PAUSE);
                        later.push((Instant::now() + job.pause, Job { pause, ..job }));
                    }
                    loaded => {
                        self.put(&job.key, refused(loaded));
                        untold = true;
                    }
                }
            }
            next = jobs.try_recv().ok();
            if untold && (next.is_none() || called.elapsed() >= TOGETHER) {
                call();
                (called, untold) = (Instant::now(), false);
            }
            next = next.or_else(|| await_job(jobs, &mut later));
        }
    }

    fn put(&self, key: &Key, loaded: Result<Loaded, Vec<Refusal>>) {
        if let Some(slot) = lock(&self.programs).get_mut(key) {
            slot.loaded = Some(loaded);
        }
    }

    fn load(&self, key: &Key, parts: &[Arc<[u8]>]) -> Result<Loaded, Failed> {
        let runtime = self.runtime()?;
        let module = delivery::unpack(parts)?;
        let digest = delivery::sha256(&module);
        delivery::compare(&digest, key.sha256.as_deref())?;
        abi::check_header(&module)?;
        let stated = section::read(&module)?;
        let missing = stated.map(|stated| section::missing(&stated, &key.reads, &key.lookups));
        if let Some(missing) = missing.filter(|missing| !missing.is_empty()) {
            return Err(Failed::Refused(missing));
        }
        let module = self.module(&runtime, &module, &digest)?;
        let program =
            program(&runtime.engine, &module, &key.policy, &key.settings).map_err(Failed::Refused)?;
        Ok(Loaded { program: Arc::new(program), _module: module })
    }

    fn runtime(&self) -> Result<Arc<Runtime>, Refusal> {
        let make = || {
            let engine = engine::running().map_err(|error| {
                let hint = "is there a limit on address space? instances reserve 4 GiB each";
                refusal(format!("modules cannot be run here: {error}"), Some(hint))
            })?;
            let open = |directory: &PathBuf| match Cache::open(directory, engine::compatibility(&engine)) {
                Ok(cache) => Some(cache),
                Err(error) => {
                    let directory = directory.display();
                    tracing::warn!(%directory, "compiled modules are not kept: {error}");
                    None
                }
            };
            let cache = self.cache_directory.as_ref().and_then(open);
            Ok(Arc::new(Runtime { engine, cache }))
        };
        lock(&self.runtime).get_or_insert_with(make).clone()
    }

    /// A module that was compiled before, or is now.
    fn module(&self, runtime: &Runtime, bytes: &[u8], digest: &Digest) -> Result<Arc<Module>, Failed> {
        let _alone = lock(&self.compiling);
        if let Some(module) = lock(&self.modules).get(digest).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let kept = runtime.cache.as_ref().and_then(|cache| cache.get(digest));
        let kept = kept.and_then(|compiled| deserialize(&runtime.engine, &compiled).ok());
        let module = match kept {
            Some(module) => module,
            None => {
                let compiled = self.compiler.compile(bytes)?;
                let module =
                    deserialize(&runtime.engine, &compiled).map_err(|error| abi::unusable(&error))?;
                if let Some(Err(error)) = runtime.cache.as_ref().map(|cache| cache.put(digest, &compiled)) {
                    tracing::warn!("a compiled module is not kept: {error}");
                }
                module
            }
        };
        let module = Arc::new(module);
        lock(&self.modules).insert(*digest, Arc::downgrade(&module));
        Ok(module)
    }
}

/// A module with a policy's settings, or all that is wrong with the one or the others.
pub(crate) fn program(
    engine: &Engine,
    module: &Module,
    policy: &str,
    settings: &str,
) -> Result<Policy, Vec<Refusal>> {
    let linked = Linked::new(engine, module)?;
    let program = Policy::new(policy, linked, settings.to_owned());
    let errors = program.check_settings().map_err(|message| vec![refusal(message, None)])?;
    if errors.is_empty() { Ok(program) } else { Err(errors.into_iter().map(of_settings).collect()) }
}

#[expect(unsafe_code, reason = "wasmtime cannot tell whether machine code is what its compiler wrote")]
pub(crate) fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: these bytes are what the same program wrote when it compiled: to a pipe that nobody else has an end of,
    // or to a file in a directory that only the same user may enter, whose digest was compared. Never what a ConfigMap
    // holds.
    unsafe { Module::deserialize(engine, compiled) }
}

fn of_settings(SettingsError { path, message }: SettingsError) -> Refusal {
    let field = match path.as_str() {
        "" => "settings".to_owned(),
        path if path.starts_with('[') => format!("settings{path}"),
        path => format!("settings.{path}"),
    };
    Refusal { field, message: crate::reply::line(&message), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn nobody_waits_for_a_module_that_is_being_compiled() {
        // Longer than what follows takes; then it is refused.
        let compiler = Compiler::new("/bin/sleep", ["20"]);
        let host = Host::new(compiler, None, Waiting::Calls(Box::new(|| {}))).unwrap();
        let parts = [Arc::from(*b"\0asm\x01\0\0\0")];
        let source = Source {
            policy: "p",
            parts: &parts,
            sha256: None,
            settings: &json!({}),
            reads: &[],
            lookups: &[],
        };
        for _ in 0..100 {
            assert!(matches!(host.load(&source), Loading::Pending));
            host.settle();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    #[test]
    fn what_fails_for_a_reason_that_passes_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("compiler");
        let (told, hears) = channel();
        let call = Waiting::Calls(Box::new(move || told.send(()).unwrap()));
        let host = Host::new(Compiler::new(&program, ["1"]), None, call).unwrap();
        let parts = [Arc::from(*b"\0asm\x01\0\0\0")];
        let source = Source {
            policy: "p",
            parts: &parts,
            sha256: None,
            settings: &json!({}),
            reads: &[],
            lookups: &[],
        };
        assert!(matches!(host.load(&source), Loading::Pending));
        assert!(hears.recv_timeout(Duration::from_millis(200)).is_err(), "there is no compiler yet");
        assert!(matches!(host.load(&source), Loading::Pending));
        // It says nothing, which is an answer.
        std::os::unix::fs::symlink("/bin/false", &program).unwrap();
        hears.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(matches!(host.load(&source), Loading::Refused(_)));
    }

    #[test]
    fn a_panic_is_a_refusal() {
        let failed = guarded(|| panic!("a defect")).err();
        assert!(matches!(failed, Some(Failed::Refused(refusals)) if refusals.len() == 1));
    }
}
