//! Load on a webhook: connections that ask again as soon as they are answered, for a fixed time.

use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use portcullis::client::Client;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What is sent, and what must come back every time.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) path: &'static str,
    pub(crate) body: Bytes,
    /// The whole body of the right answer.
    pub(crate) answer: Bytes,
}

/// What a load did.
pub(crate) struct Load {
    /// Of every request, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share (0 to 1) of the requests does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        quantile(&self.latencies, share)
    }
}

/// The value that this share (0 to 1) of sorted values does not exceed; zero of none.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// Asks over `connections` keep-alive connections for as long as `time` lasts.
///
/// # Errors
/// A request fails, or an answer is not the right one.
pub(crate) async fn apply(
    client: &Client,
    question: &Question,
    connections: usize,
    time: Duration,
) -> Result<Load> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(client.connect().await?);
    }
    let start = Instant::now();
    let mut running = JoinSet::new();
    for mut connection in open {
        let question = question.clone();
        running.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let sent = Instant::now();
                let reply = connection.post(question.path, question.body.clone()).await?;
                latencies.push(sent.elapsed());
                if !reply.status.is_success() || reply.body != question.answer {
                    bail!("a wrong answer: {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
                }
            }
            Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(connection) = running.join_next().await {
        latencies.extend(connection.context("a connection's task failed")??);
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    Ok(Load { latencies, elapsed })
}

#[cfg(test)]
mod tests {
    use super::quantile;
    use std::time::Duration;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<Duration> = (1..=101).map(Duration::from_millis).collect();
        let check = |share, expect| assert_eq!(quantile(&sorted, share), Duration::from_millis(expect));
        check(0.0, 1);
        check(0.5, 51);
        check(0.99, 100);
        check(1.0, 101);
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
