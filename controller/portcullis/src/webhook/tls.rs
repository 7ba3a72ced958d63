//! TLS: which certificate is served, and its replacement while connections go on.

use super::certificate::{CERTIFICATE, Certificate, KEY};
use super::followed::{Change, Files, Followed};
use super::trust::Clients;
use crate::metrics::Metrics;
use crate::source::tree::Snapshot;
use crate::source::watch::Points;
use anyhow::{Context, bail};
use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::path::Path;
use std::sync::Arc;

/// The certificate of new handshakes; none can be made before there is one.
#[derive(Debug)]
pub(crate) struct Serving {
    current: ArcSwapOption<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    metrics: Arc<Metrics>,
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl Serving {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Self { current: ArcSwapOption::empty(), provider, metrics })
    }

    /// Serves a certificate from now on.
    pub(crate) fn serve(&self, certificate: Certificate) {
        if let Some(expires) = certificate.expires {
            self.metrics.certificate_expires.set(expires.as_duration().as_secs_f64());
            if expires < jiff::Timestamp::now() {
                tracing::warn!(%expires, hint = "replace the files, or remove them", "the certificate has expired");
            }
        }
        let [succeeded, _] = &self.metrics.certificate_reloads;
        if self.current.swap(Some(Arc::new(certificate.key))).is_some() {
            succeeded.inc();
            tracing::info!("serving a replaced certificate");
        }
    }

    /// What handshakes follow: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1; with `clients` only theirs.
    pub(super) fn server_config(
        self: &Arc<Self>,
        clients: Option<Arc<Clients>>,
    ) -> anyhow::Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
        let certain = clients.is_some();
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        if certain {
            // Who resumes a session is not looked at again, though the CA may be another by then.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The certificate's files, read again whenever they change.
#[derive(Debug)]
pub(super) struct CertificateFiles {
    files: Files,
    serving: Arc<Serving>,
}

impl CertificateFiles {
    /// Reads `tls.crt` and `tls.key`, both of which exist, and serves them.
    ///
    /// # Errors
    /// What is wrong with them: at the start there is no older one to go on with.
    pub(super) fn open(directory: &Path, serving: Arc<Serving>) -> anyhow::Result<Self> {
        let files = Files::read(vec![directory.join(CERTIFICATE), directory.join(KEY)]);
        let certificate = read(files.snapshot(), &serving.provider)
            .with_context(|| format!("the certificate in `{}` cannot be used", directory.display()))?;
        serving.serve(certificate);
        Ok(Self { files, serving })
    }
}

impl Followed for CertificateFiles {
    fn points(&self) -> &Points {
        self.files.points()
    }

    /// What is not fit to be served is not: what is served stays.
    fn refresh(&mut self) -> bool {
        let change = self.files.refresh();
        if change == Change::Content {
            match read(self.files.snapshot(), &self.serving.provider) {
                Ok(certificate) => self.serving.serve(certificate),
                Err(error) => {
                    let [_, failed] = &self.serving.metrics.certificate_reloads;
                    failed.inc();
                    tracing::error!("keeping the certificate, as its replacement cannot be used: {error:#}");
                }
            }
        }
        change != Change::None
    }
}

fn read(snapshot: &Snapshot, provider: &CryptoProvider) -> anyhow::Result<Certificate> {
    if let Some(problem) = snapshot.problems.first() {
        bail!("`{}`: {}", problem.path, problem.message);
    }
    // Sorted by name: the certificate comes before the key.
    match snapshot.texts.as_slice() {
        [(_, chain), (_, key)] => Certificate::from_pem(chain, key, provider),
        _ => bail!("`{CERTIFICATE}` or `{KEY}` is missing"),
    }
}
