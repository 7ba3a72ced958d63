//! Processes that end with us, however we end, and the folders they write to.
//!
//! A shell in a process group of its own is told of every child and folder, and waits for the end of its
//! standard input. That comes when we are gone, be it by Ctrl-C, by a panic or by SIGKILL: then it kills and
//! removes what is left.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a child may take to end by itself.
const END: Duration = Duration::from_secs(10);
/// How much of a log is shown: lines, and characters of each.
const TAIL: (usize, usize) = (20, 300);

const UNDERTAKER: &str = r#"
trap '' INT TERM HUP
children=" " folders=""
while read -r what which; do
  case $what in
    child) children="$children$which " ;;
    ended) children=$(printf '%s' "$children" | sed "s/ $which / /") ;;
    folder) folders="$which" ;;
    done) exit 0 ;;
  esac
done
for child in $children; do kill -9 "$child"; done 2>/dev/null
[ -z "$folders" ] || rm -rf "$folders"
"#;

/// Outlives us, and cleans up.
#[derive(Debug)]
pub(super) struct Undertaker {
    shell: Child,
    words: Mutex<Option<ChildStdin>>,
}

impl Undertaker {
    /// # Errors
    /// There is no shell.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", UNDERTAKER]).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = shell.spawn().context("cannot start `sh`")?;
        let words = Mutex::new(shell.stdin.take());
        let undertaker = Self { shell, words };
        undertaker.tell(&format!("folder {}", folder.display()))?;
        Ok(undertaker)
    }

    /// Sees to it that a child ends with us.
    ///
    /// # Errors
    /// The shell is gone.
    pub(super) fn mind(&self, pid: u32) -> Result<()> {
        self.tell(&format!("child {pid}"))
    }

    /// A child has ended: its id may be another's soon.
    pub(super) fn forget(&self, pid: u32) {
        // It fails only where the shell is gone, and then nobody knows of the child.
        let _ = self.tell(&format!("ended {pid}"));
    }

    fn tell(&self, words: &str) -> Result<()> {
        let mut stdin = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = stdin.as_mut().context("the shell that cleans up is gone")?;
        writeln!(stdin, "{words}").context("the shell that cleans up is gone")
    }
}

impl Drop for Undertaker {
    fn drop(&mut self) {
        let _ = self.tell("done");
        drop(self.words.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.shell.wait();
    }
}

/// A child with its log. It is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command whose output goes to `folder/name.log`, behind what is there.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        undertaker: &Undertaker,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write `{}`", log.display()))?;
        // Ctrl-C is ours to answer: what a terminal sends to a group does not reach it.
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        undertaker.mind(child.id())?;
        Ok(Self { name, child, log })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_ready` gives something.
    ///
    /// # Errors
    /// It has ended, or is not ready in time; with the end of its log.
    pub(super) fn wait_until<T>(
        &mut self,
        deadline: Instant,
        mut is_ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        loop {
            if let Some(ready) = is_ready() {
                return Ok(ready);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.tail());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready in time:\n{}", self.name, self.tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of its log.
    pub(super) fn tail(&self) -> String {
        tail(&self.log)
    }

    /// Asks it to end, waits, and kills it if it does not.
    pub(super) fn stop(&mut self, undertaker: &Undertaker) {
        let asked = Instant::now();
        signal(self.pid(), "TERM");
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && asked.elapsed() < END {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill(undertaker);
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self, undertaker: &Undertaker) {
        // Both fail only for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        undertaker.forget(self.pid());
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (lines, width) = TAIL;
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    last.iter().map(|line| line.chars().take(width).chain(['\n']).collect::<String>()).collect()
}

/// Sends a signal, such as `TERM` or `STOP`, to a process of ours. It fails only for one that has ended.
pub(super) fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
}
