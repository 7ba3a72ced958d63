//! The verbs of the command line, a file each.

pub mod serve;

use crate::cli::GlobalArgs;
use crate::exit::Exit;
use clap::Subcommand;

/// What `portcullis` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Answer the API server's admission reviews over HTTPS
    Serve(serve::ServeArgs),
}

/// Runs a verb to its end.
///
/// # Errors
/// What made the verb impossible; what a verb finds in its inputs is its result, not an error.
pub fn run(verb: Verb, _global: &GlobalArgs) -> anyhow::Result<Exit> {
    match verb {
        Verb::Serve(args) => serve::run(args),
    }
}
