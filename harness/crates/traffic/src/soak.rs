//! Cycles of load and rest, and what a server holds after each.
//!
//! After a rest without connections, memory, threads and descriptors are those that the server keeps. A probe at a low
//! fixed rate then measures latency.

use std::time::{Duration, Instant};

use super::served::{Served, ServedOptions};
use catalog::Workload;
use loadgen::{Config, Pace};
use record::{Failure, SoakReading};
use runner::{Interrupt, Launch};

/// Connections of a probe.
const PROBE_CONNECTIONS: usize = 4;

/// The cycles of a soak.
#[derive(Debug, Clone)]
pub struct SoakOptions {
    /// How the server is started and loaded.
    pub served: ServedOptions,
    /// Requests per second of the load.
    pub rate_per_s: f64,
    /// The load of a cycle.
    pub load: Duration,
    /// The rest after it.
    pub rest: Duration,
    /// The probe after that.
    pub probe: Duration,
    /// Requests per second of the probe.
    pub probe_per_s: f64,
}

/// A process that goes through cycles.
#[derive(Debug)]
pub struct Soaked {
    served: Served,
    options: SoakOptions,
    ready: Instant,
    requests: u64,
}

impl Soaked {
    /// Starts the server.
    ///
    /// # Errors
    /// A [`Failure`] if it doesn't start, or answers wrongly.
    pub fn start(
        launch: &Launch,
        workload: &Workload,
        options: &SoakOptions,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        Ok(Self {
            served: Served::start(launch, workload, false, &options.served, interrupt)?,
            options: options.clone(),
            ready: Instant::now(),
            requests: 0,
        })
    }

    /// One cycle; `number` and `process` are stored in its reading. Calls `show` now and then with the time since the
    /// load began.
    ///
    /// # Errors
    /// A [`Failure`] if it was interrupted, or the server ended or answered the probe wrongly. Errors under load are
    /// counted.
    pub fn cycle(
        &mut self,
        (number, process): (u32, u32),
        show: &mut dyn FnMut(Duration),
    ) -> Result<SoakReading, Failure> {
        let options = self.options.clone();
        let config = Config {
            pace: Pace::Rate {
                per_second: options.rate_per_s,
            },
            duration: options.load,
            interval: options.load.max(Duration::from_secs(1)),
            ..self.served.config()
        };
        let loaded = self.served.drive(&config, &mut |at, _| show(at));
        let loaded = self.served.judge(loaded)?;
        self.requests += loaded.answered_total;
        let rested = self.served.pause(options.rest);
        self.served.judge(rested)?;
        if let Some(how) = self.served.running.ended().map(str::to_owned) {
            let ended = Err(anyhow::anyhow!("it ended {how} in cycle {number}"));
            return self.served.judge(ended);
        }
        let memory = self.served.resident()?;
        let sample = self.served.processes.sample();
        let at_s = self.ready.elapsed().as_secs_f64();
        let requests = self.requests;

        let probed = self.served.paced(
            options.probe_per_s,
            (options.probe, PROBE_CONNECTIONS),
            &mut |_, _| {},
        )?;
        self.requests += probed.answered_total;
        let at = |quantile| {
            let latency = &probed.latency;
            (!latency.is_empty()).then(|| latency.value_at_quantile(quantile) as f64 / 1e3)
        };
        Ok(SoakReading {
            cycle: number,
            process,
            at_s,
            requests,
            errors: loaded.errors_total(),
            first_error: loaded.first_error.clone(),
            rss_bytes: memory.rss_bytes(),
            threads: sample.light.threads,
            descriptors: sample.descriptors,
            p50_us: at(0.5),
            p99_us: at(0.99),
        })
    }

    /// Ends the server.
    ///
    /// # Errors
    /// A [`Failure`] if it can't be ended.
    pub fn end(self) -> Result<(), Failure> {
        self.served.running.kill()
    }
}
