//! `harness drive`: runs the load generator on its own, against one URL.

mod chart;
pub(super) mod figures;
pub(super) mod find;
mod hlog;
mod json;
pub(super) mod limits;
mod live;
pub(super) mod pace;
mod recovery;
mod replay;
mod requests;
mod series;
mod session;
mod source;
pub(super) mod spectrum;
mod summary;
mod tables;
pub(super) mod target;

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::flags::{
    Status, Usage, engine_parser, parse_duration, parse_rate, parse_share, refuse_engine,
};
use loadgen::{
    Address, Arrivals, Config, Control, DriveError, EngineKind, ErrorKind, Measurement, Pace,
    Retries, Script, drive,
};
use machine::cpu_list;
use runner::Interrupt;

use super::impair::{Impaired, Profile};
use super::survey::refuse_too_many;
use chart::LatencyFile;
use limits::Limit;
use series::Series;
use source::RequestSource;

const EXAMPLES: &str = "\
Examples:
  cargo harness drive http://127.0.0.1:8080/ping
  cargo harness drive -c 16 -d 30s --warmup 2s http://127.0.0.1:8080/ping
  cargo harness drive -r 20000 http://127.0.0.1:8080/ping       20,000/s; latency counts from the intended send time
  cargo harness drive -r 20000 --arrivals poisson http://127.0.0.1:8080/ping       random arrivals, like independent users
  cargo harness drive --stages 10s@1000,10s@1000..5000,30s@5000 http://127.0.0.1:8080/ping
  cargo harness drive --pattern harness/patterns/burst.toml --rate 5000 http://127.0.0.1:8080/ping
  cargo harness drive -r 2000 --retries 3 --backoff exp:50ms http://127.0.0.1:8080/ping    retries
  cargo harness drive -r 500 --impair wan http://127.0.0.1:8080/ping     through a slow network
  cargo harness drive -n 1000 -c 1 http://127.0.0.1:8080/ping   exactly 1,000 requests, one after another
  cargo harness drive -c 500 --think exp:1s http://127.0.0.1:8080/ping             500 users who read and click
  cargo harness drive --users 8000 --think 0.5s..3s http://127.0.0.1:8080/ping     8,000 of them, each a connection
  cargo harness drive --users 8000 --think 0.5s..3s --session harness/sessions/order.toml \\
      --warmup 5s -d 60s --fail-if 'session.p99>850ms' http://127.0.0.1:8080  place an order, read it, list
  cargo harness drive --close http://127.0.0.1:8080/ping        a new connection for each request
  cargo harness drive --requests-per-connection 100 http://127.0.0.1:8080/ping     or for every 100 requests
  cargo harness drive -b '{\"item_id\":\"SKU-789\",\"qty\":1}' \\
      -H 'Content-Type: application/json' http://127.0.0.1:8080/api/v1/orders
  cargo harness drive --workload harness/workloads/mixed.toml http://127.0.0.1:8080
  cargo harness drive --workload shop.toml --any-body http://127.0.0.1:8080        see cargo harness import
  cargo harness drive --unix /run/app.sock http://localhost/ping                   over a Unix domain socket
  cargo harness drive -c 60000 --bind 127.0.0.2 --bind 127.0.0.3 --bind 127.0.0.4 http://127.0.0.1:8080/ping
  cargo harness drive --urls access.txt --shuffle               URLs from a file, one per line
  cargo harness drive --replay access.log --speed 2 http://127.0.0.1:8080          the requests of a log, twice as fast
  cargo harness drive --json http://127.0.0.1:8080/ping | jq .latency_ns.p99
  cargo harness drive --hlog ping.hlog http://127.0.0.1:8080/ping
  cargo harness drive --impair wan --chart wan.svg --chart-with direct.json http://127.0.0.1:8080/ping
  cargo harness drive -d 60s --timeseries - http://127.0.0.1:8080/ping | jq .latency_ns.p99
  cargo harness drive --fail-if 'p99>250ms' --fail-if 'errors>0.1%' http://127.0.0.1:8080/ping     for CI
  cargo harness drive --find 'p99<10ms,errors=0' http://127.0.0.1:8080/ping        up to which rate does it hold?
  cargo harness drive --json http://127.0.0.1:8080/ping >new.json && cargo harness compare old.json new.json

Latency counts from the intended send time. In a closed loop (without --rate or --stages) that is when \
the request is sent. With --close, and for the first request of each connection with \
--requests-per-connection, it includes connecting, which is also shown separately. A request that times \
out counts with its timeout. Only load servers you own.

--replay sends the requests of an access log (common or combined log format, or JSON lines) at the times they were \
logged, over whichever connection is free. If all are busy, latency still counts from the logged time. The paths \
follow that of the URL and are sent as logged. If the log has whole seconds, requests are spread evenly over each second, or \
at random with --arrivals poisson. POST, PUT and PATCH are left out unless --body is given, which they all get. A \
response must have the status that was logged; any of 200 to 299 where that was 304, 408, 429, or 499 and above. \
At most 4,000,000 requests are read, and 250,000 different ones; these take up to half a GiB.

--session lets each user go through the steps of a file again and again, over a connection: requests in order, of which \
later ones use values of earlier responses, such as the id of an order. One pass is a chain. Its time counts from the \
sending of its first request to its last complete response. With --think, users pause between chains, never within one, \
so there is no think time in it. A wrong or missing response ends its chain as failed at that step. Figures are also shown for each step. \
harness/sessions/order.toml is an example to copy.

Requests without a response at the end count with the time they have waited. Figures that their \
responses could still raise are marked with ≥ (in JSON: at_least). A connection is silent if its request \
has been unanswered for more than a second and more than twice the longest latency.

--fail-if takes a figure, one of > >= < <=, and a value with its unit:
  p50 p75 p90 p95 p99 p99.9 p99.99 max mean   latency, as in 'p99>250ms' (ns, us, ms, s)
  first_byte.p99, connect.max, send_lag.p99   the same points of other times
  rate requests                               valid responses, per second ('rate<20000/s') and in total
  errors errors.timeout unanswered unsent     a count or a share: 'errors>10', 'errors>0.1%'
  silent reconnects ids_repeated              a count, as in 'silent>0'
  bytes_received busy_ratio                   as in 'bytes_received<5MiB', 'busy_ratio>90%'
  session.p99 session.mean session.rate       chains of --session, end to end: 'session.p99>850ms'
  session.complete session.failed             a count; of failed chains also a share: 'session.failed>0.1%'
A share of errors is the share of all requests that ended, warm-up included. A figure marked ≥ passes only \
if every value it could still take passes. A limit on errors, unanswered or silent replaces exit status 1 \
for these.

--find takes the same figures except the rate, and fails a trial unless all of them hold: 'p99<10ms', \
'errors=0'. It doubles the rate from --rate (100/s) until a trial fails twice, then narrows it down with \
trials of 2 s (--duration) after 0.5 s of load (--warmup), and prints a 95 % interval. A trial also fails if \
fewer than 97 % of its requests are answered in time. It loads the server up to its limit and beyond. Its exit \
status is 0 if it found a rate or even --max-rate passed, and 1 if none did.

Exit status: 0 every response was valid; 1 some were not, or there was none, or a connection was silent \
at the end; 2 a bad flag; 3 a --fail-if limit was exceeded, whatever else happened; 130 interrupted, after \
printing what was measured.";

/// Maximum length if only a number of requests is given.
const LONGEST: Duration = Duration::from_secs(600);
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Flags of `harness drive`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// URL, e.g. http://127.0.0.1:8080/ping; plain HTTP/1.1 only. http:// may be omitted; the path is sent as typed
    #[arg(required_unless_present = "urls", conflicts_with = "urls")]
    url: Option<String>,
    /// Number of connections, kept open unless --close or --requests-per-connection is given
    #[arg(short, long, visible_alias = "users", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// I/O backend. epoll works on every Linux; io_uring uses less CPU per request, but needs Linux 6.1 or
    /// later and is blocked in some containers
    #[arg(long, value_name = "NAME", default_value = "epoll", value_parser = engine_parser())]
    engine: EngineKind,
    /// Number of threads, each pinned to one CPU if --cpus is given [default: as many as --cpus, or 1]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// How long to measure [default: 10s; with --requests at most 10m; with --stages and --pattern their total; with --find
    /// 2s for each trial]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Load before measuring, whose latencies don't count [default: none; with --find 0.5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "requests")]
    warmup: Option<Duration>,
    /// Stop after this many requests have ended
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    #[command(flatten)]
    pace: pace::PaceFlags,
    /// Open a connection for each request, ask the server to close it, and close it. Never compare these
    /// figures with those of kept connections
    #[arg(long)]
    close: bool,
    /// Open a new connection after this many requests; the last one asks the server to close it. The first
    /// request's latency includes connecting; 1 is the same as --close
    #[arg(long, value_name = "N", conflicts_with = "close", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_connection: Option<u32>,
    /// GET, POST... [default: GET, or POST if there is a body]
    #[arg(short, long)]
    method: Option<String>,
    /// A header, as in 'Accept: application/json'; repeatable
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// The body of each request
    #[arg(short, long, value_name = "TEXT")]
    body: Option<String>,
    /// File with the body of each request
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    body_file: Option<PathBuf>,
    /// Draw the requests from this workload file. Each is sent once before measuring; the status and body of
    /// that response are what is expected from then on
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "body", "body_file"])]
    workload: Option<PathBuf>,
    /// With --workload: accept any body, for services whose responses to the same request differ
    #[arg(long, requires = "workload")]
    any_body: bool,
    /// Let each user go through the steps of this session file, again and again: later requests use values of earlier
    /// responses. The first responses are checked, and are what is expected from then on. Needs a closed loop
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = [
            "method", "body", "body_file", "workload", "urls", "replay", "expect_status", "rate", "stages", "requests", "find",
            "close", "requests_per_connection",
        ],
    )]
    session: Option<PathBuf>,
    /// Send the requests in this file, one per line, in order and repeatedly: a URL, or a method and a URL;
    /// # starts a comment. All must have the same host and port. --header and --body apply to each
    #[arg(long, value_name = "FILE", conflicts_with = "workload")]
    urls: Option<PathBuf>,
    /// Send the requests of this access log at the times they were logged. --duration and --requests end it earlier
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["method", "workload", "urls", "rate", "stages", "think", "warmup"],
    )]
    replay: Option<PathBuf>,
    /// With --replay: divide the times between requests by this, above 0
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "replay", value_parser = parse_speed)]
    speed: f64,
    /// Send the requests of --urls in random order, each once before any repeats
    #[arg(long)]
    shuffle: bool,
    /// Seed for the requests of a workload, their order, and random timing
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send a failed request again, at most N times: after an error, a timeout, or a wrong response with a status from
    /// 500. Shows how retries amplify load; needs --rate, --stages, --pattern or --replay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), conflicts_with = "find")]
    retries: Option<u32>,
    /// With --retries: pause before each, as in exp:50ms: at random up to 50 ms, then up to 100 ms, and so on [default:
    /// at once]
    #[arg(long, value_name = "exp:TIME", requires = "retries", value_parser = parse_backoff)]
    backoff: Option<Duration>,
    /// Put the proxy of `harness impair` in front of the URL, with the delays of this network. The proxy uses CPU
    /// time that the client and the server then lack; `harness impair --netem` has the kernel do it
    #[arg(long, value_name = "NAME", value_enum, conflicts_with_all = ["unix", "bind", "find"])]
    impair: Option<Profile>,
    /// Connect to this Unix domain socket; the URL then only says what to request
    #[arg(long, value_name = "PATH", conflicts_with = "bind")]
    unix: Option<PathBuf>,
    /// Connect from this local address; repeatable: connections take the addresses in turn. One address has
    /// about 28,000 ports, so several allow more connections
    #[arg(long, value_name = "ADDR")]
    bind: Vec<IpAddr>,
    /// Maximum time for one request, and for opening one connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    /// Accept only this status [default: any from 200 to 299]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..=599))]
    expect_status: Option<u16>,
    /// CPUs for the threads, as in 0-3,8
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
    /// Never sleep: poll for responses instead of waiting to be woken. Takes one whole CPU per thread, so
    /// name CPUs with --cpus that the server doesn't use
    #[arg(long)]
    spin: bool,
    /// Exit with status 3 if this holds at the end, as in 'p99>250ms' or 'errors>0.1%'; repeatable
    #[arg(long, value_name = "LIMIT", value_parser = limits::parse)]
    fail_if: Vec<limits::Limit>,
    /// Find the highest rate at which this holds, as in 'p99<10ms' or 'p99<10ms,errors=0'; repeatable
    #[arg(
        long, value_name = "OBJECTIVE", value_delimiter = ',', value_parser = limits::parse_objective,
        conflicts_with_all = ["stages", "think", "requests", "fail_if", "hlog", "timeseries", "interval"],
    )]
    find: Vec<limits::Limit>,
    /// With --find: stop once the interval is within ± this share
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = parse_share, requires = "find")]
    within: f64,
    /// With --find: no trial is above this rate
    #[arg(long, value_name = "RATE", default_value = "1000000", value_parser = parse_rate, requires = "find")]
    max_rate: f64,
    /// With --find: maximum number of trials
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000), requires = "find")]
    max_trials: u32,
    /// Print JSON; times are in nanoseconds
    #[arg(long)]
    json: bool,
    /// Write latencies to this file as an HdrHistogram V2 interval log, in nanoseconds
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Draw percentiles of latency to this SVG file: a line for each class, and for the chains of --session
    #[arg(long, value_name = "FILE", conflicts_with = "find")]
    chart: Option<PathBuf>,
    /// With --chart: draw a line for each drive instead, this one and those in these files of --json; repeatable
    #[arg(long, value_name = "FILE", requires = "chart")]
    chart_with: Vec<PathBuf>,
    /// Write one line of JSON per interval to this file; - is standard output, and the summary then goes to
    /// standard error
    #[arg(long, value_name = "FILE")]
    timeseries: Option<PathBuf>,
    /// Length of an interval of --timeseries and --hlog [default: 1s; with only --hlog 100ms, or 1/1000 of
    /// a longer drive]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    interval: Option<Duration>,
}

impl Arguments {
    /// The whole objective, as it was typed.
    fn objective(&self) -> String {
        let each: Vec<&str> = self.find.iter().map(|limit| limit.text.as_str()).collect();
        each.join(", ")
    }
}

/// Loads one URL.
///
/// # Errors
/// If a flag is wrong, nothing listens there, or a file can't be written. Invalid responses give
/// [`Status::Failed`].
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
    let config = match &source {
        RequestSource::Replay(replay) => replay.paced(config),
        _ => config,
    };
    let flag = if arguments.unix.is_some() {
        "--unix"
    } else {
        "--bind"
    };
    let possible = config.check_addresses();
    possible.map_err(|error| Usage(format!("{flag}: {error}")))?;
    // Created before the load, so that a bad path costs no measurement.
    let log = arguments.hlog.as_deref();
    let log = log.map(|path| create("--hlog", path)).transpose()?;
    let chart = arguments.chart.as_deref();
    let chart = chart.map(|path| LatencyFile::create(path, &arguments.chart_with));
    let chart = chart.transpose()?;
    let series = arguments.timeseries.as_deref();
    let series = series.map(Series::create).transpose()?;
    // If this fails, the drive itself names the limit it needs.
    let _ = machine::probe::limits::raise_descriptor_limit();
    let interrupt = crate::cmd::interrupt()?;
    let from = (&target, &source);
    let Some(script) = requests::script(arguments, from, &config, &interrupt)? else {
        eprintln!("interrupted before the load began");
        return Ok(Status::Interrupted);
    };
    if !arguments.find.is_empty() {
        return find::find(arguments, &target, &config, &script, &interrupt);
    }
    // Not before: the requests above ask the server itself.
    let impaired = match (arguments.impair, &config.addr) {
        (Some(profile), Address::Tcp(to)) => {
            // The client's end, and both ends of the proxy.
            refuse_too_many(config.connections, 3, "fewer connections (-c)")?;
            Some(Impaired::start(profile, *to, arguments.seed)?)
        }
        _ => None,
    };
    let config = match &impaired {
        Some(impaired) => Config {
            addr: impaired.addr.into(),
            ..config
        },
        None => config,
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
    let impaired = impaired.map(Impaired::finish).transpose()?;
    let mut json = json::json(from, arguments.shuffle, &config, &measured);
    let pattern = arguments.pace.pattern.as_ref();
    let recovered = pattern.and_then(|pattern| recovery::of(pattern, &measured));
    json["pattern"] = pattern.map_or(serde_json::Value::Null, |pattern| {
        pattern.name.clone().into()
    });
    json["recovery"] = recovery::json(recovered.as_ref());
    json["impair"] = impaired
        .as_ref()
        .map_or(serde_json::Value::Null, |(_, json)| json.clone());
    let words = source.words(arguments.shuffle);
    if let Some(chart) = chart {
        chart.write(words.as_deref().unwrap_or(&target.shown()), &json)?;
    }
    let checked = limits::check(&arguments.fail_if, &json);
    if arguments.json {
        json["fail_if"] = limits::json(&checked);
        say!("{json:#}");
    } else {
        let mut text = summary::summary(&target, words.as_deref(), &config, &measured);
        if let Some((passed, _)) = &impaired {
            text += &format!("\nThrough a proxy: {passed}\n");
        }
        text += &recovered.as_ref().map_or(String::new(), recovery::text);
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

/// Creates the file that a flag names.
///
/// # Errors
/// [`Usage`] with the flag and the path.
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

/// The exit status; `kept` says whether every limit was.
fn status(measured: &Measurement, limits: &[Limit], kept: bool) -> Status {
    // If a limit covers a kind of error, only that limit decides about it.
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

/// The configuration without the address, which needs a name lookup.
fn config(arguments: &Arguments) -> Result<Config> {
    refuse_threads(arguments)?;
    refuse_limits(arguments)?;
    let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let default = match arguments.requests {
        Some(_) => LONGEST,
        None if !arguments.find.is_empty() => find::TRIAL,
        None => arguments.pace.length().unwrap_or(DEFAULT_DURATION),
    };
    let duration = arguments.duration.unwrap_or(default);
    let warmup = match arguments.find.is_empty() {
        true => Duration::ZERO,
        false => find::WARMUP,
    };
    Ok(Config {
        connections: arguments.connections as usize,
        engine: arguments.engine,
        cpus: cpus(arguments)?,
        threads: arguments.threads.unwrap_or(1) as usize,
        pace: arguments.pace.pace(),
        warmup: arguments.warmup.unwrap_or(warmup),
        duration,
        limit: arguments.requests,
        timeout: arguments.timeout,
        interval: series::interval(arguments, duration)?,
        seed: arguments.seed,
        arrivals: match arguments.replay {
            None => arguments.pace.arrivals(!arguments.find.is_empty())?,
            // Within the seconds of the log.
            Some(_) => Arrivals::Constant,
        },
        think: arguments.pace.think,
        from: arguments.bind.clone(),
        retries: retries(arguments)?,
        requests_per_connection: match arguments.close {
            true => Some(1),
            false => arguments.requests_per_connection,
        },
        spin: arguments.spin,
        ..Config::new(nowhere)
    })
}

/// How failed requests are sent again, if they are.
fn retries(arguments: &Arguments) -> Result<Option<Retries>> {
    let Some(most) = arguments.retries else {
        return Ok(None);
    };
    if arguments.pace.pace() == Pace::Closed && arguments.replay.is_none() {
        refuse!(
            "--retries needs --rate, --stages, --pattern or --replay: in a closed loop, a retry takes the place of another \
             request, and load isn't amplified"
        );
    }
    let backoff = arguments.backoff;
    Ok(Some(Retries { most, backoff }))
}

/// Refuses more threads than connections.
fn refuse_threads(arguments: &Arguments) -> Result<()> {
    let connections = arguments.connections;
    match arguments.threads {
        Some(threads) if threads > connections => {
            refuse!(
                "--threads {threads}: each thread needs a connection, but --connections is \
                 {connections}; use -t {connections}, or more connections with -c"
            )
        }
        _ => Ok(()),
    }
}

/// Refuses limits on figures that this drive doesn't measure.
fn refuse_limits(arguments: &Arguments) -> Result<()> {
    let pace = &arguments.pace;
    let scheduled =
        pace.pace() != Pace::Closed || pace.think.is_some() || arguments.replay.is_some();
    let scheduled = scheduled || !arguments.find.is_empty();
    let mut limits = arguments.fail_if.iter();
    if arguments.session.is_none()
        && let Some(limit) = limits.clone().find(|limit| limit.is_about_chains())
    {
        refuse!(
            "--fail-if '{}': it is about the chains of a session; name a file with --session",
            limit.text
        );
    }
    match limits.find(|limit| !scheduled && limit.needs_a_schedule()) {
        None => Ok(()),
        Some(limit) => {
            refuse!(
                "--fail-if '{}': send_lag is only measured with --rate, --stages, --pattern, --replay or --think; without them \
                 each request is sent as soon as the previous response arrives",
                limit.text
            )
        }
    }
}

fn parse_backoff(text: &str) -> Result<Duration, String> {
    let time = text.strip_prefix("exp:");
    parse_duration(time.ok_or("expected exp: and a time, as in exp:50ms")?)
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: Option<f64> = text.parse().ok();
    speed
        .filter(|speed| (0.001..=100_000.0).contains(speed))
        .ok_or_else(|| "expected a factor from 0.001 to 100000, as in 2 or 0.5".to_owned())
}

/// The CPUs to pin to, one per thread; empty if none is given.
fn cpus(arguments: &Arguments) -> Result<Vec<u32>> {
    let Some(list) = &arguments.cpus else {
        return Ok(Vec::new());
    };
    let mut cpus = cpu_list::parse(list).map_err(|error| Usage(format!("--cpus: {error}")))?;
    let threads = arguments
        .threads
        .map_or(cpus.len(), |threads| threads as usize);
    if cpus.is_empty() || threads > cpus.len() {
        refuse!("--cpus {list}: {threads} threads need as many CPUs, and at least one");
    }
    cpus.truncate(threads);
    let connections = arguments.connections as usize;
    if cpus.len() > connections {
        cpus.truncate(connections);
        eprintln!(
            "--cpus {list}: each thread needs a connection, so only the first {} used; use \
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
