//! What deciding requests of one sort takes: which policies, and what of the objects they read. Worked out when
//! the first request of that sort comes, and kept with the set.

use crate::matching::RuleIndex;
use crate::matching::rules::Target;
use crate::needs::Needs;
use crate::request::{GroupVersionKind, GroupVersionResource, Operation, Request};
use foldhash::fast::FixedState;
use portcullis_cel::tree::Selection;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};

/// More sorts of requests than a cluster has resources and operations are not kept.
const MAX_PLANS: usize = 4_096;

/// What requests have in common by which policies find them: AdmissionRequest's fields of these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort<'a> {
    /// What is done.
    pub operation: Operation,
    /// The kind's group, empty for core.
    pub group: &'a str,
    /// The kind's version.
    pub version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// Group, version and plural of the resource.
    pub resource: [&'a str; 3],
    /// Empty for the object itself.
    pub sub_resource: &'a str,
    /// Group, version and plural of what was sent; the same as `resource` where nothing was converted. None for an
    /// object that somebody might still have converted.
    pub original_resource: Option<[&'a str; 3]>,
    /// The subresource of what was sent.
    pub original_sub_resource: &'a str,
}

/// What deciding requests of one sort takes.
#[derive(Debug)]
pub struct Plan {
    key: [Box<str>; 12],
    pub(super) candidates: Vec<Candidate>,
    /// What may be read.
    pub needs: Needs,
    /// What is decoded of `object`.
    pub object: Selection,
    /// What is decoded of `oldObject`.
    pub old_object: Selection,
    /// What is decoded of `options`.
    pub options: Selection,
}

/// A policy whose rules may match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: usize,
    /// Whether it matches every request of the sort.
    pub(super) always: bool,
}

/// The plans of a set.
#[derive(Debug, Default)]
pub(super) struct Plans(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By the hash of their sort.
    by_hash: HashMap<u64, Vec<Arc<Plan>>, FixedState>,
    count: usize,
}

impl<'a> Sort<'a> {
    /// The sort of a request; none if its resource is not known.
    pub fn of(request: &'a Request) -> Option<Self> {
        let names = |resource: &'a GroupVersionResource| {
            [resource.group.as_str(), resource.version.as_str(), resource.resource.as_str()]
        };
        let resource = names(request.resource.as_ref()?);
        let original = request.request_resource.as_ref();
        let original_sub_resource = original.and(request.request_sub_resource.as_deref());
        Some(Self {
            operation: request.operation,
            group: &request.kind.group,
            version: &request.kind.version,
            kind: &request.kind.kind,
            resource,
            sub_resource: &request.sub_resource,
            original_resource: original.map(names),
            original_sub_resource: original_sub_resource.unwrap_or(&request.sub_resource),
        })
    }

    fn key(self) -> [&'a str; 12] {
        let Self { resource: [resource_group, version, resource], original_resource: original, .. } = self;
        let [original_group, original_version, original_resource] = original.unwrap_or_default();
        [
            self.operation.as_str(),
            self.group,
            self.version,
            self.kind,
            resource_group,
            version,
            resource,
            self.sub_resource,
            original_group,
            original_version,
            original_resource,
            self.original_sub_resource,
        ]
    }

    pub(super) fn group_version_kind(self) -> GroupVersionKind {
        let [group, version, kind] = [self.group, self.version, self.kind].map(str::to_owned);
        GroupVersionKind { group, version, kind }
    }

    fn target(self, [group, version, resource]: [&'a str; 3], sub_resource: &'a str) -> Target<'a> {
        let (operation, kind) = (self.operation, self.kind);
        let is_convertible = self.original_resource.is_none();
        Target {
            group,
            version,
            resource: Some(resource),
            sub_resource,
            operation,
            name: "",
            namespace: "",
            kind,
            is_convertible,
        }
    }

    pub(super) fn converted(self) -> Target<'a> {
        self.target(self.resource, self.sub_resource)
    }

    pub(super) fn candidates(self, index: &RuleIndex) -> Vec<usize> {
        let converted = self.converted();
        let original =
            self.original_resource.map(|original| self.target(original, self.original_sub_resource));
        index.candidates_of(&converted, original.as_ref())
    }
}

impl Plans {
    /// The plan for a sort of requests, made now if it is the first.
    pub(super) fn get(&self, sort: Sort<'_>, make: impl FnOnce() -> Plan) -> Arc<Plan> {
        let key = sort.key();
        let hash = FixedState::default().hash_one(key);
        let is_it = |plan: &&Arc<Plan>| plan.key.iter().zip(key).all(|(known, part)| **known == *part);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = known.by_hash.get(&hash).and_then(|alike| alike.iter().find(is_it)) {
            return Arc::clone(plan);
        }
        drop(known);
        let plan = Arc::new(make());
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.count < MAX_PLANS {
            known.count += 1;
            known.by_hash.entry(hash).or_default().push(Arc::clone(&plan));
        }
        plan
    }
}

impl Plan {
    pub(super) fn new(sort: Sort<'_>, candidates: Vec<Candidate>, needs: Needs) -> Self {
        Self {
            key: sort.key().map(Box::from),
            candidates,
            object: Selection::of(&needs.object),
            old_object: Selection::of(&needs.old_object),
            options: Selection::of(&needs.options),
            needs,
        }
    }
}
