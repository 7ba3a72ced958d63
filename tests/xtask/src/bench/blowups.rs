//! `cargo xtask bench blowups`: expressions that exhaust other evaluators, on ours.

#[path = "../../../../controller/cel/tests/blowups/inputs.rs"]
mod inputs;

use super::counting;
use anyhow::{Result, ensure};
use inputs::{BlowUp, End};
use portcullis_cel::{Bindings, Environment, KubernetesVersion, Meter, Program, Tree, Type, Value};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Measure what expressions that exhaust other evaluators take of ours
///
/// The inputs of controller/cel/tests/blowups: each is compiled and evaluated, and the median time of some rounds
/// and the most memory at any moment are printed. Fails if one ends otherwise than it should.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those whose name contains this
    #[arg(default_value = "")]
    name: String,
}

/// Rounds, over which medians are taken.
const ROUNDS: usize = 5;
/// What Kubernetes lets one expression cost.
const COST_LIMIT: u64 = 1_000_000;
/// The aim for each.
const AIM: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let object = inputs::object();
    let mut slow = 0;
    println!("{:>9} {:>9} {:>12}  ", "ms", "MB", "cost");
    for input in inputs::all().iter().filter(|input| input.name.contains(&args.name)) {
        let mut times = Vec::new();
        let mut most = 0;
        let mut last = (String::new(), 0);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let (end, peak) = counting::peak(|| end_of(input, &object));
            times.push(start.elapsed());
            last = end?;
            most = most.max(peak);
        }
        times.sort();
        let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
        slow += usize::from(median > AIM);
        let (milliseconds, megabytes) = (median.as_secs_f64() * 1e3, most as f64 / f64::from(1 << 20));
        println!("{milliseconds:>9.2} {megabytes:>9.2} {:>12}  {}: {}", last.1, input.name, last.0);
    }
    println!("{slow} take more than {} ms", AIM.as_millis());
    Ok(ExitCode::SUCCESS)
}

/// How one ends, in words, and its cost.
fn end_of(input: &BlowUp, object: &Tree) -> Result<(String, u64)> {
    let environment =
        Environment::kubernetes(KubernetesVersion::default()).with_variable("object", Type::Dyn);
    let meter = Meter::new(COST_LIMIT);
    let (words, expected) = match Program::compile(&environment, &input.source) {
        Err(errors) => {
            let first = errors.into_iter().next().map(|error| error.message).unwrap_or_default();
            let expected = matches!(&input.end, End::Refused(part) if first.contains(part));
            (format!("refused, {first}"), expected)
        }
        Ok(program) => {
            let mut bindings = Bindings::new(&environment);
            bindings.set("object", Value::from_json(object.root()));
            match program.evaluate(&bindings, &meter) {
                Ok(_) => ("a value".to_owned(), input.end == End::Gives),
                Err(failure) => {
                    let message = failure.to_string();
                    let expected = matches!(&input.end, End::Fails(part) if message.contains(part));
                    (message, expected)
                }
            }
        }
    };
    ensure!(expected, "{}: {words}, instead of {:?}", input.name, input.end);
    Ok((words, meter.cost()))
}
