//! The durable switch: as long as its ConfigMap is there, the webhook configuration is kept without entries, so
//! that the API server asks nobody, also over restarts and without any replica.

use super::follow::{config, follow};
use super::mirror::Mirror;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::sync::watch;

/// The switch, in the controller's namespace. What it holds is for people.
pub(crate) const SWITCH: &str = "portcullis-disarmed";

/// Whether the switch is there now, whatever a watch has told so far.
pub(super) async fn is_set(client: &Client, namespace: &str) -> kube::Result<bool> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let named = ListParams::default().fields(&format!("metadata.name={SWITCH}"));
    Ok(!api.list_metadata(&named).await?.items.is_empty())
}

/// Tells whether the switch is there; `None` as long as that is not known. For ever.
pub(super) async fn watch(client: Client, namespace: String, tell: watch::Sender<Option<bool>>) {
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let mut seen = Mirror::<()>::default();
    follow(api, config().fields(&format!("metadata.name={SWITCH}")), move |event| {
        seen.take(event, |_: ConfigMap| ());
        let disarmed = seen.version().map(|_| seen.objects().next().is_some());
        let before = tell.send_replace(disarmed);
        match (before, disarmed) {
            (Some(false) | None, Some(true)) => {
                tracing::warn!(switch = SWITCH, "disarmed: nothing is enforced");
            }
            (Some(true), Some(false)) => tracing::warn!(switch = SWITCH, "armed again"),
            _ => {}
        }
    })
    .await;
}
