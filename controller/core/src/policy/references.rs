//! Which other objects a policy refers to, and what of them it reads.

use super::{CompiledBinding, CompiledLookup, CompiledPolicy, Input, Programs, Reads};
use crate::document::{ParamRef, ParamSelect, Params};
use crate::facts::{self, Reference};
use portcullis_cel::{Extent, Projection};
use std::sync::Arc;

impl CompiledPolicy {
    /// The objects that its bindings take their params from, and those that it looks up: each with what has to be known
    /// of it.
    pub(crate) fn references(&self, bindings: &[Arc<CompiledBinding>]) -> Vec<(Reference, Projection)> {
        let mut references = Vec::new();
        for binding in bindings {
            if let (Params::Ref(reference), Some(kind)) = (&binding.params, &self.param_kind) {
                references.push((Reference::of_params(kind, reference), self.kept_of_params(reference)));
            }
        }
        let lookups = self.body.iter().flat_map(|programs| &programs.lookups);
        // Every Namespace is known anyway.
        let lookups = lookups.filter(|CompiledLookup { reference, .. }| {
            !facts::is_namespace(&reference.api_version, &reference.kind)
        });
        references.extend(lookups.map(|lookup| (lookup.reference.clone(), lookup.kept())));
        references
    }

    /// What has to be kept of the params that it may find.
    pub(crate) fn kept_of_params(&self, reference: &ParamRef) -> Projection {
        let mut kept = facts::identity(matches!(reference.select, ParamSelect::Selector(_)));
        kept.merge(&self.read_of_params());
        kept
    }

    fn read_of_params(&self) -> Projection {
        let mut all = Projection::new(Extent::Type);
        let Ok(programs) = &self.body else { return all };
        if self.params_schema.is_some() {
            // All of it has to be as the schema wants it.
            return Projection::new(Extent::Whole);
        }
        for reads in programs.all_reads() {
            reads.of_input(Input::Params).into_iter().for_each(|read| all.merge(read));
        }
        all
    }
}

impl Programs {
    /// What is read to decide, and to word what was decided.
    fn all_reads(&self) -> impl Iterator<Item = &Reads> {
        let all = self.audit_validations.iter().chain([&self.validations]);
        all.flat_map(|all| [&all.reads, &all.wording_reads]).chain([&self.reads])
    }
}
