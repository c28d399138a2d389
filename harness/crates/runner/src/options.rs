//! Options of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::length::Length;
use super::live::Live;
use super::target::Target;
use super::trial::Settings;
use super::{Interrupt, Referee};
use catalog::plan::{Plan, round_seed};
use catalog::{Call, DISTINCT_CALLS, Profile, Server, Stage, Workload};
use loadgen::EngineKind;
use machine::Layout;
use record::{CONTROL, Schedule, base_name, second_name};

/// The measured time of one calibration trial.
pub(super) const CALIBRATION: Duration = Duration::from_millis(250);
/// Calibration trials of each server and workload; the median counts.
pub(super) const CALIBRATIONS: u32 = 3;

/// Options of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The servers and other builds of them; empty only if all failed before a run was interrupted.
    pub servers: Vec<Server>,
    /// Services that already run; then there are no servers.
    pub targets: Vec<Target>,
    /// The names of those with a twin.
    pub twins: Vec<String>,
    /// Whether the control is measured (twice).
    pub control: bool,
    /// The workloads, at least one.
    pub workloads: Vec<Workload>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// How long each trial is, and how many rounds there are at most.
    pub profile: Profile,
    /// Whether rounds can end early.
    pub length: Length,
    /// Determines everything random.
    pub seed: u64,
    /// Connections of every stage.
    pub connections: usize,
    /// How the entries of a round share the time.
    pub schedule: Schedule,
    /// I/O backend of the load generator.
    pub engine: EngineKind,
    /// Paced rates set by the user, by workload.
    pub rates_per_s: BTreeMap<String, f64>,
    /// The limit on the first byte at idle.
    pub first_byte_limit: Duration,
    /// A request's time limit.
    pub timeout: Duration,
    /// Time limit for a server's first valid response.
    pub ready_timeout: Duration,
    /// The checks to make of each server; all if empty.
    pub only_checks: Vec<String>,
    /// A fixed port; a free one if absent.
    pub port: Option<u16>,
    /// CPUs of the server and the load generator.
    pub layout: Layout,
    /// Whether both are pinned to them.
    pub pinned: bool,
    /// Where server logs go.
    pub logs: PathBuf,
}

impl Options {
    /// The plan: every entry, workload and stage, in each round.
    pub fn plan(&self) -> Plan {
        Plan {
            entries: self.entries(|_| true, self.control),
            workloads: self.workloads.iter().map(|w| w.name.clone()).collect(),
            stages: self.stages.clone(),
            rounds: self.profile.rounds,
            seed: self.seed,
            interleaved: self.schedule.is_interleaved(),
            partial: self.partial(),
        }
    }

    /// Servers that don't take part in every workload, and twins of them, with the workloads in which they do.
    fn partial(&self) -> BTreeMap<String, Vec<String>> {
        let partial = self.servers.iter().filter(|s| !self.has_whole(s));
        partial
            .flat_map(|server| {
                let workloads = self.workloads.iter();
                let own = workloads.filter(|workload| server.takes_part(workload));
                let own: Vec<String> = own.map(|workload| workload.name.clone()).collect();
                let names = [server.name.clone(), second_name(&server.name)];
                names.map(|name| (name, own.clone()))
            })
            .collect()
    }

    /// Whether a server takes part in every workload.
    pub(super) fn has_whole(&self, server: &Server) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.all(|workload| server.takes_part(workload))
    }

    /// The entries of each round: the servers or targets that are `ready`, then twins, then the control twice.
    pub(super) fn entries(&self, ready: impl Fn(&str) -> bool, control: bool) -> Vec<String> {
        let servers = self.servers.iter().map(|server| server.name.clone());
        let targets = self.targets.iter().map(|target| target.name.clone());
        let twins = self.twins.iter().map(|name| second_name(name));
        let mut entries: Vec<String> = servers
            .chain(targets)
            .chain(twins)
            .filter(|name| ready(base_name(name)))
            .collect();
        if control && !entries.is_empty() {
            entries.extend([CONTROL.to_owned(), second_name(CONTROL)]);
        }
        entries
    }

    /// Estimated number of rounds: the fixed number, or as many as fit the budget.
    pub fn expected_rounds(&self) -> u32 {
        let Some(budget) = self.length.budget else {
            return self.profile.rounds;
        };
        let round = self.plan().round_time(&self.profile).as_secs_f64();
        let fit = (budget.as_secs_f64() / round.max(1e-3)) as u32;
        fit.clamp(1, self.profile.rounds)
    }

    /// Estimated time after the build; with a precision, the maximum.
    pub fn estimate(&self) -> Duration {
        let servers = self.servers.len() as u32;
        let calibrations = if self.calibrated().is_empty() {
            0
        } else {
            servers
        };
        Duration::from_secs(2) * servers
            + (CALIBRATION + self.profile.warmup + Duration::from_millis(350))
                * (calibrations * CALIBRATIONS)
                * self.calibrated().len() as u32
            + self.plan().round_time(&self.profile) * self.expected_rounds()
    }

    /// The workloads whose paced rate must be calibrated.
    pub(super) fn calibrated(&self) -> Vec<&Workload> {
        let paced = self.stages.contains(&Stage::Paced);
        self.workloads
            .iter()
            .filter(|workload| paced && !self.rates_per_s.contains_key(&workload.name))
            .collect()
    }

    /// The requests of a round by workload, the same for all servers.
    pub(super) fn calls(&self, round: u32) -> BTreeMap<String, Vec<Call>> {
        let seed = round_seed(self.seed, round);
        let drawn = |workload: &Workload| workload.draw(seed, DISTINCT_CALLS);
        let of = |workload: &Workload| (workload.name.clone(), drawn(workload));
        self.workloads.iter().map(of).collect()
    }

    pub(super) fn settings(&self, interrupt: Interrupt, live: Live) -> Settings {
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
            engine: self.engine,
            timeout: self.timeout,
            ready_timeout: self.ready_timeout,
            logs: self.logs.clone(),
            referee: Referee::new(),
            interrupt,
            live,
        }
    }
}
