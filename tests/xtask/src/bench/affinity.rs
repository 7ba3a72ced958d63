//! Which processor a thread, and what it starts, may use: server and load generator must not share one.

use anyhow::Result;

/// The processor of the servers and that of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Processors {
    pub(super) server: usize,
    pub(super) load: usize,
}

#[cfg(target_os = "linux")]
mod system {
    use super::Processors;
    use anyhow::{Context, Result, ensure};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Two processors that we may use.
    pub(in super::super) fn processors() -> Result<Processors> {
        let ours = sched_getaffinity(None).context("cannot tell which processors there are")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| ours.is_set(*cpu));
        let (load, server) = (usable.next(), usable.next());
        ensure!(server.is_some(), "two processors are needed: one for the server, one for the load");
        Ok(Processors { server: server.unwrap_or_default(), load: load.unwrap_or_default() })
    }

    /// Keeps this thread, and the threads and children that it starts from now on, on one processor.
    pub(in super::super) fn stay_on(cpu: usize) -> Result<()> {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).with_context(|| format!("cannot stay on processor {cpu}"))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Processors;
    use anyhow::{Result, bail};

    pub(in super::super) fn processors() -> Result<Processors> {
        bail!("benchmarks pin processes to processors and read /proc, which is Linux's")
    }

    pub(in super::super) fn stay_on(_cpu: usize) -> Result<()> {
        Ok(())
    }
}

pub(super) use system::{processors, stay_on};

impl Processors {
    /// Runs `start` on the servers' processor, so that the children it starts stay there, and returns to the
    /// load's.
    pub(super) fn on_server<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        stay_on(self.server)?;
        let started = start();
        stay_on(self.load)?;
        started
    }
}
