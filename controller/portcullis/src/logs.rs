//! Log lines on their way to standard error, which a thread of its own writes: a reader that is slow, or has stopped
//! reading, holds up nobody who decides. Lines wait in memory up to a limit; those beyond it are lost, which is said.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// Lines that wait take at most so much memory, in bytes.
const LIMIT: usize = 4 << 20;
/// How long the end waits for what is not written yet.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where the lines of this process go, if not directly to standard error.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Takes lines, and waits for nothing.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    queue: Sender<Piece>,
    limit: usize,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// Lines lost since that was last said.
    lost: AtomicU64,
}

#[derive(Debug)]
enum Piece {
    Line(Vec<u8>),
    /// Whoever waits for the end is told by this.
    End(Sender<()>),
}

impl Lines {
    /// Lines to standard error, from now on.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn to_standard_error() -> io::Result<Self> {
        let lines = Self::start(io::stderr(), LIMIT)?;
        Ok(LINES.get_or_init(|| lines).clone())
    }

    fn start(mut to: impl Write + Send + 'static, limit: usize) -> io::Result<Self> {
        let (queue, pieces) = mpsc::channel();
        let state = Arc::new(State::default());
        let writing = Arc::clone(&state);
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&pieces, &writing, &mut to))?;
        Ok(Self { queue, limit, state })
    }

    /// Whether all lines are written, for which it waits, but not for ever.
    fn finish(&self) -> bool {
        say_what_is_lost(&self.state);
        let (told, end) = mpsc::channel();
        self.queue.send(Piece::End(told)).is_ok() && end.recv_timeout(FAREWELL).is_ok()
    }
}

impl Write for Lines {
    /// A line, which is lost where too many wait: that is no error for whoever has something else to do.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let waiting = self.state.waiting.fetch_add(line.len(), Ordering::Relaxed) + line.len();
        if waiting > self.limit || self.queue.send(Piece::Line(line.to_owned())).is_err() {
            self.state.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until the lines of this process are written: what comes after may be its end.
pub(crate) fn finish() {
    if let Some(lines) = LINES.get() {
        // Where nobody reads them now, nobody will.
        let _ = lines.finish();
    }
}

fn write(pieces: &Receiver<Piece>, state: &State, to: &mut impl Write) {
    for piece in pieces {
        match piece {
            Piece::Line(line) => {
                // Where a line cannot be written, there is nobody to tell.
                let _ = to.write_all(&line);
                state.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                say_what_is_lost(state);
            }
            Piece::End(told) => {
                let _ = to.flush();
                // Who waited for it may have given up.
                let _ = told.send(());
            }
        }
    }
}

fn say_what_is_lost(state: &State) {
    let lost = state.lost.swap(0, Ordering::Relaxed);
    if lost > 0 {
        tracing::warn!(lost, "lines of the log were lost: nobody read them in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Writes a line once it is told to.
    struct Slow {
        go: Receiver<()>,
        written: Arc<Mutex<String>>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.go.recv().unwrap();
            self.written.lock().unwrap().push_str(std::str::from_utf8(line).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_wait_up_to_a_limit_and_the_end_waits_for_them() {
        let (go, waits) = mpsc::channel();
        let written = Arc::new(Mutex::new(String::new()));
        let mut lines = Lines::start(Slow { go: waits, written: Arc::clone(&written) }, 10).unwrap();
        for line in ["one\n", "two\n", "three\n", "4\n", "five\n"] {
            lines.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(lines.state.lost.load(Ordering::Relaxed), 2);
        (0..3).for_each(|_| go.send(()).unwrap());
        assert!(lines.finish());
        assert_eq!(*written.lock().unwrap(), "one\ntwo\n4\n");
        assert_eq!(lines.state.waiting.load(Ordering::Relaxed), 0);
    }
}
