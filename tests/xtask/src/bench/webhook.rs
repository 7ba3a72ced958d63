//! `cargo xtask bench webhook`: the binary with 25 typical policies against a no-op of the same stack.

use super::affinity::{self, Processors};
use super::{baseline, process};
use crate::load::{self, Question, quantile};
use crate::served::Served;
use crate::workspace::{build_portcullis, root};
use anyhow::{Context, Result, ensure};
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Measure `serve` with 25 typical policies against a no-op handler of the same stack
///
/// Servers share one processor, the load generator has another. Servers take turns in every round; what is
/// printed are medians over the rounds. Fails if any answer is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds, in each of which every server is measured once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of load on a server in a round
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Starts, from which the time to the first right answer is taken
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,
    /// The policies
    #[arg(long, value_name = "DIR", default_value = "tests/bench/policies")]
    policies: PathBuf,
}

/// Connections that load a server to its limit.
const BUSY: usize = 16;
/// Load before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// A server under measurement, and what was measured of it in each round.
struct Contender {
    name: &'static str,
    server: Served,
    question: Question,
    /// Processor time per request, at full load.
    cpu: Vec<Duration>,
    per_second: Vec<f64>,
    /// With one connection: nothing waits for anything else.
    p50: Vec<Duration>,
    p99: Vec<Duration>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = build_portcullis(true)?;
    let root = root()?;
    let processors = affinity::processors()?;
    affinity::stay_on(processors.load)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reviews = Reviews::read(&root.join("tests/reviews/pod-7kb.json"))?;
    let policies = root.join(&args.policies);

    let mut contenders = vec![
        no_op("no-op", false, &reviews, processors)?,
        no_op("no-op + serde_json::Value", true, &reviews, processors)?,
        portcullis(&program, &policies, &reviews, processors, &runtime)?,
    ];
    println!(
        "{} rounds of {} s, {BUSY} connections, review of {} bytes, server on processor {}, load on {}\n",
        args.rounds,
        args.seconds,
        reviews.good.len(),
        processors.server,
        processors.load
    );
    for contender in &contenders {
        runtime.block_on(load::apply(&contender.server.webhook, &contender.question, BUSY, WARM_UP))?;
    }
    for _ in 0..args.rounds {
        for contender in &mut contenders {
            runtime.block_on(contender.measure(Duration::from_secs(args.seconds)))?;
        }
    }
    print_load(&contenders)?;
    drop(contenders);

    println!();
    for (name, policies) in [("25 policies", &policies), ("the library", &root.join("policies"))] {
        let mut starts = Starts::default();
        for _ in 0..args.starts {
            starts.add(&program, policies, &reviews, processors, &runtime)?;
        }
        starts.print(name);
    }
    Ok(ExitCode::SUCCESS)
}

/// The review that is sent, which every policy allows, and one that many deny.
struct Reviews {
    good: Bytes,
    bad: Bytes,
    uid: Value,
}

impl Reviews {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut review: Value = serde_json::from_slice(&text)?;
        let uid = review["request"]["uid"].clone();
        let spec = &mut review["request"]["object"]["spec"];
        spec["hostNetwork"] = json!(true);
        spec["containers"][0]["image"] = json!("evil.example/miner:latest");
        spec["containers"][0]["securityContext"] = json!({"privileged": true});
        let bad = serde_json::to_vec(&review)?.into();
        Ok(Self { good: text.into(), bad, uid })
    }
}

fn no_op(name: &'static str, decode: bool, reviews: &Reviews, processors: Processors) -> Result<Contender> {
    let mut command = Command::new(std::env::current_exe().context("cannot tell who we are")?);
    command.arg("baseline").args(decode.then_some("--decode"));
    let server = processors.on_server(|| Served::start(command))?;
    let answer = Bytes::from_static(baseline::ANSWER);
    Ok(Contender::new(name, server, Question { path: "/validate", body: reviews.good.clone(), answer }))
}

fn portcullis(
    program: &Path,
    policies: &Path,
    reviews: &Reviews,
    processors: Processors,
    runtime: &Runtime,
) -> Result<Contender> {
    let server = processors.on_server(|| Served::portcullis(program, &[policies], &[]))?;
    let answer = runtime.block_on(right_answer(&server, &reviews.good))?;
    let response = &serde_json::from_slice::<Value>(&answer)?["response"];
    ensure!(
        response["allowed"] == true && response["uid"] == reviews.uid && response["warnings"].is_null(),
        "the good review must be allowed without a warning, was answered {response}"
    );
    let bad = runtime.block_on(right_answer(&server, &reviews.bad))?;
    let response = &serde_json::from_slice::<Value>(&bad)?["response"];
    ensure!(response["allowed"] == false, "the bad review must be denied, was answered {response}");
    let question = Question { path: "/validate", body: reviews.good.clone(), answer };
    Ok(Contender::new("portcullis, 25 policies", server, question))
}

/// The answer once the policies are in force.
async fn right_answer(server: &Served, review: &Bytes) -> Result<Bytes> {
    server.ready().await?;
    let reply = server.webhook.connect().await?.post("/validate", review.clone()).await?;
    ensure!(reply.status.is_success(), "HTTP {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
    Ok(reply.body)
}

impl Contender {
    fn new(name: &'static str, server: Served, question: Question) -> Self {
        let (cpu, per_second, p50, p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, server, question, cpu, per_second, p50, p99 }
    }

    async fn measure(&mut self, time: Duration) -> Result<()> {
        let alone = load::apply(&self.server.webhook, &self.question, 1, time / 2).await?;
        self.p50.push(alone.quantile(0.5));
        self.p99.push(alone.quantile(0.99));
        let before = process::cpu_time(self.server.pid())?;
        let full = load::apply(&self.server.webhook, &self.question, BUSY, time).await?;
        let spent = process::cpu_time(self.server.pid())? - before;
        let requests = u32::try_from(full.latencies.len()).context("too many requests")?;
        self.cpu.push(spent / requests.max(1));
        self.per_second.push(full.per_second());
        Ok(())
    }
}

fn print_load(contenders: &[Contender]) -> Result<()> {
    println!(
        "{:<28} {:>14} {:>7} {:>11} {:>9} {:>9} {:>12}",
        "", "CPU µs/request", "ratio", "requests/s", "p50 µs", "p99 µs", "resident MB"
    );
    let limit = contenders.first().map(|no_op| micros(median(&no_op.cpu))).unwrap_or_default();
    for contender in contenders {
        let cpu = micros(median(&contender.cpu));
        let mut per_second = contender.per_second.clone();
        per_second.sort_by(f64::total_cmp);
        println!(
            "{:<28} {cpu:>14.1} {:>6.1}x {:>11.0} {:>9.0} {:>9.0} {:>12.1}",
            contender.name,
            cpu / limit,
            per_second.get(per_second.len() / 2).copied().unwrap_or_default(),
            micros(median(&contender.p50)),
            micros(median(&contender.p99)),
            megabytes(process::resident(contender.server.pid())?),
        );
    }
    println!("\nCPU, ratio and requests/s at full load; p50 and p99 with one connection at a time.");
    Ok(())
}

/// Starts of the webhook: time from the process's start to its first right answer, and its size then.
#[derive(Default)]
struct Starts {
    times: Vec<Duration>,
    resident: Vec<u64>,
}

impl Starts {
    fn add(
        &mut self,
        program: &Path,
        policies: &Path,
        reviews: &Reviews,
        processors: Processors,
        runtime: &Runtime,
    ) -> Result<()> {
        let start = Instant::now();
        let server = processors.on_server(|| Served::portcullis(program, &[policies], &[]))?;
        let time = runtime.block_on(first_denial(&server, reviews, start))?;
        self.times.push(time);
        self.resident.push(process::resident(server.pid())?);
        Ok(())
    }

    fn print(&self, policies: &str) {
        let mut times = self.times.clone();
        times.sort_unstable();
        let mut resident = self.resident.clone();
        resident.sort_unstable();
        println!(
            "{:<28} first right answer {:.0} ms after start (slowest {:.0} ms), then {:.1} MB resident",
            format!("start with {policies}"),
            micros(median(&times)) / 1_000.0,
            micros(quantile(&times, 1.0)) / 1_000.0,
            megabytes(resident.get(resident.len() / 2).copied().unwrap_or_default()),
        );
    }
}

/// How long after `start` the bad review is denied by policies (rather than because there are none yet).
async fn first_denial(server: &Served, reviews: &Reviews, start: Instant) -> Result<Duration> {
    let deadline = start + Duration::from_secs(30);
    let mut connection = server.webhook.connect().await?;
    while Instant::now() < deadline {
        let reply = connection.post("/validate", reviews.bad.clone()).await?;
        let response = &serde_json::from_slice::<Value>(&reply.body)?["response"];
        if response["allowed"] == false && response["status"]["code"] == 422 {
            return Ok(start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    anyhow::bail!("no denial by a policy after 30 s:\n{}", server.log().join("\n"))
}

fn median(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    quantile(&sorted, 0.5)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
