//! The emergency stop and its end, as a person calls for them: they work whether or not a replica runs.

use super::connect::Cluster;
use super::describe;
use super::switch::SWITCH;
use super::webhooks::CONTROLLER_LABEL;
use crate::terminal::Hinted;
use anyhow::anyhow;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long whoever leads has to remove the entries, until we do it ourselves.
const LEADER_HAS: Duration = Duration::from_secs(3);
/// Between two looks at the configuration.
const LOOK: Duration = Duration::from_millis(100);
/// Who writes, in managedFields.
const MANAGER: &str = "portcullis-disarm";

type Configuration = ValidatingWebhookConfiguration;

/// How a call to disarm or arm ended.
#[derive(Debug)]
pub struct Switched {
    /// Whether the switch was not so already.
    pub changed: bool,
    /// The configurations of this controller, with the number of entries that they lost, or have now.
    pub configurations: Vec<(String, usize)>,
}

/// Sets the switch, and sees to it that the entries go: by whoever leads, else by us. Not to be called from an
/// async task.
///
/// # Errors
/// We may not, or the API server does not answer.
pub fn disarm(cluster: &Arc<Cluster>, reason: &str) -> anyhow::Result<Switched> {
    let (here, reason) = (Arc::clone(cluster), reason.to_owned());
    cluster.worker.run(async move { here.disarm(reason).await })?
}

/// Removes the switch, and waits until a replica has filled in the entries. Not to be called from an async task.
///
/// # Errors
/// We may not, the API server does not answer, or no entries came back in time.
pub fn arm(cluster: &Arc<Cluster>, timeout: Duration) -> anyhow::Result<Switched> {
    let here = Arc::clone(cluster);
    cluster.worker.run(async move { here.arm(timeout).await })?
}

impl Cluster {
    async fn disarm(&self, reason: String) -> anyhow::Result<Switched> {
        let before = self.configurations().await?;
        let changed = match self.switches().create(&by(), &switch(reason, &before)).await {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 409 => false,
            Err(error) => return Err(failed("the switch cannot be set", &error)),
        };
        let begin = Instant::now();
        let mut left = before.clone();
        left.retain(|it| entries(it) > 0);
        while !left.is_empty() {
            if begin.elapsed() > LEADER_HAS {
                for configuration in left {
                    self.empty(configuration).await?;
                }
                break;
            }
            sleep(LOOK).await;
            left = self.configurations().await?;
            left.retain(|it| entries(it) > 0);
        }
        let configurations = before.iter().map(|it| (it.name_any(), entries(it))).collect();
        Ok(Switched { changed, configurations })
    }

    async fn empty(&self, mut configuration: Configuration) -> anyhow::Result<()> {
        let name = configuration.name_any();
        loop {
            configuration.webhooks = None;
            let api: Api<Configuration> = Api::all(self.client.clone());
            match api.replace(&name, &by(), &configuration).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let Some(now) = api.get_opt(&name).await.map_err(|error| self.unread(&error))? else {
                        return Ok(());
                    };
                    configuration = now;
                }
                Err(error) => return Err(failed("the entries cannot be removed", &error)),
            }
        }
    }

    async fn arm(&self, timeout: Duration) -> anyhow::Result<Switched> {
        let switch = self.switches().get_opt(SWITCH).await.map_err(|error| self.unread(&error))?;
        let changed = match switch {
            None => false,
            Some(_) => match self.switches().delete(SWITCH, &DeleteParams::default()).await {
                Ok(_) => true,
                Err(kube::Error::Api(status)) if status.code == 404 => false,
                Err(error) => return Err(failed("the switch cannot be removed", &error)),
            },
        };
        // Where nobody had filled in any before, nobody may be there to do so now.
        let recorded = switch.and_then(|switch| switch.data?.remove("entries"));
        let awaited = changed && recorded.as_deref() != Some("0");
        let begin = Instant::now();
        loop {
            let configurations = self.configurations().await?;
            let configurations: Vec<_> =
                configurations.iter().map(|it| (it.name_any(), entries(it))).collect();
            if !awaited || configurations.iter().any(|(_, entries)| *entries > 0) {
                return Ok(Switched { changed, configurations });
            }
            if begin.elapsed() > timeout {
                let message =
                    format!("armed, but nobody filled in the entries within {} s", timeout.as_secs());
                let hint = format!("see which replica leads: `kubectl get lease -n {}`", self.namespace);
                return Err(Hinted::new(message, hint).into());
            }
            sleep(LOOK).await;
        }
    }

    fn switches(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The webhook configurations of the controller in this namespace.
    async fn configurations(&self) -> anyhow::Result<Vec<Configuration>> {
        let api: Api<Configuration> = Api::all(self.client.clone());
        let ours = ListParams::default().labels(&format!("{CONTROLLER_LABEL}={}", self.namespace));
        Ok(api.list(&ours).await.map_err(|error| self.unread(&error))?.items)
    }
}

/// The switch as it is set now.
fn switch(reason: String, configurations: &[Configuration]) -> ConfigMap {
    let entries: usize = configurations.iter().map(entries).sum();
    let data =
        [("reason", reason), ("disarmedAt", Timestamp::now().to_string()), ("entries", entries.to_string())];
    ConfigMap {
        metadata: ObjectMeta { name: Some(SWITCH.to_owned()), ..ObjectMeta::default() },
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..ConfigMap::default()
    }
}

fn entries(configuration: &Configuration) -> usize {
    configuration.webhooks.as_ref().map_or(0, Vec::len)
}

fn by() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn failed(what: &str, error: &kube::Error) -> anyhow::Error {
    anyhow!("{what}: {}", describe(error))
}
