//! `cargo xtask bench wasm`: what a module costs a request, a process and a start.

mod calls;
mod guests;
mod starts;

use crate::workspace::{build_portcullis, root};
use anyhow::{Context, Result};
use serde_json::Value as Json;
use std::fs;
use std::process::ExitCode;

/// Measure calls of modules against native code, and starts with many modules
///
/// One run, medians over rounds, a request of 7 KB. Calls run in this process, by the engine that `serve` runs; starts
/// are those of the binary. Fails if a module or policy answers what it should not.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls in a row, in each round
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repeat: u32,
    /// Starts with each set of policies
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = build_portcullis(true)?;
    let path = root()?.join("tests/reviews/pod-7kb.json");
    let text = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let review: Json = serde_json::from_slice(&text)?;
    let guests = guests::all()?;
    calls::measure(&program, &guests, &review["request"], args.repeat)?;
    println!();
    starts::measure(&program, &guests, &review, args.starts)?;
    Ok(ExitCode::SUCCESS)
}
