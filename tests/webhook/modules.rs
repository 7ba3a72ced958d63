//! WASM policies in the webhook: what modules do to be stopped, and that nobody else notices.

use crate::client::Version;
use crate::gate::{Gate, PATIENCE, Start, eventually, policy, review};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A module of the conformance set; `kept` replies its settings to every request.
fn module(name: &str) -> Vec<u8> {
    wat::parse_file(conformance().join(name).with_extension("wat")).unwrap()
}

fn conformance() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/conformance")
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

/// A module that does what it should not: its name, and how what is said of it begins.
struct Culprit {
    name: String,
    module: Vec<u8>,
    told: String,
}

/// Those of the conformance set that the index says this of (`error` while they judge, `refused` when they are loaded).
/// What only settings or look-ups bring about is left to the unit tests.
fn culprits(what: &str) -> Vec<Culprit> {
    let index = fs::read_to_string(conformance().join("index.json")).unwrap();
    let index: Vec<Json> = serde_json::from_str(&index).unwrap();
    let culprit = |case: &Json| {
        let told = case.get(what).filter(|_| case["settings"].is_null() && case["lookups"].is_null())?;
        // Of what is refused the first thing, without the field that it is about.
        let first = told.as_str().or_else(|| told[0].as_str()?.strip_prefix("module: ")).unwrap();
        let name = case["module"].as_str().unwrap().strip_suffix(".wat").unwrap();
        Some(Culprit { name: name.to_owned(), module: module(name), told: first.to_owned() })
    };
    index.iter().filter_map(culprit).collect()
}

/// Those found out when they are loaded, and what is no module of any kind.
fn at_load() -> Vec<Culprit> {
    let culprit = |name: &str, module: &[u8], told: &str| Culprit {
        name: name.to_owned(),
        module: module.to_owned(),
        told: told.to_owned(),
    };
    let mut all = vec![
        culprit("compile-bomb", &compile_bomb(), "the module takes "),
        culprit("text", b"(module)", "the module is WebAssembly text, not a binary"),
        culprit(
            "component",
            b"\0asm\x0d\0\x01\0",
            "the module is a WebAssembly component, not a core module",
        ),
        culprit("empty", b"", "the module is empty"),
        culprit("malformed", b"\0asm\x01\0\0\0\x01", "the module cannot be compiled: "),
    ];
    all.extend(culprits("refused"));
    all
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
    let (at_run_time, at_load) = (culprits("error"), at_load());
    assert!(at_run_time.len() >= 15 && at_load.len() >= 25);
    let mut files: Vec<(String, String)> = vec![("cel.yaml".to_owned(), policy("cel", "cel says no"))];
    for Culprit { name, module, .. } in &at_run_time {
        files.push((format!("{name}.yaml"), config_map(name, module, &json!({}))));
    }
    for Culprit { name, module, .. } in &at_load {
        let text = config_map(name, module, &json!({}));
        let ignored = text.replace("validationActions", "failurePolicy: Ignore\n      validationActions");
        files.push((format!("{name}.yaml"), ignored));
    }
    files.push(("good.yaml".to_owned(), config_map("good", &module("kept"), &denying("good says no"))));
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
    for Culprit { name, told: expected, .. } in &at_run_time {
        let before = resident(&gate);
        let begin = Instant::now();
        let name_of_object = format!("bad-{name}");
        let (told, other) = tokio::join!(told(&gate, &name_of_object), told(&gate, "bad-good"));
        let (took, after) = (begin.elapsed().as_millis(), resident(&gate));
        // The CEL policy judges the same request, and the other request is judged by a module at the same time.
        assert_eq!((told.len(), &told[0]), (2, &cel), "{told:?}");
        assert!(told[1].starts_with(&format!("policy `{name}`: {expected}")), "{told:?}");
        assert_eq!(other, [cel.clone(), "policy `good`: `data.key`: good says no".to_owned()]);
        assert!(after < before + 64, "{name}: from {before} to {after} MiB");
        writeln!(table, "| {name} | {} | {took} | {before} | {after} |", told[1]).unwrap();
    }
    let page = gate.page("/policies").await.json();
    for Culprit { name, told: expected, .. } in &at_load {
        assert_eq!(state(&gate, name).await, "broken");
        let problems = page["problems"].as_array().unwrap();
        let problem = problems.iter().find(|problem| problem["policy"] == **name);
        let message = problem.and_then(|problem| problem["message"].as_str()).unwrap_or_default();
        assert!(message.starts_with(expected.as_str()), "{name}: {message} in {page}");
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
    let first = text("one", &module("kept"));
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
    fs::write(&file, text("two", &module("kept"))).unwrap();
    says("two").await;
    // A custom section makes it another one.
    let other = [module("kept"), b"\0\x02\x01n".to_vec()].concat();
    fs::write(&file, text("three", &other)).unwrap();
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
    let text = config_map("busy", &module("kept"), &denying("no"));
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
    let text = config_map("slow", &module("endless-loop"), &denying("not reached"));
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
    let policies = write("policy.yaml", &config_map("offline", &module("kept"), &denying("no")));
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
    let section = br#"{"abi":1,"name":"kept","lookups":["maps"],"reads":["userInfo"]}"#;
    let name = b"portcullis_policy";
    let header = [0, (1 + name.len() + section.len()) as u8, name.len() as u8];
    let needy = [&module("kept"), header.as_slice(), name, section].concat();
    let refused = write("needy.yaml", &config_map("needy", &needy, &json!({})));
    let (code, text) = run(&words("lint").chain([refused.as_os_str()]).collect::<Vec<_>>());
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("the module asks for look-up `maps`, which the policy does not declare"), "{text}");
    assert!(
        text.contains("the module reads `userInfo`, which the policy does not name in `wasm.reads`"),
        "{text}"
    );
    eventually("the cache is there", || {
        directory.path().join("cache/portcullis/modules").is_dir().then_some(())
    });
}
