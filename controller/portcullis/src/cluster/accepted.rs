//! What is in force, stored in the cluster by whoever leads, so that a policy that is broken now is in force as it was
//! also after a restart, and in every replica that comes.
//!
//! ConfigMaps `portcullis-accepted-N` hold a text for each key of which documents are in force, and beside it where
//! that stands. Nothing of them is in force by itself: only what stands in a policy ConfigMap and is broken is.

use super::control::Control;
use super::describe;
use super::kept::{self, Kept};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use portcullis_core::set::Accepted;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::sleep;

/// In the label.
const PURPOSE: &str = "accepted";
const PREFIX: &str = "portcullis-accepted-";
/// There are at most so many: the controller may write no others.
const SHARDS: usize = 16;
/// One holds at most so many bytes: Kubernetes allows 1 MiB.
const SHARD: usize = 1_000_000;
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(500);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Where a text stands, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    namespace: String,
    config_map: String,
    key: String,
    documents: Vec<usize>,
}

/// What was stored. Asks until there is an answer: without it, what is broken would not be in force as it was. Whoever may
/// not ask goes on without, and says so: no answer will ever come.
pub(super) async fn read(client: &Client, namespace: &str) -> Vec<Accepted> {
    let mut told = false;
    loop {
        match kept::list(client, namespace, PURPOSE).await {
            Ok(shards) => return of_shards(&shards),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::error!(
                    "what is broken now is not in force as it was accepted before, as that may not be read: grant the \
                     controller `list` on `configmaps` in namespace `{namespace}`, as the chart does"
                );
                return Vec::new();
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("what was accepted before cannot be read yet: {}", describe(&error));
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Stores what is in force whenever it has changed, as long as we lead. For ever.
pub(super) async fn keep(control: Control, role: String) {
    let (mut numbers, mut leading) = (control.live.numbers(), control.leading.clone());
    let mut kept = None;
    let mut left_out = BTreeSet::new();
    loop {
        numbers.borrow_and_update();
        let generation = control.live.current().clone();
        match generation.filter(|_| *leading.borrow_and_update()) {
            None => kept = None,
            Some(generation) => {
                let (shards, without) = shards(&generation.set.accepted());
                for place in without.difference(&left_out) {
                    tracing::warn!("too large to be stored: if {place} breaks, a restart forgets how it was");
                }
                left_out = without;
                if let Err(error) = write(&control, &role, &mut kept, shards).await {
                    tracing::warn!("what is in force cannot be stored yet: {}", describe(&error));
                    kept = None;
                    sleep(RETRY).await;
                    continue;
                }
                sleep(PAUSE).await;
            }
        }
        tokio::select! {
            _ = numbers.changed() => {}
            _ = leading.changed() => {}
        }
    }
}

async fn write(
    control: &Control,
    role: &str,
    kept: &mut Option<Kept>,
    shards: Vec<BTreeMap<String, String>>,
) -> kube::Result<()> {
    let kept = match kept {
        Some(kept) => kept,
        None => kept.insert(Kept::open(control, role, PURPOSE).await?),
    };
    for number in 0..SHARDS {
        let name = format!("{PREFIX}{number}");
        match shards.get(number) {
            Some(data) => kept.write(&name, data.clone()).await?,
            // Emptied, not deleted: that takes no other right.
            None if kept.known().contains_key(&name) => kept.write(&name, BTreeMap::new()).await?,
            None => break,
        };
    }
    Ok(())
}

/// The data of each ConfigMap, and the places of what does not fit.
fn shards(accepted: &[Accepted]) -> (Vec<BTreeMap<String, String>>, BTreeSet<String>) {
    let mut shards: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    let (mut size, mut left_out) = (0, BTreeSet::new());
    for Accepted { namespace, config_map, key, text, documents } in accepted {
        let place = Place {
            namespace: namespace.clone(),
            config_map: config_map.clone(),
            key: key.clone(),
            documents: documents.clone(),
        };
        // It has nothing that JSON could not have.
        let place = serde_json::to_string(&place).unwrap_or_default();
        let more = place.len() + text.len();
        if size + more > SHARD && size > 0 && shards.len() < SHARDS {
            shards.push(BTreeMap::new());
            size = 0;
        }
        let Some(shard) = shards.last_mut().filter(|_| size + more <= SHARD) else {
            left_out.insert(format!("`{key}` of ConfigMap {namespace}/{config_map}"));
            continue;
        };
        let number = shard.len() / 2;
        shard.insert(format!("{number:05}.json"), place);
        shard.insert(format!("{number:05}.yaml"), text.to_string());
        size += more;
    }
    shards.retain(|shard| !shard.is_empty());
    (shards, left_out)
}

/// What shards hold; what is none of ours, or cannot be read, is left alone.
fn of_shards(shards: &BTreeMap<String, ConfigMap>) -> Vec<Accepted> {
    let is_ours = |name: &str| {
        name.strip_prefix(PREFIX)
            .and_then(|number| number.parse().ok())
            .is_some_and(|number: usize| number < SHARDS)
    };
    let data = shards.iter().filter(|(name, _)| is_ours(name)).filter_map(|(_, shard)| shard.data.as_ref());
    data.flat_map(|data| {
        data.iter().filter_map(|(key, place)| {
            let text = data.get(&format!("{}.yaml", key.strip_suffix(".json")?))?;
            let Place { namespace, config_map, key, documents } = serde_json::from_str(place).ok()?;
            Some(Accepted { namespace, config_map, key, text: text.as_str().into(), documents })
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(name: &str, size: usize) -> Accepted {
        Accepted {
            namespace: "gate".to_owned(),
            config_map: name.to_owned(),
            key: "policy.yaml".to_owned(),
            text: "x".repeat(size).into(),
            documents: vec![1, 3],
        }
    }

    fn config_maps(shards: &[BTreeMap<String, String>]) -> BTreeMap<String, ConfigMap> {
        let config_map =
            |data: &BTreeMap<String, String>| ConfigMap { data: Some(data.clone()), ..ConfigMap::default() };
        shards.iter().enumerate().map(|(n, data)| (format!("{PREFIX}{n}"), config_map(data))).collect()
    }

    #[test]
    fn what_is_stored_is_read_again_and_fits() {
        let check = |sizes: &[usize], shards_expected: usize, without: usize| {
            let all: Vec<Accepted> =
                sizes.iter().enumerate().map(|(n, size)| accepted(&format!("p{n:03}"), *size)).collect();
            let (shards, left_out) = shards(&all);
            assert_eq!((shards.len(), left_out.len()), (shards_expected, without), "{sizes:?}");
            for shard in &shards {
                assert!(shard.values().map(String::len).sum::<usize>() <= SHARD);
            }
            let read = of_shards(&config_maps(&shards));
            assert_eq!(read.len() + without, all.len());
            assert!(read.iter().all(|one| all.contains(one)));
        };
        check(&[], 0, 0);
        check(&[10, 20], 1, 0);
        check(&[SHARD / 2; 3], 3, 0);
        check(&[SHARD / 3; 4], 2, 0);
        check(&[10, SHARD, 20], 2, 1);
        check(&[SHARD / 2 + 1; SHARDS + 2], SHARDS, 2);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let (shards, _) = shards(&[accepted("a", 1)]);
        let mut found = config_maps(&shards);
        let shard = found.remove("portcullis-accepted-0").unwrap();
        for name in ["portcullis-accepted-x", "portcullis-accepted-16", "mine"] {
            found.insert(name.to_owned(), shard.clone());
        }
        assert_eq!(of_shards(&found), []);
        let mut torn = shard.clone();
        torn.data.as_mut().unwrap().insert("00001.json".to_owned(), "{".to_owned());
        torn.data.as_mut().unwrap().insert("00002.json".to_owned(), "{}".to_owned());
        assert_eq!(
            of_shards(&BTreeMap::from([("portcullis-accepted-0".to_owned(), torn)])),
            [accepted("a", 1)]
        );
    }

    #[tokio::test]
    async fn who_may_not_read_what_was_accepted_starts_without() {
        let refused = |status: u16| {
            let service = tower::service_fn(move |_: hyper::Request<kube::client::Body>| {
                let body =
                    serde_json::json!({"kind": "Status", "status": "Failure", "code": status}).to_string();
                let response = hyper::Response::builder().status(status);
                let response = response.body(kube::client::Body::from(body.into_bytes())).unwrap();
                async { Ok::<_, std::convert::Infallible>(response) }
            });
            Client::new(service, "default")
        };
        assert_eq!(read(&refused(403), "portcullis").await, []);
        let asking =
            tokio::time::timeout(Duration::from_millis(100), async { read(&refused(500), "gate").await });
        assert!(asking.await.is_err(), "what may pass is waited for");
    }
}
