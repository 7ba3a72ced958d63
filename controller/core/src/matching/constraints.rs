//! `matchConstraints` and `matchResources`: selectors and rules together, in the API server's order
//! (`k8s.io/apiserver/pkg/admission/plugin/policy/matching/matching.go`).

use crate::document::MatchResources;
use crate::facts::Facts;
use crate::matching::Match;
use crate::matching::rules::{Target, any_matches};
use crate::matching::selector::label;
use crate::request::{Operation, Request};
use serde_json::Value as Json;

/// The label that every Namespace carries with its own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl MatchResources {
    /// Whether these constraints cover the request. Empty `resourceRules` cover every resource, which only
    /// a binding may use. What is wrong with a selector surfaces only if the rules match.
    pub fn matches(&self, request: &Request, facts: &Facts) -> Match {
        let namespace = self.selects_namespace(request, facts);
        if namespace == Match::No || !self.selects_object(request) {
            return Match::No;
        }
        let target = if self.exact { Target::original(request) } else { Target::converted(request) };
        let excluded = any_matches(&self.exclude_resource_rules, &target);
        if excluded == Match::Yes {
            return Match::No;
        }
        let included = match self.resource_rules.as_slice() {
            [] => Match::Yes,
            rules => any_matches(rules, &target),
        };
        match (included, excluded) {
            (Match::Yes, Match::No) => namespace,
            (Match::Yes, unsure) | (unsure, _) => unsure,
        }
    }

    /// `objectSelector`: the new object or the old one.
    fn selects_object(&self, request: &Request) -> bool {
        self.object_selector.matches_object(&request.object)
            || self.object_selector.matches_object(&request.old_object)
    }

    /// `namespaceSelector`. Cluster-scoped objects other than Namespaces always pass.
    fn selects_namespace(&self, request: &Request, facts: &Facts) -> Match {
        if self.namespace_selector.is_empty() {
            return Match::Yes;
        }
        let is_namespace = request.resource.as_ref().is_some_and(|known| known.resource == "namespaces");
        if is_namespace && request.sub_resource.is_empty() {
            match request.operation {
                Operation::Create | Operation::Update => return self.selects_labels_of(&request.object),
                Operation::Delete | Operation::Connect => {}
            }
        }
        if request.namespace.is_empty() && !is_namespace {
            return match request.resource {
                Some(_) => Match::Yes,
                None => Target::converted(request).unknown_kind(),
            };
        }
        match facts.namespace(&request.namespace) {
            Some(stored) => self.selects_labels_of(stored),
            None if is_namespace && !request.old_object.is_null() => {
                self.selects_labels_of(&request.old_object)
            }
            None => self.selects_by_name(&request.namespace, facts),
        }
    }

    /// Compares a Namespace's labels. The name's label is implied: the API server always sets it, files
    /// seldom do.
    fn selects_labels_of(&self, namespace: &Json) -> Match {
        let metadata = namespace.get("metadata");
        let name = metadata.and_then(|metadata| metadata.get("name")).and_then(Json::as_str);
        let labels = metadata.and_then(|metadata| metadata.get("labels"));
        let holds = self.namespace_selector.requirements.iter().all(|requirement| {
            let implied = name.filter(|name| requirement.key == NAME_LABEL && !name.is_empty());
            requirement.matches(implied.or_else(|| label(labels, &requirement.key)))
        });
        holds.into()
    }

    /// Decides for a Namespace of which only the name is known, where the name is enough.
    fn selects_by_name(&self, name: &str, facts: &Facts) -> Match {
        let mut by_name = true;
        for requirement in &self.namespace_selector.requirements {
            if requirement.key != NAME_LABEL {
                by_name = false;
            } else if !requirement.matches(Some(name)) {
                return Match::No;
            }
        }
        if by_name {
            Match::Yes
        } else if facts.is_complete() {
            Match::Error(format!("namespace `{name}` is not known, so namespaceSelector cannot be evaluated"))
        } else {
            Match::Undecidable(format!("namespace `{name}` is not among the files"))
        }
    }
}
