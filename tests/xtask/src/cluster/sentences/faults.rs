//! What happens to policies in force when something else breaks.

use super::{bad_pod_is_denied, pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::proxy::Proxy;
use crate::cluster::world::{Controller, PATIENCE, SECRET, World};
use crate::load::quantile;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use portcullis::client::Client;
use serde_json::json;
use std::time::{Duration, Instant};

const MESSAGE: &str = "hostNetwork must not be true";
/// So many starts are timed.
const STARTS: usize = 5;

/// A policy that denies every ConfigMap.
const GONE: &str = "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
validations:
- expression: 'false'
  message: it is not gone";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_watch_that_is_cut_or_hangs_leaves_policies_in_force_and_edits_meanwhile_count_after_it,
        a_replica_is_not_ready_before_its_policies_are_and_then_answers_right,
        #[breaks_servers]
        what_was_missed_while_the_api_server_forgot_it_is_listed_anew,
        #[breaks_servers]
        the_api_server_restarts_and_nothing_enforced_is_lost_and_later_edits_count,
        #[breaks_servers]
        etcd_stands_still_and_what_is_in_force_is_enforced_as_before,
    ]
}

fn the_api_server_restarts_and_nothing_enforced_is_lost_and_later_edits_count(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    world.cluster.restart_api_server()?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    world.apply(&policy.replace("hostNetwork must not be true", "no host networks after the restart"))?;
    bad_pod_is_denied(world, &namespace, "no host networks after the restart")
}

fn etcd_stands_still_and_what_is_in_force_is_enforced_as_before(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    world.cluster.pause_etcd();
    let denied = world
        .kubectl(&format!("create -n {namespace} -f - --validate=false"))
        .input(&pod("bad", "hostNetwork: true"))
        .refused(&["policy `no-host-access`"]);
    world.cluster.resume_etcd();
    denied?;
    world.cluster.runtime.block_on(controller.served.ready())?;
    world.apply(&policy.replace(MESSAGE, "no host networks after that"))?;
    bad_pod_is_denied(world, &namespace, "no host networks after that")
}

fn a_watch_that_is_cut_or_hangs_leaves_policies_in_force_and_edits_meanwhile_count_after_it(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let proxy = Proxy::start(&world.cluster.runtime, vec![world.cluster.api_server.address])?;
    let controller = world.start_controller(&world.through(&kubeconfig, proxy.address)?, &[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let mut message = MESSAGE.to_owned();
    for (how, disturb) in [("cut", Proxy::cut as fn(&Proxy)), ("hanging", Proxy::hang)] {
        disturb(&proxy);
        // Whoever is denied meanwhile is by what was in force.
        let edited = format!("no host networks after a {how} watch");
        world.apply(&policy.replace(MESSAGE, &edited))?;
        for _ in 0..5 {
            bad_pod_is_denied(world, &namespace, &message)?;
        }
        world.cluster.runtime.block_on(controller.served.ready())?;
        proxy.reconnect();
        let begin = Instant::now();
        bad_pod_is_denied(world, &namespace, &edited)?;
        println!("           {how}: {:.1} s after the connection is back", begin.elapsed().as_secs_f64());
        message = edited;
    }
    Ok(())
}

fn a_replica_is_not_ready_before_its_policies_are_and_then_answers_right(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let first = world.start_controller(&kubeconfig, &[])?;
    for policy in ["isolation/no-host-access", "isolation/no-root", "images/approved-registries"] {
        world.apply(&world.library(policy)?)?;
    }
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let get = format!("get secret {SECRET} -n {} -o json", world.controller_namespace());
    let secret: Secret = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
    let ca = secret.data.and_then(|mut data| data.remove("ca.crt")).context("there is no CA")?;
    let proxy = Proxy::start(&world.cluster.runtime, vec![world.cluster.api_server.address])?;
    proxy.hang();
    let elsewhere = world.through(&kubeconfig, proxy.address)?;
    let late = world.start_controller(&elsewhere, &[])?;
    for _ in 0..20 {
        ensure!(!is_ready(world, &late)?, "it is ready without policies");
        std::thread::sleep(Duration::from_millis(50));
    }
    proxy.reconnect();
    world.cluster.runtime.block_on(late.served.ready())?;
    let answer = world.cluster.runtime.block_on(ask(&late, &ca.0, &namespace))?;
    ensure!(answer.contains(MESSAGE), "ready, and answers {answer}");
    drop((first, late));
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let controller = world.start_controller(&kubeconfig, &[])?;
        let (mut answer, mut ready) = (String::new(), false);
        while !answer.contains(MESSAGE) {
            ensure!(!ready, "ready, and answers {answer}");
            ensure!(begin.elapsed() < PATIENCE, "no right answer: {answer}");
            ensure!(!answer.contains("\"allowed\":true"), "a bad Pod is allowed: {answer}");
            ready = is_ready(world, &controller)?;
            answer = world.cluster.runtime.block_on(ask(&controller, &ca.0, &namespace)).unwrap_or_default();
        }
        times.push(begin.elapsed());
    }
    times.sort();
    println!(
        "           from a start to the first right answer, in an unoptimised build: {:.2} s (median of {STARTS})",
        quantile(&times, 0.5).as_secs_f64()
    );
    Ok(())
}

fn is_ready(world: &World<'_>, controller: &Controller) -> Result<bool> {
    let ops = controller.served.ops.as_ref().context("it has no port for operators")?;
    world
        .cluster
        .runtime
        .block_on(async { Ok(ops.connect().await?.get("/readyz").await?.status.is_success()) })
}

/// What a replica says of a bad Pod.
async fn ask(controller: &Controller, ca: &[u8], namespace: &str) -> Result<String> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "namespace": namespace, "name": "bad",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "jane"},
            "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": namespace},
                "spec": {"hostNetwork": true, "containers": [{"name": "main", "image": "registry.example.com/app:1"}]},
            },
            "oldObject": null, "dryRun": false, "options": null,
        },
    });
    let mut connection = Client::https(controller.served.address, ca)?.connect().await?;
    let reply = connection.post("/validate/fail", review.to_string().into()).await?;
    Ok(String::from_utf8_lossy(&reply.body).into_owned())
}

fn what_was_missed_while_the_api_server_forgot_it_is_listed_anew(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let proxy = Proxy::start(&world.cluster.runtime, vec![world.cluster.api_server.address])?;
    let controller = world.start_controller(&world.through(&kubeconfig, proxy.address)?, &[])?;
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    world.apply(&super::policy(world, "gone", GONE))?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let any = format!("create configmap any -n {namespace} --dry-run=server");
    world.eventually("the other is in force", || world.kubectl(&any).refused(&["gone"]).map(drop))?;
    proxy.cut();
    // One edit and one deletion that no watch will tell of: the API server knows of nothing before its start, and
    // etcd of nothing before now.
    world.apply(&policy.replace(MESSAGE, "no host networks after all was forgotten"))?;
    world.kubectl(&format!("delete configmap gone -n {}", world.controller_namespace())).ok()?;
    world.cluster.compact_etcd()?;
    world.cluster.restart_api_server()?;
    proxy.reconnect();
    bad_pod_is_denied(world, &namespace, "no host networks after all was forgotten")?;
    world.eventually("what was deleted is not in force", || world.kubectl(&any).ok().map(drop))?;
    let expired = controller.served.log().iter().filter(|line| line.contains("too old")).count();
    println!("           {expired} watches were told that their version is too old");
    ensure!(expired > 0, "no version was too old");
    Ok(())
}
