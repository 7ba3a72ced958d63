//! What a watch shows, as a whole: a new list takes the place of the old one at once.

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// Namespace and name.
type Key = (String, String);

/// The objects of one watch, each turned into what we need of it.
#[derive(Debug)]
pub(super) struct Mirror<T> {
    objects: BTreeMap<Key, T>,
    /// The new list, as far as it has arrived.
    arriving: Option<BTreeMap<Key, T>>,
    /// Grows with each change; 0 until the first list is complete.
    version: u64,
    /// How much memory an object takes, in bytes.
    weigh: fn(&T) -> usize,
    /// What all of them take together, those that are arriving and are not the same as before included.
    bytes: usize,
    /// What of that has arrived.
    arriving_bytes: usize,
}

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self::weighing(|_| 0)
    }
}

impl<T> Mirror<T> {
    /// An empty one that counts what its objects take.
    pub(super) fn weighing(weigh: fn(&T) -> usize) -> Self {
        let (objects, arriving) = (BTreeMap::new(), None);
        Self { objects, arriving, version: 0, weigh, bytes: 0, arriving_bytes: 0 }
    }

    /// Whether a list has begun to arrive, or has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.arriving.is_some() || self.version > 0
    }

    /// What it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Cloning an object must be cheap.
impl<T: PartialEq + Clone> Mirror<T> {
    /// Takes in an event; `keep` says what is needed of an object. True if that changed anything.
    pub(super) fn take<K: Resource>(&mut self, event: Event<K>, keep: impl FnOnce(K) -> T) -> bool {
        let before = self.version;
        match event {
            Event::Init => {
                self.bytes -= std::mem::take(&mut self.arriving_bytes);
                self.arriving = Some(BTreeMap::new());
            }
            Event::InitApply(object) => self.arrive(key(&object), keep(object)),
            Event::InitDone => {
                let arrived = self.arriving.take().unwrap_or_default();
                self.arriving_bytes = 0;
                if self.version == 0 || arrived != self.objects {
                    self.objects = arrived;
                    self.version += 1;
                }
                self.bytes = self.objects.values().map(self.weigh).sum();
            }
            Event::Apply(object) => {
                let key = key(&object);
                let object = keep(object);
                if self.objects.get(&key) != Some(&object) {
                    self.bytes += (self.weigh)(&object);
                    let old = self.objects.insert(key, object);
                    self.bytes -= old.as_ref().map_or(0, self.weigh);
                    self.version += 1;
                }
            }
            Event::Delete(object) => {
                if let Some(old) = self.objects.remove(&key(&object)) {
                    self.bytes -= (self.weigh)(&old);
                    self.version += 1;
                }
            }
        }
        self.version != before
    }

    /// What is as it was before is held once.
    fn arrive(&mut self, key: Key, object: T) {
        let object = match self.objects.get(&key) {
            Some(old) if *old == object => old.clone(),
            _ => {
                let more = (self.weigh)(&object);
                self.bytes += more;
                self.arriving_bytes += more;
                object
            }
        };
        self.arriving.get_or_insert_default().insert(key, object);
    }

    /// The number of this state; `None` until the first list is complete.
    pub(super) fn version(&self) -> Option<u64> {
        Some(self.version).filter(|version| *version > 0)
    }

    /// Every object, sorted by namespace and name.
    pub(super) fn objects(&self) -> impl Iterator<Item = &T> {
        self.objects.values()
    }
}

fn key(object: &impl Resource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::Mirror;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::Event::{self, Apply, Delete, Init, InitApply, InitDone};
    use std::collections::BTreeMap;

    fn object(text: &str) -> ConfigMap {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.data = Some(BTreeMap::from([("key".to_owned(), value.to_owned())]));
        object
    }

    /// `init`, `listed a=1`, `done`, `apply a=1`, `delete a`
    fn event(text: &str) -> Event<ConfigMap> {
        match text.split_once(' ') {
            Some(("listed", it)) => InitApply(object(it)),
            Some(("apply", it)) => Apply(object(it)),
            Some(("delete", it)) => Delete(object(it)),
            _ if text == "init" => Init,
            _ => InitDone,
        }
    }

    #[test]
    fn lists_replace_each_other_whole_and_only_changes_count() {
        let check = |events: &[&str], version: Option<u64>, expect: &[&str]| {
            let mut mirror = Mirror::default();
            for text in events {
                let before = mirror.version();
                let changed = mirror.take(event(text), |object| {
                    let value = object.data.unwrap_or_default().remove("key").unwrap_or_default();
                    format!("{}={value}", object.metadata.name.unwrap_or_default())
                });
                assert_eq!(changed, mirror.version() != before, "{text}");
            }
            assert_eq!(mirror.version(), version, "{events:?}");
            assert_eq!(mirror.objects().collect::<Vec<_>>(), expect, "{events:?}");
        };
        check(&[], None, &[]);
        check(&["init", "listed a=1"], None, &[]);
        check(&["init", "done"], Some(1), &[]);
        let start = ["init", "listed a=1", "listed b=1", "done"];
        let then = |more: &[&'static str]| [start.as_slice(), more].concat();
        check(&start, Some(1), &["a=1", "b=1"]);
        check(&then(&["apply a=2"]), Some(2), &["a=2", "b=1"]);
        check(&then(&["apply a=1"]), Some(1), &["a=1", "b=1"]);
        check(&then(&["delete a", "delete a"]), Some(2), &["b=1"]);
        // A relist that is under way hides nothing, one that is broken off is forgotten.
        check(&then(&["init", "listed c=1"]), Some(1), &["a=1", "b=1"]);
        check(&then(&["init", "listed c=1", "init", "listed b=1", "done"]), Some(2), &["b=1"]);
        check(&then(&["init", "listed a=1", "listed b=1", "done"]), Some(1), &["a=1", "b=1"]);
    }

    #[test]
    fn what_is_held_is_counted() {
        let check = |events: &[&str], expected: usize| {
            let mut mirror = Mirror::weighing(|text: &String| text.len());
            for text in events {
                mirror.take(event(text), |object| object.data.unwrap().remove("key").unwrap());
            }
            assert_eq!(mirror.bytes(), expected, "{events:?}");
        };
        let start = ["init", "listed a=123", "listed b=1", "done"];
        let then = |more: &[&'static str]| [start.as_slice(), more].concat();
        check(&start, 4);
        check(&then(&["apply a=12345", "apply a=12345", "apply c=1"]), 7);
        check(&then(&["delete a", "delete a"]), 1);
        // A list that arrives is held beside the one before, but for what is the same.
        check(&then(&["init", "listed a=123", "listed b=12"]), 6);
        check(&then(&["init", "listed a=1234", "init"]), 4);
        check(&then(&["init", "listed a=1234", "done"]), 4);
    }
}
