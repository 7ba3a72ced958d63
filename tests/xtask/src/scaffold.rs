//! A policy begun as anybody would begin one: `portcullis new`, and then the commands that it prints, and no others.

use crate::modules;
use crate::workspace::{build_portcullis, root};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The name of the policy.
pub(crate) const NAME: &str = "pinned-tags";

/// Makes the policy and runs what is printed as far as `portcullis test`, in a folder below `target`. Returns the folder,
/// in which `wrapped.yaml` is what would be applied.
pub(crate) fn make() -> Result<PathBuf> {
    modules::require_target()?;
    let program = build_portcullis(false)?;
    let folder = root()?.join("target/scaffold").join(NAME);
    clear(&folder)?;
    let mut new = Command::new(&program);
    new.args(["new", "policy", "--wasm", NAME, "--directory"]).arg(&folder);
    let output = new.output().context("cannot start portcullis")?;
    let told = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "`portcullis new`: {}", String::from_utf8_lossy(&output.stderr));

    // Those that are printed run this binary as it would be found if it were installed.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = program.parent().context("the binary is in no directory")?.to_owned();
    let path = std::env::join_paths([beside].into_iter().chain(std::env::split_paths(&path)))?;
    let commands: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let (apply, run) = commands.split_last().context("no commands are printed")?;
    ensure!(
        run.len() == 5 && apply.starts_with("kubectl apply"),
        "other commands than known are printed: {told}"
    );
    for command in run {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&folder).env("PATH", &path);
        // What it depends on is here, since we depend on it: nobody need be asked what is newest.
        shell.env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
        let output = shell.output().context("cannot start sh")?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "`{command}` in {}:\n{stdout}{stderr}", folder.display());
        if command.starts_with("portcullis test") {
            ensure!(stdout.contains("3 cases: 3 passed"), "`{command}`: {stdout}");
        }
    }
    Ok(folder)
}

/// Removes what is there but for what was built, which may be built upon.
fn clear(folder: &std::path::Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(&path)?;
        } else if path.file_name().is_some_and(|name| name != "target") {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
