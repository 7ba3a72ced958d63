//! The verbs of the command line, a file each.

pub mod audit;
pub mod check;
pub mod compile_module;
pub mod demo;
pub mod disarm;
pub mod explain;
pub mod inputs;
pub mod lint;
pub mod new;
pub mod serve;
pub mod status;
mod stop;
pub mod test;
mod values;
pub mod wrap;

use crate::exit::Exit;
use crate::terminal::{GlobalArgs, LogLevel};
use clap::Subcommand;

/// What `portcullis` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Answer the API server's admission reviews over HTTPS
    Serve(Box<serve::ServeArgs>),
    /// Check manifests before they are applied
    Check(check::CheckArgs),
    /// Show why a request is denied: each sub-expression with its value
    Explain(explain::ExplainArgs),
    /// Run the suites that policies bring along
    Test(test::TestArgs),
    /// Say everything that is wrong with policies, with lines and carets
    Lint(lint::LintArgs),
    /// Report who would be denied, among the objects of a cluster or of a dump
    Audit(audit::AuditArgs),
    /// Show what is in force in a cluster, and what is not as it was written
    Status(status::StatusArgs),
    /// Call everything off: the API server asks nobody until `arm`
    Disarm(disarm::DisarmArgs),
    /// End what `disarm` began, and wait until it is in force
    Arm(disarm::ArmArgs),
    /// Begin a policy in Rust, to be run as a WASM module
    New(new::NewArgs),
    /// Put a WASM module into the ConfigMap of its policy
    Wrap(wrap::WrapArgs),
    /// Show the webhook at work on the policy library, over real HTTPS
    Demo(demo::DemoArgs),
    /// Compile a module from standard input to standard output
    #[command(hide = true)]
    CompileModule,
}

impl Verb {
    /// How much a verb logs unless it is told: the demo prints what it is about itself.
    pub fn log_level(&self) -> LogLevel {
        match self {
            Self::Audit(_) | Self::Demo(_) | Self::Status(_) | Self::Disarm(_) | Self::Arm(_) => {
                LogLevel::Warn
            }
            Self::Serve(_)
            | Self::Check(_)
            | Self::Explain(_)
            | Self::Test(_)
            | Self::Lint(_)
            | Self::New(_)
            | Self::Wrap(_)
            | Self::CompileModule => LogLevel::Info,
        }
    }

    /// Whether requests are answered meanwhile, which nothing may hold up.
    pub fn serves(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

/// Runs a verb to its end.
///
/// # Errors
/// What made the verb impossible; what a verb finds in its inputs is its result, not an error.
pub fn run(verb: Verb, global: &GlobalArgs) -> anyhow::Result<Exit> {
    match verb {
        Verb::Serve(args) => serve::run(*args),
        Verb::Check(args) => check::run(&args, global),
        Verb::Explain(args) => explain::run(&args, global),
        Verb::Test(args) => test::run(&args, global),
        Verb::Lint(args) => lint::run(&args, global),
        Verb::Audit(args) => audit::run(&args, global),
        Verb::Status(args) => status::run(&args, global),
        Verb::Disarm(args) => disarm::disarm(&args, global),
        Verb::Arm(args) => disarm::arm(&args),
        Verb::Demo(args) => demo::run(&args, global),
        Verb::New(args) => new::run(&args, global),
        Verb::Wrap(args) => wrap::run(&args, global),
        Verb::CompileModule => Ok(compile_module::run()),
    }
}
