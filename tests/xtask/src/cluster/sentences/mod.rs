//! The tests, a file for each area. A test is a function whose name says what it shows.

mod answers;
mod audit;
mod certificates;
mod configuration;
mod disarm;
mod documents;
mod enforcement;
mod faults;
mod guard;
mod install;
mod lookups;
mod modules;
mod names;
mod namespaced;
mod params;
mod replicas;
mod rights;
mod rollout;
mod status;
mod storm;
mod writing;

use super::Sentence;
use super::world::World;
use anyhow::Result;

/// Tests by their functions; `#[breaks_servers]` before those that need servers of their own.
macro_rules! sentences {
    ($($(#[$mark:ident])? $test:ident),* $(,)?) => {
        vec![$(crate::cluster::Sentence {
            name: stringify!($test),
            test: $test,
            breaks_servers: sentences!(@breaks $($mark)?),
        }),*]
    };
    (@breaks breaks_servers) => { true };
    (@breaks) => { false };
}
use sentences;

/// Every test, in the order in which they run.
pub(super) fn all() -> Vec<Sentence> {
    [
        enforcement::all(),
        writing::all(),
        names::all(),
        documents::all(),
        status::all(),
        namespaced::all(),
        configuration::all(),
        certificates::all(),
        params::all(),
        lookups::all(),
        modules::all(),
        answers::all(),
        audit::all(),
        rights::all(),
        guard::all(),
        disarm::all(),
        install::all(),
        rollout::all(),
        replicas::all(),
        storm::all(),
        faults::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A ConfigMap with a Policy of this name and spec in the namespace of a controller.
fn policy(world: &World<'_>, name: &str, spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    let document =
        format!("apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n");
    let namespace = world.controller_namespace();
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"portcullis.dev/policy": "true"}},
        "data": {"policy.yaml": document},
    })
    .to_string()
}

/// A Pod with one more line in its spec.
fn pod(name: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  {more}\n  containers:\n  - name: main\n    \
         image: registry.example.com/app:1\n"
    )
}

/// Waits until a Pod in the host's network is admitted.
fn bad_pod_is_admitted(world: &World<'_>, namespace: &str) -> Result<()> {
    world.eventually("a bad Pod is admitted", || {
        let create = format!("create -n {namespace} -f - --dry-run=server");
        world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).ok().map(drop)
    })
}

/// Waits until a Pod in the host's network is denied with this message. The API server begins to ask a new
/// webhook a moment after it was configured.
fn bad_pod_is_denied(world: &World<'_>, namespace: &str, message: &str) -> Result<()> {
    world.eventually("a bad Pod is denied", || {
        let create = format!("create -n {namespace} -f - --dry-run=server");
        world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).refused(&[message]).map(drop)
    })
}

/// What `/proc` says of a process's memory, such as `VmRSS`, in KiB; none of one that has ended.
fn memory(pid: u32, field: &str) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
