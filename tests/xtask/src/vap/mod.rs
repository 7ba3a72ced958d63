//! `cargo xtask vap`: our evaluation of ValidatingAdmissionPolicies against the API server's own, on requests and
//! policies made at random.

pub(crate) mod answer;
mod compare;
mod dice;
mod explained;
mod features;
mod generate;
mod lots;
pub(crate) mod ours;
pub(crate) mod peer;
mod real;

use crate::test::Tally;
use anyhow::{Context, Result, anyhow};
use compare::{Difference, compare};
use features::FEATURES;
use generate::Case;
use ours::World;
use peer::Judged;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

/// How often each feature has to be shown in a run.
const SHOWN: usize = 30;
/// The shares of cases that have to be denied, and that have to end in errors, in percent.
const DENIED: usize = 30;
const ERRORS: usize = 10;

/// Compare our verdicts with those of the API server's own ValidatingAdmissionPolicy plugin
///
/// Verdict, code, reason, message, warnings and audit annotations of requests made at random. Every difference
/// that no entry of tests/vap/explained.json explains fails, as do entries that explain nothing, features that
/// are shown too rarely, and a run in which too few requests are denied or end in errors. It needs Go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// From which the cases are made
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cases are made
    #[arg(long, default_value_t = 1_600)]
    count: usize,
    /// How many examples of each difference are shown
    #[arg(long, default_value_t = 3)]
    examples: usize,
    /// Only objects out of published manifests, and policies as users write them
    #[arg(long)]
    real: bool,
    /// Show one case in full: what is asked, and both answers
    #[arg(long, value_name = "NUMBER")]
    case: Option<usize>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Some(number) = args.case {
        return show(args, number);
    }
    let tally = if args.real { real::contest(args.examples)? } else { contest(args)? };
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A run as a phase of the tests.
pub(crate) fn check() -> Result<Tally> {
    let mut tally = contest(&Args { seed: 1, count: 1_600, examples: 3, real: false, case: None })?;
    tally += real::contest(3)?;
    Ok(tally)
}

fn contest(args: &Args) -> Result<Tally> {
    let cases = generate::cases(args.seed, args.count);
    let judged = peer::judge(cases.iter().map(|case| &case.json))?;
    let differences = differences(&cases, &judged)?;
    let differing: BTreeSet<usize> = differences.iter().map(|difference| difference.case).collect();
    println!("{} cases, {} differ", cases.len(), differing.len());
    let explained = explained::Entries::read()?;
    let (unexplained, used) = explained.sift(differences);
    for (count, because) in &used {
        println!("{count} explained: {because}");
    }
    compare::print(&unexplained, args.examples);
    let unused = used.iter().filter(|(count, _)| *count == 0).count();
    if unused > 0 {
        println!("entries of tests/vap/explained.json that explain nothing are to be taken out");
    }
    let shortfalls = shortfalls(&cases, &judged);
    for shortfall in &shortfalls {
        println!("{shortfall}");
    }
    println!("{} unexplained differences, seed {}", unexplained.len(), args.seed);
    let failed = unexplained.len() + unused + shortfalls.len();
    Ok(Tally { passed: cases.len().saturating_sub(unexplained.len()), failed })
}

/// Judges all cases, and lists where they differ: on all cores, since that is most of a run.
fn differences(cases: &[Case], judged: &[Judged]) -> Result<Vec<Difference>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = cases.len().div_ceil(cores).max(1);
    let numbered: Vec<(usize, &Case, &Judged)> =
        cases.iter().zip(judged).enumerate().map(|(number, (case, judged))| (number, case, judged)).collect();
    thread::scope(|scope| {
        let shares: Vec<_> = numbered
            .chunks(share)
            .map(|share| {
                scope.spawn(|| {
                    share
                        .iter()
                        .flat_map(|(number, case, judged)| differ(*number, case, judged))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let found =
            shares.into_iter().map(|share| share.join().map_err(|_| anyhow!("a comparison panicked")));
        Ok(found.collect::<Result<Vec<_>>>()?.concat())
    })
}

fn differ(number: usize, case: &Case, judged: &Judged) -> Vec<Difference> {
    let world = World::of(&case.json);
    let mut found = match &judged.answer.broken {
        Some(reason) => vec![("case".to_owned(), String::new(), reason.clone())],
        None => compare(&world.judge(&judged.review), &judged.answer),
    };
    // Documents that the API server would not take are meant to be refused.
    let meant = case.features.iter().any(|feature| feature.starts_with("broken."));
    if !world.problems().is_empty() && !meant {
        found.push(("documents".to_owned(), "refused".to_owned(), "taken".to_owned()));
    }
    let problems = world.problems().join("\n");
    let difference = |(field, ours, theirs)| {
        let (problems, features) = (problems.clone(), case.features.clone());
        Difference { case: number, field, ours, theirs, problems, features }
    };
    found.into_iter().map(difference).collect()
}

/// What a run lacks of what it has to show.
fn shortfalls(cases: &[Case], judged: &[Judged]) -> Vec<String> {
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    for feature in cases.iter().flat_map(|case| &case.features) {
        *shown.entry(feature).or_default() += 1;
    }
    let rare = FEATURES.iter().filter_map(|feature| {
        let count = shown.get(feature.name).copied().unwrap_or_default();
        (count < SHOWN).then(|| format!("`{}` is shown {count} times, {SHOWN} are needed", feature.name))
    });
    let mut shortfalls: Vec<String> = rare.collect();
    let denied = judged.iter().filter(|judged| !judged.answer.allowed).count();
    let errors = judged.iter().filter(|judged| ends_in_error(judged)).count();
    let share = |count: usize| count * 100 / judged.len().max(1);
    println!("{} % are denied, {} % end in errors", share(denied), share(errors));
    for (what, share, least) in
        [("are denied", share(denied), DENIED), ("end in errors", share(errors), ERRORS)]
    {
        if share < least {
            shortfalls.push(format!("{share} % {what}, {least} % are needed"));
        }
    }
    shortfalls
}

/// Whether what the requester is told, or the auditor, is that something could not be evaluated.
fn ends_in_error(judged: &Judged) -> bool {
    let told = std::iter::once(&judged.answer.message).chain(&judged.answer.warnings).cloned();
    let recorded = judged.answer.annotations.values().map(ToString::to_string);
    let errors = ["resulted in error: ", "compilation error: ", "failed to configure ", "out of cost budget"];
    told.chain(recorded).any(|text| errors.iter().any(|error| text.contains(error)))
}

fn show(args: &Args, number: usize) -> Result<ExitCode> {
    let cases = generate::cases(args.seed, args.count);
    let case = cases.get(number).context("there is no such case")?;
    let judged = peer::judge(std::iter::once(&case.json))?;
    let judged = judged.first().context("there is no answer")?;
    let world = World::of(&case.json);
    let shown = |field: &str| serde_json::to_string_pretty(&case.json[field]);
    println!("policies {}\nbindings {}", shown("policies")?, shown("bindings")?);
    println!("review {}", serde_json::to_string_pretty(&judged.review)?);
    for problem in world.problems() {
        println!("problem: {problem}");
    }
    println!("ours {:#?}\ntheirs {:#?}", world.judge(&judged.review), judged.answer);
    Ok(ExitCode::SUCCESS)
}
