//! `upstream.json`: what latency each server adds to that of a dependency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Estimate, Estimates, Failure, Head};
use stats::Bootstrap;

/// The file's name.
pub const UPSTREAM_FILE: &str = "upstream.json";

/// What each server adds to the latency of one dependency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upstreams {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// Whether servers, load generator and dependency were pinned to their CPUs.
    pub pinned: bool,
    /// CPUs that load generator and dependency share.
    pub driver_cpus: usize,
    /// The delay of the dependency, as in `exponential:5ms`.
    pub delay: String,
    /// Requests per second.
    pub rate: f64,
    /// Connections of the load.
    pub connections: usize,
    /// Worker threads of a server.
    pub workers: usize,
    /// Rounds asked for.
    pub rounds: u32,
    /// Length of a load, milliseconds.
    pub trial_ms: u64,
    /// Load before it, milliseconds.
    pub warmup_ms: u64,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Seed of the delays and of the order of servers.
    pub seed: u64,
    /// One for each server.
    pub servers: Vec<ServerUpstream>,
}

/// A server with the dependency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerUpstream {
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
    /// The first failure; rounds without one count.
    pub failure: Option<Failure>,
    /// By id, over rounds; see [`super::figure::upstream`]. Computed from the rounds.
    pub figures: Estimates,
    /// One for each fresh process.
    pub rounds: Vec<RoundUpstream>,
}

/// What one process showed, and the dependency alone right before or after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundUpstream {
    /// Counted from 1; the servers of a round took turns.
    pub round: u32,
    /// Whether the dependency alone came before the server.
    pub direct_first: bool,
    /// By id; see [`super::figure::upstream`].
    pub figures: BTreeMap<String, f64>,
    /// Whether the load generator was busy.
    pub generator_bound: bool,
    /// Whether the load generator sent on time.
    pub kept_up: bool,
    /// The message of the first error of the server.
    pub first_error: Option<String>,
}

impl Document for Upstreams {
    const WHAT: &'static str = "upstream";
    const KIND: &'static str = "upstream";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Upstreams {
    /// Computes everything that follows from the rounds.
    pub fn summarise(&mut self) {
        let mut bootstrap = Bootstrap::new(self.seed);
        for server in &mut self.servers {
            let mut by_id: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
            for (id, figure) in server.rounds.iter().flat_map(|round| &round.figures) {
                by_id.entry(id).or_default().push(*figure);
            }
            let figures = by_id.into_iter();
            server.figures = figures
                .filter_map(|(id, values)| {
                    Some((id.clone(), Estimate::of(&values, &mut bootstrap)?))
                })
                .collect();
        }
    }
}

impl ServerUpstream {
    /// Requests to the dependency for each connection that the server opened to it: about 1 if it keeps none.
    pub fn requests_per_connection(&self) -> Option<f64> {
        let median = |id: &str| Some(self.figures.get(id)?.median);
        let connections = median("upstream_connections").filter(|count| *count > 0.0)?;
        Some(median("upstream_requests")? / connections)
    }
}
