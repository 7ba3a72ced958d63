//! The cluster around the requests: Namespaces, kinds that params have, and params.

use serde_json::{Value as Json, json};

/// A kind that params have.
#[derive(Debug, Clone, Copy)]
pub(in crate::vap) struct ParamKind {
    pub(in crate::vap) api_version: &'static str,
    pub(in crate::vap) kind: &'static str,
    pub(in crate::vap) resource: &'static str,
    pub(in crate::vap) namespaced: bool,
}

pub(in crate::vap) const CONFIG_MAP: ParamKind =
    ParamKind { api_version: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };
pub(in crate::vap) const RULE: ParamKind =
    ParamKind { api_version: "rules.example.com/v1", kind: "Rule", resource: "rules", namespaced: true };
pub(in crate::vap) const LIMIT: ParamKind =
    ParamKind { api_version: "limits.example.com/v1", kind: "Limit", resource: "limits", namespaced: false };
pub(in crate::vap) const STORAGE_CLASS: ParamKind = ParamKind {
    api_version: "storage.k8s.io/v1",
    kind: "StorageClass",
    resource: "storageclasses",
    namespaced: false,
};
/// One that the cluster does not serve.
pub(in crate::vap) const UNKNOWN: ParamKind = ParamKind {
    api_version: "nowhere.example.com/v1",
    kind: "Nothing",
    resource: "nothings",
    namespaced: true,
};

/// The kinds that discovery finds.
pub(super) fn kinds() -> Vec<Json> {
    let kind = |kind: &ParamKind| {
        json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "resource": kind.resource,
            "namespaced": kind.namespaced,
        })
    };
    [CONFIG_MAP, RULE, LIMIT, STORAGE_CLASS].iter().map(kind).collect()
}

/// Namespaces as the API server returns them.
pub(super) fn namespaces() -> Vec<Json> {
    let namespace = |name: &str, labels: &[(&str, &str)], more: Json| {
        let mut namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "uid": format!("uid-of-{name}"),
                "resourceVersion": "7",
                "creationTimestamp": "2024-05-01T10:00:00Z",
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        for (key, value) in labels {
            namespace["metadata"]["labels"][*key] = json!(value);
        }
        merge(&mut namespace, &more);
        namespace
    };
    vec![
        namespace(
            "shop",
            &[("env", "prod"), ("team", "a")],
            json!({"metadata": {"annotations": {"owner": "Ünal", "limit": "3"}}}),
        ),
        namespace("lab", &[("env", "dev"), ("tier", "")], json!({})),
        namespace("bare", &[], json!({})),
        namespace("kube-system", &[], json!({})),
        namespace(
            "ending",
            &[("env", "prod")],
            json!({
                "metadata": {"deletionTimestamp": "2025-01-01T00:00:00Z", "finalizers": ["example.com/keep"]},
                "status": {
                    "phase": "Terminating",
                    "conditions": [{
                        "type": "NamespaceContentRemaining",
                        "status": "True",
                        "lastTransitionTime": "2025-01-01T00:00:01Z",
                        "reason": "SomeResourcesRemain",
                        "message": "pods. has 2 resource instances",
                    }],
                },
            }),
        ),
    ]
}

/// The params of all kinds, sorted by namespace and name.
pub(super) fn params() -> Vec<Json> {
    let config_map = |namespace: &str, name: &str, tier: &str, data: Json| {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": {"tier": tier}},
        });
        if !data.is_null() {
            object["data"] = data;
        }
        object
    };
    let custom = |kind: &ParamKind, namespace: &str, name: &str, tier: &str, spec: Json| {
        let mut object = json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "labels": {"tier": tier}},
            "spec": spec,
        });
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    };
    let class = |name: &str, tier: &str, more: Json| {
        let mut object = json!({
            "apiVersion": STORAGE_CLASS.api_version,
            "kind": STORAGE_CLASS.kind,
            "metadata": {"name": name, "labels": {"tier": tier}},
            "provisioner": "example.com/disk",
        });
        merge(&mut object, &more);
        object
    };
    vec![
        config_map("default", "main", "gold", json!({"max": "5", "team": "b"})),
        config_map("lab", "main", "silver", json!({"max": "2"})),
        config_map("shop", "main", "gold", json!({"max": "3", "team": "a"})),
        config_map("shop", "more", "gold", json!({"max": "1", "team": "b"})),
        config_map("shop", "none", "iron", Json::Null),
        custom(&RULE, "lab", "main", "gold", json!({"max": 2, "names": ["web"], "ratio": 0.5})),
        custom(&RULE, "shop", "main", "gold", json!({"max": 3, "names": ["web", "db"], "strict": true})),
        custom(&RULE, "shop", "more", "gold", json!({"max": 1, "names": [], "strict": false})),
        custom(&LIMIT, "", "main", "gold", json!({"max": 2, "names": ["web", "db"], "strict": false})),
        custom(&LIMIT, "", "more", "silver", json!({"max": 9_007_199_254_740_993_i64, "names": ["x"]})),
        class("main", "gold", json!({"parameters": {"max": "4"}, "allowVolumeExpansion": true})),
        class("more", "silver", json!({"reclaimPolicy": "Retain", "allowVolumeExpansion": false})),
    ]
}

/// Puts the fields of one object into another, those of objects inside it too.
pub(super) fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
