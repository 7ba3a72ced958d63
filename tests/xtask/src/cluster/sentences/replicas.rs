//! Replicas that go, and those that stay.

use super::{bad_pod_is_admitted, bad_pod_is_denied, policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::pressure::{End, Ends, Pressure, Question, count};
use crate::cluster::proxy::Proxy;
use crate::cluster::world::{Controller, SECRET, World};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;

const MESSAGE: &str = "hostNetwork must not be true";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_webhook_killed_under_load_fails_closed_for_fail_and_open_for_ignore_and_in_kube_system,
        killing_every_replica_with_audit_only_policies_blocks_nothing,
        of_two_replicas_one_is_killed_under_load_and_nothing_is_answered_wrongly_and_the_leader_moves,
    ]
}

fn pod(network: bool) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "any"},
        "spec": {"hostNetwork": network, "containers": [{"name": "main", "image": "registry.example.com/app:1"}]},
    })
}

fn ask(name: &'static str, namespace: &str, object: Value) -> Question {
    Question { name, namespace: namespace.to_owned(), object }
}

/// A policy of class `ignore`.
const WARNED: &str = "validationActions: [Warn]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
validations:
- expression: 'false'
  message: just so";

fn a_webhook_killed_under_load_fails_closed_for_fail_and_open_for_ignore_and_in_kube_system(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    world.apply(&policy(world, "warned", WARNED))?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    bad_pod_is_denied(world, "kube-system", MESSAGE)?;
    let create = format!("create configmap any -n {namespace} --dry-run=server");
    world.eventually("one is warned", || {
        let said = world.kubectl(&create).ok()?;
        ensure!(said.stderr.contains("just so"), "{said:?}");
        Ok(())
    })?;
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any"}});
    let pressure = Pressure::start(
        world,
        vec![
            ask("good", &namespace, pod(false)),
            ask("bad", &namespace, pod(true)),
            ask("ignored", &namespace, config_map),
            ask("critical", "kube-system", pod(true)),
        ],
    )?;
    std::thread::sleep(Duration::from_secs(1));
    let alive = pressure.take();
    drop(controller);
    std::thread::sleep(Duration::from_secs(2));
    let dead = pressure.end(world)?;
    println!("           alive {}; killed {}", show(&alive), show(&dead));
    let only = |ends: &Ends, name: &'static str, may: &[End]| {
        let wrong: Vec<_> = ends.keys().filter(|(of, end)| *of == name && !may.contains(end)).collect();
        ensure!(wrong.is_empty(), "{wrong:?} in {ends:?}");
        for end in may {
            ensure!(count(ends, name, end.clone()) > 0, "`{name}` never ended {end:?}: {ends:?}");
        }
        Ok(())
    };
    only(&alive, "good", &[End::Admitted])?;
    only(&alive, "bad", &[End::Denied])?;
    only(&alive, "ignored", &[End::Admitted])?;
    only(&alive, "critical", &[End::Denied])?;
    // Those under way when it was killed may have been answered yet.
    let settled = |name: &'static str, end: &End, before: &End| {
        let wrong: Vec<_> = dead.keys().filter(|(of, is)| *of == name && is != end && is != before).collect();
        ensure!(wrong.is_empty() && count(&dead, name, end.clone()) > 0, "{name}: {dead:?}");
        Ok(())
    };
    settled("good", &End::Closed, &End::Admitted)?;
    settled("bad", &End::Closed, &End::Denied)?;
    settled("ignored", &End::Admitted, &End::Admitted)?;
    settled("critical", &End::Admitted, &End::Denied)
}

fn show(ends: &Ends) -> String {
    let shown = ends.iter().map(|((name, end), count)| format!("{name} {end:?} {count}"));
    shown.collect::<Vec<_>>().join(", ")
}

fn killing_every_replica_with_audit_only_policies_blocks_nothing(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let replicas = [world.start_controller(&kubeconfig, &[])?, world.start_controller(&kubeconfig, &[])?];
    for policy in ["isolation/no-host-access", "isolation/no-root", "images/approved-registries"] {
        let text = world.library(policy)?;
        ensure!(text.contains("validationActions: [Deny]"), "`{policy}` does not deny");
        world.apply(&text.replace("validationActions: [Deny]", "validationActions: [Audit]"))?;
    }
    let get = format!(
        "get validatingwebhookconfiguration {} -o jsonpath={{.webhooks[*].failurePolicy}}",
        world.configuration()
    );
    world.eventually("the entries are there", || {
        let policies = world.kubectl(&get).ok()?.stdout;
        ensure!(policies.split(' ').count() == 3 && !policies.contains("Fail"), "{policies}");
        Ok(())
    })?;
    drop(replicas);
    for create in ["deployment web --image=evil.example.com/web", "job once --image=evil.example.com/job"] {
        world.kubectl(&format!("create {create} -n {namespace} --dry-run=server")).ok()?;
    }
    bad_pod_is_admitted(world, &namespace)
}

fn of_two_replicas_one_is_killed_under_load_and_nothing_is_answered_wrongly_and_the_leader_moves(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    // In the place of a Service.
    let service = Proxy::start(&world.cluster.runtime, Vec::new())?;
    let url = format!("--webhook-url=https://{}", service.address);
    let (own, configuration) = (world.controller_namespace(), world.configuration());
    let flags =
        ["--namespace", &own, "--webhook-configuration", &configuration, "--cert-secret", SECRET, &url];
    let mut replicas = vec![world.start_with(&kubeconfig, &flags)?, world.start_with(&kubeconfig, &flags)?];
    for replica in &replicas {
        world.cluster.runtime.block_on(replica.served.ready())?;
    }
    let addresses = |replicas: &[Controller]| replicas.iter().map(|replica| replica.served.address).collect();
    world.apply(&world.library("isolation/no-host-access")?)?;
    let get = format!("get lease portcullis -n {own} -o jsonpath={{.spec.holderIdentity}}");
    let mut leader = String::new();
    world.eventually("somebody leads", || {
        leader = world.kubectl(&get).ok()?.stdout;
        ensure!(!leader.is_empty(), "nobody does");
        Ok(())
    })?;
    let leads = |replica: &Controller| leader.ends_with(&format!("-{}", replica.served.pid()));
    let index = replicas.iter().position(leads).context("none of these leads")?;
    replicas.swap(0, index);
    // All connections go to the one that leads, and will be killed.
    service.lead_to(addresses(&replicas));
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let questions = || {
        (0..3)
            .flat_map(|_| [ask("good", &namespace, pod(false)), ask("bad", &namespace, pod(true))])
            .collect()
    };
    let pressure = Pressure::start(world, questions())?;
    std::thread::sleep(Duration::from_secs(1));
    drop(replicas.remove(0));
    std::thread::sleep(Duration::from_secs(2));
    let ends = pressure.take();
    println!("           around the end of one: {}", show(&ends));
    ensure!(count(&ends, "good", End::Admitted) > 0 && count(&ends, "bad", End::Denied) > 0, "{ends:?}");
    // Only what was under way fails, and it fails closed.
    let right = |(name, end): &(&str, End)| match end {
        End::Admitted => *name == "good",
        End::Denied => *name == "bad",
        End::Closed => true,
        End::Other(_) => false,
    };
    ensure!(ends.keys().all(right), "{ends:?}");
    let closed = count(&ends, "good", End::Closed) + count(&ends, "bad", End::Closed);
    ensure!(closed <= 6, "{closed} requests failed, of which six at most were under way");
    world.eventually("another leads", || {
        let next = world.kubectl(&get).ok()?.stdout;
        ensure!(next != leader && !next.is_empty(), "`{next}` leads");
        Ok(())
    })?;
    let ends = pressure.end(world)?;
    ensure!(ends.keys().all(|(name, end)| right(&(*name, end.clone())) && *end != End::Closed), "{ends:?}");
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy.replace(MESSAGE, "no host networks under the next leader"))?;
    bad_pod_is_denied(world, &namespace, "no host networks under the next leader")
}
