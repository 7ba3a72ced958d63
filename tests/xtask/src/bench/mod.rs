//! `cargo xtask bench`: figures as ratios measured in one run, against the limit on the same machine. Nothing
//! is asserted about time, everything about answers.

mod affinity;
pub(crate) mod baseline;
mod blowups;
mod cel;
mod counting;
mod process;
mod vap;
mod wasm;
mod webhook;

use crate::workspace::cargo;
use anyhow::{Context, Result};
use clap::Subcommand;
use std::process::ExitCode;

/// Measure time and memory, as ratios in one run
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    Blowups(blowups::Args),
    Cel(cel::Args),
    Vap(vap::Args),
    Wasm(wasm::Args),
    Webhook(webhook::Args),
}

pub(crate) fn run(bench: &Bench) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return optimised();
    }
    match bench {
        Bench::Blowups(args) => blowups::run(args),
        Bench::Cel(args) => cel::run(args),
        Bench::Vap(args) => vap::run(args),
        Bench::Wasm(args) => wasm::run(args),
        Bench::Webhook(args) => webhook::run(args),
    }
}

/// The same command by an optimised build of ourselves: load generator and baselines must not be what is slow.
fn optimised() -> Result<ExitCode> {
    let status = cargo(["run", "--quiet", "--release", "--package", "xtask", "--"])?
        .args(std::env::args_os().skip(1))
        .status()
        .context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
