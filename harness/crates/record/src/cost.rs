//! `cost.json`: what a request costs each server in instructions, system calls, allocations and the like.
//!
//! It is a separate file with its own version: these figures don't depend on speed, so one measurement of a build
//! serves many runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const COST_FILE: &str = "cost.json";

/// What a request costs each server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// Worker threads of each server.
    pub workers: usize,
    /// Requests of the short and of the long load. Their difference is what is counted.
    pub requests: [u64; 2],
    /// Seed of the drawn requests.
    pub seed: u64,
    /// What counted each figure, as in `callgrind`, by the figure's id.
    pub counted_by: BTreeMap<String, String>,
    /// Why a figure is absent for all servers, and what would make it readable, by its id.
    pub absent: BTreeMap<String, String>,
    /// One for each server.
    pub servers: Vec<ServerCost>,
}

/// What a request costs one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// Its name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// As in `framework`.
    pub class: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// SHA-256 of the binary.
    pub sha256: Option<String>,
    /// Why nothing could be counted.
    pub failure: Option<Failure>,
    /// One for each workload.
    pub workloads: Vec<WorkloadCost>,
}

/// What a request of one workload costs one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadCost {
    /// The workload.
    pub name: String,
    /// Every repeat's value, by the figure's id; see [`super::figure::COSTS`].
    pub figures: BTreeMap<String, Vec<f64>>,
    /// System calls per request, by name.
    pub syscalls: BTreeMap<String, f64>,
    /// Why a figure is absent here, by its id.
    pub absent: BTreeMap<String, String>,
}

impl Document for Costs {
    const WHAT: &'static str = "cost of a request";
    const KIND: &'static str = "cost";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Costs {
    /// The costs of a server.
    pub fn server(&self, name: &str) -> Option<&ServerCost> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// The workloads, in the order of the first server that has any.
    pub fn workloads(&self) -> Vec<&str> {
        let with_any = self
            .servers
            .iter()
            .find(|server| !server.workloads.is_empty());
        let workloads = with_any
            .map(|server| &server.workloads[..])
            .unwrap_or_default();
        workloads
            .iter()
            .map(|workload| workload.name.as_str())
            .collect()
    }
}

impl ServerCost {
    /// What a request of that workload costs.
    pub fn workload(&self, name: &str) -> Option<&WorkloadCost> {
        self.workloads.iter().find(|workload| workload.name == name)
    }
}

impl WorkloadCost {
    /// The median over the repeats of a figure.
    pub fn median(&self, figure: &str) -> Option<f64> {
        stats::median(self.figures.get(figure)?)
    }

    /// (Highest − lowest) / median of the repeats of a figure; absent for fewer than two.
    pub fn spread(&self, figure: &str) -> Option<f64> {
        let values = self.figures.get(figure).filter(|values| values.len() > 1)?;
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.median(figure)? {
            0.0 => (highest == lowest).then_some(0.0),
            median => Some((highest - lowest) / median),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_relative_to_the_median() {
        let of = |values: &[f64]| WorkloadCost {
            figures: BTreeMap::from([("x".to_owned(), values.to_vec())]),
            ..WorkloadCost::default()
        };
        assert_eq!(of(&[99.0, 101.0, 100.0]).spread("x"), Some(0.02));
        assert_eq!(of(&[99.0, 101.0, 100.0]).median("x"), Some(100.0));
        assert_eq!(of(&[0.0, 0.0]).spread("x"), Some(0.0));
        assert_eq!(of(&[0.0, 0.0, 1.0]).spread("x"), None);
        assert_eq!(of(&[7.0]).spread("x"), None);
        assert_eq!(of(&[]).median("y"), None);
    }
}
