//! What happens to policies in force when something else breaks.

use super::{bad_pod_is_denied, pod, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::Result;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
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
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    world.cluster.pause_etcd();
    let denied = world
        .kubectl(&format!("create -n {namespace} -f - --validate=false"))
        .input(&pod("bad", "hostNetwork: true"))
        .refused(&["policy `no-host-access`"]);
    world.cluster.resume_etcd();
    denied?;
    world.cluster.runtime.block_on(controller.served.ready())
}
