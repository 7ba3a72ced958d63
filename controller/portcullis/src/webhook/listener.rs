//! Connections: accepted, shaken hands with, served over HTTP/1.1 or HTTP/2, and drained.

use super::trust::Clients;
use crate::metrics::Metrics;
use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections at once; further ones wait in the kernel's queue. Below the usual limit of 1,024 open files, of
/// which policies and the operator's port need some.
const MAX_CONNECTIONS: u32 = 900;
/// Time for a TLS handshake, and then for the first byte of a request.
const GREETING: Duration = Duration::from_secs(10);
/// Time for a request's headers, counted from the end of the request before: longer than the 90 s for which
/// an API server keeps an idle connection, so that it is never us who close one it is about to use.
const IDLE: Duration = Duration::from_secs(120);
/// HTTP/2 connections are asked so often whether they are still there.
const PING: Duration = Duration::from_secs(30);
/// Pause after an error of accept, such as running out of file descriptors.
const BREATHER: Duration = Duration::from_millis(50);

/// What serves connections.
#[derive(Clone)]
pub(super) struct Listener {
    router: Router,
    tls: TlsAcceptor,
    /// Whose connections are served, where not everybody's are.
    clients: Option<Arc<Clients>>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
}

impl Listener {
    /// Serves `router` over TLS.
    pub(super) fn new(
        router: Router,
        tls: rustls::ServerConfig,
        clients: Option<Arc<Clients>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        Self { router, tls: Arc::new(tls).into(), clients, metrics, places }
    }

    /// Accepts connections until told to stop, then returns; open ones finish what they are at.
    pub(super) async fn accept(self, socket: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = async {
                // It fails only when closed, which nobody does.
                let place = Arc::clone(&self.places).acquire_owned().await;
                (place, socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                _ = told(&mut stop) => return,
                accepted = accepted => accepted,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, _))) => {
                    tokio::spawn(self.clone().serve(stream, place, stop.clone()));
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATHER).await;
                }
                (Err(_), _) => return,
            }
        }
    }

    /// Waits until every connection is closed, but not longer than the limit; false if some are open then.
    pub(super) async fn drained(places: &Semaphore, limit: Duration) -> bool {
        timeout(limit, places.acquire_many(MAX_CONNECTIONS)).await.is_ok()
    }

    /// What [`drained`](Self::drained) waits on.
    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    async fn serve(self, stream: TcpStream, place: OwnedSemaphorePermit, mut stop: watch::Receiver<bool>) {
        self.metrics.connections.inc();
        let greeted = tokio::select! {
            greeted = self.greet(stream) => greeted,
            _ = told(&mut stop) => None,
        };
        if let Some(stream) = greeted {
            self.speak(stream, stop).await;
        }
        self.metrics.connections.dec();
        drop(place);
    }

    /// Handshake and first byte: a client that sends neither is not kept.
    async fn greet(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        // Answers are small and wanted at once; without it they are only later.
        let _ = stream.set_nodelay(true);
        let shaken = timeout(GREETING, self.tls.accept(stream)).await.ok().and_then(Result::ok);
        let Some(mut stream) = shaken else {
            self.metrics.failed_handshakes.inc();
            return None;
        };
        match timeout(GREETING, stream.fill_buf()).await {
            Ok(Ok(bytes)) if !bytes.is_empty() => Some(stream),
            _ => None,
        }
    }

    async fn speak(&self, stream: TlsStream<TcpStream>, mut stop: watch::Receiver<bool>) {
        let service = TowerToHyperService::new(self.router.clone());
        let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
        // A client that is let in no more is not served any longer on what it opened before.
        let refused = async {
            match self.clients.as_ref().zip(chain) {
                Some((clients, chain)) => clients.until_refused(&chain).await,
                None => std::future::pending().await,
            }
        };
        let mut closing = pin!(async {
            tokio::select! {
                _ = told(&mut stop) => {}
                () = refused => {}
            }
        });
        // A client that breaks off, or breaks the protocol, is its own affair.
        macro_rules! until_closed {
            ($connection:expr) => {{
                let mut connection = pin!($connection);
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = closing.as_mut() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            }};
        }
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let mut http = http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new())
                .keep_alive_interval(PING)
                .keep_alive_timeout(GREETING)
                .max_concurrent_streams(100)
                .max_header_list_size(16 << 10);
            until_closed!(http.serve_connection(TokioIo::new(stream), service));
        } else {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 << 10);
            until_closed!(http.serve_connection(TokioIo::new(stream), service));
        }
    }
}

/// Waits for the word to stop; the end of its sender is one too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
