//! The operator's port: health, readiness, metrics and what is in force.
//!
//! On a thread and runtime of its own, so that it answers when the webhook is busy.

mod policies;

use crate::live::Live;
use crate::metrics::Metrics;
use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Connections at once; a further one takes the place of the oldest.
const MAX_CONNECTIONS: usize = 64;
/// Time for a request's headers, and for an idle connection.
const IDLE: Duration = Duration::from_secs(60);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The running port. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ended by a panic that was logged when it happened.
            let _ = thread.join();
        }
    }
}

/// Serves the operator's port on a thread of its own.
///
/// # Errors
/// Where the thread cannot be started.
pub(crate) fn start(socket: TcpListener, live: Arc<Live>, metrics: Arc<Metrics>) -> anyhow::Result<Running> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = async move {
        tokio::select! {
            // Its sender is never used: it is dropped.
            _ = stopped => {}
            result = accept(socket, router(live, metrics)) => {
                if let Err(error) = result {
                    tracing::error!("the operator's port is closed: {error:#}");
                }
            }
        }
    };
    let thread = thread::Builder::new()
        .name("ops".to_owned())
        .spawn(move || runtime.block_on(serve))
        .context("cannot start a thread")?;
    Ok(Running { stop: Some(stop), thread: Some(thread) })
}

async fn accept(socket: TcpListener, router: Router) -> anyhow::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let mut open = VecDeque::new();
    loop {
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        open.retain(|connection: &JoinHandle<()>| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            // Whoever asks for our health must get an answer, however many others say nothing.
            oldest.abort();
        }
        let service = TowerToHyperService::new(router.clone());
        open.push_back(tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 << 10);
            // A client that breaks off is its own affair.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        }));
    }
}

fn router(live: Arc<Live>, metrics: Arc<Metrics>) -> Router {
    let (for_health, for_ready, for_metrics) = (Arc::clone(&live), Arc::clone(&live), Arc::clone(&live));
    Router::new()
        .route("/healthz", get(async move || healthy(&for_health)))
        .route("/readyz", get(async move || ready(&for_ready)))
        .route("/metrics", get(async move || measured(&for_metrics, &metrics)))
        .route("/policies", get(async move || typed("application/json", policies::report(&live))))
        .fallback(async || {
            (StatusCode::NOT_FOUND, "no such path; there are /healthz, /readyz, /metrics and /policies\n")
        })
}

fn healthy(live: &Live) -> Response<Body> {
    if live.is_stuck(Instant::now()) {
        (StatusCode::SERVICE_UNAVAILABLE, "the threads that decide are stuck\n").into_response()
    } else {
        "ok\n".into_response()
    }
}

fn ready(live: &Live) -> Response<Body> {
    match live.unready() {
        None => {
            match live.unheard() {
                None => "ok\n".into_response(),
                // Whoever takes us out of service for that would enforce nothing.
                Some(silence) => {
                    let seconds = silence.as_secs();
                    format!("ok, but the API server has not answered for {seconds} s: what is in force is from then\n")
                    .into_response()
                }
            }
        }
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

fn measured(live: &Live, metrics: &Metrics) -> Response<Body> {
    if let Some(silence) = live.last_heard() {
        metrics.cluster_silence.set(silence.as_secs_f64());
    }
    typed(OPEN_METRICS, metrics.encode())
}

fn typed(content_type: &'static str, body: String) -> Response<Body> {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
