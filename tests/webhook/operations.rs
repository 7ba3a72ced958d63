//! The operator's port: health, metrics, and what is in force.

use crate::client::{Connection, Version};
use crate::gate::{Gate, PATIENCE, Start, command, policy, policy_with, review};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use tempfile::TempDir;

#[tokio::test]
async fn it_is_healthy_and_ready_and_knows_nothing_else() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/", 404), ("/validate", 404)] {
        assert_eq!(gate.page(path).await.status, status, "{path}");
    }
    let post = Connection::open_plain(gate.ops).await.unwrap().post("/metrics", "").await.unwrap();
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_probes_from_their_answer() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(tokio::net::TcpStream::connect(gate.ops).await.unwrap());
    }
    let probe = tokio::time::timeout(PATIENCE, gate.page("/healthz")).await;
    assert_eq!(probe.expect("an answer").status, 200);
}

#[tokio::test]
async fn metrics_count_requests_and_verdicts() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    for name in ["good", "bad", "bad"] {
        gate.ask("/validate/fail", &review(name)).await.response();
    }
    gate.send("/validate/fail", "{").await;
    let page = gate.page("/metrics").await;
    assert!(page.content_type.starts_with("application/openmetrics-text"), "{}", page.content_type);
    assert!(page.text().ends_with("# EOF\n"));
    for (metric, expect) in [
        (r#"portcullis_requests_total{path="/validate/fail",outcome="allowed"}"#, 1.0),
        (r#"portcullis_requests_total{path="/validate/fail",outcome="denied"}"#, 2.0),
        (r#"portcullis_requests_total{path="/validate/fail",outcome="refused"}"#, 1.0),
        (r#"portcullis_request_duration_seconds_count{path="/validate/fail"}"#, 4.0),
        (r#"portcullis_policy_verdicts_total{policy="no-bad-names",verdict="deny"}"#, 2.0),
        (r#"portcullis_policy_verdicts_total{policy="no-bad-names",verdict="allow"}"#, 1.0),
        (r#"portcullis_policies{state="loaded"}"#, 1.0),
        (r#"portcullis_policies{state="broken"}"#, 0.0),
        ("portcullis_policy_set_generation", 1.0),
        ("portcullis_policy_problems", 0.0),
        ("portcullis_panics_total", 0.0),
        ("portcullis_in_flight_requests", 0.0),
        (r#"portcullis_reloads_total{result="success"}"#, 1.0),
    ] {
        assert_eq!(gate.metric(metric).await, expect, "{metric}");
    }
    let expiry = gate.metric("portcullis_certificate_expiry_timestamp_seconds").await;
    let left = expiry - jiff::Timestamp::now().as_second() as f64;
    assert!((300.0..400.0).contains(&(left / 86_400.0)), "{left}");
}

#[tokio::test]
async fn policies_are_listed_with_their_state_and_their_errors() {
    let good = policy("sound", "not so");
    let bad = policy("unsound", "not so").replace("startsWith", "beginsWith(").replace("[Deny]", "[Dent]");
    let gate = Gate::start(&Start { policies: &[("a.yaml", &good), ("b.yaml", &bad)], flags: &[] });
    let report = gate.page("/policies").await.json();
    assert_eq!(report["generation"], 1);
    let sound = &report["policies"][0];
    assert_eq!(
        (&sound["name"], &sound["kind"], &sound["state"]),
        (&json!("sound"), &json!("Policy"), &json!("loaded"))
    );
    assert_eq!(sound["bindings"], json!([{"class": "fail"}]));
    assert_eq!(
        (&sound["origin"]["configMap"], &sound["origin"]["key"]),
        (&json!("sound"), &json!("policy.yaml"))
    );
    assert!(sound["origin"]["file"].as_str().unwrap().ends_with("/policies/a.yaml"), "{sound}");
    let problems = report["problems"].as_array().unwrap();
    assert!(problems.iter().all(|problem| problem["origin"]["configMap"] == "unsound"), "{report:#}");
    assert!(
        problems.iter().any(|problem| problem["message"].as_str().unwrap().contains("Dent")),
        "{report:#}"
    );
    assert_eq!(gate.ask("/validate/fail", &review("bad")).await.response()["allowed"], false);
    assert!(gate.metric("portcullis_policy_problems").await >= 1.0);
    gate.logged_where("the problem", |line| line["level"] == "WARN" && line["config_map"] == "unsound");
}

#[tokio::test]
async fn audit_only_denies_and_warns_about_nothing() {
    let both = format!(
        "{}---\n{}",
        policy("denies", "not so"),
        policy_with("warns", "message: not so", "validationActions: [Warn]")
    );
    let gate = Gate::start(&Start { policies: &[("both.yaml", &both)], flags: &["--audit-only"] });
    let response = gate.ask("/validate", &review("bad")).await.response();
    assert_eq!((&response["allowed"], response.get("warnings")), (&json!(true), None), "{response}");
    let deny = r#"portcullis_policy_verdicts_total{policy="denies",verdict="deny"}"#;
    assert_eq!(gate.metric(deny).await, 1.0);
}

#[tokio::test]
async fn resources_tell_what_a_namespace_is_labelled() {
    let selector = "namespaceSelector: {matchLabels: {strict: 'yes'}}\n        resourceRules:";
    let text = policy("strict", "not so").replace("resourceRules:", selector);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("namespaces.yaml");
    fs::write(&file, "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a, labels: {strict: 'yes'}}\n")
        .unwrap();
    let flags = ["--resources", directory.path().to_str().unwrap()];
    let gate = Gate::start(&Start { policies: &[("policy.yaml", &text)], flags: &flags });
    assert_eq!(gate.ask("/validate", &review("bad")).await.response()["allowed"], false);
    fs::write(&file, "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a}\n").unwrap();
    let begin = std::time::Instant::now();
    while gate.ask("/validate", &review("bad")).await.response()["allowed"] == false {
        assert!(begin.elapsed() < PATIENCE, "the namespace's labels are still the old ones");
    }
}

#[tokio::test]
async fn logs_say_who_and_what_but_no_values() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let mut secret = review("bad");
    secret["request"]["object"]["data"] = json!({"password": "c3dvcmRmaXNo"});
    gate.ask("/validate/fail", &secret).await.response();
    let line = gate.logged("decided");
    for (field, expect) in [
        ("uid", json!("uid-of-bad")),
        ("kind", json!("ConfigMap")),
        ("namespace", json!("team-a")),
        ("name", json!("bad")),
        ("user", json!("jane")),
        ("operation", json!("CREATE")),
        ("allowed", json!(false)),
        ("violated", json!("no-bad-names")),
    ] {
        assert_eq!(line[field], expect, "{line}");
    }
    assert!(!gate.lines().iter().any(|line| line.to_string().contains("c3dvcmRmaXNo")));
}

#[tokio::test]
async fn it_goes_on_when_nobody_reads_its_log() {
    let Piped { mut child, log, connection, _directory } = Piped::start().await;
    drop(log);
    for _ in 0..3 {
        let answer = connection.post("/validate", review("bad").to_string()).await;
        if answer.is_err() {
            child.kill().unwrap();
        }
        assert_eq!(answer.unwrap().response()["allowed"], false);
    }
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_log_that_is_read_late_holds_up_no_request_and_is_whole() {
    let Piped { mut child, log, connection, _directory } = Piped::start().await;
    // Far more than a pipe holds.
    let (requests, name) = (600, format!("bad{}", "-".repeat(500)));
    for _ in 0..requests {
        let answer =
            tokio::time::timeout(PATIENCE, connection.post("/validate", review(&name).to_string())).await;
        assert_eq!(answer.expect("the log holds it up").unwrap().response()["allowed"], false);
    }
    terminate(&child);
    let rest: Vec<String> = log.collect();
    assert_eq!(rest.iter().filter(|line| line.contains("\"decided\"")).count(), requests);
    assert!(rest.last().is_some_and(|line| line.contains("\"stopped\"")), "{:?}", rest.last());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn what_is_refused_cannot_write_lines_of_its_own_into_the_log() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let mut odd = review("good");
    odd["kind"] = json!("Pod\nforged \u{1b}[31m");
    let message = gate.ask("/validate", &odd).await.json()["message"].as_str().unwrap().to_owned();
    assert!(!message.contains(char::is_control), "{message:?}");
    let mut long = review("good");
    long["request"]["dryRun"] = json!("x".repeat(1 << 20));
    let message = gate.ask("/validate", &long).await.json()["message"].as_str().unwrap().to_owned();
    assert!(message.len() < 1_000, "{} bytes", message.len());
}

/// `serve` with a log that nobody reads but the test.
struct Piped {
    child: Child,
    log: Box<dyn Iterator<Item = String>>,
    connection: Connection,
    _directory: TempDir,
}

impl Piped {
    /// Starts it and waits until it is ready.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        fs::write(directory.path().join("policies/policy.yaml"), policy("no-bad-names", "not so")).unwrap();
        let mut child = command(directory.path(), &[]).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = log.find(|line| line.contains("\"listening\"")).unwrap();
        log.find(|line| line.contains("\"ready\"")).unwrap();
        let listening: Json = serde_json::from_str(&listening).unwrap();
        let address = listening["address"].as_str().unwrap().parse().unwrap();
        let ca = fs::read(directory.path().join("certificates/ca.crt")).unwrap();
        let connection = Connection::open(address, &ca, Version::Http1).await.unwrap();
        Self { child, log: Box::new(log), connection, _directory: directory }
    }
}

fn terminate(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
}
