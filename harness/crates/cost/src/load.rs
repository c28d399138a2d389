//! A server under a serial load.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};

use super::CostOptions;
use catalog::Call;
use loadgen::{Config, Control, Measurement, Pace, Script, Think};
use machine::probe::Processes;
use record::{Failure, Step};
use runner::{BootOptions, Interrupt, Launch, Referee, Running, boot};

/// A running server whose responses the referee accepted.
#[derive(Debug)]
pub struct Loaded {
    /// The process.
    pub(super) running: Running,
    script: Script,
    config: Config,
    interrupt: Interrupt,
}

impl Loaded {
    /// Starts it, accepts its response to every call, and warms it up with a long load: caches, the memory of
    /// connections and lazily built tables are then as they stay.
    ///
    /// # Errors
    /// A [`Failure`] if it doesn't start, or answers wrongly.
    pub fn start(
        launch: &Launch,
        log: &str,
        calls: &[Call],
        options: &CostOptions,
        referee: &Referee,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let name = options.boot.log.file_stem().unwrap_or_default();
        let log = format!("{}-{log}.log", name.to_string_lossy());
        let boot_options = BootOptions {
            log: options.boot.log.with_file_name(log),
            ..options.boot.clone()
        };
        let mut running = boot(launch, &boot_options, referee, interrupt)?;
        let script = runner::accept(running.addr, calls, referee, options.timeout, interrupt)
            .map_err(|error| running.failure(Step::Accept, format!("{error:#}")))?;
        let config = Config {
            connections: 1,
            cpus: options.driver_cpus.iter().take(1).copied().collect(),
            warmup: Duration::ZERO,
            // Ended by the number of requests.
            duration: options.timeout * 20,
            timeout: options.timeout,
            seed: options.seed,
            ..Config::new(running.addr)
        };
        let mut loaded = Self {
            running,
            script: script.in_turn(),
            config,
            interrupt: interrupt.clone(),
        };
        let warm = loaded.send(options.requests[1]);
        warm.map_err(|error| loaded.running.failure(Step::Drive, format!("{error:#}")))?;
        Ok(loaded)
    }

    /// Sends this many requests, one after the other over a new connection: the workload's list in order, again and
    /// again.
    ///
    /// # Errors
    /// If a response is wrong or missing.
    pub fn send(&mut self, requests: u64) -> Result<Measurement> {
        self.send_with_pauses(requests, None)
    }

    /// The same with a pause before each request.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub(super) fn send_with_pauses(
        &mut self,
        requests: u64,
        pause: Option<Duration>,
    ) -> Result<Measurement> {
        let config = Config {
            limit: Some(requests),
            think: pause.map(Think::Fixed),
            ..self.config.clone()
        };
        let control = Arc::new(Control::new(self.interrupt.flag()));
        let measured = loadgen::drive(&config, &self.script, &control)?;
        if measured.stopped {
            bail!("interrupted");
        }
        if let Some(error) = &measured.first_error {
            bail!("{error}");
        }
        if measured.answered_total != requests {
            bail!(
                "only {} of {requests} requests got a response",
                measured.answered_total
            );
        }
        Ok(measured)
    }

    /// Applies another load, over this many connections.
    ///
    /// # Errors
    /// If a response is wrong or missing.
    pub(super) fn drive(
        &mut self,
        connections: usize,
        pace: Pace,
        duration: Duration,
    ) -> Result<Measurement> {
        let config = Config {
            connections,
            pace,
            duration,
            ..self.config.clone()
        };
        let control = Arc::new(Control::new(self.interrupt.flag()));
        let measured = loadgen::drive(&config, &self.script, &control)?;
        if measured.stopped {
            bail!("interrupted");
        }
        if let Some(error) = &measured.first_error {
            bail!("{error}");
        }
        Ok(measured)
    }

    /// The server's processes.
    pub(super) fn processes(&self) -> Processes {
        let group = self.running.group();
        Processes::in_group(group, Some(group))
    }
}
