//! Up to which rate a server meets an objective, how it behaves below and above that rate, and whether it recovers from
//! an overload.
//!
//! A round has a fresh process of each server, which take turns (`turns`).

use std::time::Duration;

use anyhow::{Result, bail};

use super::pattern::shown;
use super::turns::{Contender, Field, Racer, TrialOptions, Turn, USUAL_START, latency_us};
use catalog::{Workload, plan};
use loadgen::{Arrivals, Config, Interval, Measurement};
use record::{Failure, LoadPoint, Overload, RateTrial, RoundCapacity};
use runner::Interrupt;
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
const USUAL_TRIALS: u32 = 35;

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

/// How to measure a capacity.
#[derive(Debug, Clone)]
pub struct CapacityRun {
    /// How servers are started, and what a trial is; the number of connections is not that of an overload.
    pub trials: TrialOptions,
    /// A search ends when its interval is within ± this share.
    pub within: f64,
    /// Or after this many trials.
    pub max_trials: usize,
    /// Whether to measure the load curve.
    pub curve: bool,
    /// Whether to overload.
    pub overload: bool,
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
    let curve = if run.curve { SHARES.len() as u32 } else { 0 };
    let overload = match run.overload {
        true => BEFORE + DURING + AFTER,
        false => Duration::ZERO,
    };
    USUAL_START + PEAK_TIME + run.trials.time() * (USUAL_TRIALS + curve) + overload
}

/// Connections of an overload: one descriptor each, on both sides.
pub fn connections_of_overload(run: &CapacityRun) -> usize {
    CROWD.max(run.trials.served.connections)
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
    let seed = plan::round_seed(run.trials.served.seed, round);
    let mut field = Field::new(&run.trials, seed, interrupt);
    for contender in contenders {
        show(&format!("starting {}", contender.name));
        let log = format!("{}-round-{round}", contender.name);
        let workers = run.trials.served.boot.workers;
        field.start(contender, workload, (workers, &log), Search::new(round));
    }
    search(&mut field, run, judge, show, interrupt);
    if run.curve {
        for share in SHARES {
            field.each(&mut |racer, turn| {
                let name = &racer.name;
                show(&format!("{name} at {:.0} % of its capacity", share * 100.0));
                racer.point(share, turn)
            });
        }
    }
    if run.overload {
        let connections = connections_of_overload(run);
        field.each(&mut |racer, turn| {
            show(&format!("overloading {}", racer.name));
            racer.overload(connections, turn)
        });
    }
    let racers = field.racers.into_iter();
    let ended = racers.map(|racer| racer.and_then(Racer::end));
    ended.map(|state| Ok(state?.found)).collect()
}

/// The search of each server.
fn search(
    field: &mut Field<'_, Search>,
    run: &CapacityRun,
    judge: &Judge<'_>,
    show: &mut dyn FnMut(&str),
    interrupt: &Interrupt,
) {
    field.each(&mut |racer, turn| {
        show(&format!("{}: closed loop", racer.name));
        racer.begin_search(run, turn)
    });
    let mut go_on = true;
    while go_on && !interrupt.is_set() {
        let goes_on = field.each(&mut |racer, turn| {
            let Some(rate) = racer.next_rate() else {
                return Ok(false);
            };
            let trial = racer.state.found.trials.len() + 1;
            show(&format!("{}: trial {trial} at {rate:.0}/s", racer.name));
            racer.trial(rate, judge, turn)?;
            Ok(racer.next_rate().is_some())
        });
        go_on = goes_on.contains(&true);
    }
    for racer in field.racers.iter_mut().flatten() {
        racer.end_search();
    }
}

/// What is known of a server in its round.
struct Search {
    search: Option<CapacitySearch>,
    /// Failed trials, and those in which the load generator was busy.
    failed: (u32, u32),
    found: RoundCapacity,
}

impl Search {
    fn new(round: u32) -> Self {
        Self {
            search: None,
            failed: (0, 0),
            found: RoundCapacity {
                round,
                ..RoundCapacity::default()
            },
        }
    }
}

impl Racer<Search> {
    /// A closed loop tells where to begin.
    fn begin_search(&mut self, run: &CapacityRun, turn: &Turn<'_>) -> Result<()> {
        let config = Config {
            duration: PEAK_TIME,
            arrivals: Arrivals::Constant,
            ..self.closed(turn)
        };
        let peak = self.drive(config)?.measured;
        if let Some(error) = &peak.first_error {
            bail!("{error}");
        }
        let per_s = peak.requests_per_s();
        self.state.found.peak_per_s = per_s;
        self.state.search = Some(CapacitySearch::new(CapacityOptions {
            start: per_s * START,
            least: per_s * LEAST,
            most: per_s * MOST,
            tolerance: run.within,
            max_trials: run.max_trials,
        }));
        Ok(())
    }

    fn next_rate(&self) -> Option<f64> {
        self.state.search.as_ref()?.next_rate()
    }

    fn trial(&mut self, rate: f64, judge: &Judge<'_>, turn: &Turn<'_>) -> Result<()> {
        let driven = self.drive(self.at_rate(rate, turn))?;
        let verdict = judge(&driven.config, &driven.measured);
        let passed = verdict.passed;
        if !passed {
            self.state.failed.0 += 1;
            self.state.failed.1 += u32::from(verdict.generator_bound);
        }
        if let Some(search) = &mut self.state.search {
            search.record(CapacityTrial { rate, passed });
        }
        self.state.found.trials.push(RateTrial {
            rate,
            passed,
            shown: verdict.shown,
        });
        Ok(())
    }

    fn end_search(&mut self) {
        let Some(search) = &self.state.search else {
            return;
        };
        let found = &mut self.state.found;
        found.end = search
            .end()
            .map_or("interrupted", CapacityEnd::name)
            .to_owned();
        if let Some(estimate) = search.estimate() {
            found.rate = Some(estimate.rate);
            found.low = Some(estimate.interval.low);
            found.high = Some(estimate.interval.high);
        }
        let (failed, bound) = self.state.failed;
        found.generator_bound = bound * 2 > failed;
    }

    /// A point of the load curve; none without a capacity.
    fn point(&mut self, share: f64, turn: &Turn<'_>) -> Result<()> {
        let Some(capacity) = self.state.found.rate else {
            return Ok(());
        };
        let rate = capacity * share;
        let driven = self.drive(self.at_rate(rate, turn))?;
        let figures = driven.figures();
        self.state.found.curve.push(LoadPoint {
            share,
            rate,
            figures,
        });
        Ok(())
    }

    /// Half the capacity, three times the capacity, and half of it again.
    fn overload(&mut self, connections: usize, turn: &Turn<'_>) -> Result<()> {
        let Some(capacity) = self.state.found.rate else {
            return Ok(());
        };
        let half = |racer: &Self, duration| Config {
            duration,
            ..racer.at_rate(capacity * HALF, turn)
        };
        let before = self.drive(half(self, BEFORE))?.measured;
        let crowd = Config {
            connections,
            warmup: Duration::ZERO,
            duration: DURING,
            ..self.at_rate(capacity * OVERLOAD, turn)
        };
        let during = self.drive(crowd)?.measured;
        let after = Config {
            warmup: Duration::ZERO,
            ..half(self, AFTER)
        };
        let after = self.drive(after)?.measured;
        let before_p99 = p99_us(&before);
        let end = during.window_at.end;
        let pause = after.window_at.start.saturating_duration_since(end);
        let back = before_p99.and_then(|us| recovered(us * 1e3, &after.intervals));
        let errors = during.errors.iter();
        let begun = |load: &Measurement| load.window_at.start - before.window_at.start;
        let intervals = [&before, &during, &after].into_iter().flat_map(|load| {
            let begun = begun(load);
            load.intervals.iter().map(move |i| shown(i, begun))
        });
        let mut overload = Overload {
            rate: capacity * OVERLOAD,
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
            recovered_ms: back.map(|back| (pause + back).as_secs_f64() * 1e3),
            verdict: None,
            before_ms: begun(&during).as_millis() as u64,
            intervals: intervals.collect(),
        };
        overload.judge(capacity);
        self.state.found.overload = Some(overload);
        Ok(())
    }
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
