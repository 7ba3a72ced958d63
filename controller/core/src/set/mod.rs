//! The immutable set of policies that a request is decided by.

mod accepted;
mod assemble;
mod modules;
mod names;
mod origins;
mod pairs;
mod plan;
mod unit;

pub use accepted::Accepted;
pub use names::Shadowed;
pub use pairs::{Asked, Pairs};
pub use plan::{Plan, Sort};

use crate::confined::namespace_of;
use crate::decision::{Decision, Outcome};
use crate::document::{ConfigMap, DocumentError, Origin, ReadDocument, ResourceRule};
use crate::evaluation::explain::{Explanation, Observed};
use crate::evaluation::{self, Context};
use crate::exception::Exception;
use crate::facts::{self, Facts, Reference};
use crate::matching::{Match, RuleIndex, is_excluded};
use crate::module::Modules;
use crate::needs::Needs;
use crate::policy::{Class, CompiledBinding, CompiledPolicy, PolicyInfo};
use crate::request::{GroupVersionKind, Operation, Request};
use plan::{Candidate, Plans};
use portcullis_cel::{Authorizer, Projection};
use std::collections::BTreeMap;
use std::sync::Arc;
use unit::Unit;

/// The controller's namespace unless it is told another one.
pub const DEFAULT_NAMESPACE: &str = "portcullis";

/// What a set is made from: everything that was found at once.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Labelled ConfigMaps. Of those of a cluster the first has a name that several claim, unless one is in force.
    pub config_maps: Vec<ConfigMap>,
    /// Documents outside ConfigMaps, for tools that look at documents wherever they stand.
    pub plain: Vec<ReadDocument>,
    /// Files and ConfigMaps that could not be read. What was in force from them stays: from a whole file if
    /// its error names no ConfigMap, from a whole ConfigMap if it names no key.
    pub failures: Vec<DocumentError>,
    /// The controller's namespace, whose objects are never judged.
    pub controller_namespace: String,
    /// Who runs modules; without, policies that have one are pending.
    pub modules: Option<Arc<dyn Modules>>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            config_maps: Vec::new(),
            plain: Vec::new(),
            failures: Vec::new(),
            controller_namespace: DEFAULT_NAMESPACE.to_owned(),
            modules: None,
        }
    }
}

/// Compiled policies with their index. Never changed: a new one is swapped in whole.
#[derive(Debug, Default)]
pub struct PolicySet {
    entries: Vec<Entry>,
    problems: Vec<DocumentError>,
    shadowed: Vec<Shadowed>,
    /// Where what is kept as it was stood.
    kept: Vec<Origin>,
    /// In the order of `entries`.
    policies: Vec<Bound>,
    index: RuleIndex,
    exceptions: Vec<Exception>,
    controller_namespace: String,
    plans: Plans,
    /// The documents in force, which the next set falls back on.
    units: Vec<Arc<Unit>>,
}

/// A policy with all its bindings, sorted by name.
#[derive(Debug)]
struct Bound {
    policy: Arc<CompiledPolicy>,
    bindings: Vec<Arc<CompiledBinding>>,
}

impl Bound {
    /// The namespace that it is confined to.
    fn namespace(&self) -> Option<&str> {
        namespace_of(&self.policy.info.name)
    }

    /// Whether it governs what a request is about, as far as that depends on its namespace, and is among these pairs.
    fn governs(&self, request: &Request, pairs: Pairs) -> bool {
        match (self.namespace(), pairs) {
            (None, Pairs::Namespaced) | (Some(_), Pairs::Of(_) | Pairs::ClusterWide) => false,
            (None, _) => true,
            // A Namespace is in none, though its requests name it.
            (Some(own), _) => own == request.namespace && !request.kind.is_namespace(),
        }
    }
}

/// What is in force of one policy.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name, origin and texts.
    pub info: Arc<PolicyInfo>,
    /// Whether the document as it stands now is in force.
    pub state: State,
    /// Bindings by name with their class; empty for an inert policy.
    pub bindings: Vec<(Option<Arc<str>>, Class)>,
}

/// How the policy in force relates to what was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// What was read is in force.
    Loaded,
    /// What was read is broken; the version before stays in force.
    KeptOld,
    /// What was read is broken and there is no earlier version: matching requests are errors under the
    /// failure policy.
    Broken,
    /// What was read has a module that is still being compiled; the version before stays in force, or there is none
    /// and matching requests are errors under the failure policy.
    Pending,
}

/// What a policy matches, as far as the API server is told.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// Its rules.
    pub rules: &'a [ResourceRule],
    /// Whether it takes objects only as they were sent (`matchPolicy: Exact`).
    pub exact: bool,
}

impl<'a> Matched<'a> {
    fn of(policy: &'a CompiledPolicy) -> Self {
        Self { rules: policy.matcher.rules(), exact: policy.matcher.is_exact() }
    }
}

impl PolicySet {
    /// Compiles what was found. Never fails: what is wrong is in [`problems`](Self::problems), and a policy
    /// that is broken now keeps its version from `previous`. Documents that did not change are not compiled
    /// again.
    pub fn compile(sources: &Sources, previous: Option<&Self>) -> Self {
        let previous = previous.map(|set| set.units.as_slice()).unwrap_or_default();
        portcullis_cel::with_large_stack(|| assemble::assemble(sources, previous))
    }

    /// What is in force, sorted by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether some policy waits for its module.
    pub fn is_pending(&self) -> bool {
        self.entries.iter().any(|entry| entry.state == State::Pending)
    }

    /// What was wrong with the sources, in their order.
    pub fn problems(&self) -> &[DocumentError] {
        &self.problems
    }

    /// What is not in force because another document of the cluster has its name.
    pub fn shadowed(&self) -> &[Shadowed] {
        &self.shadowed
    }

    /// Whether anything of a ConfigMap is in force as it was before.
    pub fn keeps_old(&self, namespace: &str, config_map: &str) -> bool {
        self.kept.iter().any(|origin| origin.namespace == namespace && origin.config_map == config_map)
    }

    /// What may be read of a request, told by everything but its objects and options: the union over the
    /// policies whose rules may match.
    pub fn needs(&self, request: &Request) -> Needs {
        self.needs_of(&request.kind, request.operation, &self.index.candidates(request))
    }

    fn needs_of(&self, kind: &GroupVersionKind, operation: Operation, candidates: &[usize]) -> Needs {
        let mut needs = Needs::default();
        for Bound { policy, bindings } in candidates.iter().filter_map(|id| self.policies.get(*id)) {
            needs.add(policy, bindings, &self.exceptions, kind, operation);
        }
        needs
    }

    /// What deciding requests of a sort takes.
    pub fn plan(&self, sort: Sort<'_>) -> Arc<Plan> {
        self.plans.get(sort, || {
            let candidates = sort.candidates(&self.index);
            let needs = self.needs_of(&sort.group_version_kind(), sort.operation, &candidates);
            let converted = sort.converted();
            let always = |id: usize| {
                self.policies.get(id).is_some_and(|bound| bound.policy.matcher.matches_every(&converted))
            };
            let candidates = candidates.into_iter().map(|id| Candidate { id, always: always(id) });
            Plan::new(sort, candidates.collect(), needs)
        })
    }

    /// What policies match at most that govern their own namespace only: that, and the rules of the policy.
    pub fn matched_in_namespaces(&self) -> impl Iterator<Item = (&str, Matched<'_>)> {
        let bound = self.policies.iter().filter(|bound| !bound.bindings.is_empty());
        bound.filter_map(|bound| Some((bound.namespace()?, Matched::of(&bound.policy))))
    }

    /// What every pair of the others matches at most: its class, and the rules of its policy. The webhook configuration
    /// asks for no more.
    pub fn matched(&self) -> impl Iterator<Item = (Class, Matched<'_>)> {
        let bound = self.policies.iter().filter(|bound| bound.namespace().is_none());
        bound.flat_map(|Bound { policy, bindings }| {
            let class = |binding: &Arc<CompiledBinding>| binding.class(policy.failure_policy);
            bindings.iter().map(move |binding| (class(binding), Matched::of(policy)))
        })
    }

    /// What other objects the policies in force refer to, and what of these has to be known: the same for all of a
    /// kind.
    pub fn references(&self) -> BTreeMap<Reference, Projection> {
        let mut references: BTreeMap<Reference, Projection> = BTreeMap::new();
        let mut of_kinds: BTreeMap<(String, String), Projection> = BTreeMap::new();
        let all = self.policies.iter().flat_map(|Bound { policy, bindings }| policy.references(bindings));
        for (reference, kept) in all {
            let kind = (reference.api_version.clone(), reference.kind.clone());
            of_kinds.entry(kind).or_insert_with(|| facts::identity(false)).merge(&kept);
            references.insert(reference, kept);
        }
        for (reference, kept) in &mut references {
            let kind = (reference.api_version.clone(), reference.kind.clone());
            if let Some(of_kind) = of_kinds.get(&kind) {
                kept.clone_from(of_kind);
            }
        }
        references
    }

    /// What has to be known of objects of a kind, if policies in force refer to any.
    pub fn referred(&self, api_version: &str, kind: &str) -> Option<Projection> {
        let mut references = self.references().into_iter();
        references
            .find(|(reference, _)| reference.api_version == api_version && reference.kind == kind)
            .map(|(_, kept)| kept)
    }

    /// Whether deciding a request by the pairs asked for may run a module, which takes longer than expressions do.
    pub fn calls_modules<'a>(&self, asked: impl Into<Asked<'a>>, request: &Request) -> bool {
        let asked = asked.into();
        let calls_modules = |id: usize| {
            let bound = self.policies.get(id).filter(|bound| bound.governs(request, asked.pairs));
            bound.is_some_and(|Bound { policy, bindings }| {
                policy.calls_a_module()
                    && bindings.iter().any(|binding| asked.pairs.contain(policy, binding))
                    && asked.concern(policy, request)
            })
        };
        !is_excluded(request, &self.controller_namespace)
            && match Sort::of(request) {
                Some(sort) => self.plan(sort).candidates.iter().any(|candidate| calls_modules(candidate.id)),
                None => self.index.candidates(request).into_iter().any(calls_modules),
            }
    }

    /// Decides a request by the pairs asked for. `now` is what exceptions' expiry is compared with.
    ///
    /// Requests for objects that are kept out of the webhook (see [`is_excluded`]) match nothing.
    pub fn decide<'a>(
        &self,
        asked: impl Into<Asked<'a>>,
        request: &Request,
        facts: &Facts,
        now: jiff::Timestamp,
    ) -> Decision {
        self.decide_by_answers(asked, request, facts, facts.authorizer(), now)
    }

    /// The same with somebody else to answer for the authorizer.
    pub fn decide_by_answers<'a>(
        &self,
        asked: impl Into<Asked<'a>>,
        request: &Request,
        facts: &Facts,
        answers: Option<&Arc<dyn Authorizer>>,
        now: jiff::Timestamp,
    ) -> Decision {
        if is_excluded(request, &self.controller_namespace) {
            return Decision::default();
        }
        let asked: Asked<'_> = asked.into();
        let context = Context::new(request, facts, answers, &self.exceptions, now);
        let plan = Sort::of(request).map(|sort| self.plan(sort));
        let unplanned: Vec<Candidate>;
        let candidates = match &plan {
            Some(plan) => &plan.candidates,
            None => {
                let all = self.index.candidates(request).into_iter();
                unplanned = all.map(|id| Candidate { id, always: false }).collect();
                &unplanned
            }
        };
        let mut outcomes = Vec::with_capacity(candidates.len());
        for &Candidate { id, always } in candidates {
            let bound = self.policies.get(id).filter(|bound| bound.governs(request, asked.pairs));
            let Some(Bound { policy, bindings }) = bound else { continue };
            if !asked.concern(policy, request) {
                continue;
            }
            let contained = |binding: &&Arc<CompiledBinding>| asked.pairs.contain(policy, binding);
            let matched = if always { Match::Yes } else { context.matches(policy) };
            evaluation::judge(policy, matched, bindings.iter().filter(contained), &context, &mut outcomes);
        }
        Decision { outcomes, unanswered: context.unanswered(), sought: context.sought() }
    }
}

impl PolicySet {
    /// Decides a request by every pair, or by those of one policy, and explains each validation that does not
    /// hold, or with `all` every one.
    pub fn explain(
        &self,
        policy: Option<&str>,
        request: &Request,
        facts: &Facts,
        now: jiff::Timestamp,
        all: bool,
    ) -> Vec<(Outcome, Vec<Explanation>)> {
        if is_excluded(request, &self.controller_namespace) {
            return Vec::new();
        }
        let candidates = self.index.candidates(request).into_iter().filter_map(|id| self.policies.get(id));
        let observed: Vec<(&Bound, Observed)> = candidates
            .filter(|bound| bound.governs(request, Pairs::All))
            .filter(|bound| policy.is_none_or(|name| name == bound.policy.info.name))
            .map(|bound| (bound, Observed::of(&bound.policy)))
            .collect();
        let context = Context::new(request, facts, facts.authorizer(), &self.exceptions, now);
        observed
            .iter()
            .flat_map(|(Bound { policy, bindings }, observed)| {
                evaluation::explain(policy, bindings, observed, &context, all)
            })
            .collect()
    }
}

#[cfg(test)]
mod confined_tests;
#[cfg(test)]
mod modules_tests;
#[cfg(test)]
mod names_tests;
#[cfg(test)]
mod tests;
