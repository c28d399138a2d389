//! A whole run: build all, check all, calibrate, then round after round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Interrupt;
use super::accept::Referee;
use super::boot::BootOptions;
use super::build::{Built, build};
use super::check::{CheckLimits, Verified, check};
use super::options::{CALIBRATION, Options};
use super::trial::{self, Settings, Task};
use crate::catalog::{Call, Catalog, Profile, Server, Stage, Workload};
use crate::load::Pace;
use crate::plan::{self, Plan, round_seed};
use crate::probe::affinity;
use crate::record::{self, Ended, Failure, Store, Trial};

/// Requests a round's load draws from: more than a server could memoise over a run, few
/// enough to hold.
const REQUESTS: usize = 2_048;
/// The paced rate as a share of the slowest server's peak.
const PACED_SHARE: f64 = 0.8;
/// After so many failed trials in a row a server is measured no more.
const GIVE_UP: u32 = 3;

/// Something a person watching the run wants to know.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A server is being built.
    Building(&'a str),
    /// A server is being checked.
    Checking(&'a str),
    /// A server was built and checked, or failed at it.
    Ready(&'a record::Server),
    /// The peak of a server is measured to choose the paced rate.
    Calibrating(&'a str, &'a str),
    /// The paced rates of the run are known.
    Rates(&'a BTreeMap<String, f64>),
    /// A trial begins: its place from 0, how many there are, the time left.
    Trial(&'a plan::Step, usize, usize, Duration),
    /// A trial ended.
    Measured(&'a Trial),
    /// A server is measured no more.
    GivenUp(&'a str),
}

/// Hears of what happens; only the command line prints.
pub trait Watch {
    /// Called as it happens.
    fn happens(&mut self, happening: &Happening<'_>);
}

/// Why a run can't go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The user asked to stop; what was measured is kept.
    #[error("interrupted")]
    Interrupted,
    /// The record can't be written, or the like.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A run under way.
#[derive(Debug)]
pub struct Session<'a, W: Watch> {
    catalog: &'a Catalog,
    options: &'a Options,
    store: &'a mut Store,
    interrupt: &'a Interrupt,
    watch: &'a mut W,
    referee: Referee,
    settings: Settings,
    /// Why a workload has no paced rate.
    uncalibrated: BTreeMap<String, String>,
}

impl<'a, W: Watch> Session<'a, W> {
    /// Makes ready; nothing is started yet.
    pub fn new(
        catalog: &'a Catalog,
        options: &'a Options,
        store: &'a mut Store,
        interrupt: &'a Interrupt,
        watch: &'a mut W,
    ) -> Self {
        Self {
            catalog,
            options,
            store,
            interrupt,
            watch,
            referee: Referee::new(),
            settings: options.settings(),
            uncalibrated: BTreeMap::new(),
        }
    }

    /// Runs everything. Each server and each trial is stored as soon as it is known.
    ///
    /// # Errors
    /// Where the user stops it or the record can't be written. A server's failure is no
    /// error: it is stored, and the run goes on.
    pub fn run(&mut self, run: &mut record::Run) -> Result<(), SessionError> {
        let ended = self.run_all(run);
        let how = match &ended {
            Ok(()) => Ended::Complete,
            Err(SessionError::Interrupted) => Ended::Interrupted,
            Err(SessionError::Other(_)) => return ended,
        };
        self.store
            .finish(how)
            .context("cannot store how the run ended")?;
        ended
    }

    fn run_all(&mut self, run: &mut record::Run) -> Result<(), SessionError> {
        let servers = self.prepare()?;
        // Nothing of the harness itself may run on the server's CPUs from here on. Threads
        // inherit this; a load that can't be pinned is found out by its trial.
        if self.options.pinned {
            let _ = affinity::pin_current_thread(&self.options.layout.driver);
        }
        self.calibrate(&servers, run)?;
        self.store.put_run(run).context("cannot store the run")?;
        self.watch.happens(&Happening::Rates(&run.rates_per_s));
        self.measure(&servers, &run.rates_per_s)
    }

    /// Builds all servers, then checks those that were built: never both at once, so that
    /// no first byte is timed beside a compiler.
    fn prepare(&mut self) -> Result<Vec<Verified>, SessionError> {
        let mut built = Vec::new();
        for server in &self.options.servers {
            self.go_on()?;
            self.watch.happens(&Happening::Building(&server.name));
            let result = build(self.catalog, server, self.interrupt);
            self.go_on()?;
            match result {
                Ok(one) => built.push(one),
                Err(failure) => self.put_server(server, None, None, Some(failure))?,
            }
        }
        let mut verified = Vec::new();
        for one in built {
            self.go_on()?;
            verified.extend(self.check(one)?);
        }
        Ok(verified)
    }

    fn check(&mut self, built: Built) -> Result<Option<Verified>, SessionError> {
        let (server, build) = (built.server.clone(), built.record.clone());
        self.watch.happens(&Happening::Checking(&server.name));
        let boot = BootOptions {
            cpus: self.settings.server_cpus.clone(),
            workers: self.settings.workers,
            port: self.settings.port,
            log: self
                .settings
                .logs
                .join(format!("{}-check.log", server.name)),
            ready_timeout: self.settings.ready_timeout,
        };
        let limits = CheckLimits {
            only: Vec::new(),
            first_byte: self.options.first_byte_limit,
            seed: self.options.seed,
        };
        let checked = check(built, &boot, &limits, &self.referee, self.interrupt);
        self.go_on()?;
        let (verified, failure) = match checked.verdict {
            Ok(verified) => (Some(verified), None),
            Err(failure) => (None, Some(failure)),
        };
        self.put_server(&server, Some(build), checked.record, failure)?;
        Ok(verified)
    }

    fn put_server(
        &mut self,
        server: &Server,
        build: Option<record::Build>,
        check: Option<record::Check>,
        failure: Option<Failure>,
    ) -> Result<(), SessionError> {
        let record = record::Server {
            name: server.name.clone(),
            display: server.about.display.clone(),
            class: server.about.class.clone(),
            upstream: server.about.upstream.clone(),
            upstream_version: server.version.clone(),
            build,
            check,
            failure,
        };
        self.store
            .put_server(&record)
            .context("cannot store a server")?;
        self.watch.happens(&Happening::Ready(&record));
        Ok(())
    }

    /// Finds the paced rate of each workload that has none: a share of the slowest
    /// server's peak, so that every server can keep up with it.
    fn calibrate(
        &mut self,
        servers: &[Verified],
        run: &mut record::Run,
    ) -> Result<(), SessionError> {
        run.rates_per_s.clone_from(&self.options.rates_per_s);
        for workload in self.options.calibrated() {
            let mut slowest = f64::INFINITY;
            for server in servers {
                self.go_on()?;
                let name = &server.built().server.name;
                self.watch
                    .happens(&Happening::Calibrating(name, &workload.name));
                slowest = slowest.min(self.peak_of(server, workload).unwrap_or(f64::INFINITY));
            }
            self.go_on()?;
            if slowest.is_finite() && slowest > 0.0 {
                let rate = two_digits(slowest * PACED_SHARE);
                run.rates_per_s.insert(workload.name.clone(), rate);
            }
        }
        Ok(())
    }

    /// The peak of one server; none where the trial failed, which its own trials will say.
    fn peak_of(&mut self, server: &Verified, workload: &Workload) -> Option<f64> {
        let calls = workload.draw(round_seed(self.options.seed, 0), REQUESTS);
        let step = plan::Step {
            round: 0,
            server: server.built().server.name.clone(),
            workload: workload.name.clone(),
            stage: Stage::Peak,
        };
        let task = Task {
            step: &step,
            position: 0,
            log: format!("calibration-{}", workload.name),
            calls: &calls,
            pace: Pace::Closed,
            warmup: self.options.profile.warmup,
            duration: CALIBRATION,
            seed: self.options.seed,
        };
        let trial = trial::measure(server, &task, &self.settings, &self.referee, self.interrupt);
        let why = match (&trial.failure, &trial.first_error) {
            (Some(failure), _) => Some(&failure.reason),
            (None, error) => error.as_ref(),
        };
        if let Some(why) = why {
            let why = format!("the calibration on {} failed: {why}", step.server);
            self.uncalibrated.insert(workload.name.clone(), why);
            return None;
        }
        trial.figures.get("requests_per_s").copied()
    }

    fn measure(
        &mut self,
        servers: &[Verified],
        rates_per_s: &BTreeMap<String, f64>,
    ) -> Result<(), SessionError> {
        let plan = Plan {
            servers: servers
                .iter()
                .map(|s| s.built().server.name.clone())
                .collect(),
            ..self.options.plan()
        };
        let steps = plan.steps();
        let mut clock = Clock::new(&self.options.profile, &steps);
        let mut failed = BTreeMap::new();
        let mut drawn = Drawn::default();
        for (index, step) in steps.iter().enumerate() {
            self.go_on()?;
            let Some(server) = servers
                .iter()
                .find(|s| s.built().server.name == step.server)
            else {
                continue;
            };
            let failed: &mut Failed = failed.entry(step.server.clone()).or_default();
            let rate = rates_per_s.get(&step.workload).copied();
            let trial = match self.can_run(step, rate, failed) {
                Ok(pace) => {
                    self.watch
                        .happens(&Happening::Trial(step, index, steps.len(), clock.left()));
                    let calls = drawn.calls(&self.options.workloads, step, self.options.seed);
                    let trial = self.trial(server, step, index, calls, pace);
                    // A trial that was cut short says nothing of its server.
                    self.go_on()?;
                    self.watch.happens(&Happening::Measured(&trial));
                    failed.note(&trial);
                    trial
                }
                Err(failure) => trial::not_run(step, index as u32 + 1, failure),
            };
            self.store
                .put_trial(&trial)
                .context("cannot store a trial")?;
            if failed.just_given_up() {
                self.watch.happens(&Happening::GivenUp(&step.server));
            }
            clock.passed(step);
        }
        Ok(())
    }

    /// The pace of a trial, or why it is not run.
    fn can_run(
        &self,
        step: &plan::Step,
        rate_per_s: Option<f64>,
        failed: &Failed,
    ) -> Result<Pace, Failure> {
        let not_run = |reason: String| Failure {
            step: record::Step::Drive,
            reason,
            log_tail: String::new(),
        };
        if let (true, Some(last)) = (failed.in_a_row >= GIVE_UP, &failed.last) {
            return Err(not_run(format!(
                "given up after {GIVE_UP} failed trials in a row; the last: {}",
                last.reason
            )));
        }
        trial::pace(step.stage, rate_per_s).ok_or_else(|| {
            let why = self.uncalibrated.get(&step.workload);
            let why = why.map_or("no server could be calibrated", String::as_str);
            not_run(format!(
                "there is no paced rate: {why}; give one with --rate"
            ))
        })
    }

    fn trial(
        &self,
        server: &Verified,
        step: &plan::Step,
        index: usize,
        calls: &[Call],
        pace: Pace,
    ) -> Trial {
        let task = Task {
            step,
            position: index as u32 + 1,
            log: format!("{:04}", index + 1),
            calls,
            pace,
            warmup: self.options.profile.warmup,
            duration: self.options.profile.measured(step.stage),
            seed: round_seed(self.options.seed, step.round),
        };
        trial::measure(server, &task, &self.settings, &self.referee, self.interrupt)
    }

    fn go_on(&self) -> Result<(), SessionError> {
        if self.interrupt.is_set() {
            return Err(SessionError::Interrupted);
        }
        Ok(())
    }
}

/// The failed trials of a server.
#[derive(Debug, Default)]
struct Failed {
    in_a_row: u32,
    last: Option<Failure>,
    told: bool,
}

impl Failed {
    fn note(&mut self, trial: &Trial) {
        self.in_a_row = match trial.failure {
            Some(_) => self.in_a_row + 1,
            None => 0,
        };
        self.last.clone_from(&trial.failure);
    }

    /// True once.
    fn just_given_up(&mut self) -> bool {
        self.in_a_row >= GIVE_UP && !std::mem::replace(&mut self.told, true)
    }
}

/// The requests of the round under way, drawn once for all servers.
#[derive(Default)]
struct Drawn {
    round: u32,
    calls: BTreeMap<String, Vec<Call>>,
}

impl Drawn {
    fn calls(&mut self, workloads: &[Workload], step: &plan::Step, seed: u64) -> &[Call] {
        if self.round != step.round {
            let seed = round_seed(seed, step.round);
            self.calls = workloads
                .iter()
                .map(|workload| (workload.name.clone(), workload.draw(seed, REQUESTS)))
                .collect();
            self.round = step.round;
        }
        &self.calls[&step.workload]
    }
}

/// Says how much time is left, by the plan's estimate scaled with what it took so far.
struct Clock<'a> {
    profile: &'a Profile,
    begin: Instant,
    expected_so_far: Duration,
    expected: Duration,
}

impl<'a> Clock<'a> {
    fn new(profile: &'a Profile, steps: &[plan::Step]) -> Self {
        Self {
            profile,
            begin: Instant::now(),
            expected_so_far: Duration::ZERO,
            expected: steps
                .iter()
                .map(|s| plan::trial_time(profile, s.stage))
                .sum(),
        }
    }

    fn passed(&mut self, step: &plan::Step) {
        self.expected_so_far += plan::trial_time(self.profile, step.stage);
    }

    fn left(&self) -> Duration {
        let left = self.expected.saturating_sub(self.expected_so_far);
        if self.expected_so_far.is_zero() {
            return left;
        }
        let speed = self.begin.elapsed().as_secs_f64() / self.expected_so_far.as_secs_f64();
        left.mul_f64(speed)
    }
}

/// Rounded down to two significant digits: a rate people can say and ask for again.
fn two_digits(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    (value / unit).floor() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_down_to_two_digits() {
        assert_eq!(two_digits(23_999.0), 23_000.0);
        assert_eq!(two_digits(100_000.0), 100_000.0);
        assert!((two_digits(9.87) - 9.8).abs() < 1e-9);
    }
}
