//! `cargo xtask conformance`: the tests of cel-spec, for our engine and for cel-go.

use crate::celgo::ours::Engine;
use crate::celgo::{End, Question, Scope, Verdict, peer};
use crate::workspace::{root, stdout_of};
use crate::{celgo, golang, test};
use anyhow::{Context, Result};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// Failures that are meant, each with its reason.
const EXPLAINED: &str = "tests/conformance.json";

/// Libraries that Kubernetes does not have, or that are no part of the language, by the files of their tests.
const LIBRARIES: &[(&str, &str)] = &[
    ("bindings_ext", "cel.bind"),
    ("block_ext", "cel.block"),
    ("encoders_ext", "base64"),
    ("math_ext", "math"),
    ("network_ext", "net"),
    ("proto2_ext", "proto"),
    ("string_ext", "strings"),
];

/// Run the tests of cel-spec on our CEL engine and on cel-go
///
/// It fails if our engine fails a test that cel-go passes, unless tests/conformance.json explains why, and if an
/// entry there explains nothing. Tests that need protobuf messages, or libraries that are not part of the
/// language, are counted and left out. The tests come from the Go module cel.dev/expr; it needs Go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose `file/section/name` contains this
    #[arg(default_value = "")]
    filter: String,
}

/// One test.
#[derive(Debug)]
struct Spec {
    name: String,
    file: String,
    question: Question,
    expect: Expect,
}

/// How it has to end.
#[derive(Debug)]
struct Expect {
    /// The value; without one it must fail, unless only the type counts.
    value: Option<Json>,
    /// The checked type.
    checked: Option<String>,
    check_only: bool,
}

/// Counts of one file.
#[derive(Debug, Default)]
struct Tally {
    ours: usize,
    theirs: usize,
    run: usize,
    left_out: BTreeMap<&'static str, usize>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tally = compare(args)?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All of it, as a phase of the tests.
pub(crate) fn check() -> Result<test::Tally> {
    compare(&Args { filter: String::new() })
}

fn compare(args: &Args) -> Result<test::Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let specs = read(&args.filter, &mut tallies)?;
    let questions: Vec<Question> = specs.iter().map(|spec| spec.question.clone()).collect();
    let (documents, trees) = (BTreeMap::new(), BTreeMap::new());
    let answers = peer::ask(&documents, &questions, 1)?;
    let mut engine = Engine::new(&trees);
    let mut explained = explanations()?;
    let mut unexplained = 0;
    for (spec, answer) in specs.iter().zip(answers) {
        let ours = spec.expect.failure(&engine.ask(&spec.question));
        let theirs = spec.expect.failure(&answer.verdict);
        let tally = tallies.entry(spec.file.clone()).or_default();
        tally.run += 1;
        tally.ours += usize::from(ours.is_none());
        tally.theirs += usize::from(theirs.is_none());
        let Some(failure) = ours else { continue };
        let reason = match (explained.remove(&spec.name), &theirs) {
            (Some(reason), _) => reason,
            (None, Some(_)) => "cel-go fails it too".to_owned(),
            (None, None) => {
                unexplained += 1;
                "UNEXPLAINED".to_owned()
            }
        };
        println!(
            "{}: {reason}\n    {}\n    {failure}",
            spec.name,
            spec.question.expression.replace('\n', "⏎")
        );
    }
    print(&tallies);
    let unused = if args.filter.is_empty() { explained } else { BTreeMap::new() };
    for name in unused.keys() {
        println!("unused entry of {EXPLAINED}: {name}");
    }
    println!("{unexplained} unexplained failures");
    let failed = unexplained + unused.len();
    Ok(test::Tally { passed: specs.len() - unexplained, failed })
}

/// The tests that can be run; the others are counted.
fn read(filter: &str, tallies: &mut BTreeMap<String, Tally>) -> Result<Vec<Spec>> {
    let folder = golang::module("cel.dev/expr")?;
    let printed = stdout_of(Command::new(golang::program("specs")?).arg(folder))?;
    let mut specs = Vec::new();
    for line in printed.lines() {
        let test: Json = serde_json::from_str(line).with_context(|| format!("not a test: {line}"))?;
        let text = |field: &str| test[field].as_str().unwrap_or_default().to_owned();
        let name = format!("{}/{}/{}", text("file"), text("section"), text("name"));
        if !name.contains(filter) {
            continue;
        }
        let library = LIBRARIES.iter().any(|(file, _)| *file == text("file"));
        let left_out = if !text("messages").is_empty() {
            Some("protobuf")
        } else if library {
            Some("library")
        } else if !text("other").is_empty() {
            Some("declares functions")
        } else {
            None
        };
        if let Some(reason) = left_out {
            *tallies.entry(text("file")).or_default().left_out.entry(reason).or_default() += 1;
            continue;
        }
        let object = |field: &str| test[field].as_object().cloned().unwrap_or_default();
        let scope =
            Scope { declarations: object("declarations"), values: object("values"), ..Scope::default() };
        let question = Question {
            expression: text("expression"),
            scope: Arc::new(scope),
            object: None,
            container: text("container"),
            mixed: true,
            unchecked: test["unchecked"] == true,
            kubernetes: None,
        };
        let expect = Expect {
            value: test["expected"].is_object().then(|| celgo::value::normal(test["expected"].clone())),
            checked: test["type"].as_str().map(str::to_owned),
            check_only: test["checkOnly"] == true,
        };
        specs.push(Spec { name, file: text("file"), question, expect });
    }
    Ok(specs)
}

impl Expect {
    /// Why a verdict is not what is expected; none if it is.
    fn failure(&self, verdict: &Verdict) -> Option<String> {
        let Verdict::Ran { checked, ends } = verdict else {
            // An error is one, whether it is found before the evaluation or during it.
            let expects_error = self.value.is_none() && !self.check_only;
            return (!expects_error || matches!(verdict, Verdict::Crashed(_))).then(|| verdict.to_string());
        };
        if let (Some(expected), Some(checked)) = (&self.checked, checked)
            && expected != checked
        {
            return Some(format!("is of type {checked}, not {expected}"));
        }
        if self.check_only {
            return None;
        }
        let right = |end: &End| match (&end.result, &self.value) {
            (Ok(value), Some(expected)) => value == expected,
            (Err(_), None) => true,
            _ => false,
        };
        (!ends.iter().all(right)).then(|| {
            let expected = self.value.as_ref().map_or("an error".to_owned(), ToString::to_string);
            format!("ends in {verdict}, not {expected}")
        })
    }
}

fn explanations() -> Result<BTreeMap<String, String>> {
    let path = root()?.join(EXPLAINED);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{EXPLAINED}`"))?;
    serde_json::from_str(&text).with_context(|| format!("`{EXPLAINED}` is malformed"))
}

fn print(tallies: &BTreeMap<String, Tally>) {
    println!("{:<16} {:>6} {:>6} {:>6}   left out", "", "run", "ours", "cel-go");
    let mut total = Tally::default();
    for (file, tally) in tallies {
        println!("{file:<16} {:>6} {:>6} {:>6}   {}", tally.run, tally.ours, tally.theirs, tally.left_out());
        total.run += tally.run;
        total.ours += tally.ours;
        total.theirs += tally.theirs;
        for (reason, count) in &tally.left_out {
            *total.left_out.entry(reason).or_default() += count;
        }
    }
    println!("{:<16} {:>6} {:>6} {:>6}   {}", "total", total.run, total.ours, total.theirs, total.left_out());
}

impl Tally {
    fn left_out(&self) -> String {
        let reasons = self.left_out.iter().map(|(reason, count)| format!("{reason} {count}"));
        reasons.collect::<Vec<_>>().join(", ")
    }
}
