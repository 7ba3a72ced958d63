//! Policies in WebAssembly.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::World;
use crate::scaffold;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

/// Bytes that cannot be compressed: more than two ConfigMaps hold.
const LARGE: usize = 2 << 20;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_module_that_is_wrapped_and_applied_denies_be_it_in_one_config_map_or_in_parts,
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

fn a_module_that_is_wrapped_and_applied_denies_be_it_in_one_config_map_or_in_parts(
    world: &mut World<'_>,
) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let namespace = world.controller_namespace();
    let directory = tempfile::tempdir()?;
    for (name, data, config_maps) in [("small", String::new(), 1), ("large", noise(LARGE), 4)] {
        let (policy, wasm) = (directory.path().join("policy.yaml"), directory.path().join("module.wasm"));
        fs::write(&wasm, module(&data)?)?;
        fs::write(
            &policy,
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: \
                 {{portcullis.dev/policy: 'true'}}\ndata:\n  policy.yaml: |\n    apiVersion: portcullis.dev/v1\n    kind: \
                 Policy\n    metadata: {{name: {name}}}\n    spec:\n      validationActions: [Deny]\n      \
                 matchConstraints:\n        resourceRules:\n        - {{apiGroups: [''], apiVersions: [v1], operations: \
                 [CREATE], resources: [configmaps]}}\n        objectSelector: {{matchLabels: {{test: {name}}}}}\n      \
                 wasm:\n        module: module.wasm\n        settings: {{violations: [{{message: the {name} module says \
                 no}}]}}\n"
            ),
        )?;
        let files = format!("{} {}", policy.display(), wasm.display());
        let wrapped = world.offline(&format!("wrap --namespace {namespace} {files}")).ok()?.stdout;
        ensure!(
            wrapped.matches("kind: ConfigMap").count() == config_maps,
            "{name} is in {config_maps} ConfigMaps"
        );
        world.kubectl("apply --server-side -f -").input(&wrapped).ok()?;
        let bad = format!(
            r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "any", "labels": {{"test": "{name}"}}}}}}"#
        );
        let expected = format!("policy `{name}`: the {name} module says no");
        world.eventually(&expected, || {
            let call = world.kubectl(&format!("create -n {shop} --dry-run=server -f -")).input(&bad);
            call.refused(&[&expected]).map(drop)
        })?;
    }
    // A part that goes away takes nothing out of force.
    world.kubectl(&format!("delete configmap large-module-2 -n {namespace}")).ok()?;
    let get = format!("get configmap portcullis-status -n {namespace} -o json");
    world.eventually("it is kept as it was", || {
        let status: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
        let policies = status["data"]["policies"].as_str();
        let list = status["data"].as_object().context("no data")?;
        ensure!(
            policies.is_some()
                && list.values().any(|text| text.as_str().is_some_and(|text| text.contains("kept-old"))),
            "{status}"
        );
        Ok(())
    })?;
    let bad = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any", "labels": {"test": "large"}}}"#;
    let call = world.kubectl(&format!("create -n {shop} --dry-run=server -f -")).input(bad);
    call.refused(&["the large module says no"]).map(drop)
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
