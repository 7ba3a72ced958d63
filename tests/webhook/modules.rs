//! WASM policies in the webhook: what modules do to be stopped, and that nobody else notices.

use crate::client::Version;
use crate::gate::{Gate, PATIENCE, Start, eventually, policy, review};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// A module that denies with the message of its settings, and does this first in `portcullis_validate`.
fn module(before: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
          (import "portcullis" "log" (func $log (param i32 i32 i32)))
          (memory (export "memory") 2)
          (table $t 1 funcref)
          (data (i32.const 16) "{{\"errors\":[]}}")
          (data (i32.const 64) "panicked at policy.rs:7: no such field")
          (global $next (mut i32) (i32.const 1024))
          (func (export "portcullis_abi_v1"))
          (func (export "portcullis_alloc") (param i32) (result i32)
            global.get $next
            (global.set $next (i32.add (global.get $next) (local.get 0))))
          (func $validate (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
            {before}
            (i64.or
              (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32))
              (i64.extend_i32_u (local.get 3))))
          (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
            (i64.const 0x000000100000000D))
          {more})"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn denying(message: &str) -> Json {
    json!({"violations": [{"message": message, "fieldPath": "data.key"}]})
}

/// The ConfigMap of a policy over ConfigMaps of one name, or of names that begin with it and a `-`.
fn config_map(name: &str, module: &[u8], settings: &Json) -> String {
    let encoded = STANDARD.encode(module);
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: portcullis, labels: {{portcullis.dev/policy: 'true'}}}}
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {{name: {name}}}
    spec:
      validationActions: [Deny]
      matchConstraints:
        resourceRules:
        - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}
      matchConditions:
      - {{name: its-own, expression: (object.metadata.name + '-').startsWith('bad-{name}-')}}
      wasm: {{module: m.wasm, settings: {settings}}}
binaryData: {{m.wasm: '{encoded}'}}
"
    )
}

/// A module of 66 KB whose one function has 4,000 loops in a row, which keep a compiler busy for ten seconds or a
/// gigabyte.
fn compile_bomb() -> Vec<u8> {
    let mut text = String::from("(module (func (local ");
    text.push_str(&"i32 ".repeat(1_000));
    text.push(')');
    for index in 0..4_000 {
        let (one, other) = (index % 1_000, (index * 7 + 1) % 1_000);
        write!(text, "(loop (br_if 0 (local.tee {other} (i32.add (local.get {one}) (i32.const 1)))))")
            .unwrap();
    }
    text.push_str("))");
    wat::parse_str(&text).unwrap()
}

/// What modules do while they judge: name, module, and what the requester is told.
fn at_run_time() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let endless = "the module did not end within 300 million instructions";
    let doing = |before: &str| module(before, "");
    vec![
        ("endless-loop", doing("(loop br 0)"), endless),
        ("grow-by-nothing-loop", doing("(loop (drop (memory.grow (i32.const 0))) br 0)"), endless),
        (
            "recursion",
            doing("(drop (call $validate (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))"),
            "the module's calls nest too deep",
        ),
        (
            "memory-bomb",
            doing("(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"),
            "the module needs more than 32 MiB of memory",
        ),
        (
            "table-bomb",
            doing(
                "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) unreachable",
            ),
            "the module needs a table of more than 10000 elements",
        ),
        (
            "memory-fill-loop",
            doing("(loop (memory.fill (i32.const 1024) (i32.const 1) (i32.const 100000)) br 0)"),
            endless,
        ),
        (
            "trap",
            doing("(drop (i32.div_s (i32.const 1) (i32.const 0)))"),
            "the module failed: integer divide by zero",
        ),
        (
            "panic",
            doing("(call $log (i32.const 1) (i32.const 64) (i32.const 38)) unreachable"),
            "the module panicked: panicked at policy.rs:7: no such field",
        ),
        (
            "garbage-reply",
            doing("(return (i64.const 0x0000004000000010))"),
            "the module's reply is not what the ABI asks for: expected value at line 1 column 1",
        ),
        (
            "reply-out-of-range",
            doing("(return (i64.const 0x7FFFFFFF00000010))"),
            "the module's reply lies outside its memory",
        ),
        (
            "reply-of-a-gigabyte",
            doing("(return (i64.const 0x0000000040000000))"),
            "the module's reply is longer than 256 KiB",
        ),
        ("log-flood", doing("(loop (call $log (i32.const 3) (i32.const 64) (i32.const 38)) br 0)"), endless),
    ]
}

/// What is found out when a module is loaded: name, module, and what is said of its policy.
fn at_load() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let unknown = wat::parse_str(r#"(module (import "env" "abort" (func)))"#).unwrap();
    vec![
        ("compile-bomb", compile_bomb(), "the module takes "),
        ("unknown-import", unknown, "the module imports `env.abort`, which there is not"),
        (
            "start-function-loop",
            module("", "(func $endless (loop br 0)) (start $endless)"),
            "the module did not end within 300 million instructions",
        ),
        (
            "large-memory",
            wat::parse_str("(module (memory 513))").unwrap(),
            "the module begins with 33 MiB of memory",
        ),
        ("text", b"(module)".to_vec(), "the module is WebAssembly text, not a binary"),
        (
            "component",
            b"\0asm\x0d\0\x01\0".to_vec(),
            "the module is a WebAssembly component, not a core module",
        ),
        ("empty", Vec::new(), "the module is empty"),
        ("malformed", b"\0asm\x01\0\0\0\x01".to_vec(), "the module cannot be compiled: "),
    ]
}

/// Resident memory of a process, in MiB.
fn resident(gate: &Gate) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

async fn state(gate: &Gate, policy: &str) -> String {
    let page = gate.page("/policies").await.json();
    let policies = page["policies"].as_array().unwrap();
    let found = policies.iter().find(|it| it["name"] == policy);
    found
        .map(|it| it["state"].as_str().unwrap().to_owned())
        .unwrap_or_else(|| panic!("no `{policy}` in {page}"))
}

/// Waits until nothing is pending.
async fn settled(gate: &Gate) {
    let begin = Instant::now();
    while gate.metric("portcullis_policies{state=\"pending\"}").await > 0.0 {
        assert!(begin.elapsed() < 3 * PATIENCE, "modules are still pending");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a denied review is told, a line each.
async fn told(gate: &Gate, name: &str) -> Vec<String> {
    let response = gate.ask("/validate", &review(name)).await.response();
    let message = response["status"]["message"].as_str().unwrap_or("allowed");
    message.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_module_does_nobody_else_notices() {
    let mut files: Vec<(String, String)> = vec![("cel.yaml".to_owned(), policy("cel", "cel says no"))];
    for (name, module, _) in at_run_time() {
        files.push((format!("{name}.yaml"), config_map(name, &module, &denying("not reached"))));
    }
    for (name, module, _) in at_load() {
        let text = config_map(name, &module, &denying("not reached"));
        let ignored = text.replace("validationActions", "failurePolicy: Ignore\n      validationActions");
        files.push((format!("{name}.yaml"), ignored));
    }
    files.push(("good.yaml".to_owned(), config_map("good", &module("", ""), &denying("good says no"))));
    let policies: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("modules").display().to_string();
    let gate = Gate::start(&Start { policies: &policies, flags: &["--module-cache", &cache] });
    // It compiles for seconds, and what needs no module is in force.
    assert_eq!(state(&gate, "compile-bomb").await, "pending");
    let cel = "policy `cel`: `metadata.name`: cel says no".to_owned();
    assert!(told(&gate, "bad").await.contains(&cel));
    settled(&gate).await;

    let mut table = String::from("| module | told | ms | MiB before | after |\n|---|---|---|---|---|\n");
    for (name, _, expected) in at_run_time() {
        let before = resident(&gate);
        let begin = Instant::now();
        let name_of_object = format!("bad-{name}");
        let (told, other) = tokio::join!(told(&gate, &name_of_object), told(&gate, "bad-good"));
        let (took, after) = (begin.elapsed().as_millis(), resident(&gate));
        // The CEL policy judges the same request, and the other request is judged by a module at the same time.
        assert_eq!(told, [cel.clone(), format!("policy `{name}`: {expected}")]);
        assert_eq!(other, [cel.clone(), "policy `good`: `data.key`: good says no".to_owned()]);
        assert!(after < before + 64, "{name}: from {before} to {after} MiB");
        writeln!(table, "| {name} | {expected} | {took} | {before} | {after} |").unwrap();
    }
    let page = gate.page("/policies").await.json();
    for (name, _, expected) in at_load() {
        assert_eq!(state(&gate, name).await, "broken");
        let problems = page["problems"].as_array().unwrap();
        let problem = problems.iter().find(|problem| problem["policy"] == name);
        let message = problem.and_then(|problem| problem["message"].as_str()).unwrap_or_default();
        assert!(message.starts_with(expected), "{name}: {message} in {page}");
        writeln!(table, "| {name} | {message} | at load | | |").unwrap();
    }
    println!("{table}");
    assert_eq!(gate.metric("portcullis_panics_total").await, 0.0);
}

#[tokio::test]
async fn a_module_that_is_replaced_stays_in_force_until_the_new_one_is_there() {
    let text = |message: &str, module: &[u8]| config_map("edited", module, &denying(message));
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("modules");
    let flag = cache.display().to_string();
    let flags = ["--module-cache", flag.as_str()];
    let first = text("one", &module("", ""));
    let gate = Gate::start(&Start { policies: &[("policy.yaml", &first)], flags: &flags });
    settled(&gate).await;
    let says = async |expected: &str| {
        let begin = Instant::now();
        let expected = format!("policy `edited`: `data.key`: {expected}");
        while told(&gate, "bad-edited").await != [expected.clone()] {
            assert!(begin.elapsed() < PATIENCE, "{:?}", told(&gate, "bad-edited").await);
        }
    };
    says("one").await;
    let file = gate.policies().join("policy.yaml");
    // Settings alone, then the module as well, then one that is no policy.
    fs::write(&file, text("two", &module("", ""))).unwrap();
    says("two").await;
    fs::write(&file, text("three", &module("nop", ""))).unwrap();
    says("three").await;
    fs::write(&file, text("four", b"\0asm\x01\0\0\0")).unwrap();
    let refused = |line: &Json| line["message"] == "the module does not export `portcullis_abi_v1`";
    gate.logged_where("the module is refused", refused);
    assert_eq!(state(&gate, "edited").await, "kept-old");
    says("three").await;
    // Each was compiled once, and is there for the next start.
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 3);
}

#[tokio::test]
async fn many_requests_share_the_instances() {
    let flags = ["--module-cache", "/nonexistent/cache"];
    let text = config_map("busy", &module("", ""), &denying("no"));
    let gate = Gate::start(&Start { policies: &[("policy.yaml", &text)], flags: &flags });
    settled(&gate).await;
    let connection = gate.connect(Version::Http2).await;
    let asked = (0..200).map(|_| connection.post("/validate/fail", review("bad-busy").to_string()));
    for answer in futures_util::future::join_all(asked).await {
        let response = answer.unwrap().response();
        assert_eq!(response["status"]["message"], "policy `busy`: `data.key`: no");
    }
}

#[tokio::test]
async fn whoever_asked_hears_in_time_that_a_module_is_late() {
    let text = config_map("slow", &module("(loop br 0)", ""), &denying("not reached"));
    let gate = Gate::start(&Start { policies: &[("policy.yaml", &text)], flags: &[] });
    settled(&gate).await;
    // Less than 300 million instructions take anywhere.
    let response = gate.ask("/validate/fail?timeout=40ms", &review("bad-slow")).await.response();
    assert_eq!(response["allowed"], false);
    let told = response["status"]["message"].as_str().unwrap();
    assert_eq!(told, "portcullis did not decide: the time for an answer was over");
}

#[test]
fn the_offline_verbs_judge_by_modules() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let policies = write("policy.yaml", &config_map("offline", &module("", ""), &denying("no")));
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}});
    let bad = write("bad.json", &object("bad-offline").to_string());
    let run = |words: &[&std::ffi::OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output =
            command.args(words).env("XDG_CACHE_HOME", directory.path().join("cache")).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    let words = |text: &'static str| text.split(' ').map(std::ffi::OsStr::new);
    let check: Vec<_> = words("check --policies").chain([policies.as_os_str(), bad.as_os_str()]).collect();
    let (code, text) = run(&check);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("data.key") && text.contains("no"), "{text}");
    let explain: Vec<_> =
        words("explain --policies").chain([policies.as_os_str(), bad.as_os_str()]).collect();
    let (code, text) = run(&explain);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("data.key: no") || text.contains("no"), "{text}");
    let (code, text) = run(&words("lint").chain([policies.as_os_str()]).collect::<Vec<_>>());
    assert_eq!((code, text.contains("error")), (Some(0), false), "{text}");
    let refused = write("refused.yaml", &config_map("refused", b"(module)", &json!({})));
    let (code, text) = run(&words("lint").chain([refused.as_os_str()]).collect::<Vec<_>>());
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("the module is WebAssembly text, not a binary"), "{text}");
    eventually("the cache is there", || {
        directory.path().join("cache/portcullis/modules").is_dir().then_some(())
    });
}
