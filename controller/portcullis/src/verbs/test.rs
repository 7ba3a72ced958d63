//! `portcullis test`: the suites that policies bring along.

use super::inputs::{CONTROLLER_NAMESPACE, Output, complain, read_policies};
use crate::exit::Exit;
use crate::manifests::files_under;
use crate::report::json;
use crate::report::model::Problem;
use crate::report::table::{self, Paint};
use crate::suite::{self, Suite, SuiteReport};
use crate::terminal::{GlobalArgs, Hinted, write_out};
use clap::Args;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  portcullis test
  portcullis test policies/images --verbose

A suite stands beside its policy:

  # policies/images/approved-registries/suite.yaml
  apiVersion: portcullis.dev/v1
  kind: Suite
  cases:
  - name: an image from elsewhere
    object: samples/pod.yaml     # or the object itself; or a whole `request`
    expect: deny                 # allow, deny, warn, audit, skip or error
    message: not from an approved registry

A case may also have `old` (which makes it an update), `user`, `params`, `resources`, `policy` and \
`expectOffline` (what check and audit say). A suite may list its `policies`, if they are elsewhere.";

/// What to do about a suite without policies.
const POLICIES: &str = "a suite tests the `policy.yaml` beside it, unless it lists its `policies`";

/// Flags of `portcullis test`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Suites, or directories that are searched for `suite.yaml`
    #[arg(default_value = "policies", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// List the cases that passed, too
    #[arg(short, long)]
    verbose: bool,
    /// How to write the report
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

/// Runs suites.
///
/// # Errors
/// If there is no suite, or standard output is broken.
pub fn run(args: &TestArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let (suites, mut broken) = load(&args.paths)?;
    let mut reports = Vec::new();
    for suite in &suites {
        match run_suite(suite) {
            Ok(report) => reports.push(report),
            Err(error) => {
                let message = format!("{}: {error:#}", suite.file.display());
                broken.push(Problem::new(message).with_hint(POLICIES));
            }
        }
    }
    for report in &reports {
        complain(global, &report.problems);
        complain(global, &report.invalid_policies);
    }
    complain(global, &broken);
    let text = match args.output {
        Output::Table => {
            let paint = Paint::new(global.color.enabled(std::io::stdout().is_terminal()));
            table::suites(&reports, &broken, args.verbose, paint)
        }
        Output::Json => json::suites(&reports, &broken),
    };
    write_out(&text)?;
    Ok(exit(&reports, &broken))
}

fn run_suite(suite: &Suite) -> anyhow::Result<SuiteReport> {
    let sources = read_policies(&suite.policies, CONTROLLER_NAMESPACE)?;
    Ok(suite::run(suite, &sources, jiff::Timestamp::now()))
}

fn load(paths: &[PathBuf]) -> anyhow::Result<(Vec<Suite>, Vec<Problem>)> {
    let mut broken = Vec::new();
    let mut suites = Vec::new();
    for path in paths {
        for file in files_under(path, &mut broken) {
            if file != *path && !is_suite(&file) {
                continue;
            }
            let loaded = suite::load(&file);
            suites.extend(loaded.suites);
            broken.extend(loaded.problems);
        }
    }
    if suites.is_empty() && broken.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let message = format!("no suites in {}", paths.join(", "));
        return Err(Hinted::new(message, "a suite is a file `suite.yaml` beside its policy").into());
    }
    Ok((suites, broken))
}

fn is_suite(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    matches!(name, Some("suite.yaml" | "suite.yml"))
}

fn exit(reports: &[SuiteReport], broken: &[Problem]) -> Exit {
    let mut exit = if broken.is_empty() { Exit::Clean } else { Exit::Failure };
    for report in reports {
        if !report.problems.is_empty() {
            exit = exit.worst(Exit::Failure);
        }
        if !report.invalid_policies.is_empty() {
            exit = exit.worst(Exit::InvalidPolicy);
        }
        if report.cases.iter().any(|case| !case.passed()) {
            exit = exit.worst(Exit::Denied);
        }
    }
    exit
}
