//! A server's processes, summed.

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Process, Stat, pids};
use super::sockets;

/// The processes of one process group.
///
/// Found by [`Processes::in_group`] and again by [`Processes::refresh`]; sampling in
/// between looks only at those known. CPU time of a process that ends while it is watched
/// stays in the sum (as last read), so that differences between samples never run backwards.
#[derive(Debug)]
pub struct Processes {
    group: u32,
    except: Option<u32>,
    live: Vec<Member>,
    ended: Ended,
    page_bytes: u64,
}

/// A process and what was read of it last.
#[derive(Debug)]
struct Member {
    process: Process,
    last: Reading,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    cpu_ns: Option<u64>,
    stat: Stat,
}

/// What counts on, from processes that are gone.
#[derive(Debug, Default, Clone, Copy)]
struct Ended {
    processes: u32,
    cpu_ns: u64,
    user_ticks: u64,
    system_ticks: u64,
    minor_faults: u64,
    major_faults: u64,
}

/// What is cheap enough to be read every 100 ms; see [`Processes::sample_light`].
///
/// Every member is a sum over the processes. It is absent where it could not be read, and
/// all are where no process is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LightSample {
    /// Processes alive.
    pub processes: u32,
    /// CPU time, threads that ended included, nanoseconds. A thread that is running while it
    /// is read may be behind by a tick of the scheduler (1 to 10 ms).
    pub cpu_ns: Option<u64>,
    /// The share of `cpu_ns` spent in user space, in ticks ([`super::ticks_per_second`]).
    pub user_ticks: Option<u64>,
    /// The share of `cpu_ns` spent in the kernel, in ticks.
    pub system_ticks: Option<u64>,
    /// Resident memory, bytes; pages shared between processes count once in each.
    pub rss_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u32>,
}

/// All that is read of the processes; see [`Processes::sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// The cheap part.
    pub light: LightSample,
    /// The sum of each process's highest resident memory so far, bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u32>,
    /// Those of them that are sockets.
    pub sockets: Option<u32>,
    /// Context switches by waiting, of the threads alive.
    pub voluntary_switches: Option<u64>,
    /// Context switches by preemption, of the threads alive.
    pub involuntary_switches: Option<u64>,
    /// Page faults served without reading from a disk.
    pub minor_faults: Option<u64>,
    /// Page faults that read from a disk.
    pub major_faults: Option<u64>,
}

impl Processes {
    /// The processes now in a group, but for one (a supervisor, say).
    #[must_use]
    pub fn in_group(group: u32, except: Option<u32>) -> Self {
        let mut processes = Self {
            group,
            except,
            live: Vec::new(),
            ended: Ended::default(),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
        };
        processes.refresh();
        processes
    }

    /// Looks for processes that joined the group since; reads the `stat` of every process
    /// of the machine, some 15 µs each.
    pub fn refresh(&mut self) {
        // Those gone first, for their numbers may have been given out again.
        self.read();
        for pid in pids() {
            let known = self.live.iter().any(|member| member.process.pid == pid);
            if known || self.except == Some(pid) {
                continue;
            }
            let Some(process) = Process::open(pid) else {
                continue;
            };
            let cpu_ns = process.cpu_ns();
            let Some(stat) = process.stat() else { continue };
            if stat.group == self.group && !stat.zombie {
                let last = Reading { cpu_ns, stat };
                self.live.push(Member { process, last });
            }
        }
    }

    /// The numbers of the processes alive when last looked at.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.live.iter().map(|member| member.process.pid).collect()
    }

    /// Sends a signal to each process alive; one that has ended meanwhile is none of ours any more.
    pub fn signal(&mut self, signal: Signal) {
        self.read();
        for pid in self.pids() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// How many processes ended since they were found.
    #[must_use]
    pub fn ended(&self) -> u32 {
        self.ended.processes
    }

    /// Takes the cheap sample: two system calls a process, no allocation. For a process of
    /// ten threads 4 µs in the median on a two-core virtual machine (unoptimised build; the
    /// ignored test `cost_of_a_sample` measures it again).
    pub fn sample_light(&mut self) -> LightSample {
        self.read().0
    }

    /// Takes the full sample, which looks at every thread and descriptor: some 250 µs
    /// for ten threads, so for a window's edges rather than every 100 ms.
    pub fn sample(&mut self) -> Sample {
        let (light, faults) = self.read();
        let mut sample = Sample {
            light,
            minor_faults: faults.map(|faults| faults.0),
            major_faults: faults.map(|faults| faults.1),
            ..Sample::default()
        };
        for (index, member) in self.live.iter().enumerate() {
            let detail = member.process.detail();
            let first = index == 0;
            add(&mut sample.peak_rss_bytes, detail.peak_rss_bytes, first);
            add(&mut sample.descriptors, detail.descriptors, first);
            add(&mut sample.sockets, detail.sockets, first);
            add(
                &mut sample.voluntary_switches,
                detail.voluntary_switches,
                first,
            );
            add(
                &mut sample.involuntary_switches,
                detail.involuntary_switches,
                first,
            );
        }
        sample
    }

    /// TCP connections established, of all processes; absent where it cannot be read.
    #[must_use]
    pub fn established(&self) -> Option<u32> {
        let mut sum = None;
        for (index, member) in self.live.iter().enumerate() {
            add(&mut sum, sockets::established(&member.process), index == 0);
        }
        sum
    }

    /// Forgets all but one process.
    #[cfg(test)]
    pub(super) fn retain(&mut self, pid: u32) {
        self.live.retain(|member| member.process.pid == pid);
    }

    /// The light sample, and minor and major faults.
    fn read(&mut self) -> (LightSample, Option<(u64, u64)>) {
        self.live.retain_mut(|member| {
            let alive = member.read();
            if !alive {
                self.ended.add(member.last);
            }
            alive
        });
        if self.live.is_empty() {
            return (LightSample::default(), None);
        }
        let mut sum = self.ended;
        let mut cpu_ns = Some(sum.cpu_ns);
        let mut rss_pages = 0;
        let mut threads = 0;
        for member in &self.live {
            let Reading { cpu_ns: part, stat } = member.last;
            add(&mut cpu_ns, part, false);
            sum.add_stat(stat);
            rss_pages += stat.rss_pages;
            threads += stat.threads;
        }
        let light = LightSample {
            processes: u32::try_from(self.live.len()).unwrap_or(u32::MAX),
            cpu_ns,
            user_ticks: Some(sum.user_ticks),
            system_ticks: Some(sum.system_ticks),
            rss_bytes: Some(rss_pages * self.page_bytes),
            threads: Some(threads),
        };
        (light, Some((sum.minor_faults, sum.major_faults)))
    }
}

impl Member {
    /// Reads the process anew; whether it is alive. The last reading stays where not.
    fn read(&mut self) -> bool {
        // The clock first: see `Process`.
        let cpu_ns = self.process.cpu_ns();
        let Some(stat) = self.process.stat() else {
            return false;
        };
        // A zombie's times are final.
        self.last = Reading { cpu_ns, stat };
        !stat.zombie
    }
}

impl Ended {
    fn add(&mut self, last: Reading) {
        self.processes += 1;
        self.cpu_ns += last.cpu_ns.unwrap_or(0);
        self.add_stat(last.stat);
    }

    fn add_stat(&mut self, stat: Stat) {
        self.user_ticks += stat.user_ticks;
        self.system_ticks += stat.system_ticks;
        self.minor_faults += stat.minor_faults;
        self.major_faults += stat.major_faults;
    }
}

/// Adds to a sum that is absent as soon as one part is.
fn add<T: std::ops::Add<Output = T> + Copy>(sum: &mut Option<T>, part: Option<T>, first: bool) {
    *sum = match (*sum, part) {
        (Some(sum), Some(part)) => Some(sum + part),
        (None, part) if first => part,
        _ => None,
    };
}
