//! What Linux tells about a process (proc(5)): its processor time and its resident memory.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// `USER_HZ`: the unit of times in /proc, fixed for user space on every architecture we build for.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of a process so far, in steps of 10 ms.
pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
        .with_context(|| format!("`{path}` has no times"))
}

/// Resident memory of a process, in bytes.
pub(super) fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    resident_in(&status).with_context(|| format!("`{path}` has no `VmRSS`"))
}

/// `utime` and `stime`, fields 14 and 15. The second, the name, may hold spaces, so counting begins behind it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11);
    Some(times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?)
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::{resident_in, ticks};

    #[test]
    fn times_are_found_behind_any_name() {
        let check = |stat: &str, expect| assert_eq!(ticks(stat), expect, "{stat}");
        check("7 (portcullis) S 1 7 7 0 -1 4194560 2193 0 0 0 41 9 0 0 20 0 5 0", Some(50));
        check("7 (a) b (c) R 1 7 7 0 -1 4194560 2193 0 0 0 1 2 0 0 20 0 5 0", Some(3));
        check("7 (cut) S 1", None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident_in("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   6044 kB\n"), Some(6_189_056));
        assert_eq!(resident_in("Name:\tx\n"), None);
    }
}
