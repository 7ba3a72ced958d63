//! Purity: the crates that decide have no I/O, clock, async or logging below them, and the workspace's
//! crates depend on each other in one direction only.

use crate::workspace::{cargo, stdout_of};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;

/// Crates that must stay pure.
const PURE: [&str; 2] = ["portcullis-cel", "portcullis-core"];

/// What must not be below them, by crate name; a trailing `*` stands for any ending.
const IMPURE: [&str; 27] = [
    "async-*",
    "axum*",
    "env_logger",
    "futures-executor",
    "getrandom",
    "h2",
    "http",
    "hyper*",
    "k8s-openapi",
    "kube*",
    "mio",
    "notify*",
    "opentelemetry*",
    "rand",
    "reqwest",
    "ring",
    "rustls*",
    "signal-hook*",
    "smol",
    "socket2",
    "tempfile",
    "tokio*",
    "tower*",
    "tracing*",
    "ureq",
    "wasmtime*",
    "walkdir",
];

/// Who may depend on whom inside the workspace, tests aside. Policies of the library need no entry: they are written
/// against the SDK alone.
const EDGES: [(&str, &[&str]); 9] = [
    ("portcullis-cel", &[]),
    ("portcullis-core", &["portcullis-cel"]),
    ("portcullis-wasm", &["portcullis-core"]),
    ("portcullis", &["portcullis-core", "portcullis-wasm"]),
    ("portcullis-sdk", &["portcullis-sdk-macros"]),
    ("portcullis-sdk-macros", &[]),
    ("pinned-images", &["portcullis-sdk"]),
    ("test-guest", &["portcullis-sdk"]),
    ("xtask", &["portcullis", "portcullis-cel", "portcullis-core", "portcullis-wasm"]),
];

/// Every violation, a line each.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in PURE {
        let tree = stdout_of(&mut cargo([
            "tree",
            "--quiet",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])?)?;
        problems.extend(
            impure(&tree).into_iter().map(|name| format!("`{package}` is pure but depends on `{name}`")),
        );
    }
    let metadata =
        stdout_of(&mut cargo(["metadata", "--quiet", "--locked", "--no-deps", "--format-version", "1"])?)?;
    problems.extend(wrong_edges(&serde_json::from_str(&metadata)?));
    Ok(problems)
}

/// The forbidden crates in what `cargo tree --prefix none` prints: `name vVERSION …` per line.
fn impure(tree: &str) -> BTreeSet<&str> {
    let forbidden = |name: &&str| {
        IMPURE.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        })
    };
    tree.lines().filter_map(|line| line.split(' ').next()).filter(forbidden).collect()
}

/// Dependencies between workspace members that [`EDGES`] does not list.
fn wrong_edges(metadata: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let is_policy = package["manifest_path"].as_str().is_some_and(|path| path.contains("/policies/"));
        let edges = EDGES.iter().find(|(member, _)| *member == name).map(|(_, allowed)| *allowed);
        let Some(allowed) = edges.or(is_policy.then_some(&["portcullis-sdk"])) else {
            problems.push(format!("`{name}` is a new crate: say in purity.rs what it may depend on"));
            continue;
        };
        let inside = package["dependencies"].as_array().into_iter().flatten();
        let inside =
            inside.filter(|dependency| dependency["path"].is_string() && dependency["kind"].is_null());
        for below in inside.filter_map(|dependency| dependency["name"].as_str()) {
            if !allowed.contains(&below) {
                problems.push(format!("`{name}` must not depend on `{below}`"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{impure, wrong_edges};
    use serde_json::json;

    #[test]
    fn an_impure_dependency_is_found_by_name_and_by_family() {
        let check = |tree: &str, expect: &[&str]| {
            assert_eq!(impure(tree).into_iter().collect::<Vec<_>>(), expect, "{tree}");
        };
        check("regex v1.12.2\ntokio-util v0.7.1\nmio v1.0.0 (*)", &["mio", "tokio-util"]);
        check("randomize v1.0.0\nthiserror v2.0.0 (proc-macro)", &[]);
    }

    #[test]
    fn only_edges_of_the_design_pass() {
        let check = |name: &str, below: &str, kind: Option<&str>, expect: &[&str]| {
            let metadata = json!({"packages": [{
                "name": name,
                "dependencies": [{"name": below, "path": "/somewhere", "kind": kind}, {"name": "regex", "kind": null}],
            }]});
            assert_eq!(wrong_edges(&metadata), expect, "{name} -> {below}");
        };
        check("portcullis-core", "portcullis-cel", None, &[]);
        check(
            "portcullis-cel",
            "portcullis-core",
            None,
            &["`portcullis-cel` must not depend on `portcullis-core`"],
        );
        check("portcullis-cel", "portcullis-core", Some("dev"), &[]);
        check(
            "pinned-images",
            "portcullis-core",
            None,
            &["`pinned-images` must not depend on `portcullis-core`"],
        );
        check("new", "portcullis", None, &["`new` is a new crate: say in purity.rs what it may depend on"]);
    }
}
