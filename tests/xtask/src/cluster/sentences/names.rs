//! Names, and what is in force over restarts.

use super::{bad_pod_is_denied, pod, policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// So often a policy's ConfigMap gets another name.
const RENAMES: usize = 10;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_policy_broken_while_no_replica_ran_is_in_force_as_it_was_and_a_deleted_one_is_not,
        a_new_replica_enforces_what_the_others_do_while_a_policy_is_broken,
        a_renamed_policy_config_map_loses_no_enforcement,
        the_oldest_config_map_has_a_name_that_two_claim,
    ]
}

/// A policy that denies ConfigMaps of one label with a message.
fn denying(world: &World<'_>, name: &str, label: &str, message: &str) -> String {
    policy(
        world,
        name,
        &format!(
            "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  - {{apiGroups: [''], apiVersions: [v1], \
             operations: [CREATE], resources: [configmaps]}}\n  objectSelector: {{matchLabels: {{test: {label}}}}}\n\
             validations: [{{expression: 'false', message: {message}}}]"
        ),
    )
}

/// The same in a ConfigMap of another name.
fn in_config_map(policy: &str, name: &str) -> Result<String> {
    let mut config_map: Value = serde_json::from_str(policy)?;
    config_map["metadata"]["name"] = json!(name);
    Ok(config_map.to_string())
}

/// What is in the text of a policy replaced.
fn edited(policy: &str, old: &str, new: &str) -> Result<String> {
    ensure!(policy.contains(old), "the policy has no `{old}`");
    Ok(policy.replace(old, new))
}

/// Tries to make a ConfigMap with this label.
fn attempt(world: &World<'_>, namespace: &str, label: &str) -> crate::cluster::world::Call {
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any", "labels": {"test": label}},
    });
    world.kubectl(&format!("create -n {namespace} --dry-run=server -f -")).input(&config_map.to_string())
}

fn denied(world: &World<'_>, namespace: &str, label: &str, message: &str) -> Result<()> {
    world.eventually(message, || attempt(world, namespace, label).refused(&[message]).map(drop))
}

/// Waits until what is stored for those who start later holds this.
fn stored(world: &World<'_>, text: &str) -> Result<()> {
    let get = format!(
        "get configmaps -n {} -l portcullis.dev/keeps=accepted -o json",
        world.controller_namespace()
    );
    world.eventually("it is stored", || {
        let found = world.kubectl(&get).ok()?.stdout;
        ensure!(found.contains(text), "`{text}` is not in {found}");
        Ok(())
    })
}

fn a_policy_broken_while_no_replica_ran_is_in_force_as_it_was_and_a_deleted_one_is_not(
    world: &mut World<'_>,
) -> Result<()> {
    let shop = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    let (kept, gone) =
        (denying(world, "kept", "kept", "as it was"), denying(world, "gone", "gone", "as it was"));
    world.apply(&kept)?;
    world.apply(&gone)?;
    denied(world, &shop, "kept", "as it was")?;
    denied(world, &shop, "gone", "as it was")?;
    stored(world, "name: gone")?;
    drop(controller);
    // Nobody is there to refuse it.
    world.apply(&edited(&kept, "'false'", "fals(")?)?;
    world.kubectl(&format!("delete configmap gone -n {}", world.controller_namespace())).ok()?;
    let next = world.start_controller(&kubeconfig, &[])?;
    world.cluster.runtime.block_on(next.served.ready())?;
    denied(world, &shop, "kept", "as it was")?;
    world.eventually("the deleted one is not in force", || attempt(world, &shop, "gone").ok().map(drop))?;
    // One that never was sound follows its failurePolicy.
    drop(next);
    world.apply(&edited(&denying(world, "new", "new", "new"), "'false'", "fals(")?)?;
    let third = world.start_controller(&kubeconfig, &[])?;
    world.cluster.runtime.block_on(third.served.ready())?;
    denied(world, &shop, "new", "the policy is broken and there is no earlier version of it")?;
    denied(world, &shop, "kept", "as it was")?;
    world.apply(&edited(&kept, "as it was", "mended")?)?;
    denied(world, &shop, "kept", "mended")
}

fn a_new_replica_enforces_what_the_others_do_while_a_policy_is_broken(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let first = world.start_controller(&kubeconfig, &[])?;
    let policy = denying(world, "a", "a", "as it was");
    world.apply(&policy)?;
    denied(world, &shop, "a", "as it was")?;
    stored(world, "as it was")?;
    // As long as it runs, it refuses what is broken.
    drop(first);
    world.apply(&edited(&policy, "'false'", "fals(")?)?;
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let replica = world.start_controller(&kubeconfig, &[])?;
        world.cluster.runtime.block_on(replica.served.ready())?;
        let state = world.cluster.runtime.block_on(replica.served.tell("/policies"))?;
        ensure!(state.contains("\"state\": \"kept-old\""), "{state}");
        replicas.push(replica);
    }
    denied(world, &shop, "a", "as it was")
}

fn a_renamed_policy_config_map_loses_no_enforcement(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let library = world.library("isolation/no-host-access")?;
    let renamed =
        |hash: &str| library.replacen("name: no-host-access\n", &format!("name: no-host-access-{hash}\n"), 1);
    world.apply(&renamed("0"))?;
    bad_pod_is_denied(world, &shop, "hostNetwork must not be true")?;
    let (done, asked, admitted) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let create = format!("create -n {shop} -f - --dry-run=server");
    let bad = pod("bad", "hostNetwork: true");
    let call = || world.kubectl(&create).input(&bad);
    let namespace = world.controller_namespace();
    std::thread::scope(|scope| -> Result<()> {
        let (done, asked, admitted) = (&done, &asked, &admitted);
        let mut calls: Vec<_> = (0..400).map(|_| call()).collect();
        let asking = scope.spawn(move || -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                let Some(call) = calls.pop() else { break };
                asked.fetch_add(1, Ordering::Relaxed);
                admitted.fetch_add(usize::from(call.run()?.succeeded), Ordering::Relaxed);
            }
            Ok(())
        });
        let renaming = (1..=RENAMES).try_for_each(|hash| {
            world.apply(&renamed(&hash.to_string()))?;
            world
                .kubectl(&format!("delete configmap no-host-access-{} -n {namespace}", hash - 1))
                .ok()
                .map(drop)
        });
        done.store(true, Ordering::Relaxed);
        asking.join().map_err(|_| anyhow::anyhow!("asking panicked"))??;
        renaming
    })?;
    let (asked, admitted) = (asked.into_inner(), admitted.into_inner());
    println!("           {asked} bad Pods during {RENAMES} renames, {admitted} admitted");
    ensure!(asked >= RENAMES / 2 && admitted == 0, "{admitted} of {asked} bad Pods were admitted");
    world.apply(
        &renamed(&RENAMES.to_string()).replace("hostNetwork must not be true", "by the last of them"),
    )?;
    bad_pod_is_denied(world, &shop, "by the last of them")
}

fn the_oldest_config_map_has_a_name_that_two_claim(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    world.apply(&in_config_map(&denying(world, "a", "a", "by the older"), "z-older")?)?;
    // Their age counts by the second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.apply(&in_config_map(&denying(world, "a", "a", "by the newer"), "a-newer")?)?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    world.cluster.runtime.block_on(controller.served.ready())?;
    denied(world, &shop, "a", "by the older")?;
    world.kubectl(&format!("delete configmap z-older -n {}", world.controller_namespace())).ok()?;
    denied(world, &shop, "a", "by the newer")
}
