//! How far an audit is: one line on a terminal that is written over, and nothing elsewhere.

use crate::cluster::audit::Kind;
use crate::terminal::{GlobalArgs, LogFormat, LogLevel};
use std::io::{IsTerminal, Write};

/// Goes back to the line's begin and clears it.
const ANEW: &str = "\r\x1b[2K";

/// The line. It is gone when this is dropped.
pub(super) struct Progress {
    shown: bool,
    kinds: usize,
}

impl Progress {
    /// Of so many kinds.
    pub(super) fn new(global: &GlobalArgs, kinds: usize) -> Self {
        let quiet = global.log_level.is_some_and(|level| level < LogLevel::Info);
        let shown = std::io::stderr().is_terminal() && global.log_format == LogFormat::Text && !quiet;
        Self { shown, kinds }
    }

    /// So many objects of the kind of that index were read, of so many if that is known.
    pub(super) fn show(&self, index: usize, kind: &Kind, read: usize, of: Option<usize>) {
        if self.shown {
            write(&format!("{ANEW}{}", line(index + 1, self.kinds, &kind.to_string(), read, of)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            write(ANEW);
        }
    }
}

/// Short enough for one line of 80 columns.
fn line(number: usize, kinds: usize, kind: &str, read: usize, of: Option<usize>) -> String {
    let of = of.filter(|of| *of > read).map(|of| format!(" of {of}")).unwrap_or_default();
    let kind: String = kind.chars().take(30).collect();
    format!("kind {number} of {kinds}: {kind}, {read}{of} objects")
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Who cannot see how far it is will see how it ends.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_tells_how_far_it_is() {
        assert_eq!(line(1, 9, "pods", 0, None), "kind 1 of 9: pods, 0 objects");
        assert_eq!(line(2, 9, "pods", 500, Some(1200)), "kind 2 of 9: pods, 500 of 1200 objects");
        assert_eq!(line(2, 9, "pods", 1200, Some(1200)), "kind 2 of 9: pods, 1200 objects");
        assert!(line(99, 99, &"x".repeat(300), 1_000_000, Some(9_000_000)).len() < 80);
    }
}
