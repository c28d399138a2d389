//! A whole run: build all, check all, calibrate, then round after round.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Interrupt;
use super::accept::Referee;
use super::boot::BootOptions;
use super::build::{Built, build};
use super::check::{CheckLimits, Verified, check};
use super::trial::{self, Settings, Task};
use crate::catalog::{Call, Catalog, Profile, Server, Stage, Workload};
use crate::environment::Layout;
use crate::load::Pace;
use crate::plan::{self, Plan, round_seed};
use crate::record::{self, Ended, Failure, Store, Trial};

/// Requests a round's load draws from: more than a server could memoise over a run, few
/// enough to hold.
const REQUESTS: usize = 2_048;
/// The paced rate as a share of the slowest server's peak.
const PACED_SHARE: f64 = 0.8;
/// The measured time of one calibration.
const CALIBRATION: Duration = Duration::from_millis(500);
/// After so many failed trials in a row a server is measured no more.
const GIVE_UP: u32 = 3;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The servers, at least one.
    pub servers: Vec<Server>,
    /// The workloads, at least one.
    pub workloads: Vec<Workload>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// How long and how often.
    pub profile: Profile,
    /// Everything random is drawn from it.
    pub seed: u64,
    /// Connections of every stage.
    pub connections: usize,
    /// Paced rates given by hand, by workload.
    pub rates_per_s: BTreeMap<String, f64>,
    /// The limit on the first byte at idle.
    pub first_byte_limit: Duration,
    /// A request's time limit.
    pub timeout: Duration,
    /// How long a server may take until its first valid answer.
    pub ready_timeout: Duration,
    /// A fixed port; a free one where absent.
    pub port: Option<u16>,
    /// CPUs of both sides.
    pub layout: Layout,
    /// Whether both sides are pinned to them.
    pub pinned: bool,
    /// Where server logs go.
    pub logs: PathBuf,
}

impl Options {
    /// The plan: every server, workload and stage, in each round.
    pub fn plan(&self) -> Plan {
        Plan {
            servers: self.servers.iter().map(|s| s.name.clone()).collect(),
            workloads: self.workloads.iter().map(|w| w.name.clone()).collect(),
            stages: self.stages.clone(),
            rounds: self.profile.rounds,
            seed: self.seed,
        }
    }

    /// How long it will take after the build, about.
    pub fn estimate(&self) -> Duration {
        let servers = self.servers.len() as u32;
        let calibrations = if self.calibrated().is_empty() {
            0
        } else {
            servers
        };
        Duration::from_secs(2) * servers
            + (CALIBRATION + self.profile.warmup + Duration::from_millis(350))
                * calibrations
                * self.calibrated().len() as u32
            + self.plan().estimate(&self.profile)
    }

    /// The workloads whose paced rate must be found out.
    fn calibrated(&self) -> Vec<&Workload> {
        let paced = self.stages.contains(&Stage::Paced);
        self.workloads
            .iter()
            .filter(|workload| paced && !self.rates_per_s.contains_key(&workload.name))
            .collect()
    }

    fn settings(&self) -> Settings {
        let pinned = |cpus: &[u32]| {
            if self.pinned {
                cpus.to_vec()
            } else {
                Vec::new()
            }
        };
        Settings {
            server_cpus: pinned(&self.layout.server),
            driver_cpus: pinned(&self.layout.driver),
            workers: self.layout.server.len(),
            port: self.port,
            connections: self.connections,
            timeout: self.timeout,
            ready_timeout: self.ready_timeout,
            logs: self.logs.clone(),
        }
    }
}

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
    GivenUp(&'a str, &'a Failure),
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
            match build(self.catalog, server) {
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
                let peak = self.peak_of(server, workload);
                slowest = slowest.min(peak.unwrap_or(f64::INFINITY));
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
            calls: &calls,
            pace: Pace::Closed,
            warmup: self.options.profile.warmup,
            duration: CALIBRATION,
            seed: self.options.seed,
        };
        let trial = trial::measure(server, &task, &self.settings, &self.referee, self.interrupt);
        let valid = trial.failure.is_none() && trial.errors.is_empty();
        trial
            .figures
            .get("requests_per_s")
            .copied()
            .filter(|_| valid)
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
        let mut failed_in_a_row: BTreeMap<String, u32> = BTreeMap::new();
        let mut drawn = Drawn::default();
        for (index, step) in steps.iter().enumerate() {
            self.go_on()?;
            let Some(server) = servers
                .iter()
                .find(|s| s.built().server.name == step.server)
            else {
                continue;
            };
            let failures = failed_in_a_row.entry(step.server.clone()).or_default();
            let pace = trial::pace(step.stage, rates_per_s.get(&step.workload).copied());
            let (Some(pace), true) = (pace, *failures < GIVE_UP) else {
                clock.passed(step);
                continue;
            };
            self.watch
                .happens(&Happening::Trial(step, index, steps.len(), clock.left()));
            let calls = drawn.calls(&self.options.workloads, step, self.options.seed);
            let task = Task {
                step,
                position: index as u32 + 1,
                calls,
                pace,
                warmup: self.options.profile.warmup,
                duration: self.options.profile.measured(step.stage),
                seed: round_seed(self.options.seed, step.round),
            };
            let trial =
                trial::measure(server, &task, &self.settings, &self.referee, self.interrupt);
            // A trial that was cut short says nothing of its server.
            self.go_on()?;
            self.store
                .put_trial(&trial)
                .context("cannot store a trial")?;
            self.watch.happens(&Happening::Measured(&trial));
            clock.passed(step);
            *failures = if trial.failure.is_some() {
                *failures + 1
            } else {
                0
            };
            if let (Some(failure), GIVE_UP) = (&trial.failure, *failures) {
                self.watch
                    .happens(&Happening::GivenUp(&step.server, failure));
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), SessionError> {
        if self.interrupt.is_set() {
            return Err(SessionError::Interrupted);
        }
        Ok(())
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
