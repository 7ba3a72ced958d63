//! `cargo xtask swap`: a policy directory edited under load. No request fails, none sees half an edit, and a
//! broken edit leaves the version before it in force and says so.

mod edits;
mod load;

use crate::load::quantile;
use crate::served::Served;
use crate::test::Tally;
use crate::workspace::build_portcullis;
use anyhow::{Context, Result, bail, ensure};
use edits::{Edit, Layout, Policies};
use load::{Asked, Load};
use portcullis::client::Client;
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Edit policies under load: nothing fails, nothing is seen by halves
///
/// Two policies, in two ConfigMaps in two files, put a version into every answer, by a warning and by an audit
/// annotation. Edits replace both at once by a symlink swap, rewrite a file in place in pieces, or break a
/// policy. All of it is done twice: in a directory that a symlink replaces, and in one laid out as a kubelet
/// mounts ConfigMaps.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to edit each of the two directories, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How many edits to make in that time
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    edits: u32,
}

/// Requests per second while edits go on.
const RATE: u32 = 200;
/// An edit must be seen, and a broken one reported, within this time.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tally = check(args)?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A short run, for `cargo xtask test`.
pub(crate) fn check_briefly() -> Result<Tally> {
    check(&Args { seconds: 4, edits: 24 })
}

fn check(args: &Args) -> Result<Tally> {
    let program = build_portcullis(false)?;
    let mut tally = Tally::default();
    for layout in [Layout::Linked, Layout::Mounted] {
        println!("{}", layout.title());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let result = runtime.block_on(edit_under_load(&program, layout, args));
        match &result {
            Ok(report) => report.print(),
            Err(error) => println!("  error: {error:#}"),
        }
        tally += Tally::one(result.is_ok_and(|report| report.failures.is_empty()));
    }
    Ok(tally)
}

/// What came of one directory.
struct Report {
    edits: u32,
    asked: Asked,
    /// From a swap to the first answer with its version, sorted.
    effects: Vec<Duration>,
    /// From a broken edit to its report, sorted.
    reports: Vec<Duration>,
    failures: Vec<String>,
}

async fn edit_under_load(program: &Path, layout: Layout, args: &Args) -> Result<Report> {
    let mut policies = Policies::create(layout)?;
    let server = Served::portcullis(program, &[policies.directory()], &["--threads", "2"])?;
    server.ready().await?;
    let load = Load::start(&server.webhook, RATE).await?;
    let watcher = Watcher { server: &server, ops: server.ops.as_ref().context("no operator's port")? };
    let (mut effects, mut reports, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let pause = Duration::from_secs(args.seconds) / args.edits;
    let begin = Instant::now();
    for number in 0..args.edits {
        tokio::time::sleep(pause.saturating_mul(number).saturating_sub(begin.elapsed())).await;
        let edit = Edit::of(number);
        let result = match edit {
            Edit::Swap => watcher.swap(&mut policies).await.map(|time| effects.push(time)),
            Edit::InPlace => policies.rewrite_in_place().await,
            Edit::Break => watcher.broken(&mut policies).await.map(|time| reports.push(time)),
        };
        if let Err(error) = result {
            failures.push(format!("edit {number} ({edit:?}): {error:#}"));
        }
    }
    let asked = load.stop().await;
    failures.extend(asked.failures.iter().cloned());
    effects.sort_unstable();
    reports.sort_unstable();
    Ok(Report { edits: args.edits, asked, effects, reports, failures })
}

/// Waits for what edits lead to.
struct Watcher<'a> {
    server: &'a Served,
    ops: &'a Client,
}

impl Watcher<'_> {
    /// Swaps to the next version; the time until an answer has it.
    async fn swap(&self, policies: &mut Policies) -> Result<Duration> {
        let mut connection = self.server.webhook.connect().await?;
        let version = policies.swap()?;
        let edited = Instant::now();
        while edited.elapsed() < PATIENCE {
            if load::ask(&mut connection).await? == version {
                return Ok(edited.elapsed());
            }
        }
        bail!("version {version} is not in force after {} s", PATIENCE.as_secs())
    }

    /// Breaks a policy; the time until `/policies` reports it. The version before must still be in force, the
    /// log and the metrics must tell, and mending it must take the report back.
    async fn broken(&self, policies: &mut Policies) -> Result<Duration> {
        let logged = self.server.log().len();
        let version = policies.break_one()?;
        let edited = Instant::now();
        self.until(|state| state.kept_old && state.metric > 0, "broken edit").await?;
        let reported = edited.elapsed();
        let seen = load::ask(&mut self.server.webhook.connect().await?).await?;
        ensure!(seen == version, "version {version} must stay in force, was {seen}");
        ensure!(
            self.server
                .log()
                .iter()
                .skip(logged)
                .any(|line| line.contains("\"WARN\"") && line.contains("swap-one")),
            "the log does not name the broken policy"
        );
        policies.mend()?;
        self.until(|state| !state.kept_old && state.metric == 0, "mended edit").await?;
        Ok(reported)
    }

    async fn until(&self, holds: impl Fn(&State) -> bool, what: &str) -> Result<()> {
        let begin = Instant::now();
        let mut connection = self.ops.connect().await?;
        loop {
            let policies = connection.get("/policies").await?;
            let metrics = connection.get("/metrics").await?;
            let state = State::read(&policies.body, &metrics.body)?;
            if holds(&state) {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "a {what} is not reported: {state:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// What the operator's port says of the broken policy.
#[derive(Debug, PartialEq, Eq)]
struct State {
    /// `/policies` says that the version before is in force, and why.
    kept_old: bool,
    /// `portcullis_policies{state="kept-old"}`.
    metric: u64,
}

impl State {
    fn read(policies: &[u8], metrics: &[u8]) -> Result<Self> {
        let report: Value = serde_json::from_slice(policies).context("`/policies` is not JSON")?;
        let policies = report["policies"].as_array().into_iter().flatten();
        let kept_old = policies.filter(|policy| policy["name"] == edits::NAMES[0]).any(|policy| {
            policy["state"] == "kept-old" && !policy["errors"].as_array().is_none_or(Vec::is_empty)
        });
        let metrics = std::str::from_utf8(metrics).context("`/metrics` is not text")?;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("portcullis_policies{state=\"kept-old\"} "));
        let metric =
            line.and_then(|value| value.parse().ok()).context("`/metrics` does not count kept policies")?;
        Ok(Self { kept_old, metric })
    }
}

impl Report {
    fn print(&self) {
        let Asked { latencies, failed, .. } = &self.asked;
        let row = |what: &str, times: &[Duration]| {
            let millis = |share| quantile(times, share).as_secs_f64() * 1_000.0;
            println!(
                "  {what:<34} p50 {:>7.1} ms   p99 {:>7.1} ms   max {:>7.1} ms",
                millis(0.5),
                millis(0.99),
                millis(1.0)
            );
        };
        println!("  {} requests, {} edits, {} requests failed", latencies.len(), self.edits, failed);
        row("request → answer", latencies);
        row("edit → first answer with it", &self.effects);
        row("broken edit → reported", &self.reports);
        for failure in &self.failures {
            println!("  FAILED {failure}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn the_operators_port_is_read_for_the_broken_policy() {
        let check = |policies: &str, metrics: &str, kept_old, metric| {
            let state = State::read(policies.as_bytes(), metrics.as_bytes()).unwrap();
            assert_eq!(state, State { kept_old, metric }, "{policies}");
        };
        let metrics =
            "# TYPE\nportcullis_policies{state=\"loaded\"} 2\nportcullis_policies{state=\"kept-old\"} 1\n";
        check(
            r#"{"policies": [{"name": "swap-one", "state": "kept-old", "errors": ["e"]}]}"#,
            metrics,
            true,
            1,
        );
        check(r#"{"policies": [{"name": "swap-one", "state": "kept-old"}]}"#, metrics, false, 1);
        check(
            r#"{"policies": [{"name": "swap-two", "state": "kept-old", "errors": ["e"]}]}"#,
            metrics,
            false,
            1,
        );
        State::read(b"{}", b"").unwrap_err();
    }
}
