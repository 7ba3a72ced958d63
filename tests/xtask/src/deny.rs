//! `cargo xtask deny`: licences, advisories, bans and sources, as deny.toml says. Apart from `test`, because
//! cargo-deny takes minutes to build and reads the advisory database over the network.

use crate::workspace::cargo;
use anyhow::{Context, Result, bail};
use std::process::{ExitCode, Stdio};

pub(crate) fn run() -> Result<ExitCode> {
    let installed = cargo(["deny", "--version"])?.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.context("cannot start cargo")?.success() {
        bail!("cargo-deny is not installed; install it with `cargo install --locked cargo-deny`");
    }
    let status = cargo(["deny", "--workspace", "check"])?.status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
