//! Updates that give a policy nothing new to judge, so that switching to Deny wedges neither rollouts nor
//! the controllers that release what is being deleted.

use super::Context;
use super::excepted::Excepted;
use crate::document::{LabelSelector, MatchResources, Matching, Params};
use crate::matching::label;
use crate::pod::PodView;
use crate::policy::{CompiledBinding, CompiledPolicy, Input, Programs, Reads, Unsure};
use crate::request::{Operation, Request};
use portcullis_cel::tree::NodeMap;
use portcullis_cel::{Node, Projection, Tree, Value};

/// Whether an update of an object that is being deleted changes nothing but who holds it and its status.
pub(super) fn only_releases_a_deleted_object(request: &Request) -> bool {
    if !request.updates_what_is_being_deleted() {
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
/// for the same object is always judged; so is one with params from the cluster or look-ups that its
/// matchConditions read, since nobody knows what these were before.
pub(super) fn leaves_alone(
    policy: &CompiledPolicy,
    binding: &CompiledBinding,
    programs: &Programs,
    excepted: &Excepted<'_>,
    context: &Context<'_>,
) -> bool {
    let request = context.request;
    let (reads, conditions) = (&programs.reads, &programs.condition_reads);
    if request.operation != Operation::Update
        || !request.old_object_known
        || !reads.unsure(Unsure::OldObject).is_empty()
        || reads.circumstances()
        || (matches!(binding.params, Params::Ref(_)) && conditions.reads(Input::Params))
        || conditions.reads(Input::NamespaceObject)
        || conditions.reads(Input::Lookups)
    {
        return false;
    }
    let excepts_images = matches!(excepted, Excepted::Images(_));
    let what_is_read_is_equal = if programs.module.is_some() {
        given_is_equal(policy, request)
            && [conditions, &programs.annotation_reads].iter().all(|reads| reads_are_equal(reads, request))
    } else {
        reads_are_equal(reads, request)
    };
    selected_labels_are_equal(policy, binding, request)
        && what_is_read_is_equal
        && (!excepts_images || images_are_equal(request))
}

fn selected_labels_are_equal(policy: &CompiledPolicy, binding: &CompiledBinding, request: &Request) -> bool {
    let own = |selector: &LabelSelector| {
        equally_selected(selector, request.object.get("metadata"), request.old_object.get("metadata"))
    };
    let by_resources = |resources: &MatchResources| {
        // A Namespace's own labels are what a namespaceSelector compares.
        own(&resources.object_selector)
            && (!request.kind.is_namespace() || own(&resources.namespace_selector))
    };
    let by_policy = match &policy.matching {
        Matching::Constraints(constraints) => by_resources(constraints),
        Matching::Pods(pods) => {
            let of = |object| PodView::new(&request.kind, object).map(|view| view.metadata);
            own(&pods.object_selector)
                && equally_selected(&pods.pod_selector, of(&request.object), of(&request.old_object))
        }
    };
    by_policy && binding.match_resources.as_ref().is_none_or(by_resources)
}

fn equally_selected(selector: &LabelSelector, new: Option<Node<'_>>, old: Option<Node<'_>>) -> bool {
    let [new_labels, old_labels] = [new, old].map(|metadata| metadata.and_then(|all| all.get("labels")));
    selector.is_empty()
        || new.is_some_and(Node::is_object) == old.is_some_and(Node::is_object)
            && selector
                .requirements
                .iter()
                .all(|requirement| label(new_labels, &requirement.key) == label(old_labels, &requirement.key))
}

fn reads_are_equal(reads: &Reads, request: &Request) -> bool {
    if !agree(reads.of_input(Input::Object), request.object.root(), request.old_object.root()) {
        return false;
    }
    let (spec, metadata) = (reads.of_pod_spec(), reads.of_input(Input::PodMetadata));
    if spec.is_none() && metadata.is_none() {
        return true;
    }
    let view = |object| PodView::new(&request.kind, object);
    match (view(&request.object), view(&request.old_object)) {
        (Some(new), Some(old)) => {
            agree(spec, new.spec, old.spec) && agree(metadata, new.metadata, old.metadata)
        }
        _ => false,
    }
}

/// What changes in an object without anybody having written it anew.
const BOOKKEEPING: [&str; 4] = ["finalizers", "generation", "managedFields", "resourceVersion"];

/// Whether an update changes nothing of what a module judges. It is given the whole object, but it is taken to judge the
/// Pod where it is asked about Pods, and elsewhere everything but bookkeeping and the status: else a switch to Deny
/// would wedge whoever scales a workload down or releases an object.
fn given_is_equal(policy: &CompiledPolicy, request: &Request) -> bool {
    let same_metadata = |old: Node<'_>, new: Node<'_>| match (old.as_object(), new.as_object()) {
        (Some(old), Some(new)) => same_but_for(old, new, &BOOKKEEPING),
        _ => old == new,
    };
    if let Matching::Pods(_) = policy.matching {
        let view = |object| PodView::new(&request.kind, object);
        return match (view(&request.old_object), view(&request.object)) {
            (Some(old), Some(new)) => old.spec == new.spec && same_metadata(old.metadata, new.metadata),
            _ => false,
        };
    }
    let (Some(old), Some(new)) = (request.old_object.root().as_object(), request.object.root().as_object())
    else {
        return false;
    };
    let ignored: &[&str] =
        if request.sub_resource == "status" { &["metadata"] } else { &["metadata", "status"] };
    same_but_for(old, new, ignored)
        && same_metadata(old.get("metadata").unwrap_or_default(), new.get("metadata").unwrap_or_default())
}

fn images_are_equal(request: &Request) -> bool {
    let images = |object| {
        let view = PodView::new(&request.kind, object);
        view.into_iter().flat_map(|view| view.images().map(|image| (image.path(), image.reference)))
    };
    images(&request.object).eq(images(&request.old_object))
}

fn agree(projection: Option<&Projection>, new: Node<'_>, old: Node<'_>) -> bool {
    projection.is_none_or(|projection| {
        projection.agrees(Some(&Value::from_json(new)), Some(&Value::from_json(old)))
    })
}
