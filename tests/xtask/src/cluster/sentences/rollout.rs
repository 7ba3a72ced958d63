//! Workloads that were there before a policy denied them.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Sentence> {
    sentences![a_rollout_away_from_a_violating_image_completes_after_a_switch_to_deny]
}

fn a_rollout_away_from_a_violating_image_completes_after_a_switch_to_deny(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let policy = world.library("images/approved-registries")?;
    world.apply(&policy.replace("validationActions: [Deny]", "validationActions: [Audit]"))?;
    for name in ["web", "stuck"] {
        world.apply(&deployment(name, &namespace))?;
    }
    world.eventually("both are there", || {
        for name in ["web", "stuck"] {
            available(world, &namespace, name)?;
        }
        Ok(())
    })?;
    world.apply(&policy)?;
    let create =
        format!("create deployment other --image=evil.example.com/app:1 -n {namespace} --dry-run=server");
    world.eventually("the policy denies", || {
        world.kubectl(&create).refused(&["policy `approved-registries`"]).map(drop)
    })?;
    // Away from the image: the ReplicaSet with the bad one is scaled down by the controller manager.
    world
        .kubectl(&format!("set image deployment/web main=registry.example.com/app:2 -n {namespace}"))
        .ok()?;
    world.eventually("the rollout is complete", || {
        let status = available(world, &namespace, "web")?;
        let old = replica_sets(world, &namespace, "web")?;
        ensure!(status["updatedReplicas"] == 3 && status["replicas"] == 3, "{status}");
        ensure!(
            old == [("evil.example.com/app:1".to_owned(), 0), ("registry.example.com/app:2".to_owned(), 3)],
            "{old:?}"
        );
        Ok(())
    })?;
    // A Pod of the bad image does not come back, but nothing keeps it from being scaled down.
    world.kubectl(&format!("scale deployment/stuck --replicas=1 -n {namespace}")).ok()?;
    world.eventually("it is scaled down", || {
        let found = replica_sets(world, &namespace, "stuck")?;
        ensure!(found == [("evil.example.com/app:1".to_owned(), 1)], "{found:?}");
        Ok(())
    })?;
    world.kubectl(&format!("delete pod -l app=stuck -n {namespace}")).ok()?;
    world.eventually("its Pod is denied", || {
        let get = format!(
            "get events -n {namespace} --field-selector reason=FailedCreate -o jsonpath={{.items[*].message}}"
        );
        let said = world.kubectl(&get).ok()?.stdout;
        ensure!(said.contains("policy `approved-registries`"), "{said}");
        Ok(())
    })?;
    world.kubectl(&format!("scale deployment/stuck --replicas=0 -n {namespace}")).ok()?;
    world.kubectl(&format!("delete deployment stuck -n {namespace} --timeout=30s")).ok()?;
    Ok(())
}

fn deployment(name: &str, namespace: &str) -> String {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "evil.example.com/app:1"}]},
            },
        },
    })
    .to_string()
}

/// A Deployment's status, once all of its Pods are ready: no kubelet runs here, so we say that they are.
fn available(world: &World<'_>, namespace: &str, name: &str) -> Result<Value> {
    let get = format!("get pods -l app={name} -n {namespace} -o json");
    let pods: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        if conditions.into_iter().any(|condition| condition["type"] == "Ready") {
            continue;
        }
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let patch = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
        // It may be gone by now.
        world.kubectl(&format!("patch pod {name} -n {namespace} --subresource=status -p={patch}")).run()?;
    }
    let get = format!("get deployment {name} -n {namespace} -o json");
    let deployment: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
    let status = deployment["status"].clone();
    ensure!(status["availableReplicas"] == 3, "{status}");
    Ok(status)
}

/// The images of a Deployment's ReplicaSets, and how many Pods each has; sorted.
fn replica_sets(world: &World<'_>, namespace: &str, name: &str) -> Result<Vec<(String, u64)>> {
    let get = format!("get replicasets -l app={name} -n {namespace} -o json");
    let found: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
    let sets = found["items"].as_array().into_iter().flatten();
    let mut sets: Vec<(String, u64)> = sets
        .map(|set| {
            let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
            (image.unwrap_or_default().to_owned(), set["status"]["replicas"].as_u64().unwrap_or_default())
        })
        .collect();
    sets.sort();
    Ok(sets)
}
