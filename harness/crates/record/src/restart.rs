//! `restart.json`: what clients lose when a server is restarted under load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const RESTART_FILE: &str = "restart.json";

/// How a new process follows the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartWay {
    /// The old process gets SIGTERM. When it has ended, the new one starts on the same port.
    Replace,
    /// Both are passed the same listening socket. The new process starts; once it serves, the old one gets SIGTERM.
    Handover,
}

/// Every server, restarted under load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restarts {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// Worker threads of each server.
    pub workers: usize,
    /// Connections of the load.
    pub connections: usize,
    /// The load's rate as a share of what a closed loop reached; absent if the rate was given.
    pub share: Option<f64>,
    /// Restarts of each server, workload and way.
    pub rounds: u32,
    /// Time limit for a response, milliseconds.
    pub timeout_ms: u64,
    /// Seed of the drawn requests.
    pub seed: u64,
    /// One for each restart, in the order of measuring.
    pub runs: Vec<RestartRun>,
}

/// One restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartRun {
    /// The workload.
    pub workload: String,
    /// How it was restarted.
    pub way: RestartWay,
    /// The server's name.
    pub server: String,
    /// The name shown in tables.
    pub display: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// SHA-256 of the binary.
    pub sha256: Option<String>,
    /// From 1 up.
    pub round: u32,
    /// What the server did with a passed socket, if it can't serve one.
    pub not_supported: Option<String>,
    /// Why it could not be measured to the end.
    pub failure: Option<Failure>,
    /// By id; see `harness/docs/RECORD.md`.
    pub figures: BTreeMap<String, f64>,
    /// Lost requests by kind (`refused`, `reset`, `truncated`, `timeout`, `wrong`); without those that didn't occur.
    pub lost: BTreeMap<String, u64>,
    /// The first error.
    pub first_error: Option<String>,
    /// The time series around the restart, in order, without gaps.
    pub intervals: Vec<RestartInterval>,
}

/// What ended in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RestartInterval {
    /// Its start, milliseconds from the start of the restart; negative before it.
    pub at_ms: i64,
    /// Its length, milliseconds.
    pub length_ms: u64,
    /// Requests with a valid response.
    pub answered: u64,
    /// Lost requests.
    pub lost: u64,
}

impl RestartWay {
    /// All, in the order of measuring.
    pub const ALL: [Self; 2] = [Self::Replace, Self::Handover];

    /// As in `handover`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Handover => "handover",
        }
    }
}

impl RestartRun {
    /// Before the restart.
    pub fn new(workload: &str, way: RestartWay, server: &str, round: u32) -> Self {
        Self {
            workload: workload.to_owned(),
            way,
            server: server.to_owned(),
            display: server.to_owned(),
            version: None,
            sha256: None,
            round,
            not_supported: None,
            failure: None,
            figures: BTreeMap::new(),
            lost: BTreeMap::new(),
            first_error: None,
            intervals: Vec::new(),
        }
    }

    /// Lost requests of all kinds.
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }
}

impl Restarts {
    /// The workloads and ways in the order of measuring.
    pub fn parts(&self) -> Vec<(&str, RestartWay)> {
        let mut parts = Vec::new();
        for way in RestartWay::ALL {
            for run in self.runs.iter().filter(|run| run.way == way) {
                let part = (run.workload.as_str(), way);
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        parts
    }

    /// The restarts of each server with this workload in this way, in the order of measuring.
    pub fn of(&self, (workload, way): (&str, RestartWay)) -> Vec<Vec<&RestartRun>> {
        let mut servers: Vec<Vec<&RestartRun>> = Vec::new();
        for run in &self.runs {
            if run.workload != workload || run.way != way {
                continue;
            }
            let same = |runs: &&mut Vec<&RestartRun>| {
                runs.first().is_some_and(|first| first.server == run.server)
            };
            match servers.iter_mut().find(same) {
                Some(runs) => runs.push(run),
                None => servers.push(vec![run]),
            }
        }
        servers
    }
}

impl Document for Restarts {
    const WHAT: &'static str = "measurement of restarts";
    const KIND: &'static str = "restart";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}
