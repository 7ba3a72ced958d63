//! SIGTERM: what was begun is answered, nothing new is taken, and the process ends well.

use crate::client::{Version, tls};
use crate::gate::{Gate, PATIENCE, Start, policy, review};
use crate::limits::head;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value as Json;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

async fn in_flight(gate: &Gate) {
    while gate.metric("portcullis_in_flight_requests").await < 1.0 {
        tokio::task::yield_now().await;
    }
}

/// After SIGTERM: told so, not ready, and closed to others.
async fn stopping(gate: &Gate) {
    gate.terminate();
    gate.logged("told to stop by SIGTERM");
    let refused = async { while tls(gate.address, &gate.ca(), &[]).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("new connections are refused");
    let ready = gate.page("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (503, "not ready: shutting down\n"));
}

#[tokio::test]
async fn a_request_of_http_1_that_was_begun_is_answered() {
    let mut gate = Gate::with_policy(&policy("no-bad-names", "such names are not allowed"));
    let idle = gate.connect(Version::Http1).await;
    idle.post("/validate", review("good").to_string()).await.unwrap().response();
    let mut stream = tls(gate.address, &gate.ca(), &[b"http/1.1"]).await.unwrap();
    let body = review("bad").to_string();
    let (begin, end) = body.split_at(body.len() / 2);
    stream
        .write_all(format!("{}{begin}", head("/validate?timeout=30s", body.len())).as_bytes())
        .await
        .unwrap();
    in_flight(&gate).await;
    stopping(&gate).await;
    stream.write_all(end.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("such names are not allowed"), "{answer}");
    assert_eq!(gate.wait().code(), Some(0));
    gate.logged("stopped");
}

fn delayed(delay: &str) -> Gate {
    let policy = policy("no-bad-names", "such names are not allowed");
    Gate::start(&Start { policies: &[("policy.yaml", &policy)], flags: &["--shutdown-delay", delay] })
}

async fn unready(gate: &Gate) {
    let unready = async { while gate.page("/readyz").await.status != 503 {} };
    timeout(PATIENCE, unready).await.expect("not ready any more");
}

#[tokio::test]
async fn until_nobody_sends_requests_any_more_they_are_answered() {
    let mut gate = delayed("1h");
    let kept = gate.connect(Version::Http1).await;
    let before = kept.post("/validate", review("good").to_string()).await.unwrap();
    assert!(!before.headers.contains_key("connection"), "{:?}", before.headers);
    gate.terminate();
    unready(&gate).await;
    assert_eq!(gate.page("/healthz").await.status, 200);
    for answer in [
        kept.post("/validate", review("bad").to_string()).await.unwrap(),
        gate.ask("/validate", &review("bad")).await,
    ] {
        assert_eq!(answer.headers["connection"], "close");
        assert_eq!(answer.response()["allowed"], false);
    }
    let http2 = gate.connect(Version::Http2).await;
    assert_eq!(
        http2.post("/validate", review("bad").to_string()).await.unwrap().response()["allowed"],
        false
    );
    gate.terminate();
    assert_eq!(gate.wait().code(), Some(1));
}

#[tokio::test]
async fn the_delay_ends() {
    let mut gate = delayed("500ms");
    let begin = Instant::now();
    gate.terminate();
    assert_eq!(gate.wait().code(), Some(0));
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
    gate.logged("stopped");
}

#[tokio::test]
async fn a_person_need_not_wait() {
    let mut gate = delayed("1h");
    gate.signal("-INT");
    assert_eq!(gate.wait().code(), Some(0));
    gate.logged("stopped");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut gate = Gate::with_policy(&policy("no-bad-names", "such names are not allowed"));
    let mut stream = tls(gate.address, &gate.ca(), &[b"http/1.1"]).await.unwrap();
    stream.write_all(head("/validate?timeout=30s", 100).as_bytes()).await.unwrap();
    in_flight(&gate).await;
    stopping(&gate).await;
    gate.terminate();
    assert_eq!(gate.wait().code(), Some(1));
}

#[tokio::test]
async fn a_request_of_http_2_that_was_begun_is_answered() {
    let mut gate = Gate::with_policy(&policy("no-bad-names", "such names are not allowed"));
    let stream = TokioIo::new(tls(gate.address, &gate.ca(), &[b"h2"]).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = review("bad").to_string();
    let (begin, end) = body.split_at(body.len() / 2);
    let (parts, rest) = mpsc::unbounded_channel();
    let request = Request::post("https://localhost/validate?timeout=30s")
        .header("content-type", "application/json")
        .body(Parts(rest))
        .unwrap();
    let response = tokio::spawn(sender.send_request(request));
    parts.send(begin.to_owned()).unwrap();
    in_flight(&gate).await;
    stopping(&gate).await;
    parts.send(end.to_owned()).unwrap();
    drop(parts);
    let response = response.await.unwrap().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let review: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(review["response"]["allowed"], false, "{review}");
    timeout(PATIENCE, connection).await.expect("closed by the server").unwrap().unwrap();
    assert_eq!(gate.wait().code(), Some(0));
}

/// A body that is sent in parts.
struct Parts(mpsc::UnboundedReceiver<String>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|part| part.map(|text| Ok(Frame::data(text.into()))))
    }
}
