//! A server's processes, added up.

use std::io;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::memory::{ResidentMemory, resident_memory};
use super::newest::Newest;
use super::process::{Detail, Process, Stat, Ticks, pids, ticks_ns};
use super::sockets;
use crate::cpu_group::{CpuMeter, CpuUsage};

/// The processes of one process group, or a process and its descendants.
///
/// They are found by [`Processes::in_group`] or [`Processes::under`], and again by [`Processes::refresh`]. Of processes started in
/// between, only the CPU time counts: memory and the like are compared between two moments, and whether a
/// short-lived process exists at that moment is random.
///
/// CPU time includes all processes, ended ones too, and never runs backwards. A control group counts it
/// ([`Processes::counted_by`]); `add_up` describes what happens without one.
#[derive(Debug)]
pub struct Processes {
    whose: Whose,
    /// Leads the group, and waits for orphaned processes.
    supervisor: Option<Process>,
    meter: Option<CpuMeter>,
    /// Those alive, and zombies: until a zombie is waited for, only it knows the time of its own ended children.
    live: Vec<LiveProcess>,
    ended: EndedTimes,
    counted: Cpu,
    newest: Newest,
    /// All processes of the machine when it was last searched.
    listed: Vec<u32>,
    page_bytes: u64,
}

/// Which processes count.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// None: every figure is absent.
    Nobody,
    /// Those of a process group.
    Group(u32),
    /// A process and its descendants.
    Tree(u32),
}

/// A process, and its last values.
#[derive(Debug)]
struct LiveProcess {
    process: Process,
    last: LastReading,
    /// Whether it was started after the last [`Processes::refresh`].
    joined: bool,
}

#[derive(Debug, Clone, Copy)]
struct LastReading {
    cpu_ns: Option<u64>,
    stat: Stat,
}

/// Last known values of processes that are gone.
#[derive(Debug, Default, Clone, Copy)]
struct EndedTimes {
    processes: u32,
    cpu_ns: u64,
    own: Ticks,
    minor_faults: u64,
    major_faults: u64,
}

/// CPU time in nanoseconds, as in [`LightSample`].
#[derive(Debug, Default, Clone, Copy)]
struct Cpu {
    total: Option<u64>,
    in_ticks: u64,
    user: u64,
    system: u64,
}

/// Values that are cheap enough to read every 100 ms; see [`Processes::sample_light`].
///
/// Every member is a sum over the processes known at the last [`Processes::refresh`]; CPU time covers all. A
/// member is absent if it could not be read, and all are if no process is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LightSample {
    /// Processes alive.
    pub processes: u32,
    /// CPU time, including threads and processes that ended, nanoseconds. For a running thread it may lag by
    /// a tick of the scheduler (1 to 10 ms).
    pub cpu_ns: Option<u64>,
    /// The part of `cpu_ns` that is known only in clock ticks of 10 ms: of processes that ended before they
    /// were seen.
    pub in_ticks_ns: Option<u64>,
    /// CPU time in user space, nanoseconds. Unless a control group counts it, it has steps of 10 ms and lags
    /// `cpu_ns` slightly.
    pub user_ns: Option<u64>,
    /// CPU time in the kernel, likewise.
    pub system_ns: Option<u64>,
    /// Resident memory, bytes; pages shared between processes count in each.
    pub rss_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u32>,
}

/// All values of the processes; see [`Processes::sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// The cheap part.
    pub light: LightSample,
    /// The sum of each process's peak resident memory so far, bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u32>,
    /// Descriptors that are sockets.
    pub sockets: Option<u32>,
    /// Voluntary context switches of current threads.
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches of current threads.
    pub involuntary_switches: Option<u64>,
    /// Page faults served without reading from a disk.
    pub minor_faults: Option<u64>,
    /// Page faults that read from a disk.
    pub major_faults: Option<u64>,
}

impl Processes {
    /// The current processes of a group, without its supervisor, if there is one. Of the supervisor, only the
    /// CPU time of processes it has waited for counts.
    pub fn in_group(group: u32, supervisor: Option<u32>) -> Self {
        Self::of(Whose::Group(group), supervisor.and_then(Process::open))
    }

    /// A process and its descendants. One whose parent ended is found only if it was known before.
    pub fn under(pid: u32) -> Self {
        Self::of(Whose::Tree(pid), None)
    }

    /// No process: every figure is absent.
    pub fn none() -> Self {
        Self::of(Whose::Nobody, None)
    }

    fn of(whose: Whose, supervisor: Option<Process>) -> Self {
        let mut processes = Self {
            whose,
            supervisor,
            meter: None,
            live: Vec::new(),
            ended: EndedTimes::default(),
            counted: Cpu::default(),
            newest: Newest::default(),
            listed: Vec::new(),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
        };
        processes.refresh();
        processes
    }

    /// Takes the CPU time from the processes' control group, if there is one: exact, and of everything that
    /// ran in it.
    pub fn counted_by(mut self, group: Option<&Path>) -> Self {
        self.meter = group.and_then(CpuMeter::open);
        self
    }

    /// The resident memory of all of them, those started since included.
    ///
    /// # Errors
    /// If there is none, or one can't be read.
    pub fn resident(&mut self) -> io::Result<ResidentMemory> {
        self.refresh();
        resident_memory(&self.pids())
    }

    /// Whether a control group counts the CPU time.
    pub fn has_control_group(&self) -> bool {
        self.meter.is_some()
    }

    /// Searches for processes that joined the group; reads the `stat` of every process of the machine, about
    /// 15 µs each.
    pub fn refresh(&mut self) {
        // First those that are gone, since their ids may have been reused.
        self.read();
        for member in &mut self.live {
            member.joined = false;
        }
        self.listed.clear();
        self.newest.has_changed();
        self.find(false);
    }

    /// Searches for new processes, if any was started on this machine.
    fn find_started(&mut self) {
        if !matches!(self.whose, Whose::Nobody) && self.newest.has_changed() {
            self.find(true);
        }
    }

    /// Whether a process counts. A parent mostly has a lower id than its child, so it was found before.
    fn includes(&self, pid: u32, stat: Stat) -> bool {
        match self.whose {
            Whose::Nobody => false,
            Whose::Group(group) => stat.group == group,
            Whose::Tree(root) => {
                let mut known = self.live.iter();
                pid == root || known.any(|member| member.process.pid == stat.parent)
            }
        }
    }

    fn find(&mut self, joined: bool) {
        let listed = pids();
        let supervisor = self.supervisor.as_ref().map(|process| process.pid);
        for &pid in &listed {
            let known = self.live.iter().any(|member| member.process.pid == pid)
                || self.listed.binary_search(&pid).is_ok();
            if known || supervisor == Some(pid) {
                continue;
            }
            let Some(process) = Process::open(pid) else {
                continue;
            };
            let cpu_ns = process.cpu_ns();
            let Some(stat) = process.stat() else { continue };
            if self.includes(pid, stat) && !stat.zombie {
                let last = LastReading { cpu_ns, stat };
                self.live.push(LiveProcess {
                    process,
                    last,
                    joined,
                });
            }
        }
        self.listed = listed;
    }

    /// The processes that were alive at the last look.
    fn alive(&self) -> impl Iterator<Item = &LiveProcess> {
        self.live.iter().filter(|member| !member.last.stat.zombie)
    }

    /// The ids of the processes that were alive at the last look.
    pub fn pids(&self) -> Vec<u32> {
        self.alive().map(|member| member.process.pid).collect()
    }

    /// Sends a signal to each process alive; those that have ended are skipped.
    pub fn signal(&mut self, signal: Signal) {
        self.find_started();
        self.read();
        for pid in self.pids() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Number of processes that ended after they were found, and were waited for.
    pub fn ended(&self) -> u32 {
        self.ended.processes
    }

    /// Takes the cheap sample: two system calls for each process and the supervisor, plus one; no allocation.
    /// The ignored test `cost_of_a_sample` measures it. If a process or a thread was started on this machine
    /// since the last sample, it also lists all processes and reads the new ones.
    pub fn sample_light(&mut self) -> LightSample {
        self.find_started();
        self.read().0
    }

    /// Takes the full sample, which reads every thread and descriptor: about 250 µs for ten threads, so it
    /// suits the edges of a window rather than every 100 ms.
    pub fn sample(&mut self) -> Sample {
        self.find_started();
        let (light, faults) = self.read();
        let known = self.alive().filter(|member| !member.joined);
        let details: Vec<Detail> = known.map(|member| member.process.detail()).collect();
        let details = details.iter();
        Sample {
            light,
            peak_rss_bytes: sum(details.clone().map(|detail| detail.peak_rss_bytes)),
            descriptors: sum(details.clone().map(|detail| detail.descriptors)),
            sockets: sum(details.clone().map(|detail| detail.sockets)),
            voluntary_switches: sum(details.clone().map(|detail| detail.voluntary_switches)),
            involuntary_switches: sum(details.map(|detail| detail.involuntary_switches)),
            minor_faults: faults.map(|faults| faults.0),
            major_faults: faults.map(|faults| faults.1),
        }
    }

    /// Established TCP connections of all processes; absent if they can't be read.
    pub fn established(&self) -> Option<u32> {
        sum(self
            .alive()
            .map(|member| sockets::established(&member.process)))
    }

    /// Forgets all but one process.
    #[cfg(test)]
    pub(super) fn retain(&mut self, pid: u32) {
        self.live.retain(|member| member.process.pid == pid);
    }

    /// The light sample, and minor and major faults.
    fn read(&mut self) -> (LightSample, Option<(u64, u64)>) {
        // Read parents before children: a process that ends in between then lacks its last moments until the
        // next sample, and is never counted twice. A parent is mostly older than its child, and comes first
        // in the list.
        let supervisor = self.supervisor.as_ref().and_then(Process::stat);
        self.live.retain_mut(|member| {
            let there = member.read();
            if !there {
                self.ended.add(member.last);
            }
            there
        });
        let alive = self.alive().count();
        if alive == 0 {
            return (LightSample::default(), None);
        }
        let cpu = match &self.meter {
            Some(meter) => meter.read().map_or(Cpu::default(), Cpu::counted),
            None => self.add_up(supervisor.unwrap_or_default().waited),
        };
        let mut faults = (self.ended.minor_faults, self.ended.major_faults);
        let mut known = 0;
        let (mut rss_pages, mut threads) = (0, 0);
        for member in &self.live {
            let stat = member.last.stat;
            faults = (faults.0 + stat.minor_faults, faults.1 + stat.major_faults);
            if !(member.joined || stat.zombie) {
                known += 1;
                rss_pages += stat.rss_pages;
                threads += stat.threads;
            }
        }
        let light = LightSample {
            processes: u32::try_from(alive).unwrap_or(u32::MAX),
            cpu_ns: cpu.total,
            in_ticks_ns: cpu.total.map(|_| cpu.in_ticks),
            user_ns: cpu.total.map(|_| cpu.user),
            system_ns: cpu.total.map(|_| cpu.system),
            rss_bytes: (known > 0).then_some(rss_pages * self.page_bytes),
            threads: (known > 0).then_some(threads),
        };
        (light, Some(faults))
    }

    /// The CPU time of the processes alive, by their clocks, and of those that ended.
    ///
    /// An ended process is known in two ways: by its last sample, which is exact but misses what came later,
    /// and processes never seen; and by its parent, or the supervisor, that has waited for it, which misses
    /// nothing but counts in ticks. If nobody waits for it (a parent that ignores SIGCHLD), only the first is
    /// left. Neither is ever too high, so the higher one counts. `left_behind` is the time of what the
    /// supervisor has waited for.
    fn add_up(&mut self, left_behind: Ticks) -> Cpu {
        let stats = || self.live.iter().map(|member| member.last.stat);
        let alive: Ticks = stats().map(|stat| stat.own).sum();
        let waited = left_behind + stats().map(|stat| stat.waited).sum::<Ticks>();
        let seen = self.ended.own;
        let alive_ns: Option<u64> = self.live.iter().map(|member| member.last.cpu_ns).sum();
        let exact_ns = alive_ns.map(|alive| alive + self.ended.cpu_ns);
        let ended_ns = self.ended.cpu_ns.max(waited.sum_ns());
        // Time that moves from a process to the one that waited for it is rounded down, which must not make
        // the sum run backwards.
        let before = self.counted;
        let total = alive_ns.map(|alive| before.total.unwrap_or(0).max(alive + ended_ns));
        let user = ticks_ns(alive.user + seen.user.max(waited.user));
        let system = ticks_ns(alive.system + seen.system.max(waited.system));
        let cpu = Cpu {
            total,
            in_ticks: total.zip(exact_ns).map_or(0, |(all, exact)| all - exact),
            user: before.user.max(user),
            system: before.system.max(system),
        };
        self.counted = Cpu {
            total: total.or(before.total),
            ..cpu
        };
        cpu
    }
}

impl Cpu {
    fn counted(usage: CpuUsage) -> Self {
        Self {
            total: Some(usage.total_ns),
            in_ticks: 0,
            user: usage.user_ns,
            system: usage.system_ns,
        }
    }
}

impl LiveProcess {
    /// Reads the process; returns whether it still exists. If not, the last reading stays.
    fn read(&mut self) -> bool {
        // The clock first: see `Process`.
        let cpu_ns = self.process.cpu_ns();
        let Some(stat) = self.process.stat() else {
            return false;
        };
        self.last = LastReading { cpu_ns, stat };
        true
    }
}

impl EndedTimes {
    fn add(&mut self, last: LastReading) {
        self.processes += 1;
        self.cpu_ns += last.cpu_ns.unwrap_or(0);
        self.own = self.own + last.stat.own;
        self.minor_faults += last.stat.minor_faults;
        self.major_faults += last.stat.major_faults;
    }
}

/// The sum; absent if one part is, or if there is none.
fn sum<T: std::ops::Add<Output = T>>(parts: impl Iterator<Item = Option<T>>) -> Option<T> {
    parts.reduce(|sum, part| Some(sum? + part?)).flatten()
}
