//! Keeping a watch going, whatever happens to the connection.

use super::describe;
use futures_util::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

/// How long a watch may last until it is asked for again. A connection that is dead without a word is noticed
/// five seconds later.
const WATCH: u32 = 60;
/// So many objects are listed at once: each may have 1 MiB and more, and is there whole before a part of it is kept.
const PAGE: u32 = 50;
/// Pauses between attempts, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A watch on everything of a kind, unless it is narrowed.
pub(super) fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH).page_size(PAGE)
}

/// Hands on every event of a watch, for ever. What goes wrong is logged once, and so is its end.
pub(super) async fn follow<K>(api: Api<K>, config: watcher::Config, mut take: impl FnMut(Event<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let take = |event| {
        take(event);
        ControlFlow::Continue(())
    };
    follow_until(api, config, take, |_| false).await;
}

/// The same, until `take` has enough of it, or something goes wrong of which `broken` says that it will not pass.
pub(super) async fn follow_until<K>(
    api: Api<K>,
    config: watcher::Config,
    mut take: impl FnMut(Event<K>) -> ControlFlow<()>,
    mut broken: impl FnMut(&watcher::Error) -> bool,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let what = api.resource_url().to_owned();
    let (first, longest) = PAUSES;
    let mut pause = first;
    let mut trouble: Option<String> = None;
    let mut events = pin!(watcher(api, config));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // It says that a list is to come, which may yet fail.
                if !matches!(event, Event::Init) {
                    pause = first;
                    if trouble.take().is_some() {
                        tracing::info!(%what, "the watch goes on");
                    }
                }
                if take(event).is_break() {
                    return;
                }
            }
            Err(error) if broken(&error) => return,
            Err(error) => {
                let message = describe(&error);
                if trouble.as_ref() != Some(&message) {
                    tracing::warn!(%what, "what was known stays, as the watch failed: {message}");
                    trouble = Some(message);
                }
                tokio::time::sleep(pause).await;
                pause = longest.min(pause * 2);
            }
        }
    }
}
