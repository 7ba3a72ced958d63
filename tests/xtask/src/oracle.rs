//! `cargo xtask oracle`: the engine beside cel-go on generated expressions, and beside itself on changed
//! objects.

use anyhow::Result;

/// Compare the engine with cel-go on generated expressions, and its footprints with what results depend on
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the generator begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many expressions to compare
    #[arg(long, default_value_t = 3_000)]
    count: u64,
}

/// Gives whether there was no difference.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let same = conformance::oracle::compare(args.seed, args.count)?;
    Ok(conformance::oracle::mutate(args.seed, args.count / 6)? && same)
}
