//! Reading the status, as a person asks for it.

use super::{CONFIG_MAPS, NAME, POLICIES};
use crate::cluster::connect::Cluster;
use crate::cluster::control::LEASE;
use crate::status::{ConfigMapStatus, PolicyStatus, Told};
use crate::terminal::Hinted;
use anyhow::anyhow;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use portcullis_core::document::POLICY_LABEL;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What is written down, and how old it is.
#[derive(Debug)]
pub struct Answer {
    /// `data` of the ConfigMap but for its lists.
    pub texts: BTreeMap<String, String>,
    /// Policies, what is wrong first.
    pub policies: Told<PolicyStatus>,
    /// Their ConfigMaps, what is wrong first.
    pub config_maps: Told<ConfigMapStatus>,
    /// Who leads, and when it was last heard of; `None` if that cannot be told.
    pub leader: Option<(String, Option<Timestamp>)>,
}

/// Reads the status. Not to be called from an async task.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn ask(cluster: &Arc<Cluster>) -> anyhow::Result<Answer> {
    let here = Arc::clone(cluster);
    cluster.worker.run(async move { here.status().await })?
}

/// Waits until the leader has taken in every policy ConfigMap as it is in the cluster now, sound or not, and the webhook
/// configuration is in step. Not to be called from an async task.
///
/// # Errors
/// That is not so in time, or cannot be told.
pub fn wait(cluster: &Arc<Cluster>, patience: Duration) -> anyhow::Result<Answer> {
    let here = Arc::clone(cluster);
    cluster.worker.run(async move { here.wait(patience).await })?
}

impl Cluster {
    async fn status(&self) -> anyhow::Result<Answer> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(NAME).await.map_err(|error| self.unread(&error))?;
        let Some(mut texts) = found.and_then(|found| found.data) else {
            let message = format!("there is no ConfigMap `{NAME}` in namespace `{}`", self.namespace);
            let hint =
                "it is written by the replica that leads; give the controller's namespace by `--namespace`";
            return Err(Hinted::new(message, hint).into());
        };
        let mut take = |key: &str| texts.remove(key).unwrap_or_default();
        let (policies, config_maps) = (take(POLICIES), take(CONFIG_MAPS));
        let foreign = |_| anyhow!("ConfigMap `{NAME}` in namespace `{}` is not ours", self.namespace);
        let policies = serde_json::from_str(&policies).map_err(foreign)?;
        let config_maps = serde_json::from_str(&config_maps).map_err(foreign)?;
        Ok(Answer { texts, policies, config_maps, leader: self.leader().await })
    }

    /// Who may not read the Lease is told the rest all the same.
    async fn leader(&self) -> Option<(String, Option<Timestamp>)> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let spec = api.get_opt(LEASE).await.ok()??.spec?;
        Some((spec.holder_identity.unwrap_or_default(), spec.renew_time.map(|time| time.0)))
    }

    async fn wait(&self, patience: Duration) -> anyhow::Result<Answer> {
        let own: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let everywhere: Api<ConfigMap> = Api::all(self.client.clone());
        let labelled = ListParams::default().labels(POLICY_LABEL);
        let begin = Instant::now();
        loop {
            // A status that is not there yet may come.
            let answer = self.status().await;
            let namespaced =
                answer.as_ref().is_ok_and(|it| it.texts.get("namespaced").is_some_and(|it| it == "true"));
            let api = if namespaced { &everywhere } else { &own };
            let there = api.list_metadata(&labelled).await.map_err(|error| self.unread(&error))?;
            let place = |it: &PartialObjectMeta<ConfigMap>| {
                format!("{}/{}", it.namespace().unwrap_or_default(), it.name_any())
            };
            let there = there.items.iter().map(|it| (place(it), it.resource_version().unwrap_or_default()));
            let there: BTreeSet<(String, String)> = there.collect();
            let missing = match &answer {
                Ok(answer) => missing(&there, answer),
                Err(_) => Some("the status".to_owned()),
            };
            let Some(missing) = missing else { return answer };
            if begin.elapsed() > patience {
                answer?;
                let message = format!("not in force after {} s: {missing}", patience.as_secs());
                let hint = format!("see which replica leads: `kubectl get lease -n {}`", self.namespace);
                return Err(Hinted::new(message, hint).into());
            }
            sleep(LOOK).await;
        }
    }
}

/// What the leader has not taken in yet.
fn missing(there: &BTreeSet<(String, String)>, answer: &Answer) -> Option<String> {
    let told = answer.config_maps.items.iter();
    let told: BTreeSet<(String, String)> =
        told.map(|it| (format!("{}/{}", it.namespace, it.name), it.resource_version.clone())).collect();
    let late = there.difference(&told).count().saturating_sub(answer.config_maps.more);
    if late > 0 {
        let names: Vec<String> =
            there.difference(&told).take(3).map(|(name, _)| format!("`{name}`")).collect();
        return Some(format!("ConfigMaps {}{}", names.join(", "), if late > 3 { " and others" } else { "" }));
    }
    if let Some((name, _)) = told.difference(there).next() {
        return Some(format!("the deletion of ConfigMap `{name}`"));
    }
    let in_step = answer.texts.get("configured").is_some_and(|configured| configured == "true");
    (!in_step).then(|| "the webhook configuration".to_owned())
}
