//! What no policy is asked about, so that a policy can lock nobody out of the cluster.
//!
//! Objects only, never users. The webhook, `check` and audits share this list.

use crate::document::ResourceRule;
use crate::matching::built_in;
use crate::matching::rules::split_resource;
use crate::request::Request;

/// Whether a request stays out: everything in the controller's own namespace (with that Namespace), the
/// objects by which nodes and the control plane stay alive, questions about who may do what, and
/// configuration for which the API server calls no webhook.
pub fn is_excluded(request: &Request, controller_namespace: &str) -> bool {
    !request.namespace.is_empty() && request.namespace == controller_namespace
        || is_excluded_kind(&request.kind.group, &request.kind.kind)
}

/// Whether rules can match nothing but what stays out: a policy with such rules would do nothing, and is
/// refused.
pub fn covers_only_excluded(rules: &[ResourceRule]) -> bool {
    let mut any_excluded = false;
    for rule in rules {
        for group in &rule.api_groups {
            for entry in &rule.resources {
                match cover(group, entry) {
                    Cover::Others => return false,
                    Cover::Excluded => any_excluded = true,
                    Cover::Nothing => {}
                }
            }
        }
    }
    any_excluded
}

/// What one group with one entry of `resources` covers.
enum Cover {
    Excluded,
    /// At least something that does not stay out.
    Others,
    /// Kubernetes has no such resource.
    Nothing,
}

fn cover(group: &str, entry: &str) -> Cover {
    let (resource, sub_resource) = split_resource(entry);
    if resource == "*" || !built_in::is_group(group) {
        return Cover::Others;
    }
    match built_in::kinds_of(group, resource).next() {
        // The proxy's requests carry options, not the Node.
        Some("Node") if matches!(sub_resource, "proxy" | "*") => Cover::Others,
        Some(kind) if is_excluded_kind(group, kind) => Cover::Excluded,
        Some(_) => Cover::Others,
        None => Cover::Nothing,
    }
}

fn is_excluded_kind(group: &str, kind: &str) -> bool {
    EXCLUDED.iter().any(|(excluded, kinds)| *excluded == group && kinds.contains(&kind))
}

/// The kinds that stay out, by group.
pub fn excluded_kinds() -> &'static [(&'static str, &'static [&'static str])] {
    EXCLUDED
}

/// Kinds by group. The API server calls no webhook for those of admissionregistration.k8s.io
/// (`IsExemptAdmissionConfigurationResource` in its `predicates/rules`).
const EXCLUDED: &[(&str, &[&str])] = &[
    ("", &["Node", "Event"]),
    ("events.k8s.io", &["Event"]),
    ("coordination.k8s.io", &["Lease"]),
    ("certificates.k8s.io", &["CertificateSigningRequest"]),
    ("authentication.k8s.io", &["TokenReview", "SelfSubjectReview"]),
    (
        "authorization.k8s.io",
        &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::resources::tests::request;
    use crate::matching::rules::tests::rule;

    #[test]
    fn requests_that_stay_out() {
        for (text, namespace, expect) in [
            ("/v1/pods CREATE", "shop", false),
            ("/v1/pods CREATE", "portcullis", true),
            ("/v1/namespaces DELETE", "portcullis", true),
            ("/v1/namespaces DELETE", "shop", false),
            ("rbac.authorization.k8s.io/v1/clusterroles CREATE", "", false),
            ("/v1/nodes UPDATE", "", true),
            ("/v1/nodes/status UPDATE", "", true),
            ("/v1/events CREATE", "shop", true),
            ("events.k8s.io/v1/events CREATE", "shop", true),
            ("coordination.k8s.io/v1/leases UPDATE", "kube-node-lease", true),
            ("coordination.k8s.io/v1/leasecandidates UPDATE", "shop", false),
            ("certificates.k8s.io/v1/certificatesigningrequests CREATE", "", true),
            ("authentication.k8s.io/v1/tokenreviews CREATE", "", true),
            ("authorization.k8s.io/v1/subjectaccessreviews CREATE", "", true),
            ("authorization.k8s.io/v1/localsubjectaccessreviews CREATE", "shop", true),
            ("authorization.k8s.io/v1/selfsubjectrulesreviews CREATE", "", true),
            ("admissionregistration.k8s.io/v1/validatingadmissionpolicies CREATE", "", true),
            ("admissionregistration.k8s.io/v1/validatingwebhookconfigurations UPDATE", "", true),
            ("example.com/v1/nodes CREATE", "shop", false),
        ] {
            let mut request = request(text);
            request.namespace = namespace.to_owned();
            assert_eq!(is_excluded(&request, "portcullis"), expect, "{text} in `{namespace}`");
        }
        let mut nowhere = request("/v1/persistentvolumes CREATE");
        nowhere.namespace.clear();
        assert!(!is_excluded(&nowhere, ""), "an unknown own namespace excludes nothing");
    }

    #[test]
    fn rules_that_match_only_what_stays_out() {
        for (rules, expect) in [
            (&["\"\" v1 nodes *"][..], true),
            (&["\"\" v1 nodes,events,nodes/status UPDATE"], true),
            (&["\"\",coordination.k8s.io v1 nodes,leases *"], true),
            (&["authorization.k8s.io * subjectaccessreviews *", "\"\" v1 events *"], true),
            (&["\"\" v1 nodes,pods *"], false),
            (&["\"\" v1 nodes *", "\"\" v1 pods *"], false),
            (&["\"\" v1 nodes/proxy CONNECT"], false),
            (&["\"\" v1 nodes/* *"], false),
            (&["coordination.k8s.io v1 leases/* *"], true),
            (&["* v1 nodes *"], false),
            (&["\"\" v1 * *"], false),
            (&["\"\" v1 */status *"], false),
            (&["example.com v1 nodes *"], false),
            (&["\"\" v1 nosuchthings *"], false),
            (&[], false),
        ] {
            let parsed: Vec<_> = rules.iter().map(|text| rule(text)).collect();
            assert_eq!(covers_only_excluded(&parsed), expect, "{rules:?}");
        }
    }
}
