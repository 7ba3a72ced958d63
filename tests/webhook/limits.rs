//! Size, depth, time and load: what breaks a limit is answered, and padding gets around nothing.

use crate::client::{Version, tls};
use crate::gate::{Gate, PATIENCE, Start, eventually, policy, review};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CLASSES: [(&str, bool); 4] = [
    ("/validate/fail", false),
    ("/validate", false),
    ("/validate/ignore", true),
    ("/validate/critical", true),
];

fn gate() -> Gate {
    Gate::with_policy(&policy("no-bad-names", "not so"))
}

#[tokio::test]
async fn an_oversized_review_is_denied_in_every_class() {
    let gate = gate();
    let mut large = review("good").to_string();
    large.insert_str(large.len() - 1, &format!(r#","padding":"{}""#, "x".repeat(32 << 20)));
    for (path, _) in CLASSES {
        for version in [Version::Http1, Version::Http2] {
            let answer = gate.connect(version).await.post(path, large.clone()).await.unwrap();
            let response = answer.response();
            assert_eq!((&response["uid"], &response["allowed"]), (&json!("uid-of-good"), &json!(false)));
            assert_eq!(response["status"]["code"], 413);
            assert_eq!(response["status"]["message"], "the review is larger than 32 MiB");
        }
    }
    let none = gate.send("/validate/ignore", vec![b' '; (32 << 20) + 1]).await;
    assert_eq!(none.status, 413);
}

#[tokio::test]
async fn a_deep_review_is_denied_in_every_class() {
    let gate = gate();
    // `request` and `object` and `deep` are three levels, the outermost bracket is the first.
    let nested = |levels: usize| {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        review("good").to_string().replace(r#"{"key":"value"}"#, &deep)
    };
    for (path, _) in CLASSES {
        let response = gate.send(path, nested(100_000)).await.response();
        assert_eq!(
            (&response["uid"], &response["allowed"]),
            (&json!("uid-of-good"), &json!(false)),
            "{path}"
        );
        assert_eq!(response["status"]["message"], "the review nests more than 1,000 levels deep");
    }
    let fits = gate.send("/validate", nested(997)).await.response();
    assert_eq!(fits["allowed"], true, "{fits}");
    let exceeds = gate.send("/validate", nested(998)).await.response();
    assert_eq!(exceeds["allowed"], false, "{exceeds}");
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(gate.send("/validate", objects).await.status, 413);
}

#[tokio::test]
async fn a_review_of_too_many_values_is_denied_in_every_class() {
    let gate = gate();
    let many = format!("[0{}]", ",0".repeat(4_000_000));
    let many = review("good").to_string().replace(r#"{"key":"value"}"#, &many);
    for (path, _) in CLASSES {
        let response = gate.send(path, many.clone()).await.response();
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("uid-of-good"), &json!(false)));
        assert_eq!(response["status"]["message"], "the review has too many values");
    }
}

/// Memory that is resident, in KiB.
#[cfg(target_os = "linux")]
fn resident(gate: &Gate) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_large_reviews_take_is_given_back() {
    let policy = policy("reads-everything", "not so");
    let gate = Gate::with_policy(
        &policy.replace("!object.metadata.name.startsWith('bad')", "dyn(object) != dyn({'a': 1})"),
    );
    let mut large = review("good");
    let item = json!({"name": "name", "value": "v".repeat(20)});
    large["request"]["object"]["items"] = vec![item; 600_000].into();
    let large = large.to_string();
    assert!(large.len() > 24 << 20);
    assert_eq!(gate.send("/validate", review("good").to_string()).await.response()["allowed"], true);
    let before = resident(&gate);
    for _ in 0..4 {
        assert_eq!(gate.send("/validate?timeout=30s", large.clone()).await.response()["allowed"], true);
    }
    eventually("memory that is given back", || (resident(&gate) < before + (16 << 10)).then_some(()));
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_answered_by_class_in_time() {
    let gate = gate();
    let begin = Instant::now();
    for (path, allowed) in CLASSES {
        let response = stall(&gate, &format!("{path}?timeout=200ms"), &review("good").to_string()).await;
        let reply = &response["response"];
        assert_eq!((&reply["uid"], &reply["allowed"]), (&json!("uid-of-good"), &json!(allowed)), "{path}");
        let told = if allowed { &reply["warnings"][0] } else { &reply["status"]["message"] };
        assert_eq!(*told, "portcullis did not decide: the time for an answer was over");
    }
    let status = stall(&gate, "/validate?timeout=200ms", "{\"kind\": ").await;
    assert_eq!(status["code"], 504, "{status}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(gate.metric(r#"portcullis_requests_total{path="/validate",outcome="late"}"#).await, 1.0);
}

#[tokio::test]
async fn too_many_requests_at_once_are_answered_by_class() {
    let policies = [("a.yaml", quadratic()), ("b.yaml", policy("no-bad-names", "not so"))];
    let policies = policies.each_ref().map(|(name, text)| (*name, text.as_str()));
    let gate = Gate::start(&Start { policies: &policies, flags: &["--max-requests", "1", "--threads", "2"] });
    let connection = gate.connect(Version::Http1).await;
    let long = tokio::spawn(async move {
        connection.post("/validate?timeout=30s", long_review().to_string()).await.unwrap().response()
    });
    in_flight(&gate, 1).await;
    for (path, allowed) in CLASSES {
        let response = gate.ask(path, &review("bad")).await.response();
        assert_eq!(
            (&response["uid"], &response["allowed"]),
            (&json!("uid-of-bad"), &json!(allowed)),
            "{path}"
        );
        let told = if allowed { &response["warnings"][0] } else { &response["status"]["message"] };
        assert_eq!(*told, "portcullis did not decide: too many requests at once");
    }
    assert!(!long.is_finished());
    long.abort();
}

#[tokio::test]
async fn bodies_that_come_slowly_keep_nobody_out() {
    let gate = Gate::start(&Start {
        policies: &[("policy.yaml", &policy("no-bad-names", "not so"))],
        flags: &["--max-requests", "1"],
    });
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = tls(gate.address, &gate.ca(), &[b"http/1.1"]).await.unwrap();
        stream.write_all(head("/validate?timeout=30s", 100).as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        slow.push(stream);
    }
    in_flight(&gate, 3).await;
    let response = gate.ask("/validate", &review("bad")).await.response();
    assert!(response["status"]["message"].as_str().unwrap().contains("no-bad-names"), "{response}");
    drop(slow);
    in_flight(&gate, 0).await;
}

/// Waits until so many requests are in flight.
async fn in_flight(gate: &Gate, count: u32) {
    let begin = Instant::now();
    while gate.metric("portcullis_in_flight_requests").await != f64::from(count) {
        assert!(begin.elapsed() < PATIENCE, "never {count} requests in flight");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_long_decision_delays_no_other_request() {
    for version in [Version::Http1, Version::Http2] {
        let policies = [("policy.yaml", &*quadratic())];
        let gate = Gate::start(&Start { policies: &policies, flags: &["--threads", "2"] });
        let other = gate.connect(version).await;
        // Requests of one HTTP/2 connection must not wait for each other either.
        let same = if version == Version::Http2 { other.clone() } else { gate.connect(version).await };
        let long = tokio::spawn(async move {
            same.post("/validate?timeout=30s", long_review().to_string()).await.unwrap().response()
        });
        in_flight(&gate, 1).await;
        for _ in 0..5 {
            other.post("/validate", review("good").to_string()).await.unwrap().response();
            gate.ask("/validate", &review("good")).await.response();
        }
        assert!(!long.is_finished(), "{version:?}: others waited for the long decision");
        long.abort();
    }
}

/// Policies that compare every element of a list with every other, again and again: each expression stops at its
/// cost limit, and each policy at that of all its expressions, but nothing limits how many policies there are.
fn quadratic() -> String {
    let expression =
        "!has(object.data.list) || object.data.list.all(a, object.data.list.all(b, a + b != 'x'))";
    let one = policy("quadratic", "not so").replace("!object.metadata.name.startsWith('bad')", expression);
    let (head, validation) = one.split_at(one.find("      - expression").unwrap());
    let policies = (0..200).map(|number| {
        let head = head.replace("name: quadratic", &format!("name: quadratic-{number}"));
        format!("---\n{head}{}", validation.repeat(10))
    });
    policies.collect()
}

/// What keeps those policies busy for as long as a test needs.
fn long_review() -> Json {
    let mut long = review("long");
    long["request"]["object"]["data"] = json!({"list": vec!["a"; 2_000]});
    long
}

/// Announces one byte more than is sent, and waits for the answer.
async fn stall(gate: &Gate, path: &str, body: &str) -> Json {
    let mut stream = tls(gate.address, &gate.ca(), &[b"http/1.1"]).await.unwrap();
    let request = format!("{}{body}", head(path, body.len() + 1));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        let json = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        if let Some(json) = json {
            return json;
        }
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after {text:?}");
        answer.extend_from_slice(&buffer[..count]);
    }
}

pub(crate) fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}
