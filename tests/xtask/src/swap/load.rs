//! Requests at a steady rate, each checked: it must be answered, by one version, and never by one older than
//! any that was seen before it was sent.

use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use portcullis::client::{Client, Connection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Keep-alive connections that share the rate.
const CONNECTIONS: u32 = 8;
/// At most this many failures are kept; all are counted.
const MAX_LISTED: usize = 10;

const REVIEW: &str = r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
  "uid": "0d8d2c1e-53a1-4a3a-8f2f-9f0c5d6b7a81", "operation": "CREATE", "name": "settings", "namespace": "shop",
  "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
  "resource": {"group": "", "version": "v1", "resource": "configmaps"},
  "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
  "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}}}}"#;

/// Sends one review and returns the version that both policies say.
///
/// # Errors
/// There is no right answer, or the policies say different versions.
pub(super) async fn ask(connection: &mut Connection) -> Result<u64> {
    let reply = connection.post("/validate", Bytes::from_static(REVIEW.as_bytes())).await?;
    let text = String::from_utf8_lossy(&reply.body);
    if !reply.status.is_success() || !text.contains("\"allowed\":true") {
        bail!("a request was not allowed: HTTP {}: {text}", reply.status);
    }
    match *versions(&text) {
        [one, two] if one == two => Ok(one),
        _ => bail!("an answer by half a set: {text}"),
    }
}

/// Every `version-N-` in a text.
fn versions(text: &str) -> Vec<u64> {
    let pieces = text.split("version-").skip(1);
    pieces.filter_map(|piece| piece.split_once('-')?.0.parse().ok()).collect()
}

/// What was asked, and what went wrong.
#[derive(Default)]
pub(super) struct Asked {
    /// Of every request from when it was due, sorted.
    pub(super) latencies: Vec<Duration>,
    /// How many requests failed.
    pub(super) failed: usize,
    /// What was wrong with the first of them.
    pub(super) failures: Vec<String>,
}

/// Requests that go on until they are stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    running: JoinSet<Asked>,
}

impl Load {
    /// Asks `rate` times per second.
    pub(super) async fn start(client: &Client, rate: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let newest = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        for number in 0..CONNECTIONS {
            let asker = Asker {
                connection: client.connect().await.context("cannot load the webhook")?,
                client: client.clone(),
                newest: Arc::clone(&newest),
                stop: Arc::clone(&stop),
            };
            let every = Duration::from_secs(1) * CONNECTIONS / rate;
            running.spawn(asker.run(every / CONNECTIONS * number, every));
        }
        Ok(Self { stop, running })
    }

    /// Stops asking and says what came of it.
    pub(super) async fn stop(mut self) -> Asked {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Asked::default();
        while let Some(asked) = self.running.join_next().await {
            let asked = asked.unwrap_or_else(|error| Asked {
                failed: 1,
                failures: vec![format!("a connection's task failed: {error}")],
                ..Asked::default()
            });
            all.latencies.extend(asked.latencies);
            all.failed += asked.failed;
            all.failures.extend(asked.failures);
        }
        all.latencies.sort_unstable();
        all.failures.truncate(MAX_LISTED);
        all
    }
}

/// One connection's share of the load.
struct Asker {
    client: Client,
    connection: Connection,
    /// The newest version that was in any answer.
    newest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Asker {
    async fn run(mut self, first: Duration, every: Duration) -> Asked {
        let mut asked = Asked::default();
        let mut due = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !self.stop.load(Ordering::Relaxed) {
            let due: Instant = due.tick().await.into();
            let result = self.ask().await;
            asked.latencies.push(due.elapsed());
            if let Err(error) = result {
                asked.failed += 1;
                if asked.failures.len() < MAX_LISTED {
                    asked.failures.push(format!("{error:#}"));
                }
                // A connection that broke stays broken; so does one that cannot be opened again.
                match self.client.connect().await {
                    Ok(connection) => self.connection = connection,
                    Err(_) => break,
                }
            }
        }
        asked
    }

    async fn ask(&mut self) -> Result<()> {
        let newest = self.newest.load(Ordering::SeqCst);
        let version = ask(&mut self.connection).await?;
        self.newest.fetch_max(version, Ordering::SeqCst);
        if version < newest {
            bail!("version {version} came back after version {newest}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn versions_are_found_where_they_are_whole() {
        let check = |text: &str, expect: &[u64]| assert_eq!(versions(text), expect, "{text}");
        check(r#"{"warnings":["version-12-"],"auditAnnotations":{"a":"version-12-"}}"#, &[12, 12]);
        check("version-1", &[]);
        check("version-x-version-3-", &[3]);
    }
}
