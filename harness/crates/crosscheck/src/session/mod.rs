//! Several load generators in turn against the same server, with the same settings.
//!
//! Each tool is a child process, ours too, so that CPU time is measured alike: the whole process from start to
//! end. Rounds are interleaved and shuffled, so that disturbances of the machine affect all tools alike, and
//! ratios are taken within a round.
//!
//! | file | contents |
//! |---|---|
//! | `tool` | which tools are available, and how each is told to create the same load |
//! | `child` | runs one to its end, within limits |
//! | `read` | parses the output of each into one form |
//! | `files` | files that tools need besides their flags |
//! | `order` | which tool runs when |
//! | `drives` | the rounds |
//! | `syscalls` | system calls per request |
//! | `send_lag` | how late our load generator sends |
//! | `accuracy` | quantiles compared with those of a server with known latencies |

mod accuracy;
mod child;
mod drives;
mod files;
mod order;
mod read;
mod send_lag;
mod syscalls;
mod tool;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use self::child::{Bench, Ran};
use self::files::Files;
use self::tool::{Load, Until};
use catalog::{Catalog, Server};
use loadgen::Client;
use machine::probe::affinity;
use record::{Crosscheck, Driven, Ended, Failure, Reading};
use runner::{BootOptions, Built, Interrupt, Referee, Running};

pub use self::tool::{Tool, find_tools, tool_names};

/// Extra time for a tool to start and end, for the time left.
const BESIDE: Duration = Duration::from_millis(300);

/// Options of a crosscheck.
#[derive(Debug)]
pub struct Options {
    /// The servers.
    pub servers: Vec<Server>,
    /// The tools.
    pub tools: Vec<Tool>,
    /// Numbers of connections.
    pub connections: Vec<u32>,
    /// How often each tool drives each server at each number of connections.
    pub rounds: u32,
    /// Of each drive, in whole seconds, because wrk takes nothing finer.
    pub duration: Duration,
    /// Requests per second; a closed loop if absent.
    pub rate_per_s: Option<f64>,
    /// The path of the one request; it has no query.
    pub path: String,
    /// Determines the order.
    pub seed: u64,
    /// Whether to count system calls.
    pub syscalls: bool,
    /// Rates at which to measure how late requests are sent.
    pub send_lag_rates: Vec<f64>,
    /// Whether to compare with known latencies.
    pub accuracy: bool,
    /// CPUs of the server; not pinned if empty.
    pub server_cpus: Vec<u32>,
    /// Its worker threads.
    pub workers: usize,
    /// CPUs of the tools; not pinned if empty.
    pub client_cpus: Vec<u32>,
    /// A folder for logs, files for the tools, and their output.
    pub logs: PathBuf,
    /// Time limit for a server's first valid response.
    pub ready_timeout: Duration,
}

/// An event to show the user.
#[derive(Debug)]
pub enum Step<'a> {
    /// A server is being built.
    Building(&'a str),
    /// A server failed; it is skipped from now on.
    Failed(&'a str, &'a Failure),
    /// A tool is running: the description and the time left.
    Driving(String, Duration),
    /// A tool failed.
    Trouble(String),
    /// A requested part can't be done here.
    LeftOut(&'static str),
}

/// Receives events, and saves what was measured.
pub trait Observer {
    /// Called on each event.
    fn happens(&mut self, step: &Step<'_>);
    /// Called whenever there is more to save.
    ///
    /// # Errors
    /// If it can't be saved; the crosscheck stops then.
    fn keep(&mut self, record: &Crosscheck) -> Result<()>;
}

/// The user asked to stop.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Stopped;

/// A running crosscheck.
struct Session<'a> {
    catalog: &'a Catalog,
    options: &'a Options,
    record: &'a mut Crosscheck,
    interrupt: &'a Interrupt,
    observer: &'a mut dyn Observer,
    referee: Referee,
    bench: Bench,
    files: Files,
    left: Duration,
}

/// Builds the servers and has every tool drive each of them, then does the other requested parts. Results go
/// into `record`, which also says how it ended.
///
/// # Errors
/// If files can't be written or a tool can't be run at all. A failing server or tool, and an interrupt, are not
/// errors: they are in the record.
pub fn crosscheck(
    catalog: &Catalog,
    options: &Options,
    record: &mut Crosscheck,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mut session = Session {
        catalog,
        options,
        interrupt,
        observer,
        referee: Referee::new(),
        bench: Bench {
            cpus: options.client_cpus.clone(),
            folder: options.logs.clone(),
        },
        files: Files::write(&options.logs, &options.path)?,
        left: expected(options),
        record,
    };
    session.record.ended = match session.run() {
        Ok(()) => Ended::Complete,
        Err(error) if error.is::<Stopped>() => Ended::Interrupted,
        Err(error) => return Err(error),
    };
    session.observer.keep(session.record)
}

/// Estimated time without the builds.
pub fn expected(options: &Options) -> Duration {
    drives::expected(options)
        + syscalls::expected(options)
        + send_lag::expected(options)
        + accuracy::expected(options)
}

impl Session<'_> {
    fn run(&mut self) -> Result<()> {
        let built = self.build()?;
        if !self.options.client_cpus.is_empty() {
            // From here on nothing of the harness itself may run on the server's CPUs.
            let _ = affinity::pin_current_thread(&self.options.client_cpus);
        }
        self.drives(&built)?;
        if let Some(first) = built.first() {
            self.syscalls(first)?;
            self.send_lags(first)?;
        }
        self.accuracy()
    }

    /// Builds all servers; the record keeps those that fail.
    fn build(&mut self) -> Result<Vec<Built>> {
        let mut ready = Vec::new();
        for server in &self.options.servers {
            self.observer.happens(&Step::Building(&server.name));
            let result = runner::build(self.catalog, server, self.interrupt);
            self.go_on()?;
            let failure = match &result {
                Ok(_) => None,
                Err(failure) => {
                    self.observer.happens(&Step::Failed(&server.name, failure));
                    Some(failure.reason.clone())
                }
            };
            self.record.servers.push(Driven {
                name: server.name.clone(),
                upstream_version: server.version.clone(),
                sha256: result.as_ref().ok().and_then(|b| b.record.sha256.clone()),
                failure,
            });
            ready.extend(result);
        }
        Ok(ready)
    }

    /// Boots a server and checks its response to the request of the tools; `None` if it failed, which is recorded.
    fn boot(&mut self, built: &Built) -> Result<Option<Running>> {
        let name = &built.server.name;
        let options = BootOptions {
            cpus: self.options.server_cpus.clone(),
            workers: self.options.workers,
            port: None,
            socket: None,
            log: self.options.logs.join(format!("{name}.log")),
            ready_timeout: self.options.ready_timeout,
        };
        let booted = runner::boot(&built.launch, &options, &self.referee, self.interrupt);
        self.go_on()?;
        let answered = booted.and_then(|mut running| match self.asked(&running) {
            Ok(()) => Ok(running),
            Err(error) => Err(running.failure(record::Step::Accept, format!("{error:#}"))),
        });
        Ok(self.unless_failed(name, answered))
    }

    /// `None` for a failure, which is recorded.
    fn unless_failed<T>(&mut self, name: &str, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.failed(name, &failure)).ok()
    }

    /// A load on the server in a closed loop.
    fn load(&self, running: &Running, connections: u32, until: Until) -> Load {
        Load {
            addr: running.addr,
            path: self.options.path.clone(),
            connections,
            until,
            rate_per_s: None,
            corrected: true,
            spin: false,
            files: self.files.clone(),
        }
    }

    fn asked(&self, running: &Running) -> Result<()> {
        let path = &self.options.path;
        let wire = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", running.addr);
        let answer =
            Client::new(running.addr, self.options.ready_timeout).exchange(wire.as_bytes())?;
        match answer.status {
            200..300 => Ok(()),
            status => anyhow::bail!("GET {path} returned status {status}"),
        }
    }

    /// Records that a server could not be booted; it is skipped from now on.
    fn failed(&mut self, name: &str, failure: &Failure) {
        self.observer.happens(&Step::Failed(name, failure));
        let driven = self.record.servers.iter_mut().find(|s| s.name == name);
        if let Some(driven) = driven {
            driven.failure = Some(failure.reason.clone());
        }
    }

    /// Runs a tool under this load, after announcing it.
    fn run_tool(&mut self, tool: &Tool, load: &Load, what: String) -> Result<Said> {
        let time = match load.until {
            Until::Time(time) => time,
            // Enough even for the tool that strace slows down most.
            Until::Requests(_) => Duration::from_secs(20),
        };
        self.observer
            .happens(&Step::Driving(what.clone(), self.left));
        let command = tool.command(load);
        let ran = self.bench.run(&command, time, self.interrupt)?;
        let said = Said::new(tool, command, ran);
        if let Err(why) = &said.reading {
            self.observer
                .happens(&Step::Trouble(format!("{what}: {why}")));
        }
        Ok(said)
    }

    /// Subtracts a step's expected time from the time left.
    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    fn go_on(&self) -> Result<()> {
        match self.interrupt.is_set() {
            true => Err(Stopped.into()),
            false => Ok(()),
        }
    }
}

/// The result of a tool's run.
struct Said {
    ran: Ran,
    command: Vec<String>,
    reading: Result<Reading, String>,
}

impl Said {
    fn new(tool: &Tool, command: Vec<String>, mut ran: Ran) -> Self {
        let trouble = ran.trouble.take();
        // Some exit with a nonzero status after a wrong response, but still print everything.
        let reading = read::read(tool.kind, &ran.output)
            .map_err(|error| trouble.unwrap_or_else(|| format!("{error:#}")));
        Self {
            ran,
            command,
            reading,
        }
    }

    fn both(self) -> (Option<Reading>, Option<String>, String) {
        match self.reading {
            Ok(reading) => (Some(reading), None, self.ran.output),
            Err(why) => (None, Some(why), self.ran.output),
        }
    }
}
