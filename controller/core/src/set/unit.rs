//! What is in force of one document, and what is known of one that was: from the document to its programs.

use super::Sources;
use super::modules::{self, Parts, Unusable};
use crate::document::{
    self, BindingDocument, Dialect, Document, Origin, Place, PolicyDocument, ReadDocument,
};
use crate::exception::Exception;
use crate::module::Modules;
use crate::policy::{self, CompiledBinding, CompiledPolicy};
use crate::yaml::Node;
use std::sync::Arc;

/// One accepted document.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) origin: Origin,
    pub(super) identity: Identity,
    /// The text of the key it was read from: while that stays the same, so does the unit.
    pub(super) source: Arc<str>,
    /// Its module as it was delivered; empty if it has none.
    pub(super) parts: Parts,
    pub(super) content: Content,
}

impl Unit {
    /// A document that was in force before, with its module as it was delivered; `None` if it is none any more.
    pub(super) fn of(read: ReadDocument, source: &Arc<str>, parts: Option<&Parts>) -> Option<Self> {
        let ReadDocument { origin, outcome, .. } = read;
        let document::Outcome::Document(document) = outcome else { return None };
        let source = Arc::clone(source);
        match content(&origin, document, &Sources::default(), None) {
            Ok((identity, content, parts)) => Some(Self { origin, identity, source, parts, content }),
            Err(Unusable::Pending(policy)) => {
                let (identity, parts) = ((POLICY, policy.name.clone()), parts?.clone());
                Some(Self { origin, identity, source, parts, content: Content::Dormant(policy) })
            }
            Err(Unusable::Broken(..)) => None,
        }
    }

    /// What it is in force as now that it is needed.
    pub(super) fn wake(self: &Arc<Self>, modules: Option<&dyn Modules>) -> Woken {
        let Content::Dormant(policy) = &self.content else { return Woken::Up(Arc::clone(self)) };
        match modules::compile_accepted(modules, &self.origin, policy.clone(), &self.parts) {
            Ok(compiled) => {
                let (origin, identity) = (self.origin.clone(), self.identity.clone());
                let (source, parts) = (Arc::clone(&self.source), self.parts.clone());
                let content = Content::Policy(Arc::new(compiled));
                Woken::Up(Arc::new(Self { origin, identity, source, parts, content }))
            }
            Err(Unusable::Pending(policy)) => Woken::Later(policy::frame(&self.origin, &policy).pending()),
            Err(Unusable::Broken(policy, _)) => Woken::Never(policy::frame(&self.origin, &policy)),
        }
    }
}

/// What became of a unit that is needed as it was.
pub(super) enum Woken {
    /// It is in force.
    Up(Arc<Unit>),
    /// Its module is not there yet.
    Later(CompiledPolicy),
    /// Its module cannot be loaded any more.
    Never(CompiledPolicy),
}

/// What no two documents may share: kind and name.
pub(super) type Identity = (&'static str, String);

/// A document, compiled.
#[derive(Debug)]
pub(super) enum Content {
    Policy(Arc<CompiledPolicy>),
    /// A policy that was in force in another process. Its module is loaded if the policy is needed as it was.
    Dormant(Box<PolicyDocument>),
    Binding {
        policy: String,
        place: Place,
        binding: Arc<CompiledBinding>,
    },
    Exception(Exception),
}

/// The identity of a policy of either dialect: exceptions and reports know policies by name alone.
pub(super) const POLICY: &str = "policy";
pub(super) const BINDING: &str = "ValidatingAdmissionPolicyBinding";

pub(super) fn identity_of(kind: &'static str, name: String) -> Identity {
    (if Dialect::of_kind(kind).is_some() { POLICY } else { kind }, name)
}

/// Compiles a document. A policy that does not compile is handed back with its errors.
pub(super) fn content(
    origin: &Origin,
    document: Document,
    sources: &Sources,
    node: Option<&Node>,
) -> Result<(Identity, Content, Parts), Unusable> {
    Ok(match document {
        Document::Policy(policy) => {
            let (compiled, parts) = modules::compile(sources, origin, policy, node)?;
            ((POLICY, compiled.info.name.clone()), Content::Policy(Arc::new(compiled)), parts)
        }
        Document::Binding(binding) => {
            let compiled = policy::compile_binding(&binding, None);
            let BindingDocument { name, policy_name: policy, place, .. } = *binding;
            let content = Content::Binding { policy, place, binding: Arc::new(compiled) };
            ((BINDING, name), content, Parts::new())
        }
        Document::Exception(exception) => (
            ("PolicyException", exception.name.clone()),
            Content::Exception(Exception::new(Arc::from(exception))),
            Parts::new(),
        ),
    })
}
