//! The signals that stop a server.

use crate::logs;
use anyhow::Context;
use std::thread;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether SIGTERM or SIGINT came.
#[derive(Debug)]
pub(super) struct Stop {
    told: watch::Receiver<Option<SignalKind>>,
}

impl Stop {
    /// Minds signals from now on, on a thread of its own: one that comes while the server still starts counts, too. The
    /// second one ends the process, for whoever sends it does not want to wait for requests.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let (tell, told) = watch::channel(None);
        let runtime = runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.context("signals cannot be received")?;
        let entered = runtime.enter();
        let (mut terminate, mut interrupt) = signal(SignalKind::terminate())
            .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)))
            .context("signals cannot be received")?;
        drop(entered);
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => (SignalKind::terminate(), "SIGTERM"),
                _ = interrupt.recv() => (SignalKind::interrupt(), "SIGINT"),
            }
        };
        let listening = move || {
            let (first, name) = runtime.block_on(next());
            tracing::info!("told to stop by {name}");
            tell.send_replace(Some(first));
            let (_, name) = runtime.block_on(next());
            tracing::warn!("told again to stop, by {name}; not waiting for requests");
            logs::finish();
            std::process::exit(1);
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listening)
            .context("no thread for signals")?;
        Ok(Self { told })
    }

    /// Returns once the first signal has come: which one.
    pub(super) async fn told(mut self) -> SignalKind {
        // The thread goes on for as long as the process does.
        self.told
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|told| *told)
            .unwrap_or(SignalKind::interrupt())
    }
}
