//! Kubernetes' own tests, run unmodified on a copy of cel-go that prints each expression it meets.

use crate::golang;
use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The packages whose tests evaluate CEL, by their modules.
const TESTS: &[(&str, &[&str])] = &[
    (
        "k8s.io/apiserver",
        &[
            "./pkg/cel/library",
            "./pkg/cel/environment",
            "./pkg/cel/openapi",
            "./pkg/admission/plugin/cel",
            "./pkg/admission/plugin/policy/validating",
        ],
    ),
    ("k8s.io/apiextensions-apiserver", &["./pkg/apiserver/schema/cel"]),
];

/// The functions of cel-go that the recorder takes the places of, by file.
const RENAMED: &[(&str, &str, &str)] = &[
    ("env.go", "func (e *Env) Compile(", "func (e *Env) compileUnrecorded("),
    ("env.go", "func (e *Env) Program(", "func (e *Env) programUnrecorded("),
    ("program.go", "func (p *prog) Eval(", "func (p *prog) evalUnrecorded("),
];

/// What begins a line that is a record.
const MARKER: &str = "recorded: ";

/// An expression as a test compiled or evaluated it.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The package and the name of the test.
    pub(super) test: String,
    pub(super) record: Json,
}

/// Runs the tests. Go keeps their output, so that only the first run takes long.
///
/// # Errors
/// Go is not installed, a module cannot be downloaded, or a package does not build.
pub(super) fn all() -> Result<Vec<Recorded>> {
    let copy = recording()?;
    let version = golang::version("k8s.io/apiserver")?;
    let mut recorded = Vec::new();
    for (module, packages) in TESTS {
        let folder = golang::module_at(module, &version)?;
        let mod_file = copy.join(format!("{}.mod", module.replace('/', "-")));
        let needs = fs::read_to_string(folder.join("go.mod"))?;
        let replaced = format!("{needs}\nreplace github.com/google/cel-go => {}\n", copy.display());
        fs::write(&mod_file, replaced)?;
        fs::copy(folder.join("go.sum"), mod_file.with_extension("sum"))?;
        eprintln!("running the tests of {module} {version}");
        let output = golang::go(&folder)?
            .args(["test", "-json", "-parallel=1", "-tags=recorder", "-modfile"])
            .arg(&mod_file)
            .args(*packages)
            .output()
            .context("cannot run go test")?;
        let before = recorded.len();
        read(&String::from_utf8_lossy(&output.stdout), MARKER, |test, record| {
            recorded.push(Recorded { test, record });
        })?;
        if recorded.len() == before {
            bail!("the tests of {module} do not run: {}", reasons(&output));
        }
    }
    Ok(recorded)
}

/// What go test says of a package that does not build.
pub(super) fn reasons(output: &Output) -> String {
    let events = String::from_utf8_lossy(&output.stdout);
    let events = events.lines().filter_map(|event| serde_json::from_str::<Json>(event).ok());
    let built = events.filter(|event| event["Action"] == "build-output");
    let said: String = built.filter_map(|event| event["Output"].as_str().map(str::to_owned)).collect();
    said + &String::from_utf8_lossy(&output.stderr)
}

/// The copy of cel-go, made once for each state of the recorder.
fn recording() -> Result<PathBuf> {
    let source = golang::module("github.com/google/cel-go")?;
    let name = source.file_name().context("cel-go has no folder")?.to_string_lossy().into_owned();
    let copy = golang::cached(&["recorder", "internal/wire"])?.join(format!("recording-{name}"));
    if copy.exists() {
        return Ok(copy);
    }
    let unfinished = copy.with_extension(std::process::id().to_string());
    for part in ["cel", "checker", "common", "ext", "interpreter", "parser"] {
        copy_sources(&source.join(part), &unfinished.join(part))?;
    }
    fs::copy(source.join("go.mod"), unfinished.join("go.mod"))?;
    let ours = crate::workspace::root()?.join("tests/go");
    copy_sources(&ours.join("internal/wire"), &unfinished.join("wire"))?;
    copy_sources(&ours.join("recorder"), &unfinished.join("cel"))?;
    for (file, found, replacement) in RENAMED {
        let path = unfinished.join("cel").join(file);
        let text = fs::read_to_string(&path)?;
        if text.matches(found).count() != 1 {
            bail!("cel-go's `cel/{file}` does not have `{found}` once: the recorder has to be adapted to it");
        }
        fs::write(&path, text.replace(found, replacement))?;
    }
    fs::rename(&unfinished, &copy).with_context(|| format!("cannot write `{}`", copy.display()))?;
    Ok(copy)
}

/// Copies the files of a folder and of those below it, but for tests.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot write `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            copy_sources(&path, &to.join(name))?;
        } else if !name.ends_with("_test.go") {
            // Not copied as a file, whose mode is read-only in Go's cache.
            fs::write(to.join(name), fs::read(&path)?)?;
        }
    }
    Ok(())
}

/// Reads the records out of the events of `go test -json`, which gives a long line in several.
pub(super) fn read(events: &str, marker: &str, mut take: impl FnMut(String, Json)) -> Result<()> {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for event in events.lines() {
        let event: Json = serde_json::from_str(event).with_context(|| format!("not an event: {event}"))?;
        let (Some(package), Some(output)) = (event["Package"].as_str(), event["Output"].as_str()) else {
            continue;
        };
        let line = lines.entry(package.to_owned()).or_default();
        line.push_str(output);
        if !line.ends_with('\n') {
            continue;
        }
        let line = std::mem::take(line);
        if let Some(record) = line.strip_prefix(marker) {
            let record = serde_json::from_str(record).with_context(|| format!("not a record: {record}"))?;
            let test = event["Test"].as_str().unwrap_or_default();
            take(format!("{package} {test}"), record);
        }
    }
    Ok(())
}
