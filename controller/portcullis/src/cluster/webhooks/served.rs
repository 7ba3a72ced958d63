//! Which versions of which resources the cluster serves, asked for now and then.

use crate::cluster::describe;
use kube::Client;
use kube::core::discovery::v2::APIGroupDiscovery;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long what is served is taken to stay the same.
const PAUSE: Duration = Duration::from_secs(60);
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);

/// What a cluster serves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    /// Group, version and resource.
    resources: BTreeSet<(String, String, String)>,
}

impl Served {
    /// As the API server tells it.
    pub(super) fn of(groups: Vec<APIGroupDiscovery>) -> Self {
        let mut resources = BTreeSet::new();
        for group in groups {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for version in group.versions {
                let number = version.version.unwrap_or_default();
                let plurals = version.resources.into_iter().filter_map(|resource| resource.resource);
                resources.extend(plurals.map(|plural| (name.clone(), number.clone(), plural)));
            }
        }
        Self { resources }
    }

    /// Whether a version is served of what a rule names, subresources included; `*` is any.
    pub(super) fn serves(&self, group: &str, version: &str, resource: &str) -> bool {
        let plural = resource.split('/').next().unwrap_or_default();
        let is = |named: &str, own: &str| named == "*" || named == own;
        self.resources
            .iter()
            .any(|(own, number, name)| is(group, own) && number == version && is(plural, name))
    }
}

/// Tells what the cluster serves whenever that has changed, as long as we lead. For ever. What was told stays where nobody
/// answers.
pub(super) async fn watch(
    client: Client,
    mut leading: watch::Receiver<bool>,
    tell: watch::Sender<Option<Served>>,
) {
    let mut told = false;
    loop {
        if !*leading.borrow_and_update() {
            if leading.changed().await.is_err() {
                return;
            }
            continue;
        }
        let pause = match groups(&client).await {
            Ok(groups) => {
                told = false;
                let found = Some(Served::of(groups));
                tell.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
                PAUSE
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("nobody tells which versions the cluster serves: {}", describe(&error));
                }
                RETRY
            }
        };
        sleep(pause).await;
    }
}

async fn groups(client: &Client) -> kube::Result<Vec<APIGroupDiscovery>> {
    let core = client.list_core_api_versions_aggregated().await?;
    let groups = client.list_api_groups_aggregated().await?;
    Ok(core.items.into_iter().chain(groups.items).collect())
}
