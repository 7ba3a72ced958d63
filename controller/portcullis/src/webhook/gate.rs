//! The journey of one request: limits, body, decision, answer.

use super::body::{self, Arrived, Cut};
use super::handover::Busy;
use super::outline::Excess;
use super::pending::Pending;
use super::review::{Reply, Review, Undecided, status_json};
use super::{deadline, outline, policies};
use crate::cluster::Outside;
use crate::entry::Entry;
use crate::live::Live;
use crate::metrics::{Metrics, Outcome};
use axum::Router;
use axum::body::Body;
use axum::extract::Request as HttpRequest;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use axum::routing::post;
use portcullis_core::Decision;
use portcullis_core::decision::Verdict;
use portcullis_core::enforcement::{Answer, Door, enforce};
use portcullis_core::matching::is_excluded;
use portcullis_core::pod::lists_too_much;
use portcullis_core::set::Sort;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A review nests at most so deep: serde and evaluation recurse.
pub(crate) const MAX_DEPTH: usize = 1_000;
/// A review takes at most so much memory once it is read, roughly. Its values take forty times their text at
/// worst; of what people write, the 6 MiB that an API server sends at most stay far below.
const MAX_MEMORY: usize = 256 << 20;

pub(super) const OVERLOADED: Undecided =
    Undecided { code: 429, reason: "TooManyRequests", message: "too many requests at once" };
pub(super) const LATE: Undecided =
    Undecided { code: 504, reason: "Timeout", message: "the time for an answer was over" };
const NOT_READY: Undecided =
    Undecided { code: 503, reason: "ServiceUnavailable", message: "no policies are loaded yet" };
const PANICKED: Undecided = Undecided {
    code: 500,
    reason: "InternalError",
    message: "the decision failed; see the controller's log",
};

/// Decides reviews.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    /// Requests in it stay out.
    pub(super) controller_namespace: String,
    pub(super) audit_only: bool,
    /// Beyond so many requests that are being decided, others are answered by class.
    pub(super) max_requests: usize,
    /// Whom to ask what only a cluster can tell, if there is one.
    pub(super) outside: Option<Arc<Outside>>,
    /// Requests whose bodies are there and whose answers are not.
    pub(super) requests: AtomicUsize,
    pub(super) bodies: body::Together,
    pub(super) busy: Arc<Busy>,
    /// Those of modules.
    pub(super) instances: Arc<Semaphore>,
}

/// An answer on its way: HTTP status and body, and what to count.
pub(super) struct Answered {
    status: StatusCode,
    json: Vec<u8>,
    outcome: Outcome,
    judging: Option<Duration>,
}

/// How far a request has come.
pub(super) enum Step {
    Answered(Answered),
    /// It has been read.
    Read(Box<Pending>),
    /// Somebody else has to be asked first.
    Asked(Box<Pending>),
}

impl From<Answered> for Step {
    fn from(answered: Answered) -> Self {
        Self::Answered(answered)
    }
}

/// The paths that are served.
pub(super) fn router(gate: &Arc<Gate>) -> Router {
    let mut router = Router::new();
    for entry in Entry::ALL {
        let gate = Arc::clone(gate);
        let answer = post(move |request: HttpRequest| async move { gate.answer(entry, request).await });
        if entry.takes_versions() {
            router = router.route(&entry.path_for(Some("{versions}")), answer.clone());
        }
        router = router.route(entry.path(), answer);
    }
    let (unknown, wrong_method) = (Arc::clone(gate), Arc::clone(gate));
    router
        .fallback(async move || {
            let message = "no such path; reviews go to `/validate`, `/validate/fail`, `/validate/ignore`, \
                           `/validate/critical`, `/validate/namespaced` or `/validate/policies`";
            unknown.stray(StatusCode::NOT_FOUND, "NotFound", message)
        })
        .method_not_allowed_fallback(async move || {
            let message = "an AdmissionReview is sent by POST";
            wrong_method.stray(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        })
}

impl Gate {
    async fn answer(self: &Arc<Self>, entry: Entry, request: HttpRequest) -> Response<Body> {
        let deadline = Instant::now() + deadline::of_query(request.uri().query());
        let (head, body) = request.into_parts();
        let _in_flight = InFlight::count(&self.metrics);
        let answered = if is_json(&head.headers) {
            let mut arrived = self.bodies.read(body, deadline).await;
            // Taken only now: a body that comes slowly must not keep others out.
            let place = Place::take(self);
            if arrived.cut.is_none() && Instant::now() > deadline {
                // It waited for a free thread: whoever asked is gone, and deciding would delay the others.
                arrived.cut = Some(Cut::Late);
            } else if arrived.cut.is_none() && !place.within_limit {
                arrived.cut = Some(Cut::Shed);
            }
            self.answer_body(entry, entry.versions(head.uri.path()), &mut arrived, deadline).await
        } else {
            refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be `application/json`")
        };
        self.metrics.count(entry, answered.outcome, answered.judging);
        let mut response = respond(answered.status, answered.json);
        if self.live.is_draining() && head.version <= Version::HTTP_11 {
            // The next request is for another replica. HTTP/2 has a farewell of its own.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn stray(&self, status: StatusCode, reason: &'static str, message: &str) -> Response<Body> {
        self.metrics.strays.inc();
        respond(status, status_json(status.as_u16(), reason, message))
    }

    async fn answer_body(
        self: &Arc<Self>,
        entry: Entry,
        versions: Option<&str>,
        arrived: &mut Arrived<'_>,
        deadline: Instant,
    ) -> Answered {
        let bytes = arrived.bytes.as_slice();
        match arrived.cut {
            None => match String::from_utf8(std::mem::take(&mut arrived.bytes)).map(Arc::new) {
                Ok(body) => {
                    let mut step =
                        self.guarded(entry, body.as_bytes(), || self.judge(entry, versions, &body));
                    loop {
                        match step {
                            Step::Answered(answered) => return answered,
                            Step::Read(pending) => {
                                step = self.decide_somewhere(entry, &body, *pending, deadline).await;
                            }
                            Step::Asked(pending) => {
                                let pending = pending.learn(deadline).await;
                                step = self.decide_somewhere(entry, &body, pending, deadline).await;
                            }
                        }
                    }
                }
                Err(_) => refusal(StatusCode::BAD_REQUEST, "the body is not JSON: it is not UTF-8"),
            },
            Some(Cut::TooLarge) => over_limit(bytes, "the review is larger than 32 MiB"),
            Some(Cut::Shed) => by_class(entry, bytes, &OVERLOADED, Outcome::Shed),
            Some(Cut::Late) => by_class(entry, bytes, &LATE, Outcome::Late),
            Some(Cut::Broken) => refusal(StatusCode::BAD_REQUEST, "the body ended before its end"),
        }
    }

    /// Judges, and answers by class if that panics: a defect of ours must not become a bare 500.
    pub(super) fn guarded(&self, entry: Entry, body: &[u8], judge: impl FnOnce() -> Step) -> Step {
        let begin = Instant::now();
        let result = self.busy.during(|| catch_unwind(AssertUnwindSafe(judge)));
        let mut step = result.unwrap_or_else(|_| {
            self.metrics.panics.inc();
            tracing::error!(path = entry.path(), uid = outline::uid(body), "a decision panicked");
            by_class(entry, body, &PANICKED, Outcome::Failed).into()
        });
        if let Step::Answered(answered) = &mut step {
            answered.judging = Some(begin.elapsed());
        }
        step
    }

    fn judge(&self, entry: Entry, versions: Option<&str>, text: &Arc<String>) -> Step {
        let body = text.as_bytes();
        match outline::excess(body, MAX_DEPTH, MAX_MEMORY) {
            None => {}
            Some(Excess::Depth) => {
                return over_limit(body, "the review nests more than 1,000 levels deep").into();
            }
            Some(Excess::Memory) => return over_limit(body, "the review has too many values").into(),
        }
        let generation = self.live.current();
        let plan_of = |sort: Sort<'_>| {
            entry.pairs()?;
            Some(generation.as_ref()?.set.plan(sort))
        };
        let review = match Review::read(text, &plan_of) {
            Ok(review) => review,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()).into(),
        };
        if lists_too_much(&review.request) {
            return over_limit(body, "the Pod lists more than 50,000 containers and volumes").into();
        }
        let Some(pairs) = entry.pairs() else {
            let answer = policies::judge(&review, generation.as_deref(), &self.controller_namespace);
            return answered(&review, &answer).into();
        };
        match generation.as_ref() {
            None => by_class(entry, body, &NOT_READY, Outcome::Failed).into(),
            Some(generation) => {
                let pending = Pending::new(pairs, versions, review, Arc::clone(generation));
                if pending.calls_modules() { Step::Read(pending.into()) } else { self.decide(entry, pending) }
            }
        }
    }

    pub(super) fn decide(&self, entry: Entry, pending: Pending) -> Step {
        let begin = Instant::now();
        let Review { uid, request } = &pending.review;
        if is_excluded(request, &self.controller_namespace) {
            let json = Reply::Excluded.to_json(uid);
            let outcome = Outcome::Excluded;
            return Answered { status: StatusCode::OK, json, outcome, judging: None }.into();
        }
        let decision = pending.decide();
        if let Some(outside) = &self.outside
            && let Some(question) = pending.question(&decision)
        {
            return Step::Asked(Box::new(pending.asking(outside, question)));
        }
        let Pending { review, generation, .. } = &pending;
        generation.verdicts.count(&decision);
        let answer = enforce(&decision, Door::Admission, self.audit_only);
        log(entry, review, &decision, &answer, begin.elapsed());
        answered(review, &answer).into()
    }
}

fn answered(Review { uid, request }: &Review, answer: &Answer) -> Answered {
    let json = Reply::Decided { answer, request }.to_json(uid);
    let outcome = if answer.allowed { Outcome::Allowed } else { Outcome::Denied };
    Answered { status: StatusCode::OK, json, outcome, judging: None }
}

/// A request from its head to its answer, counted in the metrics; no longer when dropped.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn count(metrics: &'a Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// One of the places for requests to be decided at once; given back when dropped.
struct Place<'a> {
    gate: &'a Gate,
    within_limit: bool,
}

impl<'a> Place<'a> {
    fn take(gate: &'a Gate) -> Self {
        let within_limit = gate.requests.fetch_add(1, Ordering::Relaxed) < gate.max_requests;
        Self { gate, within_limit }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

pub(super) fn by_class(entry: Entry, body: &[u8], cause: &Undecided, outcome: Outcome) -> Answered {
    let status = StatusCode::from_u16(cause.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reply = Reply::Undecided { closed: entry.fails_closed(), cause };
    answer_unread(body, &reply, outcome, status, cause.message)
}

fn over_limit(body: &[u8], message: &str) -> Answered {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    answer_unread(body, &Reply::OverLimit(message), Outcome::OverLimit, status, message)
}

/// Answers a review that was not read, if it is one; else with an HTTP error.
fn answer_unread(
    body: &[u8],
    reply: &Reply<'_>,
    outcome: Outcome,
    otherwise: StatusCode,
    message: &str,
) -> Answered {
    match outline::uid(body) {
        Some(uid) => {
            // Under load a line for each would make things worse; the metric counts them.
            if outcome == Outcome::Shed {
                tracing::debug!(uid, allowed = reply.allowed(), "answered without a decision: {message}");
            } else {
                tracing::warn!(uid, allowed = reply.allowed(), "answered without a decision: {message}");
            }
            Answered { status: StatusCode::OK, json: reply.to_json(&uid), outcome, judging: None }
        }
        None => refusal(otherwise, message),
    }
}

/// The answer to what is not a review.
fn refusal(status: StatusCode, message: &str) -> Answered {
    let reason = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::GATEWAY_TIMEOUT => "Timeout",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "InternalError",
        _ => "BadRequest",
    };
    tracing::info!(status = status.as_u16(), "refused what is not a review: {message}");
    let json = status_json(status.as_u16(), reason, message);
    Answered { status, json, outcome: Outcome::Refused, judging: None }
}

fn respond(status: StatusCode, json: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Says what was decided, never why: messages may repeat what an object holds.
fn log(entry: Entry, review: &Review, decision: &Decision, answer: &Answer, took: Duration) {
    let Review { uid, request } = review;
    let names = |verdict: fn(&Verdict) -> bool| {
        let outcomes = decision.outcomes.iter().filter(|outcome| verdict(&outcome.verdict));
        let mut names: Vec<&str> = outcomes.map(|outcome| outcome.policy.name.as_str()).collect();
        names.dedup();
        names.join(",")
    };
    let quiet = |verdict: &Verdict| matches!(verdict, Verdict::Allow | Verdict::Skip(_));
    let uneventful = decision.outcomes.iter().all(|outcome| quiet(&outcome.verdict));
    macro_rules! decided {
        ($level:ident, $($field:tt)*) => {
            tracing::$level!(
                uid,
                path = entry.path(),
                operation = request.operation.as_str(),
                kind = request.kind.kind,
                subresource = request.sub_resource,
                namespace = request.namespace,
                name = request.name,
                user = request.user.as_ref().map(|user| user.username.as_str()),
                dry_run = request.dry_run,
                allowed = answer.allowed,
                micros = took.as_micros(),
                $($field)*
                "decided"
            )
        };
    }
    if uneventful {
        decided!(debug,);
    } else {
        decided!(
            info,
            violated = names(|verdict| *verdict == Verdict::Deny),
            failed = names(|verdict| matches!(verdict, Verdict::Error | Verdict::Undecidable(_))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn gate() -> Gate {
        Gate {
            live: Arc::default(),
            metrics: Arc::default(),
            controller_namespace: "portcullis".to_owned(),
            audit_only: false,
            max_requests: 1,
            outside: None,
            requests: AtomicUsize::new(0),
            bodies: body::Together::default(),
            busy: Arc::default(),
            instances: Arc::new(Semaphore::new(1)),
        }
    }

    const REVIEW: &str = r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE", "kind": {"version": "v1", "kind": "Pod"},
        "resource": {"version": "v1", "resource": "pods"}, "object": {}}}"#;

    #[test]
    fn before_the_first_set_the_class_answers() {
        let gate = gate();
        assert_eq!(gate.live.unready(), Some("the first policy set is not compiled yet"));
        for entry in Entry::ALL {
            let step = gate.judge(entry, None, &Arc::new(REVIEW.to_owned()));
            let Step::Answered(answered) = step else { panic!("asked") };
            let review: Json = serde_json::from_slice(&answered.json).unwrap();
            assert_eq!(answered.status, StatusCode::OK);
            assert_eq!(review["response"]["uid"], "u");
            assert_eq!(review["response"]["allowed"], !entry.fails_closed(), "{}", entry.path());
        }
    }

    #[test]
    fn a_panic_is_answered_by_class_and_counted() {
        let gate = gate();
        for (entry, allowed) in [(Entry::Fail, false), (Entry::Ignore, true)] {
            let step = gate.guarded(entry, REVIEW.as_bytes(), || panic!("a defect"));
            let Step::Answered(answered) = step else { panic!("asked") };
            let review: Json = serde_json::from_slice(&answered.json).unwrap();
            assert_eq!(review["response"]["allowed"], allowed);
            assert_eq!((answered.status, answered.outcome), (StatusCode::OK, Outcome::Failed));
        }
        assert_eq!(gate.metrics.panics.get(), 2);
    }
}
