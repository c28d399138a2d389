//! CPU time that went to neither the harness nor the server it drives.
//!
//! Pressure as the kernel tells it (`/proc/pressure/cpu`) can't say this: it counts threads of
//! ours that wait for each other, so a sound server with a thread for each connection shows
//! half of the time and more.

use std::time::Duration;

use super::Root;
use super::meter::{CpuTimes, own_ticks};

/// The unit of `/proc/stat`: `USER_HZ` is 100 on every Linux one is likely to meet.
const TICK: Duration = Duration::from_millis(10);
/// Below a second of CPU time, single ticks decide.
const LEAST_TICKS: u64 = 100;

/// Watches, over a load, how much of the CPUs in use other processes take.
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
    /// Starts; `cpus` are those of both sides, or none where neither is pinned, which stands
    /// for all of the machine.
    #[must_use]
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

    /// Of the CPUs' time since the start, the share spent on what is neither this process nor
    /// the server, whose own CPU time since the start is `server`; 0 to 1.
    ///
    /// It is what work there was, less ours. What there was is sampled at each tick, which misses
    /// much of what comes in short pieces on a CPU that is else idle; ours is exact. So the
    /// share is right on busy CPUs, and on idle ones too small, never too large. Absent where
    /// unknown or under a second of CPU time has passed.
    #[must_use]
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
