//! The thread on which everything runs that talks to the cluster, so that no request waits for it.

use anyhow::Context;
use std::future::Future;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};

/// The running thread. It ends when this is dropped, and all that runs on it.
#[derive(Debug)]
pub(super) struct Worker {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; nothing runs on it yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("cluster".to_owned())
            .spawn(move || {
                // Its sender is never used: it is dropped.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .context("cannot start a thread")?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs something to its end and waits for that; not to be called from an async task.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (send, done) = std::sync::mpsc::sync_channel(1);
        self.spawn(async move {
            // Nobody waits any more only if the caller died.
            let _ = send.send(future.await);
        });
        done.recv().context("the cluster's thread has ended")
    }

    /// Runs something to its end, which may be awaited anywhere.
    pub(super) fn call<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(future)
    }

    /// Runs something for as long as the thread does, unless it is aborted.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(future).abort_handle()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ended by a panic that was logged when it happened.
            let _ = thread.join();
        }
    }
}
