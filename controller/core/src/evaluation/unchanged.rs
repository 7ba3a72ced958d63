//! Updates that give a policy nothing new to judge, so that switching to Deny wedges neither rollouts nor
//! the controllers that release what is being deleted.

use super::Context;
use crate::document::{LabelSelector, MatchResources, Matching, Params};
use crate::pod::PodView;
use crate::policy::{CompiledBinding, CompiledPolicy, Programs, Reads};
use crate::request::{Operation, Request};
use portcullis_cel::tree::NodeMap;
use portcullis_cel::{Node, Tree};

/// Whether an update of an object that is being deleted changes nothing but who holds it and its status.
pub(super) fn only_releases_a_deleted_object(request: &Request) -> bool {
    if request.operation != Operation::Update
        || !has_deletion_timestamp(&request.old_object)
        || !has_deletion_timestamp(&request.object)
    {
        return false;
    }
    let (Some(old), Some(new)) = (request.old_object.root().as_object(), request.object.root().as_object())
    else {
        return false;
    };
    same_but_for(old, new, &["metadata", "status"])
        && match (metadata(&request.old_object), metadata(&request.object)) {
            (Some(old), Some(new)) => same_but_for(
                old,
                new,
                &["finalizers", "ownerReferences", "managedFields", "resourceVersion", "generation"],
            ),
            _ => false,
        }
}

fn has_deletion_timestamp(object: &Tree) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|timestamp| !timestamp.is_null())
}

fn metadata(object: &Tree) -> Option<NodeMap<'_>> {
    object.get("metadata").and_then(Node::as_object)
}

fn same_but_for(old: NodeMap<'_>, new: NodeMap<'_>, ignored: &[&str]) -> bool {
    let keys = old.iter().chain(new.iter()).map(|(key, _)| key);
    keys.filter(|key| !ignored.contains(key)).all(|key| old.get(key) == new.get(key))
}

/// Whether an update changes nothing that the policy reads.
///
/// A policy that reads the old object, the requester or anything else that may differ between two requests
/// for the same object is always judged; so is one with params from the cluster that its matchConditions
/// read, since nobody knows what these were before.
pub(super) fn leaves_alone(
    policy: &CompiledPolicy,
    binding: &CompiledBinding,
    programs: &Programs,
    context: &Context<'_>,
) -> bool {
    let request = context.request;
    let reads = &programs.reads;
    if request.operation != Operation::Update
        || !request.old_object_known
        || reads.old_object()
        || reads.circumstances()
        || (matches!(binding.params, Params::Ref(_)) && programs.condition_reads.reads("params"))
        || programs.condition_reads.reads("namespaceObject")
    {
        return false;
    }
    selected_labels_are_equal(policy, binding, request) && reads_are_equal(reads, request)
}

fn selected_labels_are_equal(policy: &CompiledPolicy, binding: &CompiledBinding, request: &Request) -> bool {
    // A Namespace's own labels are what a namespaceSelector compares.
    let is_namespace = request.kind.group.is_empty() && request.kind.kind == "Namespace";
    let by_labels = |resources: &MatchResources| {
        !resources.object_selector.is_empty() || is_namespace && !resources.namespace_selector.is_empty()
    };
    let (by_policy, pod_selector) = match &policy.matching {
        Matching::Constraints(constraints) => (by_labels(constraints), None),
        Matching::Pods(pods) => (!pods.object_selector.is_empty(), Some(&pods.pod_selector)),
    };
    let selects = by_policy || binding.match_resources.as_ref().is_some_and(by_labels);
    if selects && labels(&request.object) != labels(&request.old_object) {
        return false;
    }
    if pod_selector.is_some_and(|selector: &LabelSelector| !selector.is_empty()) {
        let of = |object| PodView::new(&request.kind, object).and_then(|view| view.metadata.get("labels"));
        return of(&request.object) == of(&request.old_object);
    }
    true
}

fn labels(object: &Tree) -> Option<Node<'_>> {
    object.pointer("/metadata/labels")
}

fn reads_are_equal(reads: &Reads, request: &Request) -> bool {
    let equal = |new: Node<'_>, old: Node<'_>, root: &str| {
        reads.of_root(root).all(|segments| at(new, segments) == at(old, segments))
    };
    if !equal(request.object.root(), request.old_object.root(), "object") {
        return false;
    }
    let pod_roots = ["podSpec", "podMetadata", "containers", "images"];
    if !pod_roots.iter().any(|root| reads.reads(root)) {
        return true;
    }
    let view = |object| PodView::new(&request.kind, object);
    let (Some(new), Some(old)) = (view(&request.object), view(&request.old_object)) else {
        return false;
    };
    equal(new.spec, old.spec, "podSpec")
        && equal(new.metadata, old.metadata, "podMetadata")
        && (!reads.reads("containers") || new.containers().eq(old.containers()))
        && (!reads.reads("images") || new.images().eq(old.images()))
}

/// The value at a path of plain selections. Where there is none, how far the path goes and whether it ends in
/// an object: `has(object.a.b)` is false without `b`, and fails without `a`.
fn at<'a>(value: Node<'a>, segments: &[String]) -> Result<Node<'a>, (usize, bool)> {
    segments.iter().enumerate().try_fold(value, |value, (depth, segment)| {
        value.get(segment).ok_or_else(|| (depth, value.is_object()))
    })
}
