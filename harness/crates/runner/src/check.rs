//! Has the referee check a server in a separate process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::probe::Processes;
use rustix::process::Signal;

use super::Interrupt;
use super::accept::Referee;
use super::boot::{BootOptions, Running, boot, choose_addr};
use super::build::{Built, Launch};
use super::group::Group;
use super::target::{Target, TargetCheck};
use record::{Failure, Step};
use referee::{CheckOptions, CheckReport, Ended, Process, Stop};

/// Prefix of the ids of checks that stop a server.
const STOPS: &str = "stop-";

/// Requirements on a server before it is measured.
#[derive(Debug, Clone)]
pub struct CheckLimits {
    /// Only these checks; all if empty.
    pub only: Vec<String>,
    /// Limit on the first byte at idle, as the median of 100 warm requests.
    pub first_byte: Duration,
    /// Seed of the drawn inputs.
    pub seed: u64,
}

/// A server that passed every check. Only these can be measured.
#[derive(Debug, Clone)]
pub struct Verified {
    built: Built,
}

impl Verified {
    /// What was built.
    pub fn built(&self) -> &Built {
        &self.built
    }

    /// The same program under another name, from a separate copy of its binary.
    ///
    /// # Errors
    /// If the binary can't be copied.
    pub(super) fn twin(&self, name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            built: self.built.twin(name)?,
        })
    }
}

/// The result of checking a server.
#[derive(Debug)]
pub struct Checked {
    /// Each check's result; absent if the server could not be reached.
    pub report: Option<CheckReport>,
    /// Its entry in the record.
    pub record: Option<record::Check>,
    /// The server, or why it is not measured.
    pub verdict: Result<Verified, Failure>,
}

/// Boots the server, lets the referee check it, and stops it as the contract says.
pub fn check(
    built: Built,
    boot_options: &BootOptions,
    limits: &CheckLimits,
    referee: &Referee,
    interrupt: &Interrupt,
) -> Checked {
    let scene = Scene {
        launch: &built.launch,
        options: boot_options,
        referee,
        interrupt,
    };
    let mut serving = match scene.boot(boot_options) {
        Ok(serving) => serving,
        Err(failure) => {
            return Checked {
                report: None,
                record: None,
                verdict: Err(failure),
            };
        }
    };
    let report = referee::check_process(
        &mut serving,
        &CheckOptions {
            only: limits.only.clone(),
            first_byte_limit: limits.first_byte,
            seed: limits.seed,
            only_ping: built.server.is_partial(),
            lacks: built.server.about.lacks.clone(),
            ..CheckOptions::default()
        },
    );
    let mut record = summarise(&report);
    let out_of_memory = serving.running.out_of_memory();
    let verdict = match first_failure(&record) {
        Some((step, reason)) => Err(serving.running.failure(step, reason)),
        None => serving.end(),
    };
    // A table shows only the first failure.
    if let (Some(why), Some(first)) = (out_of_memory, record.failures.first_mut()) {
        *first = format!("{why}; {first}");
    }
    Checked {
        report: Some(report),
        record: Some(record),
        verdict: verdict.map(|()| Verified { built }),
    }
}

/// How to start further processes of the server.
#[derive(Clone, Copy)]
struct Scene<'a> {
    launch: &'a Launch,
    options: &'a BootOptions,
    referee: &'a Referee,
    interrupt: &'a Interrupt,
}

impl<'a> Scene<'a> {
    fn boot(self, options: &BootOptions) -> Result<Serving<'a>, Failure> {
        let running = boot(self.launch, options, self.referee, self.interrupt)?;
        Ok(self.serving(running))
    }

    fn serving(self, running: Running) -> Serving<'a> {
        Serving {
            running,
            processes: None,
            scene: self,
            signalled: false,
            _extra_log: None,
        }
    }

    /// A log next to the server's own, for a short-lived process.
    fn extra_log(self, name: &str) -> PathBuf {
        let log = &self.options.log;
        let stem = log.file_stem().unwrap_or_default().to_string_lossy();
        log.with_file_name(format!("{stem}-{name}.log"))
    }
}

/// A process that the referee is checking.
struct Serving<'a> {
    scene: Scene<'a>,
    running: Running,
    /// Found when their CPU time is first read.
    processes: Option<Processes>,
    signalled: bool,
    /// Removed on drop.
    _extra_log: Option<ExtraLog>,
}

impl Serving<'_> {
    /// Stops it as the contract says, if the referee has not.
    fn end(self) -> Result<(), Failure> {
        match self.signalled {
            true => Ok(()),
            false => self.running.stop(),
        }
    }
}

impl Process for Serving<'_> {
    fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    fn hold(&mut self) -> Result<(), String> {
        told(self.running.signal(Signal::STOP))
    }

    fn stop(&mut self, stop: Stop) -> Result<(), String> {
        self.signalled = true;
        let signal = match stop {
            Stop::Terminate => Signal::TERM,
            Stop::Interrupt => Signal::INT,
        };
        told(self.running.signal(signal))?;
        // It may have ended by now if it was not stopped.
        let _ = self.running.signal(Signal::CONT);
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Option<Ended> {
        self.running.wait(limit).map(ended)
    }

    fn frees_port(&self) -> Result<(), String> {
        told(self.running.port_is_free())
    }

    fn printed(&self) -> Result<String, String> {
        told(self.running.printed())
    }

    fn cpu_time(&mut self) -> Result<Duration, String> {
        let running = &self.running;
        let processes = self.processes.get_or_insert_with(|| running.processes());
        let used = processes.sample_light().cpu_ns;
        let used = used.ok_or("the CPU time of its processes can't be read")?;
        Ok(Duration::from_nanos(used))
    }

    fn takes_workers(&self) -> bool {
        self.scene.launch.takes_workers()
    }

    fn refusal(
        &mut self,
        addr: Option<&str>,
        workers: Option<&str>,
        limit: Duration,
    ) -> Result<(Option<Ended>, String), String> {
        let options = self.scene.options;
        let addr = match addr {
            Some(addr) => addr.to_owned(),
            None => told(choose_addr(None))?.to_string(),
        };
        let workers = workers.map_or(options.workers.to_string(), str::to_owned);
        let launch = self.scene.launch;
        let command = launch.filled(&addr, &workers);
        let log = self.scene.extra_log("refusal");
        let started = Group::start(&[], &command, &launch.folder, &options.cpus, &log);
        let mut group = told(started)?;
        let ended = group.wait(limit).map(|(how, _)| ended(how));
        group.kill();
        Ok((ended, take(&log)))
    }

    fn another(&mut self, arguments: &[&str]) -> Result<Box<dyn Process + '_>, String> {
        let log = self.scene.extra_log("second");
        let options = BootOptions {
            port: None,
            log: log.clone(),
            ..self.scene.options.clone()
        };
        let launch = self.scene.launch.with(arguments);
        let scene = self.scene;
        let running = boot(&launch, &options, scene.referee, scene.interrupt)
            .map_err(|failure| failure.reason)?;
        let mut serving = scene.serving(running);
        serving._extra_log = Some(ExtraLog(log));
        Ok(Box::new(serving))
    }
}

/// The log of a short-lived process, which no user needs.
struct ExtraLog(PathBuf);

impl Drop for ExtraLog {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn told<T>(result: anyhow::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

fn ended(how: &str) -> Ended {
    Ended {
        status: how
            .strip_prefix("with status ")
            .and_then(|status| status.parse().ok()),
        how: how.to_owned(),
    }
}

/// The output of a process that has ended; its log is removed.
fn take(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let _ = fs::remove_file(log);
    String::from_utf8_lossy(&text).into_owned()
}

/// The referee's checks of a running process, and why stopping it failed, if it did.
pub(super) fn check_and_stop(
    running: Running,
    options: &CheckOptions,
) -> (Option<record::Check>, Option<String>) {
    let check = summarise(&referee::check(running.addr, options));
    let failure = running.stop().err().map(|failure| failure.reason);
    (Some(check), failure)
}

/// Checks a target for what the user asked. Leaves out what passes only once in a process, or would stop it.
pub(super) fn check_target(
    target: &Target,
    limits: &CheckLimits,
) -> (Option<record::Check>, Option<Failure>) {
    let only: Vec<String> = match target.check {
        TargetCheck::None => return (None, None),
        TargetCheck::Ping => vec!["ping".to_owned()],
        TargetCheck::Contract => referee::ids()
            .filter(|id| !referee::ONCE.contains(id))
            .map(str::to_owned)
            .collect(),
    };
    let options = CheckOptions {
        only,
        first_byte_limit: limits.first_byte,
        seed: limits.seed,
        ..CheckOptions::default()
    };
    let check = summarise(&referee::check(target.addr, &options));
    let failure = first_failure(&check).map(|(step, reason)| target.failure(step, reason));
    (Some(check), failure)
}

fn summarise(report: &CheckReport) -> record::Check {
    let failures: Vec<String> = report
        .results
        .iter()
        .filter_map(|result| {
            let why = result.outcome.as_ref().err()?;
            Some(format!("{}: {why}", result.id))
        })
        .collect();
    record::Check {
        passed: (report.results.len() - failures.len()) as u32,
        total: report.results.len() as u32,
        first_byte_us: report.first_byte.map(|time| time.as_secs_f64() * 1e6),
        failures,
        lost_at_stop: report.at_stop.map(|at_stop| at_stop.lost),
        sent_at_stop: report.at_stop.map(|at_stop| at_stop.sent),
    }
}

/// The step at which the first check failed, and its reason.
fn first_failure(check: &record::Check) -> Option<(Step, String)> {
    let first = check.failures.first()?;
    let more = match check.failures.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more; see `harness check`)"),
    };
    let step = match first.starts_with(STOPS) {
        true => Step::Stop,
        false => Step::Check,
    };
    Some((step, format!("{first}{more}")))
}
