//! CAs in files: whose clients may ask, and whom the API server is to trust.

use super::certificate::CA;
use super::followed::{Change, Files, Followed};
use crate::source::watch::Points;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Whose clients may ask, as it is now: handshakes are held against it.
#[derive(Debug)]
pub(crate) struct Clients {
    current: ArcSwap<Verifier>,
    /// Says that they are others now.
    replaced: watch::Sender<()>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Verifier(Arc<dyn ClientCertVerifier>);

impl Clients {
    /// Waits until a client that was let in with this chain would not be any more.
    pub(super) async fn until_refused(&self, chain: &[CertificateDer<'static>]) {
        let mut replaced = self.replaced.subscribe();
        let lets_in = || {
            let (own, others) = chain.split_first()?;
            self.verify_client_cert(own, others, UnixTime::now()).ok()
        };
        // It fails when nobody can replace them any more.
        while lets_in().is_some() && replaced.changed().await.is_ok() {}
    }
}

impl ClientCertVerifier for Clients {
    /// None are named: they may be others by the time of the answer.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current.load().0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The file with the CA of clients.
#[derive(Debug)]
pub(super) struct ClientCa {
    files: Files,
    clients: Arc<Clients>,
}

impl ClientCa {
    /// Reads the file. Only clients with a certificate of that CA may ask from then on.
    ///
    /// # Errors
    /// What is wrong with it: at the start there is no older one to go on with.
    pub(super) fn open(file: &Path) -> anyhow::Result<(Self, Arc<Clients>)> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let files = Files::read(vec![file.to_owned()]);
        let verifier = verifier(&files, &provider)
            .with_context(|| format!("the CA of clients in `{}` cannot be used", file.display()))?;
        let clients = Arc::new(Clients {
            current: ArcSwap::from_pointee(verifier),
            replaced: watch::Sender::new(()),
            provider,
        });
        Ok((Self { files, clients: Arc::clone(&clients) }, clients))
    }
}

impl Followed for ClientCa {
    fn points(&self) -> &Points {
        self.files.points()
    }

    fn refresh(&mut self) -> bool {
        let change = self.files.refresh();
        if change == Change::Content {
            match verifier(&self.files, &self.clients.provider) {
                Ok(verifier) => {
                    self.clients.current.store(Arc::new(verifier));
                    self.clients.replaced.send_replace(());
                    tracing::info!("the CA of clients was replaced");
                }
                Err(error) => {
                    tracing::error!(
                        "keeping the CA of clients, as its replacement cannot be used: {error:#}"
                    );
                }
            }
        }
        change != Change::None
    }
}

fn verifier(files: &Files, provider: &Arc<CryptoProvider>) -> anyhow::Result<Verifier> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(files)? {
        roots.add(certificate).context("a certificate in it is none of a CA")?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    Ok(Verifier(builder.build()?))
}

/// The certificates in the one file that was read.
fn certificates(files: &Files) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let snapshot = files.snapshot();
    if let Some(problem) = snapshot.problems.first() {
        bail!("{}", problem.message);
    }
    let [(_, text)] = snapshot.texts.as_slice() else { bail!("it is no file") };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().context("it is not PEM")?;
    if certificates.is_empty() {
        bail!("it holds no certificate");
    }
    Ok(certificates)
}

/// `ca.crt` beside the certificate: whom the API server is to trust.
#[derive(Debug)]
pub(super) struct OwnCa {
    files: Files,
    /// The last that could be used.
    usable: Option<String>,
    tell: watch::Sender<Vec<u8>>,
}

impl OwnCa {
    /// Reads `ca.crt`, if it is there yet, and tells it.
    pub(super) fn open(directory: &Path, tell: watch::Sender<Vec<u8>>) -> Self {
        let mut own = Self { files: Files::read(vec![directory.join(CA)]), usable: None, tell };
        own.usable = own.text();
        if let Some(text) = own.usable.clone() {
            own.tell.send_replace(text.into_bytes());
        }
        own
    }

    fn text(&self) -> Option<String> {
        match certificates(&self.files) {
            Ok(_) => self.files.snapshot().texts.first().map(|(_, text)| text.clone()),
            Err(error) => {
                tracing::debug!("`{CA}` cannot be used: {error:#}");
                None
            }
        }
    }
}

impl Followed for OwnCa {
    fn points(&self) -> &Points {
        self.files.points()
    }

    /// The CA before stays in the bundle until the next one comes: replicas do not see new files at the same moment.
    fn refresh(&mut self) -> bool {
        let change = self.files.refresh();
        if change == Change::Content {
            match self.text() {
                Some(text) => {
                    // However often it was something else meanwhile that nobody could use.
                    let before = self.usable.replace(text.clone());
                    let before = before.filter(|before| *before != text).unwrap_or_default();
                    self.tell.send_replace(format!("{}\n{before}", text.trim_end()).into_bytes());
                    tracing::info!("the CA that the API server trusts was replaced");
                }
                None => tracing::error!("keeping the CA, as `{CA}` holds none that can be used"),
            }
        }
        change != Change::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn the_last_ca_that_could_be_used_stays_beside_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (ca("one"), ca("two"));
        let write = |text: &str| std::fs::write(directory.path().join(CA), text).unwrap();
        write(&one);
        let (tell, told) = watch::channel(Vec::new());
        let mut own = OwnCa::open(directory.path(), tell);
        let told = || String::from_utf8(told.borrow().clone()).unwrap();
        assert_eq!(told(), one);
        for garbage in ["garbage", "more garbage"] {
            write(garbage);
            assert!(own.refresh());
            assert_eq!(told(), one, "{garbage}");
        }
        write(&two);
        assert!(own.refresh());
        assert_eq!(told(), format!("{two}{one}"));
    }
}
