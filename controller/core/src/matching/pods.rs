//! `matchPods`: Pods and everything that carries a Pod template, as resource rules and a selector.

use crate::document::{LabelSelector, MatchPods, MatchResources, ResourceRule};
use crate::pod::{POD_KINDS, PodView};
use crate::request::{Operation, Request};

impl MatchPods {
    /// The same as `matchConstraints`, but for `podSelector`. A kind that carries no Pod template adds no
    /// rule; if none is left, nothing is matched.
    pub fn constraints(&self) -> MatchResources {
        let resource_rules = POD_KINDS
            .iter()
            .filter(|known| self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == known.kind))
            .map(|known| ResourceRule {
                api_groups: vec![known.group.to_owned()],
                api_versions: vec!["v1".to_owned()],
                operations: vec![Operation::Create, Operation::Update],
                resources: known.resources.iter().map(|&resource| resource.to_owned()).collect(),
                ..ResourceRule::default()
            })
            .collect();
        MatchResources {
            namespace_selector: self.namespace_selector.clone(),
            object_selector: self.object_selector.clone(),
            resource_rules,
            exclude_resource_rules: Vec::new(),
            exact: false,
        }
    }
}

/// Whether `podSelector` selects the Pod or template of the new object or of the old one.
pub(crate) fn selects(selector: &LabelSelector, request: &Request) -> bool {
    selector.is_empty()
        || [&request.object, &request.old_object].into_iter().any(|object| {
            PodView::new(&request.kind, object)
                .is_some_and(|pod| selector.matches(pod.metadata.get("labels")))
        })
}
