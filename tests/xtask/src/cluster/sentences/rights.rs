//! What the controller may do, held against what it does.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn all() -> Vec<Sentence> {
    sentences![the_controller_uses_every_right_it_has_and_asks_for_no_other]
}

fn the_controller_uses_every_right_it_has_and_asks_for_no_other(world: &mut World<'_>) -> Result<()> {
    let _controller = world.controller(&[])?;
    let user = format!("system:serviceaccount:{}:portcullis", world.controller_namespace());
    let granted: BTreeSet<String> =
        ["list configmaps", "watch configmaps", "list namespaces", "watch namespaces"]
            .map(str::to_owned)
            .into();
    world.eventually("every right is used", || {
        let mut used = BTreeSet::new();
        for line in world.cluster.audit_log()?.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["user"]["username"] != user.as_str() {
                continue;
            }
            let (verb, resource) = (event["verb"].as_str(), event["objectRef"]["resource"].as_str());
            let right = format!("{} {}", verb.unwrap_or_default(), resource.unwrap_or_default());
            ensure!(event["responseStatus"]["code"] != 403, "forbidden: {right}");
            used.insert(right);
        }
        ensure!(used == granted, "granted {granted:?}, used {used:?}");
        Ok(())
    })?;
    Ok(())
}
