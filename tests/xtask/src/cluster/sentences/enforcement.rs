//! What users see of a policy that is in force.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::Result;

pub(super) fn all() -> Vec<Sentence> {
    sentences![a_policy_applied_by_kubectl_denies_the_next_bad_pod_with_our_message_and_admits_a_good_one]
}

fn a_policy_applied_by_kubectl_denies_the_next_bad_pod_with_our_message_and_admits_a_good_one(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    world.register(&controller, "/validate/fail", "Fail")?;
    let create = |pod: &str| world.kubectl(&format!("create -n {namespace} -f -")).input(pod);
    // The API server begins to ask a new webhook a moment after it was configured.
    world.apply(&world.library("isolation/no-host-access")?)?;
    world.eventually("a bad Pod is denied", || {
        create(&pod("bad-dry", "hostNetwork: true")).run()?;
        create(&pod("bad", "hostNetwork: true"))
            .refused(&["denied the request: policy `no-host-access`", "spec.hostNetwork"])
            .map(drop)
    })?;
    create(&pod("good", "")).ok()?;
    Ok(())
}

/// A Pod with one more line in its spec.
fn pod(name: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  {more}\n  containers:\n  - name: main\n    \
         image: registry.example.com/app:1\n"
    )
}
