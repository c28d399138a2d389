//! Up to which rate a server meets an objective, how it behaves below and above that rate, and whether it recovers from
//! an overload.
//!
//! A round has a fresh process of each server. They take turns trial by trial, in an order that changes, so that the
//! machine's good and bad moments meet all of them. A trial is one uninterrupted load: with short slices, the queue that
//! decides about latency could not grow. Processes without a turn are stopped (SIGSTOP), so that none takes CPU time
//! from another.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use super::DISTINCT_CALLS;
use super::footprint::{processes_of, watched};
use catalog::{Call, Workload, plan};
use loadgen::{Arrivals, Config, Control, Interval, Measurement, Pace, Script};
use machine::probe::Processes;
use record::{Failure, LoadPoint, Overload, RateTrial, RoundCapacity, Step};
use runner::{BootOptions, Interrupt, Launch, Referee, Running, boot};
use stats::{CapacityEnd, CapacityOptions, CapacitySearch, CapacityTrial};

/// The points of the load curve, as shares of a process's own capacity.
pub const SHARES: [f64; 10] = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2];
/// The closed loop that a search begins from, and its share that the first trial has.
const PEAK_TIME: Duration = Duration::from_secs(1);
const START: f64 = 0.7;
/// Rates searched, as multiples of that.
const LEAST: f64 = 0.001;
const MOST: f64 = 4.0;
/// Trials of a search as they usually are, for the time left.
const USUAL_TRIALS: u32 = 20;
/// Time to start a process and to accept its responses, likewise.
const USUAL_START: Duration = Duration::from_secs(2);

/// Load of an overload, and of before and after it, as shares of the capacity.
const OVERLOAD: f64 = 3.0;
const HALF: f64 = 0.5;
const BEFORE: Duration = Duration::from_secs(2);
const DURING: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(10);
/// Connections of an overload: a crowd, so that requests wait in the server and not in the load generator.
const CROWD: usize = 1_024;
/// Latency is back if the p99 of an interval is at most this many times that before the overload, or above it by the
/// second.
const BACK_TIMES: f64 = 2.0;
const BACK_ABOVE_NS: f64 = 1e6;
/// For this many intervals in a row.
const BACK_FOR: usize = 5;
const INTERVAL: Duration = Duration::from_millis(100);

/// How to measure a capacity.
#[derive(Debug, Clone)]
pub struct CapacityRun {
    /// How to start a server; the logs are in the folder of this one.
    pub boot: BootOptions,
    /// CPUs of the load generator; any if empty.
    pub driver_cpus: Vec<u32>,
    /// Connections of every load but the overload.
    pub connections: usize,
    /// Length of a trial.
    pub trial: Duration,
    /// Load before it.
    pub warmup: Duration,
    /// A search ends when its interval is within ± this share.
    pub within: f64,
    /// Or after this many trials.
    pub max_trials: usize,
    /// How requests are spread.
    pub arrivals: Arrivals,
    /// Whether to measure the load curve.
    pub curve: bool,
    /// Whether to overload.
    pub overload: bool,
    /// Seed of the drawn requests and of the order.
    pub seed: u64,
    /// Time limit for a response.
    pub timeout: Duration,
}

/// A server to measure.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// Its name.
    pub name: &'a str,
    /// How to start it.
    pub launch: &'a Launch,
}

/// What a trial showed.
#[derive(Debug)]
pub struct TrialVerdict {
    /// Whether the objective was met.
    pub passed: bool,
    /// The figures of the objective, for people.
    pub shown: String,
    /// Whether the load generator may be why it failed.
    pub generator_bound: bool,
}

/// Judges a trial.
type Judge<'a> = dyn Fn(&Config, &Measurement) -> TrialVerdict + 'a;

/// About how long a round takes for one server and one workload.
pub fn time_of_round(run: &CapacityRun) -> Duration {
    let trial = run.warmup + run.trial;
    let curve = if run.curve { SHARES.len() as u32 } else { 0 };
    let overload = match run.overload {
        true => BEFORE + DURING + AFTER,
        false => Duration::ZERO,
    };
    USUAL_START + PEAK_TIME + trial * (USUAL_TRIALS + curve) + overload
}

/// Connections of an overload: one descriptor each, on both sides.
pub fn connections_of_overload(run: &CapacityRun) -> usize {
    CROWD.max(run.connections)
}

/// Measures a round: a fresh process of each server. Calls `show` with what is measured next. A server's failure ends
/// its round, and the others go on.
pub fn capacity_round(
    contenders: &[Contender<'_>],
    (round, workload): (u32, &Workload),
    run: &CapacityRun,
    judge: &Judge<'_>,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(&str),
) -> Vec<Result<RoundCapacity, Failure>> {
    let seed = plan::round_seed(run.seed, round);
    let calls = workload.draw(seed, DISTINCT_CALLS);
    let mut field = Field {
        run,
        judge,
        interrupt,
        seed,
        step: 0,
        racers: Vec::new(),
    };
    let referee = Referee::new();
    for contender in contenders {
        show(&format!("starting {}", contender.name));
        let racer = Racer::start(contender, round, &calls, &field, &referee);
        field.racers.push(racer);
    }
    field.search(show);
    if run.curve {
        for share in SHARES {
            field.each(&mut |racer, field| {
                let name = racer.name.clone();
                show(&format!("{name} at {:.0} % of its capacity", share * 100.0));
                racer.point(share, field)
            });
        }
    }
    if run.overload {
        field.each(&mut |racer, field| {
            show(&format!("overloading {}", racer.name));
            racer.overload(field)
        });
    }
    let racers = field.racers.into_iter();
    racers.map(|racer| racer.and_then(Racer::end)).collect()
}

/// The servers of a round, and how they are measured.
struct Field<'a> {
    run: &'a CapacityRun,
    judge: &'a Judge<'a>,
    interrupt: &'a Interrupt,
    seed: u64,
    /// Counts the turns of all, so that no two have the same order or arrivals.
    step: u64,
    racers: Vec<Result<Racer, Failure>>,
}

/// What a turn needs to know of the round.
struct Turn<'a> {
    run: &'a CapacityRun,
    judge: &'a Judge<'a>,
    interrupt: &'a Interrupt,
    seed: u64,
}

impl Field<'_> {
    /// Gives every server a turn, in an order of its own. Returns what they return.
    fn each<T>(&mut self, act: &mut dyn FnMut(&mut Racer, &Turn<'_>) -> Result<T>) -> Vec<T> {
        self.step += 1;
        let turn = Turn {
            run: self.run,
            judge: self.judge,
            interrupt: self.interrupt,
            seed: self.seed.wrapping_add(self.step),
        };
        let mut all = Vec::new();
        for place in plan::turns(self.racers.len(), 1, turn.seed) {
            if self.interrupt.is_set() {
                break;
            }
            let Ok(racer) = &mut self.racers[place] else {
                continue;
            };
            racer.processes.signal(Signal::CONT);
            match act(racer, &turn) {
                Ok(acted) => {
                    racer.processes.signal(Signal::STOP);
                    all.push(acted);
                }
                Err(error) => {
                    let failure = racer.running.failure(Step::Drive, format!("{error:#}"));
                    self.racers[place] = Err(failure);
                }
            }
        }
        all
    }

    fn search(&mut self, show: &mut dyn FnMut(&str)) {
        self.each(&mut |racer, turn| {
            show(&format!("{}: closed loop", racer.name));
            racer.begin_search(turn)
        });
        let mut go_on = true;
        while go_on && !self.interrupt.is_set() {
            let goes_on = self.each(&mut |racer, turn| {
                let Some(rate) = racer.next_rate() else {
                    return Ok(false);
                };
                let trial = racer.found.trials.len() + 1;
                show(&format!("{}: trial {trial} at {rate:.0}/s", racer.name));
                racer.trial(rate, turn)?;
                Ok(racer.next_rate().is_some())
            });
            go_on = goes_on.contains(&true);
        }
        for racer in self.racers.iter_mut().flatten() {
            racer.end_search();
        }
    }
}

/// A running server in its round.
struct Racer {
    name: String,
    running: Running,
    processes: Processes,
    script: Script,
    search: Option<CapacitySearch>,
    /// Failed trials, and those in which the load generator was busy.
    failed: (u32, u32),
    found: RoundCapacity,
}

/// A load, and what was read of the server meanwhile.
struct Driven {
    config: Config,
    measured: Measurement,
    cpu_ns: Option<u64>,
    peak_rss_bytes: u64,
}

impl Racer {
    fn start(
        contender: &Contender<'_>,
        round: u32,
        calls: &[Call],
        field: &Field<'_>,
        referee: &Referee,
    ) -> Result<Self, Failure> {
        let run = field.run;
        let log = format!("{}-round-{round}.log", contender.name);
        let log = run.boot.log.with_file_name(log);
        let options = BootOptions {
            log,
            ..run.boot.clone()
        };
        let mut running = boot(contender.launch, &options, referee, field.interrupt)?;
        let script = runner::accept(running.addr, calls, referee, run.timeout, field.interrupt)
            .map_err(|error| running.failure(Step::Accept, format!("{error:#}")))?;
        let mut processes = processes_of(&running);
        processes.signal(Signal::STOP);
        Ok(Self {
            name: contender.name.to_owned(),
            running,
            processes,
            script,
            search: None,
            failed: (0, 0),
            found: RoundCapacity {
                round,
                ..RoundCapacity::default()
            },
        })
    }

    fn config(&self, turn: &Turn<'_>) -> Config {
        let run = turn.run;
        Config {
            connections: run.connections,
            cpus: run.driver_cpus.clone(),
            warmup: run.warmup,
            duration: run.trial,
            timeout: run.timeout,
            interval: INTERVAL,
            arrivals: run.arrivals,
            seed: turn.seed,
            ..Config::new(self.running.addr)
        }
    }

    fn at_rate(&self, per_second: f64, turn: &Turn<'_>) -> Config {
        Config {
            pace: Pace::Rate { per_second },
            ..self.config(turn)
        }
    }

    /// Drives a load.
    ///
    /// # Errors
    /// If it could not begin, was interrupted, or the server ended.
    fn drive(&mut self, config: Config, turn: &Turn<'_>) -> Result<Driven> {
        self.processes.refresh();
        let before = self.processes.sample_light().cpu_ns;
        let (script, control) = (&self.script, Control::new(turn.interrupt.flag()));
        let load = || Ok(loadgen::drive(&config, script, &control)?);
        let (measured, peak_rss_bytes) = watched(&mut self.processes, load)?;
        if measured.stopped {
            bail!("interrupted");
        }
        if let Some(how) = self.running.ended() {
            bail!("it ended {how} under load");
        }
        if !measured.pinned {
            bail!(
                "the load generator could not be pinned to CPUs {:?}; see --no-pin",
                config.cpus
            );
        }
        let after = self.processes.sample_light().cpu_ns;
        Ok(Driven {
            cpu_ns: after
                .zip(before)
                .map(|(after, before)| after.saturating_sub(before)),
            config,
            measured,
            peak_rss_bytes,
        })
    }

    /// A closed loop tells where to begin.
    fn begin_search(&mut self, turn: &Turn<'_>) -> Result<()> {
        let config = Config {
            duration: PEAK_TIME,
            arrivals: Arrivals::Constant,
            ..self.config(turn)
        };
        let peak = self.drive(config, turn)?.measured;
        if let Some(error) = &peak.first_error {
            bail!("{error}");
        }
        let per_s = peak.requests_per_s();
        self.found.peak_per_s = per_s;
        self.search = Some(CapacitySearch::new(CapacityOptions {
            start: per_s * START,
            least: per_s * LEAST,
            most: per_s * MOST,
            tolerance: turn.run.within,
            max_trials: turn.run.max_trials,
        }));
        Ok(())
    }

    fn next_rate(&self) -> Option<f64> {
        self.search.as_ref()?.next_rate()
    }

    fn trial(&mut self, rate: f64, turn: &Turn<'_>) -> Result<()> {
        let driven = self.drive(self.at_rate(rate, turn), turn)?;
        let verdict = (turn.judge)(&driven.config, &driven.measured);
        let passed = verdict.passed;
        if !passed {
            self.failed.0 += 1;
            self.failed.1 += u32::from(verdict.generator_bound);
        }
        if let Some(search) = &mut self.search {
            search.record(CapacityTrial { rate, passed });
        }
        self.found.trials.push(RateTrial {
            rate,
            passed,
            shown: verdict.shown,
        });
        Ok(())
    }

    fn end_search(&mut self) {
        let Some(search) = &self.search else { return };
        let found = &mut self.found;
        found.end = search
            .end()
            .map_or("interrupted", CapacityEnd::name)
            .to_owned();
        if let Some(estimate) = search.estimate() {
            found.rate = Some(estimate.rate);
            found.low = Some(estimate.interval.low);
            found.high = Some(estimate.interval.high);
        }
        let (failed, bound) = self.failed;
        found.generator_bound = bound * 2 > failed;
    }

    /// A point of the load curve; none without a capacity.
    fn point(&mut self, share: f64, turn: &Turn<'_>) -> Result<()> {
        let Some(capacity) = self.found.rate else {
            return Ok(());
        };
        let rate = capacity * share;
        let driven = self.drive(self.at_rate(rate, turn), turn)?;
        let figures = driven.figures();
        self.found.curve.push(LoadPoint {
            share,
            rate,
            figures,
        });
        Ok(())
    }

    /// Half the capacity, three times the capacity, and half of it again.
    fn overload(&mut self, turn: &Turn<'_>) -> Result<()> {
        let Some(capacity) = self.found.rate else {
            return Ok(());
        };
        let half = |racer: &Self, duration| Config {
            duration,
            ..racer.at_rate(capacity * HALF, turn)
        };
        let before = self.drive(half(self, BEFORE), turn)?.measured;
        let crowd = Config {
            connections: connections_of_overload(turn.run),
            warmup: Duration::ZERO,
            duration: DURING,
            ..self.at_rate(capacity * OVERLOAD, turn)
        };
        let (rate, connections) = (capacity * OVERLOAD, crowd.connections);
        let during = self.drive(crowd, turn)?.measured;
        let after = Config {
            warmup: Duration::ZERO,
            ..half(self, AFTER)
        };
        let after = self.drive(after, turn)?.measured;
        let before_p99 = p99_us(&before);
        let end = during.window_at.end;
        let begun = after.window_at.start.saturating_duration_since(end);
        let back = before_p99.and_then(|us| recovered(us * 1e3, &after.intervals));
        let errors = during.errors.iter();
        let mut overload = Overload {
            rate,
            seconds: during.window.as_secs_f64(),
            connections,
            goodput_per_s: during.requests_per_s(),
            wire_p99_us: (!during.wire.is_empty())
                .then(|| during.wire.value_at_quantile(0.99) as f64 / 1e3),
            errors: errors
                .map(|(kind, count)| ((*kind).to_owned(), *count))
                .collect(),
            sent: during.sent_total,
            before_p99_us: before_p99,
            after_p99_us: p99_us(&after),
            after_per_s: after.requests_per_s(),
            recovered_ms: back.map(|back| (begun + back).as_secs_f64() * 1e3),
            verdict: None,
        };
        overload.judge(capacity);
        self.found.overload = Some(overload);
        Ok(())
    }

    fn end(mut self) -> Result<RoundCapacity, Failure> {
        self.processes.signal(Signal::CONT);
        self.running.kill()?;
        Ok(self.found)
    }
}

impl Driven {
    fn figures(&self) -> BTreeMap<String, f64> {
        let m = &self.measured;
        let mut figures = BTreeMap::new();
        let mut add = |id: &str, value: Option<f64>| {
            figures.extend(value.map(|value| (id.to_owned(), value)));
        };
        add("requests_per_s", Some(m.requests_per_s()));
        add("latency_p50_us", latency_us(m, 0.5));
        add("latency_p99_us", p99_us(m));
        let answered = (m.answered_total > 0).then_some(m.answered_total as f64);
        let cpu = self.cpu_ns.zip(answered);
        add(
            "cpu_us_per_request",
            cpu.map(|(ns, answered)| ns as f64 / 1e3 / answered),
        );
        let rss = (self.peak_rss_bytes > 0).then_some(self.peak_rss_bytes as f64);
        add("rss_peak_bytes", rss);
        let ended = m.answered_total + m.errors_total();
        let errors = (ended > 0).then(|| m.errors_total() as f64 / ended as f64);
        add("error_ratio", errors);
        let busy = m.threads.iter().map(|thread| thread.busy_ratio());
        add("driver_busy_ratio", busy.reduce(f64::max));
        figures
    }
}

/// A percentile of latency in microseconds; the unanswered count with the time they had waited.
fn latency_us(m: &Measurement, quantile: f64) -> Option<f64> {
    let bounds = m.latency_bounds();
    (!bounds.is_empty()).then(|| bounds.at(quantile).0 as f64 / 1e3)
}

fn p99_us(m: &Measurement) -> Option<f64> {
    latency_us(m, 0.99)
}

/// When latency was back, from the start of these intervals: the first of some in a row whose p99 is like before.
fn recovered(before_ns: f64, intervals: &[Interval]) -> Option<Duration> {
    let limit = (before_ns * BACK_TIMES).max(before_ns + BACK_ABOVE_NS);
    let back = |interval: &Interval| {
        interval.errors == 0 && interval.p99_ns.is_some_and(|p99| p99 as f64 <= limit)
    };
    let mut windows = intervals.windows(BACK_FOR);
    let found = windows.find(|window| window.iter().all(back))?;
    Some(found[0].start)
}
