//! What a decision may know beside the request: Namespaces and the objects that policies refer to.

mod objects;

pub use objects::{Held, Objects};

use crate::document::{ParamKind, ParamRef, ParamSelect};
use crate::matching::Resources;
use crate::request::split_api_version;
use portcullis_cel::tree::{Builder, Selection};
use portcullis_cel::{Authorizer, Node, Projection, Tree};
use serde::de::DeserializeSeed;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A snapshot of the cluster as far as policies may see it: Namespaces, params and what is looked up.
///
/// Filled by the caller from a directory, from the files under check, or from a watch. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    known: Arc<Known>,
    /// What was asked for one by one, because it was not known; or why nobody could tell.
    learned: BTreeMap<Sought, Result<Vec<Tree>, String>>,
    /// Namespaces that were asked for so.
    learned_namespaces: BTreeMap<String, Tree>,
    /// Whether what is not here does not exist. False where the files at hand are a part of a cluster.
    complete: bool,
    /// Who answers for the authorizer, if anybody does.
    authorizer: Option<Arc<dyn Authorizer>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// Namespaces by name, whole objects.
    namespaces: BTreeMap<String, Tree>,
    /// Other objects by (`apiVersion`, kind).
    objects: BTreeMap<(String, String), Arc<Objects>>,
    /// The kinds that CustomResourceDefinitions among the objects define.
    definitions: Resources,
    /// What cannot be told, and why.
    untold: BTreeMap<Reference, String>,
    /// Of what no more is known than this, and why.
    partial: BTreeMap<Reference, (Projection, String)>,
}

/// Objects that a policy refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// What they are to the policy.
    pub purpose: Purpose,
    /// Their `apiVersion`.
    pub api_version: String,
    /// Their `kind`.
    pub kind: String,
    /// Their namespace; absent for any, and for what lives in none.
    pub namespace: Option<String>,
    /// Their name; absent where a selector says which, or an expression.
    pub name: Option<String>,
    /// What their labels are, as the API server takes it; empty for any.
    pub selector: String,
    /// Whether there is nothing wrong where the cluster has no such kind: then there are no such objects.
    pub optional: bool,
}

/// What objects are to the policy that refers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Its params.
    Params,
    /// What it looks up.
    Lookup,
}

/// An object that is looked up by its name, and is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sought {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its `kind`.
    pub kind: String,
    /// Its namespace; none for any, and for what lives in none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Reference {
    pub(crate) fn of_params(kind: &ParamKind, reference: &ParamRef) -> Self {
        let ParamKind { api_version, kind } = kind.clone();
        let name = match &reference.select {
            ParamSelect::Name(name) => Some(name.clone()),
            ParamSelect::Selector(_) => None,
        };
        let namespace = reference.namespace.clone();
        let (purpose, selector) = (Purpose::Params, String::new());
        Self { purpose, api_version, kind, namespace, name, selector, optional: false }
    }

    /// Whether nothing but the metadata of the objects is wanted: Secrets that are looked up.
    pub fn is_metadata_only(&self) -> bool {
        self.purpose == Purpose::Lookup && is_secret(&self.api_version, &self.kind)
    }
}

/// Whether objects of a kind hold values that must not leave the process.
pub fn is_secret(api_version: &str, kind: &str) -> bool {
    let (group, _) = split_api_version(api_version);
    group.is_empty() && kind == "Secret"
}

/// Which objects of a kind are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'q> {
    pub(crate) api_version: &'q str,
    pub(crate) kind: &'q str,
    /// None for all of them, and for what lives in none.
    pub(crate) namespace: Option<&'q str>,
    pub(crate) name: Option<&'q str>,
}

impl Facts {
    /// Facts that hold nothing yet. With `complete`, what is not added does not exist; otherwise it is
    /// unknown, and what depends on it is undecidable.
    pub fn new(complete: bool) -> Self {
        Self { complete, ..Self::default() }
    }

    /// Whether absence here means absence in the cluster.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Lets somebody answer for the authorizer; without, nothing is known of its answers.
    pub fn set_authorizer(&mut self, authorizer: Arc<dyn Authorizer>) {
        self.authorizer = Some(authorizer);
    }

    /// Who answers for the authorizer.
    pub fn authorizer(&self) -> Option<&Arc<dyn Authorizer>> {
        self.authorizer.as_ref()
    }

    /// Adds an object; a later one of the same kind, namespace and name replaces the earlier.
    /// Objects without `apiVersion`, `kind` or name are left out: nothing could refer to them.
    pub fn add(&mut self, object: impl Into<Tree>) {
        Arc::make_mut(&mut self.known).add(object.into(), true);
    }

    /// Adds an object of which only a part is known, unless it is there already.
    pub fn add_part(&mut self, object: impl Into<Tree>) {
        Arc::make_mut(&mut self.known).add(object.into(), false);
    }

    /// Has these be all objects of a kind.
    pub fn put(&mut self, api_version: &str, kind: &str, objects: Arc<Objects>) {
        let key = (api_version.to_owned(), kind.to_owned());
        Arc::make_mut(&mut self.known).objects.insert(key, objects);
    }

    /// Adds that there is a kind, and where its objects live. It cannot change what is built into Kubernetes.
    pub fn define(&mut self, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
        let (group, _) = split_api_version(api_version);
        Arc::make_mut(&mut self.known).definitions.add(group, kind, plural, namespaced);
    }

    /// Adds why some objects cannot be told: policies that refer to them fail with that.
    pub fn withhold(&mut self, reference: Reference, reason: String) {
        Arc::make_mut(&mut self.known).untold.insert(reference, reason);
    }

    /// Adds that of some objects no more is known than this: policies that refer to them and read more fail with the
    /// reason.
    pub fn withhold_beyond(&mut self, reference: Reference, known: Projection, reason: String) {
        Arc::make_mut(&mut self.known).partial.insert(reference, (known, reason));
    }

    /// Adds what was found where nothing was known: nothing, if it does not exist; or why that cannot be told.
    pub fn learn(&mut self, sought: Sought, mut found: Result<Vec<Tree>, String>) {
        if let Ok(found) = &mut found {
            found.sort_by(|a, b| (namespace_of(a), name_of(a)).cmp(&(namespace_of(b), name_of(b))));
        }
        self.learned.insert(sought, found);
    }

    /// Adds a Namespace that was not known, for the moment.
    pub fn learn_namespace(&mut self, namespace: Tree) {
        self.learned_namespaces.insert(name_of(&namespace).to_owned(), namespace);
    }

    /// Why it cannot be told whether something exists, though it was asked for.
    pub(crate) fn unlearned(&self, sought: &Sought) -> Option<&str> {
        self.learned.get(sought)?.as_ref().err().map(String::as_str)
    }

    /// Why the objects that a reference means cannot be told to who reads so much of them, if they cannot.
    pub(crate) fn withheld(&self, reference: &Reference, read: impl FnOnce() -> Projection) -> Option<&str> {
        if let Some(reason) = self.known.untold.get(reference) {
            return Some(reason);
        }
        let (known, reason) = self.known.partial.get(reference)?;
        (!known.covers(&read())).then_some(reason)
    }

    /// The same of params.
    pub(crate) fn withheld_params(
        &self,
        kind: &ParamKind,
        reference: &ParamRef,
        read: impl FnOnce() -> Projection,
    ) -> Option<&str> {
        if self.known.untold.is_empty() && self.known.partial.is_empty() {
            return None;
        }
        self.withheld(&Reference::of_params(kind, reference), read)
    }

    /// The plural of a kind and whether its objects live in namespaces, as Kubernetes or a CustomResourceDefinition
    /// has it; `None` for what neither defines.
    pub fn resource(&self, api_version: &str, kind: &str) -> Option<crate::matching::Resource<'_>> {
        let (group, _) = split_api_version(api_version);
        self.known.definitions.find(group, kind)
    }

    /// Whether objects of a kind live in namespaces; `None` where that is not defined.
    pub fn defined_scope(&self, api_version: &str, kind: &str) -> Option<bool> {
        self.resource(api_version, kind).map(|resource| resource.namespaced)
    }

    /// The same; where there is no definition the objects show it.
    pub(crate) fn is_namespaced(&self, api_version: &str, kind: &str) -> bool {
        self.defined_scope(api_version, kind).unwrap_or_else(|| {
            self.objects(api_version, kind).iter().any(|object| !namespace_of(object).is_empty())
        })
    }

    /// Whether there is such a kind, as far as definitions and objects tell.
    pub fn knows(&self, api_version: &str, kind: &str) -> bool {
        self.defined_scope(api_version, kind).is_some() || !self.objects(api_version, kind).is_empty()
    }

    /// Whether there is any object of a kind.
    pub(crate) fn has_any(&self, api_version: &str, kind: &str) -> bool {
        let is_namespace = is_namespace(api_version, kind);
        !self.objects(api_version, kind).is_empty() || is_namespace && !self.known.namespaces.is_empty()
    }

    /// The Namespace object of that name.
    pub fn namespace(&self, name: &str) -> Option<&Tree> {
        self.known.namespaces.get(name).or_else(|| self.learned_namespaces.get(name))
    }

    /// Every object of a kind, in all namespaces.
    pub fn objects(&self, api_version: &str, kind: &str) -> &[Tree] {
        let kind = self.known.objects.get(&(api_version.to_owned(), kind.to_owned()));
        kind.map_or(&[], |objects| objects.all())
    }

    /// The objects that are wanted, sorted by namespace and name.
    pub(crate) fn find(&self, query: Query<'_>) -> Vec<&Tree> {
        match query.name.and_then(|name| self.learned.get(&query.sought(name))) {
            Some(learned) => learned.iter().flatten().collect(),
            None => self.known.find(query),
        }
    }

    /// Whether it was already asked for in vain.
    pub(crate) fn is_learned(&self, sought: &Sought) -> bool {
        self.learned.contains_key(sought)
    }

    /// How much is held, by `apiVersion` and kind, Namespaces not included.
    pub fn held(&self) -> impl Iterator<Item = ((&str, &str), Held)> {
        let all = self.known.objects.iter();
        all.map(|((api_version, kind), objects)| ((api_version.as_str(), kind.as_str()), objects.held()))
    }
}

impl Known {
    fn add(&mut self, object: Tree, replaces: bool) {
        let (Some(api_version), Some(kind), name) = (
            object.get("apiVersion").and_then(Node::as_str),
            object.get("kind").and_then(Node::as_str),
            name_of(&object),
        ) else {
            return;
        };
        if name.is_empty() {
            return;
        }
        if is_namespace(api_version, kind) {
            self.namespaces.insert(name.to_owned(), object);
            return;
        }
        if kind == "CustomResourceDefinition" {
            self.definitions.add_crd(&object.to_json());
        }
        let key = (api_version.to_owned(), kind.to_owned());
        Arc::make_mut(self.objects.entry(key).or_default()).add(object, replaces);
    }

    fn find(&self, query: Query<'_>) -> Vec<&Tree> {
        if is_namespace(query.api_version, query.kind) {
            return match query.name {
                Some(name) => self.namespaces.get(name).into_iter().collect(),
                None => self.namespaces.values().collect(),
            };
        }
        let kind = self.objects.get(&(query.api_version.to_owned(), query.kind.to_owned()));
        kind.map(|objects| objects.find(query.namespace, query.name)).unwrap_or_default()
    }
}

impl Query<'_> {
    /// The one of that name.
    pub(crate) fn sought(&self, name: &str) -> Sought {
        Sought {
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
            namespace: self.namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

/// As people are told.
impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` of {}", self.kind, self.name, self.api_version)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace `{namespace}`"),
            None => Ok(()),
        }
    }
}

/// What of every object that is referred to has to be known to find it: its type, its name, its labels if it is
/// selected by them.
pub(crate) fn identity(labels: bool) -> Projection {
    let text = |path: &[&str]| Projection::new(portcullis_cel::Extent::Whole).below(path);
    let mut all = text(&["apiVersion"]);
    for path in [&["kind"][..], &["metadata", "name"], &["metadata", "namespace"]] {
        all.merge(&text(path));
    }
    if labels {
        all.merge(&text(&["metadata", "labels"]));
    }
    all
}

/// What is kept of an object of which no more is read than a selection of what policies
/// [refer to](crate::PolicySet::references).
pub fn keep(object: Json, selection: &Selection) -> Tree {
    let mut builder = Builder::new();
    match builder.seed_of(selection).deserialize(object) {
        Ok(root) => {
            let [kept] = builder.finish([root]);
            kept
        }
        // It nests too deep to be read.
        Err(_) => Tree::default(),
    }
}

pub(crate) fn is_namespace(api_version: &str, kind: &str) -> bool {
    api_version == "v1" && kind == "Namespace"
}

pub(crate) fn name_of(object: &Tree) -> &str {
    object.pointer("/metadata/name").and_then(Node::as_str).unwrap_or_default()
}

pub(crate) fn namespace_of(object: &Tree) -> &str {
    object.pointer("/metadata/namespace").and_then(Node::as_str).unwrap_or_default()
}
