//! From ConfigMaps to a set: documents are read and compiled, clashes refused, and what is broken now is
//! kept as it was.

use super::modules::{self, Unusable};
use super::names::{self, Shadowed};
use super::origins::{covers, describe, is_from};
use super::plan::Plans;
use super::unit::{BINDING, Content, Identity, POLICY, Unit, Woken, content, identity_of};
use super::{Bound, Entry, PolicySet, Sources, State};
use crate::confined::confine;
use crate::document::{self, Code, ConfigMap, Dialect, DocumentError, Origin, Place, ReadDocument, Salvage};
use crate::matching::RuleIndex;
use crate::module::Modules;
use crate::policy::{self, CompiledBinding, CompiledPolicy};
use crate::yaml::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A document that was found, and the text of its key.
pub(super) struct Found<'a> {
    pub(super) read: ReadDocument,
    source: &'a str,
}

pub(super) fn assemble(sources: &Sources, previous: &[Arc<Unit>]) -> PolicySet {
    let mut assembly = Assembly { problems: sources.failures.clone(), ..Assembly::default() };
    let mut found: Vec<Found<'_>> = sources
        .config_maps
        .iter()
        .flat_map(|config_map| find(config_map, &sources.controller_namespace))
        .collect();
    found.extend(sources.plain.iter().map(|read| Found { read: read.clone(), source: "" }));
    let shadowed = names::settle(&mut found, sources, previous);
    for Found { read, source } in found {
        assembly.take(read, source, sources, previous);
    }
    assembly.refuse_clashes();
    assembly.keep_last_good(sources, previous);
    sources.modules.iter().for_each(|modules| modules.settle());
    // Only now: that another one has its name says nothing against what stands beside it.
    for (shadowed, problem) in shadowed {
        assembly.shadowed.push(shadowed);
        assembly.problems.push(problem);
    }
    assembly.finish(&sources.controller_namespace)
}

/// The documents of a ConfigMap.
fn find<'a>(config_map: &'a ConfigMap, controller_namespace: &str) -> impl Iterator<Item = Found<'a>> {
    let texts: BTreeMap<&str, &Text> =
        config_map.data.iter().map(|(key, text)| (key.as_str(), text)).collect();
    document::read_config_map(config_map).into_iter().map(move |read| {
        let source = texts.get(read.origin.key.as_str()).map_or("", |text| text.text.as_str());
        Found { read: confine(read, controller_namespace), source }
    })
}

/// A set in the making.
#[derive(Default)]
struct Assembly {
    units: Vec<Arc<Unit>>,
    /// Policies that are broken, as far as their match is known.
    broken: Vec<(Identity, CompiledPolicy)>,
    /// Bindings that are broken, each with the name of the policy that it binds.
    broken_bindings: Vec<(Identity, String, CompiledBinding)>,
    /// Every identity that was read and where, whether or not what carries it is sound.
    seen: Vec<(Identity, Origin, Place)>,
    /// Those of them whose document is broken.
    unsound: BTreeSet<Identity>,
    problems: Vec<DocumentError>,
    kept: BTreeSet<Identity>,
    shadowed: Vec<Shadowed>,
    /// Policies that wait for their module.
    pending: BTreeSet<Identity>,
}

impl Assembly {
    /// Takes in one document: as a unit if it is sound, else as problems.
    fn take(&mut self, read: ReadDocument, source: &str, sources: &Sources, previous: &[Arc<Unit>]) {
        let ReadDocument { origin, identity, node, outcome } = read;
        if let Some(document::Identity { kind, name, place }) = identity {
            let identity = identity_of(kind, name);
            if matches!(outcome, document::Outcome::Broken { .. }) {
                self.unsound.insert(identity.clone());
            }
            self.seen.push((identity, origin.clone(), place));
        }
        let document = match outcome {
            document::Outcome::Document(document) => document,
            document::Outcome::Broken { errors, salvage, .. } => {
                self.problems.extend(errors);
                match salvage {
                    Some(Salvage::Policy(policy)) => {
                        self.broken.push(((POLICY, policy.name.clone()), policy::frame(&origin, &policy)));
                    }
                    Some(Salvage::Binding(binding)) => {
                        let compiled = policy::compile_binding(&binding, None).broken();
                        let identity = (BINDING, binding.name.clone());
                        self.broken_bindings.push((identity, binding.policy_name, compiled));
                    }
                    None => {}
                }
                return;
            }
        };
        let unchanged = previous.iter().find(|unit| unit.origin == origin && &*unit.source == source);
        // Its module may be another one, and is not compiled again if not.
        if let Some(unit) = unchanged.filter(|_| !modules::is_used_by(&document)) {
            self.units.push(Arc::clone(unit));
            return;
        }
        match content(&origin, document, sources, node.as_ref()) {
            Ok((identity, content, parts)) => {
                let source = Arc::from(source);
                self.units.push(Arc::new(Unit { origin, identity, source, parts, content }));
            }
            Err(Unusable::Broken(policy, errors)) => {
                self.problems.extend(errors);
                self.broken.push(((POLICY, policy.name.clone()), policy::frame(&origin, &policy)));
            }
            Err(Unusable::Pending(policy)) => {
                let identity = (POLICY, policy.name.clone());
                self.pending.insert(identity.clone());
                self.broken.push((identity, policy::frame(&origin, &policy).pending()));
            }
        }
    }

    /// Takes both of two documents of files with one name out of force: nobody could tell which is meant.
    fn refuse_clashes(&mut self) {
        let mut places: BTreeMap<&Identity, Vec<(&Origin, &Place)>> = BTreeMap::new();
        for (identity, origin, place) in &self.seen {
            places.entry(identity).or_default().push((origin, place));
        }
        places.retain(|_, places| places.len() > 1);
        for (identity, places) in &places {
            self.problems.extend(places.iter().map(|(origin, place)| clash(identity, origin, place, places)));
        }
        let clashes: BTreeSet<Identity> = places.into_keys().cloned().collect();
        let (refused, units) = std::mem::take(&mut self.units)
            .into_iter()
            .partition::<Vec<_>, _>(|unit| clashes.contains(&unit.identity));
        self.units = units;
        for unit in refused {
            match &unit.content {
                Content::Policy(policy) => {
                    self.broken.push((unit.identity.clone(), policy.without_programs()));
                }
                Content::Binding { policy, binding, .. } => {
                    self.broken_bindings.push((unit.identity.clone(), policy.clone(), binding.broken()));
                }
                Content::Exception(_) | Content::Dormant(_) => {}
            }
        }
    }

    /// Keeps what was in force of documents that cannot be read now.
    ///
    /// A unit stays if its own document is broken, wherever that stands now, or if anything in the place it came
    /// from is, since a truncated file or key does not tell what else it would have held. So it does if its key is
    /// gone and a new key of its ConfigMap holds what cannot be read: that may be the same under another name.
    fn keep_last_good(&mut self, sources: &Sources, previous: &[Arc<Unit>]) {
        let current: BTreeSet<Identity> = self.units.iter().map(|unit| unit.identity.clone()).collect();
        let broken: BTreeSet<Identity> =
            self.broken.iter().map(|(identity, _)| identity).chain(&self.unsound).cloned().collect();
        for unit in previous.iter().filter(|unit| !current.contains(&unit.identity)) {
            let place_is_broken = self.problems.iter().any(|problem| covers(&problem.origin, &unit.origin));
            if place_is_broken
                || broken.contains(&unit.identity)
                || self.may_be_renamed(unit, &sources.config_maps, previous)
            {
                self.keep(unit, sources.modules.as_deref());
            }
        }
        self.broken.retain(|(identity, _)| !self.kept.contains(identity));
        self.broken_bindings.retain(|(identity, ..)| !self.kept.contains(identity));
    }

    /// Keeps a unit in force. One that is not, since its module is not there, stays known all the same: what it matches
    /// is an error meanwhile.
    fn keep(&mut self, unit: &Arc<Unit>, modules: Option<&dyn Modules>) {
        let (unit, frame) = match unit.wake(modules) {
            Woken::Up(unit) => {
                self.kept.insert(unit.identity.clone());
                (unit, None)
            }
            Woken::Later(frame) => {
                self.pending.insert(unit.identity.clone());
                (Arc::clone(unit), Some(frame))
            }
            Woken::Never(frame) => {
                let is_framed = self.broken.iter().any(|(identity, _)| *identity == unit.identity);
                (Arc::clone(unit), Some(frame).filter(|_| !is_framed))
            }
        };
        if let Some(frame) = frame {
            self.broken.retain(|(identity, _)| *identity != unit.identity);
            self.broken.push((unit.identity.clone(), frame));
        }
        self.units.push(unit);
    }

    fn may_be_renamed(&self, unit: &Unit, config_maps: &[ConfigMap], previous: &[Arc<Unit>]) -> bool {
        let has_key = |config_map: &ConfigMap| config_map.data.iter().any(|(key, _)| *key == unit.origin.key);
        let is_nameless_and_new = |problem: &DocumentError| {
            let Origin { file, namespace, config_map, key, .. } = &problem.origin;
            let (old, origin) = (&unit.origin, &problem.origin);
            (file, namespace, config_map) == (&old.file, &old.namespace, &old.config_map)
                && problem.name.is_none()
                && !key.is_empty()
                && !previous.iter().any(|unit| covers(origin, &unit.origin))
        };
        !config_maps.iter().any(|config_map| is_from(config_map, &unit.origin) && has_key(config_map))
            && self.problems.iter().any(is_nameless_and_new)
    }

    fn finish(mut self, controller_namespace: &str) -> PolicySet {
        let mut bound: Vec<(State, Bound)> = Vec::new();
        for unit in &self.units {
            if let Content::Policy(policy) = &unit.content {
                let is_in = |identities: &BTreeSet<Identity>| identities.contains(&unit.identity);
                let state = modules::state(is_in(&self.kept), is_in(&self.pending));
                bound.push((state, Bound { policy: Arc::clone(policy), bindings: policy.bindings.clone() }));
            }
        }
        for (identity, policy) in std::mem::take(&mut self.broken) {
            let bindings = policy.bindings.clone();
            let state = if self.pending.contains(&identity) { State::Pending } else { State::Broken };
            bound.push((state, Bound { policy: Arc::new(policy), bindings }));
        }
        self.attach_bindings(&mut bound);
        let kept = self.units.iter().filter(|unit| self.kept.contains(&unit.identity));
        let kept = kept.map(|unit| unit.origin.clone()).collect();
        self.check_exceptions(&bound);
        bound.sort_by(|(_, a), (_, b)| {
            let key = |bound: &Bound| (bound.policy.info.name.clone(), bound.policy.info.origin.clone());
            key(a).cmp(&key(b))
        });
        let entries = bound.iter().map(|(state, bound)| entry(*state, bound)).collect();
        let policies: Vec<Bound> = bound.into_iter().map(|(_, bound)| bound).collect();
        let exceptions = self.units.iter().filter_map(|unit| match &unit.content {
            Content::Exception(exception) => Some(exception.clone()),
            _ => None,
        });
        PolicySet {
            entries,
            index: RuleIndex::new(policies.iter().map(|bound| bound.policy.matcher.rules()).enumerate()),
            exceptions: exceptions.collect(),
            controller_namespace: controller_namespace.to_owned(),
            plans: Plans::default(),
            problems: self.problems,
            shadowed: self.shadowed,
            kept,
            policies,
            units: self.units,
        }
    }

    /// Says which exceptions name policies that do not exist. They hold all the same, once these do.
    fn check_exceptions(&mut self, bound: &[(State, Bound)]) {
        let names: BTreeSet<&str> = bound.iter().map(|(_, bound)| bound.policy.info.name.as_str()).collect();
        for unit in &self.units {
            let Content::Exception(exception) = &unit.content else { continue };
            let document = exception.document();
            for name in document
                .policies
                .iter()
                .filter(|name| *name != "*" && !name.ends_with("/*") && !names.contains(name.as_str()))
            {
                let message = format!("there is no policy `{name}` here for this exception");
                let (_, own) = &unit.identity;
                let error = DocumentError::at(&unit.origin, Some(own), document.policies_at.clone(), message);
                let hint = "name a policy, or leave it out if that is gone";
                self.problems.push(error.with_code(Code::MissingPolicy).with_hint(hint));
            }
        }
    }

    /// Gives each ValidatingAdmissionPolicy the bindings that name it, sorted by name.
    fn attach_bindings(&mut self, bound: &mut [(State, Bound)]) {
        for unit in &self.units {
            let Content::Binding { policy: name, place, binding } = &unit.content else { continue };
            if !attach(bound, name, binding) {
                self.problems.push(dangling(unit, name, place));
            }
        }
        for (_, policy, binding) in std::mem::take(&mut self.broken_bindings) {
            attach(bound, &policy, &Arc::new(binding));
        }
        for (_, bound) in bound.iter_mut() {
            bound.bindings.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
}

/// Gives the policies of a name a binding, and tells whether there is any.
fn attach(bound: &mut [(State, Bound)], name: &str, binding: &Arc<CompiledBinding>) -> bool {
    let mut found = false;
    for (_, bound) in bound {
        if bound.policy.info.dialect == Dialect::Kubernetes && bound.policy.info.name == name {
            bound.bindings.push(Arc::clone(binding));
            found = true;
        }
    }
    found
}

/// Whether a document can be in force, or waits for nothing but its module.
pub(super) fn is_sound(Found { read, .. }: &Found<'_>, sources: &Sources) -> bool {
    let document::Outcome::Document(document) = &read.outcome else { return false };
    let compiled = content(&read.origin, document.clone(), sources, read.node.as_ref());
    !matches!(compiled, Err(Unusable::Broken(..)))
}

fn clash(
    (kind, name): &Identity,
    origin: &Origin,
    place: &Place,
    places: &[(&Origin, &Place)],
) -> DocumentError {
    let others: Vec<String> =
        places.iter().filter(|(other, _)| *other != origin).map(|(other, _)| describe(other)).collect();
    let message = format!("{kind} `{name}` is also defined in {}", others.join(" and in "));
    DocumentError::at(origin, Some(name), place.clone(), message)
        .with_code(Code::Duplicate)
        .with_hint("give each a name of its own, or remove one")
}

fn dangling(unit: &Unit, policy: &str, place: &Place) -> DocumentError {
    let (_, name) = &unit.identity;
    let message = format!("there is no ValidatingAdmissionPolicy `{policy}` for this binding");
    DocumentError::at(&unit.origin, Some(name), place.clone(), message)
        .with_code(Code::MissingPolicy)
        .with_hint("bindings of a Policy are written in the Policy itself, under `bindings`")
}

fn entry(state: State, bound: &Bound) -> Entry {
    let failure_policy = bound.policy.failure_policy;
    Entry {
        info: Arc::clone(&bound.policy.info),
        state,
        bindings: bound
            .bindings
            .iter()
            .map(|binding| (binding.name.clone(), binding.class(failure_policy)))
            .collect(),
    }
}
