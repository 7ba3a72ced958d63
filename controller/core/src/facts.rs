//! What a decision may know beside the request: Namespaces and the objects that policies refer to.

use crate::document::{ParamKind, ParamRef, ParamSelect};
use crate::matching::Resources;
use crate::request::split_api_version;
use portcullis_cel::Authorizer;
use portcullis_cel::{Node, Tree};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A snapshot of the cluster as far as policies may see it: Namespaces and params.
///
/// Filled by the caller from a directory, from the files under check, or from a watch.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Namespaces by name, whole objects.
    namespaces: BTreeMap<String, Tree>,
    /// Other objects by (`apiVersion`, kind), in the order in which they were added.
    objects: BTreeMap<(String, String), Kind>,
    /// The kinds that CustomResourceDefinitions among the objects define.
    definitions: Resources,
    /// Params that cannot be told, and why.
    untold: BTreeMap<ParamReference, String>,
    /// Whether what is not here does not exist. False where the files at hand are a part of a cluster.
    complete: bool,
    /// Who answers for the authorizer, if anybody does.
    authorizer: Option<Arc<dyn Authorizer>>,
}

/// Objects that params are taken from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamReference {
    /// The `apiVersion` of `paramKind`.
    pub api_version: String,
    /// Its `kind`.
    pub kind: String,
    /// `paramRef.namespace`; absent for the namespace of each request, and for what lives in none.
    pub namespace: Option<String>,
    /// `paramRef.name`; absent where a selector says which.
    pub name: Option<String>,
}

impl ParamReference {
    pub(crate) fn of(kind: &ParamKind, reference: &ParamRef) -> Self {
        let ParamKind { api_version, kind } = kind.clone();
        let name = match &reference.select {
            ParamSelect::Name(name) => Some(name.clone()),
            ParamSelect::Selector(_) => None,
        };
        Self { api_version, kind, namespace: reference.namespace.clone(), name }
    }
}

/// The objects of one kind.
#[derive(Debug, Clone, Default)]
struct Kind {
    objects: Vec<Tree>,
    /// Where each is, by namespace and name: dumps hold thousands of one kind.
    index: HashMap<(String, String), usize>,
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
        let object = object.into();
        let (Some(api_version), Some(kind), Some(name)) = (
            object.get("apiVersion").and_then(Node::as_str),
            object.get("kind").and_then(Node::as_str),
            name_of(&object),
        ) else {
            return;
        };
        if api_version == "v1" && kind == "Namespace" {
            self.namespaces.insert(name.to_owned(), object);
            return;
        }
        if kind == "CustomResourceDefinition" {
            self.definitions.add_crd(&object.to_json());
        }
        let identity = (namespace_of(&object).to_owned(), name.to_owned());
        let key = (api_version.to_owned(), kind.to_owned());
        let Kind { objects, index } = self.objects.entry(key).or_default();
        match index.get(&identity).and_then(|index| objects.get_mut(*index)) {
            Some(slot) => *slot = object,
            None => {
                index.insert(identity, objects.len());
                objects.push(object);
            }
        }
    }

    /// Adds that there is a kind, and where its objects live. It cannot change what is built into Kubernetes.
    pub fn define(&mut self, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
        let (group, _) = split_api_version(api_version);
        self.definitions.add(group, kind, plural, namespaced);
    }

    /// Adds why some params cannot be told: policies that refer to them fail with that.
    pub fn withhold(&mut self, params: ParamReference, reason: String) {
        self.untold.insert(params, reason);
    }

    /// Why the params that a reference means cannot be told, if they cannot.
    pub(crate) fn withheld(&self, kind: &ParamKind, reference: &ParamRef) -> Option<&str> {
        if self.untold.is_empty() {
            return None;
        }
        self.untold.get(&ParamReference::of(kind, reference)).map(String::as_str)
    }

    /// Whether objects of a kind live in namespaces, as Kubernetes or a CustomResourceDefinition has it; `None` for
    /// what neither defines.
    pub fn defined_scope(&self, api_version: &str, kind: &str) -> Option<bool> {
        let (group, _) = split_api_version(api_version);
        self.definitions.find(group, kind).map(|resource| resource.namespaced)
    }

    /// Whether there is such a kind, as far as definitions and objects tell.
    pub fn knows(&self, api_version: &str, kind: &str) -> bool {
        self.defined_scope(api_version, kind).is_some() || !self.objects(api_version, kind).is_empty()
    }

    /// The Namespace object of that name.
    pub fn namespace(&self, name: &str) -> Option<&Tree> {
        self.namespaces.get(name)
    }

    /// Every object of a kind, in all namespaces.
    pub fn objects(&self, api_version: &str, kind: &str) -> &[Tree] {
        self.objects.get(&(api_version.to_owned(), kind.to_owned())).map_or(&[], |kind| &kind.objects)
    }
}

fn name_of(object: &Tree) -> Option<&str> {
    object.pointer("/metadata/name").and_then(Node::as_str)
}

fn namespace_of(object: &Tree) -> &str {
    object.pointer("/metadata/namespace").and_then(Node::as_str).unwrap_or_default()
}
