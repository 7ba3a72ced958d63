//! ConfigMaps of the controller's own, in its namespace: made, changed where they differ, and gone with the release.

use super::control::Control;
use super::webhooks::role;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;

/// The label of what we keep; its value says what that is.
const LABEL: &str = "portcullis.dev/keeps";
/// Who writes, in managedFields.
pub(super) const MANAGER: &str = "portcullis";

/// ConfigMaps of one purpose, as we last saw or wrote them. Nobody else should write them.
#[derive(Debug)]
pub(super) struct Kept {
    api: Api<ConfigMap>,
    purpose: &'static str,
    /// With which they go.
    owner: Option<OwnerReference>,
    known: BTreeMap<String, ConfigMap>,
}

/// The ConfigMaps of a purpose. Whoever may write ConfigMaps here may label one, but not call it as ours are
/// called: look at the names.
pub(super) async fn list(
    client: &Client,
    namespace: &str,
    purpose: &str,
) -> kube::Result<BTreeMap<String, ConfigMap>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default().labels(&format!("{LABEL}={purpose}"))).await?;
    Ok(found.items.into_iter().map(|config_map| (config_map.name_any(), config_map)).collect())
}

/// The metadata of one that is made.
pub(super) fn metadata(name: &str, purpose: &str, owner: Option<&OwnerReference>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(BTreeMap::from([(LABEL.to_owned(), purpose.to_owned())])),
        owner_references: owner.map(|owner| vec![owner.clone()]),
        ..ObjectMeta::default()
    }
}

impl Kept {
    /// Those that are there. What is made belongs to the release's ClusterRole of that name.
    pub(super) async fn open(
        control: &Control,
        role_name: &str,
        purpose: &'static str,
    ) -> kube::Result<Self> {
        let known = list(&control.client, &control.namespace, purpose).await?;
        let owner = role(control, role_name).await?;
        let api = Api::namespaced(control.client.clone(), &control.namespace);
        Ok(Self { api, purpose, owner, known })
    }

    /// What is known to be there.
    pub(super) fn known(&self) -> &BTreeMap<String, ConfigMap> {
        &self.known
    }

    /// Sees to it that one holds this and nothing else. True if it had to be written.
    pub(super) async fn write(&mut self, name: &str, data: BTreeMap<String, String>) -> kube::Result<bool> {
        let known = self.known.get(name);
        if known.is_some_and(|known| known.data.as_ref().map_or(data.is_empty(), |there| *there == data)) {
            return Ok(false);
        }
        let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let written = match known {
            Some(known) => {
                let wanted = ConfigMap { data: Some(data), ..known.clone() };
                self.api.replace(name, &by, &wanted).await?
            }
            None => {
                let metadata = metadata(name, self.purpose, self.owner.as_ref());
                let wanted = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
                match self.api.create(&by, &wanted).await {
                    Err(kube::Error::Api(status)) if status.code == 409 => {
                        self.adopt(name, &by, wanted).await?
                    }
                    created => created?,
                }
            }
        };
        self.known.insert(name.to_owned(), written);
        Ok(true)
    }

    /// Writes one that was there without our label: restored, or made by hand.
    async fn adopt(&self, name: &str, by: &PostParams, mut wanted: ConfigMap) -> kube::Result<ConfigMap> {
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let there = self.api.list_metadata(&named).await?.items.pop();
        wanted.metadata.resource_version = there.and_then(|there| there.metadata.resource_version);
        self.api.replace(name, by, &wanted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn what_is_there_without_our_label_becomes_ours() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let service = tower::service_fn(move |request: hyper::Request<kube::client::Body>| {
            let (parts, body) = request.into_parts();
            let log = Arc::clone(&log);
            async move {
                let body = body.collect_bytes().await.unwrap();
                let body: Json = serde_json::from_slice(&body).unwrap_or_default();
                let version = body["metadata"]["resourceVersion"].as_str().unwrap_or("none").to_owned();
                log.lock().unwrap().push(format!("{} {version}", parts.method));
                let (status, answer) = match parts.method.as_str() {
                    "POST" => (409, json!({"kind": "Status", "status": "Failure", "code": 409})),
                    "GET" => (
                        200,
                        json!({"metadata": {}, "items": [{"metadata": {"name": "a", "resourceVersion": "7"}}]}),
                    ),
                    _ => (200, body),
                };
                let answer = kube::client::Body::from(answer.to_string().into_bytes());
                let response = hyper::Response::builder().status(status).body(answer).unwrap();
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let api = Api::default_namespaced(Client::new(service, "gate"));
        let mut kept = Kept { api, purpose: "status", owner: None, known: BTreeMap::new() };
        let data = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        assert!(kept.write("a", data.clone()).await.unwrap());
        assert_eq!(*asked.lock().unwrap(), ["POST none", "GET none", "PUT 7"]);
        assert_eq!(kept.known()["a"].labels()[LABEL], "status");
        assert!(!kept.write("a", data).await.unwrap(), "it is known now");
    }
}
