//! The emergency stop.

use super::{bad_pod_is_admitted, bad_pod_is_denied, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};

const MESSAGE: &str = "hostNetwork must not be true";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        disarming_calls_everything_off_also_over_a_restart_until_it_is_armed,
        disarming_needs_no_replica_and_two_lines_of_kubectl_do_the_same,
    ]
}

fn disarming_calls_everything_off_also_over_a_restart_until_it_is_armed(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let said = world.portcullis("disarm --reason test").ok()?;
    let configuration =
        format!("validatingwebhookconfiguration.admissionregistration.k8s.io/{}", world.configuration());
    let expected = format!("configmap/portcullis-disarmed created\n{configuration} 3 entries removed\n");
    ensure!(said.stdout == expected, "{said:?}");
    bad_pod_is_admitted(world, &namespace)?;
    let said = world.portcullis("disarm").ok()?;
    ensure!(said.stdout.starts_with("configmap/portcullis-disarmed unchanged\n"), "{said:?}");
    drop(controller);
    let next = world.start_controller(&kubeconfig, &[])?;
    world.cluster.runtime.block_on(next.served.ready())?;
    // Whoever leads next (it waits for the Lease of the one that was killed) fills nothing in, though the
    // configuration itself is put back where it is missing.
    world.kubectl(&format!("delete validatingwebhookconfiguration {}", world.configuration())).ok()?;
    let get =
        format!("get validatingwebhookconfiguration {} -o jsonpath={{.webhooks}}", world.configuration());
    world.eventually("the configuration is back", || world.kubectl(&get).ok().map(drop))?;
    ensure!(world.kubectl(&get).ok()?.stdout.is_empty(), "there are entries");
    bad_pod_is_admitted(world, &namespace)?;
    let said = world.portcullis("arm").ok()?;
    ensure!(
        said.stdout == format!("configmap/portcullis-disarmed deleted\n{configuration} 3 entries\n"),
        "{said:?}"
    );
    bad_pod_is_denied(world, &namespace, MESSAGE)
}

fn disarming_needs_no_replica_and_two_lines_of_kubectl_do_the_same(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let own = world.controller_namespace();
    let kubeconfig = world.controller_kubeconfig()?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    drop(controller);
    // Fails closed: that is what one may want to get out of.
    bad_pod_is_denied(world, &namespace, "failed calling webhook")?;
    world.portcullis("disarm").ok()?;
    bad_pod_is_admitted(world, &namespace)?;
    world.portcullis("arm --timeout 0").refused(&["armed, but nobody filled in the entries within 0 s"])?;
    let next = world.start_controller(&kubeconfig, &[])?;
    world.cluster.runtime.block_on(next.served.ready())?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    world.kubectl(&format!("create configmap portcullis-disarmed -n {own}")).ok()?;
    world.kubectl(&format!("delete validatingwebhookconfiguration {}", world.configuration())).ok()?;
    bad_pod_is_admitted(world, &namespace)?;
    world.kubectl(&format!("delete configmap portcullis-disarmed -n {own}")).ok()?;
    bad_pod_is_denied(world, &namespace, MESSAGE)
}
