//! The resources that every cluster has.

use crate::matching::Resource;
use crate::request::Operation;

/// An API group of Kubernetes. All versions of a kind share its plural and scope.
struct Group {
    name: &'static str,
    /// Kind and plural of what lives in a namespace.
    namespaced: &'static [(&'static str, &'static str)],
    /// Kind and plural of what does not.
    cluster: &'static [(&'static str, &'static str)],
}

impl Group {
    fn all(&self) -> impl Iterator<Item = (&'static str, Resource<'static>)> {
        let with_scope = |namespaced| move |&(kind, plural): &(_, _)| (kind, Resource { plural, namespaced });
        self.namespaced.iter().map(with_scope(true)).chain(self.cluster.iter().map(with_scope(false)))
    }
}

/// The resource of a kind.
pub(crate) fn find(group: &str, kind: &str) -> Option<Resource<'static>> {
    all_of(group).find(|(known, _)| *known == kind).map(|(_, resource)| resource)
}

/// The kinds that belong to a resource.
pub(crate) fn kinds_of(group: &str, plural: &str) -> impl Iterator<Item = &'static str> {
    all_of(group).filter(move |(_, resource)| resource.plural == plural).map(|(kind, _)| kind)
}

/// The resource of a plural.
pub(crate) fn of_plural(group: &str, plural: &str) -> Option<Resource<'static>> {
    all_of(group).map(|(_, resource)| resource).find(|resource| resource.plural == plural)
}

/// The plurals of a group.
pub(crate) fn plurals(group: &str) -> impl Iterator<Item = &'static str> {
    all_of(group).map(|(_, resource)| resource.plural)
}

/// A group that has a resource of this plural.
pub(crate) fn group_of(plural: &str) -> Option<&'static str> {
    let has = |group: &&Group| group.all().any(|(_, resource)| resource.plural == plural);
    GROUPS.iter().find(has).map(|group| group.name)
}

/// The groups that have a kind of this name.
pub(crate) fn groups_of_kind(kind: &str) -> impl Iterator<Item = &'static str> {
    GROUPS.iter().filter(move |group| group.all().any(|(known, _)| known == kind)).map(|group| group.name)
}

/// What was meant by a kind that is not in this group of Kubernetes': one that is written otherwise, or of another
/// group.
pub(crate) fn meant(group: &str, kind: &str) -> Option<String> {
    let known = all_of(group).map(|(known, _)| known).find(|known| known.eq_ignore_ascii_case(kind));
    if let Some(known) = known {
        return Some(format!("kind `{known}` rather than `{kind}`"));
    }
    let other = groups_of_kind(kind).next().filter(|_| is_group(group))?;
    let named = |group: &str| match group {
        "" => "the core group".to_owned(),
        group => format!("group `{group}`"),
    };
    Some(format!("`{kind}` of {} rather than of {}", named(other), named(group)))
}

/// The names of all groups but the core group's, which is empty.
pub(crate) fn group_names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|group| group.name).filter(|name| !name.is_empty())
}

/// The only operations that are ever asked of a resource or a subresource of Kubernetes' own; `None` for those that are
/// not known here (`api-machinery`'s installer makes them from what a resource's storage can do).
pub(crate) fn operations(plural: &str, subresource: Option<&str>) -> Option<&'static [Operation]> {
    use Operation::{Connect, Create, Delete, Update};
    match (plural, subresource) {
        ("bindings" | "tokenreviews" | "selfsubjectreviews", None) => Some(&[Create]),
        (reviews, None) if reviews.ends_with("accessreviews") || reviews.ends_with("rulesreviews") => {
            Some(&[Create])
        }
        (_, None) => Some(&[Create, Update, Delete]),
        (_, Some("exec" | "attach" | "portforward" | "proxy")) => Some(&[Connect]),
        (_, Some("binding" | "eviction" | "token")) => Some(&[Create]),
        (_, Some("status" | "scale" | "ephemeralcontainers" | "resize" | "finalize" | "approval")) => {
            Some(&[Update])
        }
        _ => None,
    }
}

/// Whether Kubernetes itself owns every kind of this group.
pub(crate) fn is_group(group: &str) -> bool {
    GROUPS.iter().any(|known| known.name == group)
}

fn all_of(group: &str) -> impl Iterator<Item = (&'static str, Resource<'static>)> {
    GROUPS.iter().filter(move |known| known.name == group).flat_map(Group::all)
}

/// Every kind with a resource of its own in the groups that kube-apiserver serves up to 1.37.
const GROUPS: &[Group] = &[
    Group {
        name: "",
        namespaced: &[
            ("Binding", "bindings"),
            ("ConfigMap", "configmaps"),
            ("Endpoints", "endpoints"),
            ("Event", "events"),
            ("LimitRange", "limitranges"),
            ("PersistentVolumeClaim", "persistentvolumeclaims"),
            ("Pod", "pods"),
            ("PodTemplate", "podtemplates"),
            ("ReplicationController", "replicationcontrollers"),
            ("ResourceQuota", "resourcequotas"),
            ("Secret", "secrets"),
            ("Service", "services"),
            ("ServiceAccount", "serviceaccounts"),
        ],
        cluster: &[
            ("ComponentStatus", "componentstatuses"),
            ("Namespace", "namespaces"),
            ("Node", "nodes"),
            ("PersistentVolume", "persistentvolumes"),
        ],
    },
    Group {
        name: "admissionregistration.k8s.io",
        namespaced: &[],
        cluster: &[
            ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
            ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ],
    },
    Group {
        name: "apiextensions.k8s.io",
        namespaced: &[],
        cluster: &[("CustomResourceDefinition", "customresourcedefinitions")],
    },
    Group { name: "apiregistration.k8s.io", namespaced: &[], cluster: &[("APIService", "apiservices")] },
    Group {
        name: "apps",
        namespaced: &[
            ("ControllerRevision", "controllerrevisions"),
            ("DaemonSet", "daemonsets"),
            ("Deployment", "deployments"),
            ("ReplicaSet", "replicasets"),
            ("StatefulSet", "statefulsets"),
        ],
        cluster: &[],
    },
    Group {
        name: "authentication.k8s.io",
        namespaced: &[],
        cluster: &[("SelfSubjectReview", "selfsubjectreviews"), ("TokenReview", "tokenreviews")],
    },
    Group {
        name: "authorization.k8s.io",
        namespaced: &[("LocalSubjectAccessReview", "localsubjectaccessreviews")],
        cluster: &[
            ("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
            ("SelfSubjectRulesReview", "selfsubjectrulesreviews"),
            ("SubjectAccessReview", "subjectaccessreviews"),
        ],
    },
    Group {
        name: "autoscaling",
        namespaced: &[("HorizontalPodAutoscaler", "horizontalpodautoscalers")],
        cluster: &[],
    },
    Group { name: "batch", namespaced: &[("CronJob", "cronjobs"), ("Job", "jobs")], cluster: &[] },
    Group {
        name: "certificates.k8s.io",
        namespaced: &[("PodCertificateRequest", "podcertificaterequests")],
        cluster: &[
            ("CertificateSigningRequest", "certificatesigningrequests"),
            ("ClusterTrustBundle", "clustertrustbundles"),
        ],
    },
    Group {
        name: "coordination.k8s.io",
        namespaced: &[("Lease", "leases"), ("LeaseCandidate", "leasecandidates")],
        cluster: &[],
    },
    Group { name: "discovery.k8s.io", namespaced: &[("EndpointSlice", "endpointslices")], cluster: &[] },
    Group { name: "events.k8s.io", namespaced: &[("Event", "events")], cluster: &[] },
    Group {
        name: "flowcontrol.apiserver.k8s.io",
        namespaced: &[],
        cluster: &[
            ("FlowSchema", "flowschemas"),
            ("PriorityLevelConfiguration", "prioritylevelconfigurations"),
        ],
    },
    Group {
        name: "internal.apiserver.k8s.io",
        namespaced: &[],
        cluster: &[("StorageVersion", "storageversions")],
    },
    Group {
        name: "lifecycle.k8s.io",
        namespaced: &[("Eviction", "evictions"), ("EvictionRequest", "evictionrequests")],
        cluster: &[],
    },
    Group {
        name: "networking.k8s.io",
        namespaced: &[("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies")],
        cluster: &[
            ("IPAddress", "ipaddresses"),
            ("IngressClass", "ingressclasses"),
            ("ServiceCIDR", "servicecidrs"),
        ],
    },
    Group { name: "node.k8s.io", namespaced: &[], cluster: &[("RuntimeClass", "runtimeclasses")] },
    Group { name: "policy", namespaced: &[("PodDisruptionBudget", "poddisruptionbudgets")], cluster: &[] },
    Group {
        name: "rbac.authorization.k8s.io",
        namespaced: &[("Role", "roles"), ("RoleBinding", "rolebindings")],
        cluster: &[("ClusterRole", "clusterroles"), ("ClusterRoleBinding", "clusterrolebindings")],
    },
    Group {
        name: "resource.k8s.io",
        namespaced: &[
            ("ResourceClaim", "resourceclaims"),
            ("ResourceClaimTemplate", "resourceclaimtemplates"),
        ],
        cluster: &[
            ("DeviceClass", "deviceclasses"),
            ("DeviceTaintRule", "devicetaintrules"),
            ("ResourcePoolStatusRequest", "resourcepoolstatusrequests"),
            ("ResourceSlice", "resourceslices"),
        ],
    },
    Group {
        name: "scheduling.k8s.io",
        namespaced: &[
            ("CompositePodGroup", "compositepodgroups"),
            ("PodGroup", "podgroups"),
            ("Workload", "workloads"),
        ],
        cluster: &[("PriorityClass", "priorityclasses")],
    },
    Group {
        name: "storage.k8s.io",
        namespaced: &[("CSIStorageCapacity", "csistoragecapacities")],
        cluster: &[
            ("CSIDriver", "csidrivers"),
            ("CSINode", "csinodes"),
            ("StorageClass", "storageclasses"),
            ("VolumeAttachment", "volumeattachments"),
            ("VolumeAttributesClass", "volumeattributesclasses"),
        ],
    },
    Group {
        name: "storagemigration.k8s.io",
        namespaced: &[],
        cluster: &[("StorageVersionMigration", "storageversionmigrations")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_by_a_kind_is_told() {
        let table = [
            ("", "pod", Some("kind `Pod` rather than `pod`")),
            ("", "Deployment", Some("`Deployment` of group `apps` rather than of the core group")),
            ("apps", "Pod", Some("`Pod` of the core group rather than of group `apps`")),
            ("example.com", "Deployment", None),
            ("", "Widget", None),
        ];
        for (group, kind, expect) in table {
            assert_eq!(meant(group, kind).as_deref(), expect, "{group} {kind}");
        }
    }

    #[test]
    fn the_table_has_no_duplicates_and_no_typing_errors() {
        let mut seen = std::collections::HashSet::new();
        for group in GROUPS {
            for (kind, Resource { plural, .. }) in group.all() {
                assert!(seen.insert((group.name, kind)), "{}/{kind} twice", group.name);
                let stem = kind.to_lowercase();
                let stem = stem.trim_end_matches(['y', 's']);
                assert!(plural.starts_with(stem) && plural.ends_with('s'), "{kind}: {plural}");
            }
        }
    }
}
