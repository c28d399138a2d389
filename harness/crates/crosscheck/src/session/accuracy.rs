//! What tools report about a server with known latencies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::files::Files;
use super::tool::{Kind, Load, Tool, Until};
use super::{BESIDE, Options, Session};
use crate::known::{self, Delay};
use record::Accuracy;
use runner::{BootOptions, Running};

/// In all cases.
const RATE_PER_S: f64 = 1_000.0;

/// A server's delays, and how to drive it.
struct Case {
    delay: Delay,
    connections: u32,
    time: Duration,
    /// Whether a tool's result depends on when it starts its clock.
    tells_clocks_apart: bool,
}

/// Many connections for drawn delays, so that at this rate no connection gets a request while its last one is
/// still delayed. Few for a stalling server, so that nearly every request due in a stall waits in the client.
fn cases() -> [Case; 4] {
    let ms = Duration::from_millis;
    let drawn = |delay| Case {
        delay,
        connections: 256,
        time: ms(8_000),
        tells_clocks_apart: false,
    };
    [
        drawn(Delay::Constant(ms(10))),
        drawn(Delay::Exponential(ms(10))),
        drawn(Delay::TwoHumped(ms(5), ms(20))),
        Case {
            delay: Delay::Stall {
                length: ms(1_000),
                every: ms(5_000),
            },
            connections: 16,
            // Two full periods.
            time: ms(10_000),
            tells_clocks_apart: true,
        },
    ]
}

/// How to run a tool, apart from the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Latency from the intended send time, if the tool can.
    Corrected,
    /// Latency from the actual send time.
    Uncorrected,
    /// Like corrected, and it never sleeps.
    Spinning,
}

/// The tools of a case, and how to run each. Not hey: it prints steps larger than the differences in question.
/// Nor tools that report no latency.
fn tools<'o>(options: &'o Options, case: &Case) -> Vec<(&'o Tool, Way)> {
    let mut all = Vec::new();
    for tool in options.tools.iter() {
        if matches!(tool.kind, Kind::Hey | Kind::Bare) {
            continue;
        }
        all.push((tool, Way::Corrected));
        match tool.kind {
            Kind::Ours(_) if own_cpu(options) => all.push((tool, Way::Spinning)),
            Kind::Oha { .. } if case.tells_clocks_apart => all.push((tool, Way::Uncorrected)),
            _ => {}
        }
    }
    all
}

/// Whether the server and the tools each have a CPU that they may keep busy.
fn own_cpu(options: &Options) -> bool {
    !options.server_cpus.is_empty() && options.server_cpus != options.client_cpus
}

/// How long it takes.
pub(super) fn expected(options: &Options) -> Duration {
    if !options.accuracy {
        return Duration::ZERO;
    }
    let each = cases().map(|case| (case.time + BESIDE) * tools(options, &case).len() as u32);
    each.into_iter().sum()
}

impl Session<'_> {
    /// Has every tool drive every case, each on a fresh process of its server.
    pub(super) fn accuracy(&mut self) -> Result<()> {
        let options = self.options;
        if !options.accuracy {
            return Ok(());
        }
        let files = Files::write(&options.logs.join("known"), "/")?;
        for case in cases() {
            for (tool, way) in tools(options, &case) {
                let Some(known) = self.boot_known(&case.delay)? else {
                    return Ok(());
                };
                let load = Load {
                    addr: known.addr,
                    path: "/".to_owned(),
                    connections: case.connections,
                    until: Until::Time(case.time),
                    rate_per_s: tool.can_be_paced().then_some(RATE_PER_S),
                    corrected: way != Way::Uncorrected,
                    spin: way == Way::Spinning,
                    files: files.clone(),
                };
                self.measure_accuracy(tool, &load, &case.delay)?;
                self.spend(case.time + BESIDE);
            }
            self.observer.keep(self.record)?;
        }
        Ok(())
    }

    fn boot_known(&mut self, delay: &Delay) -> Result<Option<Running>> {
        let mut launch = known::launch(delay, 1, &self.options.logs)?;
        if own_cpu(self.options) {
            launch = launch.with(&["--spin"]);
        }
        let options = BootOptions {
            cpus: self.options.server_cpus.clone(),
            workers: 1,
            port: None,
            socket: None,
            log: self.options.logs.join("known.log"),
            ready_timeout: self.options.ready_timeout,
        };
        let booted = runner::boot(&launch, &options, &self.referee, self.interrupt);
        self.go_on()?;
        Ok(self.unless_failed("the known-latency server", booted))
    }

    fn measure_accuracy(&mut self, tool: &Tool, load: &Load, delay: &Delay) -> Result<()> {
        let name = match (tool.kind, load.corrected) {
            (Kind::Wrk, _) => format!("{}, closed loop", tool.record.name),
            (Kind::Ours(_), _) if load.spin => format!("{}, spinning", tool.record.name),
            (Kind::Oha { .. }, true) => format!("{}, corrected", tool.record.name),
            _ => tool.record.name.clone(),
        };
        let what = format!("{name} on {delay}");
        let (reading, failure, output) = self.run_tool(tool, load, what)?.both();
        self.record.accuracy.push(Accuracy {
            delay: delay.to_string(),
            tool: name,
            ours: tool.record.ours,
            connections: load.connections,
            rate_per_s: load.rate_per_s,
            paper_ns: delay.paper_ns(),
            // A server that has ended can't say; the tool's output will show it.
            given_ns: given(load.addr).unwrap_or_default(),
            reading,
            failure,
            output,
        });
        Ok(())
    }
}

/// The actual delays, by the server's own clock.
fn given(addr: SocketAddr) -> Result<BTreeMap<String, f64>> {
    let json = known::given(addr)?;
    let points = json["ns"].as_object().into_iter().flatten();
    Ok(points
        .filter_map(|(name, ns)| Some((name.clone(), ns.as_f64()?)))
        .collect())
}
