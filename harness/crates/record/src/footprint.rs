//! `footprint.json`: what each server needs of memory, threads and descriptors, how soon it starts, and how large it
//! is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const FOOTPRINT_FILE: &str = "footprint.json";

/// The footprint of each server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footprints {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// The workload of the loads.
    pub workload: String,
    /// Worker threads of each server.
    pub workers: usize,
    /// Starts of each server.
    pub starts: u32,
    /// Requests of each of the two loads that the growth is taken between.
    pub requests: u64,
    /// Connections of these loads.
    pub connections: usize,
    /// The rest after the last load, milliseconds.
    pub rest_ms: u64,
    /// Seed of the drawn requests.
    pub seed: u64,
    /// One for each server.
    pub servers: Vec<ServerFootprint>,
}

/// The footprint of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFootprint {
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
    /// Why it could not be measured to the end.
    pub failure: Option<Failure>,
    /// By id; see [`super::figure::FOOTPRINT`].
    pub figures: BTreeMap<String, f64>,
    /// Time to start of each process, milliseconds.
    pub start_ms: Vec<f64>,
    /// Latency of the first request to each of them, microseconds.
    pub first_request_us: Vec<f64>,
    /// With no connection open, then with more and more.
    pub open: Vec<OpenConnections>,
    /// Why a figure is absent, by its id.
    pub absent: BTreeMap<String, String>,
}

/// A server with idle connections open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenConnections {
    /// Open connections, each after one answered request.
    pub connections: u64,
    /// By id; see [`super::figure::FOOTPRINT_OPEN`]. Empty if [`Self::refused`].
    pub figures: BTreeMap<String, f64>,
    /// Why so many connections could not be opened or kept.
    pub refused: Option<String>,
}

impl Document for Footprints {
    const WHAT: &'static str = "footprint";
    const KIND: &'static str = "footprint";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Footprints {
    /// Numbers of open connections that any server was measured with, ascending, without 0.
    pub fn steps(&self) -> Vec<u64> {
        let all = self.servers.iter().flat_map(|server| &server.open);
        let mut steps: Vec<u64> = all.map(|open| open.connections).collect();
        steps.sort_unstable();
        steps.dedup();
        steps.retain(|connections| *connections > 0);
        steps
    }
}

impl ServerFootprint {
    /// A figure with that many connections open.
    pub fn with_open(&self, connections: u64, figure: &str) -> Option<f64> {
        let mut open = self.open.iter();
        let step = open.find(|open| open.connections == connections)?;
        step.figures.get(figure).copied()
    }

    /// Takes the percentiles of the starts.
    pub fn summarise_starts(&mut self) {
        let percentiles = [("p50", 0.5), ("p95", 0.95)];
        let all = [
            ("start", "ms", &self.start_ms),
            ("first_request", "us", &self.first_request_us),
        ];
        for (figure, unit, values) in all {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            for (name, p) in percentiles {
                if let Some(value) = stats::quantile(&sorted, p) {
                    self.figures
                        .insert(format!("{figure}_{name}_{unit}"), value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure;

    #[test]
    fn starts_are_summarised_by_percentiles_that_are_defined() {
        let mut server = ServerFootprint {
            start_ms: (1..=21).rev().map(f64::from).collect(),
            ..ServerFootprint::default()
        };
        server.summarise_starts();
        assert_eq!(server.figures["start_p50_ms"], 11.0);
        assert_eq!(server.figures["start_p95_ms"], 20.0);
        assert_eq!(server.figures.len(), 2, "no first request was timed");
        server.first_request_us = vec![7.0];
        server.summarise_starts();
        assert_eq!(server.figures.len(), 4);
        for id in server.figures.keys() {
            assert!(figure::footprint(id).is_some(), "{id} is not defined");
        }
    }

    #[test]
    fn steps_are_those_of_any_server() {
        let open = |connections| OpenConnections {
            connections,
            figures: BTreeMap::from([("threads".to_owned(), connections as f64 + 3.0)]),
            refused: None,
        };
        let server = |steps: &[u64]| ServerFootprint {
            open: steps.iter().map(|step| open(*step)).collect(),
            ..ServerFootprint::default()
        };
        let footprints: Footprints = serde_json::from_value(serde_json::json!({
            "schema_version": 1, "kind": "footprint", "id": "", "started_at": "", "harness_version": "",
            "revision": null, "command": [], "cpu": "", "rustc": "", "workload": "", "workers": 1, "starts": 1,
            "requests": 1, "connections": 1, "rest_ms": 1, "seed": 1,
            "servers": [server(&[0, 100]), server(&[0, 1000, 100])]
        }))
        .unwrap();
        assert_eq!(footprints.steps(), [100, 1000]);
        assert_eq!(footprints.servers[0].with_open(100, "threads"), Some(103.0));
        assert_eq!(footprints.servers[0].with_open(1000, "threads"), None);
    }
}
