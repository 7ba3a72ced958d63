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
use std::time::Duration;

/// A peer that sends nothing for so long, though something is due, is gone. A watch ends after less, and the API server
/// itself gives a list no longer.
const SILENCE: Duration = Duration::from_secs(75);

/// Which cluster is meant. Without anything said: what `KUBECONFIG` or `~/.kube/config` says, else the service
/// account of the Pod that we run in.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// A context in it other than its current one.
    pub context: Option<String>,
    /// Whether it is told at once that the API server is too busy to answer: for those who ask again themselves.
    pub asks_again: bool,
}

/// A cluster that we talk to.
pub struct Cluster {
    pub(super) client: Client,
    /// The controller's namespace.
    pub(super) namespace: String,
    pub(super) worker: Worker,
    /// Where its API server is.
    pub(super) url: String,
}

impl Cluster {
    /// Finds the cluster that is meant. Nothing is asked of it yet.
    ///
    /// # Errors
    /// No cluster is to be found, or what tells about it cannot be used.
    pub fn find(options: &Options, controller_namespace: &str) -> anyhow::Result<Arc<Self>> {
        let worker = Worker::start()?;
        let options = options.clone();
        let (client, url) = worker.run(async move {
            let config = bounded(config(&options).await?, &options, SILENCE);
            tracing::info!(cluster = %config.cluster_url, "policies come from the cluster");
            let url = config.cluster_url.to_string();
            let client = Client::try_from(config);
            Ok::<_, anyhow::Error>((
                client.context("the cluster's address or credentials cannot be used")?,
                url,
            ))
        })??;
        Ok(Arc::new(Self { client, namespace: controller_namespace.to_owned(), worker, url }))
    }

    /// That it could not be read.
    pub(super) fn unread(&self, error: &kube::Error) -> anyhow::Error {
        let url = self.url.trim_end_matches('/');
        anyhow!("the cluster at {url} cannot be read: {}", describe(error))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Has nobody wait for ever for a peer that is gone without a word, nor, if not asked to, between attempts of which
/// nobody hears: kube's own go on for minutes.
fn bounded(mut config: Config, options: &Options, silence: Duration) -> Config {
    config.read_timeout = Some(silence);
    // Otherwise the time would count in which a connection was not used.
    config.reset_reader_on_write = true;
    config.default_retry = !options.asks_again;
    config
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
    // What is named and wrong is not passed over for the service account of a Pod.
    let named = |error| anyhow!("the kubeconfig of `KUBECONFIG` cannot be used: {}", describe(&error));
    if let Some(kubeconfig) = Kubeconfig::from_env().map_err(named)? {
        return Config::from_custom_kubeconfig(kubeconfig, &with_context).await.map_err(named);
    }
    Config::infer().await.map_err(|error| {
        tracing::debug!(%error, "no cluster");
        let hint = "give `--kubeconfig FILE`, or set `KUBECONFIG`; without a cluster `serve` takes `--policies DIR`, and \
                    `audit` files";
        Hinted::new("there is no cluster: no kubeconfig, and no service account", hint).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::ListParams;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use tokio::time::timeout;

    /// What becomes of a question to an API server that gives each connection this answer and then keeps silent.
    async fn ask(answer: &'static str, silence: Duration) -> kube::Error {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let options = Options { asks_again: true, ..Options::default() };
        let client = Client::try_from(bounded(config, &options, silence)).unwrap();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
                open.push(stream);
            }
        });
        let namespaces: Api<Namespace> = Api::all(client);
        let asked = timeout(Duration::from_secs(20), async { namespaces.list(&ListParams::default()).await });
        asked.await.expect("it waits for ever").unwrap_err()
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        // Neither for the head of an answer nor for the rest of it.
        for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
            let error = ask(begun, Duration::from_millis(100)).await;
            assert!(!matches!(error, kube::Error::Api(_)), "{error:?}");
        }
        // What the API server is too busy for is told at once to those who ask again themselves.
        let busy = "HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let error = ask(busy, Duration::from_secs(60)).await;
        assert!(matches!(error, kube::Error::Api(status) if status.code == 503));
    }
}
