//! What one is told of the policies in force.

use super::{bad_pod_is_denied, pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use serde_json::Value;

const MESSAGE: &str = "hostNetwork must not be true";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        events_on_a_policy_config_map_say_what_became_of_it_and_are_not_repeated_at_a_restart,
        the_status_is_a_config_map_that_scripts_can_test,
        status_waits_for_an_edit_and_the_next_request_is_decided_by_it,
        #[breaks_servers]
        a_replica_that_cannot_reach_the_api_server_serves_on_and_says_so,
    ]
}

/// The reasons of the Events on a ConfigMap, sorted by time.
fn reasons(world: &World<'_>, name: &str) -> Result<Vec<String>> {
    let namespace = world.controller_namespace();
    let get = format!(
        "get events -n {namespace} --field-selector involvedObject.kind=ConfigMap,involvedObject.name={name} \
         --sort-by=.metadata.creationTimestamp -o json"
    );
    let list: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
    let reasons = list["items"].as_array().into_iter().flatten().filter_map(|event| event["reason"].as_str());
    Ok(reasons.map(str::to_owned).collect())
}

/// A key of the status, as a script asks for it.
fn status(world: &World<'_>, key: &str) -> Result<String> {
    let namespace = world.controller_namespace();
    let get = format!("get configmap portcullis-status -n {namespace} -o jsonpath={{.data.{key}}}");
    Ok(world.kubectl(&get).ok()?.stdout)
}

fn events_on_a_policy_config_map_say_what_became_of_it_and_are_not_repeated_at_a_restart(
    world: &mut World<'_>,
) -> Result<()> {
    let kubeconfig = world.controller_kubeconfig()?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    let (policy, other) = (world.library("isolation/no-host-access")?, world.library("isolation/no-root")?);
    world.apply(&policy)?;
    world.apply(&other)?;
    let expect = |name: &str, expected: &[&str]| {
        world.eventually(&format!("Events on {name}"), || {
            let reasons = reasons(world, name)?;
            ensure!(reasons == expected, "{reasons:?}");
            Ok(())
        })
    };
    expect("no-host-access", &["PolicyLoaded"])?;
    expect("no-root", &["PolicyLoaded"])?;
    world.apply(&other.replacen("name: no-root\n", "name: twin\n", 1))?;
    expect("twin", &["PolicyShadowed"])?;
    // As long as a replica runs, it refuses what is broken.
    drop(controller);
    world.apply(&policy.replacen("podSpec.?hostNetwork", "podSpec.?hostNetwork(", 1))?;
    world.apply(&policy.replace("name: no-host-access", "name: new").replacen(
        "matchPods: {}",
        "matchPods: []",
        1,
    ))?;
    let _next = world.start_controller(&kubeconfig, &[])?;
    expect("no-host-access", &["PolicyLoaded", "PolicyKeptOld"])?;
    expect("new", &["PolicyRefused"])?;
    expect("no-root", &["PolicyLoaded"])?;
    let namespace = world.controller_namespace();
    let described = world.kubectl(&format!("describe configmap no-host-access -n {namespace}")).ok()?.stdout;
    println!(
        "{}",
        described.lines().skip_while(|line| !line.starts_with("Events")).collect::<Vec<_>>().join("\n")
    );
    ensure!(described.contains("the version before stays in force: policy.yaml: line "), "{described}");
    Ok(())
}

fn the_status_is_a_config_map_that_scripts_can_test(world: &mut World<'_>) -> Result<()> {
    let kubeconfig = world.controller_kubeconfig()?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    let is = |key: &str, expected: &str| {
        world.eventually(&format!("{key} is {expected}"), || {
            let found = status(world, key)?;
            ensure!(found == expected, "{found}");
            Ok(())
        })
    };
    is("policies", "1")?;
    is("ready", "true")?;
    is("summary", "1 of 1 policies are in force as written\n")?;
    let said = world.portcullis("status").ok()?.stdout;
    println!("{said}");
    let row = format!("no-host-access  loaded  {}/no-host-access\n", world.controller_namespace());
    ensure!(said.starts_with("ready: 1 of 1 policies") && said.contains(&row), "{said}");
    world.portcullis("disarm").ok()?;
    is("disarmed", "true")?;
    is("ready", "false")?;
    world.portcullis("arm").ok()?;
    is("ready", "true")?;
    drop(controller);
    world.apply(&policy.replacen("matchPods: {}", "matchPods: []", 1))?;
    let _next = world.start_controller(&kubeconfig, &[])?;
    is("keptOld", "1")?;
    is("ready", "false")?;
    let said = world.portcullis("status -o json").run()?;
    let json: Value = serde_json::from_str(&said.stdout)?;
    ensure!(json["policyList"]["items"][0]["state"] == "kept-old" && json["ready"] == false, "{said:?}");
    ensure!(!said.succeeded, "a policy is invalid");
    world.kubectl(&format!("delete configmap no-host-access -n {}", world.controller_namespace())).ok()?;
    is("ready", "true")?;
    is("policies", "0")
}

fn status_waits_for_an_edit_and_the_next_request_is_decided_by_it(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    world.portcullis("status --wait").ok()?;
    bad_pod_is_denied(world, &shop, MESSAGE)?;
    let create = format!("create -n {shop} -f - --dry-run=server");
    for edit in 0..5 {
        let message = format!("by edit {edit}");
        world.apply(&policy.replace(MESSAGE, &message))?;
        world.portcullis("status --wait").ok()?;
        world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).refused(&[&message])?;
    }
    world.kubectl(&format!("delete configmap no-host-access -n {}", world.controller_namespace())).ok()?;
    world.portcullis("status --wait").ok()?;
    world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).ok().map(drop)
}

fn a_replica_that_cannot_reach_the_api_server_serves_on_and_says_so(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &shop, MESSAGE)?;
    let tell = |path: &str| world.cluster.runtime.block_on(controller.served.tell(path));
    ensure!(tell("/readyz")? == "ok\n");
    world.cluster.pause_etcd();
    let said = world.eventually("it says so", || {
        let ready = tell("/readyz")?;
        ensure!(ready.starts_with("ok, but the API server has not answered for "), "{ready}");
        let log = controller.served.log().join("\n");
        ensure!(log.contains("what is in force stays, as the API server cannot be reached"), "{log}");
        Ok(())
    });
    let metrics = tell("/metrics");
    world.cluster.resume_etcd();
    said?;
    let silence = metrics?
        .lines()
        .find_map(|line| line.strip_prefix("portcullis_api_server_silence_seconds ")?.parse().ok());
    ensure!(silence.is_some_and(|silence: f64| silence > 10.0), "{silence:?}");
    world.eventually("it answers again", || {
        ensure!(tell("/readyz")? == "ok\n");
        Ok(())
    })
}
