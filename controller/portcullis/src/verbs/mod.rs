//! The verbs of the command line, a file each.

pub mod audit;
pub mod check;
pub mod inputs;
pub mod serve;
pub mod test;

use crate::cli::GlobalArgs;
use crate::exit::Exit;
use clap::Subcommand;

/// What `portcullis` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Answer the API server's admission reviews over HTTPS
    Serve(serve::ServeArgs),
    /// Check manifests before they are applied
    Check(check::CheckArgs),
    /// Run the suites that policies bring along
    Test(test::TestArgs),
    /// Report who would be denied, among objects dumped from a cluster
    Audit(audit::AuditArgs),
}

/// Runs a verb to its end.
///
/// # Errors
/// What made the verb impossible; what a verb finds in its inputs is its result, not an error.
pub fn run(verb: Verb, global: &GlobalArgs) -> anyhow::Result<Exit> {
    match verb {
        Verb::Serve(args) => serve::run(args),
        Verb::Check(args) => check::run(&args, global),
        Verb::Test(args) => test::run(&args, global),
        Verb::Audit(args) => audit::run(&args, global),
    }
}
