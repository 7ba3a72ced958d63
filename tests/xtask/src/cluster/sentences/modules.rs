//! Policies in WebAssembly.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::World;
use crate::scaffold;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

/// Bytes that cannot be compressed: more than two ConfigMaps hold.
const LARGE: usize = 2 << 20;
/// So often a replica comes.
const STARTS: usize = 3;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_module_that_is_wrapped_and_applied_denies_be_it_in_one_config_map_or_in_parts,
        parts_of_one_module_are_never_put_together_with_those_of_another,
        a_module_that_is_spoilt_while_no_replica_runs_is_in_force_as_it_was_in_every_replica_that_comes,
        a_replica_that_comes_beside_another_is_ready_once_its_modules_are,
        a_policy_that_was_just_begun_denies_a_pod_and_admits_another,
    ]
}

/// A module that denies every request with the message that its settings hold as a reply, and carries these data.
fn module(data: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(module
          (memory (export "memory") 40)
          (data (i32.const 16) "{{\"errors\":[]}}")
          (data (i32.const 131072) "{data}")
          (global $next (mut i32) (i32.const 1024))
          (func (export "portcullis_abi_v1"))
          (func (export "portcullis_alloc") (param i32) (result i32)
            global.get $next
            (global.set $next (i32.add (global.get $next) (local.get 0))))
          (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32)) (i64.extend_i32_u (local.get 3))))
          (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
            (i64.const 0x000000100000000D)))"#
    );
    Ok(wat::parse_str(&text)?)
}

/// As WebAssembly text has it: the numbers of a linear congruential generator.
fn noise(bytes: usize) -> String {
    let mut state: u64 = 1;
    (0..bytes).fold(String::with_capacity(3 * bytes), |mut text, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Writing to a string cannot fail.
        let _ = write!(text, "\\{:02x}", state >> 56);
        text
    })
}

/// What `portcullis wrap` makes of a policy with a module that carries these data. It denies ConfigMaps whose label `test`
/// is its name, with a message.
pub(super) fn wrapped(world: &World<'_>, name: &str, message: &str, data: &str) -> Result<String> {
    let namespace = world.controller_namespace();
    let directory = tempfile::tempdir()?;
    let (policy, wasm) = (directory.path().join("policy.yaml"), directory.path().join("module.wasm"));
    fs::write(&wasm, module(data)?)?;
    fs::write(
        &policy,
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: \
             {{portcullis.dev/policy: 'true'}}\ndata:\n  policy.yaml: |\n    apiVersion: portcullis.dev/v1\n    kind: \
             Policy\n    metadata: {{name: {name}}}\n    spec:\n      validationActions: [Deny]\n      \
             matchConstraints:\n        resourceRules:\n        - {{apiGroups: [''], apiVersions: [v1], operations: \
             [CREATE], resources: [configmaps]}}\n        objectSelector: {{matchLabels: {{test: {name}}}}}\n      \
             wasm:\n        module: module.wasm\n        settings: {{violations: [{{message: '{message}'}}]}}\n"
        ),
    )?;
    let files = format!("{} {}", policy.display(), wasm.display());
    Ok(world.offline(&format!("wrap --namespace {namespace} {files}")).ok()?.stdout)
}

/// Waits until what a policy of [`wrapped`] matches is denied with its message.
fn denied(world: &World<'_>, namespace: &str, name: &str, message: &str) -> Result<()> {
    let bad = format!(
        r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "any", "labels": {{"test": "{name}"}}}}}}"#
    );
    let expected = format!("policy `{name}`: {message}");
    world.eventually(&expected, || {
        let call = world.kubectl(&format!("create -n {namespace} --dry-run=server -f -")).input(&bad);
        call.refused(&[&expected]).map(drop)
    })
}

/// Waits until the status says of so many policies that they are kept as they were.
fn kept_old(world: &World<'_>, count: usize) -> Result<()> {
    let get = format!("get configmap portcullis-status -n {} -o json", world.controller_namespace());
    world.eventually("they are kept as they were", || {
        let status: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
        let found = status["data"]["keptOld"].as_str().and_then(|count| count.parse().ok());
        ensure!(found == Some(count), "{}", status["data"]);
        Ok(())
    })
}

fn a_module_that_is_wrapped_and_applied_denies_be_it_in_one_config_map_or_in_parts(
    world: &mut World<'_>,
) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let namespace = world.controller_namespace();
    for (name, data, config_maps) in [("small", String::new(), 1), ("large", noise(LARGE), 4)] {
        let message = format!("the {name} module says no");
        let wrapped = wrapped(world, name, &message, &data)?;
        ensure!(
            wrapped.matches("kind: ConfigMap").count() == config_maps,
            "{name} is in {config_maps} ConfigMaps"
        );
        world.kubectl("apply --server-side -f -").input(&wrapped).ok()?;
        denied(world, &shop, name, &message)?;
    }
    // A part that goes away takes nothing out of force.
    world.kubectl(&format!("delete configmap large-module-2 -n {namespace}")).ok()?;
    kept_old(world, 1)?;
    denied(world, &shop, "large", "the large module says no")
}

fn parts_of_one_module_are_never_put_together_with_those_of_another(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let apply = |manifest: &str| world.kubectl("apply --server-side -f -").input(manifest).ok().map(drop);
    // The modules of both have one name.
    let large = noise(LARGE);
    for name in ["one", "two"] {
        apply(&wrapped(world, name, "as it was", &format!("{large}{name}"))?)?;
    }
    for name in ["one", "two"] {
        denied(world, &shop, name, "as it was")?;
    }
    kept_old(world, 0)?;
    let next = wrapped(world, "one", "as it is now", &format!("{large}three"))?;
    for part in next.split("---\n").skip(1).take(2) {
        apply(part)?;
        kept_old(world, 1)?;
        denied(world, &shop, "one", "as it was")?;
        denied(world, &shop, "two", "as it was")?;
    }
    apply(&next)?;
    denied(world, &shop, "one", "as it is now")?;
    denied(world, &shop, "two", "as it was")?;
    kept_old(world, 0)
}

fn a_module_that_is_spoilt_while_no_replica_runs_is_in_force_as_it_was_in_every_replica_that_comes(
    world: &mut World<'_>,
) -> Result<()> {
    let shop = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let namespace = world.controller_namespace();
    let caches = tempfile::tempdir()?;
    let start = |world: &World<'_>, cache: &str| {
        let directory = caches.path().join(cache);
        world.start_controller(&kubeconfig, &["--module-cache", &directory.display().to_string()])
    };
    let first = start(world, "first")?;
    let names = ["small", "large", "unreadable"];
    let large = noise(LARGE);
    for (name, data) in names.iter().zip(["", &large, ""]) {
        let wrapped = wrapped(world, name, "as it was", data)?;
        world.kubectl("apply --server-side -f -").input(&wrapped).ok()?;
        denied(world, &shop, name, "as it was")?;
    }
    let get = |world: &World<'_>, purpose: &str| -> Result<Value> {
        let get = format!("get configmaps -n {namespace} -l portcullis.dev/keeps={purpose} -o json");
        Ok(serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?)
    };
    let modules = |world: &World<'_>| -> Result<BTreeSet<String>> {
        let found = get(world, "accepted-modules")?;
        let held =
            found["items"].as_array().into_iter().flatten().flat_map(|it| it["binaryData"].as_object());
        Ok(held.flat_map(|held| held.keys()).filter_map(|key| key.get(..64)).map(str::to_owned).collect())
    };
    world.eventually("modules are stored, each once, and the texts refer to them", || {
        let (texts, modules) = (get(world, "accepted")?.to_string(), modules(world)?);
        ensure!(modules.len() == 2, "{modules:?}");
        ensure!(names.iter().all(|name| texts.contains(&format!("name: {name}"))), "{texts}");
        ensure!(modules.iter().all(|digest| texts.contains(digest)), "{modules:?}, {texts}");
        Ok(())
    })?;
    drop(first);
    // Nobody is there to keep them as they were.
    let patch = |name: &str, patch: &str| {
        world.kubectl(&format!("patch configmap {name} -n {namespace} --type=merge -p={patch}")).ok()
    };
    patch("small", r#"{"binaryData":{"module.wasm":"Z2FyYmFnZQ=="}}"#)?;
    world.kubectl(&format!("delete configmap large-module-2 -n {namespace}")).ok()?;
    patch("unreadable", r#"{"data":{"policy.yaml":"a:["}}"#)?;

    let second = start(world, "second")?;
    world.cluster.runtime.block_on(second.served.ready())?;
    names.iter().try_for_each(|name| denied(world, &shop, name, "as it was"))?;
    kept_old(world, names.len())?;
    world.eventually("Events say so", || {
        let get = format!("get events -n {namespace} -o json --field-selector reason=PolicyKeptOld");
        let events: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
        let told: BTreeSet<&str> = (events["items"].as_array().into_iter().flatten())
            .filter_map(|event| event["involvedObject"]["name"].as_str())
            .collect();
        ensure!(told == names.into_iter().collect(), "{told:?}");
        Ok(())
    })?;
    let third = start(world, "third")?;
    world.cluster.runtime.block_on(third.served.ready())?;
    world.eventually("a new replica does the same", || {
        let state = world.cluster.runtime.block_on(third.served.tell("/policies"))?;
        ensure!(state.matches("\"state\": \"kept-old\"").count() == names.len(), "{state}");
        Ok(())
    })?;
    drop(second);
    names.iter().try_for_each(|name| denied(world, &shop, name, "as it was"))?;

    // Mended ones are stored in their place, and what nothing refers to is there no longer.
    for name in names {
        let wrapped = wrapped(world, name, "mended", "another")?;
        world.kubectl("apply --server-side --force-conflicts -f -").input(&wrapped).ok()?;
        denied(world, &shop, name, "mended")?;
    }
    world.eventually("nothing else is stored", || {
        let modules = modules(world)?;
        ensure!(modules.len() == 1, "{modules:?}");
        Ok(())
    })
}

fn a_replica_that_comes_beside_another_is_ready_once_its_modules_are(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let _first = world.start_controller(&kubeconfig, &[])?;
    world.kubectl("apply --server-side -f -").input(&wrapped(world, "small", "no", "")?).ok()?;
    denied(world, &shop, "small", "no")?;
    for start in 0..STARTS {
        let cache = tempfile::tempdir()?;
        let directory = cache.path().join("modules").display().to_string();
        let next = world.start_controller(&kubeconfig, &["--module-cache", &directory])?;
        world.cluster.runtime.block_on(next.served.ready())?;
        let state = world.cluster.runtime.block_on(next.served.tell("/policies"))?;
        ensure!(state.contains("\"state\": \"loaded\""), "start {start}: {state}");
    }
    Ok(())
}

fn a_policy_that_was_just_begun_denies_a_pod_and_admits_another(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let wrapped = fs::read_to_string(scaffold::make()?.join("wrapped.yaml"))?;
    // The namespace is all that whoever installed the controller elsewhere has to edit.
    let namespace = format!("  namespace: {}\n", world.controller_namespace());
    let wrapped = wrapped.replace("  namespace: portcullis\n", &namespace);
    world.kubectl("apply --server-side -f -").input(&wrapped).ok()?;
    let create = |image: &str| {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n  - {{name: web, image: '{image}'}}\n"
        );
        world.kubectl(&format!("create -n {shop} --dry-run=server -f -")).input(&pod)
    };
    let name = scaffold::NAME;
    let expected = format!(
        "policy `{name}`: `spec.containers[0].image`: image `nginx:1.29` has no digest; add the digest: image@sha256:"
    );
    world.eventually(&expected, || create("nginx:1.29").refused(&[&expected]).map(drop))?;
    create(&format!("nginx:1.29@sha256:{}", "5e1f".repeat(16))).ok().map(drop)
}
