//! The limit: the webhook's stack (axum, hyper, rustls) with a handler that only reads the body and allows,
//! and the same that decodes it into `serde_json::Value` first. Runs as a child, like the webhook itself.

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use portcullis::webhook::certificate;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The whole answer: no review was read, so there is no uid to repeat.
pub(super) const ANSWER: &[u8] = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"f4b6a7c8-39da-484b-b6ce-218a7d5c4e14","allowed":true}}"#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Decode the body before allowing
    #[arg(long)]
    decode: bool,
    /// Where to write the certificate
    #[arg(long, value_name = "DIR")]
    cert_dir: PathBuf,
}

/// Serves until it is killed.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    certificate::make(&args.cert_dir, IpAddr::V4(Ipv4Addr::LOCALHOST), "portcullis")?;
    let tls = TlsAcceptor::from(Arc::new(tls(&args.cert_dir)?));
    let router = Router::new().route("/validate", post(answer)).with_state(args.decode);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(router, tls))
}

fn tls(directory: &Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(directory.join(certificate::CERTIFICATE))?;
    let key = PrivateKeyDer::from_pem_file(directory.join(certificate::KEY))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(chain.collect::<Result<_, _>>()?, key)?)
}

async fn serve(router: Router, tls: TlsAcceptor) -> Result<ExitCode> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
    eprintln!("{}", serde_json::json!({"address": socket.local_addr()?.to_string()}));
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            if let Ok(stream) = tls.accept(stream).await {
                // A client that breaks off is its own affair.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn answer(State(decode): State<bool>, body: Bytes) -> impl IntoResponse {
    if decode && serde_json::from_slice::<Value>(&body).is_err() {
        return ([(CONTENT_TYPE, "text/plain")], b"not JSON".as_slice());
    }
    ([(CONTENT_TYPE, "application/json")], ANSWER)
}
