//! CPU time used by neither the harness nor the server that it drives.
//!
//! The kernel's pressure (`/proc/pressure/cpu`) can't show this: it also counts our own threads waiting for each
//! other, so a healthy server with one thread per connection shows half of the time or more.

use std::time::Duration;

use super::Root;
use super::meter::{CpuTimes, own_ticks};

/// The unit of `/proc/stat`: `USER_HZ` is 100 on practically every Linux.
const TICK: Duration = Duration::from_millis(10);
/// Below a second of CPU time, single ticks matter.
const LEAST_TICKS: u64 = 100;

/// Measures, over a load, how much of the used CPUs other processes take.
#[derive(Debug, Clone)]
pub struct OthersMeter {
    root: Root,
    cpus: Vec<u32>,
    before: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    all: CpuTimes,
    harness: u64,
}

impl OthersMeter {
    /// Starts. `cpus` are those of both sides; empty if nothing is pinned, which means the whole machine.
    pub fn start(root: &Root, cpus: &[u32]) -> Self {
        let cpus = match cpus {
            [] => CpuTimes::listed(root),
            cpus => cpus.to_vec(),
        };
        let mut meter = Self {
            root: root.clone(),
            cpus,
            before: None,
        };
        meter.before = meter.read();
        meter
    }

    /// The share of the CPUs' time since the start that was used by neither this process nor the server, 0 to 1.
    /// `server` is the server's CPU time since the start.
    ///
    /// It is all work on these CPUs minus ours. The kernel samples all work at each tick, which misses much
    /// of the short bursts on an otherwise idle CPU, while our own time is exact. So the share is right on
    /// busy CPUs, and on idle ones too small, never too large. Absent if unknown, or below a second of CPU
    /// time.
    pub fn stop(&self, server: Option<Duration>) -> Option<f64> {
        let (before, after) = (self.before?, self.read()?);
        let all = after.all.since(before.all);
        let ours = after.harness.saturating_sub(before.harness)
            + (server?.as_millis() / TICK.as_millis()) as u64;
        let others = all.worked().saturating_sub(ours);
        (all.total() >= LEAST_TICKS).then(|| others as f64 / all.total() as f64)
    }

    fn read(&self) -> Option<Reading> {
        Some(Reading {
            all: CpuTimes::read(&self.root, &self.cpus)?,
            harness: own_ticks(&self.root)?,
        })
    }
}
