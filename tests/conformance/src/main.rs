//! `conformance spec [folder]`, `conformance oracle [seed] [count]` and `conformance footprint [seed] [count]`.

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, otherwise: u64| args.get(index).map_or(Ok(otherwise), |text| text.parse());
    let passed = match args.first().map(String::as_str) {
        Some("spec") => conformance::spec::run(args.get(1).map(Into::into))?,
        Some("oracle") => conformance::oracle::compare(number(1, 1)?, number(2, 3_000)?)?,
        Some("footprint") => conformance::oracle::mutate(number(1, 1)?, number(2, 500)?)?,
        _ => bail!("usage: conformance spec|oracle|footprint"),
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
