//! `portcullis demo`: the webhook on the library and a throw-away certificate, asked over real HTTPS.

mod samples;
mod show;

use super::inputs::{CONTROLLER_NAMESPACE, Judge, JudgeArgs};
use super::stop::Stop;
use crate::client::{Client, Connection};
use crate::exit::Exit;
use crate::manifests;
use crate::report::model::Report;
use crate::report::table::Paint;
use crate::terminal::{GlobalArgs, Hinted, write_out};
use crate::webhook::{Config, Running, Server, SourceConfig, certificate};
use anyhow::Context;
use clap::Args;
use portcullis_core::Request;
use portcullis_core::request::Operation;
use samples::Sample;
use show::Answer;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Directory of policies; those in `policies/` beside the reviews are added
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// Directory of AdmissionReviews, with a `demo.yaml` that says what must come back; what policies look up is in
    /// `resources/` beside it
    #[arg(long, value_name = "DIR", default_value = "tests/reviews")]
    reviews: PathBuf,
    /// Keep serving afterwards, and print a request to try
    #[arg(long)]
    keep: bool,
}

/// Starts the webhook, sends the samples and prints what came back.
///
/// # Errors
/// Where samples or policies are missing, or the webhook cannot be started or asked.
pub fn run(args: &DemoArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let samples = samples::read(&args.reviews)?;
    let policies = policies(args)?;
    let paint = Paint::new(global.color.enabled(std::io::stdout().is_terminal()));

    let start = Instant::now();
    let source = SourceConfig::Directories {
        policies: policies.clone(),
        resources: beside(&args.reviews, "resources").into_iter().collect(),
    };
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let running = Server::start(Config { listen: any_port, ops_listen: any_port, ..Config::new(source) })?;
    let ready = start.elapsed();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let surprises = runtime.block_on(ask_all(&running, &samples, &policies, ready, paint))?;
    drop(runtime);

    write_out(&show::audit(&audit(&samples, policies)?, paint))?;
    write_out(&show::summary(samples.len(), &surprises, paint))?;
    if args.keep {
        let stop = Stop::listen()?;
        write_out(&show::keep(&running, &args.reviews))?;
        running.serve_until(async {
            stop.told().await;
            Duration::ZERO
        });
    } else {
        running.shutdown();
    }
    Ok(if surprises.is_empty() { Exit::Clean } else { Exit::Failure })
}

/// The library, and the policies that the samples bring along.
fn policies(args: &DemoArgs) -> anyhow::Result<Vec<PathBuf>> {
    if !args.policies.is_dir() {
        let message = format!("there are no policies in `{}`", args.policies.display());
        return Err(
            Hinted::new(message, "run this in a clone of the repository, or give `--policies DIR`").into()
        );
    }
    Ok(without_crates(&args.policies).into_iter().chain(beside(&args.reviews, "policies")).collect())
}

/// A library without the policies whose modules have to be built first: this is what one runs after nothing but a clone.
fn without_crates(library: &Path) -> Vec<PathBuf> {
    let folders = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let is_crate = |folder: &PathBuf| folder.join("Cargo.toml").is_file();
    let keep = |area: PathBuf| match folders(&area) {
        policies if policies.iter().any(is_crate) => {
            policies.into_iter().filter(|it| !is_crate(it)).collect()
        }
        _ => vec![area],
    };
    let areas = folders(library);
    let has_crates = areas.iter().any(|area| folders(area).iter().any(is_crate));
    if has_crates { areas.into_iter().flat_map(keep).collect() } else { vec![library.to_owned()] }
}

/// A directory beside the reviews, if it is there.
fn beside(reviews: &Path, name: &str) -> Option<PathBuf> {
    let directory = reviews.join(name);
    directory.is_dir().then_some(directory)
}

/// Sends every sample and prints its answer. Returns what is not as expected, a line each.
async fn ask_all(
    running: &Running,
    samples: &[Sample],
    policies: &[PathBuf],
    ready: Duration,
    paint: Paint,
) -> anyhow::Result<Vec<String>> {
    let count = policies_in_force(running).await?;
    write_out(&show::opening(running.address, count, policies, ready, paint))?;
    let mut connection = connect(running).await?;
    let mut surprises = Vec::new();
    for sample in samples {
        let reply = connection.post("/validate", sample.body.clone()).await?;
        let answer = Answer::read(&reply);
        write_out(&show::answer(sample, &answer, paint))?;
        surprises.extend(answer.surprise(sample));
    }
    Ok(surprises)
}

async fn connect(running: &Running) -> anyhow::Result<Connection> {
    let ca = running.cert_dir.clone().unwrap_or_default().join(certificate::CA);
    let ca = std::fs::read(&ca).with_context(|| format!("cannot read `{}`", ca.display()))?;
    Ok(Client::https(running.address, &ca)?.connect().await?)
}

async fn policies_in_force(running: &Running) -> anyhow::Result<usize> {
    let reply = Client::http(running.ops_address).connect().await?.get("/policies").await?;
    let report: serde_json::Value = serde_json::from_slice(&reply.body).context("`/policies` is not JSON")?;
    Ok(report.get("policies").and_then(|policies| policies.as_array()).map_or(0, Vec::len))
}

/// An audit of the samples' objects, as if they were what a cluster holds; the first of each name.
fn audit(samples: &[Sample], policies: Vec<PathBuf>) -> anyhow::Result<Report> {
    let mut objects = Vec::new();
    for Sample { file, object, .. } in samples {
        if let Some(object) = object {
            objects.extend(manifests::parse(file, object.to_string().as_bytes()).objects);
        }
    }
    let args = JudgeArgs {
        policies,
        resources: Vec::new(),
        complete: false,
        namespace: CONTROLLER_NAMESPACE.to_owned(),
    };
    let judge = Judge::prepare(&args, &objects)?;
    let mut report = Report { policies: judge.policies(), ..Report::default() };
    let mut seen = BTreeSet::new();
    for manifest in &mut objects {
        let object = std::mem::take(&mut manifest.object);
        let request = Request::for_object(object, &judge.resources, Operation::Create);
        let judged = judge.judge(&|field| Some(manifest.place(field)), &request);
        if seen.insert(judged.object.clone()) {
            report.take(judged);
        }
    }
    Ok(report)
}

/// How a sample's file is named on a command line.
fn path_of(reviews: &Path, file: &str) -> String {
    reviews.join(file).display().to_string()
}
