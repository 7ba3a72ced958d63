//! `cargo xtask test`: everything that CI does, in phases, cheap ones first.

use crate::cluster::Minor;
use crate::workspace::{build_portcullis, cargo, root};
use crate::{
    agree, cluster, conformance, fuzz, house, modules, oracle, podsecurity, precision, purity, swap, tables,
    vap,
};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Run every test and check: what CI does
///
/// The last line says how many passed and failed. Phases after a failed one still run, so that one run shows
/// all there is to fix.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these phases, in their usual order; all if none is named
    #[arg(value_enum, value_name = "PHASE")]
    phases: Vec<Phase>,
    /// The phases that are not run by default, too: a further Kubernetes takes a quarter of an hour to build
    #[arg(long)]
    all: bool,
}

/// A part of `cargo xtask test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// rustfmt
    Fmt,
    /// House rules: file length, module docs, no loose ends
    House,
    /// The core stays pure, and crates depend on each other as the design says
    Purity,
    /// Clippy without warnings, tests included
    Clippy,
    /// rustdoc without warnings: every link leads somewhere
    Docs,
    /// The policies that are written in Rust, built for WebAssembly; before whatever reads the library, too
    Modules,
    /// Unit and integration tests of all crates
    Unit,
    /// cel-spec's tests on our CEL engine and on cel-go; needs Go
    Conformance,
    /// Our CEL engine against cel-go on thousands of expressions; needs Go
    Oracle,
    /// Our verdicts against those of the API server's own plugin; needs Go
    Vap,
    /// Pod Security admission's fixtures on the policies that we ship; needs Go
    PodSecurity,
    /// Manifests that others have published on the policy against literal credentials; needs Go
    Precision,
    /// The expressions of Kubernetes' own tests on our CEL engine, and what they decide; needs Go
    Tables,
    /// The CEL engine fuzzed for half a minute each way; says so where nightly Rust or cargo-fuzz is missing
    Fuzz,
    /// The suites of the policy library and of the sample reviews
    Suites,
    /// Every case of the suites at every door, and every validation missed
    Agree,
    /// Policies edited under load, for a short while
    Swap,
    /// The controller in a real control plane; needs Go
    Cluster,
    /// The same with the oldest Kubernetes that the chart supports; only with --all, or by name
    ClusterOldest,
    /// What the README's first command shows
    Demo,
}

impl Phase {
    fn title(self) -> &'static str {
        match self {
            Self::Fmt => "formatting",
            Self::House => "house rules",
            Self::Purity => "purity of the core",
            Self::Clippy => "clippy",
            Self::Docs => "documentation",
            Self::Modules => "policies in WebAssembly",
            Self::Unit => "unit and integration tests",
            Self::Conformance => "cel-spec's tests",
            Self::Oracle => "our CEL engine against cel-go",
            Self::Vap => "our verdicts against the API server's",
            Self::PodSecurity => "Pod Security admission's fixtures",
            Self::Precision => "credentials in published manifests",
            Self::Tables => "Kubernetes' own tests",
            Self::Fuzz => "the CEL engine fuzzed",
            Self::Suites => "suites of the library and the sample reviews",
            Self::Agree => "one verdict at every door",
            Self::Swap => "policies edited under load",
            Self::Cluster => "the controller in a cluster",
            Self::ClusterOldest => "the controller in a cluster of the oldest Kubernetes",
            Self::Demo => "the demo",
        }
    }

    /// Whether the policies of the library must be there, modules and all.
    fn reads_library(self) -> bool {
        use Phase::{Agree, Cluster, ClusterOldest, Demo, PodSecurity, Precision, Suites, Swap, Unit, Vap};
        matches!(
            self,
            Agree | Cluster | ClusterOldest | Demo | PodSecurity | Precision | Suites | Swap | Unit | Vap
        )
    }

    fn run(self) -> Result<Tally> {
        match self {
            Self::Fmt => status(&mut cargo(["fmt", "--all", "--check"])?),
            Self::House => problems(house::check()?),
            Self::Purity => problems(purity::check()?),
            Self::Clippy => status(&mut cargo(
                "clippy --quiet --workspace --all-targets --locked -- --deny warnings".split(' '),
            )?),
            Self::Docs => {
                let mut doc = cargo("doc --quiet --workspace --no-deps --locked".split(' '))?;
                status(doc.env("RUSTDOCFLAGS", "--deny warnings"))
            }
            Self::Modules => Ok(Tally { passed: modules::build()?.len(), failed: 0 }),
            Self::Unit => cargo_tests(&mut cargo(["test", "--workspace", "--locked", "--no-fail-fast"])?),
            Self::Conformance => conformance::check(),
            Self::Oracle => oracle::check(),
            Self::Vap => vap::check(),
            Self::PodSecurity => podsecurity::check(),
            Self::Precision => precision::check(),
            Self::Tables => tables::check(),
            Self::Fuzz => fuzz::check_briefly(),
            Self::Suites => suites(),
            Self::Agree => agree::check_library(),
            Self::Swap => swap::check_briefly(),
            Self::Cluster => cluster::check_all(Minor::Newest),
            Self::ClusterOldest => cluster::check_all(Minor::Oldest),
            Self::Demo => quiet(Command::new(build_portcullis(false)?).current_dir(root()?).arg("demo")),
        }
    }
}

/// How many tests passed and failed; a check without tests of its own counts as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    /// One check that holds, or does not.
    pub(crate) fn one(holds: bool) -> Self {
        Self { passed: usize::from(holds), failed: usize::from(!holds) }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for phase in Phase::value_variants() {
        let is_wanted = match args.phases.as_slice() {
            [] => args.all || *phase != Phase::ClusterOldest,
            named if *phase == Phase::Modules => {
                named.iter().any(|named| named.reads_library() || named == phase)
            }
            named => named.contains(phase),
        };
        if !is_wanted {
            continue;
        }
        println!("== {}", phase.title());
        let start = Instant::now();
        let tally = phase.run().unwrap_or_else(|error| {
            println!("error: {error:#}");
            Tally::one(false)
        });
        let seconds = start.elapsed().as_secs_f64();
        println!("   {} passed, {} failed in {seconds:.1} s\n", tally.passed, tally.failed);
        total += tally;
        if tally.failed > 0 {
            failed.push(phase.title());
        }
    }
    failed.iter().for_each(|title| println!("FAILED: {title}"));
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A command that holds if it ends with 0.
fn status(command: &mut Command) -> Result<Tally> {
    Ok(Tally::one(command.status().context("cannot start it")?.success()))
}

/// The same for a command whose output is of interest only where it fails.
fn quiet(command: &mut Command) -> Result<Tally> {
    let output = command.output().context("cannot start it")?;
    if !output.status.success() {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&output.stdout)?;
        stdout.write_all(&output.stderr)?;
    }
    Ok(Tally::one(output.status.success()))
}

/// A check that holds if it finds no problem.
fn problems(problems: Vec<String>) -> Result<Tally> {
    for problem in &problems {
        println!("{problem}");
    }
    Ok(Tally { passed: usize::from(problems.is_empty()), failed: problems.len() })
}

/// Runs the suites and counts their cases; those that fail are shown.
fn suites() -> Result<Tally> {
    let program = build_portcullis(false)?;
    let test = |more: &[&str]| -> Result<Command> {
        let mut command = Command::new(&program);
        command
            .current_dir(root()?)
            .arg("test")
            .args(["policies", "sdk/template", "tests/reviews", "tests/bench"])
            .args(more);
        Ok(command)
    };
    let output = test(&["-o", "json", "--log-level", "error"])?.stderr(Stdio::null()).output();
    let output = output.context("cannot start the binary")?;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut tally = Tally::default();
    for suite in report["suites"].as_array().into_iter().flatten() {
        for case in suite["cases"].as_array().into_iter().flatten() {
            tally += Tally::one(case["failures"].as_array().is_some_and(Vec::is_empty));
        }
    }
    if !output.status.success() {
        test(&[])?.status().context("cannot start the binary")?;
        // Something may be wrong with a suite as a whole, too.
        tally.failed = tally.failed.max(1);
    }
    Ok(tally)
}

/// Runs `cargo test` and counts; its output is shown only where something fails. Compilation is shown as it
/// goes on, because it can take minutes.
fn cargo_tests(command: &mut Command) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stdout = BufReader::new(child.stdout.take().context("cargo has no standard output")?);
    let mut tally = Tally::default();
    let mut binary = Vec::new();
    for line in stdout.lines() {
        let line = line.context("cargo's output cannot be read")?;
        let result = result_line(&line);
        binary.push(line);
        if let Some(result) = result {
            tally += result;
            show_failures(&binary, result)?;
            binary.clear();
        }
    }
    let succeeded = child.wait().context("cargo's end cannot be awaited")?.success();
    if !succeeded && tally.failed == 0 {
        // Tests do not compile, or a test binary died: then what it printed last is all there is.
        show_failures(&binary, Tally::one(false))?;
        tally += Tally::one(false);
    }
    Ok(tally)
}

fn show_failures(output: &[String], result: Tally) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    if result.failed > 0 {
        for line in output.iter().filter(|line| !line.ends_with(" ... ok")) {
            writeln!(stdout, "{line}")?;
        }
    }
    Ok(())
}

/// Reads `test result: ok. 3 passed; 0 failed; …`; `None` for any other line.
fn result_line(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<usize>().ok())
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::{Tally, result_line};

    #[test]
    fn cargos_result_lines_are_counted() {
        let check = |line: &str, expect: Option<(usize, usize)>| {
            assert_eq!(result_line(line), expect.map(|(passed, failed)| Tally { passed, failed }), "{line}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            Some((12, 0)),
        );
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((3, 2)));
        check("test yaml::tests::a ... ok", None);
    }
}
