//! What modules write to the log: so much and no more, and never what a Secret holds, since they see none of that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lines of one call.
pub(crate) const MAX_LINES: usize = 10;
/// Bytes of a line.
pub(crate) const MAX_LINE: usize = 1 << 10;
/// Lines of all calls of one policy in a window.
const MAX_IN_WINDOW: u64 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// How much one policy has written lately.
#[derive(Debug)]
pub(crate) struct Quota {
    begin: Instant,
    /// The number of the window, and beneath 32 bits of lines in it.
    written: AtomicU64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { begin: Instant::now(), written: AtomicU64::new(0) }
    }
}

impl Quota {
    /// Whether another line may be written now.
    pub(crate) fn take(&self) -> bool {
        self.take_at(self.begin.elapsed())
    }

    fn take_at(&self, since_begin: Duration) -> bool {
        let window = since_begin.as_secs() / WINDOW.as_secs();
        let next = |written: u64| {
            let lines = if written >> 32 == window { written & u64::from(u32::MAX) } else { 0 };
            (lines < MAX_IN_WINDOW).then_some((window << 32) | (lines + 1))
        };
        self.written.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// Writes a line of a policy.
pub(crate) fn write(policy: &str, level: i32, line: &str) {
    match level {
        1 => tracing::error!(policy, "module: {line}"),
        2 => tracing::warn!(policy, "module: {line}"),
        3 => tracing::info!(policy, "module: {line}"),
        _ => tracing::debug!(policy, "module: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_so_many_lines() {
        let quota = Quota::default();
        let granted =
            |at: u64, asked: usize| (0..asked).filter(|_| quota.take_at(Duration::from_secs(at))).count();
        assert_eq!(granted(0, 60), 60);
        assert_eq!(granted(9, 60), 40);
        assert_eq!(granted(10, 1_000), 100);
        assert_eq!(granted(1_000_000, 1), 1);
    }
}
