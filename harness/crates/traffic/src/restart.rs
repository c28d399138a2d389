//! A restart under load: what clients lose while a new process follows the old one.
//!
//! Requests keep their send times. Each goes over a connection that is kept open; if the server has closed it, the
//! request opens another, and is lost if that fails. So a closed connection loses nothing by itself.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use rustix::process::Signal;

use super::served::ServedOptions;
use catalog::{CHECKED_CALLS, Call, Workload};
use loadgen::{Config, Control, Measurement, Pace, RateStage, Script, StageFigures};
use record::{Failure, RestartInterval, RestartRun, RestartWay, Step};
use runner::{BootOptions, Interrupt, Launch, Referee, Running, accept, boot};

/// The closed loop that shows what a server reaches.
const CLOSED_LOOP: Duration = Duration::from_secs(1);
/// Load before the restart, of which the last second counts.
const BEFORE: Duration = Duration::from_millis(1_500);
/// Latency is told apart by the quarter of a second in which a request was due.
const QUARTER: Duration = Duration::from_millis(250);
/// As many quarters as a drive may have, 16 s; the load ends earlier, when the restart is over.
const QUARTERS: usize = loadgen::MAX_RATE_STAGES;
/// The contract's time limit for stopping after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// The time series. Gaps are read from shorter intervals, if each has several requests.
const INTERVAL: Duration = Duration::from_millis(100);
const SHORT: Duration = Duration::from_millis(10);
const PER_SHORT: f64 = 5.0;
/// How much of the time series is kept on either side of a restart.
const AROUND: Duration = Duration::from_secs(1);

/// The lowest rate, requests per second: below it, an interval would often have no request.
pub const LEAST_RESTART_RATE: f64 = 50.0;

/// About how long a restart takes, with the load before and after it.
pub fn time_of_restart(timeout: Duration) -> Duration {
    BEFORE + after(timeout) + Duration::from_millis(1_500)
}

/// The load goes on until each request that the restart may have lost has timed out.
fn after(timeout: Duration) -> Duration {
    timeout + Duration::from_millis(1_250)
}

/// Requests per second that a closed loop reaches with a fresh process.
///
/// # Errors
/// A [`Failure`] if the server can't be started, or answers wrongly.
pub fn reached(
    launch: &Launch,
    workload: &Workload,
    options: &ServedOptions,
    interrupt: &Interrupt,
) -> Result<f64, Failure> {
    let (mut running, script) = start(launch, workload, options, None, interrupt)?;
    let config = Config {
        duration: CLOSED_LOOP,
        ..config(&running, options)
    };
    let measured = loadgen::drive(&config, &script, &Control::new(interrupt.flag()));
    let rate = measured
        .map_err(Into::into)
        .and_then(|measured| match &measured.first_error {
            Some(error) => Err(anyhow!("{error}")),
            None if measured.stopped => Err(anyhow!("interrupted")),
            None => Ok(measured.requests_per_s()),
        });
    let rate = rate.map_err(|error| running.failure(Step::Drive, format!("{error:#}")))?;
    running.kill()?;
    Ok(rate)
}

/// Restarts a server once, under a load of `rate` requests per second. `into` keeps what was measured before a failure.
///
/// # Errors
/// A [`Failure`] if a process can't be started or stopped, or the old one answers wrongly before the restart.
pub fn restart(
    launch: &Launch,
    workload: &Workload,
    rate: f64,
    options: &ServedOptions,
    interrupt: &Interrupt,
    into: &mut RestartRun,
) -> Result<(), Failure> {
    into.figures.insert("rate_per_s".to_owned(), rate);
    let socket = match into.way {
        RestartWay::Replace => None,
        RestartWay::Handover => Some(Arc::new(listen().map_err(|error| Failure {
            step: Step::Boot,
            reason: format!("{error:#}"),
            log_tail: String::new(),
        })?)),
    };
    let (mut old, script) = match start(launch, workload, options, socket.clone(), interrupt) {
        Err(failure) if socket.is_some() && failure.step == Step::Boot => {
            // A server that starts without a passed socket can't be handed one.
            let plain = boot(launch, &options.boot, &Referee::new(), interrupt)?;
            plain.kill()?;
            let said = failure.log_tail.lines().last().map(str::trim);
            into.not_supported = Some(match said.filter(|said| !said.is_empty()) {
                Some(said) => format!("{}: {said}", failure.reason),
                None => failure.reason,
            });
            return Ok(());
        }
        started => started?,
    };
    let config = Config {
        pace: Pace::Stages(vec![
            RateStage {
                length: QUARTER,
                from: rate,
                to: rate,
            };
            QUARTERS
        ]),
        duration: QUARTER * QUARTERS as u32,
        interval: match rate * SHORT.as_secs_f64() < PER_SHORT {
            true => INTERVAL,
            false => SHORT,
        },
        requests_per_connection: Some(u32::MAX),
        ..config(&old, options)
    };
    let control = Control::default();
    let (measured, restarted) = thread::scope(|scope| {
        let driver = scope.spawn(|| loadgen::drive(&config, &script, &control));
        let restarted = follow(launch, options, socket, interrupt, &control, &mut old);
        control.stop();
        (driver.join(), restarted)
    });
    let measured = measured
        .map_err(|_| anyhow!("the load generator panicked"))
        .and_then(|measured| Ok(measured?));
    let measured = measured.map_err(|error| old.failure(Step::Drive, format!("{error:#}")))?;
    let mut restarted = restarted?;
    fill(&measured, &restarted, into);
    if restarted.over + after(options.timeout) > config.duration {
        let reason = format!(
            "the restart took {:.1} s; it can be measured for {:.0} s with this --timeout",
            (restarted.over - restarted.begin).as_secs_f64(),
            (config.duration - restarted.begin)
                .saturating_sub(after(options.timeout))
                .as_secs_f64()
        );
        return Err(restarted.new.failure(Step::Drive, reason));
    }
    let early = lost_in(&measured, Duration::ZERO..restarted.begin);
    if early > 0 {
        let error = measured.first_error.as_deref().unwrap_or_default();
        let reason = format!("{early} requests were lost before the restart: {error}");
        return Err(old.failure(Step::Drive, reason));
    }
    match old.ended() {
        Some("with status 0") => restarted.new.kill(),
        how => {
            let reason = format!(
                "the old process ended {} on SIGTERM; expected status 0",
                how.unwrap_or("not")
            );
            Err(Failure {
                step: Step::Stop,
                reason,
                log_tail: restarted.new.failure(Step::Stop, "").log_tail,
            })
        }
    }
}

/// A listening socket to pass to servers, with the backlog that they ask for themselves.
fn listen() -> Result<TcpListener> {
    let addr = (Ipv4Addr::LOCALHOST, 0);
    TcpListener::bind(addr).context("cannot listen on a free port to pass its socket")
}

/// Starts a server and accepts its response to every call.
fn start(
    launch: &Launch,
    workload: &Workload,
    options: &ServedOptions,
    socket: Option<Arc<TcpListener>>,
    interrupt: &Interrupt,
) -> Result<(Running, Script), Failure> {
    let referee = Referee::new();
    let boot_options = BootOptions {
        socket,
        ..options.boot.clone()
    };
    let mut running = boot(launch, &boot_options, &referee, interrupt)?;
    let calls: Vec<Call> = workload.draw(options.seed, CHECKED_CALLS);
    let script = accept(running.addr, &calls, &referee, options.timeout, interrupt)
        .map_err(|error| running.failure(Step::Accept, format!("{error:#}")))?;
    Ok((running, script))
}

fn config(running: &Running, options: &ServedOptions) -> Config {
    Config {
        connections: options.connections,
        cpus: options.driver_cpus.clone(),
        warmup: Duration::ZERO,
        timeout: options.timeout,
        seed: options.seed,
        ..Config::new(running.addr)
    }
}

/// A restart that is over. Times count from the start of the load.
struct Restarted {
    begin: Duration,
    over: Duration,
    /// From SIGTERM until the old process had ended.
    stop: Duration,
    new: Running,
}

/// Waits for the restart's time, restarts, and waits until its losses are known.
fn follow(
    launch: &Launch,
    options: &ServedOptions,
    socket: Option<Arc<TcpListener>>,
    interrupt: &Interrupt,
    control: &Control,
    old: &mut Running,
) -> Result<Restarted, Failure> {
    let wait_until = |at: Instant| interrupt.pause(at.saturating_duration_since(Instant::now()));
    let window = control
        .wait_window(options.timeout * 2)
        .context("the load did not begin");
    let start = window.and_then(|window| {
        wait_until(window.start + BEFORE)?;
        Ok(window.start)
    });
    let start = start.map_err(|error| old.failure(Step::Drive, format!("{error:#}")))?;
    let new_log = match options.boot.log.file_stem() {
        Some(stem) => format!("{}-new.log", stem.to_string_lossy()),
        None => "new.log".to_owned(),
    };
    let new_options = BootOptions {
        log: options.boot.log.with_file_name(new_log),
        port: Some(old.addr.port()),
        socket,
        ..options.boot.clone()
    };
    let referee = Referee::new();
    let boot_new = || boot(launch, &new_options, &referee, interrupt);
    let begin = start.elapsed();
    let (new, stop, over) = match &new_options.socket {
        None => {
            let stop = stop_old(old)?;
            (boot_new()?, stop, start.elapsed())
        }
        Some(_) => {
            let new = boot_new()?;
            let stop = stop_old(old)?;
            (new, stop, start.elapsed())
        }
    };
    let waited = wait_until(start + over + after(options.timeout));
    waited.map_err(|error| old.failure(Step::Drive, format!("{error:#}")))?;
    Ok(Restarted {
        begin,
        over,
        stop,
        new,
    })
}

/// Asks the old process to stop, and waits for its end. Returns how long that took.
fn stop_old(old: &mut Running) -> Result<Duration, Failure> {
    let asked = Instant::now();
    let stopped = old.signal(Signal::TERM).and_then(|()| {
        ensure!(
            old.wait(STOP_LIMIT).is_some(),
            "the old process did not end within 5 s of SIGTERM"
        );
        Ok(asked.elapsed())
    });
    stopped.map_err(|error| old.failure(Step::Stop, format!("{error:#}")))
}

/// Takes the figures of the load.
fn fill(measured: &Measurement, restarted: &Restarted, into: &mut RestartRun) {
    let Restarted { begin, over, .. } = *restarted;
    let of = |kinds: &[&str]| -> u64 {
        let counts = kinds.iter().filter_map(|kind| measured.errors.get(kind));
        counts.sum()
    };
    let broken = of(&["closed", "reset"]).saturating_sub(measured.truncated);
    into.lost = [
        ("refused", of(&["connect"])),
        ("reset", broken),
        ("truncated", measured.truncated),
        ("timeout", of(&["timeout"])),
        ("wrong", of(&["status", "body", "protocol"])),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(kind, count)| (kind.to_owned(), count))
    .collect();
    into.first_error.clone_from(&measured.first_error);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut add = |id: &str, value: Option<f64>| {
        into.figures
            .extend(value.map(|value| (id.to_owned(), value)));
    };
    add("due", Some(measured.asked as f64));
    add("answered", Some(measured.requests as f64));
    add("lost", Some(measured.errors_total() as f64));
    add("stop_ms", Some(ms(restarted.stop)));
    add("start_ms", Some(ms(restarted.new.start)));
    add("restart_ms", Some(ms(over - begin)));
    add("gap_ms", Some(ms(gap(measured, begin))));
    add("failing_ms", Some(ms(failing(measured, begin))));
    let quarter = |at: Duration| (at.as_secs_f64() / QUARTER.as_secs_f64()).ceil() as usize;
    let first = (BEFORE.as_secs_f64() / QUARTER.as_secs_f64()) as usize;
    let last = quarter(over);
    for (id, quarters) in [
        ("p99_before_us", first - 4..first),
        ("p99_during_us", first..last.max(first + 1)),
        ("p99_after_us", last.max(first + 1)..last.max(first + 1) + 4),
    ] {
        add(id, measured.stages.get(quarters).and_then(p99_us));
    }
    into.intervals = intervals(measured, begin, over);
}

/// The 99th percentile of the requests that were due in these quarters; `None` if one wasn't loaded to its end.
fn p99_us(quarters: &[StageFigures]) -> Option<f64> {
    let (first, rest) = quarters.split_first()?;
    let mut latency: Histogram<u64> = first.latency.clone();
    for quarter in rest {
        // Histograms of one drive have one range.
        latency.add(&quarter.latency).ok()?;
    }
    let whole = quarters.iter().all(|q| q.ran == q.stage.length);
    (whole && !latency.is_empty()).then(|| latency.value_at_quantile(0.99) as f64 / 1e3)
}

/// Lost requests in intervals that ended in this time.
fn lost_in(measured: &Measurement, time: Range<Duration>) -> u64 {
    let intervals = measured.intervals.iter();
    let within = intervals.filter(|i| i.start >= time.start && i.start + i.length <= time.end);
    within.map(|interval| interval.errors).sum()
}

/// The longest time without a valid response, from the restart on.
fn gap(measured: &Measurement, begin: Duration) -> Duration {
    let mut longest = Duration::ZERO;
    let mut this = Duration::ZERO;
    for interval in &measured.intervals {
        if interval.start + interval.length <= begin {
            continue;
        }
        this = match interval.requests {
            0 => this + interval.length,
            _ => Duration::ZERO,
        };
        longest = longest.max(this);
    }
    longest
}

/// From the first lost request to the last one.
fn failing(measured: &Measurement, begin: Duration) -> Duration {
    let mut failing = (measured.intervals.iter())
        .filter(|interval| interval.start + interval.length > begin && interval.errors > 0);
    let Some(first) = failing.next() else {
        return Duration::ZERO;
    };
    let last = failing.next_back().unwrap_or(first);
    last.start + last.length - first.start
}

/// The time series around the restart, in intervals of [`INTERVAL`].
fn intervals(measured: &Measurement, begin: Duration, over: Duration) -> Vec<RestartInterval> {
    // The restart begins a moment after this, which is the start of an interval.
    let origin = BEFORE.min(begin);
    let kept = kept(origin, (over + AROUND).min(measured.window));
    let mut series: Vec<RestartInterval> = Vec::new();
    for interval in &measured.intervals {
        let since = ms(interval.start) - ms(origin);
        let at_ms = since.div_euclid(ms(INTERVAL)) * ms(INTERVAL);
        if !kept.contains(&at_ms) {
            continue;
        }
        match series.last_mut() {
            Some(last) if last.at_ms == at_ms => {
                last.answered += interval.requests;
                last.lost += interval.errors;
            }
            _ => series.push(RestartInterval {
                at_ms,
                length_ms: INTERVAL.as_millis() as u64,
                answered: interval.requests,
                lost: interval.errors,
            }),
        }
    }
    series
}

/// From when to when intervals begin that are kept, in milliseconds from `origin`. One that `until` cuts off isn't: it would
/// look like a lack of responses.
fn kept(origin: Duration, until: Duration) -> RangeInclusive<i64> {
    -ms(AROUND)..=ms(until) - ms(origin) - ms(INTERVAL)
}

fn ms(time: Duration) -> i64 {
    time.as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_the_end_cuts_off_are_not_kept() {
        let kept = |until| kept(Duration::from_secs(1), Duration::from_millis(until));
        assert!(kept(2_530).contains(&1_400) && !kept(2_530).contains(&1_500));
        assert!(kept(2_500).contains(&1_400) && !kept(2_499).contains(&1_400));
        assert!(kept(2_500).contains(&-1_000) && !kept(2_500).contains(&-1_100));
    }
}
