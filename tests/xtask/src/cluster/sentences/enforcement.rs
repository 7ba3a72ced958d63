//! What users see of a policy that is in force.

use super::{bad_pod_is_denied, pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use crate::load::quantile;
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use std::time::{Duration, Instant};

/// So many edits are timed.
const EDITS: usize = 50;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_policy_applied_by_kubectl_denies_the_next_bad_pod_with_our_message_and_admits_a_good_one,
        an_edited_policy_is_enforced_within_a_second_fifty_times,
    ]
}

fn a_policy_applied_by_kubectl_denies_the_next_bad_pod_with_our_message_and_admits_a_good_one(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(
        world,
        &namespace,
        "policy `no-host-access`: `spec.hostNetwork`: hostNetwork must not",
    )?;
    world.kubectl(&format!("create -n {namespace} -f -")).input(&pod("good", "")).ok()?;
    Ok(())
}

fn an_edited_policy_is_enforced_within_a_second_fifty_times(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let text = world
        .kubectl(&format!("get configmap no-host-access -n {} -o json", world.controller_namespace()))
        .ok()?
        .stdout;
    let text: ConfigMap = serde_json::from_str(&text)?;
    let text = text.data.and_then(|mut data| data.remove("policy.yaml")).context("the policy has no text")?;
    let mut times = world.cluster.runtime.block_on(async {
        let client = world.client().await?;
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &world.controller_namespace());
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        let mut times = Vec::new();
        for edit in 0..EDITS {
            let message = format!("no host network by edit {edit}.");
            let text = text.replace("hostNetwork must not be true", &message);
            let patch = Patch::Merge(json!({"data": {"policy.yaml": text}}));
            config_maps.patch("no-host-access", &PatchParams::default(), &patch).await?;
            times.push(until_denied(&pods, &message).await?);
        }
        anyhow::Ok(times)
    })?;
    times.sort();
    println!(
        "           from the answer to an edit to its enforcement: p50 {:.0} ms, p99 {:.0} ms",
        quantile(&times, 0.5).as_secs_f64() * 1e3,
        quantile(&times, 0.99).as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Asks with a dry run until a bad Pod is denied with this message.
async fn until_denied(pods: &Api<Pod>, message: &str) -> Result<Duration> {
    let bad: Pod = serde_json::from_value(json!({
        "metadata": {"name": "bad"},
        "spec": {"hostNetwork": true, "containers": [{"name": "main", "image": "registry.example.com/app:1"}]},
    }))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        match pods.create(&dry_run, &bad).await {
            Err(error) if error.to_string().contains(message) => return Ok(begin.elapsed()),
            Err(kube::Error::Api(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => bail!("a bad Pod was admitted while the policy was edited"),
        }
    }
    bail!("`{message}` is not enforced after a second")
}
