//! The webhook configuration, which the controller looks after.

use super::{bad_pod_is_denied, pod, policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        the_api_server_asks_about_what_policies_match_and_about_nothing_else,
        an_edited_or_deleted_webhook_configuration_is_repaired,
        a_second_replica_takes_over_when_the_first_ends,
        what_nodes_live_on_waits_for_no_webhook_whatever_policies_match,
        every_policy_sees_the_version_that_it_names_once_whatever_others_name,
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
    let create = |object: &Value| world.kubectl("create -f -").input(&object.to_string());
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

/// The API server asks an entry about a request once. A policy for every version, or for another one, must not take it
/// from those that name theirs.
fn every_policy_sees_the_version_that_it_names_once_whatever_others_name(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let group = format!("{}.example.com", world.controller_namespace());
    let definition = format!("widgets.{group}");
    world.apply(&widgets(&group))?;
    world.kubectl(&format!("wait crd {definition} --for=condition=Established")).ok()?;
    let matching = |name: &str, group: &str, version: &str, resources: &str| {
        let spec = format!(
            "validationActions: [Deny]\nonUpdate: Always\nmatchConstraints:\n  resourceRules:\n  - {{apiGroups: ['{group}'], \
             apiVersions: ['{version}'], operations: [CREATE, UPDATE], resources: [{resources}]}}\nmatchConditions:\n\
             - name: ours\n  expression: request.namespace == '{namespace}' && request.resource.resource == 'widgets'\n\
             validations:\n- expression: object.metadata.name != 'not-for-{name}'\n  messageExpression: \
             \"'as ' + request.resource.version + ' refused'\"\nauditAnnotations:\n- {{key: seen, valueExpression: \
             request.resource.version + ' of ' + object.apiVersion}}"
        );
        policy(world, name, &spec)
    };
    world.apply(&matching("named", &group, "v1", "widgets, widgets/scale"))?;
    let create = |version: &str, name: &str| {
        let metadata = json!({"name": name, "namespace": namespace});
        let widget = json!({
            "apiVersion": format!("{group}/{version}"), "kind": "Widget", "metadata": metadata, "spec": {"replicas": 1},
        });
        world.kubectl("create -f -").input(&widget.to_string())
    };
    let refused = |version: &str, policy: &str, seen: &str| {
        world.eventually("it is refused", || {
            let message = format!("as {seen} refused");
            create(version, &format!("not-for-{policy}"))
                .refused(&[&format!("policy `{policy}`"), &message])
                .map(drop)
        })
    };
    refused("v1", "named", "v1")?;
    refused("v1beta1", "named", "v1")?;
    world.apply(&matching("everything", "*", "*", "'*/*'"))?;
    refused("v1beta1", "everything", "v1beta1")?;
    refused("v1beta1", "named", "v1")?;
    world.apply(&matching("older", &group, "v1beta1", "widgets"))?;
    world.apply(&matching("unserved", "*", "v1alpha1", "'*/*'"))?;
    refused("v1", "older", "v1beta1")?;
    refused("v1", "unserved", "v1alpha1")?;

    let (first, converted) =
        ("fail.portcullis.dev", |version: &str| format!("{version}.fail.portcullis.dev"));
    let (v1, v1beta1, v1alpha1) = (converted("v1"), converted("v1beta1"), converted("v1alpha1"));
    for (sent, named, older) in [("v1", first, v1beta1.as_str()), ("v1beta1", v1.as_str(), first)] {
        let name = format!("good-{sent}");
        create(sent, &name).ok()?;
        let expect = BTreeMap::from([
            (format!("{first}/everything.seen"), format!("{sent} of {group}/{sent}")),
            (format!("{named}/named.seen"), format!("v1 of {group}/v1")),
            (format!("{older}/older.seen"), format!("v1beta1 of {group}/v1beta1")),
            (format!("{v1alpha1}/unserved.seen"), format!("v1alpha1 of {group}/v1alpha1")),
        ]);
        audited(world, "create", &namespace, &name, &expect)?;
        // A Scale is of one version whatever it scales.
        world.kubectl(&format!("scale widgets.{sent}.{group} {name} -n {namespace} --replicas=2")).ok()?;
        let scale = |version: &str| format!("{version} of autoscaling/v1");
        let expect = BTreeMap::from([
            (format!("{first}/everything.seen"), scale(sent)),
            (format!("{named}/named.seen"), scale("v1")),
            (format!("{v1alpha1}/unserved.seen"), scale("v1alpha1")),
        ]);
        audited(world, "patch", &namespace, &name, &expect)?;
    }
    world.kubectl(&format!("delete crd {definition}")).ok().map(drop)
}

/// A CustomResourceDefinition with two versions that are served and one that is not.
fn widgets(group: &str) -> String {
    let version = |name: &str| {
        json!({
            "name": name, "served": name != "v1alpha1", "storage": name == "v1",
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
        })
    };
    let versions = ["v1", "v1beta1", "v1alpha1"].map(version);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": versions,
        },
    })
    .to_string()
}

/// Waits until the API server's audit log holds a request with these annotations of policies, and no others.
fn audited(
    world: &World<'_>,
    verb: &str,
    namespace: &str,
    name: &str,
    expect: &BTreeMap<String, String>,
) -> Result<()> {
    world.eventually("the audit log holds it", || {
        let log = world.cluster.audit_log()?;
        // The last line may be half written.
        let mut events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is_it = |event: &Value| {
            let of = &event["objectRef"];
            event["verb"] == verb && of["namespace"] == namespace && of["name"] == name
        };
        let event = events.find(is_it).context("the request is not there")?;
        let annotations = event["annotations"].as_object().into_iter().flatten();
        let ours: BTreeMap<String, String> = annotations
            .filter(|(key, _)| key.ends_with(".seen"))
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        ensure!(ours == *expect, "{ours:#?} where {expect:#?} is expected");
        Ok(())
    })
}

fn read(world: &World<'_>) -> Result<ValidatingWebhookConfiguration> {
    let get = format!("get validatingwebhookconfiguration {} -o json", world.configuration());
    Ok(serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?)
}
