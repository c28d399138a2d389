//! Starts the threads, holds them at one start, adds up.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{ScopedJoinHandle, scope};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use super::clock::Clock;
use super::connections::NotReady;
use super::engine::Engine;
use super::epoll::Epoll;
use super::portable::Portable;
use super::recorder::{Recorder, nanos};
use super::slot::Plan;
use super::tally::Tally;
use super::uring::Uring;
use super::worker::Worker;
use super::{
    Class, Config, Control, DriveError, EngineKind, Measurement, Script, ThreadTime, Window,
};

/// From when all connections stand to the schedule's start.
const HEADSTART: Duration = Duration::from_millis(5);
/// The most intervals of one drive; each takes some 16 KiB a thread.
const MAX_INTERVALS: u128 = 10_000;
/// Descriptors a drive needs besides its connections and those open already.
const SPARE_DESCRIPTORS: u64 = 16;

/// Drives load as `config` says and waits until it is over.
///
/// # Errors
/// See [`DriveError`]; once the load has begun, faults of the server are counted in the
/// [`Measurement`] instead.
pub fn drive(
    config: &Config,
    script: &Script,
    control: &Control,
) -> Result<Measurement, DriveError> {
    let result = check(config).and_then(|()| run(config, script, control));
    control.end();
    result
}

/// What a thread says once its connections stand, or can't: how many, and why not.
type Ready = (usize, Result<(), NotReady>);

/// What a thread leaves behind.
struct Left {
    tally: Tally,
    pinned: bool,
}

fn run(config: &Config, script: &Script, control: &Control) -> Result<Measurement, DriveError> {
    let clock = Clock::start();
    let unix_base = unix_ns();
    let cpus: Vec<Option<u32>> = match &config.cpus[..] {
        [] => vec![None; config.threads.min(config.connections)],
        cpus => cpus.iter().copied().map(Some).collect(),
    };
    let threads = cpus.len().min(config.connections);
    scope(|scope| {
        let (ready, all_ready) = channel();
        let mut starts = Vec::new();
        let mut handles = Vec::new();
        for (thread, cpu) in cpus.into_iter().take(threads).enumerate() {
            let (start, started) = channel();
            let ready = ready.clone();
            starts.push(start);
            let place = (thread, threads);
            handles.push(
                scope.spawn(move || {
                    work(place, cpu, config, script, control, clock, ready, &started)
                }),
            );
        }
        drop(ready);
        let established = wait_ready(config, threads, &all_ready);
        if let Err(not_ready) = established {
            // Without a start, the threads end.
            drop(starts);
            join(handles)?;
            return Err(not_ready);
        }
        let plan = plan(config, clock);
        let window = window(plan, clock, unix_base);
        control.publish(window);
        for start in starts {
            // A thread that is gone is told of by its join.
            let _ = start.send(plan);
        }
        let left = join(handles)?;
        measurement(config, script, window, left)
    })
}

/// One thread, from its pinning to its end.
#[expect(
    clippy::too_many_arguments,
    reason = "called in one place, all of one drive"
)]
fn work(
    place: (usize, usize),
    cpu: Option<u32>,
    config: &Config,
    script: &Script,
    control: &Control,
    clock: Clock,
    ready: Sender<Ready>,
    start: &Receiver<Plan>,
) -> Result<Option<Left>, Errno> {
    let pinned = cpu.is_none_or(pin);
    // Sleeps are otherwise lengthened by 50 µs; where that is refused, the spin covers it.
    let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
    let slots = (place.0..config.connections).step_by(place.1).len();
    let tally = match config.engine {
        EngineKind::Epoll => {
            let engine = Epoll::new(config.addr, slots)?;
            load(
                Worker::new(engine, place, config, script, control, clock),
                ready,
                start,
            )
        }
        EngineKind::IoUring => {
            let engine = Uring::new(config.addr, slots)?;
            load(
                Worker::new(engine, place, config, script, control, clock),
                ready,
                start,
            )
        }
        EngineKind::Portable => {
            let engine = Portable::new(config.addr, slots)?;
            load(
                Worker::new(engine, place, config, script, control, clock),
                ready,
                start,
            )
        }
    };
    Ok(tally?.map(|tally| Left { tally, pinned }))
}

/// Connects, says so, and sends from the start on; nothing where there is none.
fn load<'w, E: Engine<'w>>(
    mut worker: Worker<'w, E>,
    ready: Sender<Ready>,
    start: &Receiver<Plan>,
) -> Result<Option<Tally>, Errno> {
    let made = worker.establish();
    let established = worker.tally.counts.established;
    // The receiver outlives the threads.
    let _ = ready.send((established, made));
    drop(ready);
    let Ok(plan) = start.recv() else {
        return Ok(None);
    };
    worker.run(plan)?;
    worker.tally.recorder.settle();
    Ok(Some(worker.tally))
}

fn pin(cpu: u32) -> bool {
    let cpu = cpu as usize;
    if cpu >= CpuSet::MAX_CPU {
        return false;
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).is_ok()
}

/// Waits until every thread has its connections, and names the first cause why one has not.
///
/// A thread gives up its end of the channel with its word, or when it dies before that: then
/// the words end early, and the join tells what became of it.
fn wait_ready(
    config: &Config,
    threads: usize,
    ready: &Receiver<Ready>,
) -> Result<usize, DriveError> {
    let (mut established, mut heard) = (0, 0);
    let mut failed = None;
    for (count, result) in ready.iter() {
        established += count;
        heard += 1;
        if let Err(cause) = result {
            failed.get_or_insert(cause);
        }
    }
    match failed {
        None if heard < threads => Err(DriveError::Panicked),
        None => Ok(established),
        Some(NotReady::Stopped) => Err(DriveError::Stopped),
        Some(NotReady::Errno(errno)) => Err(not_connected(config, established, errno)),
    }
}

fn not_connected(config: &Config, established: usize, errno: Errno) -> DriveError {
    let (addr, asked) = (config.addr, config.connections);
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

fn descriptors(asked: usize) -> DriveError {
    DriveError::Descriptors {
        asked,
        needed: descriptors_needed(asked),
        limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    }
}

fn descriptors_needed(connections: usize) -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count);
    (connections + open) as u64 + SPARE_DESCRIPTORS
}

fn check(config: &Config) -> Result<(), DriveError> {
    let refuse = |what: &str| Err(DriveError::Config(what.to_owned()));
    if config.connections == 0 || config.connections > 1_000_000 {
        return refuse("the number of connections must be from 1 to 1,000,000");
    }
    if config.duration.is_zero() || config.interval.is_zero() || config.timeout.is_zero() {
        return refuse("duration, interval and timeout must be above 0");
    }
    if config
        .duration
        .as_nanos()
        .div_ceil(config.interval.as_nanos())
        > MAX_INTERVALS
    {
        return refuse("more than 10,000 intervals: ask for longer ones");
    }
    if config.threads == 0 || config.limit == Some(0) {
        return refuse("threads, and a limit on requests, must be at least 1");
    }
    if config.limit.is_some() && !config.warmup.is_zero() {
        return refuse("a limit on requests goes without warm-up");
    }
    let day = Duration::from_secs(86_400);
    if config.warmup > day || config.timeout > day {
        return refuse("warm-up and timeout must be at most a day");
    }
    config.check_pace()?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if descriptors_needed(config.connections) > limit {
        return Err(descriptors(config.connections));
    }
    config.engine.available()
}

fn plan(config: &Config, clock: Clock) -> Plan {
    let origin = clock.now() + nanos(HEADSTART);
    let start = origin + nanos(config.warmup);
    let end = start + nanos(config.duration);
    Plan { origin, start, end }
}

fn window(plan: Plan, clock: Clock, unix_base: i64) -> Window {
    Window {
        start: clock.instant(plan.start),
        end: clock.instant(plan.end),
        start_unix_ns: unix_base + plan.start as i64,
        end_unix_ns: unix_base + plan.end as i64,
    }
}

fn unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

fn join(
    handles: Vec<ScopedJoinHandle<'_, Result<Option<Left>, Errno>>>,
) -> Result<Vec<Left>, DriveError> {
    let mut all = Vec::new();
    // Every thread is waited for, also behind one that failed.
    let results: Vec<_> = handles.into_iter().map(ScopedJoinHandle::join).collect();
    for result in results {
        let left = result.map_err(|_| DriveError::Panicked)?;
        all.extend(left.map_err(|errno| DriveError::Engine(errno.into()))?);
    }
    Ok(all)
}

fn measurement(
    config: &Config,
    script: &Script,
    window: Window,
    left: Vec<Left>,
) -> Result<Measurement, DriveError> {
    let threads: Vec<ThreadTime> = left.iter().map(|l| l.tally.counts.time).collect();
    let pinned = left.iter().all(|l| l.pinned);
    let all = left.into_iter().map(|l| l.tally).reduce(|mut all, tally| {
        all.merge(&tally);
        all
    });
    let Tally {
        recorder,
        ids,
        counts,
    } = all.ok_or(DriveError::Panicked)?;
    let length = Duration::from_nanos(recorder.end - recorder.start);
    let mean_and_jitter = recorder.mean_and_jitter_ns();
    Ok(Measurement {
        asked: counts.asked.min(config.limit.unwrap_or(u64::MAX)),
        classes: classes(script, &recorder),
        stages: recorder.breakdown.stages(&config.pace, length),
        intervals: recorder.intervals(),
        errors: recorder.errors(),
        requests: recorder.requests,
        window: length,
        window_at: window,
        wire: recorder.wire,
        latency: recorder.latency,
        first_byte: recorder.first_byte,
        connect: recorder.connect,
        send_lag: recorder.send_lag,
        first_error: recorder.first_error.map(|(_, what)| what),
        latency_mean_ns: mean_and_jitter.map(|(mean, _)| mean),
        latency_jitter_ns: mean_and_jitter.map(|(_, jitter)| jitter),
        sent_total: counts.sent,
        answered_total: counts.answered,
        unanswered: counts.unanswered,
        unsent: counts.unsent,
        unanswered_total: counts.sent - counts.answered,
        accepted_orders_total: counts.orders,
        ids_repeated: ids.repeated,
        bytes_received: counts.bytes_received,
        bytes_expected: counts.bytes_expected,
        established: counts.established,
        reconnects: counts.reconnects,
        stopped: counts.stopped,
        threads,
        pinned,
    })
}

/// The classes of the script; a single one is all there is.
fn classes(script: &Script, recorder: &Recorder) -> Vec<Class> {
    match &script.classes[..] {
        [only] => vec![Class {
            name: only.clone(),
            requests: recorder.requests,
            errors: recorder.errors_total(),
            latency: recorder.latency.clone(),
        }],
        names => recorder.breakdown.classes(names),
    }
}
