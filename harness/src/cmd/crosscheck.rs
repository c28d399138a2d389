//! `harness crosscheck`: compares several load generators, ours among them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::machine::{CpuPlace, Cpus};
use super::operand::refuse_unknown;
use super::progress::Progress;
use super::results::Folder;
use super::write_file;
use crate::flags::{Servers, Status, parse_duration, parse_rate};
use crosscheck::judge;
use crosscheck::session::{self, Observer, Options, Step, find_tools, tool_names};
use machine::probe::limits;
use record::{CROSSCHECK_SCHEMA_VERSION, Crosscheck, Ended, HiddenPaths};

const EXAMPLES: &str = "\
Examples:
  cargo harness crosscheck --server NAME                       compare with wrk, oha and hey, if installed
  cargo harness crosscheck --server NAME --tool epoll,wrk --connections 64 --rounds 11
  cargo harness crosscheck --server NAME --rate 20000          paced, for tools that support it
  cargo harness crosscheck --server NAME --syscalls --send-lag 1000,30000 --accuracy

Each tool drives the server in turn, on one thread on the same CPU, in an order shuffled for each \
round. Ratios are taken within rounds. Our load generator checks every response completely; the others \
only look at the status. --accuracy needs no server: it compares each tool's results with known \
latencies.

Exit status: 0 done, whatever the figures are; 1 a server or a tool failed; 2 a bad flag; 130 \
interrupted, after printing what was measured.";

/// The file that a crosscheck is stored in.
const FILE: &str = "crosscheck.json";
/// The same, as text.
const TEXT: &str = "crosscheck.md";

/// Flags of `harness crosscheck`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    servers: Servers,
    /// Use only this tool: epoll or io_uring (ours, by I/O backend), bare (only writes and reads: the lower
    /// bound), wrk, oha, hey; repeatable, or separated by commas [default: all installed]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tool: Vec<String>,
    /// Numbers of connections to try, separated by commas
    #[arg(short, long, value_name = "LIST", default_value = "16,64,256", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: Vec<u32>,
    /// How often each tool drives each server at each number of connections; 0 to skip
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    rounds: u32,
    /// Length of each drive, in whole seconds (wrk accepts nothing else)
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = parse_seconds)]
    duration: Duration,
    /// Requests per second over all connections, for tools that support a rate [default: closed loop]
    #[arg(short, long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Path of the GET request, without a query
    #[arg(long, value_name = "PATH", default_value = "/ping", value_parser = parse_path)]
    path: String,
    /// Also count system calls per request (needs strace), on the first server
    #[arg(long)]
    syscalls: bool,
    /// Also measure how late our load generator sends at these rates, on the first server
    #[arg(long, value_name = "RATES", value_delimiter = ',', value_parser = parse_rate)]
    send_lag: Vec<f64>,
    /// Also compare the tools' quantiles with known latencies
    #[arg(long)]
    accuracy: bool,
    /// Seed for the order [default: a new one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Maximum time until a server's first valid response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    ready_timeout: Duration,
    /// Folder to store the results in [default: bench-results/UTC-REVISION-crosscheck]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON: the record, and what is computed from it
    #[arg(long)]
    json: bool,
    /// Show what would be done, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    cpus: Cpus,
}

/// Has every tool drive every selected server, and prints how they compare.
///
/// # Errors
/// If a flag is wrong or results can't be stored. A server or a tool that fails gives
/// [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    let place = CpuPlace::find(&arguments.cpus)?;
    refuse_unknown("tool", &arguments.tool, tool_names())?;
    let (tools, left_out) = find_tools(&arguments.tool)?;
    if tools.is_empty() {
        let why = "none of these tools is installed";
        refuse!("--tool {}: {why}", arguments.tool.join(","));
    }
    let mut options = Options {
        // Without rounds, servers are built only if something else needs them.
        servers: match arguments.rounds == 0 && !arguments.syscalls && arguments.send_lag.is_empty()
        {
            true => Vec::new(),
            false => servers,
        },
        tools,
        connections: distinct(&arguments.connections),
        rounds: arguments.rounds,
        duration: arguments.duration,
        rate_per_s: arguments.rate,
        path: arguments.path.clone(),
        seed: arguments.seed.unwrap_or_else(super::random_seed),
        syscalls: arguments.syscalls,
        send_lag_rates: arguments.send_lag.clone(),
        accuracy: arguments.accuracy,
        server_cpus: place.server_cpus(),
        workers: place.layout.server.len(),
        client_cpus: client_cpus(&place),
        logs: PathBuf::new(),
        ready_timeout: arguments.ready_timeout,
    };
    if arguments.list {
        list(&options, &left_out)?;
        return Ok(Status::Fine);
    }
    let interrupt = crate::cmd::interrupt()?;
    // The tools inherit the limit. A tool for which it is still too low says so.
    let _ = limits::raise_descriptor_limit();
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-crosscheck")?;
    options.logs = folder.logs();
    let mut record = begin(&options, &place, &folder);
    record.tools.extend(left_out);
    let mut watch = Watch {
        progress: Progress::new(),
        folder: folder.path.clone(),
        hidden: folder.hidden(),
        troubles: 0,
    };
    let time = super::progress::show_time(session::expected(&options));
    watch
        .progress
        .tell(&format!("takes about {time} after the builds"));
    session::crosscheck(&catalog, &options, &mut record, &interrupt, &mut watch)?;
    watch.progress.finish();
    let text = crosscheck::text(&record);
    write_file(&folder.path.join(TEXT), &watch.hidden.clean(&text))?;
    match arguments.json {
        true => say!("{}", whole(&record)),
        false => say!("{text}\nstored in {}", folder.shown()),
    }
    Ok(status(&record, watch.troubles))
}

fn status(record: &Crosscheck, troubles: usize) -> Status {
    let failed = record.servers.iter().any(|server| server.failure.is_some());
    match record.ended {
        Ended::Interrupted => Status::Interrupted,
        _ if failed || troubles > 0 => Status::Failed,
        _ => Status::Fine,
    }
}

/// A record without results.
fn begin(options: &Options, place: &CpuPlace, folder: &Folder) -> Crosscheck {
    let connections = options.connections.iter().copied().max().unwrap_or(1);
    let mut environment = place.environment(connections);
    // Every tool has one thread.
    if environment.pinned {
        environment.driver_cpus.clone_from(&options.client_cpus);
    }
    Crosscheck {
        schema_version: CROSSCHECK_SCHEMA_VERSION,
        id: folder.id.clone(),
        started_at: jiff::Timestamp::now().to_string(),
        ended: Ended::Open,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: folder.revision.clone(),
        command: folder.command(),
        seed: options.seed,
        rounds: options.rounds,
        duration_ms: options.duration.as_millis() as u64,
        rate_per_s: options.rate_per_s,
        path: options.path.clone(),
        connections: options.connections.clone(),
        environment,
        tools: options
            .tools
            .iter()
            .map(|tool| tool.record.clone())
            .collect(),
        servers: Vec::new(),
        drives: Vec::new(),
        syscalls: Vec::new(),
        send_lags: Vec::new(),
        accuracy: Vec::new(),
    }
}

/// The record, and what is computed from it.
fn whole(record: &Crosscheck) -> String {
    let all = json!({
        "crosscheck": record,
        "summary": {
            "tables": judge::tables(record),
            "calls_per_request": judge::calls_per_request(record),
            "send_lag": judge::lags(record),
            "accuracy": judge::known(record),
        },
    });
    format!("{all:#}")
}

/// The one CPU for all tools, which have one thread each: the load generator's last.
fn client_cpus(place: &CpuPlace) -> Vec<u32> {
    match place.unpinned {
        None => place.layout.driver.last().copied().into_iter().collect(),
        Some(_) => Vec::new(),
    }
}

fn list(options: &Options, left_out: &[record::ToolRecord]) -> Result<()> {
    for tool in &options.tools {
        let version = tool.record.version.as_deref().unwrap_or("version unknown");
        say!("would drive with {:<10} {version}", tool.record.name);
    }
    for tool in left_out {
        let why = tool.left_out.as_deref().unwrap_or_default();
        say!("would leave out  {:<10} {why}", tool.name);
    }
    for server in &options.servers {
        say!("would build and drive {}", server.name);
    }
    let time = super::progress::show_time(session::expected(options));
    say!("would take about {time} after the builds");
    Ok(())
}

/// Shows progress and stores results.
struct Watch {
    progress: Progress,
    folder: PathBuf,
    hidden: HiddenPaths,
    troubles: usize,
}

impl Observer for Watch {
    fn happens(&mut self, step: &Step<'_>) {
        match step {
            Step::Building(server) => self.progress.note(&format!("building {server}")),
            Step::Failed(server, failure) => self.progress.fail(server, failure),
            Step::Driving(what, left) => self.progress.working(what, *left),
            Step::LeftOut(what) => self.progress.tell(what),
            Step::Trouble(what) => {
                self.troubles += 1;
                self.progress.tell(what);
            }
        }
    }

    fn keep(&mut self, record: &Crosscheck) -> Result<()> {
        let path: &Path = &self.folder.join(FILE);
        let text = serde_json::to_string_pretty(record).context("cannot serialize the record")?;
        write_file(path, &self.hidden.clean(&text))
    }
}

fn distinct(numbers: &[u32]) -> Vec<u32> {
    let mut distinct = Vec::new();
    for number in numbers {
        if !distinct.contains(number) {
            distinct.push(*number);
        }
    }
    distinct
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    match time.subsec_nanos() == 0 && time <= Duration::from_secs(600) {
        true => Ok(time),
        false => Err("expected whole seconds, at most 10 minutes, as in 2s".to_owned()),
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    // The same rule as in workload files.
    let fit = |c: char| c.is_ascii_graphic() && c != '?' && c != '#';
    match text.starts_with('/') && text.chars().all(fit) {
        true => Ok(text.to_owned()),
        false => Err(
            "expected a path such as /ping: it starts with / and has no spaces and no query"
                .to_owned(),
        ),
    }
}
