//! `harness drive`: the load generator on its own, against one URL.

pub(super) mod figures;
mod hlog;
mod json;
mod limits;
mod live;
mod pace;
mod requests;
mod series;
mod source;
mod spectrum;
mod summary;
mod tables;
mod target;

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::flags::{Status, Usage, engine_parser, parse_duration, refuse_engine};
use loadgen::{
    Address, Config, Control, DriveError, EngineKind, ErrorKind, Measurement, Pace, Script, drive,
};
use machine::cpu_list;
use runner::Interrupt;

use limits::Limit;
use series::Series;

const EXAMPLES: &str = "\
Examples:
  harness drive http://127.0.0.1:8080/ping
  harness drive -c 16 -d 30s --warmup 2s http://127.0.0.1:8080/ping
  harness drive -r 20000 http://127.0.0.1:8080/ping       20,000/s, latency from the intended send time
  harness drive -r 20000 --arrivals poisson http://127.0.0.1:8080/ping       at random, as users come
  harness drive --stages 10s@1000,10s@1000..5000,30s@5000 http://127.0.0.1:8080/ping
  harness drive -n 1000 -c 1 http://127.0.0.1:8080/ping   exactly 1,000 requests, one after another
  harness drive -c 500 --think exp:1s http://127.0.0.1:8080/ping             500 users who read and click
  harness drive --close http://127.0.0.1:8080/ping        a connection for each request
  harness drive --requests-per-connection 100 http://127.0.0.1:8080/ping     or for every hundred
  harness drive -b '{\"item_id\":\"SKU-789\",\"qty\":1}' \\
      -H 'Content-Type: application/json' http://127.0.0.1:8080/api/v1/orders
  harness drive --workload harness/workloads/mixed.toml http://127.0.0.1:8080
  harness drive --unix /run/app.sock http://localhost/ping                   over a Unix domain socket
  harness drive -c 60000 --bind 127.0.0.2 --bind 127.0.0.3 --bind 127.0.0.4 http://127.0.0.1:8080/ping
  harness drive --urls access.txt --shuffle               the URLs of a file, one a line
  harness drive --json http://127.0.0.1:8080/ping | jq .latency_ns.p99
  harness drive --hlog ping.hlog http://127.0.0.1:8080/ping
  harness drive -d 60s --timeseries - http://127.0.0.1:8080/ping | jq .latency_ns.p99
  harness drive --fail-if 'p99>250ms' --fail-if 'errors>0.1%' http://127.0.0.1:8080/ping     for CI
  harness drive --json http://127.0.0.1:8080/ping >new.json && harness compare old.json new.json

Latency runs from the intended send time; in a closed loop (without --rate or --stages) that
is the sending itself. With --close, or of the first request of a connection with
--requests-per-connection, it holds the connecting, which is also shown apart. A request that times out
counts at its timeout. Load only what is yours.

Requests that have no answer at the end count with the time they have waited, and what their answers
could raise is marked with ≥ (in JSON: at_least). A connection is silent where its request had then
been unanswered for more than a second and more than twice the longest latency.

--fail-if names a figure, >, >=, < or <=, and a value with its unit:
  p50 p75 p90 p95 p99 p99.9 p99.99 max mean   latency, as in 'p99>250ms' (ns, us, ms, s)
  first_byte.p99, connect.max, send_lag.p99   the same points of other times
  rate requests                               right answers a second, as in 'rate<20000/s', and in all
  errors errors.timeout unanswered unsent     a number, or a share: 'errors>10', 'errors>0.1%'
  silent reconnects ids_repeated              connections and ids, as in 'silent>0'
  bytes_received busy_ratio                   as in 'bytes_received<5MiB', 'busy_ratio>90%'
A share of errors is that of all requests that ended, warm-up included. A figure with ≥ passes only if
no value that it could have fails. A limit on errors, or on unanswered or silent, takes the place of status 1 for
these.

Exit status: 0 every answer was right; 1 some were wrong, or there was none, or a connection was
silent at the end; 2 a bad flag; 3 a limit of --fail-if was not kept, whatever else; 130 interrupted,
after what was measured has been printed.";

/// The longest run where only a number of requests is given.
const LONGEST: Duration = Duration::from_secs(600);
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// As in http://127.0.0.1:8080/ping; plain HTTP/1.1 only. http:// may be left out; the path is sent as typed
    #[arg(required_unless_present = "urls", conflicts_with = "urls")]
    url: Option<String>,
    /// Connections, kept open unless --close or --requests-per-connection is given
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// What moves the bytes: epoll on every Linux; io_uring at less CPU a request, from Linux 6.1 on where
    /// nothing forbids it; portable for want of both
    #[arg(long, value_name = "NAME", default_value = "epoll", value_parser = engine_parser())]
    engine: EngineKind,
    /// Threads; each is pinned to one CPU where --cpus is given [as many as --cpus, or 1]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// How long to measure [10s; with --requests at most 10m; with --stages as long as they are]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Load before it whose latencies are not counted [none: all that is sent counts]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "requests")]
    warmup: Option<Duration>,
    /// Stop when that many requests have ended
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    #[command(flatten)]
    pace: pace::Flags,
    /// Make a connection for each request, ask the server to close it, and close it: a mode of
    /// its own, whose figures are never those of kept connections
    #[arg(long)]
    close: bool,
    /// Make a connection for so many requests, ask the server to close with the last, and close it. The
    /// first request makes it, and its latency holds that; 1 is --close
    #[arg(long, value_name = "N", conflicts_with = "close", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_connection: Option<u32>,
    /// GET, POST... [GET, or POST where there is a body]
    #[arg(short, long)]
    method: Option<String>,
    /// A header, as in 'Accept: application/json'; repeatable
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// The body of each request
    #[arg(short, long, value_name = "TEXT")]
    body: Option<String>,
    /// The same from a file
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    body_file: Option<PathBuf>,
    /// Draw the requests from this workload. Each is sent once before the clock runs; what
    /// is answered then, status and body, must be answered always
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "body", "body_file"])]
    workload: Option<PathBuf>,
    /// Send the requests of this file, one a line, in order and then again: a URL, or a method and a URL;
    /// # begins a comment. All of one host and port. --header and --body go with each
    #[arg(long, value_name = "FILE", conflicts_with = "workload")]
    urls: Option<PathBuf>,
    /// Send those of --urls in an order drawn from the seed, each once before any comes again
    #[arg(long)]
    shuffle: bool,
    /// Requests of a workload, their order, and what is random in time are drawn from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connect to this Unix domain socket; the URL says only what to ask for
    #[arg(long, value_name = "PATH", conflicts_with = "bind")]
    unix: Option<PathBuf>,
    /// Come from this address of the machine; repeatable: each connection takes the next one. An
    /// address has some 28,000 ports, so several allow for more connections
    #[arg(long, value_name = "ADDR")]
    bind: Vec<IpAddr>,
    /// The most one request may take, and one connection to be made
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    /// The only right status [any from 200 to 299]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..=599))]
    expect_status: Option<u16>,
    /// CPUs for the threads, as in 0-3,8
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
    /// Never sleep: an answer is taken when it is there, not when a sleeping thread has been
    /// woken. Takes a CPU whole for each thread: name some with --cpus that the server does not use
    #[arg(long)]
    spin: bool,
    /// Exit with status 3 where this holds at the end, as in 'p99>250ms' or 'errors>0.1%'; repeatable
    #[arg(long, value_name = "LIMIT", value_parser = limits::parse)]
    fail_if: Vec<limits::Limit>,
    /// Print JSON; times are in nanoseconds
    #[arg(long)]
    json: bool,
    /// Write latencies there as an HdrHistogram V2 interval log, in nanoseconds
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Write what happened in each interval there, a line of JSON each; - is standard output, and the
    /// summary then goes to standard error
    #[arg(long, value_name = "FILE")]
    timeseries: Option<PathBuf>,
    /// The length of an interval of --timeseries and --hlog [1s; 100ms where there is only --hlog, or a
    /// thousandth of a longer drive]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    interval: Option<Duration>,
}

/// Drives one URL.
///
/// # Errors
/// Where a flag is wrong, nothing listens there, or the log can't be written. Wrong answers
/// give [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (target, source) = source::read(arguments)?;
    refuse_engine(arguments.engine)?;
    let config = Config {
        addr: match &arguments.unix {
            Some(path) => Address::Unix(path.clone()),
            None => target.resolve(arguments.timeout)?.into(),
        },
        ..config(arguments)?
    };
    let flag = if arguments.unix.is_some() {
        "--unix"
    } else {
        "--bind"
    };
    let possible = config.check_addresses();
    possible.map_err(|error| Usage(format!("{flag}: {error}")))?;
    // Made before the load, so that a bad path costs no measurement.
    let log = arguments.hlog.as_deref();
    let log = log.map(|path| create("--hlog", path)).transpose()?;
    let series = arguments.timeseries.as_deref();
    let series = series.map(Series::create).transpose()?;
    // Where it is refused, the drive itself names the limit that would do.
    let _ = machine::probe::limits::raise_descriptor_limit();
    let interrupt = Interrupt::on_signals().context("cannot hear of Ctrl-C")?;
    let from = (&target, &source);
    let Some(script) = requests::script(arguments, from, &config, &interrupt)? else {
        eprintln!("interrupted before the load began");
        return Ok(Status::Interrupted);
    };
    let measured = match load(&config, &script, &interrupt) {
        Err(DriveError::Stopped) => {
            eprintln!("interrupted before the load began");
            return Ok(Status::Interrupted);
        }
        measured => measured?,
    };
    if let (Some(file), Some(path)) = (log, &arguments.hlog) {
        hlog::write(file, &measured).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(series) = series {
        series.write(&measured)?;
    }
    let mut json = json::json(from, arguments.shuffle, &config, &measured);
    let checked = limits::check(&arguments.fail_if, &json);
    if arguments.json {
        json["fail_if"] = limits::json(&checked);
        say!("{json:#}");
    } else {
        let of = source.words(arguments.shuffle);
        let mut text = summary::summary(&target, of.as_deref(), &config, &measured);
        if !checked.is_empty() {
            text += &limits::text(&checked);
        }
        let text = text.trim_end_matches('\n');
        match series::takes_stdout(arguments) {
            true => eprintln!("{text}"),
            false => say!("{text}"),
        }
    }
    let kept = checked.iter().all(|checked| checked.passed);
    Ok(status(&measured, &arguments.fail_if, kept))
}

/// Makes the file a flag names.
///
/// # Errors
/// [`Usage`] with both.
fn create(flag: &str, path: &Path) -> Result<File> {
    let file = File::create(path);
    Ok(file.map_err(|error| Usage(format!("{flag} {}: {error}", path.display())))?)
}

fn load(
    config: &Config,
    script: &Script,
    interrupt: &Interrupt,
) -> Result<Measurement, DriveError> {
    let control = Control::new(interrupt.flag());
    std::thread::scope(|scope| {
        scope.spawn(|| live::show(&control, config));
        drive(config, script, &control)
    })
}

/// The exit status; `kept`: every limit was.
fn status(measured: &Measurement, limits: &[Limit], kept: bool) -> Status {
    // What a limit is about is judged by that limit alone.
    let is_free = |kind: &ErrorKind| !limits.iter().any(|limit| limit.is_about(*kind));
    let wrong = |kind: ErrorKind| measured.errors.contains_key(kind.name());
    let errors = ErrorKind::ALL.into_iter().filter(is_free).any(wrong);
    let silent = measured.silent() > 0 && !limits.iter().any(Limit::is_about_silence);
    if measured.stopped {
        Status::Interrupted
    } else if !kept {
        Status::OverLimit
    } else if errors || measured.requests == 0 || silent {
        Status::Failed
    } else {
        Status::Fine
    }
}

/// All of the configuration but the address, which takes a look at the network.
fn config(arguments: &Arguments) -> Result<Config> {
    refuse_threads(arguments)?;
    refuse_limits(arguments)?;
    let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let default = match arguments.requests {
        Some(_) => LONGEST,
        None => arguments.pace.length().unwrap_or(DEFAULT_DURATION),
    };
    let duration = arguments.duration.unwrap_or(default);
    Ok(Config {
        connections: arguments.connections as usize,
        engine: arguments.engine,
        cpus: cpus(arguments)?,
        threads: arguments.threads.unwrap_or(1) as usize,
        pace: arguments.pace.pace(),
        warmup: arguments.warmup.unwrap_or_default(),
        duration,
        limit: arguments.requests,
        timeout: arguments.timeout,
        interval: series::interval(arguments, duration)?,
        seed: arguments.seed,
        arrivals: arguments.pace.arrivals()?,
        think: arguments.pace.think,
        from: arguments.bind.clone(),
        requests_per_connection: match arguments.close {
            true => Some(1),
            false => arguments.requests_per_connection,
        },
        spin: arguments.spin,
        ..Config::new(nowhere)
    })
}

/// A thread without a connection would have nothing to do.
fn refuse_threads(arguments: &Arguments) -> Result<()> {
    let connections = arguments.connections;
    match arguments.threads {
        Some(threads) if threads > connections => {
            let many = format!(
                "--threads {threads}: each thread needs a connection, and --connections is \
                 {connections}; ask for -t {connections}, or for more connections with -c"
            );
            Err(Usage(many).into())
        }
        _ => Ok(()),
    }
}

/// What is never measured can't be held to a limit.
fn refuse_limits(arguments: &Arguments) -> Result<()> {
    let scheduled = arguments.pace.pace() != Pace::Closed || arguments.pace.think.is_some();
    let mut limits = arguments.fail_if.iter();
    match limits.find(|limit| !scheduled && limit.needs_a_schedule()) {
        None => Ok(()),
        Some(limit) => {
            let why = format!(
                "--fail-if '{}': send_lag is there only with --rate, --stages or --think; without them \
                 a request is sent when an answer comes",
                limit.text()
            );
            Err(Usage(why).into())
        }
    }
}

/// The CPUs to pin to, one a thread; none where none is given.
fn cpus(arguments: &Arguments) -> Result<Vec<u32>> {
    let Some(list) = &arguments.cpus else {
        return Ok(Vec::new());
    };
    let mut cpus = cpu_list::parse(list).map_err(|error| Usage(format!("--cpus: {error}")))?;
    let threads = arguments
        .threads
        .map_or(cpus.len(), |threads| threads as usize);
    if cpus.is_empty() || threads > cpus.len() {
        let few = format!("--cpus {list}: {threads} threads need as many CPUs, and at least one");
        return Err(Usage(few).into());
    }
    cpus.truncate(threads);
    let connections = arguments.connections as usize;
    if cpus.len() > connections {
        cpus.truncate(connections);
        eprintln!(
            "--cpus {list}: each thread needs a connection, so only the first {} used; ask for \
             more connections with -c",
            if connections == 1 {
                "is".to_owned()
            } else {
                format!("{connections} are")
            }
        );
    }
    Ok(cpus)
}
