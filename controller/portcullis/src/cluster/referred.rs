//! What is known of one reference.

use super::mirror::Mirror;
use super::references::{Found, named};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use portcullis_core::Reference;
use portcullis_core::facts::keep;
use portcullis_core::tree::{Selection, Tree};
use std::sync::Arc;

/// What an object takes beside its tree: its place in the mirror and in the facts.
const PLACE: usize = 256;

/// How much of what policies refer to is kept, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of one reference.
    pub(super) each: usize,
    /// Of all together.
    pub(super) together: usize,
}

/// What is known of one reference.
#[derive(Debug)]
pub(super) struct Referred {
    reference: Reference,
    /// What is kept of each object.
    selection: Arc<Selection>,
    /// The kind's plural, and whether its objects live in namespaces.
    resource: Option<(String, bool)>,
    objects: Mirror<Tree>,
    /// Why it holds nothing, where that would be too much.
    overfull: Option<String>,
    /// Whether there are none because there is no such kind.
    absent: bool,
    /// Why they cannot be told.
    trouble: Option<String>,
}

impl Referred {
    /// Nothing yet of objects of which so much is to be kept.
    pub(super) fn new(reference: Reference, selection: &Arc<Selection>) -> Self {
        let (selection, objects) = (Arc::clone(selection), empty());
        Self { reference, selection, resource: None, objects, overfull: None, absent: false, trouble: None }
    }

    /// Takes in what was found, where the others hold so many bytes. True if that changed anything.
    pub(super) fn take(&mut self, found: Found, limits: Limits, others: usize) -> bool {
        match found {
            Found::Kind(resource, namespaced) => {
                let found = Some((resource.plural, namespaced));
                let changed = self.resource != found;
                self.resource = found;
                std::mem::take(&mut self.absent) || changed
            }
            Found::Absent => {
                (self.resource, self.objects) = (None, empty());
                let was_wrong = self.trouble.take().is_some() | self.overfull.take().is_some();
                !std::mem::replace(&mut self.absent, true) || was_wrong
            }
            Found::Event(event) => self.take_event(*event, limits, others),
            Found::Trouble(reason) if self.trouble.as_ref() == Some(&reason) => false,
            Found::Trouble(reason) => {
                tracing::warn!("what policies refer to cannot be read: {reason}");
                (self.trouble, self.overfull) = (Some(reason), None);
                true
            }
        }
    }

    fn take_event(&mut self, event: Event<DynamicObject>, limits: Limits, others: usize) -> bool {
        // What is listed anew may be told again.
        let is_listed = matches!(event, Event::InitDone)
            && (self.trouble.take().is_some() | self.overfull.take().is_some());
        let (selection, before) = (Arc::clone(&self.selection), self.objects.bytes());
        // What is listed gives way to what changes.
        let slack = if matches!(event, Event::Apply(_)) { limits.together / 8 } else { 0 };
        let changed = self.objects.take(event, |object| kept(object, &selection));
        let bytes = self.objects.bytes();
        let is_in_limits = bytes <= limits.each && bytes.saturating_add(others) <= limits.together + slack;
        if is_in_limits || bytes <= before {
            return changed || is_listed;
        }
        self.objects = empty();
        let (named, mib) = (named(&self.reference), |bytes: usize| bytes >> 20);
        let reason = if bytes > limits.each {
            format!("what policies read of {named} is more than {} MiB", mib(limits.each))
        } else {
            let together = mib(limits.together);
            format!("what policies read of other objects is more than {together} MiB together, with {named}")
        };
        let reason = Some(format!("{reason}: narrow it by a namespace or labels"));
        let is_news = self.overfull != reason;
        self.overfull = reason;
        is_news
    }

    /// What it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.objects.bytes()
    }

    /// Whether there was too much, so that no event is of use until everything is listed anew.
    pub(super) fn is_overfull(&self) -> bool {
        self.overfull.is_some() && !self.objects.has_begun()
    }

    /// Whether it is known what the reference means, or that this cannot be known.
    pub(super) fn is_settled(&self) -> bool {
        self.is_told() || self.trouble.is_some() || self.overfull.is_some()
    }

    /// Whether it is known what the reference means.
    pub(super) fn is_told(&self) -> bool {
        self.trouble().is_none()
    }

    /// Why they cannot be told, if they cannot.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.overfull.is_some() {
            return self.overfull.clone();
        }
        if self.absent {
            return None;
        }
        let unread = || format!("{} is not read yet", named(&self.reference));
        self.trouble.clone().or_else(|| self.objects.version().is_none().then(unread))
    }

    /// The kind's plural, and whether its objects live in namespaces.
    pub(super) fn resource(&self) -> Option<(&str, bool)> {
        self.resource.as_ref().map(|(plural, namespaced)| (plural.as_str(), *namespaced))
    }

    /// What is known of each object; nothing where they cannot be told.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Tree> {
        let told = self.is_told().then(|| self.objects.objects());
        told.into_iter().flatten()
    }
}

fn empty() -> Mirror<Tree> {
    Mirror::weighing(|object: &Tree| object.memory() + PLACE)
}

/// What is kept of an object.
pub(super) fn kept(mut object: DynamicObject, selection: &Selection) -> Tree {
    object.managed_fields_mut().clear();
    keep(serde_json::to_value(object).unwrap_or_default(), selection)
}
