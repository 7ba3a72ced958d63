//! What of a request's body may be read when it is decided, so that the rest need not be decoded.
//!
//! The union over the policies whose rules may match of what their programs read (matchConditions, variables,
//! validations, messages, field paths, audit annotations), with `podSpec` and its like at their place in the
//! object's kind; of the labels that selectors compare; of the images that exceptions compare; of what `onUpdate`
//! compares old and new by; and of what tells mirror Pods and objects being deleted.

use crate::document::{Dialect, LabelSelector, MatchResources, Matching, OnUpdate};
use crate::exception::Exception;
use crate::pod;
use crate::policy::{CompiledBinding, CompiledPolicy, Input, Programs, Reads};
use crate::request::{GroupVersionKind, Operation, Request};
use portcullis_cel::{Extent, Projection};
use std::sync::Arc;

/// What may be read of the parts of a request that can be large. [`Projection`] says how to keep just that; what is
/// kept less than whole must not reach anyone but [`PolicySet::decide`](crate::PolicySet::decide).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Of `object`.
    pub object: Projection,
    /// Of `oldObject`.
    pub old_object: Projection,
    /// Of `options`.
    pub options: Projection,
}

impl Default for Needs {
    /// Nothing but what types they are.
    fn default() -> Self {
        let root = || Projection::new(Extent::Type);
        Self { object: root(), old_object: root(), options: root() }
    }
}

impl Needs {
    /// All of everything.
    pub fn everything() -> Self {
        let whole = || Projection::new(Extent::Whole);
        Self { object: whole(), old_object: whole(), options: whole() }
    }

    /// Whether a request that was decoded by these needs can be decided so. One that updates an object that is
    /// being deleted cannot: whether it changes anything but who holds the object is seen from
    /// [everything](Self::everything) alone.
    pub fn suffice_for(&self, request: &Request) -> bool {
        !request.updates_what_is_being_deleted() || self.object.is_whole() && self.old_object.is_whole()
    }

    /// What a policy under its bindings needs of requests like this one.
    pub(crate) fn add(
        &mut self,
        policy: &CompiledPolicy,
        bindings: &[Arc<CompiledBinding>],
        exceptions: &[Exception],
        kind: &GroupVersionKind,
        operation: Operation,
    ) {
        let mut compared = Projection::new(Extent::Type);
        selected(policy, bindings, kind).for_each(|labels| compared.merge(&labels));
        if policy.info.dialect == Dialect::Portcullis {
            compared.merge(&text(&["metadata", "deletionTimestamp"]));
            if pod::template_path(kind) == Some(&[]) {
                compared.merge(&text(&["spec", "nodeName"]));
                compared.merge(&text(&["metadata", "annotations", pod::MIRROR_ANNOTATION]));
            }
        }
        if let Ok(programs) = &policy.body {
            self.add_programs(programs, kind);
            let names_images = |exception: &Exception| exception.names_images_of(&policy.info.name);
            if exceptions.iter().any(names_images)
                && let Some(template) = pod::template_path(kind)
            {
                compared.merge(&pod::images_read().below(&["spec"]).below(template));
            }
            if policy.on_update == OnUpdate::Changed && operation == Operation::Update {
                compared.merge(&of_object(&programs.reads, kind));
            }
        }
        self.object.merge(&compared);
        self.old_object.merge(&compared);
    }

    fn add_programs(&mut self, programs: &Programs, kind: &GroupVersionKind) {
        let audit = programs.audit_validations.iter();
        let validations = audit.chain([&programs.validations]);
        let told = validations.flat_map(|validations| [&validations.reads, &validations.wording_reads]);
        for reads in told.chain([&programs.reads]) {
            self.object.merge(&of_object(reads, kind));
            if let Some(old) = reads.of_input(Input::OldObject) {
                self.old_object.merge(old);
            }
            if let (Some(old), Some(template)) = (reads.of_input(Input::OldPodSpec), pod::template_path(kind))
            {
                self.old_object.merge(&old.clone().below(&["spec"]).below(template));
            }
            if let Some(options) = reads.of_input(Input::Request).and_then(|request| request.field("options"))
            {
                self.options.merge(options);
            }
        }
    }
}

/// What a group of programs reads of the object, as itself or as the Pod in it.
fn of_object(reads: &Reads, kind: &GroupVersionKind) -> Projection {
    let mut all = Projection::new(Extent::Type);
    if let Some(object) = reads.of_input(Input::Object) {
        all.merge(object);
    }
    if let Some(template) = pod::template_path(kind) {
        let spec = reads.of_pod_spec().map(|spec| spec.clone().below(&["spec"]));
        let metadata =
            reads.of_input(Input::PodMetadata).map(|metadata| metadata.clone().below(&["metadata"]));
        spec.into_iter().chain(metadata).for_each(|part| all.merge(&part.below(template)));
    }
    all
}

/// The labels that selectors compare.
fn selected<'p>(
    policy: &'p CompiledPolicy,
    bindings: &'p [Arc<CompiledBinding>],
    kind: &'p GroupVersionKind,
) -> impl Iterator<Item = Projection> + 'p {
    let of_resources = |resources: &'p MatchResources| {
        [labels(&resources.object_selector, &[])].into_iter().chain(
            // A Namespace's own labels are what a namespaceSelector compares.
            kind.is_namespace().then(|| labels(&resources.namespace_selector, &[])),
        )
    };
    let of_bindings = bindings.iter().filter_map(|binding| binding.match_resources.as_ref());
    let (constraints, pods) = match &policy.matching {
        Matching::Constraints(constraints) => (Some(constraints), None),
        Matching::Pods(pods) => (None, Some(pods)),
    };
    let of_pods = pods.into_iter().flat_map(|pods| {
        let template = pod::template_path(kind).unwrap_or_default();
        [labels(&pods.object_selector, &[]), labels(&pods.pod_selector, template)]
    });
    of_bindings.chain(constraints).flat_map(of_resources).chain(of_pods)
}

fn labels(selector: &LabelSelector, below: &[&str]) -> Projection {
    let mut all = Projection::new(Extent::Type);
    for requirement in &selector.requirements {
        all.merge(&text(&["metadata", "labels", &requirement.key]));
        // The label that every Namespace carries is implied by its name.
        all.merge(&text(&["metadata", "name"]));
    }
    all.below(below)
}

fn text(path: &[&str]) -> Projection {
    Projection::new(Extent::Whole).below(path)
}
