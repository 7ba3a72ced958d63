//! What is a review gets its answer, and what is none gets the HTTP error that says so.

use crate::client::{Version, tls};
use crate::gate::{Gate, policy, policy_with, review};
use hyper::{Method, StatusCode};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_review_is_answered_over_both_versions_of_http() {
    let gate = Gate::with_policy(&policy("no-bad-names", "such names are not allowed"));
    for version in [Version::Http1, Version::Http2] {
        let connection = gate.connect(version).await;
        for _ in 0..3 {
            let allowed =
                connection.post("/validate/fail?timeout=5s", review("good").to_string()).await.unwrap();
            assert_eq!(allowed.version == hyper::Version::HTTP_2, version == Version::Http2);
            assert_eq!(allowed.content_type, "application/json");
            assert_eq!(allowed.response(), json!({"uid": "uid-of-good", "allowed": true}));
            let denied = connection.post("/validate", review("bad").to_string()).await.unwrap().response();
            assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("uid-of-bad"), &json!(false)));
        }
    }
}

#[tokio::test]
async fn a_denial_is_a_status_with_its_causes() {
    let gate = Gate::with_policy(&policy_with(
        "no-bad-names",
        "{reason: Forbidden, message: such names are not allowed}"
            .trim_matches(['{', '}'])
            .replace(", ", "\n        ")
            .as_str(),
        "",
    ));
    let status = gate.ask("/validate/fail", &review("bad")).await.response()["status"].clone();
    assert_eq!((&status["code"], &status["reason"]), (&json!(403), &json!("Forbidden")));
    assert_eq!((&status["status"], &status["kind"]), (&json!("Failure"), &json!("Status")));
    assert_eq!(
        (&status["details"]["name"], &status["details"]["kind"]),
        (&json!("bad"), &json!("ConfigMap"))
    );
    for message in [&status["message"], &status["details"]["causes"][0]["message"]] {
        let message = message.as_str().unwrap();
        assert!(
            message.contains("no-bad-names") && message.contains("such names are not allowed"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn each_path_asks_its_pairs_only() {
    let fail = policy("fails", "from fail");
    let ignore = policy_with("ignores", "message: from ignore", "failurePolicy: Ignore");
    let gate = Gate::with_policy(&format!("{fail}---\n{ignore}"));
    for (path, expect) in [
        ("/validate/fail", ["from fail", ""]),
        ("/validate/ignore", ["", "from ignore"]),
        ("/validate/critical", ["from fail", "from ignore"]),
        ("/validate", ["from fail", "from ignore"]),
    ] {
        let response = gate.ask(path, &review("bad")).await.response();
        assert_eq!(response["allowed"], false);
        let message = response["status"]["message"].as_str().unwrap();
        for (text, other) in [(expect[0], "from fail"), (expect[1], "from ignore")] {
            assert_eq!(message.contains(other), !text.is_empty(), "{path}: {message}");
        }
    }
}

#[tokio::test]
async fn for_a_version_only_those_are_asked_that_name_it_and_need_the_conversion() {
    let gate = Gate::with_policy(&policy("fails", "from fail"));
    let converted = |from: &str| {
        let mut review = review("bad");
        let sent = json!({"group": "", "version": from, "resource": "configmaps"});
        review["request"]["requestResource"] = sent;
        review
    };
    for (path, review, allowed) in [
        ("/validate/fail/v1", review("bad"), true),
        ("/validate/fail/v1", converted("v1"), true),
        ("/validate/fail/v1", converted("v0"), false),
        ("/validate/critical/v1", converted("v0"), false),
        ("/validate/ignore/v1", converted("v0"), true),
        ("/validate/fail/v2", converted("v0"), true),
        ("/validate/fail/v1.v2", converted("v0"), true),
        ("/validate/fail", converted("v0"), false),
        ("/validate", converted("v0"), false),
    ] {
        let response = gate.ask(path, &review).await.response();
        assert_eq!(response["allowed"], allowed, "{path}: {}", review["request"]["requestResource"]);
    }
}

#[tokio::test]
async fn warnings_and_our_own_namespace() {
    let gate =
        Gate::with_policy(&policy_with("warns", "message: careful", "validationActions: [Warn, Audit]"));
    let response = gate.ask("/validate/ignore", &review("bad")).await.response();
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("careful"), "{response}");
    assert!(response["auditAnnotations"].is_object(), "{response}");

    let mut own = review("bad");
    own["request"]["namespace"] = json!("portcullis");
    let response = gate.ask("/validate", &own).await.response();
    assert_eq!(response, json!({"uid": "uid-of-bad", "allowed": true}));
}

#[tokio::test]
async fn what_is_not_a_review_is_refused_with_its_reason() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let good = review("good");
    let with = |pointer: &str, value: Json| {
        let mut review = good.clone();
        *review.pointer_mut(pointer).unwrap() = value;
        review.to_string()
    };
    let truncated = good.to_string()[..200].to_owned();
    let cases = [
        (String::new(), "the body is not JSON"),
        ("no json".to_owned(), "the body is not JSON"),
        ("[]".to_owned(), "the body has no `kind`"),
        ("{}".to_owned(), "the body has no `kind`; send an `AdmissionReview` of `admission.k8s.io/v1`"),
        (truncated, "the body is not JSON: EOF while parsing"),
        (format!("{good} x"), "the body is not JSON: trailing characters"),
        (with("/apiVersion", json!("admission.k8s.io/v1beta1")), "of `admission.k8s.io/v1beta1`; send"),
        (with("/kind", json!("Pod")), "the body is `Pod` of"),
        (with("/request", Json::Null), "the review has no `request`"),
        (with("/request/uid", json!("")), "the review has no `request.uid`"),
        (with("/request/uid", json!(7)), "expected a string"),
        (with("/request/kind", Json::Null), "the review has no `request.kind`"),
        (with("/request/resource", json!({})), "the review has no `request.resource`"),
        (with("/request/operation", json!("PATCH")), "`request.operation` is `PATCH`"),
        (with("/request/userInfo", json!("jane")), "expected a UserInfo"),
    ];
    let connection = gate.connect(Version::Http1).await;
    for (body, expect) in cases {
        let answer = connection.post("/validate/ignore", body).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert_eq!(answer.content_type, "application/json");
        let status = answer.json();
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(400)));
        let message = status["message"].as_str().unwrap();
        assert!(message.contains(expect), "{message:?} does not say {expect:?}");
    }
}

#[tokio::test]
async fn paths_methods_and_content_types_are_checked() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let body = review("good").to_string();
    let connection = gate.connect(Version::Http1).await;
    let check = async |method: Method, path: &str, content_type: Option<&str>, expect: u16| {
        let answer = connection.request(method, path, content_type, body.clone()).await.unwrap();
        assert_eq!(answer.status.as_u16(), expect, "{path} {content_type:?}: {}", answer.text());
        if expect != 200 {
            assert_eq!(answer.json()["code"], expect);
        }
    };
    check(Method::POST, "/validate", Some("application/json"), 200).await;
    check(Method::POST, "/validate", Some("application/json; charset=utf-8"), 200).await;
    check(Method::POST, "/validate", Some("Application/JSON"), 200).await;
    check(Method::POST, "/validate", Some("text/plain"), 415).await;
    check(Method::POST, "/validate", Some("application/vnd.kubernetes.protobuf"), 415).await;
    check(Method::POST, "/validate", None, 415).await;
    check(Method::GET, "/validate", None, 405).await;
    check(Method::PUT, "/validate/fail", Some("application/json"), 405).await;
    for path in
        ["/validate/", "/validate/fail/", "/validate/fail/v1/v2", "/validate/policies/v1", "/validate/v1"]
    {
        check(Method::POST, path, Some("application/json"), 404).await;
    }
    check(Method::POST, "/", Some("application/json"), 404).await;
}

#[tokio::test]
async fn bytes_that_are_not_http_or_not_tls_harm_nobody() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let mut plain = tokio::net::TcpStream::connect(gate.address).await.unwrap();
    plain.write_all(b"POST /validate HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // Closed, perhaps with a TLS alert, perhaps with a reset.
    let _ = plain.read_to_end(&mut rest).await;
    let mut stream = tls(gate.address, &gate.ca(), &[b"h2"]).await.unwrap();
    stream.write_all(b"this is not the preface of HTTP/2 at all").await.unwrap();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(gate.ask("/validate", &review("good")).await.response()["allowed"], true);
    assert!(gate.metric("portcullis_failed_handshakes_total").await >= 1.0);
}

#[tokio::test]
async fn no_input_makes_it_panic() {
    let gate = Gate::with_policy(&policy("no-bad-names", "not so"));
    let connection = gate.connect(Version::Http2).await;
    let good = review("bad");
    // Every field in turn replaced by a value of every type.
    let mut pointers = Vec::new();
    collect_pointers(&good["request"], "/request".to_owned(), &mut pointers);
    let values =
        [Json::Null, json!(true), json!(-1), json!(1e300), json!("\u{0}é😀"), json!([[]]), json!({"a": {}})];
    for pointer in &pointers {
        for value in &values {
            let mut odd = good.clone();
            *odd.pointer_mut(pointer).unwrap() = value.clone();
            let answer = connection.post("/validate", odd.to_string()).await.unwrap();
            assert!(!answer.status.is_server_error(), "{pointer} = {value}: {}", answer.text());
        }
    }
    // Every prefix, and every byte of the beginning overwritten.
    let text = good.to_string().into_bytes();
    for end in (0..text.len()).step_by(7) {
        let answer = connection.post("/validate", &text[..end]).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "cut at {end}");
    }
    for at in (0..text.len()).step_by(5) {
        let mut odd = text.clone();
        odd[at] = 0xff;
        let answer = connection.post("/validate", odd).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "byte {at}");
    }
    assert_eq!(gate.metric("portcullis_panics_total").await, 0.0);
}

fn collect_pointers(value: &Json, at: String, into: &mut Vec<String>) {
    if let Json::Object(fields) = value {
        for (key, value) in fields {
            collect_pointers(value, format!("{at}/{key}"), into);
        }
    }
    into.push(at);
}
