//! `cargo xtask modules`: builds the policies that are written in Rust, and puts each module beside its `policy.yaml`, where
//! the verbs that read files find it.

use crate::workspace::{cargo, root};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What guests are built for.
const TARGET: &str = "wasm32-unknown-unknown";
/// The profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "wasm";

pub(crate) fn run() -> Result<ExitCode> {
    for module in build()? {
        println!("{} ({} KiB)", module.display(), fs::metadata(&module)?.len() >> 10);
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds all modules and returns where they are: those of the library, and the one that `portcullis new` begins with.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    require_target()?;
    let root = root()?;
    let policies = policies(&root)?;
    let mut names = Vec::new();
    for policy in &policies {
        names.push(package(policy)?);
    }
    let mut build = cargo(["build", "--quiet", "--locked", "--profile", PROFILE, "--target", TARGET])?;
    names.iter().for_each(|name| {
        build.args(["--package", name]);
    });
    ensure!(build.status().context("cannot start cargo")?.success(), "the modules cannot be built");
    let mut modules = Vec::new();
    for (policy, name) in policies.iter().zip(names) {
        let built = root.join("target").join(TARGET).join(PROFILE).join(name.replace('-', "_") + ".wasm");
        let module = policy.join(name + ".wasm");
        replace(&built, &module)?;
        modules.push(module);
    }
    Ok(modules)
}

/// The folders of policies that are crates.
fn policies(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.join("sdk/template")];
    for area in fs::read_dir(root.join("policies"))? {
        let area = area?.path();
        if area.is_dir() {
            for policy in fs::read_dir(area)? {
                found.push(policy?.path());
            }
        }
    }
    found.retain(|policy| policy.join("Cargo.toml").is_file());
    found.sort();
    Ok(found)
}

/// The name of the package in a folder, which is that of its module, too.
fn package(policy: &Path) -> Result<String> {
    let manifest = policy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.map(str::to_owned).with_context(|| format!("{} names no package", manifest.display()))
}

/// Puts a file in place of another as a whole, if it differs: whoever reads it meanwhile finds one or the other, and what
/// is watched does not change for nothing.
fn replace(source: &Path, destination: &Path) -> Result<()> {
    let new = fs::read(source).with_context(|| source.display().to_string())?;
    if fs::read(destination).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let beside = destination.with_extension("wasm.new");
    fs::write(&beside, new)?;
    fs::rename(&beside, destination).with_context(|| destination.display().to_string())
}

/// Fails with what to do where Rust cannot build for WebAssembly.
pub(crate) fn require_target() -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(root()?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("cannot start rustc")?;
    let directory = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() || !directory.is_dir() {
        bail!("Rust cannot build for {TARGET}: run `rustup target add {TARGET}`");
    }
    Ok(())
}
