//! What one is told who writes policies.

use super::{bad_pod_is_denied, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};

const MESSAGE: &str = "hostNetwork must not be true";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_wrong_policy_is_refused_with_line_and_caret_and_what_is_in_force_stays,
        a_sound_policy_that_is_hardly_as_meant_is_taken_with_a_warning,
        without_a_controller_policies_are_edited_and_deleted_all_the_same,
    ]
}

/// The policy of these tests with one word replaced.
fn with(world: &World<'_>, old: &str, new: &str) -> Result<String> {
    let policy = world.library("isolation/no-host-access")?;
    ensure!(policy.contains(old), "the policy has no `{old}`");
    Ok(policy.replacen(old, new, 1))
}

fn a_wrong_policy_is_refused_with_line_and_caret_and_what_is_in_force_stays(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let said = world
        .kubectl("apply -f -")
        .input(&with(world, "podSpec.?hostNetwork.orValue(false)", "podSpec.?hostNetwork.orValue(fals)")?)
        .refused(&[
            "The ConfigMap \"no-host-access\" is invalid: data[policy.yaml]: error[expression]",
            "undeclared reference to 'fals'",
            "--> policy.yaml:25:46",
            " ^^^^\n",
            "in: no-host-access, spec.validations[0].expression",
        ]);
    let said = said?;
    println!("{}", said.stderr);
    for (old, new, expect) in [
        (
            "validationActions: [Deny]",
            "validationActions: [Block]",
            "must be `Deny`, `Warn` or `Audit`, found `Block`",
        ),
        ("matchPods: {}", "matchPod: {}", "did you mean `matchPods`?"),
        ("kind: Policy\n", "kind: Polic\n", "unknown kind `Polic`"),
        ("matchPods: {}", "matchPods: {", "--> policy.yaml:"),
        ("policy.yaml: |", "policy.txt: |", "keys must end in `.yaml`, `.yml` or `.json`"),
        (
            "portcullis.dev/policy: \"true\"",
            "portcullis.dev/policy: \"yes\"",
            "must be `\"true\"`, found `yes`",
        ),
    ] {
        world.kubectl("apply -f -").input(&with(world, old, new)?).refused(&[expect])?;
    }
    bad_pod_is_denied(world, &namespace, MESSAGE)
}

fn a_sound_policy_that_is_hardly_as_meant_is_taken_with_a_warning(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let said = world.apply(&with(
        world,
        "      validations:",
        "      variables: [{name: idle, expression: '1'}]\n      validations:",
    )?)?;
    ensure!(said.stderr.contains("Warning: no-host-access, spec.variables[0]"), "{said:?}");
    let said = world.apply(&with(world, "name: no-host-access\n  namespace", "name: other\n  namespace")?)?;
    ensure!(
        said.stderr.contains("policy `no-host-access` is in ConfigMap `no-host-access`, too, which counts"),
        "{said:?}"
    );
    Ok(())
}

fn without_a_controller_policies_are_edited_and_deleted_all_the_same(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    drop(controller);
    world.apply(&with(world, MESSAGE, "edited")?)?;
    world
        .kubectl(&format!("delete configmap no-host-access -n {}", world.controller_namespace()))
        .ok()
        .map(drop)
}
