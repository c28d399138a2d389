//! `--metrics`: the run under way in OpenMetrics, for Prometheus and what draws from it.
//!
//! | file | what it holds |
//! |---|---|
//! | `series` | what is told, under which names |
//! | `serve` | one thread that answers `GET /metrics` |
//!
//! It costs the measurement nothing that shows: what is told changes between trials, the counters of a load
//! are added to by its threads whether or not anyone looks, and the thread that answers runs where neither
//! side does, or last in line behind the load generator where there is no such CPU.

mod series;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};

use self::series::Series;
use self::serve::Server;
use crate::cmd::machine::Place;
use crate::cmd::progress::Progress;
use crate::flags::Usage;
use machine::{Layout, Topology};
use record::Run;
use runner::{Happening, Live, Watch};

/// The address is ours; nothing is answered yet.
#[derive(Debug)]
pub(super) struct Listener(TcpListener);

/// Takes the address, before anything is made or started.
///
/// # Errors
/// [`Usage`] where it is not of this machine alone, in use, or the servers' own.
pub(super) fn listen(address: SocketAddr, servers_port: Option<u16>) -> Result<Listener> {
    let refused = |why: &str| Usage(format!("--metrics {address}: {why}"));
    if !address.ip().is_loopback() {
        let why = "only this machine may ask, as at 127.0.0.1:9464; let something in front of it \
                   answer others";
        return Err(refused(why).into());
    }
    if servers_port == Some(address.port()) {
        return Err(refused("--port gives the servers the same port: name another").into());
    }
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            refused("something listens there already: name another port, or end it")
        }
        _ => refused(&error.to_string()),
    })?;
    Ok(Listener(listener))
}

/// Tells of the run until it is dropped.
#[derive(Debug)]
pub(super) struct Metrics {
    series: Arc<Series>,
    server: Server,
}

impl Metrics {
    /// Begins to answer. `trials` are those planned and those there already.
    pub(super) fn begin(
        listener: Listener,
        run: &Run,
        trials: (usize, usize),
        live: Live,
        place: &Place,
    ) -> Result<Self> {
        let series = Arc::new(Series::new(run, trials, live));
        let told = Arc::clone(&series);
        let cpus = match place.unpinned {
            None => cpus(&place.topology, &place.layout),
            Some(_) => Vec::new(),
        };
        let server = Server::begin(listener.0, cpus, move || told.text())
            .context("cannot begin to answer at --metrics")?;
        Ok(Self { series, server })
    }

    /// What to give to Prometheus.
    pub(super) fn url(&self) -> String {
        format!("http://{}/metrics", self.server.address())
    }
}

/// Where the answering thread runs: beside both sides, best on no core of theirs; or else with the load
/// generator, never with the server.
fn cpus(topology: &Topology, layout: &Layout) -> Vec<u32> {
    let both = layout.both();
    let mut others = topology.usable.clone();
    others.retain(|cpu| !both.contains(cpu));
    let apart: Vec<u32> = (others.iter().copied())
        .filter(|cpu| !topology.share_a_core(&[*cpu], &both))
        .collect();
    [apart, others, layout.driver.clone()]
        .into_iter()
        .find(|cpus| !cpus.is_empty())
        .unwrap_or_default()
}

/// Lets a person and, where they are asked for, the metrics know.
#[derive(Debug)]
pub(super) struct Both<'a> {
    pub(super) progress: &'a mut Progress,
    pub(super) metrics: Option<&'a Metrics>,
}

impl Watch for Both<'_> {
    fn happens(&mut self, happening: &Happening<'_>) {
        if let Some(metrics) = self.metrics {
            metrics.series.happens(happening);
        }
        self.progress.happens(happening);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::Core;

    /// `cores` of two siblings each: 0 and 1, 2 and 3...
    fn machine(cores: u32) -> Topology {
        let cpus: Vec<u32> = (0..cores * 2).collect();
        Topology {
            online: cpus.clone(),
            allowed: cpus.clone(),
            isolated: Vec::new(),
            usable: cpus,
            cores: (0..cores)
                .map(|core| Core {
                    cpus: vec![core * 2, core * 2 + 1],
                    package: 0,
                    node: 0,
                    capacity: 1024,
                })
                .collect(),
            packages: 1,
            nodes: 1,
            quota_cpus: None,
            known: machine::Known {
                siblings: true,
                nodes: true,
                quota: true,
            },
        }
    }

    fn layout(server: &[u32], driver: &[u32]) -> Layout {
        Layout {
            server: server.to_vec(),
            driver: driver.to_vec(),
            shared: false,
            note: None,
        }
    }

    #[test]
    fn it_runs_where_neither_side_does_and_never_with_the_server() {
        let machine = machine(3);
        // A core of its own, a sibling of a core in use, the load generator's.
        assert_eq!(cpus(&machine, &layout(&[0, 1], &[2, 3])), [4, 5]);
        assert_eq!(cpus(&machine, &layout(&[0, 2], &[4])), [1, 3, 5]);
        assert_eq!(cpus(&machine, &layout(&[0, 1, 2], &[3, 4, 5])), [3, 4, 5]);
    }

    #[test]
    fn an_address_that_others_can_reach_or_that_is_taken_is_refused() {
        let word = |address: &str, port| {
            let error = listen(address.parse().unwrap(), port).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{error}");
            error.to_string()
        };
        assert!(word("0.0.0.0:0", None).contains("only this machine"));
        assert!(word("192.0.2.1:9464", None).contains("only this machine"));
        let taken = listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = taken.0.local_addr().unwrap();
        let text = word(&address.to_string(), None);
        assert!(text.contains(&address.to_string()) && text.contains("already"));
        assert!(word("127.0.0.1:9464", Some(9464)).contains("--port"));
    }
}
