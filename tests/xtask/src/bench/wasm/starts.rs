//! Starts of the binary with 50 policies in CEL and 50 modules: when the policies judge, when the modules do, and what
//! these take of memory.

use super::guests::{Guest, numbered};
use crate::bench::process;
use crate::served::Served;
use crate::workspace::root;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Modules, each other than the others.
const MODULES: u8 = 50;
/// Each policy of the benchmarks is there so many times.
const COPIES: usize = 2;
/// How long loading all modules may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is started with.
struct World {
    directory: TempDir,
    /// What the policies in CEL say of the bad review, a line each.
    expected: BTreeSet<String>,
    bad: Bytes,
}

/// What was measured of the starts of one kind, in milliseconds and bytes.
#[derive(Default)]
struct Figures {
    cel: Vec<f64>,
    modules: Vec<f64>,
    resident: Vec<f64>,
}

pub(super) fn measure(program: &Path, guests: &[Guest], review: &Json, starts: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut header = true;
    // Fifty that are compiled for seconds each tell nothing about starting with the others.
    for guest in guests.iter().filter(|guest| !guest.has_runtime) {
        let world = World::new(program, guest, review, &runtime)?;
        let [mut alone, mut cold, mut warm] = [(); 3].map(|()| Figures::default());
        for _ in 0..starts {
            runtime.block_on(world.start(program, None, &mut alone))?;
            let cache = world.directory.path().join("cache");
            runtime.block_on(world.start(program, Some(&cache), &mut cold))?;
            runtime.block_on(world.start(program, Some(&cache), &mut warm))?;
            fs::remove_dir_all(cache)?;
        }
        if std::mem::take(&mut header) {
            println!(
                "starts with {} policies in CEL and {MODULES} modules, medians of {starts}\n\n{:<44} {:>9} {:>10} {:>12} \
                 {:>12}",
                world.policies()?,
                "",
                "CEL ms",
                "all ms",
                "ms a module",
                "KiB a module"
            );
            println!("{:<44} {:>9.0}", "no modules", median(&alone.cel));
        }
        let row = |what: &str, figures: &Figures| {
            let each = |all: f64| all / f64::from(MODULES);
            println!(
                "{:<44} {:>9.0} {:>10.0} {:>12.1} {:>12.0}",
                format!("{}: {what}", guest.name),
                median(&figures.cel),
                median(&figures.modules),
                each(median(&figures.modules) - median(&alone.cel)),
                each(median(&figures.resident) - median(&alone.resident)) / 1_024.0,
            );
        };
        row("nothing compiled yet", &cold);
        row("all in the cache", &warm);
    }
    println!(
        "\nCEL: all policies in CEL judge a request; all: the modules do, too. From the start of the process."
    );
    Ok(())
}

impl World {
    fn new(program: &Path, guest: &Guest, review: &Json, runtime: &tokio::runtime::Runtime) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for below in ["cel", "modules"] {
            fs::create_dir(directory.path().join(below))?;
        }
        for entry in fs::read_dir(root()?.join("tests/bench/policies"))? {
            let path = entry?.path();
            let (text, name) = (fs::read_to_string(&path)?, path.file_stem().context("a file has a name")?);
            let name = name.to_string_lossy();
            for copy in 0..COPIES {
                let copied = text.replace(&format!("name: {name}\n"), &format!("name: {name}-{copy}\n"));
                fs::write(directory.path().join(format!("cel/{name}-{copy}.yaml")), copied)?;
            }
        }
        for number in 0..MODULES {
            let text = policy(number, &numbered(&guest.module, number), &guest.settings).to_string();
            fs::write(directory.path().join(format!("modules/{number}.json")), text)?;
        }
        let mut review = review.clone();
        let spec = &mut review["request"]["object"]["spec"];
        spec["hostNetwork"] = json!(true);
        spec["containers"][0]["image"] = json!("evil.example/miner:latest");
        (guest.spoil)(&mut review["request"]["object"]);
        let bad = serde_json::to_vec(&review)?.into();
        let mut world = Self { directory, expected: BTreeSet::new(), bad };
        world.expected = runtime.block_on(async {
            let server = Served::portcullis(program, &[&world.directory.path().join("cel")], &[])?;
            server.ready().await?;
            world.told(&server).await
        })?;
        let named = world.expected.iter().filter(|line| line.contains("-0`")).count();
        ensure!(named * COPIES == world.expected.len() && named > 0, "not denied: {:?}", world.expected);
        Ok(world)
    }

    /// How many policies there are without modules.
    fn policies(&self) -> Result<usize> {
        Ok(fs::read_dir(self.directory.path().join("cel"))?.count())
    }

    /// Starts the binary, with modules if they have a cache, and waits until everything is in force.
    async fn start(&self, program: &Path, cache: Option<&Path>, figures: &mut Figures) -> Result<()> {
        let (cel, modules) = (self.directory.path().join("cel"), self.directory.path().join("modules"));
        let flag = cache.map(|cache| cache.display().to_string()).unwrap_or_default();
        let start = Instant::now();
        let server = match cache {
            None => Served::portcullis(program, &[&cel], &[])?,
            Some(_) => Served::portcullis(program, &[&cel, &modules], &["--module-cache", &flag])?,
        };
        let milliseconds = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
        while !self.told(&server).await?.is_superset(&self.expected) {
            ensure!(start.elapsed() < PATIENCE, "no right answer:\n{}", server.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        figures.cel.push(milliseconds(start));
        if cache.is_some() {
            server.settled().await?;
        }
        figures.modules.push(milliseconds(start));
        if cache.is_some() {
            let told = self.told(&server).await?;
            let denies =
                |number: u8| told.iter().any(|line| line.starts_with(&format!("policy `module-{number}`")));
            ensure!((0..MODULES).all(denies), "not every module denies: {told:?}");
        }
        figures.resident.push(process::resident(server.pid())? as f64);
        Ok(())
    }

    /// What the bad review is told.
    async fn told(&self, server: &Served) -> Result<BTreeSet<String>> {
        let reply = server.webhook.connect().await?.post("/validate", self.bad.clone()).await?;
        let response = &serde_json::from_slice::<Json>(&reply.body)?["response"];
        if response["allowed"] == true {
            bail!("the bad review is allowed");
        }
        let message = response["status"]["message"].as_str().unwrap_or_default();
        Ok(message.lines().map(str::to_owned).collect())
    }
}

fn policy(number: u8, module: &[u8], settings: &Json) -> Json {
    let name = format!("module-{number}");
    let policy = json!({
        "apiVersion": "portcullis.dev/v1",
        "kind": "Policy",
        "metadata": {"name": name},
        "spec": {
            "validationActions": ["Deny"],
            "matchPods": {},
            "wasm": {"module": "policy.wasm", "settings": settings},
        },
    });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "portcullis", "labels": {"portcullis.dev/policy": "true"}},
        "data": {"policy.yaml": policy.to_string()},
        "binaryData": {"policy.wasm": STANDARD.encode(module)},
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
