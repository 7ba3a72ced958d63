//! What a policy written with the SDK says, as the requester hears it from a running webhook.

use crate::gate::{Gate, PATIENCE, review};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The policies whose settings are accepted.
const SOUND: [&str; 8] =
    ["say", "read", "read-too-little", "flood", "fail", "panic", "look-up", "look-up-too-much"];

/// The module of `tests/guest`.
fn guest() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let words = "build --quiet --locked --profile wasm --target wasm32-unknown-unknown --package test-guest";
    let output = Command::new(cargo).current_dir(root).args(words.split(' ')).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\nhint: rustup target add wasm32-unknown-unknown");
    fs::read(root.join("target/wasm32-unknown-unknown/wasm/test_guest.wasm")).unwrap()
}

/// A policy over ConfigMaps of its name, with the module that lies beside it. What cannot be loaded lets them pass.
fn policy(name: &str, wasm: &Json) -> String {
    let lookups = match name.strip_prefix("look-up") {
        Some(_) => "lookups: [{name: maps, apiVersion: v1, kind: ConfigMap, namespace: team-a}]",
        None => "lookups: []",
    };
    let on_error = if SOUND.contains(&name) { "Fail" } else { "Ignore" };
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
      failurePolicy: {on_error}
      validationActions: [Deny]
      matchConstraints:
        resourceRules:
        - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}
      matchConditions:
      - {{name: its-own, expression: object.metadata.name == '{name}'}}
      {lookups}
      wasm: {wasm}
"
    )
}

#[tokio::test]
async fn what_a_policy_says_reaches_the_requester() {
    let reads = json!(["oldObject", "operation", "subResource", "userInfo", "dryRun"]);
    let acting = |act: &str| json!({"module": "guest.wasm", "settings": {"act": act}});
    let mut reading = acting("Read");
    reading["reads"] = reads;
    let policies = [
        ("say", acting("Say")),
        ("read", reading),
        ("read-too-little", acting("Read")),
        ("flood", acting("Flood")),
        ("fail", acting("Fail")),
        ("panic", acting("Panic")),
        ("look-up", acting("LookUp")),
        ("look-up-too-much", acting("Miss")),
        ("wrong", json!({"module": "guest.wasm", "settings": {"act": "Say", "wrong": [7]}})),
        ("unknown", json!({"module": "guest.wasm", "settings": {"act": "Say", "other": 1}})),
        ("mistyped", json!({"module": "guest.wasm", "settings": {"act": "Say", "wrong": [1, "a"]}})),
    ];
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    let write =
        |file: &str, bytes: &[u8]| fs::write(directory.path().join("policies").join(file), bytes).unwrap();
    write("guest.wasm", &guest());
    // It says of itself what a ConfigMap can be begun with.
    let wrap = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("wrap")
        .arg(directory.path().join("policies/guest.wasm"))
        .output()
        .unwrap();
    let begun = String::from_utf8_lossy(&wrap.stdout);
    assert!(begun.contains("module: test-guest.wasm\n"), "{begun}{}", String::from_utf8_lossy(&wrap.stderr));
    policies.iter().for_each(|(name, wasm)| write(&format!("{name}.yaml"), policy(name, wasm).as_bytes()));
    let cache = directory.path().join("modules").display().to_string();
    let resources = directory.path().join("resources").display().to_string();
    fs::create_dir(&resources).unwrap();
    let map = |name: &str, namespace: &str| {
        let metadata = json!({"name": name, "namespace": namespace});
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k\"ey": "ü\n"}});
        fs::write(format!("{resources}/{namespace}-{name}.json"), map.to_string()).unwrap();
    };
    map("one", "team-a");
    map("two", "team-a");
    map("three", "team-b");
    let gate = Gate::start_in(directory, &["--module-cache", &cache, "--resources", &resources]);
    let begin = Instant::now();
    while gate.metric("portcullis_policies{state=\"pending\"}").await > 0.0 {
        assert!(begin.elapsed() < 3 * PATIENCE, "modules are still pending");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let ask = async |name: &str| gate.ask("/validate", &review(name)).await.response();
    let said = ask("say").await;
    let message = "policy `say`: `data.key`: one; do it \"well\"\npolicy `say`: two";
    assert_eq!(
        (&said["status"]["message"], &said["status"]["reason"]),
        (&json!(message), &json!("Forbidden"))
    );
    let warnings = said["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("policy `say`: three")), "{warnings:?}");
    assert_eq!(said["auditAnnotations"]["say.four"], "4");
    gate.logged_where("the policy's line", |line| line["message"] == "module: a line for the log");

    let told =
        async |name: &str| ask(name).await["status"]["message"].as_str().unwrap_or("allowed").to_owned();
    assert_eq!(
        told("read").await,
        "policy `read`: read Create v1/ConfigMap read by jane of [\"system:authenticated\"], {\"key\": \"value\"}, team-a, \
         dry false, old false, pod false, true"
    );
    let flood = told("flood").await;
    assert!(flood.starts_with("policy `flood`: `data.key0`: number 0: \"so it is\""), "{flood}");
    for (name, expected) in [
        ("read-too-little", "`userInfo` is not given: name it in `wasm.reads` of the policy"),
        ("fail", "so it is not to be decided"),
        ("panic", "panic has a name (tests/guest/src/lib.rs:"),
    ] {
        let told = told(name).await;
        assert!(told.starts_with(&format!("policy `{name}`: the module gave up: {expected}")), "{told}");
    }
    let found = "2: one {\"k\\\"ey\": \"ü\\n\"}, two {\"k\\\"ey\": \"ü\\n\"}";
    assert_eq!(told("look-up").await, format!("policy `look-up`: {found}"));
    let missed = "the module asks for look-up `others`, which the policy does not declare";
    assert_eq!(told("look-up-too-much").await, format!("policy `look-up-too-much`: {missed}"));
    let page = gate.page("/policies").await.json();
    for (name, field, message) in [
        ("wrong", "spec.wasm.settings.wrong[0]", "is wrong"),
        ("unknown", "spec.wasm.settings.other", "unknown field `other`, expected `act` or `wrong`"),
        ("mistyped", "spec.wasm.settings.wrong[1]", "invalid type: string \"a\", expected u32"),
    ] {
        let problem = page["problems"].as_array().unwrap().iter().find(|it| it["policy"] == name).unwrap();
        assert_eq!((&problem["field"], &problem["message"]), (&json!(field), &json!(message)), "{page}");
    }
}
