//! The objects of one kind, found by namespace and name: there may be thousands.

use super::{name_of, namespace_of};
use portcullis_cel::Tree;
use std::collections::BTreeMap;

/// The objects of one kind.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// In the order in which they were added.
    all: Vec<Tree>,
    /// Where each is, by namespace and name.
    index: BTreeMap<String, BTreeMap<String, usize>>,
}

/// How much is held of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// How many objects.
    pub objects: usize,
    /// What they take, in bytes.
    pub bytes: usize,
}

impl Objects {
    /// Adds an object; one of the same namespace and name is replaced by it, or stays. One without a name is left out:
    /// nothing could refer to it.
    pub fn add(&mut self, object: Tree, replaces: bool) {
        if name_of(&object).is_empty() {
            return;
        }
        let index = match self.index.get_mut(namespace_of(&object)) {
            Some(index) => index,
            None => self.index.entry(namespace_of(&object).to_owned()).or_default(),
        };
        match index.get(name_of(&object)).and_then(|place| self.all.get_mut(*place)) {
            Some(slot) if replaces => *slot = object,
            Some(_) => {}
            None => {
                index.insert(name_of(&object).to_owned(), self.all.len());
                self.all.push(object);
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Every object, in the order in which they were added.
    pub(super) fn all(&self) -> &[Tree] {
        &self.all
    }

    /// Those of a namespace and a name, or of any, sorted by both.
    pub(super) fn find(&self, namespace: Option<&str>, name: Option<&str>) -> Vec<&Tree> {
        let named = |of_one: &BTreeMap<String, usize>| -> Vec<usize> {
            match name {
                Some(name) => of_one.get(name).copied().into_iter().collect(),
                None => of_one.values().copied().collect(),
            }
        };
        let places: Vec<usize> = match namespace {
            None => self.index.values().flat_map(named).collect(),
            // Where kubectl would send what names no namespace.
            Some("default") => {
                ["", "default"].iter().filter_map(|one| self.index.get(*one)).flat_map(named).collect()
            }
            Some(namespace) => self.index.get(namespace).map(named).unwrap_or_default(),
        };
        places.into_iter().filter_map(|place| self.all.get(place)).collect()
    }

    /// How much that is.
    pub(super) fn held(&self) -> Held {
        Held { objects: self.all.len(), bytes: self.all.iter().map(Tree::memory).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::Objects;
    use crate::facts::{name_of, namespace_of};
    use portcullis_cel::Tree;
    use serde_json::json;

    fn object(place: &str, value: u8) -> Tree {
        let (namespace, name) = place.split_once('/').unwrap();
        json!({"metadata": {"namespace": namespace, "name": name}, "value": value}).into()
    }

    #[test]
    fn objects_are_found_in_the_order_of_their_places() {
        let mut objects = Objects::default();
        for place in ["b/x", "default/y", "/z", "a/y", "b/a"] {
            objects.add(object(place, 1), true);
        }
        objects.add(object("b/x", 2), false);
        objects.add(object("a/y", 2), true);
        let check = |namespace: Option<&str>, name: Option<&str>, expected: &str| {
            let found = objects.find(namespace, name);
            let words = found.iter().map(|object| format!("{}/{}", namespace_of(object), name_of(object)));
            assert_eq!(words.collect::<Vec<_>>().join(" "), expected, "{namespace:?} {name:?}");
        };
        check(None, None, "/z a/y b/a b/x default/y");
        check(None, Some("y"), "a/y default/y");
        check(Some("b"), None, "b/a b/x");
        check(Some("b"), Some("x"), "b/x");
        check(Some("default"), None, "/z default/y");
        check(Some("c"), None, "");
        let values =
            |place: (&str, &str)| objects.find(Some(place.0), Some(place.1))[0].to_json()["value"].clone();
        assert_eq!((values(("b", "x")), values(("a", "y"))), (json!(1), json!(2)));
        assert_eq!(objects.held().objects, 5);
    }
}
