//! Namespaces, params and other objects from directories of files, where there is no cluster to ask.

use super::ReadFacts;
use super::tree::{Snapshot, Survey};
use super::watch::Points;
use portcullis_core::yaml::YamlError;
use portcullis_core::{Facts, yaml};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Resource files, read again whenever they change.
#[derive(Debug)]
pub struct ResourceFiles {
    roots: Vec<PathBuf>,
    survey: Survey,
    /// What each file held when it was last readable as a whole.
    held: BTreeMap<String, Vec<Json>>,
}

impl ResourceFiles {
    /// Directories to read, or files; nothing is read yet.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, survey: Survey::default(), held: BTreeMap::new() }
    }

    /// Where changes would show.
    pub fn points(&self) -> &Points {
        self.survey.points()
    }

    /// Whether the files are no longer those that were read, as far as their metadata tell.
    pub fn look_changed(&self) -> bool {
        Survey::take(&self.roots) != self.survey
    }

    /// Reads everything. A file that cannot be read now, or is empty though it held objects (it is just
    /// being rewritten), keeps what it held; else what is broken of it is left out.
    pub fn read(&mut self) -> ReadFacts {
        let snapshot = Snapshot::take(&self.roots);
        let mut problems = Vec::new();
        let mut held = BTreeMap::new();
        for problem in &snapshot.problems {
            problems.push(format!("{}: {}", problem.path, problem.message));
            let kept = self.held.iter().filter(|(name, _)| problem.covers(name));
            held.extend(kept.map(|(name, objects)| (name.clone(), objects.clone())));
        }
        for (name, text) in snapshot.texts {
            let (mut objects, errors) = parse(&text);
            let broken = !errors.is_empty() || text.trim().is_empty();
            if let Some(before) = self.held.remove(&name).filter(|before| broken && !before.is_empty()) {
                objects = before;
                problems.push(format!("{name}: empty or broken; what it held before stays"));
            }
            problems.extend(errors.iter().map(|error| format!("{name}: {error}")));
            held.insert(name, objects);
        }
        let mut facts = Facts::new(true);
        held.values().flatten().for_each(|object| add(&mut facts, object.clone()));
        self.held = held;
        self.survey = snapshot.survey;
        if !snapshot.settled {
            self.survey.forget();
        }
        ReadFacts { facts, problems }
    }
}

/// The objects of a file, and what is wrong with the others.
fn parse(text: &str) -> (Vec<Json>, Vec<YamlError>) {
    let (mut objects, mut errors) = (Vec::new(), Vec::new());
    for document in yaml::read(text) {
        match document {
            Ok(node) => objects.push(node.to_json()),
            Err(error) => errors.push(error),
        }
    }
    (objects, errors)
}

/// Adds an object, or the items of a List; a typed one (`NamespaceList`) says once what its items are.
fn add(facts: &mut Facts, mut object: Json) {
    let text = |field: &str| object.get(field).and_then(Json::as_str).map(str::to_owned);
    let (version, kind) = (text("apiVersion"), text("kind"));
    let item_kind = kind.as_deref().and_then(|kind| kind.strip_suffix("List"));
    match (object.get_mut("items").map(Json::take), item_kind) {
        (Some(Json::Array(items)), Some(kind)) => items.into_iter().for_each(|mut item| {
            if let (Some(fields), Some(version), false) = (item.as_object_mut(), &version, kind.is_empty()) {
                fields.entry("apiVersion").or_insert_with(|| version.as_str().into());
                fields.entry("kind").or_insert_with(|| kind.into());
            }
            facts.add(item);
        }),
        (Some(items), _) => {
            if let Some(slot) = object.get_mut("items") {
                *slot = items;
            }
            facts.add(object);
        }
        (None, _) => facts.add(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_lists_and_broken_documents() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("all.yaml");
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {team: x}}\n";
        let list =
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
        let odd = "apiVersion: example.com/v1\nkind: Shopping\nmetadata: {name: c}\nitems: [milk]\n";
        let typed = "apiVersion: v1\nkind: NamespaceList\nitems:\n- metadata: {name: d}\n";
        std::fs::write(&file, format!("{namespace}---\n{list}---\n[broken\n---\n{typed}---\n{odd}")).unwrap();
        let mut files = ResourceFiles::new(vec![directory.path().to_owned()]);
        let ReadFacts { facts, problems } = files.read();
        assert!(facts.is_complete());
        assert_eq!(facts.namespace("a").unwrap().to_json()["metadata"]["labels"]["team"], "x");
        assert!(facts.namespace("b").is_some() && facts.namespace("d").is_some());
        assert_eq!(facts.objects("example.com/v1", "Shopping")[0].to_json()["items"][0], "milk");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(!files.look_changed());
        for broken in ["", "{", "[broken\n---\n{}"] {
            std::fs::write(&file, broken).unwrap();
            assert!(files.look_changed());
            let ReadFacts { facts, problems } = files.read();
            assert!(facts.namespace("a").is_some() && !problems.is_empty(), "{broken:?}: {problems:?}");
        }
        std::fs::remove_file(file).unwrap();
        let ReadFacts { facts, problems } = files.read();
        assert_eq!((facts.namespace("a"), problems.as_slice()), (None, [].as_slice()));
    }
}
