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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Matching, Requirement, SelectorOperator};
    use crate::facts::Facts;
    use crate::matching::resources::tests::request;
    use crate::matching::{Match, Matcher};
    use serde_json::{Value as Json, json};

    fn check(pods: &MatchPods, request: &Request, expect: bool) {
        let matcher = Matcher::new(&Matching::Pods(pods.clone()));
        assert_eq!(matcher.matches(request, &Facts::new(true)), Match::from(expect), "{pods:?} {request:?}");
    }

    fn kinds(kinds: &[&str]) -> MatchPods {
        MatchPods { kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(), ..MatchPods::default() }
    }

    fn app(value: &str) -> LabelSelector {
        let operator = SelectorOperator::In(vec![value.to_owned()]);
        LabelSelector { requirements: vec![Requirement { key: "app".to_owned(), operator }] }
    }

    #[test]
    fn every_kind_that_carries_pods() {
        for (resource, all, only_pods, only_batch) in [
            ("/v1/pods", true, true, false),
            ("/v1/pods/ephemeralcontainers", true, true, false),
            ("/v1/pods/resize", true, true, false),
            ("/v1/pods/status", false, false, false),
            ("/v1/pods/exec", false, false, false),
            ("/v1/pods/binding", false, false, false),
            ("/v1/replicationcontrollers", true, false, false),
            ("/v1/podtemplates", true, false, false),
            ("/v1/services", false, false, false),
            ("apps/v1/deployments", true, false, false),
            ("apps/v1/deployments/scale", false, false, false),
            ("apps/v1/replicasets", true, false, false),
            ("apps/v1/statefulsets", true, false, false),
            ("apps/v1/daemonsets", true, false, false),
            ("apps/v1beta1/deployments", false, false, false),
            ("batch/v1/jobs", true, false, true),
            ("batch/v1/cronjobs", true, false, true),
            ("batch/v1beta1/cronjobs", false, false, false),
        ] {
            for (operation, judged) in [("CREATE", true), ("UPDATE", true), ("DELETE", false)] {
                let request = request(&format!("{resource} {operation}"));
                check(&MatchPods::default(), &request, all && judged);
                check(&kinds(&["Pod"]), &request, only_pods && judged);
                check(&kinds(&["Job", "CronJob"]), &request, only_batch && judged);
                check(&kinds(&["Service"]), &request, false);
            }
        }
    }

    #[test]
    fn pod_selector_takes_the_labels_of_the_pod_or_template() {
        let labels = |app: &str| json!({"labels": {"app": app}});
        let deployment = |own: &str, pod: &str| json!({"metadata": labels(own), "spec": {"template": {"metadata": labels(pod)}}});
        let pod = |app: &str| json!({"metadata": labels(app), "spec": {}});
        let by_pod = MatchPods { pod_selector: app("web"), ..MatchPods::default() };
        let by_object = MatchPods { object_selector: app("web"), ..MatchPods::default() };
        for (resource, object, old_object, pod_expected, object_expected) in [
            ("/v1/pods", pod("web"), Json::Null, true, true),
            ("/v1/pods", pod("db"), Json::Null, false, false),
            ("/v1/pods", pod("db"), pod("web"), true, true),
            ("apps/v1/deployments", deployment("db", "web"), Json::Null, true, false),
            ("apps/v1/deployments", deployment("web", "db"), Json::Null, false, true),
            ("apps/v1/deployments", deployment("db", "db"), deployment("db", "web"), true, false),
            ("apps/v1/deployments", json!({"spec": {"template": 5}}), Json::Null, false, false),
        ] {
            let request = Request {
                object: object.into(),
                old_object: old_object.into(),
                ..request(&format!("{resource} UPDATE"))
            };
            check(&by_pod, &request, pod_expected);
            check(&by_object, &request, object_expected);
        }
    }
}
