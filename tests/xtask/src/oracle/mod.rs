//! `cargo xtask oracle`: our engine against cel-go, on listed expressions, on every operator over every pair of
//! operands, and on expressions made at random over real objects.

pub(crate) mod compare;
mod coverage;
pub(crate) mod explained;
mod fixture;
mod footprint;
mod generate;
mod libraries;
mod operands;
mod paths;
pub(crate) mod random;
mod templates;

use crate::celgo::ours::Engine;
use crate::celgo::{Question, peer};
use crate::test::Tally;
use anyhow::Result;
use compare::{Difference, compare};
use coverage::Coverage;
use fixture::Fixture;
use generate::{Generator, Tree};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// How often cel-go evaluates an expression at first, and once more where the engines differ: it walks maps in
/// a different order each time, so that one expression can end in several ways.
const REPEATS: (u32, u32) = (3, 300);

/// Compare our CEL engine with cel-go: type, value or error, and cost of thousands of expressions
///
/// Every difference that no entry of tests/oracle/explained.json explains fails, as do entries that explain
/// nothing, overloads that are used too rarely, and a run in which too few expressions fail. It needs Go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// From which the expressions are made
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many expressions are made at random
    #[arg(long, default_value_t = 8_000)]
    count: usize,
    /// How many examples of each difference are shown
    #[arg(long, default_value_t = 3)]
    examples: usize,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tally = contest_all(args)?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A run as a phase of the tests.
pub(crate) fn check() -> Result<Tally> {
    contest_all(&Args { seed: 1, count: 8_000, examples: 3 })
}

fn contest_all(args: &Args) -> Result<Tally> {
    let fixture = Fixture::read()?;
    let mut coverage = Coverage::default();
    let mut differences = Vec::new();

    let (listed, operands) = (fixture.listed()?, operands::all(&fixture));
    let mut asked = listed.len() + operands.len();
    differences.extend(contest(&fixture, "listed", listed, &mut Coverage::default())?);
    differences.extend(contest(&fixture, "operands", operands, &mut Coverage::default())?);
    let mut generator = Generator::new(args.seed, &fixture)?;
    let made = generator.make(args.count);
    asked += made.len();
    let questions = made.iter().map(|(tree, object)| fixture.question(&tree.to_string(), Some(object)));
    let found = contest(&fixture, "generated", questions.collect(), &mut coverage)?;
    differences.extend(smallest(&fixture, &made, found)?);

    let (outside, wrong) = footprint::contest(&fixture, args.seed, &made);
    println!("footprints: {outside} changes outside of what is read, {} change a result", wrong.len());
    for line in wrong.iter().take(args.examples) {
        println!("{line}");
    }

    let explained = explained::Entries::read(explained::FILE)?;
    let (unexplained, unused) = explained.sift(differences);
    compare::print(&unexplained, args.examples);
    for entry in &unused {
        println!("unused entry of tests/oracle/explained.json: {entry}");
    }
    let shortfalls = coverage.shortfalls(&vocabulary()?);
    for shortfall in &shortfalls {
        println!("{shortfall}");
    }
    println!("{} unexplained differences, seed {}", unexplained.len(), args.seed);
    let failed = unexplained.len() + unused.len() + shortfalls.len() + wrong.len();
    Ok(Tally { passed: asked.saturating_sub(unexplained.len()), failed })
}

/// What expressions can be made of, but for the authorizer: its answers are facts, which no expression makes.
fn vocabulary() -> Result<Vec<String>> {
    let others = ["authorizer_", "decision_", "groupcheck_", "pathcheck_", "resourcecheck_"];
    let authorizer = |word: &str| {
        word == "dyn check"
            || word
                .strip_prefix("overload ")
                .is_some_and(|id| others.iter().any(|other| id.starts_with(other)))
    };
    Ok(peer::vocabulary()?.into_iter().filter(|word| !authorizer(word)).collect())
}

/// Asks both engines, counts how the expressions end, and returns where they differ.
fn contest(
    fixture: &Fixture,
    title: &str,
    questions: Vec<Question>,
    coverage: &mut Coverage,
) -> Result<Vec<Difference>> {
    let answers = peer::ask(&fixture.documents, &questions, REPEATS.0)?;
    let mut engine = Engine::new(&fixture.trees);
    let mut differing = Vec::new();
    for (question, answer) in questions.into_iter().zip(&answers) {
        coverage.count(answer);
        let ours = engine.ask(&question);
        if compare(&question, &ours, &answer.verdict).is_some() {
            differing.push((question, ours));
        }
    }
    let again: Vec<Question> = differing.iter().map(|(question, _)| question.clone()).collect();
    let answers = peer::ask(&fixture.documents, &again, REPEATS.1)?;
    let found: Vec<Difference> = differing
        .iter()
        .zip(&answers)
        .filter_map(|((question, ours), answer)| compare(question, ours, &answer.verdict))
        .collect();
    println!("{title}: {coverage}, {} differ", found.len());
    Ok(found)
}

/// Replaces the differences of generated expressions by those of their smallest parts that differ too.
fn smallest(
    fixture: &Fixture,
    made: &[(Tree, std::sync::Arc<str>)],
    found: Vec<Difference>,
) -> Result<Vec<Difference>> {
    let differing: BTreeSet<&str> = found.iter().map(|difference| difference.expression.as_str()).collect();
    let mut parts = Vec::new();
    let mut seen = BTreeSet::new();
    for (tree, object) in made {
        let whole = tree.to_string();
        if !differing.contains(whole.as_str()) {
            continue;
        }
        for part in tree.parts() {
            let text = part.to_string();
            if text.len() < whole.len() && seen.insert((text.clone(), object.clone())) {
                parts.push(fixture.question(&text, Some(object)));
            }
        }
    }
    if parts.is_empty() {
        return Ok(found);
    }
    let mut smaller = contest(fixture, "parts of them", parts, &mut Coverage::default())?;
    smaller.sort_by_key(|difference| difference.expression.len());
    let mut kept: Vec<Difference> = Vec::new();
    for difference in smaller.into_iter().chain(found) {
        let covered = kept.iter().any(|kept| difference.expression.contains(&kept.expression));
        if !covered {
            kept.push(difference);
        }
    }
    Ok(kept)
}
