//! A small HTTPS client over HTTP/1.1 with keep-alive, as the API server speaks to webhooks: the demo, the
//! tests and the benchmarks ask the webhook through it.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Answers larger than this are refused, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// Whom to ask, and whom to trust.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The CA certificate, or our own, cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Ca(String),
    /// No connection, or no TLS on it.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What went wrong.
        cause: io::Error,
    },
    /// The path is none.
    #[error("cannot ask for `{0}`")]
    Path(String),
    /// The connection broke, or what came is not HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// The answer broke off or is too large.
    #[error("the answer cannot be read: {0}")]
    Answer(String),
}

impl Client {
    /// Asks `address` over TLS, trusting the certificates of `ca` (PEM) for the address itself.
    ///
    /// # Errors
    /// `ca` holds no certificate that can be trusted.
    pub fn https(address: SocketAddr, ca: &[u8]) -> Result<Self, ClientError> {
        Self::https_as(address, ca, None)
    }

    /// The same with a certificate of our own and its key (PEM), if the other side asks for one.
    ///
    /// # Errors
    /// `ca` holds no certificate that can be trusted, or ours cannot be used.
    pub fn https_as(
        address: SocketAddr,
        ca: &[u8],
        own: Option<(&[u8], &[u8])>,
    ) -> Result<Self, ClientError> {
        let unusable = |error: &dyn ToString| ClientError::Ca(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"there is none"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>();
                let chain = chain.map_err(|error| unusable(&error))?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
                config.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
            }
        };
        let name = ServerName::IpAddress(address.ip().into());
        Ok(Self { address, tls: Some((TlsConnector::from(Arc::new(config)), name)) })
    }

    /// Asks `address` without TLS.
    pub fn http(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Opens a connection, on which requests follow each other.
    ///
    /// # Errors
    /// Nobody listens there, or whom we trust does not.
    pub async fn connect(&self) -> Result<Connection, ClientError> {
        let connect = |cause| ClientError::Connect { address: self.address, cause };
        let stream = TcpStream::connect(self.address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let sender = match &self.tls {
            None => speak(stream).await?,
            Some((tls, name)) => speak(tls.connect(name.clone(), stream).await.map_err(connect)?).await?,
        };
        Ok(Connection { sender, host: self.address.to_string() })
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what goes wrong before, the request that waits for it is told.
    tokio::spawn(connection);
    Ok(sender)
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

impl Connection {
    /// Sends `body` as JSON and waits for the answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is too large.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Reply, ClientError> {
        self.send(Method::POST, path, Some("application/json"), body).await
    }

    /// Asks for `path`.
    ///
    /// # Errors
    /// The connection broke, or the answer is too large.
    pub async fn get(&mut self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        self.sender.ready().await?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body)).map_err(|_| ClientError::Path(path.to_owned()))?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| ClientError::Answer(error.to_string()))?.to_bytes();
        Ok(Reply { status, body })
    }
}
