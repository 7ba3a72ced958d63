//! The Go programs of `tests/go`: built once for each state of their sources, into the user's cache.

use crate::workspace::{root, stdout_of};
use anyhow::{Context, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const INSTALL: &str = "Go is not installed\nhint: tests/go needs Go 1.26 or newer: `curl -fsSL \
                       https://go.dev/dl/go1.26.0.linux-amd64.tar.gz | sudo tar -C /usr/local -xz`, and \
                       /usr/local/go/bin in PATH; or your distribution's package";

/// The path of the program `tests/go/cmd/<name>`, which is built if it is not there yet.
///
/// # Errors
/// Go is not installed, or the program does not build.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let module = root()?.join("tests/go");
    let path = cache()?.join("go").join(format!("{:016x}", fingerprint(&module)?)).join(name);
    if path.exists() {
        return Ok(path);
    }
    eprintln!("building {name} from tests/go");
    // It takes its name once it is whole, so that two runs at a time do not see each other's halves.
    let unfinished = path.with_extension(std::process::id().to_string());
    stdout_of(go(&module)?.args(["build", "-trimpath", "-o"]).arg(&unfinished).arg(format!("./cmd/{name}")))?;
    fs::rename(&unfinished, &path).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// The folder in which Go keeps a module that `tests/go` needs, at the version it needs.
///
/// # Errors
/// Go is not installed, or the module cannot be downloaded.
pub(crate) fn module(path: &str) -> Result<PathBuf> {
    let ours = root()?.join("tests/go");
    stdout_of(go(&ours)?.args(["mod", "download", path]))?;
    let folder = stdout_of(go(&ours)?.args(["list", "-m", "-f", "{{.Dir}}", path]))?;
    Ok(PathBuf::from(folder.trim()))
}

/// The folder in which Go keeps a module that `tests/go` does not need: data that is only read.
///
/// # Errors
/// Go is not installed, or the module cannot be downloaded.
pub(crate) fn module_at(path: &str, version: &str) -> Result<PathBuf> {
    let ours = root()?.join("tests/go");
    let told = stdout_of(go(&ours)?.args(["mod", "download", "-json", &format!("{path}@{version}")]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("Go's answer is not JSON")?;
    told["Dir"].as_str().map(PathBuf::from).context("Go does not say where the module is")
}

/// The version of a module that `tests/go` needs.
///
/// # Errors
/// Go is not installed, or `tests/go` does not need it.
pub(crate) fn version(path: &str) -> Result<String> {
    let ours = root()?.join("tests/go");
    let version = stdout_of(go(&ours)?.args(["list", "-m", "-f", "{{.Version}}", path]))?;
    Ok(version.trim().to_owned())
}

/// A folder in the user's cache for what is made of some folders of `tests/go`, as they are now.
///
/// # Errors
/// It cannot be made, or one of them cannot be read.
pub(crate) fn cached(parts: &[&str]) -> Result<PathBuf> {
    let ours = root()?.join("tests/go");
    let mut hasher = DefaultHasher::new();
    for part in parts {
        fingerprint(&ours.join(part))?.hash(&mut hasher);
    }
    let folder = cache()?.join("portcullis/go").join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot write `{}`", folder.display()))?;
    Ok(folder)
}

/// `go`, to be run in a module, without C.
///
/// # Errors
/// Go is not installed.
pub(crate) fn go(module: &Path) -> Result<Command> {
    if Command::new("go").arg("version").output().is_err() {
        bail!(INSTALL);
    }
    let mut command = Command::new("go");
    command.current_dir(module).env("CGO_ENABLED", "0");
    Ok(command)
}

/// Our folder in the user's cache.
///
/// # Errors
/// The user has neither a cache nor a home.
pub(crate) fn cache() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(home)
        .map(|cache| cache.join("portcullis"))
        .context("neither XDG_CACHE_HOME nor HOME is set")
}

/// A hash over the names and contents of all files of a module; modules inside it are none of its own.
fn fingerprint(folder: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        let mut entries =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        entries.sort();
        for path in entries {
            if path.is_dir() {
                if !path.join("go.mod").exists() {
                    folders.push(path);
                }
                continue;
            }
            path.strip_prefix(root()?).unwrap_or(&path).hash(&mut hasher);
            fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}
