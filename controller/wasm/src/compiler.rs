//! Compiles modules in another process, which may take only so much memory and time: a module of 70 KB can keep a
//! compiler busy for ten seconds and a gigabyte.

use crate::abi::{self, refusal};
use crate::delivery::MAX_MODULE;
use crate::engine;
use portcullis_core::module::Refusal;
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wasmtime::Module;

/// Address space of the process that compiles, in bytes.
const MEMORY: u64 = 512 << 20;
/// Processor time of it. A build that is not optimised, as in tests, is given more: of a module in Go it takes 4.9 s.
const SECONDS: u64 = if cfg!(debug_assertions) { 20 } else { 5 };
/// Time on the clock: it may have to share the processor.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 30 });
/// What it may put out, in bytes; machine code is several times its module.
const MAX_OUTPUT: u64 = 256 << 20;
/// What it may say of an error, in bytes.
const MAX_COMPLAINT: u64 = 1 << 10;
/// How far it steps back for others.
const NICENESS: i32 = 10;
/// The first to go when memory runs out.
const OOM_SCORE: &str = "1000";
/// How often it is looked after.
const TICK: Duration = Duration::from_millis(2);

/// The program that compiles, once for each module: it calls [`compile_here`].
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// Compiles a module from standard input to standard output, within limits that this process cannot leave again.
///
/// # Errors
/// The module does not compile, for this reason, or cannot be read or written.
pub fn compile_here() -> Result<(), String> {
    limit_this_process().map_err(|error| format!("the compiler cannot be limited: {error}"))?;
    let mut module = Vec::new();
    let read = io::stdin().lock().take(MAX_MODULE as u64 + 1).read_to_end(&mut module);
    read.map_err(|error| format!("the module cannot be read: {error}"))?;
    let compiled = compile(&module)?;
    let mut output = io::stdout().lock();
    output.write_all(&compiled).and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// Compiles a module, unless an instance of it could not be run anyway.
pub(crate) fn compile(module: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: wasmtime::Error| format!("the module cannot be compiled: {}", innermost(&error));
    let engine = engine::compiling().map_err(failed)?;
    let module = Module::from_binary(&engine, module).map_err(failed)?;
    abi::check_resources(&module).map_err(|refusal| refusal.message)?;
    module.serialize().map_err(failed)
}

/// What is behind a chain of errors: the outer ones say no more than that something failed.
fn innermost(error: &wasmtime::Error) -> String {
    error.chain().last().map(ToString::to_string).unwrap_or_default()
}

fn limit_this_process() -> io::Result<()> {
    // Nobody waits for it any more once its parent is gone.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Requests and policies without modules go first. Neither this nor what follows is a reason not to compile.
    let _ = nice(NICENESS);
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let limits = [
        (Resource::As, MEMORY, MEMORY),
        // At the first a signal says why, at the second it is over.
        (Resource::Cpu, SECONDS, SECONDS + 1),
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
    ];
    for (resource, current, maximum) in limits {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?;
    }
    Ok(())
}

/// Why there is nothing compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The module is to blame.
    Refused(Vec<Refusal>),
    /// Something else is: the next attempt may succeed.
    Passing(Refusal),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

/// How a compilation ended.
struct Ended {
    status: ExitStatus,
    output: Vec<u8>,
    complaint: String,
    /// Whether it was stopped for taking too long.
    late: bool,
}

impl Compiler {
    /// A program that compiles when it is started with these arguments.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Compiles a module to what [`wasmtime::Module::deserialize`] reads.
    pub(crate) fn compile(&self, module: &[u8]) -> Result<Vec<u8>, Failed> {
        let ended = self.run(module).map_err(|error| {
            let message = format!("the module cannot be compiled: the compiler cannot be run: {error}");
            Failed::Passing(refusal(message, None))
        })?;
        if ended.status.success() && !ended.output.is_empty() {
            return Ok(ended.output);
        }
        Err(ended.failed())
    }

    fn run(&self, module: &[u8]) -> io::Result<Ended> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (input, output, complaint) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(move || {
                // Whatever ends it early says why in another way.
                let _ = input.map(|mut input| input.write_all(module));
            });
            let output = scope.spawn(move || read(output, MAX_OUTPUT));
            let complaint = scope.spawn(move || read(complaint, MAX_COMPLAINT));
            let (status, late) = wait(&mut child)?;
            let complaint = complaint.join().unwrap_or_default();
            Ok(Ended {
                status,
                output: output.join().unwrap_or_default(),
                complaint: String::from_utf8_lossy(&complaint).trim().to_owned(),
                late,
            })
        })
    }
}

fn read(from: Option<impl Read>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What is missing shows in what there is.
    let _ = from.map(|from| from.take(limit).read_to_end(&mut bytes));
    bytes
}

/// Waits for the end, for a while; then brings it about.
fn wait(child: &mut Child) -> io::Result<(ExitStatus, bool)> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if Instant::now() >= until {
            child.kill()?;
            return Ok((child.wait()?, true));
        }
        thread::sleep(TICK);
    }
}

impl Ended {
    fn failed(self) -> Failed {
        let signal = self.status.signal();
        let is = |one: Signal| signal == Some(one.as_raw());
        let (too_long, too_large) = (is(Signal::XCPU), is(Signal::ABORT));
        let hint = (too_long || too_large).then_some("make it smaller, or write it as several policies");
        if too_long {
            return refusal(format!("the module takes more than {SECONDS} s to compile"), hint).into();
        }
        if too_large {
            let message =
                format!("the module takes too much memory to compile; {} MiB at most", MEMORY >> 20);
            return refusal(message, hint).into();
        }
        // The processor was busy with something else, or its memory was full, as the kernel kills then.
        let passing = |message| Failed::Passing(refusal(message, None));
        if self.late {
            let seconds = PATIENCE.as_secs();
            return passing(format!(
                "the module cannot be compiled: the compiler did not end in {seconds} s"
            ));
        }
        match signal {
            Some(signal) => {
                passing(format!("the module cannot be compiled: the compiler ended by signal {signal}"))
            }
            None => refusal(self.complaint, None).into(),
        }
    }
}
