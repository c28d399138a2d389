//! The threads of a drive: each has its share of the connections to every target, and takes turns on command.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use super::clock::Clock;
use super::connections::NotReady;
use super::dial::Dial;
use super::engine::Engine;
use super::epoll::Epoll;
use super::slot::Plan;
use super::tally::Tally;
use super::uring::Uring;
use super::worker::Worker;
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
struct Turn {
    target: usize,
    plan: Plan,
}

/// A thread's report on a turn, once nothing is in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drained {
    /// Valid responses in this turn.
    pub(super) answered: u64,
    /// Requests of this turn that timed out or were never sent.
    pub(super) unanswered: u64,
}

/// A thread's results: a tally for each target, and whether it ran on its CPU.
struct Left {
    tallies: Vec<Tally>,
    pinned: bool,
}

/// Number of open connections of one target on one thread, and why not all are.
type Made = (usize, Result<(), NotReady>);

/// A thread's report after trying to connect to every target.
type Ready = Vec<Made>;

struct Thread<'s> {
    turns: Sender<Turn>,
    drained: Receiver<Result<Drained, Errno>>,
    ready: Receiver<Ready>,
    handle: ScopedJoinHandle<'s, Result<Left, Errno>>,
}

/// The running threads.
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
            let place = (thread, count);
            let handle = scope.spawn(move || {
                let pinned = pin(cpu);
                // Otherwise sleeps take 50 µs longer; if the kernel refuses, the spin covers it.
                let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
                let engine = targets[0].config.engine;
                let hand = Hand {
                    place,
                    targets,
                    slices,
                    clock,
                };
                let tallies = match engine {
                    EngineKind::Epoll => hand.work(Epoll::new, &say_ready, &told, &say),
                    EngineKind::IoUring => hand.work(Uring::new, &say_ready, &told, &say),
                };
                Ok(Left {
                    tallies: tallies?,
                    pinned,
                })
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

    /// Ends the threads.
    pub(super) fn end(self) -> Result<Leavings, DriveError> {
        // A thread without a further turn ends, so release all of them before joining any.
        let handles: Vec<_> = self.threads.into_iter().map(|t| t.handle).collect();
        // Wait for every thread, even after one has failed.
        let results: Vec<_> = handles.into_iter().map(ScopedJoinHandle::join).collect();
        let mut tallies: Vec<Vec<Tally>> = Vec::new();
        let mut pinned = true;
        for result in results {
            let left = result.map_err(|_| DriveError::Panicked)?;
            let left = left.map_err(|errno| DriveError::Engine(errno.into()))?;
            pinned &= left.pinned;
            tallies.resize_with(left.tallies.len(), Vec::new);
            for (all, tally) in tallies.iter_mut().zip(left.tallies) {
                all.push(tally);
            }
        }
        Ok(Leavings { tallies, pinned })
    }
}

/// What one thread works with.
struct Hand<'e> {
    place: (usize, usize),
    targets: &'e [Target<'e>],
    slices: Option<usize>,
    clock: Clock,
}

impl<'e> Hand<'e> {
    /// Connects to every target, reports that, and takes turns until there are no more.
    fn work<E: Engine<'e>>(
        &self,
        make: impl Fn(Dial, usize) -> Result<E, Errno>,
        ready: &Sender<Ready>,
        turns: &Receiver<Turn>,
        drained: &Sender<Result<Drained, Errno>>,
    ) -> Result<Vec<Tally>, Errno> {
        let mut workers = Vec::with_capacity(self.targets.len());
        for &Target {
            config,
            script,
            control,
        } in self.targets
        {
            let slots = (self.place.0..config.connections)
                .step_by(self.place.1)
                .len();
            let dial = Dial::new(&config.addr, &config.from, self.place)?;
            let engine = make(dial, slots)?;
            let (clock, slices) = (self.clock, self.slices);
            workers.push(Worker::new(
                engine, self.place, config, script, control, clock, slices,
            ));
        }
        let connect = |worker: &mut Worker<'e, E>| {
            let made = worker.establish();
            (worker.tally.counts.established, made)
        };
        // The receivers outlive the threads.
        let _ = ready.send(workers.iter_mut().map(connect).collect());
        while let Ok(Turn { target, plan }) = turns.recv() {
            let worker = &mut workers[target];
            let before = (worker.answered(), worker.unanswered());
            let ended = worker.run(plan).map(|()| Drained {
                answered: worker.answered() - before.0,
                unanswered: worker.unanswered() - before.1,
            });
            let _ = drained.send(ended);
        }
        let tally = |mut worker: Worker<'e, E>| {
            worker.tally.recorder.settle();
            worker.tally
        };
        Ok(workers.into_iter().map(tally).collect())
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
