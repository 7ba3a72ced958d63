//! The workspace as commands see it: where it is, how cargo is called, how a list of problems is reported.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The root of the workspace.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(Path::to_path_buf).context("the workspace's root is not above tests/xtask")
}

/// `cargo`, to be run in the root with the toolchain that runs us.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()?).args(args);
    Ok(command)
}

/// Runs a command to its end with its errors passed through, and returns what it wrote to standard output.
///
/// # Errors
/// It cannot be started, or it does not end with 0.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{name}`"))?;
    if !output.status.success() {
        bail!("`{name}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{name}` does not write UTF-8"))
}

/// Builds the `portcullis` binary and returns its path: the release build as users make it, any other with the
/// features of the whole workspace, as the tests have it already.
pub(crate) fn build_portcullis(release: bool) -> Result<PathBuf> {
    let mut command =
        cargo("build --quiet --bin portcullis --message-format=json-render-diagnostics".split(' '))?;
    command.args(if release { ["--release", "--package=portcullis"].as_slice() } else { &["--workspace"] });
    let messages = stdout_of(&mut command)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "portcullis")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no `portcullis`")
}

/// All files below a folder, in order.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Prints problems, one per line, and says how a check named `what` ends.
pub(crate) fn verdict(what: &str, problems: Result<Vec<String>>) -> Result<ExitCode> {
    let problems = problems?;
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("{what}: nothing to complain about");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{what}: {} to fix", problems.len());
    Ok(ExitCode::FAILURE)
}
