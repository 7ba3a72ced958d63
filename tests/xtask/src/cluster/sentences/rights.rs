//! What the controller may do, held against what it does.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::{SECRET, World};
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn all() -> Vec<Sentence> {
    sentences![the_controller_uses_every_right_it_has_and_asks_for_no_other]
}

fn the_controller_uses_every_right_it_has_and_asks_for_no_other(world: &mut World<'_>) -> Result<()> {
    let _controller = world.controller(&[])?;
    let namespace = world.controller_namespace();
    let granted = granted(world)?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    let asking = super::policy(world, "asking", super::answers::ASKING);
    world.apply(&asking)?;
    // The second module is put beside the first.
    for name in ["one", "two"] {
        world
            .kubectl("apply --server-side -f -")
            .input(&super::modules::wrapped(world, name, "no", name)?)
            .ok()?;
        let stored =
            format!("wait --for=create configmap/portcullis-accepted-modules-0 -n {namespace} --timeout=60s");
        world.kubectl(&stored).ok()?;
    }
    let shop = world.namespace("shop")?;
    // What is only done to repair has to be provoked.
    let deleted = format!("delete validatingwebhookconfiguration {}", world.configuration());
    world.kubectl(&deleted).ok()?;
    world
        .kubectl(&format!("wait --for=create configmap/portcullis-accepted-0 -n {namespace} --timeout=60s"))
        .ok()?;
    world.apply(&world.library("isolation/no-root")?)?;
    let patch = r#"{"data":{"tls.key":""}}"#;
    world.kubectl(&format!("patch secret {SECRET} -n {namespace} --type=merge -p={patch}")).ok()?;
    let user = format!("system:serviceaccount:{}:portcullis", world.controller_namespace());
    world.eventually("every right is used", || {
        world.kubectl(&format!("create configmap any -n {shop} --dry-run=server")).ok()?;
        let used = used(world, &user)?;
        ensure!(used == granted, "granted {granted:?}, used {used:?}");
        Ok(())
    })
}

/// `verb resource` for each right that the chart grants.
fn granted(world: &World<'_>) -> Result<BTreeSet<String>> {
    let namespace = world.controller_namespace();
    let roles =
        [format!("get role portcullis -n {namespace}"), format!("get clusterrole {namespace}-portcullis")];
    let mut granted = BTreeSet::new();
    for get in roles {
        let role: Value = serde_json::from_str(&world.kubectl(&format!("{get} -o json")).ok()?.stdout)?;
        for rule in role["rules"].as_array().into_iter().flatten() {
            for resource in texts(&rule["resources"]) {
                granted.extend(texts(&rule["verbs"]).map(|verb| format!("{verb} {resource}")));
            }
        }
    }
    Ok(granted)
}

/// The same for what a user did so far.
fn used(world: &World<'_>, user: &str) -> Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for line in world.cluster.audit_log()?.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if event["user"]["username"] != user {
            continue;
        }
        let (verb, resource) = (event["verb"].as_str(), event["objectRef"]["resource"].as_str());
        let right = format!("{} {}", verb.unwrap_or_default(), resource.unwrap_or_default());
        ensure!(event["responseStatus"]["code"] != 403, "forbidden: {right}, {}", event["requestURI"]);
        // Discovery is about no resource, and open to everybody (`system:discovery`).
        if resource.is_some() {
            used.insert(right);
        }
    }
    Ok(used)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
