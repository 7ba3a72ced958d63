//! What is in force, stored in the cluster by whoever leads, so that a policy that is broken now is in force as it was
//! also after a restart, and in every replica that comes.
//!
//! ConfigMaps `portcullis-accepted-N` hold a text for each key of which documents are in force, and beside it where
//! that stands and which modules belong to it. Nothing of them is in force by itself: only what stands in a policy
//! ConfigMap and is broken is.

mod modules;

use super::control::Control;
use super::describe;
use super::kept::{self, Kept};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use modules::{Parts, Store};
use portcullis_core::set::Accepted;
use portcullis_wasm::digest_of;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
/// After so long it is looked what is there.
const AGAIN: Duration = Duration::from_secs(600);
/// After a failure; doubled, up to the longest, after each that follows.
const RETRY: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);
/// So often what is torn is looked at again, each time after such a time.
const LOOKS: usize = 3;
const LOOK: Duration = Duration::from_millis(200);

/// Where a text stands, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    namespace: String,
    config_map: String,
    key: String,
    documents: Vec<usize>,
    /// The digests of the modules that documents have, as they were delivered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    modules: BTreeMap<usize, String>,
}

/// A text with where it stands.
type Standing = (Place, Arc<str>);

/// What was stored. Asks until there is an answer: without it, what is broken would not be in force as it was. Whoever may
/// not ask goes on without, and says so: no answer will ever come.
pub(super) async fn read(client: &Client, namespace: &str) -> Vec<Accepted> {
    let (mut told, mut looks) = (false, 0);
    loop {
        match look(client, namespace).await {
            // It is being written just now, or the rest is lost.
            Ok((_, false)) if looks < LOOKS => {
                looks += 1;
                sleep(LOOK).await;
            }
            Ok((accepted, _)) => return accepted,
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

/// What is stored now, and whether every module is there that belongs to it.
async fn look(client: &Client, namespace: &str) -> kube::Result<(Vec<Accepted>, bool)> {
    let texts = of_shards(&kept::list(client, namespace, PURPOSE).await?);
    let wanted: BTreeSet<&str> =
        texts.iter().flat_map(|(place, _)| place.modules.values().map(String::as_str)).collect();
    let found = modules::read(client, namespace, &wanted).await?;
    let is_whole = found.len() == wanted.len();
    Ok((texts.into_iter().map(|text| with_modules(text, &found)).collect(), is_whole))
}

/// Stores what is in force whenever it has changed, as long as we lead. For ever.
pub(super) async fn keep(control: Control, role: String) {
    let (mut numbers, mut leading) = (control.live.numbers(), control.leading.clone());
    let mut shelf = None;
    let mut wanted = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    let mut retry = RETRY;
    loop {
        numbers.borrow_and_update();
        let generation = control.live.current().clone();
        match generation.filter(|_| *leading.borrow_and_update()) {
            None => (shelf, wanted) = (None, BTreeMap::new()),
            Some(generation) => {
                let texts;
                (texts, wanted) = digested(generation.set.accepted(), &wanted);
                // It is large, and may be replaced before this is done.
                drop(generation);
                match write(&control, &role, &mut shelf, &texts, &wanted).await {
                    Ok(without) => {
                        for place in without.difference(&left_out) {
                            tracing::warn!(
                                "too large to be stored: if {place} breaks, a restart forgets how it was"
                            );
                        }
                        left_out = without;
                        retry = RETRY;
                    }
                    Err(error) => {
                        tracing::warn!("what is in force cannot be stored yet: {}", describe(&error));
                        shelf = None;
                        sleep(retry).await;
                        retry = LONGEST.min(retry * 2);
                        continue;
                    }
                }
                sleep(PAUSE).await;
            }
        }
        tokio::select! {
            _ = numbers.changed() => {}
            _ = leading.changed() => {}
            // Somebody may have deleted what we know to be there.
            () = sleep(AGAIN) => shelf = None,
        }
    }
}

/// Stores modules first and then the texts that refer to them, and only then removes what nothing refers to any more: what
/// is there is whole at any time. Says what there is no room for.
async fn write(
    control: &Control,
    role: &str,
    shelf: &mut Option<(Kept, Store)>,
    texts: &[Standing],
    wanted: &BTreeMap<String, Parts>,
) -> kube::Result<BTreeSet<String>> {
    let (kept, store) = match shelf {
        Some(shelf) => shelf,
        None => {
            let mut kept = Kept::open(control, role, PURPOSE).await?;
            match Store::open(control, role).await {
                Ok(store) => shelf.insert((kept, store)),
                Err(error) => {
                    write_texts(&mut kept, shards(texts, &BTreeSet::new()).0).await?;
                    return Err(error);
                }
            }
        }
    };
    loop {
        let without = match store.add(wanted).await {
            Ok(without) => without,
            // Texts do not wait for what only some of them have.
            Err(error) => {
                write_texts(kept, shards(texts, &BTreeSet::new()).0).await?;
                return Err(error);
            }
        };
        let (shards, left_out) = shards(texts, &without);
        write_texts(kept, shards).await?;
        // What is removed may make room.
        if !store.keep_only(wanted).await? || without.is_empty() {
            return Ok(left_out);
        }
    }
}

async fn write_texts(kept: &mut Kept, shards: Vec<BTreeMap<String, String>>) -> kube::Result<()> {
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

/// Texts with the digests of their modules, and the modules. Digests that are known from before are not made again.
fn digested(
    accepted: Vec<Accepted>,
    before: &BTreeMap<String, Parts>,
) -> (Vec<Standing>, BTreeMap<String, Parts>) {
    let is_same = |one: &Parts, other: &Parts| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
    };
    let mut wanted = BTreeMap::new();
    let texts = accepted.into_iter().map(|accepted| {
        let Accepted { namespace, config_map, key, text, documents, modules } = accepted;
        let modules = modules.into_iter().map(|(document, parts)| {
            let known = before.iter().find(|(_, known)| is_same(known, &parts));
            let digest = known.map_or_else(|| digest_of(&parts), |(digest, _)| digest.clone());
            wanted.insert(digest.clone(), parts);
            (document, digest)
        });
        let modules = modules.collect();
        (Place { namespace, config_map, key, documents, modules }, text)
    });
    (texts.collect(), wanted)
}

/// The data of each ConfigMap, and the places of what does not fit; documents whose modules do not are left out.
fn shards(
    texts: &[Standing],
    without: &BTreeSet<String>,
) -> (Vec<BTreeMap<String, String>>, BTreeSet<String>) {
    let mut shards: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    let (mut size, mut left_out) = (0, BTreeSet::new());
    for (place, text) in texts {
        let mut place = place.clone();
        let shown = format!("`{}` of ConfigMap {}/{}", place.key, place.namespace, place.config_map);
        let is_without = |modules: &BTreeMap<usize, String>, document: &usize| {
            modules.get(document).is_some_and(|digest| without.contains(digest))
        };
        if place.documents.iter().any(|document| is_without(&place.modules, document)) {
            place.documents.retain(|document| !is_without(&place.modules, document));
            place.modules.retain(|_, digest| !without.contains(digest));
            left_out.insert(format!("a module of {shown}"));
        }
        if place.documents.is_empty() {
            continue;
        }
        // It has nothing that JSON could not have.
        let place = serde_json::to_string(&place).unwrap_or_default();
        let more = place.len() + text.len();
        if size + more > SHARD && size > 0 && shards.len() < SHARDS {
            shards.push(BTreeMap::new());
            size = 0;
        }
        let Some(shard) = shards.last_mut().filter(|_| size + more <= SHARD) else {
            left_out.insert(shown);
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
fn of_shards(shards: &BTreeMap<String, ConfigMap>) -> Vec<Standing> {
    let is_ours = |name: &str| {
        name.strip_prefix(PREFIX)
            .and_then(|number| number.parse().ok())
            .is_some_and(|number: usize| number < SHARDS && name == format!("{PREFIX}{number}"))
    };
    let data = shards.iter().filter(|(name, _)| is_ours(name)).filter_map(|(_, shard)| shard.data.as_ref());
    data.flat_map(|data| {
        data.iter().filter_map(|(key, place)| {
            let text = data.get(&format!("{}.yaml", key.strip_suffix(".json")?))?;
            Some((serde_json::from_str(place).ok()?, text.as_str().into()))
        })
    })
    .collect()
}

/// A text with its modules, as far as they are there.
fn with_modules((place, text): Standing, found: &BTreeMap<String, Parts>) -> Accepted {
    let Place { namespace, config_map, key, documents, modules } = place;
    let modules =
        modules.into_iter().filter_map(|(document, digest)| Some((document, found.get(&digest)?.clone())));
    Accepted { namespace, config_map, key, text, documents, modules: modules.collect() }
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
            modules: BTreeMap::new(),
        }
    }

    fn stored(accepted: &[Accepted]) -> (Vec<BTreeMap<String, String>>, BTreeSet<String>) {
        shards(&digested(accepted.to_vec(), &BTreeMap::new()).0, &BTreeSet::new())
    }

    fn read_back(shards: &BTreeMap<String, ConfigMap>) -> Vec<Accepted> {
        of_shards(shards).into_iter().map(|text| with_modules(text, &BTreeMap::new())).collect()
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
            let (shards, left_out) = stored(&all);
            assert_eq!((shards.len(), left_out.len()), (shards_expected, without), "{sizes:?}");
            for shard in &shards {
                assert!(shard.values().map(String::len).sum::<usize>() <= SHARD);
            }
            let read = read_back(&config_maps(&shards));
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
        let (shards, _) = stored(&[accepted("a", 1)]);
        let mut found = config_maps(&shards);
        let shard = found.remove("portcullis-accepted-0").unwrap();
        for name in ["portcullis-accepted-x", "portcullis-accepted-16", "mine"] {
            found.insert(name.to_owned(), shard.clone());
        }
        assert_eq!(read_back(&found), []);
        let mut torn = shard.clone();
        torn.data.as_mut().unwrap().insert("00001.json".to_owned(), "{".to_owned());
        torn.data.as_mut().unwrap().insert("00002.json".to_owned(), "{}".to_owned());
        assert_eq!(
            read_back(&BTreeMap::from([("portcullis-accepted-0".to_owned(), torn)])),
            [accepted("a", 1)]
        );
    }

    #[test]
    fn modules_are_stored_once_and_documents_refer_to_them() {
        let (one, two): (Parts, Parts) =
            (vec![Arc::from(*b"one")], vec![Arc::from(*b"t"), Arc::from(*b"wo")]);
        let with = |name: &str, modules: &[(usize, &Parts)]| Accepted {
            modules: modules.iter().map(|(document, parts)| (*document, (*parts).clone())).collect(),
            ..accepted(name, 10)
        };
        let copy: Parts = vec![Arc::from(*b"one")];
        let all = [with("a", &[(1, &one), (3, &two)]), with("b", &[(3, &copy)]), with("c", &[])];
        let (texts, wanted) = digested(all.to_vec(), &BTreeMap::new());
        assert_eq!(wanted.values().map(|parts| parts.concat()).collect::<BTreeSet<_>>().len(), 2);
        let (again, _) = digested(all.to_vec(), &wanted);
        assert_eq!(again, texts);
        let check = |without: &BTreeSet<String>, documents: &[&[usize]], left_out: &[&str]| {
            let (shards, told) = shards(&texts, without);
            assert_eq!(told.iter().map(String::as_str).collect::<Vec<_>>(), left_out);
            let read = of_shards(&config_maps(&shards)).into_iter().map(|text| with_modules(text, &wanted));
            let read: Vec<Accepted> = read.collect();
            assert_eq!(read.iter().map(|it| it.documents.as_slice()).collect::<Vec<_>>(), documents);
            for accepted in &read {
                let expected = all.iter().find(|it| it.config_map == accepted.config_map).unwrap();
                let of_document = |it: &Accepted, document| it.modules.get(document).map(|it| it.concat());
                for document in &accepted.documents {
                    assert_eq!(of_document(accepted, document), of_document(expected, document));
                }
            }
        };
        check(&BTreeSet::new(), &[&[1, 3], &[1, 3], &[1, 3]], &[]);
        let without = BTreeSet::from([digest_of(&one)]);
        let told = [
            "a module of `policy.yaml` of ConfigMap gate/a",
            "a module of `policy.yaml` of ConfigMap gate/b",
        ];
        check(&without, &[&[3], &[1], &[1, 3]], &told[..2]);
        // What is not there is left alone, and the rest is not.
        let (shards, _) = shards(&texts, &BTreeSet::new());
        assert!(
            read_back(&config_maps(&shards)).iter().all(|it| it.modules.is_empty() && it.documents == [1, 3])
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
