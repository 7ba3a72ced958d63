//! Looking after the cluster: what one replica does for all, and what it shares while it does.

use super::accepted;
use super::certificates::{CertificateSecret, Keeper};
use super::connect::Cluster;
use super::leader::Candidate;
use super::status;
use super::switch;
use super::webhooks::{Settings, Target, reconcile};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::webhook::tls::Serving;
use kube::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// The Lease's name.
pub(super) const LEASE: &str = "portcullis";

/// What is looked after, and how.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// The ValidatingWebhookConfiguration to keep in step with the policies.
    pub configuration: String,
    /// Where the API server reaches us.
    pub target: Target,
    /// Namespaces in which nodes must be able to come back without us.
    pub critical_namespaces: Vec<String>,
    /// The Secret with the certificate; `None` where it is in files.
    pub certificate: Option<CertificateSecret>,
    /// What tells this replica from others.
    pub identity: String,
    /// Whether policies in other namespaces count, for those.
    pub namespaced_policies: bool,
}

impl Upkeep {
    /// The same, reached where we listen if nothing else was said.
    pub(crate) fn at(self, address: SocketAddr) -> Self {
        let target = match self.target {
            Target::Url(url) if url.is_empty() => Target::Url(format!("https://{address}")),
            target => target,
        };
        Self { target, ..self }
    }
}

/// What the tasks share.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) client: Client,
    /// The controller's.
    pub(super) namespace: String,
    /// Whether policies of other namespaces count, for those.
    pub(super) namespaced_policies: bool,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    /// What tells this replica from others.
    pub(super) identity: String,
    /// Whether this replica is to do what one does for all.
    pub(super) leading: watch::Receiver<bool>,
    /// Whether the durable switch is there; `None` as long as that is not known.
    pub(super) disarmed: watch::Receiver<Option<bool>>,
    /// Which CA signs what we serve (PEM); empty as long as that is not known.
    pub(super) ca: watch::Receiver<Vec<u8>>,
    /// The number of the generation with which the webhook configuration was last in step.
    pub(super) configured: watch::Sender<u64>,
}

/// The running tasks.
#[derive(Debug)]
pub(crate) struct Running {
    cluster: Arc<Cluster>,
    stop: watch::Sender<bool>,
    stood: watch::Receiver<bool>,
}

/// Starts looking after a cluster. `tell_ca` tells whom the API server has to trust: somebody else
/// does, where the certificate is in files.
pub(crate) fn start(
    cluster: &Arc<Cluster>,
    upkeep: Upkeep,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    serving: Arc<Serving>,
    tell_ca: watch::Sender<Vec<u8>>,
) -> Running {
    let Upkeep { configuration, target, critical_namespaces, certificate, identity, namespaced_policies } =
        upkeep;
    let names = target.names(&cluster.namespace);
    let ca = tell_ca.subscribe();
    let (client, namespace) = (cluster.client.clone(), cluster.namespace.clone());
    let (candidate, leading) =
        Candidate::new(client.clone(), &namespace, LEASE, &identity, Arc::clone(&live));
    let settings = Settings {
        target,
        controller_namespace: namespace.clone(),
        critical_namespaces,
        namespaced_policies,
    };
    let (tell_disarmed, disarmed) = watch::channel(None);
    cluster.worker.spawn(switch::watch(client.clone(), namespace.clone(), tell_disarmed));
    let configured = watch::Sender::new(0);
    let control = Control {
        client,
        namespace,
        namespaced_policies,
        live,
        metrics,
        identity,
        leading,
        disarmed,
        ca,
        configured,
    };
    let (stop, stopped) = watch::channel(false);
    let (has_stood, stood) = watch::channel(false);
    cluster.worker.spawn(async move {
        candidate.stand(stopped).await;
        has_stood.send_replace(true);
    });
    if let Some(CertificateSecret { name, lifetime }) = certificate {
        let control = control.clone();
        let keeper = Keeper { control, name, names, lifetime, serving, ca: tell_ca };
        cluster.worker.spawn(keeper.keep());
    }
    cluster.worker.spawn(accepted::keep(control.clone(), configuration.clone()));
    cluster.worker.spawn(status::keep(control.clone(), configuration.clone()));
    cluster.worker.spawn(reconcile(control, configuration, settings));
    Running { cluster: Arc::clone(cluster), stop, stood }
}

impl Running {
    /// Hands over to another replica. Not to be called from an async task.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        let mut stood = self.stood;
        // It fails where the thread has ended, and nobody stands any more.
        let _ = self.cluster.worker.run(async move { stood.wait_for(|stood| *stood).await.is_ok() });
    }
}
