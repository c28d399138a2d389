//! CPU time that went to neither the harness nor the server it drives.
//!
//! Pressure as the kernel tells it (`/proc/pressure/cpu`) can't say this: it counts threads of
//! ours that wait for each other, so a sound server with a thread for each connection shows
//! half of the time and more.

use std::time::Duration;

use super::Root;
use super::meter::{CpuTimes, own_ticks};

/// The unit of `/proc/stat` and the resolution of `/proc/uptime`: `USER_HZ` is 100 on every
/// Linux one is likely to meet.
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

/// Ticks since boot.
#[derive(Debug, Clone, Copy)]
struct Reading {
    passed: u64,
    unworked: u64,
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
    /// the server, whose own CPU time since the start is `server`; 0 to 1. Other processes, the
    /// kernel's own threads, and interrupts on behalf of either.
    ///
    /// It is what is left of the time that passed: the ticks of a CPU that is often idle are
    /// sampled and miss much of its work, while its idle time is exact. Absent where unknown
    /// or under a second of CPU time has passed.
    #[must_use]
    pub fn stop(&self, server: Option<Duration>) -> Option<f64> {
        let (before, after) = (self.before?, self.read()?);
        let total = after.passed.saturating_sub(before.passed) * self.cpus.len() as u64;
        let known = after.unworked.saturating_sub(before.unworked)
            + after.harness.saturating_sub(before.harness)
            + (server?.as_millis() / TICK.as_millis()) as u64;
        (total >= LEAST_TICKS).then(|| total.saturating_sub(known) as f64 / total as f64)
    }

    fn read(&self) -> Option<Reading> {
        Some(Reading {
            passed: uptime_ticks(&self.root)?,
            unworked: CpuTimes::read(&self.root, &self.cpus)?.unworked(),
            harness: own_ticks(&self.root)?,
        })
    }
}

/// The first number of `/proc/uptime`: seconds since boot, to a hundredth.
fn uptime_ticks(root: &Root) -> Option<u64> {
    let text = root.text("proc/uptime")?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((seconds / TICK.as_secs_f64()).round() as u64)
}
