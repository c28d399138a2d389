//! What a run is asked to do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::length::Length;
use super::live::Live;
use super::trial::Settings;
use catalog::plan::Plan;
use catalog::{Profile, Server, Stage, Workload};
use loadgen::EngineKind;
use machine::Layout;
use record::{CONTROL, Schedule, base_name, second_name};

/// The measured time of one calibration trial.
pub(super) const CALIBRATION: Duration = Duration::from_millis(250);
/// Calibration trials of each server and workload; their median counts.
pub(super) const CALIBRATIONS: u32 = 3;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The servers and other builds of them; none only where all failed before a run was interrupted.
    pub servers: Vec<Server>,
    /// The names of those that are entered twice.
    pub twins: Vec<String>,
    /// Whether the control is entered, twice.
    pub control: bool,
    /// The workloads, at least one.
    pub workloads: Vec<Workload>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// How long each trial is, and how many rounds there are at most.
    pub profile: Profile,
    /// Whether rounds end before.
    pub length: Length,
    /// Everything random is drawn from it.
    pub seed: u64,
    /// Connections of every stage.
    pub connections: usize,
    /// How the entries of a round share the time.
    pub schedule: Schedule,
    /// What moves the bytes.
    pub engine: EngineKind,
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
    /// The plan: every entry, workload and stage, in each round.
    pub fn plan(&self) -> Plan {
        Plan {
            entries: self.entries(|_| true, self.control),
            workloads: self.workloads.iter().map(|w| w.name.clone()).collect(),
            stages: self.stages.clone(),
            rounds: self.profile.rounds,
            seed: self.seed,
            interleaved: self.schedule.is_interleaved(),
        }
    }

    /// What each round measures, of the servers that are `ready`: those, then second entries,
    /// then the control's two.
    pub(super) fn entries(&self, ready: impl Fn(&str) -> bool, control: bool) -> Vec<String> {
        let servers = self.servers.iter().map(|server| server.name.clone());
        let twins = self.twins.iter().map(|name| second_name(name));
        let mut entries: Vec<String> = servers
            .chain(twins)
            .filter(|name| ready(base_name(name)))
            .collect();
        if control && !entries.is_empty() {
            entries.extend([CONTROL.to_owned(), second_name(CONTROL)]);
        }
        entries
    }

    /// How many rounds there will be, about: as many as there are, or as fit the budget.
    pub fn expected_rounds(&self) -> u32 {
        let Some(budget) = self.length.budget else {
            return self.profile.rounds;
        };
        let round = self.plan().round_time(&self.profile).as_secs_f64();
        let fit = (budget.as_secs_f64() / round.max(1e-3)) as u32;
        fit.clamp(1, self.profile.rounds)
    }

    /// How long it will take after the build, about; with a precision asked for, at most.
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

    /// The workloads whose paced rate must be found out.
    pub(super) fn calibrated(&self) -> Vec<&Workload> {
        let paced = self.stages.contains(&Stage::Paced);
        self.workloads
            .iter()
            .filter(|workload| paced && !self.rates_per_s.contains_key(&workload.name))
            .collect()
    }

    pub(super) fn settings(&self) -> Settings {
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
            live: Live::default(),
        }
    }
}
