//! Modules of what is in force, as they were delivered, stored once however many policies use them.
//!
//! ConfigMaps `portcullis-accepted-modules-N` hold them in fragments, each under the digest of the whole that it is of. What
//! is read of them counts only as a whole whose digest is right, and is loaded like any other module.

use super::super::control::Control;
use super::super::kept::{self, MANAGER, metadata};
use super::super::webhooks::role;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use portcullis_wasm::digest_of;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// In the label.
const PURPOSE: &str = "accepted-modules";
const PREFIX: &str = "portcullis-accepted-modules-";
/// There are at most so many: the controller may write no others.
pub(super) const SHARDS: usize = 32;
/// One holds at most so many bytes: Kubernetes allows 1 MiB.
const SHARD: usize = 1_000_000;
/// A fragment has at most so many: what is left free can be used.
const FRAGMENT: usize = SHARD / 4;

/// A module as it was delivered, in parts.
pub(super) type Parts = Vec<Arc<[u8]>>;

/// What ConfigMaps hold: fragments by key, by the ConfigMap's number.
type Found = BTreeMap<usize, BTreeMap<String, Arc<[u8]>>>;

/// Where fragments are: number of the ConfigMap, and key.
type Place = (usize, String);

/// The ConfigMaps as we last saw or wrote them, without what they hold. Nobody else should write them.
pub(super) struct Store {
    api: Api<ConfigMap>,
    /// With which they go.
    owner: Option<OwnerReference>,
    /// `metadata.resourceVersion` of those that are there.
    versions: BTreeMap<usize, String>,
    /// How large each fragment is.
    sizes: BTreeMap<Place, usize>,
}

/// The modules of these digests, as far as they are stored.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    wanted: &BTreeSet<&str>,
) -> kube::Result<BTreeMap<String, Parts>> {
    // Most have none.
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (found, _) = found(kept::list(client, namespace, PURPOSE).await?);
    let wholes = wholes(&found).into_iter().filter(|(digest, _)| wanted.contains(digest.as_str()));
    let parts = |whole: Whole| whole.into_iter().map(|(_, bytes)| bytes).collect();
    Ok(wholes.map(|(digest, whole)| (digest, parts(whole))).collect())
}

impl Store {
    /// What is there. What is no part of a whole is removed: nobody can use it.
    pub(super) async fn open(control: &Control, role_name: &str) -> kube::Result<Self> {
        let owner = role(control, role_name).await?;
        let (found, versions) = found(kept::list(&control.client, &control.namespace, PURPOSE).await?);
        let whole: BTreeSet<Place> = wholes(&found).into_values().flatten().map(|(place, _)| place).collect();
        let all = found
            .iter()
            .flat_map(|(number, held)| held.iter().map(|(key, bytes)| ((*number, key.clone()), bytes.len())));
        let mut store = Self {
            api: Api::namespaced(control.client.clone(), &control.namespace),
            owner,
            versions,
            sizes: all.collect(),
        };
        store.remove(|place| !whole.contains(place)).await?;
        Ok(store)
    }

    /// Stores what is not stored yet. Says of which modules there is no room for.
    pub(super) async fn add(&mut self, wanted: &BTreeMap<String, Parts>) -> kube::Result<BTreeSet<String>> {
        let (added, without) = added(&self.sizes, wanted);
        for (number, keys) in added {
            let fragments = keys.iter().filter_map(|key| Some((key.clone(), fragment(key, wanted)?)));
            let fragments: BTreeMap<String, Vec<u8>> = fragments.collect();
            let sizes = fragments.iter().map(|(key, bytes)| ((number, key.clone()), bytes.len()));
            let sizes: Vec<(Place, usize)> = sizes.collect();
            let fragments = fragments.into_iter().map(|(key, bytes)| (key, ByteString(bytes))).collect();
            self.write(number, fragments).await?;
            self.sizes.extend(sizes);
        }
        Ok(without)
    }

    /// Removes all other modules. True if there were any.
    pub(super) async fn keep_only(&mut self, wanted: &BTreeMap<String, Parts>) -> kube::Result<bool> {
        self.remove(|(_, key)| !read_key(key).is_some_and(|(digest, ..)| wanted.contains_key(digest))).await
    }

    async fn write(&mut self, number: usize, fragments: BTreeMap<String, ByteString>) -> kube::Result<()> {
        if self.versions.contains_key(&number) {
            let fragments = fragments.into_iter().map(|(key, bytes)| (key, json!(bytes)));
            return self.patch(number, fragments.collect()).await;
        }
        let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let metadata = metadata(&format!("{PREFIX}{number}"), PURPOSE, self.owner.as_ref());
        let made = ConfigMap { metadata, binary_data: Some(fragments), ..ConfigMap::default() };
        let made = match self.api.create(&by, &made).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                // One without our label: restored, or made by hand. What it holds is seen once it has one.
                self.label(number).await?;
                return Err(kube::Error::Api(status));
            }
            made => made?,
        };
        self.versions.insert(number, made.resource_version().unwrap_or_default());
        Ok(())
    }

    async fn label(&self, number: usize) -> kube::Result<()> {
        let name = format!("{PREFIX}{number}");
        let labels = metadata(&name, PURPOSE, None).labels;
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        self.api.patch_metadata(&name, &PatchParams::default(), &patch).await.map(drop)
    }

    /// Changes these keys and no others, which so need not be sent again.
    async fn patch(&mut self, number: usize, fragments: Map<String, Json>) -> kube::Result<()> {
        let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let version = self.versions.get(&number);
        let patch = json!({"metadata": {"resourceVersion": version}, "binaryData": fragments});
        let name = format!("{PREFIX}{number}");
        let patched = self.api.patch_metadata(&name, &by, &Patch::Merge(patch)).await?;
        self.versions.insert(number, patched.resource_version().unwrap_or_default());
        Ok(())
    }

    async fn remove(&mut self, goes: impl Fn(&Place) -> bool) -> kube::Result<bool> {
        let mut gone: BTreeMap<usize, Map<String, Json>> = BTreeMap::new();
        for (number, key) in self.sizes.keys().filter(|place| goes(place)) {
            gone.entry(*number).or_default().insert(key.clone(), Json::Null);
        }
        let any = !gone.is_empty();
        for (number, keys) in gone {
            let places: Vec<Place> = keys.keys().map(|key| (number, key.clone())).collect();
            self.patch(number, keys).await?;
            places.iter().for_each(|place| {
                self.sizes.remove(place);
            });
        }
        Ok(any)
    }
}

/// What ConfigMaps of ours hold, and their versions.
fn found(config_maps: BTreeMap<String, ConfigMap>) -> (Found, BTreeMap<usize, String>) {
    let (mut found, mut versions) = (Found::new(), BTreeMap::new());
    for (name, config_map) in config_maps {
        let number = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
        let Some(number) =
            number.filter(|number: &usize| *number < SHARDS && name == format!("{PREFIX}{number}"))
        else {
            continue;
        };
        versions.insert(number, config_map.resource_version().unwrap_or_default());
        let held = config_map.binary_data.unwrap_or_default().into_iter();
        found.insert(number, held.map(|(key, bytes)| (key, Arc::from(bytes.0))).collect());
    }
    (found, versions)
}

/// A fragment, and where it is.
type Fragment = (Place, Arc<[u8]>);

/// A module that is there as a whole: its fragments in order.
type Whole = Vec<Fragment>;

/// The modules that are there as a whole, by their digests.
fn wholes(found: &Found) -> BTreeMap<String, Whole> {
    let mut fragments: BTreeMap<(&str, usize), BTreeMap<usize, Fragment>> = BTreeMap::new();
    for (shard, held) in found {
        for (key, bytes) in held {
            if let Some((digest, number, count)) = read_key(key) {
                let of_whole = fragments.entry((digest, count)).or_default();
                of_whole.entry(number).or_insert_with(|| ((*shard, key.clone()), Arc::clone(bytes)));
            }
        }
    }
    let wholes = fragments.into_iter().filter_map(|((digest, count), fragments)| {
        let parts: Parts = fragments.values().map(|(_, bytes)| Arc::clone(bytes)).collect();
        let is_whole = fragments.len() == count && digest_of(&parts) == digest;
        is_whole.then(|| (digest.to_owned(), fragments.into_values().collect()))
    });
    wholes.collect()
}

/// Where fragments of modules that are not there yet go, and of which modules there is no room for.
fn added(
    sizes: &BTreeMap<Place, usize>,
    wanted: &BTreeMap<String, Parts>,
) -> (BTreeMap<usize, Vec<String>>, BTreeSet<String>) {
    let there: BTreeSet<&str> =
        sizes.keys().filter_map(|(_, key)| read_key(key)).map(|(digest, ..)| digest).collect();
    let mut room = [SHARD; SHARDS];
    for ((number, _), size) in sizes {
        if let Some(room) = room.get_mut(*number) {
            *room = room.saturating_sub(*size);
        }
    }
    let (mut added, mut without): (BTreeMap<usize, Vec<String>>, _) = (BTreeMap::new(), BTreeSet::new());
    for (digest, parts) in wanted.iter().filter(|(digest, _)| !there.contains(digest.as_str())) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let count = length.div_ceil(FRAGMENT);
        let mut left = room;
        let places = (1..=count).map_while(|number| {
            let size = FRAGMENT.min(length - (number - 1) * FRAGMENT);
            let (shard, room) = left.iter_mut().enumerate().find(|(_, room)| **room >= size)?;
            *room -= size;
            Some((shard, key(digest, number, count)))
        });
        let places: Vec<Place> = places.collect();
        if places.len() < count {
            without.insert(digest.clone());
            continue;
        }
        room = left;
        places.into_iter().for_each(|(shard, key)| added.entry(shard).or_default().push(key));
    }
    (added, without)
}

/// The bytes of a fragment.
fn fragment(key: &str, wanted: &BTreeMap<String, Parts>) -> Option<Vec<u8>> {
    let (digest, number, _) = read_key(key)?;
    let mut skipped = (number - 1) * FRAGMENT;
    let mut bytes = Vec::new();
    for part in wanted.get(digest)? {
        let rest = part.get(skipped.min(part.len())..).unwrap_or_default();
        skipped = skipped.saturating_sub(part.len());
        bytes.extend_from_slice(rest.get(..FRAGMENT - bytes.len()).unwrap_or(rest));
    }
    Some(bytes)
}

fn key(digest: &str, number: usize, count: usize) -> String {
    format!("{digest}.{number}-of-{count}")
}

/// The digest of the whole, the fragment's number from 1, and how many there are.
fn read_key(key: &str) -> Option<(&str, usize, usize)> {
    let (digest, place) = key.split_once('.')?;
    let (number, count) = place.split_once("-of-")?;
    let (number, count): (usize, usize) = (number.parse().ok()?, count.parse().ok()?);
    (1..=count).contains(&number).then_some((digest, number, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module of so many bytes, all different from those of another seed.
    fn module(seed: u8, size: usize) -> Parts {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8 ^ seed).collect();
        // As ConfigMaps of 1 MiB deliver it.
        bytes.chunks(1 << 20).map(Arc::from).collect()
    }

    fn named(modules: impl IntoIterator<Item = Parts>) -> BTreeMap<String, Parts> {
        modules.into_iter().map(|parts| (digest_of(&parts), parts)).collect()
    }

    /// What would be written.
    fn stored(found: &mut Found, wanted: &BTreeMap<String, Parts>) -> (usize, BTreeSet<String>) {
        let sizes = found
            .iter()
            .flat_map(|(number, held)| held.iter().map(|(key, bytes)| ((*number, key.clone()), bytes.len())));
        let (added, without) = added(&sizes.collect(), wanted);
        let count = added.values().map(Vec::len).sum();
        for (number, keys) in added {
            let held = found.entry(number).or_default();
            held.extend(keys.into_iter().map(|key| (key.clone(), fragment(&key, wanted).unwrap().into())));
        }
        for held in found.values() {
            assert!(held.values().map(|bytes| bytes.len()).sum::<usize>() <= SHARD);
        }
        (count, without)
    }

    fn read_back(found: &Found) -> BTreeMap<String, Vec<u8>> {
        let bytes = |whole: Whole| whole.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        wholes(found).into_iter().map(|(digest, whole)| (digest, bytes(whole))).collect()
    }

    #[test]
    fn what_is_stored_is_read_again_and_fits() {
        let check = |sizes: &[usize], fragments: usize, shards: usize, without: usize| {
            let wanted = named(sizes.iter().zip(0..).map(|(size, seed)| module(seed, *size)));
            let mut found = Found::new();
            let (count, left_out) = stored(&mut found, &wanted);
            assert_eq!((count, found.len(), left_out.len()), (fragments, shards, without), "{sizes:?}");
            let mut expected: BTreeMap<String, Vec<u8>> =
                wanted.iter().map(|(digest, parts)| (digest.clone(), parts.concat())).collect();
            expected.retain(|digest, _| !left_out.contains(digest));
            assert_eq!(read_back(&found), expected, "{sizes:?}");
            // Again, nothing is written.
            assert_eq!(stored(&mut found, &wanted), (0, left_out), "{sizes:?}");
        };
        check(&[], 0, 0, 0);
        check(&[10, 20], 2, 1, 0);
        check(&[FRAGMENT, FRAGMENT + 1], 3, 1, 0);
        check(&[1 << 20, 10], 6, 2, 0);
        // The largest that can be delivered: eight ConfigMaps full.
        check(&[8 << 20, 100], 35, 9, 0);
        check(&[8 << 20, (8 << 20) + 1, (8 << 20) + 2, (8 << 20) + 3], 102, 26, 1);
    }

    #[test]
    fn what_is_there_stays_and_the_rest_is_put_beside_it() {
        let (one, two, three) = (module(1, 300_000), module(2, 800_000), module(3, 100));
        let mut found = Found::new();
        stored(&mut found, &named([one.clone(), two.clone()]));
        let before = found.clone();
        assert_eq!(stored(&mut found, &named([two.clone(), three.clone()])), (1, BTreeSet::new()));
        for (number, held) in &before {
            assert!(held.iter().all(|(key, bytes)| found[number].get(key) == Some(bytes)));
        }
        assert_eq!(read_back(&found).len(), 3);
    }

    #[test]
    fn what_is_torn_or_foreign_is_left_alone() {
        let wanted = named([module(1, FRAGMENT + 1), module(2, 10)]);
        let mut found = Found::new();
        stored(&mut found, &wanted);
        let check = |case: &str, found: &Found, expected: usize| {
            assert_eq!(wholes(found).len(), expected, "{case}");
        };
        check("whole", &found, 2);
        let keys: Vec<String> = found[&0].keys().filter(|key| key.ends_with("-of-2")).cloned().collect();
        for key in &keys {
            let mut torn = found.clone();
            torn.get_mut(&0).unwrap().remove(key);
            check("a fragment is gone", &torn, 1);
            torn.get_mut(&0).unwrap().insert(key.clone(), Arc::from(*b"other"));
            check("a fragment is another one", &torn, 1);
        }
        for key in ["a", "a.1-of-1", "a.0-of-1", "a.2-of-1", "a.1-of-", "a.x-of-y", ".1-of-1", "1-of-1"] {
            found.get_mut(&0).unwrap().insert(key.to_owned(), Arc::from(*b"other"));
        }
        check("foreign keys", &found, 2);
        let config_map = |name: &str| {
            let held = found[&0].iter().map(|(key, bytes)| (key.clone(), ByteString(bytes.to_vec())));
            (name.to_owned(), ConfigMap { binary_data: Some(held.collect()), ..ConfigMap::default() })
        };
        let read = |name: &str| super::found(BTreeMap::from([config_map(name)])).0;
        check("of ours", &read("portcullis-accepted-modules-31"), 2);
        for name in
            ["portcullis-accepted-modules-32", "portcullis-accepted-modules-x", "portcullis-accepted-0"]
        {
            check(name, &read(name), 0);
        }
    }
}
