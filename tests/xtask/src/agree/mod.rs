//! `cargo xtask agree`: one verdict at every door. Every case of the library's suites goes through the spawned
//! binary's webhook, `check` and `audit`, and each answer must be what the suite expects. A suite that would
//! not notice a missing validation is no proof, so every validation is taken out once, too.

mod doors;
mod mutate;
mod review;
mod world;

use crate::modules;
use crate::scaffold;
use crate::test::Tally;
use crate::workspace::{build_portcullis, root};
use anyhow::{Context, Result, bail};
use portcullis::manifests::files_under;
use portcullis::suite::{self, Suite};
use portcullis::verbs::inputs::{CONTROLLER_NAMESPACE, read_policies};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Ask webhook, check and audit the same questions: one verdict at every door
///
/// Every case of the suites goes through the binary's webhook (over TLS), `check` and `audit`; what a file
/// cannot say (a user in an audit, a subresource) goes through the webhook only. Then each validation is
/// replaced by `true`, one at a time, and a suite must notice.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where policies with suites are
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
}

/// What was asked about one suite, and what did not agree.
#[derive(Default)]
struct Row {
    cases: usize,
    webhook: usize,
    check: usize,
    audit: usize,
    validations: usize,
    problems: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tally = check(&args.policies)?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The library, and a policy that was just begun, for `cargo xtask test`.
pub(crate) fn check_library() -> Result<Tally> {
    let mut tally = check(Path::new("policies"))?;
    println!();
    tally += check(&scaffold::make()?.join("suite.yaml"))?;
    Ok(tally)
}

/// Asks and prints. Every answer and every validation counts as one.
fn check(policies: &Path) -> Result<Tally> {
    let program = build_portcullis(false)?;
    modules::build()?;
    let suites = suites(&root()?.join(policies))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "{:<28} {:>6} {:>9} {:>7} {:>7} {:>12}",
        "SUITE", "CASES", "WEBHOOK", "CHECK", "AUDIT", "VALIDATIONS"
    );
    let mut total = Row::default();
    for suite in &suites {
        let row = ask(suite, &program, &runtime).with_context(|| suite.file.display().to_string())?;
        row.print(&name_of(suite));
        total.add(row);
    }
    total.print("total");
    for problem in &total.problems {
        println!("FAILED {problem}");
    }
    let asked = total.webhook + total.check + total.audit + total.validations;
    Ok(Tally { passed: asked.saturating_sub(total.problems.len()), failed: total.problems.len() })
}

fn suites(directory: &Path) -> Result<Vec<Suite>> {
    let mut problems = Vec::new();
    let mut suites = Vec::new();
    for file in files_under(directory, &mut problems) {
        if file == directory || file.file_name().is_some_and(|name| name == "suite.yaml") {
            let loaded = suite::load(&file);
            suites.extend(loaded.suites);
            problems.extend(loaded.problems);
        }
    }
    if let Some(problem) = problems.first() {
        bail!("{}", problem.message);
    }
    if suites.is_empty() {
        bail!("there are no suites in `{}`", directory.display());
    }
    Ok(suites)
}

fn ask(suite: &Suite, program: &Path, runtime: &Runtime) -> Result<Row> {
    let sources = read_policies(&suite.policies, CONTROLLER_NAMESPACE)?;
    let mut row = Row { cases: suite.cases.len(), ..Row::default() };
    for world in world::of(suite, &sources)? {
        row.webhook += doors::webhook(&world, program, runtime, &mut row.problems)?;
        row.check += doors::check(&world, program, &mut row.problems)?;
        row.audit += doors::audit(&world, program, &mut row.problems)?;
    }
    let name = name_of(suite);
    row.problems.iter_mut().for_each(|problem| *problem = format!("{name}: {problem}"));
    row.validations = mutate::unnoticed(suite, &sources, &mut row.problems);
    Ok(row)
}

/// The directory of a suite.
fn name_of(suite: &Suite) -> String {
    let directory = suite.file.parent().and_then(Path::file_name);
    directory.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Row {
    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.webhook += other.webhook;
        self.check += other.check;
        self.audit += other.audit;
        self.validations += other.validations;
        self.problems.extend(other.problems);
    }

    fn print(&self, name: &str) {
        let Self { cases, webhook, check, audit, validations, .. } = self;
        println!("{name:<28} {cases:>6} {webhook:>9} {check:>7} {audit:>7} {validations:>12}");
    }
}
