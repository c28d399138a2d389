//! The metrics of a run, and their names.
//!
//! Names use base units, as OpenMetrics requires: seconds and bytes, where the record has microseconds.
//! Unknown values are omitted.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use catalog::{Stage, plan};
use record::figure::{self, Figure};
use record::{Run, Trial};
use runner::{Happening, Live};

/// The prefix of all names.
const PREFIX: &str = "harness";

/// The phases of the harness; exactly one is current.
const PHASES: [&str; 5] = ["build", "check", "capture", "calibrate", "measure"];

/// A figure's name without prefix and unit, its unit, and the divisor for the record's value.
fn told_as(figure: &Figure) -> (String, Option<Unit>, f64) {
    let (own, each) = match figure.id.strip_suffix("_per_request") {
        Some(own) => (own, "_per_request"),
        None => (figure.id, ""),
    };
    let without = |unit: &str| format!("trial_{}{each}", own.strip_suffix(unit).unwrap_or(own));
    match figure.unit() {
        figure::Unit::PerSecond => {
            let unit = Unit::Other(format!("{}econd", figure.id));
            ("trial".to_owned(), Some(unit), 1.0)
        }
        figure::Unit::Micros => (without("_us"), Some(Unit::Seconds), 1e6),
        figure::Unit::Millis => (without("_ms"), Some(Unit::Seconds), 1e3),
        figure::Unit::Bytes => (without("_bytes"), Some(Unit::Bytes), 1.0),
        figure::Unit::Microjoules => (without("_uj"), Some(Unit::Joules), 1e6),
        figure::Unit::One => (without(""), None, 1.0),
    }
}

fn requests_per_second() -> Unit {
    Unit::Other("requests_per_second".to_owned())
}

/// A cell of the plan: server, workload and stage of a trial, without the round.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrialLabels {
    server: String,
    workload: String,
    stage: String,
}

impl TrialLabels {
    fn new(server: &str, workload: &str, stage: Stage) -> Self {
        Self {
            server: server.to_owned(),
            workload: workload.to_owned(),
            stage: stage.to_string(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Workload {
    workload: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

/// A gauge of 64-bit floats.
type Number = Gauge<f64, AtomicU64>;

/// A gauge that is omitted until its value is known.
#[derive(Debug, Clone, Default)]
struct OptionalGauge(Arc<Mutex<Option<f64>>>);

impl OptionalGauge {
    fn set(&self, value: Option<f64>) {
        *locked(&self.0) = value;
    }
}

impl EncodeMetric for OptionalGauge {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match *locked(&self.0) {
            Some(value) => encoder.encode_gauge(&value),
            None => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        locked(&self.0).is_none()
    }
}

/// The current trials, and how much of the load of each was counted.
#[derive(Debug, Default)]
struct UnderWay {
    loads: Vec<Load>,
    /// When the remaining time was last estimated, and the estimate.
    left: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Load {
    cell: TrialLabels,
    requests: u64,
    errors: u64,
}

/// All metrics of one run.
#[derive(Debug)]
pub(super) struct Series {
    registry: Registry,
    live: Live,
    under_way: Mutex<UnderWay>,
    phase: Family<Phase, Gauge>,
    planned: Gauge,
    finished: Counter,
    failed: Counter,
    round: OptionalGauge,
    remaining: OptionalGauge,
    current: Family<TrialLabels, Gauge>,
    paced: Family<Workload, Number>,
    load_requests: Family<TrialLabels, Counter>,
    load_errors: Family<TrialLabels, Counter>,
    trial_failed: Family<TrialLabels, Gauge>,
    /// Figures of the last trial of each server, workload and stage.
    figures: Vec<(&'static Figure, Family<TrialLabels, Number>)>,
}

impl Series {
    /// `trials` is the number planned and the number already done.
    pub(super) fn new(run: &Run, trials: (usize, usize), live: Live) -> Self {
        let mut series = Self {
            registry: Registry::with_prefix(PREFIX),
            live,
            under_way: Mutex::default(),
            phase: Family::default(),
            planned: Gauge::default(),
            finished: Counter::default(),
            failed: Counter::default(),
            round: OptionalGauge::default(),
            remaining: OptionalGauge::default(),
            current: Family::default(),
            paced: Family::default(),
            load_requests: Family::default(),
            load_errors: Family::default(),
            trial_failed: Family::default(),
            figures: figure::FIGURES
                .iter()
                .filter(|figure| figure.metric)
                .map(|figure| (figure, Family::default()))
                .collect(),
        };
        series.register(run);
        series.planned.set(trials.0 as i64);
        series.finished.inc_by(trials.1 as u64);
        series.enter("build");
        series.pace(&run.rates_per_s);
        series
    }

    fn register(&mut self, run: &Run) {
        let registry = &mut self.registry;
        registry.register("run", "The run", Info::new(about(run)));
        registry.register(
            "phase",
            "The phase of the run: 1 for the current one",
            self.phase.clone(),
        );
        let help = "Number of planned trials; may change if a precision or a budget ends the run";
        registry.register("trials_planned", help, self.planned.clone());
        let help = "Finished trials, including those from before the run was resumed";
        registry.register("trials_finished", help, self.finished.clone());
        registry.register(
            "trials_failed",
            "Trials that ran and failed",
            self.failed.clone(),
        );
        registry.register("round", "The current round, from 1", self.round.clone());
        let help = "Time left, as estimated when the current trials began";
        registry.register_with_unit("remaining", help, Unit::Seconds, self.remaining.clone());
        registry.register(
            "current_trial",
            "1 for each current trial; all interleaved entries are current at once",
            self.current.clone(),
        );
        let help = "The rate of paced trials";
        registry.register_with_unit("paced", help, requests_per_second(), self.paced.clone());
        let help = "Valid responses in all trials so far, warm-up included, about 10 ms behind";
        registry.register("load_requests", help, self.load_requests.clone());
        let help = "Failed requests in all trials so far, warm-up included";
        registry.register("load_errors", help, self.load_errors.clone());
        let help = "1 if the last trial failed, which then has no figures, else 0";
        registry.register("trial_failed", help, self.trial_failed.clone());
        for (figure, family) in &self.figures {
            let (name, unit, _) = told_as(figure);
            let help = format!("Last trial: {}", figure.definition);
            match unit {
                Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
                None => registry.register(name, help, family.clone()),
            }
        }
    }

    /// The current metrics as OpenMetrics 1.0 text.
    pub(super) fn text(&self) -> String {
        let mut under_way = self.under_way();
        self.count(&mut under_way);
        let left = under_way
            .left
            .map(|(at, left)| left.saturating_sub(at.elapsed()));
        self.remaining.set(left.map(|left| left.as_secs_f64()));
        drop(under_way);
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a String can't fail");
        text
    }

    /// Updates the metrics after something happened.
    pub(super) fn happens(&self, happening: &Happening<'_>) {
        match happening {
            Happening::Building(_) => self.enter("build"),
            Happening::Checking(_) => self.enter("check"),
            Happening::Capturing(_) => self.enter("capture"),
            Happening::Calibrating(..) => self.enter("calibrate"),
            Happening::Rates(rates) => self.pace(rates),
            Happening::Trials(steps, done, of, left) => self.begin(steps, *done, *of, *left),
            Happening::Measured(trial) => self.end(trial),
            Happening::Ready(_)
            | Happening::PassedOver(..)
            | Happening::Control(_)
            | Happening::GivenUp(_)
            | Happening::Left(..)
            | Happening::Known(..) => {}
        }
    }

    fn begin(&self, steps: &[plan::Step], done: usize, of: usize, left: Duration) {
        self.enter("measure");
        self.planned.set(of as i64);
        self.finished_are(done as u64);
        self.round
            .set(steps.first().map(|step| f64::from(step.round)));
        let loads: Vec<Load> = steps
            .iter()
            .map(|step| Load {
                cell: TrialLabels::new(&step.server, &step.workload, step.stage),
                requests: 0,
                errors: 0,
            })
            .collect();
        for load in &loads {
            self.current.get_or_create(&load.cell).set(1);
        }
        // The load before it, for example a calibration, doesn't count.
        self.live.forget();
        *self.under_way() = UnderWay {
            loads,
            left: Some((Instant::now(), left)),
        };
    }

    fn end(&self, trial: &Trial) {
        let mut under_way = self.under_way();
        self.count(&mut under_way);
        let cell = TrialLabels::new(&trial.server, &trial.workload, trial.stage);
        under_way.loads.retain(|load| load.cell != cell);
        drop(under_way);
        self.current.remove(&cell);
        self.finished_are(u64::from(trial.position) + 1);
        let failed = trial.failure.is_some();
        self.failed.inc_by(u64::from(failed));
        self.trial_failed
            .get_or_create(&cell)
            .set(i64::from(failed));
        for (figure, family) in &self.figures {
            match trial.figures.get(figure.id).filter(|_| !failed) {
                Some(value) => {
                    let (.., divisor) = told_as(figure);
                    family.get_or_create(&cell).set(value / divisor);
                }
                None => {
                    family.remove(&cell);
                }
            }
        }
    }

    /// Adds what the load has done since the last call.
    fn count(&self, under_way: &mut UnderWay) {
        for load in &mut under_way.loads {
            let Load { cell, .. } = load;
            let (requests, errors) = self.live.counts(&cell.server).unwrap_or_default();
            let more = requests.saturating_sub(load.requests);
            self.load_requests.get_or_create(cell).inc_by(more);
            let more = errors.saturating_sub(load.errors);
            self.load_errors.get_or_create(cell).inc_by(more);
            (load.requests, load.errors) = (requests, errors);
        }
    }

    /// Sets the number of finished trials; some may have been skipped, so they are not counted one by one.
    fn finished_are(&self, number: u64) {
        self.finished
            .inc_by(number.saturating_sub(self.finished.get()));
    }

    fn enter(&self, phase: &str) {
        for one in PHASES {
            let is_it = i64::from(one == phase);
            self.phase.get_or_create(&Phase { phase: one }).set(is_it);
        }
    }

    fn pace(&self, rates: &std::collections::BTreeMap<String, f64>) {
        for (workload, rate) in rates {
            let workload = workload.clone();
            self.paced.get_or_create(&Workload { workload }).set(*rate);
        }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        locked(&self.under_way)
    }
}

/// Labels that stay the same during a run.
fn about(run: &Run) -> Vec<(&'static str, String)> {
    let mut about = vec![
        ("run", run.id.clone()),
        ("profile", run.profile.clone()),
        ("seed", run.seed.to_string()),
        ("connections", run.connections.to_string()),
        ("harness_version", run.harness_version.clone()),
    ];
    about.extend(run.revision.clone().map(|revision| ("revision", revision)));
    about
}

/// Locks even if poisoned: the guarded value is consistent at any time.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
