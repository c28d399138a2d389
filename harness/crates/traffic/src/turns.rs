//! Servers that take turns under load, one trial each, in an order that changes, so that the machine's good and bad
//! moments meet all of them.
//!
//! A trial is one uninterrupted load: with short slices, the queue that decides about latency could not grow. Processes
//! without a turn are stopped (SIGSTOP), so that none takes CPU time from another.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use super::served::{Served, ServedOptions};
use catalog::{Workload, plan};
use loadgen::{Arrivals, Config, Measurement, Pace};
use record::{Failure, Step};
use runner::{BootOptions, Interrupt, Launch};

/// The step of a time series.
const INTERVAL: Duration = Duration::from_millis(100);
/// Time to start a process and to accept its responses as it usually is, for the time left.
pub(super) const USUAL_START: Duration = Duration::from_secs(2);

/// How servers are started, and what a trial is.
#[derive(Debug, Clone)]
pub struct TrialOptions {
    /// How a server is started and loaded; the logs are in the folder of its log.
    pub served: ServedOptions,
    /// Length of a trial.
    pub length: Duration,
    /// Load before it.
    pub warmup: Duration,
    /// How requests at a rate are spread.
    pub arrivals: Arrivals,
}

impl TrialOptions {
    /// How long a trial takes.
    pub(super) fn time(&self) -> Duration {
        self.warmup + self.length
    }
}

/// A server to measure.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// Its name.
    pub name: &'a str,
    /// How to start it.
    pub launch: &'a Launch,
}

/// The processes of a round, and how they are measured. A failed one has no more turns.
pub(super) struct Field<'a, S> {
    trials: &'a TrialOptions,
    interrupt: &'a Interrupt,
    seed: u64,
    /// Counts the turns of all, so that no two have the same order or arrivals.
    step: u64,
    pub(super) racers: Vec<Result<Racer<S>, Failure>>,
}

/// What a turn needs to know of the round.
pub(super) struct Turn<'a> {
    pub(super) trials: &'a TrialOptions,
    pub(super) seed: u64,
}

impl<'a, S> Field<'a, S> {
    pub(super) fn new(trials: &'a TrialOptions, seed: u64, interrupt: &'a Interrupt) -> Self {
        Self {
            trials,
            interrupt,
            seed,
            step: 0,
            racers: Vec::new(),
        }
    }

    /// Starts a process, which waits for its turn.
    pub(super) fn start(
        &mut self,
        contender: &Contender<'_>,
        workload: &Workload,
        (workers, log): (usize, &str),
        state: S,
    ) {
        let options = self.options(workers, log);
        let interrupt = self.interrupt;
        let served = Served::start(contender.launch, workload, false, &options, interrupt);
        self.join(contender.name, served, state);
    }

    /// How to start a process of this round.
    pub(super) fn options(&self, workers: usize, log: &str) -> ServedOptions {
        let boot = &self.trials.served.boot;
        ServedOptions {
            boot: BootOptions {
                workers,
                log: boot.log.with_file_name(format!("{log}.log")),
                ..boot.clone()
            },
            seed: self.seed,
            ..self.trials.served.clone()
        }
    }

    /// Takes a process that was started, which waits for its turn.
    pub(super) fn join(&mut self, name: &str, served: Result<Served, Failure>, state: S) {
        self.racers.push(served.map(|mut served| {
            served.processes.signal(Signal::STOP);
            Racer {
                name: name.to_owned(),
                served,
                state,
            }
        }));
    }

    /// Gives every process a turn, in an order of its own. Returns what they return.
    pub(super) fn each<T>(
        &mut self,
        act: &mut dyn FnMut(&mut Racer<S>, &Turn<'_>) -> Result<T>,
    ) -> Vec<T> {
        self.step += 1;
        let turn = Turn {
            trials: self.trials,
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
            racer.served.processes.signal(Signal::CONT);
            match act(racer, &turn) {
                Ok(acted) => {
                    racer.served.processes.signal(Signal::STOP);
                    all.push(acted);
                }
                Err(error) => {
                    let failure = racer
                        .served
                        .running
                        .failure(Step::Drive, format!("{error:#}"));
                    self.racers[place] = Err(failure);
                }
            }
        }
        all
    }
}

/// A running server, and what is known of it.
pub(super) struct Racer<S> {
    pub(super) name: String,
    served: Served,
    pub(super) state: S,
}

/// A load, and what was read of the server meanwhile.
pub(super) struct Driven {
    pub(super) config: Config,
    pub(super) measured: Measurement,
    /// CPU time of the whole drive.
    cpu_ns: Option<u64>,
    /// CPU time per second of the measured time.
    pub(super) cpu_ratio: Option<f64>,
    peak_rss_bytes: u64,
    /// Right after the load, its connections closed.
    pub(super) rss_after_bytes: Option<u64>,
}

impl<S> Racer<S> {
    /// A trial in a closed loop.
    pub(super) fn closed(&self, turn: &Turn<'_>) -> Config {
        Config {
            warmup: turn.trials.warmup,
            duration: turn.trials.length,
            interval: INTERVAL,
            arrivals: turn.trials.arrivals,
            seed: turn.seed,
            ..self.served.config()
        }
    }

    pub(super) fn at_rate(&self, per_second: f64, turn: &Turn<'_>) -> Config {
        Config {
            pace: Pace::Rate { per_second },
            ..self.closed(turn)
        }
    }

    /// Drives a load.
    ///
    /// # Errors
    /// If it could not begin, was interrupted, or the server ended.
    pub(super) fn drive(&mut self, config: Config) -> Result<Driven> {
        let served = &mut self.served;
        served.processes.refresh();
        let before = served.processes.sample_light().cpu_ns;
        let mut peak_rss_bytes = 0;
        let mut cpu: Vec<(Duration, u64)> = Vec::new();
        let measured = served.drive(&config, &mut |at, processes| {
            let sample = processes.sample_light();
            peak_rss_bytes = peak_rss_bytes.max(sample.rss_bytes.unwrap_or(0));
            cpu.extend(
                sample
                    .cpu_ns
                    // Zero while the warm-up lasts.
                    .filter(|_| !at.is_zero() && at <= config.duration)
                    .map(|ns| (at, ns)),
            );
        })?;
        if let Some(how) = served.running.ended() {
            bail!("it ended {how} under load");
        }
        refuse_unpinned(&config, &measured)?;
        let after = served.processes.sample_light();
        let cpu_ratio = match &cpu[..] {
            [(from, first), .., (to, last)] if to > from => {
                Some(last.saturating_sub(*first) as f64 / (*to - *from).as_nanos() as f64)
            }
            _ => None,
        };
        Ok(Driven {
            cpu_ns: after
                .cpu_ns
                .zip(before)
                .map(|(after, before)| after.saturating_sub(before)),
            config,
            measured,
            cpu_ratio,
            peak_rss_bytes: peak_rss_bytes.max(after.rss_bytes.unwrap_or(0)),
            rss_after_bytes: after.rss_bytes,
        })
    }

    /// Ends the process.
    pub(super) fn end(mut self) -> Result<S, Failure> {
        self.served.processes.signal(Signal::CONT);
        self.served.running.kill()?;
        Ok(self.state)
    }
}

impl Driven {
    pub(super) fn figures(&self) -> BTreeMap<String, f64> {
        let m = &self.measured;
        let mut figures = BTreeMap::new();
        let mut add = |id: &str, value: Option<f64>| {
            figures.extend(value.map(|value| (id.to_owned(), value)));
        };
        add("requests_per_s", Some(m.requests_per_s()));
        add("latency_p50_us", latency_us(m, 0.5));
        add("latency_p99_us", latency_us(m, 0.99));
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
        let busy = (!m.threads.is_empty()).then(|| m.busy_ratio());
        add("driver_busy_ratio", busy);
        figures
    }
}

/// Refuses a load from other CPUs than those of the load generator.
pub(super) fn refuse_unpinned(config: &Config, measured: &Measurement) -> Result<()> {
    if !measured.pinned {
        bail!(
            "the load generator could not be pinned to CPUs {:?}; see --no-pin",
            config.cpus
        );
    }
    Ok(())
}

/// A percentile of latency in microseconds; the unanswered count with the time they had waited.
pub(super) fn latency_us(m: &Measurement, quantile: f64) -> Option<f64> {
    let bounds = m.latency_bounds();
    (!bounds.is_empty()).then(|| bounds.at(quantile).0 as f64 / 1e3)
}
