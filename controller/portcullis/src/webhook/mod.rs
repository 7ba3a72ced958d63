//! The door for the API server: AdmissionReviews over HTTPS, decided by the policies in force.
//!
//! `listener` accepts, `gate` walks one request through its limits to a decision, [`review`] speaks
//! AdmissionReview, `load` keeps what is [`live`](crate::live) up to date on a thread of its own, `handover` keeps a long
//! decision from delaying the others.

mod apart;
mod body;
pub mod certificate;
mod deadline;
mod followed;
mod gate;
mod handover;
mod listener;
mod load;
mod memory;
pub(crate) mod outline;
mod pending;
mod policies;
pub mod review;
pub(crate) mod tls;
mod trust;

use crate::cluster::{Cluster, ClusterSource, Options, Outside, Upkeep, control};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::modules;
use crate::ops;
use crate::source::Source;
use crate::source::directories::Directories;
use crate::source::watch::{Bell, Watch};
use anyhow::Context;
use followed::Followed;
use gate::Gate;
pub(crate) use gate::MAX_DEPTH;
use handover::{Busy, Handover};
use listener::Listener;
use load::{Loader, Loading};
use portcullis_wasm::INSTANCES;
use std::fs::Permissions;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::available_parallelism;
use std::time::Duration;
use tempfile::TempDir;
use tls::{CertificateFiles, Serving};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use trust::{ClientCa, OwnCa};

/// Stack of the threads that decide: reviews nest up to 1,000 levels. Only what is used takes memory.
const STACK: usize = 8 << 20;
/// Threads that decide, unless told otherwise: one may be at a long decision while others go on.
const MIN_THREADS: usize = 2;
/// How long requests may take to end once nothing more is accepted; Kubernetes kills 30 s after it tells us to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Where policies and facts are to come from.
#[derive(Debug, Clone)]
pub enum SourceConfig {
    /// Directories, or files.
    Directories {
        /// Those of policies.
        policies: Vec<PathBuf>,
        /// Those of Namespaces, params and other objects.
        resources: Vec<PathBuf>,
    },
    /// A cluster.
    Cluster {
        /// Which one.
        options: Options,
        /// Whether policies in other namespaces than the controller's count, for those.
        namespaced_policies: bool,
        /// What to look after in it, if anything.
        upkeep: Option<Upkeep>,
    },
}

/// A source that is open, its cluster if there is one, and how that is looked after.
type Opened = (Box<dyn Source>, Option<Arc<Cluster>>, Option<Upkeep>);

impl SourceConfig {
    /// # Errors
    /// No cluster is to be found; nothing is asked of it yet.
    fn open(self, namespace: &str, bell: Bell) -> anyhow::Result<Opened> {
        Ok(match self {
            Self::Directories { policies, resources } => {
                (Box::new(Directories::new(policies, resources, namespace)), None, None)
            }
            Self::Cluster { options, namespaced_policies, upkeep } => {
                let cluster = Cluster::find(&options, namespace)?;
                let source = Box::new(ClusterSource::watch(&cluster, namespaced_policies, bell));
                (source, Some(cluster), upkeep)
            }
        })
    }
}

/// How the webhook is to be run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where policies and facts come from.
    pub source: SourceConfig,
    /// Where `tls.crt` and `tls.key` are, or are to be made; `None` for a temporary directory.
    pub cert_dir: Option<PathBuf>,
    /// A file with the CA of those who may ask; anybody may where there is none.
    pub client_ca: Option<PathBuf>,
    /// Where reviews are answered. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where metrics and health are told. Port 0 takes a free one.
    pub ops_listen: SocketAddr,
    /// The controller's namespace.
    pub namespace: String,
    /// Whether nothing is denied or warned about.
    pub audit_only: bool,
    /// Threads that decide; `None` for one per processor, but two at least.
    pub threads: Option<usize>,
    /// Requests that are being decided, beyond which others are answered by class.
    pub max_requests: usize,
    /// Where compiled modules are kept, for nobody else to enter; `None` for the user's cache directory.
    pub module_cache: Option<PathBuf>,
}

impl Config {
    /// What `serve` does without flags, with policies from there.
    pub fn new(source: SourceConfig) -> Self {
        Self {
            source,
            cert_dir: None,
            client_ca: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            namespace: "portcullis".to_owned(),
            audit_only: false,
            threads: None,
            max_requests: 512,
            module_cache: None,
        }
    }
}

/// Starts webhooks.
#[derive(Debug)]
pub struct Server;

/// A webhook that answers requests. Dropping it stops it at once; [`shutdown`](Self::shutdown) lets requests
/// end first.
#[derive(Debug)]
pub struct Running {
    /// Where reviews are answered.
    pub address: SocketAddr,
    /// Where metrics and health are told.
    pub ops_address: SocketAddr,
    /// Where the certificate is, if in files; `ca.crt` too if it was made by us.
    pub cert_dir: Option<PathBuf>,
    live: Arc<Live>,
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    loading: Loading,
    control: Option<control::Running>,
    ops: ops::Running,
    _handover: Handover,
    runtime: Runtime,
    /// Removed with its certificate at the end.
    _temporary: Option<TempDir>,
}

impl Server {
    /// Binds both addresses, then reads and compiles the policies. Those from directories are in force when
    /// this returns, those from a cluster once the cluster has told all of them. Not to be called from an async
    /// task.
    ///
    /// # Errors
    /// An address that cannot be bound, a certificate that cannot be used, no readable policies, no cluster to
    /// be found. A policy that is wrong is none: it is logged and reported.
    pub fn start(config: Config) -> anyhow::Result<Running> {
        memory::give_back();
        let (watch, stopper) = Watch::new();
        let modules = modules::serving(config.module_cache.clone(), stopper.bell())?;
        let (source, cluster, upkeep) = config.source.clone().open(&config.namespace, stopper.bell())?;
        let metrics = Arc::new(Metrics::new());
        let live = Arc::new(Live::default());
        if upkeep.is_some() {
            live.stand_beside();
        }
        let serving = Serving::new(Arc::clone(&metrics));
        let (tell_ca, _) = watch::channel(Vec::new());
        let mut files: Vec<Box<dyn Followed>> = Vec::new();
        let mut clients = None;
        if let Some(file) = &config.client_ca {
            let (client_ca, found) = ClientCa::open(file)?;
            files.push(Box::new(client_ca));
            clients = Some(found);
        }
        let tls = serving.server_config(clients.clone())?;
        let from_secret = upkeep.as_ref().is_some_and(|upkeep| upkeep.certificate.is_some());
        let (mut cert_dir, mut temporary) = (None, None);
        if !from_secret {
            let (directory, made) = certificate_directory(&config)?;
            files.push(Box::new(CertificateFiles::open(&directory, Arc::clone(&serving))?));
            files.push(Box::new(OwnCa::open(&directory, tell_ca.clone())));
            live.certify();
            (cert_dir, temporary) = (Some(directory), made);
        }
        let socket = bind(config.listen)?;
        let ops_socket = bind(config.ops_listen)?;
        let (address, ops_address) = (socket.local_addr()?, ops_socket.local_addr()?);

        let busy = Arc::new(Busy::default());
        let gate = Arc::new(Gate {
            live: Arc::clone(&live),
            metrics: Arc::clone(&metrics),
            controller_namespace: config.namespace.clone(),
            audit_only: config.audit_only,
            max_requests: config.max_requests,
            outside: cluster.clone().map(|cluster| Arc::new(Outside::new(cluster))),
            requests: AtomicUsize::new(0),
            bodies: body::Together::default(),
            busy: Arc::clone(&busy),
            instances: Arc::new(Semaphore::new(INSTANCES)),
        });
        let listener = Listener::new(gate::router(&gate), tls, clients, Arc::clone(&metrics));
        let connections = listener.places();
        let runtime = runtime(config.threads)?;
        let _handover = Handover::start(runtime.handle().clone(), busy)?;
        let (stop, stopped) = watch::channel(false);
        let entered = runtime.enter();
        let socket = tokio::net::TcpListener::from_std(socket)?;
        drop(entered);
        runtime.spawn(listener.accept(socket, stopped));
        let beating = Arc::clone(&live);
        runtime.spawn(async move { beating.keep_beating().await });
        let ops = ops::start(ops_socket, Arc::clone(&live), Arc::clone(&metrics))?;
        let directory = cert_dir.as_ref().map(|directory| directory.display().to_string());
        tracing::info!(%address, ops = %ops_address, certificate = directory, "listening");

        let for_control = Arc::clone(&metrics);
        let loading = Loader {
            source,
            files,
            live: Arc::clone(&live),
            metrics,
            modules,
            waiting: None,
            is_untrimmed: false,
        }
        .start(watch, stopper)?;
        let control = cluster.zip(upkeep).map(|(cluster, upkeep)| {
            let (upkeep, live) = (upkeep.at(address), Arc::clone(&live));
            control::start(&cluster, upkeep, live, for_control, serving, tell_ca)
        });
        let _temporary = temporary;
        Ok(Running {
            address,
            ops_address,
            cert_dir,
            live,
            stop,
            connections,
            loading,
            control,
            ops,
            _handover,
            runtime,
            _temporary,
        })
    }
}

impl Running {
    /// Waits for a future on the webhook's own runtime, then is no longer ready but goes on serving for as long as that
    /// one says, so that whoever sends requests hears of it first, and then shuts down.
    pub fn serve_until(mut self, stop: impl Future<Output = Duration>) {
        let delay = self.runtime.block_on(stop);
        self.live.drain();
        let until = Instant::now() + delay;
        self.hand_over();
        self.runtime.block_on(async { sleep_until(until).await });
        self.shutdown();
    }

    /// No longer ready, accepts nothing more, lets requests end (for 20 s at most), and stops.
    pub fn shutdown(mut self) {
        self.live.drain();
        self.stop.send_replace(true);
        self.hand_over();
        if !self.runtime.block_on(Listener::drained(&self.connections, DRAIN)) {
            tracing::warn!("some requests did not end in time");
        }
        drop(self.loading);
        drop(self.ops);
        self.runtime.shutdown_background();
        tracing::info!("stopped");
    }

    /// Lets another replica look after the cluster.
    fn hand_over(&mut self) {
        if let Some(control) = self.control.take() {
            control.stop();
        }
    }
}

/// Where the certificate is. Made if nothing is there yet.
fn certificate_directory(config: &Config) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let (directory, temporary) = match &config.cert_dir {
        Some(directory) => (directory.clone(), None),
        None => {
            let private = Permissions::from_mode(0o700);
            let temporary = tempfile::Builder::new().prefix("portcullis-").permissions(private).tempdir();
            let temporary = temporary.context("cannot create a temporary directory")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    if !certificate::is_given(&directory)? {
        certificate::make(&directory, config.listen.ip(), &config.namespace)?;
        log_made(&directory);
    }
    Ok((directory, temporary))
}

fn log_made(directory: &Path) {
    let ca = directory.join(certificate::CA);
    tracing::info!(ca = %ca.display(), "made a throw-away certificate");
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = TcpListener::bind(address).with_context(|| format!("cannot listen on `{address}`"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn runtime(threads: Option<usize>) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let processors = || available_parallelism().map_or(MIN_THREADS, |count| count.get().max(MIN_THREADS));
    builder.worker_threads(threads.unwrap_or_else(processors).max(1));
    builder
        .thread_name("webhook")
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("cannot start the webhook's threads")
}
