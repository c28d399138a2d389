//! The threads of a drive: each has its share of the connections to every target, and takes turns on command.

use std::iter::StepBy;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use super::clock::Clock;
use super::epoll::Epoll;
use super::slot::Plan;
use super::tally::Tally;
use super::uring::Uring;
use super::worker::work;
use super::{Config, Control, DriveError, EngineKind, Script};

/// File descriptors a drive needs besides its connections and those already open.
const SPARE_DESCRIPTORS: u64 = 16;

/// The target of a load.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// How to load it.
    pub config: &'a Config,
    /// What to send.
    pub script: &'a Script,
    /// Stops the load, and receives its counters.
    pub control: &'a Control,
}

/// One turn of all threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) target: usize,
    pub(super) plan: Plan,
}

/// A thread's report on a turn, once nothing is in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drained {
    /// Valid responses in this turn.
    pub(super) answered: u64,
    /// Requests of this turn that timed out or were never sent.
    pub(super) unanswered: u64,
}

/// A thread's report after trying to connect: for each target, the number of open connections, and why not all
/// are.
pub(super) type Ready = Vec<(usize, Result<(), NotReady>)>;

/// Why the connections could not be opened.
#[derive(Debug)]
pub(super) enum NotReady {
    Errno(Errno),
    Stopped,
}

impl From<Errno> for NotReady {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// One thread's part of a load.
pub(super) struct Share<'e> {
    /// The index of the thread, and the number of threads.
    pub(super) place: (usize, usize),
    pub(super) targets: &'e [Target<'e>],
    /// Maximum number of counted slices per target; `None` for a single window.
    pub(super) slices: Option<usize>,
    pub(super) clock: Clock,
}

impl Share<'_> {
    /// The numbers of its connections: every `threads`-th, starting with its own index.
    pub(super) fn connections(&self, config: &Config) -> StepBy<Range<usize>> {
        (self.place.0..config.connections).step_by(self.place.1)
    }
}

/// A running thread. Its results are a tally for each target, and whether it ran on its CPU.
struct Thread<'s> {
    turns: Sender<Turn>,
    drained: Receiver<Result<Drained, Errno>>,
    ready: Receiver<Ready>,
    handle: ScopedJoinHandle<'s, Result<(Vec<Tally>, bool), Errno>>,
}

pub(super) struct Crew<'s> {
    threads: Vec<Thread<'s>>,
}

/// The results of all threads: a tally for each target.
pub(super) struct Leavings {
    pub(super) tallies: Vec<Vec<Tally>>,
    pub(super) pinned: bool,
}

impl<'s> Crew<'s> {
    /// Starts the threads that `targets` ask for; all targets ask for the same CPUs and I/O backend. `slices`
    /// is the maximum number of counted turns per target, if there are several targets.
    pub(super) fn start<'e>(
        scope: &'s Scope<'s, 'e>,
        targets: &'e [Target<'e>],
        slices: Option<usize>,
        clock: Clock,
    ) -> Self {
        let config = targets[0].config;
        let cpus: Vec<Option<u32>> = match &config.cpus[..] {
            [] => vec![None; config.threads.min(config.connections)],
            cpus => cpus.iter().copied().map(Some).collect(),
        };
        let count = cpus.len().min(config.connections);
        let start = |(thread, cpu)| {
            let (turns, told) = channel();
            let (say, drained) = channel();
            let (say_ready, ready) = channel();
            let share = Share {
                place: (thread, count),
                targets,
                slices,
                clock,
            };
            let handle = scope.spawn(move || {
                let pinned = pin(cpu);
                // Otherwise sleeps take 50 µs longer; if the kernel refuses, the spin covers it.
                let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
                let tallies = match config.engine {
                    EngineKind::Epoll => work(&share, Epoll::new, &say_ready, &told, &say),
                    EngineKind::IoUring => work(&share, Uring::new, &say_ready, &told, &say),
                };
                Ok((tallies?, pinned))
            });
            Thread {
                turns,
                drained,
                ready,
                handle,
            }
        };
        Self {
            threads: cpus
                .into_iter()
                .take(count)
                .enumerate()
                .map(start)
                .collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.threads.len()
    }

    /// Waits until every thread is connected to every target. For each target, returns the first reason why it
    /// is not. `None` if a thread ended before that; joining it tells why.
    pub(super) fn wait_ready(&self, targets: &[Target<'_>]) -> Option<Vec<Result<(), DriveError>>> {
        let of_threads: Vec<Ready> = self
            .threads
            .iter()
            .map(|thread| thread.ready.recv().ok())
            .collect::<Option<_>>()?;
        let of_target = |(index, target): (usize, &Target<'_>)| {
            let made = of_threads.iter().map(|thread| &thread[index]);
            let established = made.clone().map(|(count, _)| count).sum();
            let cause = made.filter_map(|(_, result)| result.as_ref().err()).next();
            match cause {
                None => Ok(()),
                Some(NotReady::Stopped) => Err(DriveError::Stopped),
                Some(NotReady::Errno(errno)) => {
                    Err(not_connected(target.config, established, *errno))
                }
            }
        };
        Some(targets.iter().enumerate().map(of_target).collect())
    }

    /// Runs a turn on all threads and waits for its end. `None` if a thread has ended.
    pub(super) fn turn(&self, target: usize, plan: Plan) -> Option<Result<Drained, Errno>> {
        for thread in &self.threads {
            thread.turns.send(Turn { target, plan }).ok()?;
        }
        let mut all = Drained {
            answered: 0,
            unanswered: 0,
        };
        let mut failed = None;
        // Wait for every thread, even after one has failed.
        for thread in &self.threads {
            match thread.drained.recv().ok()? {
                Ok(drained) => {
                    all.answered += drained.answered;
                    all.unanswered += drained.unanswered;
                }
                Err(errno) => failed = Some(errno),
            }
        }
        Some(failed.map_or(Ok(all), Err))
    }

    pub(super) fn end(self) -> Result<Leavings, DriveError> {
        // A thread without a further turn ends, so release all of them before joining any.
        let handles: Vec<_> = self.threads.into_iter().map(|t| t.handle).collect();
        // Wait for every thread, even after one has failed.
        let results: Vec<_> = handles.into_iter().map(ScopedJoinHandle::join).collect();
        let mut tallies: Vec<Vec<Tally>> = Vec::new();
        let mut pinned = true;
        for result in results {
            let left = result.map_err(|_| DriveError::Panicked)?;
            let (its, is_pinned) = left.map_err(|errno| DriveError::Engine(errno.into()))?;
            pinned &= is_pinned;
            tallies.resize_with(its.len(), Vec::new);
            for (all, tally) in tallies.iter_mut().zip(its) {
                all.push(tally);
            }
        }
        Ok(Leavings { tallies, pinned })
    }
}

/// Whether the thread runs on the given CPU.
fn pin(cpu: Option<u32>) -> bool {
    let Some(cpu) = cpu else {
        return true;
    };
    let cpu = cpu as usize;
    if cpu >= CpuSet::MAX_CPU {
        return false;
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).is_ok()
}

fn not_connected(config: &Config, established: usize, errno: Errno) -> DriveError {
    let (addr, asked) = (config.addr.clone(), config.connections);
    match errno {
        Errno::CONNREFUSED => DriveError::Refused {
            addr,
            established,
            asked,
        },
        Errno::MFILE => descriptors(asked),
        Errno::ADDRNOTAVAIL => DriveError::Ports { established, asked },
        errno => DriveError::Connect {
            addr,
            established,
            asked,
            cause: errno.into(),
        },
    }
}

pub(super) fn descriptors(asked: usize) -> DriveError {
    DriveError::Descriptors {
        asked,
        needed: descriptors_needed(asked),
        limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    }
}

pub(super) fn descriptors_needed(connections: usize) -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count);
    (connections + open) as u64 + SPARE_DESCRIPTORS
}
