//! `cargo xtask bench cel`: our CEL engine, the crate `cel`, and cel-go, on the same expressions and object.

use super::counting;
use crate::celgo::{Question, Scope, peer};
use crate::workspace::root;
use anyhow::{Context, Result, anyhow, ensure};
use portcullis_cel::Tree;
use portcullis_cel::engine::{Bindings, Environment, Meter, Program, Type, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Measure our CEL engine against the crate `cel` and against cel-go
///
/// One run, medians over rounds, the same expressions and the same object of a 7 KB review. cel-go is set up and
/// metered as ValidatingAdmissionPolicy does it. Fails if an expression does not hold. It needs Go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Evaluations in a row, in each round
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

/// Rounds, over which medians are taken.
const ROUNDS: usize = 9;
/// What Kubernetes lets one expression cost.
const COST_LIMIT: u64 = 1_000_000;
const TRIVIAL: &str = "!has(object.spec.hostNetwork) || object.spec.hostNetwork == false";
const CONTAINERS: &str = "object.spec.containers.all(c, c.image.startsWith('registry.example.com/') && \
                          c.image.matches('^[a-z0-9./:@-]+$'))";

/// What an engine takes for a list of expressions, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Figures {
    compile: f64,
    evaluate: f64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let review = fs::read_to_string(root()?.join("tests/reviews/pod-7kb.json"))?;
    let review: Json = serde_json::from_str(&review).context("the review is malformed")?;
    let object = &review["request"]["object"];
    let tree = Tree::from(object);
    let listed = fs::read_to_string(root()?.join("tests/bench/expressions.txt"))?;
    let policies: Vec<&str> = listed.lines().filter(|line| !line.starts_with('#')).collect();

    println!("nanoseconds, medians of {ROUNDS} rounds\n");
    println!(
        "{:<26} {:>12} {:>12} {:>12} {:>9} {:>9}",
        "", "ours", "cel 0.15", "cel-go", "× cel", "× cel-go"
    );
    let conversion = median(|| Ok(timed(100, || black_box(::cel::to_value(object)))))?;
    for (title, expressions) in [
        ("trivial", &[TRIVIAL][..]),
        ("all containers", &[CONTAINERS]),
        (&*format!("{} policies", policies.len()), &policies),
    ] {
        let (ours, crates, go) = (
            ours(&tree, expressions, args.repeat)?,
            crates(object, expressions, args.repeat)?,
            cel_go(object, expressions, args.repeat)?,
        );
        row(title, ours.evaluate, crates.evaluate, go.evaluate);
        row("  with the conversion", ours.evaluate, crates.evaluate + conversion, go.evaluate);
        row("  compiling", ours.compile, crates.compile, go.compile);
    }
    println!(
        "\ncel 0.15 converts the object into its own values: {conversion:.0}; ours borrows, cel-go wraps"
    );
    println!("{} allocations while {} policies pass", allocations(&tree, &policies)?, policies.len());
    Ok(ExitCode::SUCCESS)
}

fn row(title: &str, ours: f64, crates: f64, go: f64) {
    println!(
        "{title:<26} {ours:>12.0} {crates:>12.0} {go:>12.0} {:>9.1} {:>9.1}",
        crates / ours.max(1.0),
        go / ours.max(1.0)
    );
}

fn ours(object: &Tree, expressions: &[&str], repeat: u32) -> Result<Figures> {
    let environment = Environment::new().with_variable("object", Type::Dyn);
    let compiled = || {
        let compile = |expression: &&str| {
            Program::compile(&environment, expression).map_err(|errors| anyhow!("`{expression}`: {errors:?}"))
        };
        expressions.iter().map(compile).collect::<Result<Vec<Program>>>()
    };
    let programs = compiled()?;
    let compile = median(|| Ok(timed(10, || black_box(compiled().is_ok()))))?;
    let evaluate = median(|| {
        let mut passed = true;
        let elapsed = timed(repeat, || {
            let mut bindings = Bindings::new(&environment);
            bindings.set("object", Value::from_json(object.root()));
            for program in &programs {
                let result = program.evaluate(&bindings, &Meter::new(COST_LIMIT));
                passed &= matches!(result, Ok(Value::Bool(true)));
            }
        });
        ensure!(passed, "an expression does not hold");
        Ok(elapsed)
    })?;
    Ok(Figures { compile, evaluate })
}

/// The crate `cel` as its documentation says: a context with the converted object, programs that are executed.
fn crates(object: &Json, expressions: &[&str], repeat: u32) -> Result<Figures> {
    let compiled = || {
        let compile = |expression: &&str| {
            ::cel::Program::compile(expression).map_err(|errors| anyhow!("`{expression}`: {errors}"))
        };
        expressions.iter().map(compile).collect::<Result<Vec<::cel::Program>>>()
    };
    let programs = compiled()?;
    let compile = median(|| Ok(timed(10, || black_box(compiled().is_ok()))))?;
    let mut context = ::cel::Context::default();
    context.add_variable_from_value("object", ::cel::to_value(object)?);
    let evaluate = median(|| {
        let mut passed = true;
        let elapsed = timed((repeat / 20).max(1), || {
            for program in &programs {
                passed &= matches!(program.execute(&context), Ok(::cel::Value::Bool(true)));
            }
        });
        ensure!(passed, "an expression does not hold for the crate `cel`");
        Ok(elapsed)
    })?;
    Ok(Figures { compile, evaluate })
}

fn cel_go(object: &Json, expressions: &[&str], repeat: u32) -> Result<Figures> {
    let declarations = Map::from_iter([("object".to_owned(), json!("dyn"))]);
    let scope = Arc::new(Scope { declarations, ..Scope::default() });
    let questions = expressions.iter().map(|expression| Question {
        expression: (*expression).to_owned(),
        scope: scope.clone(),
        object: Some("object".into()),
        container: String::new(),
        mixed: false,
        unchecked: false,
        kubernetes: None,
    });
    let documents = BTreeMap::from_iter([("object".to_owned(), object.clone())]);
    let timings = peer::measure(&documents, &questions.collect::<Vec<_>>(), repeat)?;
    Ok(Figures {
        compile: timings.iter().map(|timing| timing.compile).sum(),
        evaluate: timings.iter().map(|timing| timing.evaluate).sum(),
    })
}

/// Nanoseconds for one call of what is called so often.
fn timed<T>(repeat: u32, mut call: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..repeat {
        black_box(call());
    }
    start.elapsed().as_nanos() as f64 / f64::from(repeat)
}

fn median(mut round: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().context("nothing was measured")
}

/// How often all policies together allocate, once everything has been evaluated before.
fn allocations(object: &Tree, expressions: &[&str]) -> Result<u64> {
    let environment = Environment::new().with_variable("object", Type::Dyn);
    let compile = |expression: &&str| {
        Program::compile(&environment, expression).map_err(|errors| anyhow!("`{expression}`: {errors:?}"))
    };
    let programs = expressions.iter().map(compile).collect::<Result<Vec<Program>>>()?;
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object.root()));
    let mut counted = 0;
    for _ in 0..2 {
        let before = counting::calls();
        for program in &programs {
            black_box(program.evaluate(&bindings, &Meter::new(COST_LIMIT)).is_ok());
        }
        counted = counting::calls() - before;
    }
    Ok(counted)
}
