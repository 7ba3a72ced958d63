//! What users see of a policy that is in force.

use super::{bad_pod_is_admitted, bad_pod_is_denied, pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use crate::load::quantile;
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// So many edits are timed.
const EDITS: usize = 50;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_policy_applied_by_kubectl_denies_the_next_bad_pod_with_our_message_and_admits_a_good_one,
        an_edited_policy_is_enforced_within_a_second_fifty_times,
        the_library_denies_what_it_is_for_in_kubectls_error_and_admits_what_is_good,
        warn_warns_and_audit_only_records_in_the_api_servers_audit_log,
        a_server_side_dry_run_leaves_no_trace,
        an_exception_covers_a_kind_in_every_version_and_ends_when_it_expires,
        what_is_being_deleted_loses_its_finalizer_whatever_policies_say,
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

/// The whole library, as one would apply it.
fn library(world: &World<'_>) -> Result<String> {
    let policies = [
        "images/approved-registries",
        "identity/dedicated-service-account",
        "isolation/no-host-access",
        "isolation/no-root",
        "secrets/external-only",
    ];
    let texts = policies.iter().map(|policy| world.library(policy)).collect::<Result<Vec<_>>>()?;
    Ok(texts.join("\n---\n"))
}

/// A Pod's spec that the library has nothing against, with these fields in place of its own.
fn spec(change: &Value) -> Value {
    let mut spec = json!({
        "serviceAccountName": "app",
        "restartPolicy": "OnFailure",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000},
        "containers": [{
            "name": "main",
            "image": "registry.example.com/app:1",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    });
    for (name, value) in change.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    spec
}

fn object(kind: &str, change: &Value) -> String {
    let (api_version, spec) = match kind {
        "Deployment" => {
            let labels = json!({"app": "any"});
            let mut spec = spec(change);
            spec["restartPolicy"] = json!("Always");
            let template = json!({"metadata": {"labels": labels}, "spec": spec});
            ("apps/v1", json!({"selector": {"matchLabels": labels}, "template": template}))
        }
        "CronJob" => {
            let job = json!({"spec": {"template": {"spec": spec(change)}}});
            ("batch/v1", json!({"schedule": "0 0 * * *", "jobTemplate": job}))
        }
        _ => ("v1", spec(change)),
    };
    let name = json!({"name": "any"});
    json!({"apiVersion": api_version, "kind": kind, "metadata": name, "spec": spec}).to_string()
}

fn the_library_denies_what_it_is_for_in_kubectls_error_and_admits_what_is_good(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    world.kubectl(&format!("create serviceaccount app -n {namespace}")).ok()?;
    world
        .kubectl(&format!("create rolebinding tenant -n {namespace} --clusterrole=admin --user=tenant"))
        .ok()?;
    let _controller = world.controller(&[])?;
    world.apply(&library(world)?)?;
    let tenant = |args: &str| world.kubectl_as("tenant", &format!("{args} -n {namespace}"));
    world.eventually("the last of them is in force", || {
        tenant("create secret generic door --from-literal=key=value --dry-run=server")
            .refused(&["policy `external-only`"])
            .map(drop)
    })?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let evil = json!([{"name": "main", "image": "evil.example.com/app:1", "securityContext": {"allowPrivilegeEscalation": false}}]);
    let mounted = json!([{"name": "data", "image": {"reference": "evil.example.com/data:1"}}]);
    for (kind, change, expect) in [
        ("Pod", json!({"hostNetwork": true}), ["`no-host-access`", "spec.hostNetwork"]),
        (
            "Pod",
            json!({"serviceAccountName": "default"}),
            ["`dedicated-service-account`", "serviceAccountName is `default`"],
        ),
        ("Pod", json!({"volumes": mounted}), ["`approved-registries`", "spec.volumes[0].image.reference"]),
        (
            "Deployment",
            json!({"containers": evil}),
            ["`approved-registries`", "spec.template.spec.containers[0].image"],
        ),
        ("Deployment", json!({"securityContext": {}}), ["`no-root`", "spec.template.spec"]),
        (
            "CronJob",
            json!({"hostPID": true}),
            ["`no-host-access`", "spec.jobTemplate.spec.template.spec.hostPID"],
        ),
    ] {
        tenant("create -f -").input(&object(kind, &change)).refused(&expect)?;
    }
    for kind in ["Pod", "Deployment", "CronJob"] {
        let said = tenant("create -f -").input(&object(kind, &json!({}))).ok()?;
        ensure!(said.stderr.is_empty(), "{said:?}");
    }
    let said = world
        .kubectl(&format!("debug any --image=evil.example.com/debug --attach=false -n {namespace}"))
        .refused(&["policy `approved-registries`", "spec.ephemeralContainers[0].image"])?;
    println!("           {}", said.stderr.trim().lines().last().unwrap_or_default());
    tenant("create secret generic door --from-literal=key=value").refused(&["policy `external-only`"])?;
    Ok(())
}

fn warn_warns_and_audit_only_records_in_the_api_servers_audit_log(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let policy = world.library("isolation/no-host-access")?;
    let with =
        |action: &str| policy.replace("validationActions: [Deny]", &format!("validationActions: [{action}]"));
    world.apply(&policy)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let create = |name: &str| {
        world.kubectl(&format!("create -n {namespace} -f -")).input(&pod(name, "hostNetwork: true"))
    };
    world.apply(&with("Warn"))?;
    bad_pod_is_admitted(world, &namespace)?;
    let said = create("warned").ok()?;
    ensure!(
        said.stderr.starts_with("Warning: ") && said.stderr.contains("hostNetwork must not be true"),
        "{said:?}"
    );
    ensure!(said.stdout.contains("pod/warned created"), "{said:?}");
    world.apply(&with("Audit"))?;
    let mut number = 0;
    world.eventually("nobody is warned any more", || {
        number += 1;
        let said = create(&format!("audited-{number}")).ok()?;
        ensure!(said.stderr.is_empty(), "{said:?}");
        Ok(())
    })?;
    let name = format!("audited-{number}");
    world.eventually("the audit log holds it", || {
        let log = world.cluster.audit_log()?;
        // The last line may be half written.
        let mut events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is_it = |event: &Value| {
            let of = &event["objectRef"];
            event["verb"] == "create" && of["namespace"] == *namespace && of["name"] == *name
        };
        let event = events.find(is_it).context("the request is not there")?;
        let annotations = event["annotations"].as_object().into_iter().flatten();
        let mut ours = annotations.filter(|(key, _)| key.contains("portcullis.dev/"));
        let (key, failures) = ours.next().with_context(|| format!("no annotation: {event}"))?;
        let failures: Value = serde_json::from_str(failures.as_str().unwrap_or_default())?;
        ensure!(failures[0]["policy"] == "no-host-access", "{failures}");
        ensure!(failures[0]["validationActions"] == json!(["Audit"]), "{failures}");
        println!("           {key}: {failures}");
        Ok(())
    })
}

fn a_server_side_dry_run_leaves_no_trace(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let own = world.controller_namespace();
    world.apply(&world.library("isolation/no-host-access")?)?;
    let audited = world.library("images/approved-registries")?;
    world.apply(&audited.replace("validationActions: [Deny]", "validationActions: [Audit]"))?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    // What the controller keeps may still be written about the policies themselves.
    let look = || -> Result<String> {
        let mut seen = String::new();
        for get in [
            format!("get pods,events -n {namespace} -o name"),
            format!("get events -n {own} -o custom-columns=N:.metadata.name,C:.count"),
            format!("get configmaps -n {own} -o custom-columns=N:.metadata.name,V:.metadata.resourceVersion"),
        ] {
            seen += &world.kubectl(&get).ok()?.stdout;
        }
        Ok(seen)
    };
    let mut before = look()?;
    world.eventually("nothing is written any more", || {
        std::thread::sleep(Duration::from_secs(2));
        let now = look()?;
        let same = std::mem::replace(&mut before, now.clone()) == now;
        ensure!(same, "something is");
        Ok(())
    })?;
    for _ in 0..5 {
        let dry_run = format!("create -n {namespace} -f - --dry-run=server");
        world
            .kubectl(&dry_run)
            .input(&pod("bad", "hostNetwork: true"))
            .refused(&["policy `no-host-access`"])?;
        let said = world
            .kubectl(&dry_run)
            .input(&pod("good", "").replace("registry.example", "evil.example"))
            .ok()?;
        ensure!(said.stdout.contains("pod/good created (server dry run)"), "{said:?}");
    }
    std::thread::sleep(Duration::from_secs(3));
    let after = look()?;
    ensure!(before == after, "before: {before}\nafter: {after}");
    Ok(())
}

fn an_exception_covers_a_kind_in_every_version_and_ends_when_it_expires(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let scalers = super::policy(
        world,
        "no-scalers",
        "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  - {apiGroups: [autoscaling], apiVersions: \
         [v2], operations: [CREATE], resources: [horizontalpodautoscalers]}\nvalidations: [{expression: 'false', \
         message: no scalers}]",
    );
    world.apply(&scalers)?;
    let create = |version: &str, name: &str| {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "any"});
        let scaler = json!({
            "apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name}, "spec": {"maxReplicas": 2, "scaleTargetRef": target},
        });
        world.kubectl(&format!("create -n {namespace} --dry-run=server -f -")).input(&scaler.to_string())
    };
    let except = |expires: jiff::Timestamp| {
        let exception = json!({
            "apiVersion": "portcullis.dev/v1", "kind": "PolicyException", "metadata": {"name": "legacy"},
            "spec": {
                "policies": ["no-scalers"], "reason": "to be replaced", "expiresAt": expires.to_string(),
                "match": {"kinds": ["HorizontalPodAutoscaler.autoscaling"], "names": ["legacy"]},
            },
        });
        let config_map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"exception.yaml": exception.to_string()},
            "metadata": {
                "name": "legacy", "namespace": world.controller_namespace(),
                "labels": {"portcullis.dev/policy": "true", "portcullis.dev/exceptions": "true"},
            },
        });
        world.apply(&config_map.to_string())
    };
    world.eventually("it is denied", || create("v2", "legacy").refused(&["no scalers"]).map(drop))?;
    // In the version that the policy does not name, the API server converts it.
    create("v1", "legacy").refused(&["no scalers"])?;
    let hour = jiff::SignedDuration::from_hours(1);
    except(jiff::Timestamp::now() + hour)?;
    world.eventually("it is excepted", || create("v2", "legacy").ok().map(drop))?;
    create("v1", "legacy").ok()?;
    for version in ["v1", "v2"] {
        create(version, "other").refused(&["no scalers"])?;
    }
    // Nothing is written when its time has come.
    except(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3))?;
    world.eventually("it has expired", || create("v1", "legacy").refused(&["no scalers"]).map(drop))?;
    create("v2", "legacy").refused(&["no scalers"]).map(drop)
}

fn what_is_being_deleted_loses_its_finalizer_whatever_policies_say(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["example.com/any"], "labels": {"test": "held"}},
    });
    world.kubectl(&format!("create -n {namespace} -f -")).input(&held.to_string()).ok()?;
    let nothing = super::policy(
        world,
        "nothing",
        "onUpdate: Always\nvalidationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  - {apiGroups: [''], apiVersions: [v1], \
         operations: [UPDATE], resources: [configmaps]}\n  objectSelector: {matchLabels: {test: \
         held}}\nvalidations: [{expression: 'false', message: nothing at all}]",
    );
    world.apply(&nothing)?;
    let patch =
        |patch: &str| world.kubectl(&format!("patch configmap held -n {namespace} --type=merge -p={patch}"));
    let release = r#"{"metadata":{"finalizers":null}}"#;
    world.eventually("it is denied", || {
        let label = format!("label configmap held -n {namespace} --dry-run=server any=any");
        world.kubectl(&label).refused(&["nothing at all"]).map(drop)
    })?;
    patch(release).refused(&["nothing at all"])?;
    world.kubectl(&format!("delete configmap held -n {namespace} --wait=false")).ok()?;
    patch(r#"{"data":{"a":"b"}}"#).refused(&["nothing at all"])?;
    patch(release).ok()?;
    world.kubectl(&format!("get configmap held -n {namespace}")).refused(&["NotFound"]).map(drop)
}
