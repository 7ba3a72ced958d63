//! Which policies a request concerns, by ValidatingAdmissionPolicy's exact rules.
//!
//! [`RuleIndex`] finds the few policies whose rules may match, [`Matcher`] tells whether one really does.

pub(crate) mod built_in;
mod constraints;
mod excluded;
mod index;
mod pods;
mod resources;
pub mod rules;
mod selector;

pub use excluded::{covers_only_excluded, excluded_kinds, is_excluded};
pub use index::RuleIndex;
pub use resources::{Resource, Resources};
pub(crate) use selector::label;

use crate::document::{LabelSelector, MatchResources, Matching, ResourceRule};
use crate::facts::Facts;
use crate::request::Request;
use rules::{Target, any_matches};

/// Whether a request is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// It cannot be told: what is missing.
    Undecidable(String),
    /// It could be told of a Namespace that should exist and does not: its name. Follows the failure policy.
    UnknownNamespace(String),
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// `matchConstraints` or `matchPods` of one policy, ready to be asked.
#[derive(Debug, Clone)]
pub struct Matcher {
    constraints: MatchResources,
    /// `matchPods.podSelector`; empty for `matchConstraints`.
    pod_selector: LabelSelector,
}

impl Matcher {
    /// Prepares what a policy matches.
    pub fn new(matching: &Matching) -> Self {
        match matching {
            Matching::Constraints(constraints) => {
                Self { constraints: constraints.clone(), pod_selector: LabelSelector::default() }
            }
            Matching::Pods(pods) => {
                Self { constraints: pods.constraints(), pod_selector: pods.pod_selector.clone() }
            }
        }
    }

    /// The rules by which a [`RuleIndex`] finds this policy.
    pub fn rules(&self) -> &[ResourceRule] {
        &self.constraints.resource_rules
    }

    /// Whether it takes objects only as they were sent (`matchPolicy: Exact`).
    pub fn is_exact(&self) -> bool {
        self.constraints.exact
    }

    /// Whether the policy concerns every request for a known resource, whatever the object is like.
    pub(crate) fn matches_every(&self, converted: &Target<'_>) -> bool {
        let MatchResources {
            namespace_selector,
            object_selector,
            resource_rules,
            exclude_resource_rules,
            exact,
        } = &self.constraints;
        let selectors = [&self.pod_selector, namespace_selector, object_selector];
        selectors.into_iter().all(LabelSelector::is_empty)
            && exclude_resource_rules.is_empty()
            && !exact
            && resource_rules.iter().any(|rule| rule.matches_every(converted))
    }

    /// Whether rules that name these versions match a request as the API server converted it, and no rule matches it
    /// as it was sent, which the API server would have asked about first.
    pub(crate) fn matches_converted(&self, request: &Request, versions: &str) -> bool {
        let (original, converted) = (Target::original(request), Target::converted(request));
        let asked = |rule: &&ResourceRule| rule.asks_for().is_some_and(|asked| asked == versions);
        original.differs(&converted)
            && !self.constraints.exact
            && self.rules().iter().filter(asked).any(|rule| rule.matches(&converted) == Match::Yes)
            && any_matches(self.rules(), &original) != Match::Yes
    }

    /// Whether the policy concerns the request. A policy without rules concerns none.
    pub fn matches(&self, request: &Request, facts: &Facts) -> Match {
        if self.constraints.resource_rules.is_empty() || !pods::selects(&self.pod_selector, request) {
            return Match::No;
        }
        self.constraints.matches(request, facts)
    }
}
