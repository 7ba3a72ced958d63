//! What policies may look at: Namespaces, what they take their params from, and what they look up.

use super::{Failed, Inventory, Kind, PAGE};
use crate::cluster::references;
use crate::report::model::Problem;
use portcullis_core::facts::keep;
use portcullis_core::tree::{Selection, Tree};
use portcullis_core::{Facts, PolicySet, Reference};
use serde_json::Value as Json;

/// What was read so far.
#[derive(Default)]
struct Read {
    objects: Vec<Tree>,
    /// Those of which only the metadata is known.
    parts: Vec<Tree>,
    problems: Vec<Problem>,
    /// Kinds that are no part of Kubernetes.
    kinds: Vec<Kind>,
    /// What is known not to be there, and why.
    absent: Vec<(Reference, String)>,
    /// Whether something was left out that may be there.
    incomplete: bool,
}

pub(super) fn read(inventory: &Inventory, set: &PolicySet) -> (Facts, Vec<Problem>) {
    let mut read = Read::default();
    let namespaces = Kind::namespaces();
    let end = inventory.listing(&namespaces, PAGE).each(&mut |object| read.take(object, Tree::from, false));
    read.note(&namespaces, end);
    for (reference, kept) in set.references() {
        read.refer_to(inventory, reference, &Selection::of(&kept));
    }
    let mut facts = Facts::new(!read.incomplete);
    for kind in read.kinds {
        facts.define(&kind.api_version(), &kind.kind, &kind.plural, kind.namespaced);
    }
    read.objects.into_iter().for_each(|object| facts.add(object));
    read.parts.into_iter().for_each(|part| facts.add_part(part));
    read.absent.into_iter().for_each(|(reference, reason)| facts.withhold(reference, reason));
    (facts, read.problems)
}

impl Read {
    /// Keeps so much of an object.
    fn take(&mut self, object: Result<Json, String>, keep: impl FnOnce(Json) -> Tree, is_part: bool) {
        match object {
            Ok(object) if is_part => self.parts.push(keep(object)),
            Ok(object) => self.objects.push(keep(object)),
            Err(reason) => {
                self.problems.push(Problem::new(reason));
                self.incomplete = true;
            }
        }
    }

    fn note(&mut self, kind: &Kind, end: Result<(), Failed>) {
        if let Err(failed) = end {
            self.problems.push(failed.of(kind));
            self.incomplete = true;
        }
    }

    /// Reads what a reference means, and keeps what policies read of it.
    fn refer_to(&mut self, inventory: &Inventory, reference: Reference, kept: &Selection) {
        let metadata_only = reference.is_metadata_only();
        if let Some(reason) = references::unread(&reference) {
            return self.absent.push((reference, reason));
        }
        let (client, of) = (inventory.cluster.client.clone(), reference.clone());
        let found = inventory.ask(async move { references::discover(&client, &of).await });
        let (resource, namespaced) = match found {
            Ok(Ok(found)) => found,
            Ok(Err(None)) if reference.optional => return,
            Ok(Err(None)) => {
                let reason = references::absent(&reference);
                return self.absent.push((reference, reason));
            }
            Ok(Err(Some(reason))) => return self.missing(reason),
            Err(error) => return self.missing(error.to_string()),
        };
        let kind =
            Kind::built_in(&resource.group, &resource.version, &resource.plural, &resource.kind, namespaced);
        let mut listing = inventory.listing(&kind, PAGE);
        if let Some(namespace) = &reference.namespace {
            listing = listing.in_namespace(namespace);
        }
        if let Some(name) = &reference.name {
            listing = listing.named(name);
        }
        if !reference.selector.is_empty() {
            listing = listing.labelled(&reference.selector);
        }
        if metadata_only {
            listing = listing.metadata_only();
        }
        let end = listing.each(&mut |object| self.take(object, |object| keep(object, kept), metadata_only));
        self.note(&kind, end);
        self.kinds.push(kind);
    }

    fn missing(&mut self, reason: String) {
        self.problems.push(Problem::new(reason));
        self.incomplete = true;
    }
}
