//! A whole run: builds and checks all servers, captures the control, calibrates, then measures round after
//! round.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;

use super::Interrupt;
use super::accept::Referee;
use super::boot::BootOptions;
use super::build::{Built, build};
use super::check::{CheckLimits, Verified, check};
use super::control::{Answered, Control};
use super::entry::{Entry, Subject};
use super::length::Sureness;
use super::live::Live;
use super::options::Options;
use super::trial::Settings;
use catalog::plan::{self, round_seed};
use catalog::{Catalog, DISTINCT_CALLS, Server};
use machine::probe::affinity;
use record::{CONTROL, Ended, Environment, Failure, Finding, Level, Trial, base_name, is_control};
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

/// A running session.
pub struct Session<'a, W: Watch> {
    pub(super) catalog: &'a Catalog,
    pub(super) options: &'a Options,
    pub(super) store: &'a mut Store,
    pub(super) interrupt: &'a Interrupt,
    pub(super) watch: &'a mut W,
    pub(super) earlier: Earlier,
    pub(super) sureness: &'a dyn Fn(&[Trial]) -> Option<Sureness>,
    pub(super) referee: Referee,
    pub(super) settings: Settings,
    /// Why a workload has no paced rate.
    pub(super) uncalibrated: BTreeMap<String, String>,
}

impl<'a, W: Watch> Session<'a, W> {
    /// Prepares a session without starting anything. `sureness` computes how precisely the ratios are known
    /// from the trials so far; it is used if a precision was requested.
    pub fn new(
        catalog: &'a Catalog,
        options: &'a Options,
        earlier: Earlier,
        (store, interrupt, watch): (&'a mut Store, &'a Interrupt, &'a mut W),
        sureness: &'a dyn Fn(&[Trial]) -> Option<Sureness>,
    ) -> Self {
        Self {
            catalog,
            options,
            store,
            interrupt,
            watch,
            earlier,
            sureness,
            referee: Referee::new(),
            settings: options.settings(),
            uncalibrated: BTreeMap::new(),
        }
    }

    /// Publishes the counters of its loads in `live` while they run.
    pub fn show_in(&mut self, live: &Live) {
        self.settings.live = live.clone();
    }

    /// Runs everything that isn't done yet. Stores each server and each trial as soon as it is known, and a
    /// finding about the control.
    ///
    /// # Errors
    /// If the user stops it, the record can't be written, or something changed since an interrupted run began.
    /// A server's failure is not an error: it is stored, and the run continues.
    pub fn run(
        &mut self,
        run: &mut record::Run,
        environment: &mut Environment,
    ) -> Result<(), SessionError> {
        let ended = self.run_all(run, environment);
        let how = match &ended {
            Ok(()) => Ended::Complete,
            Err(SessionError::Interrupted) => Ended::Interrupted,
            Err(_) => return ended,
        };
        self.store
            .finish(how)
            .context("cannot store how the run ended")?;
        ended
    }

    fn run_all(
        &mut self,
        run: &mut record::Run,
        environment: &mut Environment,
    ) -> Result<(), SessionError> {
        let servers = self.prepare()?;
        // From here on nothing of the harness itself may run on the server's CPUs. Threads inherit this; a
        // trial notices if its load can't be pinned.
        if self.options.pinned {
            let _ = affinity::pin_current_thread(&self.options.layout.driver);
        }
        let control = self.control(&servers, environment)?;
        if self.earlier.trials.is_empty() {
            let ready = |name: &str| servers.iter().any(|s| s.built().server.name == name);
            run.entries = self.options.entries(ready, control.is_some());
        }
        self.calibrate(&servers, run)?;
        self.store.put_run(run).context("cannot store the run")?;
        self.watch.happens(&Happening::Rates(&run.rates_per_s));
        let entries = self.entries(&run.entries, servers, control.as_ref())?;
        // A run killed between this and its end has nothing more to measure.
        if run.stopped_by.is_none() {
            run.stopped_by = Some(self.measure(&entries, run)?);
        }
        self.store.put_run(run).context("cannot store the run")?;
        Ok(())
    }

    /// Builds all servers, then checks those that were built. Never both at once, so that no first byte is
    /// timed while a compiler runs.
    fn prepare(&mut self) -> Result<Vec<Verified>, SessionError> {
        let mut built = Vec::new();
        for server in &self.options.servers {
            self.go_on()?;
            self.watch.happens(&Happening::Building(&server.name));
            let result = build(self.catalog, server, self.interrupt);
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
        self.watch.happens(&Happening::Checking(&server.name));
        let boot = self.boot_options(&format!("{}-check", server.name));
        let limits = CheckLimits {
            only: self.options.only_checks.clone(),
            first_byte: self.options.first_byte_limit,
            seed: self.options.seed,
        };
        let checked = check(built, &boot, &limits, &self.referee, self.interrupt);
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

    fn boot_options(&self, log: &str) -> BootOptions {
        BootOptions {
            cpus: self.settings.server_cpus.clone(),
            workers: self.settings.workers,
            port: self.settings.port,
            log: self.settings.logs.join(format!("{log}.log")),
            ready_timeout: self.settings.ready_timeout,
        }
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

    /// What the record already has about a server.
    fn known(&self, name: &str) -> Option<&record::Server> {
        self.earlier.servers.iter().find(|known| known.name == name)
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

    /// Creates the control if it is enabled, and records whose responses it replays, or why there is none.
    fn control(
        &mut self,
        servers: &[Verified],
        environment: &mut Environment,
    ) -> Result<Option<Control>, SessionError> {
        let (control, finding) = match (self.options.control, servers) {
            // Keep the reason of the interrupted run.
            (false, _) if environment.control().is_some() => return Ok(None),
            (false, _) => (None, about_control("is left out, as --no-control asks")),
            (true, []) => return Ok(None),
            (true, servers) => self.make_control(servers)?,
        };
        if let (Some(then), false) = (environment.control(), self.earlier.trials.is_empty())
            && then.found != finding.found
        {
            return Err(SessionError::Changed(format!(
                "the control has changed since the run began. Then: {}. Now: {}. Fix that and \
                 resume again, or begin a new run",
                then.found,
                finding.told(),
            )));
        }
        self.watch.happens(&Happening::Control(&finding));
        environment.findings.retain(|other| other.id != CONTROL);
        environment.findings.push(finding);
        self.store
            .put_environment(environment)
            .context("cannot store the finding about the control")?;
        Ok(control)
    }

    /// Makes it from the responses of the first server whose responses can be replayed; if there is none, from
    /// the referee's model. It uses the requests of round 0 in every round, which is fine because it can't
    /// cache them.
    fn make_control(
        &mut self,
        servers: &[Verified],
    ) -> Result<(Option<Control>, Finding), SessionError> {
        let seed = round_seed(self.options.seed, 0);
        let calls = self
            .options
            .workloads
            .iter()
            .map(|workload| (workload.name.clone(), workload.draw(seed, DISTINCT_CALLS)))
            .collect();
        let boot = self.boot_options("capture");
        let mut passed_over = Vec::new();
        let mut taken = None;
        for server in servers {
            let name = &server.built().server.name;
            self.watch.happens(&Happening::Capturing(name));
            let timeout = self.settings.timeout;
            let (referee, interrupt) = (&self.referee, self.interrupt);
            let answers = Answered::of_server(server, &calls, &boot, timeout, referee, interrupt);
            self.go_on()?;
            match answers {
                Ok(answers) => {
                    taken = Some((format!("replays the answers of {name}"), answers));
                    break;
                }
                Err(failure) => {
                    self.watch.happens(&Happening::PassedOver(name, &failure));
                    passed_over.push(format!("not those of {name}: {}", failure.reason));
                }
            }
        }
        let taken = match taken {
            Some(taken) => Ok(taken),
            None => Answered::of_model(&calls, &self.referee)
                .map(|answers| ("replays answers made from the contract".to_owned(), answers)),
        };
        let made = taken
            .and_then(|(whose, answers)| Ok((whose, Control::keep(answers, &calls, &boot.log)?)));
        Ok(match made {
            Ok((whose, control)) => {
                let why = passed_over.join("; ");
                (
                    Some(control),
                    Finding {
                        why,
                        ..about_control(&whose)
                    },
                )
            }
            Err(error) => (None, without_control(&error)),
        })
    }

    /// The subjects of the names in the plan.
    fn entries<'c>(
        &self,
        names: &[String],
        servers: Vec<Verified>,
        control: Option<&'c Control>,
    ) -> Result<Vec<Entry<'c>>, SessionError> {
        let mut entries = Vec::new();
        for name in names {
            let own = |s: &&Verified| s.built().server.name == base_name(name);
            let subject = match servers.iter().find(own) {
                Some(server) if base_name(name) == name => {
                    Subject::Server(Box::new(server.clone()))
                }
                Some(server) => {
                    let twin = server.twin(name);
                    let twin = twin.with_context(|| format!("cannot enter {name}"))?;
                    Subject::Server(Box::new(twin))
                }
                None => control
                    .filter(|_| is_control(name))
                    .map(Subject::Control)
                    .with_context(|| format!("there is nothing to measure as {name}"))?,
            };
            entries.push(Entry {
                name: name.clone(),
                subject,
            });
        }
        Ok(entries)
    }

    pub(super) fn go_on(&self) -> Result<(), SessionError> {
        if self.interrupt.is_set() {
            return Err(SessionError::Interrupted);
        }
        Ok(())
    }
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
