//! A webhook as users run it: `portcullis serve` as a child process, on free ports, with its log at hand.

use anyhow::{Context, Result, bail};
use portcullis::client::Client;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a child may take until it listens.
const START: Duration = Duration::from_secs(30);
/// How long it may take to load all modules.
const LOADING: Duration = Duration::from_secs(300);

/// A running child that listens. It is killed when this is dropped.
pub(crate) struct Launched {
    child: Child,
    log: Log,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Asks the operator's port, where the child has one.
    pub(crate) ops: Option<Client>,
}

/// The same, with a certificate that it made for itself.
pub(crate) struct Served {
    launched: Launched,
    /// Asks the webhook.
    pub(crate) webhook: Client,
    _certificates: TempDir,
}

/// `program serve` on free ports, with a log that we can read.
pub(crate) fn serve(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-format", "json"]);
    command
}

impl Served {
    /// Starts `program serve` with these policies, and more flags if need be. Returns when it listens, which
    /// may be before its policies are in force.
    ///
    /// # Errors
    /// It ends, or does not say in time where it listens; with its log.
    pub(crate) fn portcullis(program: &Path, policies: &[&Path], more: &[&str]) -> Result<Self> {
        let mut command = serve(program);
        for directory in policies {
            command.arg("--policies").arg(directory);
        }
        command.args(more);
        Self::start(command)
    }

    /// Starts a command that takes `--cert-dir` and logs as [`Launched::start`] wants it.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let certificates = tempfile::tempdir()?;
        command.arg("--cert-dir").arg(certificates.path());
        let launched = Launched::start(command)?;
        let ca = std::fs::read(certificates.path().join("ca.crt")).context("the child wrote no `ca.crt`")?;
        let webhook = Client::https(launched.address, &ca)?;
        Ok(Self { launched, webhook, _certificates: certificates })
    }
}

impl Deref for Served {
    type Target = Launched;

    fn deref(&self) -> &Launched {
        &self.launched
    }
}

impl Launched {
    /// Starts a command that logs, as JSON to standard error, the `address` on which it listens and that of its
    /// operator's port as `ops`.
    ///
    /// # Errors
    /// It ends, or does not say in time where it listens; with its log.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let name = format!("`{}`", command.get_program().to_string_lossy());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stderr = child.stderr.take().context("the child has no standard error")?;
        let (log, lines) = Log::follow(BufReader::new(stderr));
        match listening(&lines) {
            Ok((address, ops)) => Ok(Self { child, log, address, ops: ops.map(Client::http) }),
            Err(error) => {
                end(&mut child);
                Err(error.context(format!("{name} does not serve:\n{}", log.lines().join("\n"))))
            }
        }
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the child has logged so far, a line each.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// What the child's operator's port tells under a path.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn tell(&self, path: &str) -> Result<String> {
        let ops = self.ops.as_ref().context("the child has no operator's port")?;
        let reply = ops.connect().await?.get(path).await?;
        Ok(String::from_utf8(reply.body.to_vec())?)
    }

    /// Waits until the child says that it is ready.
    ///
    /// # Errors
    /// It is not within the time that a start may take.
    pub(crate) async fn ready(&self) -> Result<()> {
        let ops = self.ops.as_ref().context("the child has no operator's port")?;
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(mut connection) = ops.connect().await
                && connection.get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the webhook is not ready after {} s:\n{}", START.as_secs(), self.log().join("\n"))
    }
}

impl Launched {
    /// Waits until the child has loaded the modules of its policies, or refused them.
    ///
    /// # Errors
    /// It has not within the time that this may take.
    pub(crate) async fn settled(&self) -> Result<()> {
        let is_pending = |line: &str| {
            line.strip_prefix("portcullis_policies{state=\"pending\"} ").is_some_and(|count| count != "0")
        };
        let deadline = Instant::now() + LOADING;
        while self.tell("/metrics").await?.lines().any(is_pending) {
            if Instant::now() >= deadline {
                bail!("modules are pending after {} s:\n{}", LOADING.as_secs(), self.log().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a child and waits for its end. It fails only for a child that has ended.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The addresses in the first line that has one.
fn listening(lines: &Receiver<String>) -> Result<(SocketAddr, Option<SocketAddr>)> {
    let deadline = Instant::now() + START;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let Ok(fields) = serde_json::from_str::<Value>(&line) else { continue };
                let address = |name: &str| fields[name].as_str()?.parse().ok();
                if let Some(webhook) = address("address") {
                    return Ok((webhook, address("ops")));
                }
            }
            Err(RecvTimeoutError::Timeout) => bail!("it does not listen after {} s", START.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended"),
        }
    }
}

/// The lines that a child writes, kept as they come.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Keeps every line, and sends it too for as long as somebody listens.
    fn follow(source: impl BufRead + Send + 'static) -> (Self, Receiver<String>) {
        let log = Self::default();
        let (sender, receiver) = channel();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in source.lines().map_while(Result::ok) {
                kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
                // Nobody listens once the child is up.
                let _ = sender.send(line);
            }
        });
        (log, receiver)
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
