//! Writing the status down, and telling what changed.

use super::events::Events;
use super::{CONFIG_MAPS, NAME, POLICIES};
use crate::cluster::control::Control;
use crate::cluster::describe;
use crate::cluster::kept::Kept;
use crate::live::Generation;
use crate::status::{ConfigMapStatus, Standing, State, Told, list};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// In the label.
const PURPOSE: &str = "status";
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(100);
/// After so long it is looked what is there.
const AGAIN: Duration = Duration::from_secs(60);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);
/// How long the webhook configuration has to be in step, until it is written down that it is not.
const CONFIGURING: Duration = Duration::from_secs(1);
/// When the rest was last changed.
const CHANGED: &str = "changed";

/// Namespace and name.
type Key = (String, String);

/// What is known of what is written down.
struct Written {
    kept: Kept,
    /// What was told last of each ConfigMap.
    told: BTreeMap<Key, ConfigMapStatus>,
}

/// Writes the status down whenever it has changed, as long as we lead. For ever.
pub(in crate::cluster) async fn keep(control: Control, role: String) {
    let (events, publishing) =
        Events::new(control.client.clone(), control.metrics.clone(), control.identity.clone());
    let writing = async {
        let (mut numbers, mut leading) = (control.live.numbers(), control.leading.clone());
        let (mut disarmed, mut configured) = (control.disarmed.clone(), control.configured.subscribe());
        let mut written = None;
        loop {
            numbers.borrow_and_update();
            let generation = control.live.current().clone();
            match generation.filter(|_| *leading.borrow_and_update()) {
                None => written = None,
                Some(generation) => {
                    let off = *disarmed.borrow_and_update() == Some(true);
                    let step = configured.wait_for(|number| *number >= generation.number);
                    let in_step = off || timeout(CONFIGURING, step).await.is_ok_and(|step| step.is_ok());
                    if let Err(error) =
                        write(&control, &role, &events, &mut written, &generation, in_step, off).await
                    {
                        tracing::warn!("the status cannot be written yet: {}", describe(&error));
                        written = None;
                        sleep(RETRY).await;
                        continue;
                    }
                    sleep(PAUSE).await;
                }
            }
            tokio::select! {
                _ = numbers.changed() => {}
                _ = leading.changed() => {}
                _ = disarmed.changed() => {}
                _ = configured.changed() => {}
                // Somebody may have deleted what we know to be there.
                () = sleep(AGAIN) => written = None,
            }
        }
    };
    tokio::join!(publishing, writing);
}

async fn write(
    control: &Control,
    role: &str,
    events: &Events,
    written: &mut Option<Written>,
    generation: &Generation,
    in_step: bool,
    off: bool,
) -> kube::Result<()> {
    let Written { kept, told } = match written {
        Some(written) => written,
        None => {
            let kept = Kept::open(control, role, PURPOSE).await?;
            let told = told(&kept);
            written.insert(Written { kept, told })
        }
    };
    let standing = Standing::of(generation);
    let mut data = data(&standing, generation, in_step, off);
    data.insert("writtenBy".to_owned(), control.identity.clone());
    data.insert("namespaced".to_owned(), control.namespaced_policies.to_string());
    let before = kept.known().get(NAME).and_then(|known| known.data.as_ref());
    let changed = before.and_then(|before| before.get(CHANGED)).cloned();
    data.insert(CHANGED.to_owned(), changed.unwrap_or_default());
    if before != Some(&data) {
        data.insert(CHANGED.to_owned(), Timestamp::now().to_string());
    }
    kept.write(NAME, data).await?;
    let mut now = BTreeMap::new();
    for status in standing.config_maps {
        let key = (status.namespace.clone(), status.name.clone());
        if told.get(&key) != Some(&status) {
            events.tell(&status);
        }
        now.insert(key, status);
    }
    *told = now;
    Ok(())
}

/// What somebody else told before us.
fn told(kept: &Kept) -> BTreeMap<Key, ConfigMapStatus> {
    let text = kept.known().get(NAME).and_then(|known| known.data.as_ref()?.get(CONFIG_MAPS));
    let list: Option<Told<ConfigMapStatus>> = text.and_then(|text| serde_json::from_str(text).ok());
    let items = list.map(|list| list.items).unwrap_or_default();
    items.into_iter().map(|status| ((status.namespace.clone(), status.name.clone()), status)).collect()
}

fn data(standing: &Standing, generation: &Generation, in_step: bool, off: bool) -> BTreeMap<String, String> {
    let counts = standing.counts();
    let count = |state: State| counts.get(&state).copied().unwrap_or_default();
    let [loaded, shadowed, pending, kept_old, broken] =
        [State::Loaded, State::Shadowed, State::Pending, State::KeptOld, State::Broken].map(count);
    let problems = generation.set.problems().len() + generation.resource_problems.len();
    let refused = standing.config_maps.iter().filter(|it| it.state != State::Loaded);
    let refused: Vec<&ConfigMapStatus> = refused.collect();
    let ready = problems == 0 && in_step && !off;
    let mut summary = if off { "disarmed: nothing is enforced\n".to_owned() } else { String::new() };
    if !in_step {
        summary += "the webhook configuration is not in step with the policies\n";
    }
    summary += &format!("{loaded} of {} policies are in force as written\n", standing.policies.len());
    for ConfigMapStatus { namespace, name, state, message, .. } in refused.iter().take(10) {
        summary += &format!("{}: ConfigMap {namespace}/{name}: {message}\n", state.as_str());
    }
    let resources = &generation.resource_problems;
    resources.iter().take(10).for_each(|problem| summary += &format!("{problem}\n"));
    let told = refused.len().min(10) + resources.len().min(10);
    match refused.len() + resources.len() - told {
        0 => {}
        more => summary += &format!("and {more} more\n"),
    }
    let texts = [
        ("ready", ready.to_string()),
        ("summary", summary),
        ("policies", (loaded + pending + kept_old + broken).to_string()),
        ("loaded", loaded.to_string()),
        ("keptOld", kept_old.to_string()),
        ("broken", broken.to_string()),
        ("pending", pending.to_string()),
        ("shadowed", shadowed.to_string()),
        ("problems", problems.to_string()),
        ("configured", in_step.to_string()),
        ("disarmed", off.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        (POLICIES, list(&standing.policies, |policy| policy.state)),
        (CONFIG_MAPS, list(&standing.config_maps, |config_map| config_map.state)),
    ];
    texts.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
}
