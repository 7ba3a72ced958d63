//! Keeps sockets attended to while a thread is at a long decision.
//!
//! Decisions run inline. Of the runtime's threads one sleeps on the sockets and the others on each other; the
//! one that wakes for a request takes the decision itself, and while it is at it nobody looks at the sockets
//! until something wakes another thread. Here is what wakes one.

use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::runtime::Handle;

/// A decision delays others by no more than this, as long as a thread is free.
const TICK: Duration = Duration::from_millis(10);

/// How many threads are at a decision.
#[derive(Debug, Default)]
pub(super) struct Busy(AtomicUsize);

impl Busy {
    /// Counts the calling thread for as long as it runs this, which does not unwind.
    pub(super) fn during<T>(&self, decide: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let decided = decide();
        self.0.fetch_sub(1, Ordering::Relaxed);
        decided
    }

    fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// The thread that wakes others. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Handover {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Handover {
    /// Wakes a sleeping thread of the runtime from time to time while others are busy.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(runtime: Handle, busy: Arc<Busy>) -> anyhow::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let wake = move || {
            // Nothing is ever sent: its other end is dropped.
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if busy.is_any() {
                    // Whoever wakes up for it and finds nothing else to do goes to sleep on the sockets.
                    runtime.spawn(async {});
                }
            }
        };
        let thread = Builder::new().name("handover".to_owned()).spawn(wake);
        Ok(Self { stop: Some(stop), thread: Some(thread.context("cannot start a thread")?) })
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics.
            let _ = thread.join();
        }
    }
}
