//! `cargo xtask cluster-test`: the controller in a real control plane, driven by the real kubectl and Helm.
//!
//! `components` finds or builds the programs, `servers` runs them, `access` holds keys and kubeconfigs,
//! `children` sees to it that nothing outlives us, `proxy` breaks connections, `pressure` asks while something breaks,
//! `world` is what one test works in, and `sentences` are the tests.

mod access;
mod children;
mod components;
pub(crate) mod manifests;
mod pressure;
mod proxy;
mod sentences;
mod servers;
mod world;

use crate::test::Tally;
use crate::workspace::build_portcullis;
use anyhow::{Result, anyhow, ensure};
pub(crate) use components::Minor;
use servers::Cluster;
use std::any::Any;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use world::World;

/// Run the tests that need a cluster, on a real API server, controller manager and etcd
///
/// They are taken from KUBEBUILDER_ASSETS, as envtest has it, or built with Go, once, into the user's cache.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose sentence holds this
    filter: Option<String>,
    /// Leave the servers running after the tests, until Enter is pressed
    #[arg(long)]
    keep: bool,
    /// On the oldest Kubernetes that the chart supports
    #[arg(long)]
    oldest: bool,
    /// Only list the tests
    #[arg(long)]
    list: bool,
}

/// A test, named by what it shows.
pub(crate) struct Sentence {
    /// The function's name.
    name: &'static str,
    test: fn(&mut World<'_>) -> Result<()>,
    /// Whether it stops or breaks servers, and so runs on a cluster that no later test sees.
    breaks_servers: bool,
}

impl Sentence {
    fn text(&self) -> String {
        self.name.replace('_', " ")
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tally = check(args)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every test, for `cargo xtask test`.
pub(crate) fn check_all(minor: Minor) -> Result<Tally> {
    check(&Args { filter: None, keep: false, oldest: minor == Minor::Oldest, list: false })
}

fn check(args: &Args) -> Result<Tally> {
    let wanted = |sentence: &Sentence| {
        args.filter.as_deref().is_none_or(|filter| sentence.text().contains(&filter.replace('_', " ")))
    };
    let mut sentences: Vec<Sentence> = sentences::all().into_iter().filter(wanted).collect();
    // Those that break servers come last: each has them for itself and leaves none.
    sentences.sort_by_key(|sentence| sentence.breaks_servers);
    if args.list {
        sentences.iter().for_each(|sentence| println!("{}", sentence.text()));
        return Ok(Tally::default());
    }
    ensure!(
        !sentences.is_empty(),
        "no test's sentence holds `{}`",
        args.filter.as_deref().unwrap_or_default()
    );
    let minor = if args.oldest { Minor::Oldest } else { Minor::Newest };
    let program = build_portcullis(false)?;
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let mut cluster = None;
    for (number, sentence) in sentences.iter().enumerate() {
        let current = match cluster.take() {
            Some(cluster) => cluster,
            None => start(minor)?,
        };
        let kept = cluster.insert(current);
        let failure = judge(sentence, number, kept, &program)?;
        tally += Tally::one(failure.is_none());
        failures.extend(failure);
        if sentence.breaks_servers && !args.keep {
            cluster = None;
        }
    }
    // Once more at the end, where one looks first.
    failures.iter().for_each(|failure| println!("{failure}"));
    if let (true, Some(cluster)) = (args.keep, &cluster) {
        println!("export KUBECONFIG={}", cluster.access.kubeconfig("admin").display());
        println!("logs are in {}; Enter ends the servers", cluster.logs().display());
        let _ = std::io::stdin().read(&mut [0])?;
    }
    Ok(tally)
}

fn start(minor: Minor) -> Result<Cluster> {
    let begin = Instant::now();
    let cluster = Cluster::start(minor)?;
    println!("{:>7.1} s  the control plane is up", begin.elapsed().as_secs_f64());
    Ok(cluster)
}

/// Runs a test and says how it ended; where it failed, with the logs, and returns what is to be said of it.
fn judge(
    sentence: &Sentence,
    number: usize,
    cluster: &mut Cluster,
    program: &Path,
) -> Result<Option<String>> {
    let begin = Instant::now();
    let id = format!("t{number}");
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(cluster, program, &id);
        (sentence.test)(&mut world)
    }))
    .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", message(panic.as_ref()))));
    let seconds = begin.elapsed().as_secs_f64();
    let Err(error) = result else {
        println!("{seconds:>7.1} s  {}", sentence.text());
        return Ok(None);
    };
    let failure = format!("FAILED: {}\n{error:#}", sentence.text());
    println!("{seconds:>7.1} s  {failure}\n{}", cluster.tails(&id)?);
    println!("all logs are in {}", keep_logs(cluster)?);
    Ok(Some(failure))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Copies the logs to where they outlast the servers.
fn keep_logs(cluster: &Cluster) -> Result<String> {
    let kept = crate::workspace::root()?.join("target/cluster-test");
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(cluster.logs())? {
        let entry = entry?;
        fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    Ok(kept.display().to_string())
}
