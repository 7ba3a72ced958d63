//! The webhook configuration, which the controller looks after.

use super::{bad_pod_is_denied, pod, policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use serde_json::json;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        the_api_server_asks_about_what_policies_match_and_about_nothing_else,
        an_edited_or_deleted_webhook_configuration_is_repaired,
        a_second_replica_takes_over_when_the_first_ends,
        what_nodes_live_on_waits_for_no_webhook_whatever_policies_match,
    ]
}

fn the_api_server_asks_about_what_policies_match_and_about_nothing_else(world: &mut World<'_>) -> Result<()> {
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    world.eventually("the entries are there", || {
        let configuration = read(world)?;
        let names: Vec<&str> =
            configuration.webhooks.iter().flatten().map(|webhook| webhook.name.as_str()).collect();
        ensure!(
            names == ["fail.portcullis.dev", "critical.portcullis.dev", "policies.portcullis.dev"],
            "{names:?}"
        );
        let owners = configuration.metadata.owner_references.unwrap_or_default();
        ensure!(owners.iter().any(|owner| owner.name == world.controller_namespace()), "{owners:?}");
        Ok(())
    })?;
    world.kubectl(&format!("delete configmap no-host-access -n {}", world.controller_namespace())).ok()?;
    world.eventually("the entries are gone", || {
        let entries = read(world)?.webhooks.unwrap_or_default();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        // Policies themselves are always asked about.
        ensure!(names == ["policies.portcullis.dev"], "{names:?}");
        Ok(())
    })
}

fn an_edited_or_deleted_webhook_configuration_is_repaired(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let name = world.configuration();
    let before = read(world)?.webhooks;
    let repaired = || {
        world.eventually("it is repaired", || {
            ensure!(read(world)?.webhooks == before, "it is not");
            Ok(())
        })
    };
    let patch = r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
    world.kubectl(&format!("patch validatingwebhookconfiguration {name} --type=json -p={patch}")).ok()?;
    repaired()?;
    world.kubectl(&format!("delete validatingwebhookconfiguration {name}")).ok()?;
    repaired()?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")
}

fn a_second_replica_takes_over_when_the_first_ends(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let first = world.start_controller(&kubeconfig, &[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let _second = world.start_controller(&kubeconfig, &[])?;
    // It has to wait until the Lease expires: the first is killed, and gives nothing back.
    drop(first);
    world.eventually("the second has the API server ask it", || {
        world
            .kubectl(&format!("create -n {namespace} --dry-run=server -f -"))
            .input(&pod("good", ""))
            .ok()
            .map(drop)
    })?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")
}

/// A cluster in which Nodes and their Leases wait for a webhook that runs on such a Node never comes back.
fn what_nodes_live_on_waits_for_no_webhook_whatever_policies_match(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    // The tests share the cluster: what has no namespace is told by its name.
    let own = world.controller_namespace();
    let everything = policy(
        world,
        "everything",
        &format!(
            "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  - {{apiGroups: ['*'], apiVersions: \
             ['*'], operations: ['*'], resources: ['*/*']}}\nmatchConditions:\n- name: ours\n  expression: \
             request.namespace == '{namespace}' || request.name.startsWith('{own}')\nvalidations: [{{expression: \
             'false', message: nothing at all}}]"
        ),
    );
    world.apply(&everything)?;
    bad_pod_is_denied(world, &namespace, "nothing at all")?;
    let create = |object: &serde_json::Value| world.kubectl("create -f -").input(&object.to_string());
    let metadata = json!({"name": format!("{own}-node")});
    let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": "any"});
    world.eventually("it matches", || create(&class).refused(&["nothing at all"]).map(drop))?;
    drop(controller);
    world.eventually("nobody is there", || create(&class).refused(&["failed calling webhook"]).map(drop))?;

    let named = format!("{own}-node");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata});
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": named, "namespace": namespace}, "spec": {"holderIdentity": named},
    });
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": named, "namespace": namespace},
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "any"}, "reason": "Any",
    });
    let token = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": metadata, "spec": {"token": "any"},
    });
    let access = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "any", "nonResourceAttributes": {"path": "/", "verb": "get"}},
    });
    for object in [node, lease, event, token, access] {
        create(&object).ok()?;
    }
    let status = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    world.kubectl(&format!("patch node {named} --subresource=status -p={status}")).ok()?;
    world.kubectl(&format!("taint node {named} any=any:NoSchedule")).ok()?;
    world.kubectl(&format!("delete node {named}")).ok().map(drop)
}

fn read(world: &World<'_>) -> Result<ValidatingWebhookConfiguration> {
    let get = format!("get validatingwebhookconfiguration {} -o json", world.configuration());
    Ok(serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?)
}
