//! A drive: one target, one window.

use std::ops::Range;
use std::thread::scope;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};

use super::chains::ChainTally;
use super::clock::Clock;
use super::crew::{Crew, Target, descriptors, descriptors_needed};
use super::recorder::{Nanos, Recorder, nanos};
use super::slot::Plan;
use super::tally::Tally;
use super::{
    Class, Config, Control, DriveError, Measurement, Script, Session, SessionFigures, ThreadTime,
    Window,
};

/// From when all connections are open to the schedule's start.
const HEADSTART: Duration = Duration::from_millis(5);
/// Maximum number of intervals of one drive; each takes about 16 KiB per thread.
pub const MAX_INTERVALS: u32 = 10_000;

/// Drives load as `config` says and waits until it is done.
///
/// # Errors
/// See [`DriveError`]. Once the load has begun, errors of the server are counted in the [`Measurement`]
/// instead.
pub fn drive(
    config: &Config,
    script: &Script,
    control: &Control,
) -> Result<Measurement, DriveError> {
    let result = check(config)
        .and_then(|()| check_session(config, script))
        .and_then(|()| {
            run(Target {
                config,
                script,
                control,
            })
        });
    control.end();
    result
}

fn run(target: Target<'_>) -> Result<Measurement, DriveError> {
    let clock = Clock::start();
    let unix_base = unix_ns();
    let targets = [target];
    scope(|scope| {
        let crew = Crew::start(scope, &targets, None, clock);
        let Some(ready) = crew.wait_ready(&targets) else {
            // A thread has ended; joining it tells why.
            return Err(crew.end().err().unwrap_or(DriveError::Panicked));
        };
        if let Some(Err(not_ready)) = ready.into_iter().next() {
            // Without a turn, the threads end.
            crew.end()?;
            return Err(not_ready);
        }
        let plan = plan(target.config, clock);
        let window = window(plan.start..plan.end, clock, unix_base);
        target.control.publish(window);
        let turn = crew.turn(0, plan);
        let mut left = crew.end()?;
        match turn {
            Some(Ok(_)) => measurement(target, left.tallies.remove(0), left.pinned, |_| window),
            Some(Err(errno)) => Err(DriveError::Engine(errno.into())),
            None => Err(DriveError::Panicked),
        }
    })
}

pub(super) fn check(config: &Config) -> Result<(), DriveError> {
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
        > u128::from(MAX_INTERVALS)
    {
        return refuse("more than 10,000 intervals: make them longer");
    }
    let limits = [config.limit, config.requests_per_connection.map(u64::from)];
    if config.threads == 0 || limits.contains(&Some(0)) {
        return refuse("threads, and limits on requests, must be at least 1");
    }
    if config.limit.is_some() && !config.warmup.is_zero() {
        return refuse("a limit on requests can't be combined with a warm-up");
    }
    let day = Duration::from_secs(86_400);
    if config.warmup > day || config.timeout > day {
        return refuse("warm-up and timeout must be at most a day");
    }
    config.check_pace()?;
    config.check_addresses()?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if descriptors_needed(config.connections) > limit {
        return Err(descriptors(config.connections));
    }
    config.engine.available()
}

/// A session is what a user of a closed loop does over a connection.
fn check_session(config: &Config, script: &Script) -> Result<(), DriveError> {
    let refuse = |what: &str| Err(DriveError::Config(what.to_owned()));
    if script.session.is_none() {
        return Ok(());
    }
    if config.is_open() {
        return refuse("a session needs a closed loop, without a rate");
    }
    if config.limit.is_some() || config.requests_per_connection.is_some() {
        return refuse(
            "a session can't be combined with a limit on requests, in total or per connection",
        );
    }
    Ok(())
}

fn plan(config: &Config, clock: Clock) -> Plan {
    let origin = clock.now() + nanos(HEADSTART);
    let start = origin + nanos(config.warmup);
    let end = start + nanos(config.duration);
    Plan { origin, start, end }
}

/// A span of the common clock.
pub(super) fn window(span: Range<Nanos>, clock: Clock, unix_base: i64) -> Window {
    Window {
        start: clock.instant(span.start),
        end: clock.instant(span.end),
        start_unix_ns: unix_base + span.start as i64,
        end_unix_ns: unix_base + span.end as i64,
    }
}

pub(super) fn unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// Adds up the threads' results for one target. `window` is the measured time.
pub(super) fn measurement(
    Target { config, script, .. }: Target<'_>,
    left: Vec<Tally>,
    pinned: bool,
    window: impl FnOnce(&Recorder) -> Window,
) -> Result<Measurement, DriveError> {
    let threads: Vec<ThreadTime> = left.iter().map(|tally| tally.counts.time).collect();
    let all = left.into_iter().reduce(|mut all, tally| {
        all.merge(&tally);
        all
    });
    let Tally {
        recorder,
        ids,
        counts,
        chains,
    } = all.ok_or(DriveError::Panicked)?;
    let length = Duration::from_nanos(recorder.measured());
    let session = script.session.as_ref().zip(chains);
    let mean_and_jitter = recorder.mean_and_jitter_ns();
    Ok(Measurement {
        asked: counts.asked.min(config.limit.unwrap_or(u64::MAX)),
        classes: classes(script, &recorder),
        stages: recorder.breakdown.stages(&config.pace, length),
        intervals: recorder.intervals(),
        errors: recorder.errors(),
        requests: recorder.requests,
        window: length,
        window_at: window(&recorder),
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
        unfinished: recorder.unfinished,
        unsent: counts.unsent,
        unanswered_total: counts.sent - counts.answered,
        accepted_orders_total: counts.orders,
        ids_repeated: ids.repeated,
        bytes_received: counts.bytes_received,
        bytes_expected: counts.bytes_expected,
        established: counts.established,
        reconnects: counts.reconnects,
        truncated: counts.truncated,
        retries: counts.retries,
        stopped: counts.stopped,
        threads,
        pinned,
        session: session.map(|(script, chains)| session_figures(&script.session, chains)),
    })
}

fn session_figures(session: &Session, chains: ChainTally) -> SessionFigures {
    let names = session.steps.iter().map(|step| step.name.clone());
    SessionFigures {
        complete: chains.time.len(),
        ended: chains.time.len() + chains.failed_in_window,
        complete_total: chains.complete_total,
        failed: names.zip(chains.failed).collect(),
        mean_ns: chains.moments.mean(),
        time: chains.time,
        unfinished_ns: chains.unfinished,
    }
}

/// The classes of the script. With a single class it holds everything.
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
