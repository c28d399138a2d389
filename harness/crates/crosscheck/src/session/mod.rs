//! Several load generators in turn against the same server, under the same settings.
//!
//! Each tool is a child process, ours too, so that the CPU time of all is taken alike: the whole
//! process from its start to its end. Rounds are interleaved and shuffled, so that what the machine
//! does to one tool it does to all, and ratios are taken within a round.
//!
//! | file | what it holds |
//! |---|---|
//! | `tool` | which tools are here, and how each is asked for the same load |
//! | `child` | runs one to its end, within bounds |
//! | `read` | what each says, in one form |
//! | `files` | what tools are given beside their flags |
//! | `order` | which tool when |
//! | `drives` | the rounds |
//! | `syscalls` | system calls per request |
//! | `send_lag` | how late our load generator sends |
//! | `accuracy` | quantiles beside those of a server whose latency is known on paper |

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

/// What a tool's start and end take beside the time it was given, for the time left.
const BESIDE: Duration = Duration::from_millis(300);

/// What is asked for.
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
    /// Of each drive; whole seconds, which are all that wrk takes.
    pub duration: Duration,
    /// Requests per second; a closed loop where absent.
    pub rate_per_s: Option<f64>,
    /// The path of the one request; it has no query.
    pub path: String,
    /// The order is drawn from it.
    pub seed: u64,
    /// Whether to count system calls.
    pub syscalls: bool,
    /// Rates at which to measure how late requests are sent.
    pub send_lag_rates: Vec<f64>,
    /// Whether to compare with latencies that are known.
    pub accuracy: bool,
    /// CPUs of the server; not pinned where none is given.
    pub server_cpus: Vec<u32>,
    /// Its worker threads.
    pub workers: usize,
    /// CPUs of the tools; not pinned where none is given.
    pub client_cpus: Vec<u32>,
    /// A folder for logs and for what tools are given and say.
    pub logs: PathBuf,
    /// How long a server may take until its first valid answer.
    pub ready_timeout: Duration,
}

/// Something a person watching wants to know.
#[derive(Debug)]
pub enum Step<'a> {
    /// A server is being built.
    Building(&'a str),
    /// A server failed; it is driven no more.
    Failed(&'a str, &'a Failure),
    /// A tool is at work: what on, and the time left.
    Driving(String, Duration),
    /// A tool failed.
    Trouble(String),
    /// Something that was asked for can't be done here.
    LeftOut(&'static str),
}

/// Hears of what happens, and keeps what was measured.
pub trait Observer {
    /// Called as it happens.
    fn happens(&mut self, step: &Step<'_>);
    /// Called whenever there is more to keep.
    ///
    /// # Errors
    /// Where it can't be kept; nothing more is measured then.
    fn keep(&mut self, record: &Crosscheck) -> Result<()>;
}

/// The user asked to stop.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Stopped;

/// A crosscheck under way.
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

/// Builds the servers and has every tool drive each of them, then what else was asked for. What is
/// measured goes into `record`, which says at the end how it ended.
///
/// # Errors
/// Where files can't be written or a tool can't be run at all. A server or a tool that fails, and
/// a wish to stop, are no errors: they are in the record.
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

/// About how long it takes, the builds left out.
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
            // Nothing of the harness itself may run on the server's CPUs from here on.
            let _ = affinity::pin_current_thread(&self.options.client_cpus);
        }
        self.drives(&built)?;
        if let Some(first) = built.first() {
            self.syscalls(first)?;
            self.send_lags(first)?;
        }
        self.accuracy()
    }

    /// Builds all servers; one that fails is in the record.
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

    /// Boots a server and makes sure that it answers what the tools will ask.
    fn boot(&mut self, built: &Built) -> Result<Result<Running, Failure>> {
        let name = &built.server.name;
        let options = BootOptions {
            cpus: self.options.server_cpus.clone(),
            workers: self.options.workers,
            port: None,
            log: self.options.logs.join(format!("{name}.log")),
            ready_timeout: self.options.ready_timeout,
        };
        let booted = runner::boot(&built.launch, &options, &self.referee, self.interrupt);
        self.go_on()?;
        Ok(booted.and_then(|mut running| match self.asked(&running) {
            Ok(()) => Ok(running),
            Err(error) => Err(running.failure(record::Step::Accept, format!("{error:#}"))),
        }))
    }

    fn asked(&self, running: &Running) -> Result<()> {
        let path = &self.options.path;
        let wire = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", running.addr);
        let answer =
            Client::new(running.addr, self.options.ready_timeout).exchange(wire.as_bytes())?;
        match answer.status {
            200..300 => Ok(()),
            status => anyhow::bail!("GET {path} was answered with {status}"),
        }
    }

    /// A server that could not be booted; it is driven no more.
    fn failed(&mut self, name: &str, failure: &Failure) {
        self.observer.happens(&Step::Failed(name, failure));
        let driven = self.record.servers.iter_mut().find(|s| s.name == name);
        if let Some(driven) = driven {
            driven.failure = Some(failure.reason.clone());
        }
    }

    /// Runs a tool under this load, after a word on what it is.
    fn run_tool(&mut self, tool: &Tool, load: &Load, what: String) -> Result<Said> {
        let time = match load.until {
            Until::Time(time) => time,
            // What strace slows down the most stays below that.
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

    /// Takes what a step was expected to take from the time left.
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

/// What a tool's run came to.
struct Said {
    ran: Ran,
    command: Vec<String>,
    reading: Result<Reading, String>,
}

impl Said {
    fn new(tool: &Tool, command: Vec<String>, mut ran: Ran) -> Self {
        let trouble = ran.trouble.take();
        // Some exit with another status than 0 where an answer was wrong, and still say all.
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
