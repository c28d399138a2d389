//! A whole run: builds and checks all servers, or checks targets that already run, captures the control,
//! calibrates, then measures round after round.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;

use super::Interrupt;
use super::build::{Built, build};
use super::calibrate;
use super::check::{CheckLimits, Verified, check, check_target};
use super::control::{Answered, Control};
use super::entry::{Entry, Subject};
use super::fleet::Fleet;
use super::length::Sureness;
use super::live::Live;
use super::options::{CALIBRATIONS, Options};
use super::rotation::Cut;
use super::rounds::{Course, FailedTrials, GIVE_UP};
use super::target::{Target, TargetCheck};
use super::together;
use super::trial::{self, Part, Settings, Task};
use catalog::plan::{self, Plan, round_seed};
use catalog::{Call, Catalog, Server};
use loadgen::Pace;
use machine::probe::affinity;
use record::{CONTROL, Ended, Environment, Failure, Finding, Level, Schedule, StoppedBy, Trial};
use record::{TARGET, base_name, is_control};
use store::Store;

/// An event to show the user.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A server is being built.
    Building(&'a str),
    /// A server is being checked.
    Checking(&'a str),
    /// A server was built and checked, or failed one of these.
    Ready(&'a record::Server),
    /// The control captures its responses from this server.
    Capturing(&'a str),
    /// The control can't replay this server's responses.
    PassedOver(&'a str, &'a Failure),
    /// The control: whose responses it replays, or why there is none.
    Control(&'a Finding),
    /// A server's peak is being measured to choose the paced rate.
    Calibrating(&'a str, &'a str),
    /// The paced rates of the run.
    Rates(&'a BTreeMap<String, f64>),
    /// Trials that run together begin: the index of the first, the total number of trials, the time left.
    Trials(&'a [plan::Step], usize, usize, Duration),
    /// A server did not end properly after its round.
    Left(&'a str, &'a Failure),
    /// A trial ended.
    Measured(&'a Trial),
    /// A server is skipped from now on.
    GivenUp(&'a str),
    /// How precisely the ratios are known after this round, and about how many more rounds are needed.
    Known(u32, &'a Sureness, Option<u32>),
}

/// Receives events; only the command line prints.
pub trait Watch {
    /// Called on each event.
    fn happens(&mut self, happening: &Happening<'_>);
}

/// Why a run can't continue.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The user asked to stop; measurements are kept.
    #[error("interrupted")]
    Interrupted,
    /// Something changed since the interrupted run began.
    #[error("{0}")]
    Changed(String),
    /// The record can't be written, or similar.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// What a resumed run already has; empty in a new one.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// Servers that were built and checked, or failed.
    pub servers: Vec<record::Server>,
    /// Finished trials.
    pub trials: Vec<Trial>,
}

/// What a run works with.
pub struct Inputs<'a> {
    /// Where its servers are.
    pub catalog: &'a Catalog,
    /// What to measure, and how.
    pub options: &'a Options,
    /// What was done before it was interrupted.
    pub earlier: Earlier,
    /// Where each server and each trial is stored.
    pub store: &'a mut Store,
    /// Stops it.
    pub interrupt: &'a Interrupt,
    /// Receives its events.
    pub watch: &'a mut dyn Watch,
    /// Publishes the counters of its loads while they run.
    pub live: &'a Live,
    /// Computes how precisely the ratios are known from the trials so far; used if a precision was requested.
    pub sureness: &'a dyn Fn(&[Trial]) -> Option<Sureness>,
}

/// Runs everything that isn't done yet. Stores each server and each trial as soon as it is known, a finding about
/// the control, and how the run ended.
///
/// # Errors
/// If the user stops it, the record can't be written, or something changed since an interrupted run began.
/// A server's failure is not an error: it is stored, and the run continues.
pub fn run(
    inputs: Inputs<'_>,
    run: &mut record::Run,
    environment: &mut Environment,
) -> Result<(), SessionError> {
    let mut session = Session::new(inputs);
    let ended = session.run(run, environment);
    let how = match &ended {
        Ok(()) => Ended::Complete,
        Err(SessionError::Interrupted) => Ended::Interrupted,
        Err(_) => return ended,
    };
    let stored = session.inputs.store.finish(how);
    stored.context("cannot store how the run ended")?;
    ended
}

struct Session<'a> {
    inputs: Inputs<'a>,
    options: &'a Options,
    settings: Settings,
    /// Why a workload has no paced rate.
    uncalibrated: BTreeMap<String, String>,
}

impl<'a> Session<'a> {
    fn new(inputs: Inputs<'a>) -> Self {
        let options = inputs.options;
        Self {
            settings: options.settings(inputs.interrupt.clone(), inputs.live.clone()),
            inputs,
            options,
            uncalibrated: BTreeMap::new(),
        }
    }

    fn run(
        &mut self,
        run: &mut record::Run,
        environment: &mut Environment,
    ) -> Result<(), SessionError> {
        let servers = self.prepare()?;
        let targets = self.targets()?;
        // From here on nothing of the harness itself may run on the server's CPUs. Threads inherit this; a
        // trial notices if its load can't be pinned.
        if self.options.pinned {
            let _ = affinity::pin_current_thread(&self.options.layout.driver);
        }
        let control = self.control(&servers, environment)?;
        if self.inputs.earlier.trials.is_empty() {
            let ready = |name: &str| {
                let mut built = servers.iter().map(|server| &server.built().server.name);
                let mut running = targets.iter().map(|target| &target.name);
                built.any(|own| own == name) || running.any(|own| own == name)
            };
            run.entries = self.options.entries(ready, control.is_some());
        }
        self.calibrate(&servers, run)?;
        self.put_run(run)?;
        self.tell(&Happening::Rates(&run.rates_per_s));
        let entries = entries(&run.entries, &servers, &targets, control.as_ref())?;
        // A run killed between this and its end has nothing more to measure.
        if run.stopped_by.is_none() {
            run.stopped_by = Some(self.measure(&entries, run)?);
        }
        self.put_run(run)
    }

    // --- Building and checking ---

    /// Builds all servers, then checks those that were built. Never both at once, so that no first byte is
    /// timed while a compiler runs.
    fn prepare(&mut self) -> Result<Vec<Verified>, SessionError> {
        let mut built = Vec::new();
        for server in &self.options.servers {
            self.go_on()?;
            self.tell(&Happening::Building(&server.name));
            let result = build(self.inputs.catalog, server, self.inputs.interrupt);
            self.go_on()?;
            match result {
                Ok(one) => {
                    self.refuse_another_binary(&one)?;
                    built.push(one);
                }
                Err(failure) => self.failed(server, None, None, failure)?,
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
        self.tell(&Happening::Checking(&server.name));
        let boot = self.settings.boot(&format!("{}-check", server.name));
        let limits = self.check_limits();
        let referee = &self.settings.referee;
        let checked = check(built, &boot, &limits, referee, self.inputs.interrupt);
        self.go_on()?;
        match checked.verdict {
            Ok(verified) => {
                if self.known(&server.name).is_none() {
                    self.put_server(&server, Some(build), checked.record, None)?;
                }
                Ok(Some(verified))
            }
            Err(failure) => {
                self.failed(&server, Some(build), checked.record, failure)?;
                Ok(None)
            }
        }
    }

    fn check_limits(&self) -> CheckLimits {
        CheckLimits {
            only: self.options.only_checks.clone(),
            first_byte: self.options.first_byte_limit,
            seed: self.options.seed,
        }
    }

    /// The targets that pass the checks asked for. Like a server, one that fails becomes a row of the table.
    fn targets(&mut self) -> Result<Vec<&'a Target>, SessionError> {
        let mut passed = Vec::new();
        for target in &self.options.targets {
            self.go_on()?;
            if target.check != TargetCheck::None {
                self.tell(&Happening::Checking(&target.name));
            }
            let (check, failure) = check_target(target, &self.check_limits());
            self.go_on()?;
            if failure.is_none() {
                passed.push(target);
            }
            self.put(record::Server {
                name: target.name.clone(),
                display: target.name.clone(),
                class: TARGET.to_owned(),
                upstream: None,
                upstream_version: None,
                build: None,
                check,
                failure,
            })?;
        }
        Ok(passed)
    }

    /// A server that failed becomes a row of the table. If it was measured before, the run stops, because its
    /// trials would be lost with it.
    fn failed(
        &mut self,
        server: &Server,
        build: Option<record::Build>,
        check: Option<record::Check>,
        failure: Failure,
    ) -> Result<(), SessionError> {
        if self.known(&server.name).is_some() {
            return Err(SessionError::Changed(format!(
                "{} could be measured when the run began but now fails to {}: {}; fix it and resume \
                 again, or begin a new run",
                server.name,
                failure.step.verb(),
                failure.reason
            )));
        }
        self.put_server(server, build, check, Some(failure))
    }

    fn put_server(
        &mut self,
        server: &Server,
        build: Option<record::Build>,
        check: Option<record::Check>,
        failure: Option<Failure>,
    ) -> Result<(), SessionError> {
        self.put(record::Server {
            name: server.name.clone(),
            display: server.about.display.clone(),
            class: server.about.class.clone(),
            upstream: server.about.upstream.clone(),
            upstream_version: server.version.clone(),
            build,
            check,
            failure,
        })
    }

    fn put(&mut self, record: record::Server) -> Result<(), SessionError> {
        let stored = self.inputs.store.put_server(&record);
        stored.context("cannot store a server")?;
        self.tell(&Happening::Ready(&record));
        Ok(())
    }

    /// What the record already has about a server.
    fn known(&self, name: &str) -> Option<&record::Server> {
        let mut servers = self.inputs.earlier.servers.iter();
        servers.find(|known| known.name == name)
    }

    fn refuse_another_binary(&self, built: &Built) -> Result<(), SessionError> {
        let name = &built.server.name;
        let Some(known) = self.known(name).and_then(|known| known.build.as_ref()) else {
            return Ok(());
        };
        if known.sha256 == built.record.sha256 {
            return Ok(());
        }
        let shown = |sha256: &Option<String>| match sha256 {
            Some(sha256) => sha256.chars().take(12).collect(),
            None => "unknown (no binary of its own)".to_owned(),
        };
        Err(SessionError::Changed(format!(
            "{name} is not the program that was measured before: the SHA-256 of its binary was {}, \
             now it is {}; begin a new run, or restore its source and toolchain",
            shown(&known.sha256),
            shown(&built.record.sha256),
        )))
    }

    // --- The control ---

    /// Creates the control if it is enabled, and records whose responses it replays, or why there is none.
    fn control(
        &mut self,
        servers: &[Verified],
        environment: &mut Environment,
    ) -> Result<Option<Control>, SessionError> {
        let (control, finding) = match (self.options.control, servers) {
            // Keep the reason of the interrupted run.
            (false, _) if environment.control().is_some() => return Ok(None),
            (false, _) if !self.options.targets.is_empty() => (
                None,
                about_control(
                    "is left out: it would replay a server's answers, and a target is the user's own",
                ),
            ),
            (false, _) => (None, about_control("is left out, as --no-control asks")),
            (true, []) => return Ok(None),
            (true, servers) => self.make_control(servers)?,
        };
        if let (Some(then), false) = (environment.control(), self.inputs.earlier.trials.is_empty())
            && then.found != finding.found
        {
            return Err(SessionError::Changed(format!(
                "the control has changed since the run began. Then: {}. Now: {}. Fix that and \
                 resume again, or begin a new run",
                then.found,
                finding.told(),
            )));
        }
        self.tell(&Happening::Control(&finding));
        environment.findings.retain(|other| other.id != CONTROL);
        environment.findings.push(finding);
        let stored = self.inputs.store.put_environment(environment);
        stored.context("cannot store the finding about the control")?;
        Ok(control)
    }

    /// Makes it from the responses of the first server whose responses can be replayed; if there is none, from
    /// the referee's model. It uses the requests of round 0 in every round, which is fine because it can't
    /// cache them.
    fn make_control(
        &mut self,
        servers: &[Verified],
    ) -> Result<(Option<Control>, Finding), SessionError> {
        let calls = self.options.calls(0);
        let boot = self.settings.boot("capture");
        let mut passed_over = Vec::new();
        let mut taken = None;
        let options = self.options;
        let whole = servers
            .iter()
            .filter(|s| options.has_whole(&s.built().server));
        for server in whole {
            let name = &server.built().server.name;
            self.tell(&Happening::Capturing(name));
            let answers = Answered::of_server(server, &calls, &boot, &self.settings);
            self.go_on()?;
            match answers {
                Ok(answers) => {
                    taken = Some((format!("replays the answers of {name}"), answers));
                    break;
                }
                Err(failure) => {
                    self.tell(&Happening::PassedOver(name, &failure));
                    passed_over.push(format!("not those of {name}: {}", failure.reason));
                }
            }
        }
        let taken = match taken {
            Some(taken) => Ok(taken),
            None => Answered::of_model(&calls, &self.settings.referee)
                .map(|answers| ("replays answers made from the contract".to_owned(), answers)),
        };
        let made = taken
            .and_then(|(whose, answers)| Ok((whose, Control::keep(answers, &calls, &boot.log)?)));
        Ok(match made {
            Ok((whose, control)) => {
                let finding = Finding {
                    why: passed_over.join("; "),
                    ..about_control(&whose)
                };
                (Some(control), finding)
            }
            Err(error) => (None, without_control(&error)),
        })
    }

    // --- The paced rates ---

    /// Finds the paced rate of each workload that has none: a share of the slowest server's peak, so that every
    /// server can keep up with it.
    fn calibrate(
        &mut self,
        servers: &[Verified],
        run: &mut record::Run,
    ) -> Result<(), SessionError> {
        run.rates_per_s.clone_from(&self.options.rates_per_s);
        // Rounds before and after an interruption have the same rates, or none.
        if !self.inputs.earlier.trials.is_empty() {
            return Ok(());
        }
        for workload in self.options.calibrated() {
            // Server after server, then all again: a busy second of the machine distorts one peak of each.
            let mut peaks = vec![Vec::new(); servers.len()];
            for _ in 0..CALIBRATIONS {
                for (server, peaks) in servers.iter().zip(&mut peaks) {
                    if !server.built().server.takes_part(workload) {
                        continue;
                    }
                    self.go_on()?;
                    let name = &server.built().server.name;
                    self.tell(&Happening::Calibrating(name, &workload.name));
                    match calibrate::peak(server, workload, self.options, &self.settings) {
                        Ok(peak) => peaks.extend(peak),
                        Err(why) => {
                            self.uncalibrated.insert(workload.name.clone(), why);
                        }
                    }
                }
            }
            self.go_on()?;
            if let Some(rate) = calibrate::paced_rate(&peaks) {
                run.rates_per_s.insert(workload.name.clone(), rate);
            }
        }
        Ok(())
    }

    // --- The rounds ---

    /// Runs all trials of every round that haven't run yet.
    fn measure(
        &mut self,
        entries: &[Entry<'_>],
        run: &record::Run,
    ) -> Result<StoppedBy, SessionError> {
        let plan = Plan {
            entries: run.entries.clone(),
            ..self.options.plan()
        };
        let mut course = Course::new(self.options, &plan, &self.inputs.earlier.trials);
        for round in 1..=plan.rounds {
            let steps = plan.round(round);
            let mut fleet = Fleet::default();
            let mut positions = (round - 1) * steps.len() as u32..;
            for together in plan.together(&steps) {
                let mut missing = Vec::new();
                for (step, position) in together.iter().zip(&mut positions) {
                    if !course.done.contains(step) {
                        missing.push(Part {
                            entry: named(entries, &step.server)?,
                            step,
                            position,
                        });
                    }
                }
                if missing.is_empty() {
                    continue;
                }
                self.go_on()?;
                let rate = run.rates_per_s.get(&together[0].workload).copied();
                self.stage(&missing, rate, &mut fleet, &mut course)?;
            }
            // If a process still holds its port, its next trial fails because it can't have that port. So the
            // failure is only reported here.
            for (name, failure) in fleet.end_all() {
                self.tell(&Happening::Left(&name, &failure));
                course.failed.entry(name).or_default().last = Some(failure);
            }
            // A later round has begun, so this one was already found not to be the last.
            if round < course.begun {
                continue;
            }
            if let Some(why) = self.enough(round, &course) {
                return Ok(why);
            }
        }
        Ok(StoppedBy::Rounds)
    }

    /// Runs trials that belong together, or says why one of them is skipped, and stores them.
    fn stage<'e>(
        &mut self,
        parts: &[Part<'e>],
        rate: Option<f64>,
        fleet: &mut Fleet<'e>,
        course: &mut Course<'_>,
    ) -> Result<(), SessionError> {
        let first = parts[0];
        let (mut trials, mut runs, mut pace) = (Vec::new(), Vec::new(), None);
        for part in parts {
            let failed = course.failed.entry(part.step.server.clone()).or_default();
            match self.can_run(part.step, rate, failed) {
                Ok(its) => {
                    pace = Some(its);
                    runs.push(*part);
                }
                Err(failure) => trials.push(trial::not_run(part, failure)),
            }
        }
        if let Some(pace) = pace {
            let steps: Vec<plan::Step> = runs.iter().map(|part| part.step.clone()).collect();
            let (index, all) = (first.position as usize, course.trials_expected);
            self.tell(&Happening::Trials(&steps, index, all, course.clock.left()));
            let calls = course.calls(first.step);
            let measured = match self.options.schedule {
                Schedule::Isolated => runs
                    .iter()
                    .map(|part| self.alone(*part, calls, pace.clone()))
                    .collect(),
                Schedule::Interleaved { .. } => self.in_turn(&runs, calls, pace, fleet),
            };
            // A trial that was cut short says nothing about its server.
            self.go_on()?;
            trials.extend(measured);
        }
        let stored = self.inputs.store.put_trials(&trials);
        stored.context("cannot store a trial")?;
        for trial in trials {
            let failed = course.failed.entry(trial.server.clone()).or_default();
            if trial::was_run(&trial) {
                self.tell(&Happening::Measured(&trial));
                failed.note(&trial);
            }
            if failed.just_given_up() {
                self.tell(&Happening::GivenUp(&trial.server));
            }
            course.keep(trial);
        }
        for part in parts {
            course.clock.passed(part.step.stage);
        }
        Ok(())
    }

    /// The pace of a trial, or why it is skipped.
    fn can_run(
        &self,
        step: &plan::Step,
        rate_per_s: Option<f64>,
        failed: &FailedTrials,
    ) -> Result<Pace, Failure> {
        let not_run = |reason: String| Failure {
            step: record::Step::Drive,
            reason,
            log_tail: String::new(),
        };
        if let (true, Some(last)) = (failed.in_a_row >= GIVE_UP, &failed.last) {
            return Err(not_run(format!(
                "skipped after {GIVE_UP} consecutive failures; the last: {}",
                last.reason
            )));
        }
        trial::pace(step.stage, rate_per_s).ok_or_else(|| {
            let why = self.uncalibrated.get(&step.workload);
            let why = why.map_or("no server could be calibrated", String::as_str);
            not_run(format!("no paced rate: {why}; set one with --rate"))
        })
    }

    fn alone(&self, part: Part<'_>, calls: &[Call], pace: Pace) -> Trial {
        let task = Task {
            part,
            log: format!("{:04}", part.position),
            calls,
            pace,
            warmup: self.options.profile.warmup,
            duration: self.options.profile.measured(part.step.stage),
            seed: round_seed(self.options.seed, part.step.round),
        };
        trial::measure(&task, &self.settings)
    }

    /// Runs a stage of a workload with all entries taking turns.
    fn in_turn<'e>(
        &self,
        parts: &[Part<'e>],
        calls: &[Call],
        pace: Pace,
        fleet: &mut Fleet<'e>,
    ) -> Vec<Trial> {
        let Part { step, position, .. } = parts[0];
        let millis = |ms: Option<f64>| Duration::from_secs_f64(ms.unwrap_or_default() / 1e3);
        let Options {
            profile, schedule, ..
        } = self.options;
        let task = together::Task {
            calls,
            pace,
            cut: Cut {
                slice: millis(schedule.slice_ms()),
                lead_in: millis(schedule.lead_in_ms()),
                measured: profile.measured(step.stage),
                warmup: profile.warmup,
            },
            // Each stage has its own order.
            seed: round_seed(self.options.seed, step.round) ^ u64::from(position),
        };
        together::measure(parts, fleet, &task, &self.settings)
    }

    /// Whether to stop after this round, and why.
    fn enough(&mut self, round: u32, course: &Course<'_>) -> Option<StoppedBy> {
        let length = self.options.length;
        if !length.is_adaptive() {
            return None;
        }
        let sureness = length
            .precision
            .and_then(|_| (self.inputs.sureness)(&course.trials));
        let (spent, per_round) = (course.clock.spent(), course.clock.per_round());
        let why = length.ended(round, spent, per_round, sureness.as_ref());
        if let (None, Some(sureness)) = (why, &sureness) {
            let wanting = length.rounds_wanting(round, sureness);
            self.tell(&Happening::Known(round, sureness, wanting));
        }
        why
    }

    // --- Throughout ---

    fn go_on(&self) -> Result<(), SessionError> {
        if self.inputs.interrupt.is_set() {
            return Err(SessionError::Interrupted);
        }
        Ok(())
    }

    fn tell(&mut self, happening: &Happening<'_>) {
        self.inputs.watch.happens(happening);
    }

    fn put_run(&mut self, run: &record::Run) -> Result<(), SessionError> {
        let stored = self.inputs.store.put_run(run);
        Ok(stored.context("cannot store the run")?)
    }
}

/// The entries with the names in the plan.
fn entries<'c>(
    names: &[String],
    servers: &[Verified],
    targets: &[&'c Target],
    control: Option<&'c Control>,
) -> Result<Vec<Entry<'c>>, SessionError> {
    let entry = |name: &String| {
        let own = |s: &&Verified| s.built().server.name == base_name(name);
        let target = targets.iter().find(|target| target.name == *name);
        let subject = match servers.iter().find(own) {
            Some(server) if base_name(name) == name => Subject::Server(Box::new(server.clone())),
            Some(server) => {
                let twin = server.twin(name);
                let twin = twin.with_context(|| format!("cannot enter {name}"))?;
                Subject::Server(Box::new(twin))
            }
            None => control
                .filter(|_| is_control(name))
                .map(Subject::Control)
                .or(target.copied().map(Subject::Target))
                .with_context(|| format!("there is nothing to measure as {name}"))?,
        };
        Ok(Entry {
            name: name.clone(),
            subject,
        })
    };
    names.iter().map(entry).collect()
}

fn named<'e>(entries: &'e [Entry<'e>], name: &str) -> Result<&'e Entry<'e>, SessionError> {
    let found = entries.iter().find(|entry| entry.name == name);
    Ok(found.with_context(|| format!("the plan names {name}, but there is no such entry"))?)
}

/// The finding about a control without problems.
fn about_control(found: &str) -> Finding {
    Finding {
        id: CONTROL.to_owned(),
        level: Level::Ok,
        found: found.to_owned(),
        why: String::new(),
        fix: None,
    }
}

/// The finding for a run that continues without its control.
fn without_control(error: &anyhow::Error) -> Finding {
    Finding {
        level: Level::Warn,
        why: "the noise floor is assumed, and rates can't be compared with the load generator's maximum".to_owned(),
        ..about_control(&format!("there is no control: {error:#}"))
    }
}
