//! CPU time that others used between two moments, from `/proc/stat` and `/proc/pressure/cpu`.

use std::time::{Duration, Instant};

use super::Root;

/// Ticks of some CPUs since boot, by use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CpuTimes {
    /// Processes: user, nice and system. Guests are already part of user.
    processes: u64,
    /// Interrupts, soft interrupts.
    interrupts: u64,
    /// Idle, or waiting for a disk.
    idle: u64,
    /// There was work, but the host ran something else.
    steal: u64,
}

impl CpuTimes {
    /// The sum over some CPUs; `None` if `/proc/stat` lists none of them.
    pub(super) fn read(root: &Root, cpus: &[u32]) -> Option<Self> {
        let text = root.text("proc/stat")?;
        let mut sum = None;
        for line in text.lines() {
            let Some((name, times)) = line.split_once(' ') else {
                continue;
            };
            let cpu = name.strip_prefix("cpu").and_then(|id| id.parse().ok());
            if cpu.is_some_and(|cpu: u32| cpus.contains(&cpu)) {
                sum = Some(Self::parse(times)?.plus(sum.unwrap_or_default()));
            }
        }
        sum
    }

    /// The CPUs that `/proc/stat` lists.
    pub(super) fn listed(root: &Root) -> Vec<u32> {
        let text = root.text("proc/stat").unwrap_or_default();
        let id = |line: &str| line.split(' ').next()?.strip_prefix("cpu")?.parse().ok();
        text.lines().filter_map(id).collect()
    }

    /// Ticks spent working: processes and interrupts.
    pub(super) fn worked(self) -> u64 {
        self.processes + self.interrupts
    }

    /// Fields: user nice system idle iowait irq softirq steal guest guest_nice
    fn parse(times: &str) -> Option<Self> {
        let mut ticks = times
            .split_whitespace()
            .map(|word| word.parse::<u64>().ok());
        let mut next = || ticks.next().flatten();
        let (user, nice, system) = (next()?, next()?, next()?);
        let (idle, disk) = (next()?, next()?);
        let (hard, soft) = (next()?, next()?);
        Some(Self {
            processes: user + nice + system,
            interrupts: hard + soft,
            idle: idle + disk,
            steal: next()?,
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            processes: self.processes + other.processes,
            interrupts: self.interrupts + other.interrupts,
            idle: self.idle + other.idle,
            steal: self.steal + other.steal,
        }
    }

    /// The idle time of a CPU that went offline and came back may run backwards.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            processes: self.processes.saturating_sub(before.processes),
            interrupts: self.interrupts.saturating_sub(before.interrupts),
            idle: self.idle.saturating_sub(before.idle),
            steal: self.steal.saturating_sub(before.steal),
        }
    }

    /// The share of working time in which the host ran something else, 0 to 1; `None` below a second of work, where
    /// single ticks matter.
    pub(super) fn steal_share(self) -> Option<f64> {
        let busy = self.processes + self.interrupts + self.steal;
        (busy >= 100).then(|| self.steal as f64 / busy as f64)
    }

    pub(super) fn total(self) -> u64 {
        self.processes + self.interrupts + self.idle + self.steal
    }
}

/// Measures how much of the CPUs others use.
#[derive(Debug, Clone)]
pub struct StealMeter {
    root: Root,
    used: Vec<u32>,
    online: Vec<u32>,
    before: CpuReading,
}

#[derive(Debug, Clone, Copy)]
struct CpuReading {
    at: Instant,
    used: Option<CpuTimes>,
    all: Option<CpuTimes>,
    ours: Option<u64>,
    waited_us: Option<u64>,
}

/// The result of a [`StealMeter`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stolen {
    /// CPU steal: the share of working time of the CPUs in use in which the host ran something else, 0 to 1. Absent
    /// if unknown, or below a second of work.
    pub steal: Option<f64>,
    /// The share of all CPU time used by processes other than this one and its children that were waited for,
    /// 0 to 1. Absent if unknown, or below a second. Too high by what children that are still running have used.
    pub other: Option<f64>,
    /// The share of time in which some thread on the machine, including ours, was ready to run but had no CPU,
    /// 0 to 1. Absent if unknown. It is the growth of `total` in `/proc/pressure/cpu`, see the kernel's
    /// `accounting/psi.rst`.
    pub pressure: Option<f64>,
}

/// What others use of the machine now, measured for a short while.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Now {
    /// How long it was measured; zero if it was not.
    pub window: Duration,
    /// The result.
    pub stolen: Stolen,
}

impl StealMeter {
    /// Starts; `used` are the CPUs of both sides, `online` all of them.
    pub fn start(root: &Root, used: &[u32], online: &[u32]) -> Self {
        Self {
            before: CpuReading::take(root, used, online),
            root: root.clone(),
            used: used.to_vec(),
            online: online.to_vec(),
        }
    }

    /// The result since the start; may be called several times.
    pub fn stop(&self) -> Stolen {
        let before = self.before;
        let after = CpuReading::take(&self.root, &self.used, &self.online);
        let used = before.used.zip(after.used);
        let all = before.all.zip(after.all).map(|(b, a)| a.since(b));
        let ours = before.ours.zip(after.ours);
        let waited = before.waited_us.zip(after.waited_us);
        let passed_us = (after.at - before.at).as_micros().max(1) as f64;
        Stolen {
            steal: used.and_then(|(before, after)| after.since(before).steal_share()),
            other: all.zip(ours).filter(|(all, _)| all.total() >= 100).map(
                |(all, (before, after))| {
                    // If the kernel charges soft interrupts to the interrupted process, ours includes some of
                    // them, and the difference is too small, never too large.
                    let others = all.processes.saturating_sub(after.saturating_sub(before));
                    others as f64 / all.total() as f64
                },
            ),
            // The two clocks are not read at the same instant, so the share may slightly exceed 1.
            pressure: waited.map(|(b, a)| (a.saturating_sub(b) as f64 / passed_us).min(1.0)),
        }
    }
}

impl CpuReading {
    fn take(root: &Root, used: &[u32], online: &[u32]) -> Self {
        Self {
            at: Instant::now(),
            used: CpuTimes::read(root, used),
            all: CpuTimes::read(root, online),
            ours: own_ticks(root),
            waited_us: cpu_pressure(root, "total"),
        }
    }
}

/// A member of the line `some` in `/proc/pressure/cpu`:
/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
pub(super) fn cpu_pressure<T: std::str::FromStr>(root: &Root, member: &str) -> Option<T> {
    let text = root.text("proc/pressure/cpu")?;
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find_map(|(name, value)| (name == member).then(|| value.parse().ok())?)
}

/// CPU time of this process and its children that were waited for: fields 14 to 17 of
/// `/proc/self/stat`.
pub(super) fn own_ticks(root: &Root) -> Option<u64> {
    let stat = root.text("proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields = rest.split_whitespace().skip(11).take(4);
    let ticks: Option<Vec<u64>> = fields.map(|field| field.parse().ok()).collect();
    Some(ticks?.iter().sum())
}
