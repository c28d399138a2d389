//! `--metrics`: live metrics of a run in OpenMetrics, for Prometheus and compatible tools.
//!
//! | file | what it holds |
//! |---|---|
//! | `series` | which metrics there are, and their names |
//! | `serve` | one thread that serves `GET /metrics` |
//!
//! It has no visible cost for the measurement: most values change only between trials, the load generator
//! updates its counters whether or not anyone reads them, and the serving thread runs on CPUs that neither
//! side uses, or, if there are none, at the lowest priority on the load generator's.

mod series;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};

use self::series::Series;
use self::serve::MetricsServer;
use crate::cmd::machine::CpuPlace;
use crate::cmd::progress::Progress;
use crate::flags::Usage;
use machine::{Layout, Topology};
use record::Run;
use runner::{Happening, Live, Watch};

/// Binds the address, before anything is created or started.
///
/// # Errors
/// [`Usage`] if the address isn't a loopback address, is in use, or is the servers' own.
pub(super) fn listen(address: SocketAddr, servers_port: Option<u16>) -> Result<TcpListener> {
    let refused = |why: &str| Usage(format!("--metrics {address}: {why}"));
    if !address.ip().is_loopback() {
        let why = "only a loopback address such as 127.0.0.1:9464 is allowed; use a tunnel or a proxy \
                   for access from other machines";
        return Err(refused(why).into());
    }
    if servers_port == Some(address.port()) {
        return Err(refused("--port gives the servers the same port: choose another").into());
    }
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => refused(
            "the address is already in use: choose another port, or stop what listens there",
        ),
        _ => refused(&error.to_string()),
    });
    Ok(listener?)
}

/// Serves the metrics of the run until it is dropped.
#[derive(Debug)]
pub(super) struct Metrics {
    series: Arc<Series>,
    server: MetricsServer,
}

impl Metrics {
    /// Starts serving. `trials` is the number planned and the number already done.
    pub(super) fn begin(
        listener: TcpListener,
        run: &Run,
        trials: (usize, usize),
        live: Live,
        place: &CpuPlace,
    ) -> Result<Self> {
        let series = Arc::new(Series::new(run, trials, live));
        let told = Arc::clone(&series);
        let cpus = match place.unpinned {
            None => cpus(&place.topology, &place.layout),
            Some(_) => Vec::new(),
        };
        let server = MetricsServer::begin(listener, cpus, move || told.text())
            .context("cannot start serving --metrics")?;
        Ok(Self { series, server })
    }

    /// The URL to give to Prometheus.
    pub(super) fn url(&self) -> String {
        format!("http://{}/metrics", self.server.address())
    }
}

/// CPUs for the serving thread: outside both sides, preferably on none of their cores; otherwise the load
/// generator's, never the server's.
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

/// Reports progress to the user and, if they are served, to the metrics.
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

    /// `cores` cores of two siblings each: 0 and 1, 2 and 3...
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
            known: machine::Visible {
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
        // A core of its own, then a sibling of a used core, then the load generator's CPUs.
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
        assert!(word("0.0.0.0:0", None).contains("only a loopback address"));
        assert!(word("192.0.2.1:9464", None).contains("only a loopback address"));
        let taken = listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = taken.local_addr().unwrap();
        let text = word(&address.to_string(), None);
        assert!(text.contains(&address.to_string()) && text.contains("already"));
        assert!(word("127.0.0.1:9464", Some(9464)).contains("--port"));
    }
}
