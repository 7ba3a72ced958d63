//! A policy in Go: that of `sdk/go`, built from source, wrapped, loaded, and asked as any other.

use crate::gate::{Gate, PATIENCE, review};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How to get Go.
const INSTALL: &str = "needs Go 1.26 or newer: `curl -fsSL https://go.dev/dl/go1.26.0.linux-amd64.tar.gz | sudo tar -C \
                       /usr/local -xz`, and /usr/local/go/bin in PATH";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Builds the policy of `sdk/go`, with what its author does not promise: by an object's name it does other things.
fn build(directory: &Path) -> PathBuf {
    let source = directory.join("source");
    fs::create_dir(&source).unwrap();
    for name in ["go.mod", "policy.go", "portcullis.go", "portcullis_wasip1.go"] {
        let text = fs::read_to_string(root().join("sdk/go").join(name)).unwrap();
        fs::write(source.join(name), text.replace("func Validate(", "func judgeImages(")).unwrap();
    }
    fs::copy(root().join("tests/guest/acts.go"), source.join("acts.go")).unwrap();
    let module = directory.join("approved-registries.wasm");
    let output = Command::new("go")
        .current_dir(&source)
        .args(["build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o"])
        .arg(&module)
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0")])
        .output()
        .unwrap_or_else(|error| panic!("cannot start `go`: {error}; {INSTALL}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    module
}

/// A Pod with an image.
fn pod(name: &str, image: &str) -> Json {
    let mut review = review(name);
    let request = &mut review["request"];
    request["kind"]["kind"] = json!("Pod");
    request["resource"]["resource"] = json!("pods");
    request["object"]["kind"] = json!("Pod");
    request["object"]["spec"] = json!({"containers": [{"name": "main", "image": image}]});
    review
}

#[test]
fn its_own_tests_pass_without_a_host() {
    let mut go = Command::new("go");
    let output = go.current_dir(root().join("sdk/go")).args(["test", "./..."]).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start `go`: {error}; {INSTALL}"));
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.starts_with("ok "), "{told}");
}

#[tokio::test]
async fn a_policy_in_go_is_one_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let module = build(directory.path());
    let policies = directory.path().join("policies");
    fs::create_dir(&policies).unwrap();
    let text = fs::read_to_string(root().join("sdk/go/policy.yaml")).unwrap();
    let lookups = "lookups: [{name: maps, apiVersion: v1, kind: ConfigMap, namespace: team-a}]\n      wasm:";
    let policy = directory.path().join("policy.yaml");
    fs::write(&policy, text.replace("wasm:\n", &format!("{lookups}\n"))).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["wrap", "-o"])
        .args([&policies.join("wrapped.yaml"), &policy, &module])
        .env("XDG_CACHE_HOME", directory.path().join("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // One ConfigMap does not hold it.
    let wrapped = fs::read_to_string(policies.join("wrapped.yaml")).unwrap();
    assert!(wrapped.contains(".2-of-2:"));
    let resources = directory.path().join("resources");
    fs::create_dir(&resources).unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "team-a"},
                     "data": {"key": "x".repeat(20)}});
    fs::write(resources.join("map.json"), map.to_string()).unwrap();
    let (cache, resources) =
        (directory.path().join("cache/portcullis/modules"), resources.display().to_string());
    let cache = cache.display().to_string();
    let gate = Gate::start_in(directory, &["--module-cache", &cache, "--resources", &resources]);
    let begin = Instant::now();
    while gate.metric("portcullis_policies{state=\"pending\"}").await > 0.0 {
        assert!(begin.elapsed() < 3 * PATIENCE, "the module is still pending");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let told = async |name: &str, image: &str| {
        let response = gate.ask("/validate", &pod(name, image)).await.response();
        let text = response["status"]["message"].as_str().unwrap_or("allowed");
        text.strip_prefix("policy `approved-registries`: ").unwrap_or(text).to_owned()
    };
    assert_eq!(told("web", "registry.example.com/web:1").await, "allowed");
    let denied = "`spec.containers[0].image`: image `nginx:1` is of no approved registry; use one of registry.example.com";
    assert_eq!(told("web", "nginx:1").await, denied);
    let mut wrong = Vec::new();
    for (name, expected) in [
        ("panic", "the module gave up: panic: assignment to entry in nil map"),
        ("loop", "the module did not end within 300 million instructions"),
        ("nest", "the module's calls nest too deep"),
        ("hoard", "the module needs more than 32 MiB of memory"),
        ("fail", "the module gave up: so it is not to be decided"),
        ("exit", "the module gave up (exit code 3)"),
        ("sleep", "slept for 1h0m0s"),
        ("look-up", "[{\"Metadata\":{\"Name\":\"one\"},\"Data\":{\"key\":\"xxxxxxxxxxxxxxxxxxxx\"}}]"),
        ("miss", "the module asks for look-up `others`, which the policy does not declare"),
        ("large", "the module's reply is longer than 256 KiB"),
    ] {
        let begin = Instant::now();
        let told = told(name, "registry.example.com/web").await;
        println!("{name}: {told} ({} ms)", begin.elapsed().as_millis());
        if !told.starts_with(expected) {
            wrong.push(format!("{name}: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let first = told("tell", "").await;
    assert!(first.starts_with("1970-01-01 00:00:01 +0000 UTC 0 0 ["), "{first}");
    assert_eq!(told("tell", "").await, first, "a verdict can be replayed");
    gate.logged_where("what it prints", |line| line["message"] == "module: a line for the log");
    assert_eq!(gate.metric("portcullis_panics_total").await, 0.0);
}
