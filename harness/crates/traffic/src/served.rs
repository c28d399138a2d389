//! A running server, ready for load: its responses accepted, its memory filled as far as the contract fills it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use catalog::{CHECKED_CALLS, Call, KEPT_ORDERS, Workload};
use loadgen::{Config, Control, Measurement, Pace, Script};
use machine::probe::{Processes, ResidentMemory};
use record::{Failure, Step};
use runner::{BootOptions, Interrupt, Launch, Referee, Running, accept, accept_by_route, boot};

/// How often a load is looked at, and what its server takes.
const EVERY: Duration = Duration::from_millis(100);
/// The longest load that fills the store; it ends by its number of requests.
const LONGEST_LOAD: Duration = Duration::from_secs(900);

/// How a server is started and loaded.
#[derive(Debug, Clone)]
pub struct ServedOptions {
    /// How to start it.
    pub boot: BootOptions,
    /// CPUs of the load generator; any if empty.
    pub driver_cpus: Vec<u32>,
    /// Connections of a load.
    pub connections: usize,
    /// Whether it first gets as many orders as it must keep, if the workload has any: until then, each one may take
    /// memory.
    pub filled: bool,
    /// Seed of the drawn requests and of random arrivals.
    pub seed: u64,
    /// Time limit for a response.
    pub timeout: Duration,
}

/// A running server and the requests for it.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) running: Running,
    pub(super) processes: Processes,
    script: Script,
    options: ServedOptions,
    interrupt: Interrupt,
}

impl Served {
    /// Starts it and accepts its response to every call.
    ///
    /// # Errors
    /// A [`Failure`] if it doesn't start, or answers wrongly.
    pub(super) fn start(
        launch: &Launch,
        workload: &Workload,
        by_route: bool,
        options: &ServedOptions,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let referee = Referee::new();
        let mut running = boot(launch, &options.boot, &referee, interrupt)?;
        let calls = workload.draw(options.seed, CHECKED_CALLS);
        let accept_all = match by_route {
            true => accept_by_route,
            false => accept,
        };
        let accept =
            |calls: &[Call]| accept_all(running.addr, calls, &referee, options.timeout, interrupt);
        let posts: Vec<Call> = calls
            .iter()
            .filter(|call| options.filled && call.method == "POST")
            .cloned()
            .collect();
        let scripts = accept(&calls).and_then(|script| {
            let posts = (!posts.is_empty()).then(|| accept(&posts)).transpose()?;
            Ok((script, posts))
        });
        let (script, posts) =
            scripts.map_err(|error| running.failure(Step::Accept, format!("{error:#}")))?;
        let mut served = Self::with(running, script, options, interrupt);
        if let Some(posts) = posts {
            let config = Config {
                duration: LONGEST_LOAD,
                limit: Some(KEPT_ORDERS),
                ..served.config()
            };
            let filled = loadgen::drive(&config, &posts, &served.control());
            let filled = filled.map_err(Into::into).and_then(right);
            served.judge(filled)?;
        }
        Ok(served)
    }

    /// A server that was started, and requests to which its responses were accepted.
    pub(super) fn with(
        running: Running,
        script: Script,
        options: &ServedOptions,
        interrupt: &Interrupt,
    ) -> Self {
        Self {
            processes: running.processes(),
            running,
            script,
            options: options.clone(),
            interrupt: interrupt.clone(),
        }
    }

    /// A load of no length over its connections.
    pub(super) fn config(&self) -> Config {
        Config {
            connections: self.options.connections,
            cpus: self.options.driver_cpus.clone(),
            warmup: Duration::ZERO,
            timeout: self.options.timeout,
            seed: self.options.seed,
            ..Config::new(self.running.addr)
        }
    }

    fn control(&self) -> Arc<Control> {
        Arc::new(Control::new(self.interrupt.flag()))
    }

    /// Applies a load at a fixed rate, of which every response must be right.
    ///
    /// # Errors
    /// A [`Failure`] if one isn't, or the server ended.
    pub(super) fn paced(
        &mut self,
        per_second: f64,
        (duration, connections): (Duration, usize),
        watch: &mut dyn FnMut(Duration, &mut Processes),
    ) -> Result<Measurement, Failure> {
        let config = Config {
            pace: Pace::Rate { per_second },
            duration,
            connections,
            ..self.config()
        };
        let measured = self.drive(&config, watch).and_then(right);
        self.judge(measured)
    }

    /// Applies a load, and calls `watch` every 100 ms meanwhile with the time since its start.
    ///
    /// # Errors
    /// If it could not begin, or was interrupted. Errors of the server are counted in the measurement.
    pub(super) fn drive(
        &mut self,
        config: &Config,
        watch: &mut dyn FnMut(Duration, &mut Processes),
    ) -> Result<Measurement> {
        let control = self.control();
        let (script, processes) = (&self.script, &mut self.processes);
        let measured = thread::scope(|scope| {
            let (done, over) = channel();
            let shared = Arc::clone(&control);
            let driver = scope.spawn(move || {
                let measured = loadgen::drive(config, script, &shared);
                // The watcher may have gone; then nobody needs to know.
                let _ = done.send(());
                measured
            });
            // It ends in any case, as the drive does.
            while over.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Some(window) = control.window() {
                    watch(window.start.elapsed(), processes);
                }
            }
            driver.join()
        });
        let measured = measured.map_err(|_| anyhow!("the load generator panicked"))??;
        ensure!(!measured.stopped, "interrupted");
        Ok(measured)
    }

    /// A failure of a load as the server's, with the end of its log.
    pub(super) fn judge<T>(&mut self, result: Result<T>) -> Result<T, Failure> {
        result.map_err(|error| self.running.failure(Step::Drive, format!("{error:#}")))
    }

    /// Its resident memory now.
    pub(super) fn resident(&mut self) -> Result<ResidentMemory, Failure> {
        let memory = self.processes.resident();
        self.judge(memory.context("its memory can't be read"))
    }

    /// Sleeps.
    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        self.interrupt.pause(time)
    }
}

/// Refuses a load with an error.
fn right(measured: Measurement) -> Result<Measurement> {
    match &measured.first_error {
        Some(error) => bail!("{error}"),
        None => Ok(measured),
    }
}
