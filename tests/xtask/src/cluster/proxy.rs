//! What stands between two servers and breaks: connections that are cut, or say nothing any more.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Carries what is said.
    Carry,
    /// Carries nothing, and closes nothing.
    Hang,
    /// Closes every connection.
    Cut,
}

/// A TCP proxy on this machine. It ends when this is dropped.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one that carries to the first of these that listens.
    ///
    /// # Errors
    /// There is no free port.
    pub(crate) fn start(runtime: &Runtime, targets: Vec<SocketAddr>) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("there is no free port")?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Carry);
        let targets = Arc::new(Mutex::new(targets));
        let of = Arc::clone(&targets);
        let accepting = runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, modes.clone(), Arc::clone(&of)));
            }
        });
        Ok(Self { address, mode, targets, accepting })
    }

    /// Carries new connections elsewhere.
    pub(crate) fn lead_to(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// Closes every connection, and every one that comes.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Carries nothing any more, and closes nothing.
    pub(crate) fn hang(&self) {
        self.mode.send_replace(Mode::Hang);
    }

    /// Carries new connections again; those that hung are closed.
    pub(crate) fn reconnect(&self) {
        self.mode.send_replace(Mode::Carry);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn carry(mut from: TcpStream, mut modes: watch::Receiver<Mode>, targets: Arc<Mutex<Vec<SocketAddr>>>) {
    let Ok(mode) = modes.wait_for(|mode| *mode != Mode::Hang).await.map(|mode| *mode) else { return };
    if mode == Mode::Cut {
        return;
    }
    let targets = targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for target in targets {
        let Ok(mut to) = TcpStream::connect(target).await else { continue };
        tokio::select! {
            // Either side ends it.
            _ = copy_bidirectional(&mut from, &mut to) => {}
            _ = modes.wait_for(|mode| *mode != Mode::Carry) => {}
        }
        // It stays open as long as it hangs.
        let _ = modes.wait_for(|mode| *mode != Mode::Hang).await;
        return;
    }
}
