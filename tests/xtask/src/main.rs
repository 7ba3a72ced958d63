//! The one list of commands: `cargo xtask <command>`. Nothing but cargo need be installed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to its terminal")]
#![allow(clippy::indexing_slicing, reason = "JSON is indexed, and yields null where there is nothing")]

mod agree;
mod bench;
mod celgo;
mod cluster;
mod conformance;
mod deny;
mod fuzz;
mod golang;
mod house;
mod image;
mod load;
mod modules;
mod oracle;
mod podsecurity;
mod precision;
mod purity;
mod scaffold;
mod schemas;
mod served;
mod swap;
mod tables;
mod test;
mod vap;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tests, checks and benchmarks of Portcullis
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::Args),
    Agree(agree::Args),
    Conformance(conformance::Args),
    Fuzz(fuzz::Args),
    Oracle(oracle::Args),
    Swap(swap::Args),
    ClusterTest(cluster::Args),
    Manifests(cluster::manifests::Args),
    Image(image::Args),
    Vap(vap::Args),
    Schemas(schemas::Args),
    /// Build the policies that are written in Rust, each module beside its policy.yaml
    Modules,
    /// Judge the fixtures of Pod Security admission by the policies that we ship; needs Go
    PodSecurity,
    /// Look for literal credentials in what others have published; needs Go
    Precision,
    Tables(tables::Args),
    /// Check that the core stays pure and that crates depend on each other as the design says
    Purity,
    /// Check the house rules: file length, module docs, no loose ends
    House,
    /// Check licences, advisories and sources of all dependencies with cargo-deny
    Deny,
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Compile a module for the suites that run in this process
    #[command(hide = true)]
    CompileModule,
    /// A no-op webhook, which benchmarks start
    #[command(hide = true)]
    Baseline(bench::baseline::Args),
}

fn main() -> ExitCode {
    let result = match Xtask::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Agree(args) => agree::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Oracle(args) => oracle::run(&args),
        Command::Swap(args) => swap::run(&args),
        Command::ClusterTest(args) => cluster::run(&args),
        Command::Manifests(args) => cluster::manifests::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Vap(args) => vap::run(&args),
        Command::Schemas(args) => schemas::run(&args),
        Command::Modules => modules::run(),
        Command::CompileModule => Ok(portcullis::verbs::compile_module::run().into()),
        Command::PodSecurity => podsecurity::run(),
        Command::Precision => precision::run(),
        Command::Tables(args) => tables::run(&args),
        Command::Purity => workspace::verdict("purity", purity::check()),
        Command::House => workspace::verdict("house rules", house::check()),
        Command::Deny => deny::run(),
        Command::Bench(bench) => bench::run(&bench),
        Command::Baseline(args) => bench::baseline::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
