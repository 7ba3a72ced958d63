//! A long decision holds up nobody else.

use crate::client::Version;
use crate::gate::{Gate, Start, policy, review};
use serde_json::{Value as Json, json};

/// Compares every element of a list with every other.
fn quadratic() -> String {
    policy("quadratic", "not so").replace(
        "!object.metadata.name.startsWith('bad')",
        "!has(object.data.list) || object.data.list.all(a, object.data.list.all(b, a + b != 'x'))",
    )
}

fn long_review() -> Json {
    let mut long = review("long");
    long["request"]["object"]["data"] = json!({"list": vec!["a"; 1_500]});
    long
}

#[tokio::test]
async fn a_long_decision_delays_no_other_request() {
    for version in [Version::Http1, Version::Http2] {
        let policies = [("policy.yaml", quadratic())];
        let policies = policies.each_ref().map(|(name, text)| (*name, text.as_str()));
        let gate = Gate::start(&Start { policies: &policies, flags: &["--threads", "2"] });
        let other = gate.connect(version).await;
        // Requests of one HTTP/2 connection must not wait for each other either.
        let same = if version == Version::Http2 { other.clone() } else { gate.connect(version).await };
        let long = tokio::spawn(async move {
            same.post("/validate?timeout=30s", long_review().to_string()).await.unwrap().response()
        });
        while gate.metric("portcullis_in_flight_requests").await < 1.0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            other.post("/validate", review("good").to_string()).await.unwrap().response();
            gate.ask("/validate", &review("good")).await.response();
        }
        assert!(!long.is_finished(), "{version:?}: others waited for the long decision");
        long.abort();
    }
}
