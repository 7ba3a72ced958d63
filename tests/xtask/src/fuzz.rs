//! `cargo xtask fuzz`: the fuzz targets of the CEL engine, for a while. They need nightly Rust and cargo-fuzz.

use crate::golang::cache;
use crate::test::Tally;
use crate::workspace::{files, root};
use anyhow::{Context, Result, bail};
use portcullis_core::yaml;
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{fmt, fs};

/// What to install where they cannot run.
const INSTALL: &str = "rustup toolchain install nightly && cargo install --locked cargo-fuzz";
/// How long each target runs as a phase of the tests, in seconds.
const BRIEFLY: u32 = 30;
/// The fields of a policy that hold an expression.
const FIELDS: [&str; 4] = ["expression", "forEach", "messageExpression", "valueExpression"];
const TARGETS: [&str; 2] = ["parse_check", "evaluate"];
/// How many of libFuzzer's last lines are shown where it finds something.
const SHOWN: usize = 60;

/// Fuzz the CEL engine: text that is compiled, and programs that are evaluated
///
/// Each target begins with the expressions of tests/oracle and of the policies, and with what earlier runs have
/// found interesting, in the user's cache. What it finds is kept there too; its path is printed. It needs nightly
/// Rust and cargo-fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !is_installed() {
        bail!("nightly Rust or cargo-fuzz is missing\nhint: `{INSTALL}`");
    }
    let mut found = false;
    for target in TARGETS {
        if args.target.as_deref().is_none_or(|only| only == target) {
            found |= !fuzz(target, args.seconds)?;
        }
    }
    Ok(if found { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Both targets for a short while, as a phase of the tests; says so where they cannot run.
pub(crate) fn check_briefly() -> Result<Tally> {
    let mut tally = Tally::default();
    if !is_installed() {
        println!("   did not run: it needs nightly Rust and cargo-fuzz: `{INSTALL}`");
        return Ok(tally);
    }
    for target in TARGETS {
        tally += Tally::one(fuzz(target, BRIEFLY)?);
    }
    Ok(tally)
}

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    // What an outer cargo has set would lead back to its own toolchain.
    command.args(["run", "nightly", "cargo", "fuzz"]).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn is_installed() -> bool {
    let asked = nightly().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Builds and runs a target, prints what it did, and says whether it found nothing.
fn fuzz(target: &str, seconds: u32) -> Result<bool> {
    let folder = cache()?.join("portcullis/fuzz");
    let (corpus, seeds, artifacts) = (folder.join(target), folder.join("seeds"), folder.join("artifacts"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    plant(&seeds.join(target), target == "evaluate")?;
    // Everything is safe Rust, so that no sanitizer is needed; an overrun of memory is counted by the target.
    let command = |verb: &str| -> Result<Command> {
        let mut command = nightly();
        command.current_dir(root()?).arg(verb).arg("--target-dir").arg(folder.join("target"));
        command.args(["--fuzz-dir", "controller/cel/fuzz", "--sanitizer", "none", target]);
        Ok(command)
    };
    if !command("build")?.status().context("cannot start cargo-fuzz")?.success() {
        return Ok(false);
    }
    let mut child = command("run")?
        .args([&corpus, &seeds.join(target)])
        .args(["--", "-max_len=2048", "-timeout=20"])
        .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start cargo-fuzz")?;
    let stderr = child.stderr.take().context("cargo-fuzz has no standard error")?;
    let mut summary = Summary::default();
    let mut latest = VecDeque::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cargo-fuzz cannot be read")?).into_owned();
        summary.read(&line);
        latest.push_back(line);
        if latest.len() > SHOWN {
            latest.pop_front();
        }
    }
    let held = child.wait().context("cargo-fuzz's end cannot be awaited")?.success();
    if !held {
        latest.iter().for_each(|line| println!("{line}"));
    }
    println!("   {target}: {summary}");
    Ok(held)
}

/// What libFuzzer says of its work.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    executions: u64,
    /// The edges of the program that were taken, and all that it has.
    covered: u64,
    edges: u64,
}

impl Summary {
    /// Reads `INFO: Loaded 1 modules   (5 inline 8-bit counters): …` and `#12\tDONE   cov: 3 ft: 4 …`.
    fn read(&mut self, line: &str) {
        let number = |text: &str| text.split_whitespace().next()?.parse().ok();
        if let Some((_, counters)) = line.strip_prefix("INFO: Loaded").and_then(|rest| rest.split_once('(')) {
            self.edges = number(counters).unwrap_or(self.edges);
        }
        if let Some((run, covered)) = line.strip_prefix('#').and_then(|rest| rest.split_once("cov: ")) {
            self.executions = number(run).unwrap_or(self.executions);
            self.covered = number(covered).unwrap_or(self.covered);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, covered, edges } = self;
        write!(f, "{executions} executions, {covered} of {edges} edges covered")
    }
}

/// Writes every expression that we have to a folder, a file each.
fn plant(folder: &Path, with_object: bool) -> Result<()> {
    fs::create_dir_all(folder)?;
    for expression in expressions()? {
        let seed = if with_object {
            let object =
                r#"{"a": [1, "b", {"name": "x"}], "spec": {"containers": [{"name": "a", "image": "b:1"}]}}"#;
            format!("\u{1}{expression}\0{object}")
        } else {
            expression
        };
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        fs::write(folder.join(format!("{:016x}", hasher.finish())), seed)?;
    }
    Ok(())
}

/// The expressions of tests/oracle and of the policies.
fn expressions() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in files(&root()?.join("tests/oracle/expressions"))? {
        let text = read(&path)?;
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
        found.extend(lines.map(str::to_owned));
    }
    for path in files(&root()?.join("policies"))? {
        if path.ends_with("policy.yaml") {
            gather(&Json::from(read(&path)?), "", &mut found);
        }
    }
    Ok(found)
}

/// The expressions in a document, and in those that it holds as text.
fn gather(json: &Json, field: &str, found: &mut Vec<String>) {
    match json {
        Json::String(text) if FIELDS.contains(&field) => found.push(text.clone()),
        Json::String(text) if text.contains('\n') => {
            for document in yaml::read(text).into_iter().flatten() {
                gather(&document.to_json(), "", found);
            }
        }
        Json::Object(fields) => fields.iter().for_each(|(field, value)| gather(value, field, found)),
        Json::Array(items) => items.iter().for_each(|item| gather(item, field, found)),
        _ => {}
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut summary = Summary::default();
        for line in [
            "INFO: Loaded 1 modules   (87654 inline 8-bit counters): 87654 [0x55, 0x66),",
            "#2\tINITED cov: 40 ft: 41 corp: 1/1b exec/s: 0 rss: 40Mb",
            "Error: Fuzz target exited",
            "#1234\tDONE   cov: 5678 ft: 9999 corp: 9/9b lim: 2048 exec/s: 41 rss: 55Mb",
        ] {
            summary.read(line);
        }
        assert_eq!(summary, Summary { executions: 1234, covered: 5678, edges: 87654 });
    }
}
