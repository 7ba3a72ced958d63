//! Which API server to talk to, and as whom.

use super::describe;
use super::worker::Worker;
use crate::terminal::Hinted;
use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Which cluster is meant. Without anything said: what `KUBECONFIG` or `~/.kube/config` says, else the service
/// account of the Pod that we run in.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// A context in it other than its current one.
    pub context: Option<String>,
}

/// A cluster that we talk to.
pub struct Cluster {
    pub(super) client: Client,
    /// The controller's namespace.
    pub(super) namespace: String,
    pub(super) worker: Worker,
}

impl Cluster {
    /// Finds the cluster that is meant. Nothing is asked of it yet.
    ///
    /// # Errors
    /// No cluster is to be found, or what tells about it cannot be used.
    pub fn find(options: &Options, controller_namespace: &str) -> anyhow::Result<Arc<Self>> {
        let worker = Worker::start()?;
        let options = options.clone();
        let client = worker.run(async move {
            let config = config(&options).await?;
            tracing::info!(cluster = %config.cluster_url, "policies come from the cluster");
            Client::try_from(config).context("the cluster's address or credentials cannot be used")
        })??;
        Ok(Arc::new(Self { client, namespace: controller_namespace.to_owned(), worker }))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

async fn config(options: &Options) -> anyhow::Result<Config> {
    let with_context = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    if let Some(file) = &options.kubeconfig {
        let named =
            |error| anyhow!("the kubeconfig `{}` cannot be used: {}", file.display(), describe(&error));
        let kubeconfig = Kubeconfig::read_from(file).map_err(named)?;
        return Config::from_custom_kubeconfig(kubeconfig, &with_context).await.map_err(named);
    }
    if let Some(context) = &options.context {
        return Config::from_kubeconfig(&with_context)
            .await
            .map_err(|error| anyhow!("the context `{context}` cannot be used: {}", describe(&error)));
    }
    Config::infer().await.map_err(|error| {
        tracing::debug!(%error, "no cluster");
        let hint =
            "give `--kubeconfig FILE`; without a cluster `serve` takes `--policies DIR`, and `audit` files";
        Hinted::new("there is no cluster: no kubeconfig, and no service account", hint).into()
    })
}
