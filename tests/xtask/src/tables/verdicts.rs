//! What the API server's own tests of matching, matchConditions and validations decide: they run unmodified on a
//! copy of k8s.io/apiserver in which the functions that decide say what they were asked, and what they answered.

use super::record::{read, reasons};
use crate::golang;
use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};

/// The packages that decide, below this folder: the file that does, and its functions, which get other names.
const FOLDER: &str = "pkg/admission/plugin";
const DECIDING: &[(&str, &str, &[&str])] = &[
    (
        "webhook/predicates/rules",
        "rules.go",
        &[
            "func (r *Matcher) scope(",
            "func (r *Matcher) group(",
            "func (r *Matcher) version(",
            "func (r *Matcher) operation(",
            "func (r *Matcher) resource(",
        ],
    ),
    ("webhook/predicates/object", "matcher.go", &["func (m *Matcher) MatchObjectSelector("]),
    ("webhook/matchconditions", "matcher.go", &["func (m *matcher) Match("]),
    ("policy/matching", "matching.go", &["func (m *Matcher) Matches("]),
    ("policy/validating", "validator.go", &["func (v *validator) Validate("]),
];
/// What begins a line that is a record.
const MARKER: &str = "judged: ";

/// One decision of a test.
#[derive(Debug)]
pub(super) struct Decided {
    /// The package and the name of the test.
    pub(super) test: String,
    pub(super) record: Json,
}

/// Runs the tests. Go keeps their output, so that only the first run takes long.
///
/// # Errors
/// Go is not installed, the module cannot be downloaded, or a package does not build.
pub(super) fn all() -> Result<Vec<Decided>> {
    let copy = recording()?;
    eprintln!("running the tests of {FOLDER}");
    let packages = DECIDING.iter().map(|(package, ..)| format!("./{FOLDER}/{package}"));
    let output = golang::go(&copy)?
        .args(["test", "-json", "-parallel=1", "-tags=recorder"])
        .args(packages)
        .output()
        .context("cannot run go test")?;
    let mut decided = Vec::new();
    read(&String::from_utf8_lossy(&output.stdout), MARKER, |test, record| {
        decided.push(Decided { test, record });
    })?;
    if !output.status.success() || decided.is_empty() {
        bail!("the tests of k8s.io/apiserver do not run: {}", reasons(&output));
    }
    Ok(decided)
}

/// The copy of the API server, made once for each state of the recorders.
fn recording() -> Result<PathBuf> {
    let source = golang::module("k8s.io/apiserver")?;
    let name = source.file_name().context("the module has no folder")?.to_string_lossy().into_owned();
    let copy = golang::cached(&["verdicts"])?.join(format!("recording-{name}"));
    if copy.exists() {
        return Ok(copy);
    }
    let unfinished = copy.with_extension(std::process::id().to_string());
    copy_all(&source, &unfinished)?;
    let ours = crate::workspace::root()?.join("tests/go/verdicts");
    for (package, file, functions) in DECIDING {
        let folder = unfinished.join(FOLDER).join(package);
        let path = folder.join(file);
        let mut text = fs::read_to_string(&path).with_context(|| format!("there is no `{file}`"))?;
        for function in *functions {
            if text.matches(function).count() != 1 {
                bail!("`{package}/{file}` does not have `{function}` once: the recorder has to be adapted");
            }
            text = text.replace(function, &unrecorded(function));
        }
        fs::write(&path, text)?;
        let last = package.rsplit('/').next().unwrap_or(package);
        fs::write(folder.join("recorder.go"), fs::read(ours.join(last).join("recorder.go"))?)?;
    }
    fs::rename(&unfinished, &copy).with_context(|| format!("cannot write `{}`", copy.display()))?;
    Ok(copy)
}

/// `func (m *Matcher) Matches(` as `func (m *Matcher) matchesUnrecorded(`.
fn unrecorded(function: &str) -> String {
    let (receiver, name) = function.split_at(function.rfind(' ').map_or(0, |at| at + 1));
    let name = name.trim_end_matches('(');
    let (first, rest) = name.split_at(1);
    format!("{receiver}{}{rest}Unrecorded(", first.to_lowercase())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot write `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() {
            copy_all(&path, &to.join(name))?;
        } else {
            // Not copied as a file, whose mode is read-only in Go's cache.
            fs::write(to.join(name), fs::read(&path)?)?;
        }
    }
    Ok(())
}
