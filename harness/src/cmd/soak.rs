//! `harness soak`: cycles of load and rest for hours, to find what grows.

mod limit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use super::machine::{CpuPlace, Cpus};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use crate::flags::{Printed, Servers, Status, parse_duration, parse_rate, workloads};
use catalog::{Catalog, Server, Workload};
use judge::{Growing, least_cycles, soak_trends};
use limit::SoakLimit;
use machine::probe::limits;
use record::{Failure, SOAK_FILE, Soak, SoakReading, SoakServer};
use runner::{BootOptions, Built, Interrupt};
use traffic::{ServedOptions, SoakOptions, Soaked};

const EXAMPLES: &str = "\
Examples:
  cargo harness soak --server NAME --hours 8             cycles of a minute for eight hours
  cargo harness soak --server NAME,OTHER --cycles 60 --cycle 10s
  cargo harness soak --server NAME --hours 1 --fail-if 'memory>1MiB/h' --fail-if 'descriptors>1/h'     for CI
  cargo harness soak --resume bench-results/…-soak       continue one that was interrupted
  cargo harness soak --server NAME --list                how long it takes
  cargo harness soak --from bench-results/…-soak --format markdown

A cycle is a load (70 % of its time), a rest without connections (25 %), then a probe at a low rate. After each rest it \
reads memory, threads and descriptors; the probe gives p50 and p99. Several servers take turns, cycle by cycle. A trend \
test says of each figure whether it grows; a server without growth is reported in at most 1 % of soaks. Everything \
is stored after each cycle.

--fail-if takes a figure, > and a growth. It fails if the lower end of the growth's 95 % interval is higher. With it, \
growth within the limits doesn't change the exit status.
  memory>1MiB/h memory>16B/request    per hour (B, KiB, MiB, GiB) or per request (B)
  threads>1/h descriptors>1/h         per hour
  p50>10%/h p99>10%/h                 of the median latency, per hour

Exit status: 0 nothing grows; 1 a server failed or something grows; 2 a bad flag; 3 a --fail-if limit was exceeded; \
130 interrupted, after storing what was measured.";

/// Shares of a cycle; the probe gets the rest.
const LOAD: f64 = 0.7;
const REST: f64 = 0.25;
/// The time that a start takes, without the build.
const START: Duration = Duration::from_secs(3);

/// Flags of `harness soak`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Total time of all servers, hours
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_hours)]
    hours: f64,
    /// Number of cycles of each server, instead of --hours
    #[arg(long, value_name = "N", conflicts_with = "hours", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cycles: Option<u32>,
    /// Length of a cycle, at least 200ms
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_cycle)]
    cycle: Duration,
    /// Requests per second of the load
    #[arg(long, value_name = "RATE", default_value = "2000", value_parser = parse_rate)]
    rate: f64,
    /// Requests per second of the probe
    #[arg(long, value_name = "RATE", default_value = "200", value_parser = parse_rate)]
    probe_rate: f64,
    /// The workload
    #[arg(long, value_name = "NAME", default_value = "mixed")]
    workload: String,
    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Worker threads of each server [default: as many as it has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Seed of the drawn requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Exit with status 3 if a figure surely grows faster, as in 'memory>1MiB/h'; repeatable
    #[arg(long, value_name = "LIMIT", value_parser = limit::parse)]
    fail_if: Vec<SoakLimit>,
    /// Continue the soak in this folder, with new processes; needs no other flag but --manifest
    #[arg(long, value_name = "FOLDER", conflicts_with_all = [
        "hours", "cycles", "cycle", "rate", "probe_rate", "workload", "connections", "workers", "seed", "out", "server",
    ])]
    resume: Option<PathBuf>,
    /// Show what was stored; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "resume"])]
    from: Option<PathBuf>,
    /// Show what would be done, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    printed: Printed,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store it in [default: bench-results/UTC-REVISION-soak]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

/// Soaks the selected servers.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails or grows gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(path) = &arguments.from {
        return finish(arguments, &results::read_stored(path, SOAK_FILE)?);
    }
    let place = CpuPlace::find(&arguments.cpus)?;
    let (catalog, servers, folder, mut soak) = match &arguments.resume {
        Some(path) => resumed(arguments, path)?,
        None => begun(arguments, &place)?,
    };
    let left = left(&soak);
    if arguments.list {
        let names: Vec<&str> = soak
            .servers
            .iter()
            .map(|server| server.name.as_str())
            .collect();
        say!(
            "would soak {}: {} of {} at {}/s, {} of rest and {} of probe: about {} after the builds",
            names.join(", "),
            words::counted(u64::from(soak.cycles), "cycle"),
            seconds(soak.load_ms),
            soak.rate_per_s,
            seconds(soak.rest_ms),
            seconds(soak.probe_ms),
            show_time(left)
        );
        return Ok(Status::Fine);
    }
    let Some(folder) = folder else {
        anyhow::bail!("there is no folder");
    };
    let workloads = workloads(&catalog, std::slice::from_ref(&soak.workload))?;
    let workload = workloads.first().context("there is no workload")?;
    let interrupt = super::interrupt()?;
    // Without it, the load generator names the limit that it needs.
    let _ = limits::raise_descriptor_limit();
    eprintln!(
        "{} of {} for each of {}: about {} after the builds; Ctrl-C keeps what was measured, and --resume continues it",
        words::counted(u64::from(soak.cycles), "cycle"),
        seconds(soak.load_ms + soak.rest_ms + soak.probe_ms),
        words::counted(soak.servers.len() as u64, "server"),
        show_time(left)
    );
    if soak.cycles < least_cycles() {
        eprintln!(
            "a verdict needs {} cycles: these {} only store readings",
            least_cycles(),
            soak.cycles
        );
    }
    let mut session = Session {
        folder: &folder,
        workload,
        options: options(&soak, &place, Duration::from_millis(soak.timeout_ms)),
        interrupt: &interrupt,
        progress: Progress::new(),
        processes: BTreeMap::new(),
    };
    session.start_all(&catalog, &servers, &mut soak);
    session.soak(&mut soak)?;
    session.progress.finish();
    eprintln!("stored in {}", folder.shown());
    let status = finish(arguments, &soak)?;
    Ok(match interrupt.is_set() {
        true => Status::Interrupted,
        false => status,
    })
}

/// A soak, its servers in its order, and the folder unless it is only listed.
type Planned = (Catalog, Vec<Server>, Option<Folder>, Soak);

fn begun(arguments: &Arguments, place: &CpuPlace) -> Result<Planned> {
    let (catalog, servers) = arguments.servers.with_all_routes()?;
    workloads(&catalog, std::slice::from_ref(&arguments.workload))?;
    let folder = (!arguments.list)
        .then(|| Folder::create_as(&catalog.root, arguments.out.as_deref(), "-soak"))
        .transpose()?;
    let share = |share: f64| arguments.cycle.mul_f64(share).as_millis() as u64;
    let cycle = arguments.cycle.as_millis() as u64;
    let total = arguments.hours * 3_600.0 / (arguments.cycle.as_secs_f64() * servers.len() as f64);
    let soak = Soak {
        head: (folder.as_ref())
            .map(|folder| folder.head_on::<Soak>(place))
            .unwrap_or_default(),
        workload: arguments.workload.clone(),
        workers: arguments
            .workers
            .map_or(place.layout.server.len(), |workers| workers as usize),
        connections: arguments.connections as usize,
        rate_per_s: arguments.rate,
        probe_per_s: arguments.probe_rate,
        cycles: arguments.cycles.unwrap_or((total as u32).max(1)),
        load_ms: share(LOAD),
        rest_ms: share(REST),
        probe_ms: cycle - share(LOAD) - share(REST),
        timeout_ms: arguments.timeout.as_millis() as u64,
        seed: arguments.seed,
        resumed: 0,
        servers: servers
            .iter()
            .map(|server| SoakServer {
                name: server.name.clone(),
                display: server.about.display.clone(),
                version: server.version.clone(),
                ..SoakServer::default()
            })
            .collect(),
    };
    Ok((catalog, servers, folder, soak))
}

fn resumed(arguments: &Arguments, path: &Path) -> Result<Planned> {
    let mut soak: Soak = results::read_stored(path, SOAK_FILE)?;
    let selection = Servers {
        server: soak
            .servers
            .iter()
            .map(|server| server.name.clone())
            .collect(),
        manifest: arguments.servers.manifest.clone(),
    };
    let (catalog, all) = selection.with_all_routes()?;
    let ordered = soak.servers.iter().map(|stored| {
        let mut all = all.iter();
        let server = all.find(|server| server.name == stored.name).cloned();
        server.with_context(|| format!("{} was measured before but is not among the servers now: restore it, or pass its --manifest again", stored.name))
    });
    let servers = ordered.collect::<Result<Vec<_>>>()?;
    soak.resumed += 1;
    let folder = Folder::of_document(&catalog.root, path, &soak.head)?;
    Ok((catalog, servers, Some(folder), soak))
}

/// The time of the cycles that are left, without builds.
fn left(soak: &Soak) -> Duration {
    let cycle = soak.load_ms + soak.rest_ms + soak.probe_ms;
    let goes_on = soak
        .servers
        .iter()
        .filter(|server| server.failure.is_none());
    let cycles: u32 = goes_on
        .map(|server| START.as_millis() as u32 / cycle.max(1) as u32 + soak.cycles - done(server))
        .sum();
    Duration::from_millis(cycle * u64::from(cycles))
}

/// How many cycles a server has done.
fn done(server: &SoakServer) -> u32 {
    server.readings.last().map_or(0, |reading| reading.cycle)
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms as f64 / 1e3)
}

fn options(soak: &Soak, place: &CpuPlace, timeout: Duration) -> SoakOptions {
    let ms = Duration::from_millis;
    SoakOptions {
        served: ServedOptions {
            boot: BootOptions {
                workers: soak.workers,
                ..place.boot(PathBuf::new(), None, timeout)
            },
            driver_cpus: place.driver_cpus(),
            connections: soak.connections,
            filled: true,
            seed: soak.seed,
            timeout,
        },
        rate_per_s: soak.rate_per_s,
        load: ms(soak.load_ms),
        rest: ms(soak.rest_ms),
        probe: ms(soak.probe_ms),
        probe_per_s: soak.probe_per_s,
    }
}

/// A soak under way.
struct Session<'a> {
    folder: &'a Folder,
    workload: &'a Workload,
    options: SoakOptions,
    interrupt: &'a Interrupt,
    progress: Progress,
    /// Those that run, by name.
    processes: BTreeMap<String, Soaked>,
}

impl Session<'_> {
    /// Builds and starts every server that has cycles left.
    fn start_all(&mut self, catalog: &Catalog, servers: &[Server], soak: &mut Soak) {
        let (cycles, process) = (soak.cycles, soak.resumed);
        for (server, stored) in servers.iter().zip(&mut soak.servers) {
            if self.interrupt.is_set() || stored.failure.is_some() || done(stored) >= cycles {
                continue;
            }
            match self.start(catalog, server, process, stored) {
                Ok(process) => drop(self.processes.insert(server.name.clone(), process)),
                Err(failure) => self.fail(stored, failure),
            }
        }
    }

    fn start(
        &mut self,
        catalog: &Catalog,
        server: &Server,
        process: u32,
        stored: &mut SoakServer,
    ) -> Result<Soaked, Failure> {
        self.progress.note(&format!("building {}", server.name));
        let built: Built = runner::build(catalog, server, self.interrupt)?;
        let sha256 = &built.record.sha256;
        if !stored.readings.is_empty() && stored.sha256 != *sha256 {
            return Err(Failure {
                step: record::Step::Build,
                reason: "its binary is not the one measured before, so its readings can't be continued: start a new soak"
                    .to_owned(),
                log_tail: String::new(),
            });
        }
        stored.sha256.clone_from(sha256);
        let mut options = self.options.clone();
        let log = format!("{}-{process}.log", server.name);
        options.served.boot.log = self.folder.logs().join(log);
        self.progress.note(&format!("starting {}", server.name));
        Soaked::start(&built.launch, self.workload, &options, self.interrupt)
    }

    /// Goes through the cycles, each server in turn; stores after each.
    fn soak(&mut self, soak: &mut Soak) -> Result<()> {
        self.folder
            .write_document(soak, SOAK_FILE, report::soak_page(soak))?;
        let begin = Instant::now();
        let all = left(soak);
        for cycle in 1..=soak.cycles {
            for place in 0..soak.servers.len() {
                if self.interrupt.is_set() {
                    break;
                }
                let stored = &soak.servers[place];
                let due = stored.failure.is_none() && done(stored) < cycle;
                if !due || !self.processes.contains_key(&stored.name) {
                    continue;
                }
                let left = all.saturating_sub(begin.elapsed());
                let read = self.cycle(&stored.name, (cycle, soak.cycles, soak.resumed), left);
                match read {
                    Some(Ok(reading)) => soak.servers[place].readings.push(reading),
                    Some(Err(failure)) => self.fail(&mut soak.servers[place], failure),
                    None => {}
                }
                self.folder
                    .write_document(soak, SOAK_FILE, report::soak_page(soak))?;
            }
        }
        for (name, process) in std::mem::take(&mut self.processes) {
            if let Err(failure) = process.end() {
                let stored = soak.servers.iter_mut().find(|server| server.name == name);
                if let Some(stored) = stored {
                    self.fail(stored, failure);
                }
            }
        }
        self.folder
            .write_document(soak, SOAK_FILE, report::soak_page(soak))
    }

    fn cycle(
        &mut self,
        name: &str,
        (cycle, of, process): (u32, u32, u32),
        left: Duration,
    ) -> Option<Result<SoakReading, Failure>> {
        let progress = &mut self.progress;
        let begin = Instant::now();
        let mut show = |_: Duration| {
            let left = show_time(left.saturating_sub(begin.elapsed()));
            progress.part(&format!("{name}: cycle {cycle} of {of}, about {left} left"));
        };
        let mut read = self
            .processes
            .get_mut(name)?
            .cycle((cycle, process), &mut show);
        if let Ok(SoakReading {
            first_error: Some(error),
            ..
        }) = &mut read
        {
            *error = self.folder.hidden().clean(error).into_owned();
        }
        Some(read)
    }

    /// Stores why a server can't go on, unless the user stopped it.
    fn fail(&mut self, stored: &mut SoakServer, mut failure: Failure) {
        self.processes.remove(&stored.name);
        if self.interrupt.is_set() {
            return;
        }
        self.progress.fail(&stored.name, &failure);
        self.folder.clean(&mut failure);
        stored.failure = Some(failure);
    }
}

/// Prints it, and says how it went.
fn finish(arguments: &Arguments, soak: &Soak) -> Result<Status> {
    results::print(
        &arguments.printed,
        soak,
        || report::soak_page(soak).text,
        |colour| report::soak_lines(soak, colour),
    )?;
    let mut over = false;
    for server in &soak.servers {
        let trends = soak_trends(server);
        for limit in &arguments.fail_if {
            if let Some(told) = limit.exceeded(&trends) {
                eprintln!("{}: --fail-if '{}': {told}", server.name, limit.text);
                over = true;
            }
        }
    }
    let failed = soak.servers.iter().any(|server| server.failure.is_some());
    let grows = soak.servers.iter().any(|server| {
        let mut trends = soak_trends(server).into_iter();
        trends.any(|trend| trend.growing == Growing::Yes)
    });
    Ok(match arguments.fail_if.is_empty() {
        _ if over => Status::OverLimit,
        _ if failed => Status::Failed,
        true if grows => Status::Failed,
        _ => Status::Fine,
    })
}

fn parse_hours(text: &str) -> Result<f64, String> {
    let hours: Option<f64> = text.parse().ok();
    hours
        .filter(|hours| *hours > 0.0 && *hours <= 1_000.0)
        .ok_or_else(|| "expected hours, above 0 and at most 1000".to_owned())
}

fn parse_cycle(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(200);
    parse_duration(text).and_then(|cycle| match cycle >= least {
        true => Ok(cycle),
        false => Err("expected at least 200ms".to_owned()),
    })
}
