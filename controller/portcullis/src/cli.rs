//! The command line as a whole.

use crate::exit::Exit;
use crate::terminal::GlobalArgs;
use crate::verbs::Verb;
use clap::Parser;

/// The gate of a Kubernetes cluster: policies in ConfigMaps decide what may enter.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Flags that every verb has.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is denied (Warn and Audit end here too)
  1  wrong usage, unreadable input, or the tool failed
  2  something is denied, or a suite's expectation is not met
  3  a policy is invalid";

/// Prints what clap has to say: help and version to standard output, misuse to standard error with exit
/// code 1 (2 means denied here).
pub(crate) fn refuse(refusal: &clap::Error) -> Exit {
    // A closed pipe is no reason to complain.
    let _ = refusal.print();
    if refusal.use_stderr() { Exit::Failure } else { Exit::Clean }
}
