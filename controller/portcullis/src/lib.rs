//! The library behind the `portcullis` binary: verbs, webhook, sources, reports.
//!
//! The core decides; everything here reads inputs, calls it and says what came out.

pub mod cli;
pub mod client;
pub mod cluster;
pub mod entry;
pub mod excerpt;
pub mod exit;
pub mod live;
mod logs;
pub mod manifests;
pub mod metrics;
mod modules;
pub mod ops;
pub mod report;
mod schemas;
pub mod source;
pub mod status;
pub mod suite;
pub mod terminal;
pub mod verbs;
pub mod webhook;

use clap::Parser;
use cli::Cli;
use exit::Exit;
use std::ffi::OsString;

/// Runs the command line `args` (the program's name first) to its end and says how to exit.
///
/// Data goes to standard output, logs and errors to standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(refusal) => return cli::refuse(&refusal),
    };
    cli.global.start_logging(cli.verb.log_level(), cli.verb.serves());
    let exit = verbs::run(cli.verb, &cli.global).unwrap_or_else(|error| {
        logs::finish();
        cli.global.report(&error);
        Exit::Failure
    });
    logs::finish();
    exit
}
