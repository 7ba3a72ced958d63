//! `cargo xtask tables`: the expressions of Kubernetes' own tests, on our engine and on the API server's; and what its
//! tests of matching, matchConditions and validations decide.

mod record;
mod replay;
mod verdicts;

use crate::celgo::ours::Engine;
use crate::celgo::value::normal;
use crate::celgo::{End, Question, Scope, Verdict, peer};
use crate::oracle::compare::{self, compare};
use crate::oracle::explained::{self, Entries};
use crate::test::Tally;
use crate::workspace;
use anyhow::{Context, Result};
use record::Recorded;
use regex::Regex;
use replay::{Replayed, replay};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

/// What is meant to differ, and what cannot be asked again, each with its reason.
const EXPLAINED: &str = "tests/tables/explained.json";
const LEFT_OUT: &str = "tests/tables/left-out.json";

/// How often each expression is evaluated: the order of a map is not fixed.
const REPEATS: u32 = 3;

/// Run the expressions of Kubernetes' own tests on our engine: type, value or error, and cost
///
/// The tests of k8s.io/apiserver and k8s.io/apiextensions-apiserver run unmodified on a copy of cel-go that records
/// what they compile and evaluate. Each expression is then asked of our engine and of the API server's environment
/// of the same version. What differs fails unless tests/tables/explained.json says why, and so does an expression
/// that cannot be asked again unless tests/tables/left-out.json does. What the tests of matching, matchConditions and
/// validations decide is asked of our policies in the same way. It needs Go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose `package name` contains this
    #[arg(default_value = "")]
    filter: String,
    /// How many examples of each difference are shown
    #[arg(long, default_value_t = 3)]
    examples: usize,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tally = contest(args)?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A run as a phase of the tests.
pub(crate) fn check() -> Result<Tally> {
    contest(&Args { filter: String::new(), examples: 3 })
}

fn contest(args: &Args) -> Result<Tally> {
    let recorded: Vec<Recorded> =
        record::all()?.into_iter().filter(|recorded| recorded.test.contains(&args.filter)).collect();
    let mut omissions = Omissions::read()?;
    let mut scopes = BTreeMap::new();
    let mut asked: Vec<(&Recorded, Question)> = Vec::new();
    let mut seen = BTreeSet::new();
    for recorded in &recorded {
        if let Some(lost) = recorded.record["lost"].as_str() {
            omissions.count(&recorded.test, lost, &expression_of(recorded));
        } else if seen.insert(recorded.record.to_string()) {
            asked.push((recorded, question(recorded, &mut scopes)?));
        }
    }
    let questions: Vec<Question> = asked.iter().map(|(_, question)| question.clone()).collect();
    let mut answers = peer::ask(&BTreeMap::new(), &questions, REPEATS)?;
    ask_again_mixed(&mut asked, &mut answers)?;
    let no_documents = BTreeMap::new();
    let mut engine = Engine::new(&no_documents);
    let mut tests: BTreeMap<&str, (BTreeSet<&str>, usize)> = BTreeMap::new();
    let mut differences = Vec::new();
    for ((recorded, question), answer) in asked.iter().zip(&answers) {
        if !agrees(&recorded.record, &answer.verdict) {
            let reason = format!("otherwise in the API server: {}", answer.verdict);
            omissions.count(&recorded.test, &reason, &expression_of(recorded));
            continue;
        }
        let (package, name) = recorded.test.split_once(' ').unwrap_or((&recorded.test, ""));
        let driven = tests.entry(package).or_default();
        driven.0.insert(name);
        driven.1 += 1;
        differences.extend(compare(question, &engine.ask(question), &answer.verdict));
    }
    for (package, (names, expressions)) in &tests {
        println!("{package}: {expressions} expressions of {} tests", names.len());
    }
    let decided = decide(args, &mut omissions)?;
    let (differences, _) = Entries::read(explained::FILE)?.sift(differences);
    let explained = Entries::read(EXPLAINED)?;
    let (unexplained, unused) = explained.sift(differences);
    compare::print(&unexplained, args.examples);
    // Of some of the tests, not everything that is explained is met.
    let whole = args.filter.is_empty();
    let unused = if whole { unused } else { Vec::new() };
    for entry in &unused {
        println!("unused entry of {EXPLAINED}: {entry}");
    }
    let missing = omissions.report(args.examples, whole);
    println!("{} unexplained differences in {} expressions", unexplained.len(), asked.len());
    let failed = unexplained.len() + unused.len() + missing;
    Ok(Tally { passed: asked.len().saturating_sub(unexplained.len()) + decided, failed })
}

/// Asks our policies what the tests of the API server's decisions ask, and returns how often ours decide alike.
fn decide(args: &Args, omissions: &mut Omissions) -> Result<usize> {
    let mut tests: BTreeMap<&str, (BTreeSet<&str>, usize)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let all = verdicts::all()?;
    for decided in all.iter().filter(|decided| decided.test.contains(&args.filter)) {
        if !seen.insert(decided.record.to_string()) {
            continue;
        }
        match replay(decided) {
            Replayed::Said { ours, theirs } if ours == theirs => {
                let (package, name) = decided.test.split_once(' ').unwrap_or((&decided.test, ""));
                let driven = tests.entry(package).or_default();
                driven.0.insert(name);
                driven.1 += 1;
            }
            Replayed::Said { ours, theirs } => {
                omissions.count(
                    &decided.test,
                    &format!("`{ours}`, not `{theirs}`"),
                    &decided.record.to_string(),
                );
            }
            Replayed::Lost(reason) => omissions.count(&decided.test, &reason, &decided.record.to_string()),
        }
    }
    for (package, (names, decisions)) in &tests {
        println!("{package}: {decisions} decisions of {} tests", names.len());
    }
    Ok(tests.values().map(|(_, decisions)| decisions).sum())
}

fn expression_of(recorded: &Recorded) -> String {
    recorded.record["expression"].as_str().unwrap_or_default().to_owned()
}

/// Asks once more what the API server refuses for literals of several types: some tests allow them.
fn ask_again_mixed(asked: &mut [(&Recorded, Question)], answers: &mut [peer::Answer]) -> Result<()> {
    let mixes = |(asked, answer): &(&mut (&Recorded, Question), &mut peer::Answer)| {
        let wanted = !asked.0.record["refused"].is_string();
        wanted && matches!(&answer.verdict, Verdict::Refused(message) if message.contains("expected type '"))
    };
    let mut again: Vec<_> = asked.iter_mut().zip(answers).filter(mixes).collect();
    for (asked, _) in &mut again {
        asked.1.mixed = true;
        asked.1.kubernetes.get_or_insert_default();
    }
    let questions: Vec<Question> = again.iter().map(|(asked, _)| asked.1.clone()).collect();
    let found = peer::ask(&BTreeMap::new(), &questions, REPEATS)?;
    for ((_, answer), found) in again.into_iter().zip(found) {
        *answer = found;
    }
    Ok(())
}

/// The question that a record is.
fn question(recorded: &Recorded, scopes: &mut BTreeMap<String, Arc<Scope>>) -> Result<Question> {
    let record = &recorded.record;
    let object = |field: &str| record[field].as_object().cloned().unwrap_or_else(Map::new);
    let key = format!("{} {} {}", record["declarations"], record["objects"], record["values"]);
    let scope = scopes.entry(key).or_insert_with(|| {
        Arc::new(Scope {
            declarations: object("declarations"),
            objects: object("objects"),
            documents: Vec::new(),
            values: object("values"),
        })
    });
    let version = record["kubernetes"].as_str().map(str::parse).transpose();
    Ok(Question {
        expression: record["expression"].as_str().context("a record without an expression")?.to_owned(),
        scope: Arc::clone(scope),
        object: None,
        container: String::new(),
        mixed: false,
        unchecked: false,
        kubernetes: version.with_context(|| format!("in a record of {}", recorded.test))?,
    })
}

/// Whether the API server's own environment ends as the test did, which may have one of its own.
fn agrees(record: &Json, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Crashed(_) => false,
        Verdict::Refused(_) => record["refused"].is_string(),
        Verdict::Ran { .. } if record["refused"].is_string() => false,
        Verdict::Ran { ends, .. } => ends.iter().any(|End { result, .. }| match result {
            Ok(value) => *value == normal(record["value"].clone()),
            Err(error) => record["error"] == error.as_str(),
        }),
    }
}

/// What cannot be asked again, and why not.
#[derive(Debug)]
struct Omissions {
    entries: Vec<Omission>,
    unexplained: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Omission {
    test: Regex,
    reason: Regex,
    because: String,
    used: usize,
}

impl Omissions {
    fn read() -> Result<Self> {
        let path = workspace::root()?.join(LEFT_OUT);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{LEFT_OUT}`"))?;
        let entries: Vec<Json> =
            serde_json::from_str(&text).with_context(|| format!("`{LEFT_OUT}` is malformed"))?;
        let entries = entries.iter().map(|entry| {
            let regex = |field: &str| Regex::new(entry[field].as_str().unwrap_or_default());
            let because = entry["because"].as_str().context("`because` is missing")?.to_owned();
            Ok(Omission { test: regex("test")?, reason: regex("reason")?, because, used: 0 })
        });
        let entries: Result<Vec<Omission>> = entries.collect();
        Ok(Self {
            entries: entries.with_context(|| format!("in `{LEFT_OUT}`"))?,
            unexplained: BTreeMap::new(),
        })
    }

    fn count(&mut self, test: &str, reason: &str, asked: &str) {
        let fits = |entry: &&mut Omission| entry.test.is_match(test) && entry.reason.is_match(reason);
        if let Some(entry) = self.entries.iter_mut().find(fits) {
            entry.used += 1;
            return;
        }
        self.unexplained.entry(reason.to_owned()).or_default().push(format!("{test}: {asked}"));
    }

    /// Prints what is left out, and returns how much of that is not explained, unused entries included.
    fn report(&self, examples: usize, whole: bool) -> usize {
        let mut failed = 0;
        for entry in &self.entries {
            match entry.used {
                0 if whole => {
                    println!("unused entry of {LEFT_OUT}: {}", entry.because);
                    failed += 1;
                }
                0 => {}
                used => println!("left out: {used}, because {}", entry.because),
            }
        }
        for (reason, tests) in &self.unexplained {
            println!("{} left out without a reason: {reason}", tests.len());
            tests.iter().take(examples).for_each(|test| println!("    {test}"));
            failed += tests.len();
        }
        failed
    }
}
