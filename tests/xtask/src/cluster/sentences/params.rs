//! Params that live in the cluster: found, followed, granted and missed.

use super::{pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::Result;
use serde_json::json;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_config_map_of_our_own_namespace_is_a_param_and_its_edits_count,
        a_param_that_rbac_forbids_fails_by_failure_policy_and_says_what_to_grant,
        a_kind_of_params_that_is_not_served_is_an_error_until_its_definition_is_there,
    ]
}

/// A policy that allows Pods whose label `tier` is what its param says.
fn policy(name: &str, namespace: &str, param_kind: &str, param_ref: &str, rest: &str) -> String {
    let document = format!(
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  \
         validationActions: [Deny]\n  {rest}\n  matchConstraints:\n    resourceRules:\n    - {{apiGroups: [''], \
         apiVersions: [v1], operations: [CREATE], resources: [pods]}}\n  paramKind: {param_kind}\n  paramRef: \
         {param_ref}\n  validations:\n  - expression: object.metadata.name.startsWith(params.data.prefix)\n    \
         messageExpression: \"'names begin with ' + params.data.prefix\"\n"
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"portcullis.dev/policy": "true"}},
        "data": {"policy.yaml": document},
    })
    .to_string()
}

fn config_map(name: &str, namespace: &str, prefix: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"prefix": prefix},
    })
    .to_string()
}

/// Waits until a Pod is denied with this message.
fn denied(world: &World<'_>, namespace: &str, name: &str, message: &str) -> Result<()> {
    world.eventually("a Pod is denied", || {
        let create = format!("create -n {namespace} -f - --dry-run=server");
        world.kubectl(&create).input(&pod(name, "")).refused(&[message]).map(drop)
    })
}

fn admitted(world: &World<'_>, namespace: &str, name: &str) -> Result<()> {
    world.eventually("a Pod is admitted", || {
        let create = format!("create -n {namespace} -f - --dry-run=server");
        world.kubectl(&create).input(&pod(name, "")).ok().map(drop)
    })
}

fn a_config_map_of_our_own_namespace_is_a_param_and_its_edits_count(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let own = world.controller_namespace();
    world.apply(&config_map("names", &own, "web-"))?;
    let reference = format!("{{name: names, namespace: {own}, parameterNotFoundAction: Deny}}");
    world.apply(&policy("prefixes", &own, "{apiVersion: v1, kind: ConfigMap}", &reference, ""))?;
    denied(world, &namespace, "job-1", "names begin with web-")?;
    admitted(world, &namespace, "web-1")?;
    world.apply(&config_map("names", &own, "job-"))?;
    denied(world, &namespace, "web-1", "names begin with job-")?;
    world.kubectl(&format!("delete configmap names -n {own}")).ok()?;
    denied(world, &namespace, "job-1", "ConfigMap `names` does not exist")
}

fn a_param_that_rbac_forbids_fails_by_failure_policy_and_says_what_to_grant(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let own = world.controller_namespace();
    // Of each request's namespace, so of any.
    world.apply(&config_map("names", &namespace, "web-"))?;
    let reference = "{name: names, parameterNotFoundAction: Deny}";
    let kind = "{apiVersion: v1, kind: ConfigMap}";
    world.apply(&policy("open", &own, kind, reference, "failurePolicy: Ignore"))?;
    admitted(world, &namespace, "job-1")?;
    world.apply(&policy("closed", &own, kind, reference, "failurePolicy: Fail"))?;
    let message = "policy `closed`: the controller may not read `configmaps` with the name `names`: grant it `list` \
                   and `watch`";
    denied(world, &namespace, "web-1", message)?;
    let rules = r#"[{"apiGroups":[""],"resources":["configmaps"],"resourceNames":["names"]}]"#;
    world.helm(&format!(
        "upgrade portcullis deploy/helm/portcullis -n {own} --set-json params.rules={rules}"
    ))?;
    denied(world, &namespace, "job-1", "names begin with web-")?;
    admitted(world, &namespace, "web-1")
}

fn a_kind_of_params_that_is_not_served_is_an_error_until_its_definition_is_there(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let own = world.controller_namespace();
    let group = format!("{own}.example.com");
    let _controller = world.controller(&[])?;
    let rules = format!(r#"[{{"apiGroups":["{group}"],"resources":["limits"]}}]"#);
    world.helm(&format!(
        "upgrade portcullis deploy/helm/portcullis -n {own} --set-json params.rules={rules}"
    ))?;
    let kind = format!("{{apiVersion: {group}/v1, kind: Limit}}");
    world.apply(&policy("limits", &own, &kind, "{name: names, parameterNotFoundAction: Deny}", ""))?;
    denied(world, &namespace, "web-1", &format!("the cluster has no `Limit` of `{group}/v1`"))?;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("limits.{group}")},
        "spec": {
            "group": group,
            "names": {"plural": "limits", "singular": "limit", "kind": "Limit", "listKind": "LimitList"},
            "scope": "Cluster",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    world.apply(&definition.to_string())?;
    denied(world, &namespace, "web-1", "Limit `names` does not exist")?;
    let limit = json!({
        "apiVersion": format!("{group}/v1"),
        "kind": "Limit",
        "metadata": {"name": "names"},
        "data": {"prefix": "web-"},
    });
    world.apply(&limit.to_string())?;
    denied(world, &namespace, "job-1", "names begin with web-")?;
    admitted(world, &namespace, "web-1")?;
    world.kubectl(&format!("delete crd limits.{group}")).ok()?;
    denied(world, &namespace, "web-1", "the cluster has no `Limit`")
}
