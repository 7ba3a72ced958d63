//! Many policies at once.

use super::{memory, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// So many policies, written by so many at a time.
const POLICIES: (usize, usize) = (500, 8);
/// How long until all of them are enforced. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn all() -> Vec<Sentence> {
    sentences![five_hundred_policies_are_applied_and_all_changed_and_every_one_is_enforced_and_memory_returns]
}

fn five_hundred_policies_are_applied_and_all_changed_and_every_one_is_enforced_and_memory_returns(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    let pid = controller.served.pid();
    let resident = || memory(pid, "VmRSS").context("the controller has ended");
    let before = resident()?;
    let own = world.controller_namespace();
    let (count, _) = POLICIES;
    let mut told = Vec::new();
    let runtime = &world.cluster.runtime;
    let client = runtime.block_on(world.client())?;
    let policies: Api<ConfigMap> = Api::namespaced(client.clone(), &own);
    let objects: Api<ConfigMap> = Api::namespaced(client, &namespace);
    for edit in ["applied", "changed"] {
        let begin = Instant::now();
        runtime.block_on(each(&policies, move |number| policy(number, edit)))?;
        let written = begin.elapsed();
        runtime.block_on(enforced(&objects, edit))?;
        told.push(format!(
            "{edit} in {:.1} s, enforced in {:.1} s, {} KiB",
            written.as_secs_f64(),
            begin.elapsed().as_secs_f64(),
            resident()?
        ));
    }
    let full = resident()?;
    let labelled = ListParams::default().labels("portcullis.dev/policy=true");
    runtime.block_on(policies.delete_collection(&DeleteParams::default(), &labelled))?;
    world.eventually("none is enforced", || {
        let create = PostParams { dry_run: true, ..PostParams::default() };
        runtime.block_on(objects.create(&create, &object(count - 1)?))?;
        Ok(())
    })?;
    // What is not needed any more is given back once nothing has changed for ten seconds.
    let mut after = full;
    let ends = Instant::now() + Duration::from_secs(30);
    while after > before * 3 / 2 && Instant::now() < ends {
        std::thread::sleep(Duration::from_millis(100));
        after = resident()?;
    }
    println!(
        "           {count} policies: {}; resident before {before} KiB, after {after} KiB, {:.2} times",
        told.join(", "),
        after as f64 / before as f64
    );
    ensure!(after < before * 2, "memory does not return");
    world.cluster.runtime.block_on(controller.served.ready())
}

/// Writes every policy.
async fn each(api: &Api<ConfigMap>, make: impl Fn(usize) -> Value + Send + Sync + 'static) -> Result<()> {
    let (count, writers) = POLICIES;
    let make = Arc::new(make);
    let mut running = JoinSet::new();
    for writer in 0..writers {
        let (api, make) = (api.clone(), Arc::clone(&make));
        running.spawn(async move {
            let by = PatchParams::apply("storm").force();
            for number in (writer..count).step_by(writers) {
                let object = make(number);
                api.patch(&name(number), &by, &Patch::Apply(&object)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

/// Waits until every policy denies its own object, with what it says since this edit.
async fn enforced(api: &Api<ConfigMap>, edit: &str) -> Result<()> {
    let begin = Instant::now();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for number in 0..POLICIES.0 {
        let expected = format!("{edit} {number}.");
        loop {
            let said = api.create(&dry_run, &object(number)?).await.err().map(|error| error.to_string());
            if said.as_ref().is_some_and(|said| said.contains(&expected)) {
                break;
            }
            if begin.elapsed() > PATIENCE {
                bail!("`{expected}` is not enforced: {said:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("storm-{number}")
}

fn object(number: usize) -> Result<ConfigMap> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name(number)}}))?)
}

fn policy(number: usize, edit: &str) -> Value {
    let name = name(number);
    let document = format!(
        "apiVersion: portcullis.dev/v1
kind: Policy
metadata: {{name: {name}}}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
    - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}
  validations:
  - expression: object.metadata.name != '{name}'
    message: {edit} {number}.
"
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"portcullis.dev/policy": "true"}},
        "data": {"policy.yaml": document},
    })
}
