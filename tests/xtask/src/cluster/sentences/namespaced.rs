//! Policies in other namespaces than the controller's.

use super::audit::denials;
use super::{bad_pod_is_denied, pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

const MESSAGE: &str = "hostNetwork must not be true";
/// What the chart is installed with, and the controller started.
const VALUES: &str = "--set namespacedPolicies=true";
const FLAG: &str = "--namespaced-policies";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_policy_in_another_namespace_governs_that_and_nothing_else,
        a_policy_in_another_namespace_counts_for_nothing_without_the_flag,
        an_exception_in_another_namespace_excepts_from_no_policy_of_the_cluster,
    ]
}

/// The policy of these tests, in a namespace.
fn policy_in(world: &World<'_>, namespace: &str) -> Result<String> {
    let policy = world.library("isolation/no-host-access")?;
    let own = format!("namespace: {}\n", world.controller_namespace());
    ensure!(policy.contains(&own), "{policy}");
    Ok(policy.replace(&own, &format!("namespace: {namespace}\n")))
}

fn bad_pod_is_admitted_at_once(world: &World<'_>, namespace: &str) -> Result<()> {
    let create = format!("create -n {namespace} -f - --dry-run=server");
    world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).ok().map(drop)
}

fn a_policy_in_another_namespace_governs_that_and_nothing_else(world: &mut World<'_>) -> Result<()> {
    let (shop, bank) = (world.namespace("shop")?, world.namespace("bank")?);
    for namespace in [&shop, &bank] {
        let create = format!("create -n {namespace} -f -");
        world.kubectl(&create).input(&pod("old", "hostNetwork: true")).ok()?;
    }
    let kubeconfig = world.install(VALUES)?;
    let controller = world.start_controller(&kubeconfig, &[FLAG])?;
    world.cluster.runtime.block_on(controller.served.ready())?;
    let policy = policy_in(world, &shop)?;
    world.apply(&policy)?;
    world.portcullis("status --wait").ok()?;
    bad_pod_is_denied(
        world,
        &shop,
        &format!("policy `{shop}/no-host-access`: `spec.hostNetwork`: {MESSAGE}"),
    )?;
    bad_pod_is_admitted_at_once(world, &bank)?;
    // One of the same name for the whole cluster is another one.
    world.apply(&world.library("isolation/no-host-access")?.replace(MESSAGE, "not in this cluster"))?;
    bad_pod_is_denied(world, &bank, "policy `no-host-access`: `spec.hostNetwork`: not in this cluster")?;
    bad_pod_is_denied(world, &shop, &format!("policy `{shop}/no-host-access`"))?;
    world.kubectl(&format!("delete configmap no-host-access -n {}", world.controller_namespace())).ok()?;
    // An audit says the same, if it is asked the same.
    let said = world.portcullis(&format!("audit {FLAG} -o json")).ok()?;
    let of = BTreeSet::from([format!("{shop}/no-host-access")]);
    let denied = denials(&said.stdout)?;
    ensure!(denied == BTreeMap::from([(format!("Pod {shop}/old"), of)]), "{denied:?}");
    let said = world.portcullis("audit").run()?;
    let expected = format!("no policies in namespace `{}`", world.controller_namespace());
    ensure!(said.code == Some(1) && said.stderr.contains(&expected), "{said:?}");
    // What would see more than that is refused as it is written.
    let nosy = policy.replacen(
        "matchPods: {}",
        "matchPods: {}\n      lookups: [{name: them, apiVersion: v1, kind: Service, namespace: default}]",
        1,
    );
    world.kubectl("apply -f -").input(&nosy).refused(&[&format!("may look into namespace `{shop}` only")])?;
    let nosy = policy.replacen(
        "podSpec.?hostNetwork.orValue(false)",
        "authorizer.group('').resource('secrets').check('list').allowed()",
        1,
    );
    world.kubectl("apply -f -").input(&nosy).refused(&["`authorizer` tells of the whole cluster"])?;
    let said = world.portcullis("status --wait").ok()?.stdout;
    ensure!(said.contains(&format!("{shop}/no-host-access  loaded  {shop}/no-host-access")), "{said}");
    world.eventually("an Event says so there", || {
        let events = world.kubectl(&format!("get events -n {shop}")).ok()?.stdout;
        ensure!(events.contains("PolicyLoaded"), "{events}");
        Ok(())
    })?;
    drop(controller);
    // Nobody is locked out by them.
    bad_pod_is_admitted_at_once(world, &shop)
}

fn a_policy_in_another_namespace_counts_for_nothing_without_the_flag(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&policy_in(world, &shop)?)?;
    world.apply(&world.library("isolation/no-root")?)?;
    world.portcullis("status --wait").ok()?;
    bad_pod_is_denied(world, &shop, "policy `no-root`")?;
    let create = format!("create -n {shop} -f - --dry-run=server");
    let said =
        world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).refused(&["policy `no-root`"])?;
    ensure!(!said.stderr.contains("no-host-access"), "{said:?}");
    Ok(())
}

fn an_exception_in_another_namespace_excepts_from_no_policy_of_the_cluster(
    world: &mut World<'_>,
) -> Result<()> {
    let shop = world.namespace("shop")?;
    let kubeconfig = world.install(VALUES)?;
    let controller = world.start_controller(&kubeconfig, &[FLAG])?;
    world.cluster.runtime.block_on(controller.served.ready())?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    let exception = |namespace: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "legacy", "namespace": namespace, "labels": {"portcullis.dev/policy": "true"}},
            "data": {"e.yaml": "{apiVersion: portcullis.dev/v1, kind: PolicyException, metadata: {name: legacy}, spec: \
                                {policies: ['*'], match: {names: [bad]}, reason: because}}"},
        })
        .to_string()
    };
    world.apply(&exception(&shop))?;
    world.portcullis("status --wait").ok()?;
    bad_pod_is_denied(world, &shop, MESSAGE)?;
    world.apply(&exception(&world.controller_namespace()))?;
    world.portcullis("status --wait").ok()?;
    bad_pod_is_admitted_at_once(world, &shop)
}
