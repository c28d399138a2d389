//! `harness bench`: build, check, measure, record, print.

pub(super) mod against;
mod begin;
mod metrics;
mod rates;
mod resume;
mod targets;

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use self::metrics::{Both, Metrics};
use self::targets::Targets;
use super::compare::Judging;
use super::interrupt;
use super::machine::{CpuPlace, Cpus};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use crate::flags::{Filters, Status, engine_parser, parse_duration, parse_share};
use catalog::Catalog;
use judge::Widest;
use loadgen::EngineKind;
use machine::{Recheck, Root};
use record::{Environment, Finding, Level, Schedule, Trial, Verdict};
use runner::{Earlier, Inputs, Interrupt, Length, Live, Options, SessionError, Sureness};
use store::Store;
use words::counted;

const EXAMPLES: &str = "\
Examples:
  cargo harness bench --profile quick                  one workload, under 3 minutes
  cargo harness bench --rate 20000                     every paced stage at 20,000 requests/s
  cargo harness bench --rate users=8000 --rate ping=30000
  cargo harness bench --rounds 30 --duration 5s        longer than any built-in profile
  cargo harness bench --precision 2% --budget 20m      stop when every ratio is within ±2 %
  cargo harness bench --server NAME --against main     did my change make it slower?
  cargo harness bench --server NAME --against v1.2 --fail-on surely-regressed
                                                       the same, as an exit status for CI
  cargo harness bench --server NAME --binary NAME=old/server-NAME
                                                       is the new build faster than the old one?
  cargo harness bench --server NAME --variant NAME:lto=fat --variant NAME:allocator=system
                                                       what is another build worth?
  cargo harness bench --server NAME --twin NAME        how far apart are two equal servers here?
  cargo harness bench --resume bench-results/latest    finish an interrupted run
  cargo harness bench --target http://127.0.0.1:8080/ --rate 500 --pid 4711
                                                       your own service, which already runs
  cargo harness bench --target old=http://127.0.0.1:8080 --target new=http://127.0.0.1:8081 \\
      --workload shop.toml --connections 16 --duration 2s
                                                       two of them in turn, with requests from a file
  cargo harness bench --metrics 127.0.0.1:9464         watch the run in Prometheus and Grafana
  cargo harness bench --list                           show what would run and how long it takes

Every round also measures the control twice. The control is a minimal responder that replays checked \
responses. It shows what the load generator can reach. Its two entries show how far apart two equal \
servers are on this machine; servers closer than that tie.

The run is stored in bench-results/UTC-REVISION/ after every trial, so Ctrl-C loses nothing:
`harness report` shows what was measured, and --resume continues the run.

--metrics serves GET /metrics in OpenMetrics 1.0 until the run ends, from one thread on CPUs that \
neither side uses. If both sides use all CPUs, that thread shares the load generator's CPUs at the \
lowest priority. Prometheus itself also uses CPU time: run it on another machine, through a tunnel, or \
scrape rarely. scripts/grafana-dashboard.json is a dashboard for it.";

/// Time for all rounds if only a precision is given.
const DEFAULT_BUDGET: Duration = Duration::from_secs(30 * 60);

/// Flags of `harness bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct Arguments {
    /// smoke, quick, standard or publish; see `harness list`
    #[arg(long, default_value = "standard")]
    profile: String,
    /// Number of rounds; each measures every server in a fresh process [default: the profile's]. With
    /// --precision or --budget, the maximum
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Keep adding rounds until the 95 % interval of every ratio between servers, in the ranking figure,
    /// is within this share to either side, e.g. 2%; stops at --budget at the latest
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    precision: Option<f64>,
    /// Stop after this time at the latest [with --precision: 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    budget: Option<Duration>,
    /// Enter a server twice, from separate copies of its binary, to measure noise; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    twin: Vec<String>,
    /// Also measure another build of a server, named NAME@ plus the start of its SHA-256; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    binary: Vec<String>,
    /// Also measure a server built with another setting: allocator, lto, codegen-units, opt-level, panic or
    /// target-cpu; or with 1, 2, 4 or 8 layers of middleware that pass the request on, for servers that
    /// have --middleware. That entry is named NAME@SETTING=VALUE; repeatable
    #[arg(long, value_name = "NAME:SETTING=VALUE")]
    variant: Vec<String>,
    /// Also measure each server's build of another git revision, and print what changed. That entry is
    /// named NAME@ plus the short revision
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Leave out the control. Ties then rest on an assumed noise floor, and it isn't known which rates are limited
    /// by the load generator
    #[arg(long)]
    no_control: bool,
    /// Measure one server at a time, each trial in its own process, instead of all servers in turn in short
    /// slices. For memory studies and as a cross-check; much noisier on a shared machine
    #[arg(long)]
    isolated: bool,
    /// Length of a slice, after which the next server gets the load; longer if the slowest server needs it
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_duration,
        conflicts_with = "isolated")]
    slice: Duration,
    /// Start of each slice that doesn't count towards rate and latency
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = parse_lead_in,
        conflicts_with = "isolated")]
    lead_in: Duration,
    /// Measured time of each trial [default: the profile's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Uncounted load before each measurement [default: the profile's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,
    /// Number of connections, in every stage; several: harness ladder [default: the workload's own, or 64]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    connections: Option<u32>,
    /// I/O backend of the load generator. epoll works on every Linux; io_uring uses less CPU per request,
    /// but needs Linux 6.1 or later and is blocked in some containers. Runs with
    /// different backends can't be compared
    #[arg(long, value_name = "NAME", default_value = "epoll", value_parser = engine_parser())]
    engine: EngineKind,
    /// Paced rate in requests per second, for all workloads or as WORKLOAD=RATE; repeatable [default: 4/5 of
    /// the slowest server's peak, measured first]
    #[arg(long, value_name = "[WORKLOAD=]RATE", allow_hyphen_values = true)]
    rate: Vec<String>,
    /// Seed for the order of trials and for all requests [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Maximum time to first byte of an idle server, as the median of 100 warm requests
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    first_byte_limit: Duration,
    /// Maximum time for one request under load
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    timeout: Duration,
    /// Maximum time until a server's first valid response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    ready_timeout: Duration,
    /// Make only this check of each server before it is measured; for the harness's own tests
    #[arg(long, hide = true, value_name = "ID", value_delimiter = ',')]
    only_check: Vec<String>,
    /// Fixed port for the servers [default: a free one]
    #[arg(long)]
    port: Option<u16>,
    /// Serve live metrics of the run on this loopback address, e.g. 127.0.0.1:9464
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Folder to store the run in; must not exist or be empty [default: bench-results/UTC-REVISION]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Finish this interrupted run with its own plan and seed. Refused if the binaries, the requests or the
    /// machine have changed. Only --manifest, --binary, --workload FILE, --port, --metrics and --list can be combined
    /// with it
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "profile", "rounds", "isolated", "slice", "lead_in", "precision", "budget", "twin", "against", "no_control",
        "duration", "warmup",
        "connections", "engine", "rate", "seed", "first_byte_limit", "timeout", "ready_timeout", "out",
        "server", "stage", "server_cpus", "driver_cpus", "no_pin",
    ])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    judging: Judging,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    cpus: Cpus,
}

impl Arguments {
    fn schedule(&self) -> Schedule {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        // A single target has nobody to take turns with.
        match self.isolated || self.targets.target.len() == 1 {
            true => Schedule::Isolated,
            false => Schedule::Interleaved {
                slice_ms: millis(self.slice),
                lead_in_ms: millis(self.lead_in),
            },
        }
    }
}

/// Like [`parse_duration`], but 0 is allowed.
fn parse_lead_in(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0ms" | "0s" => Ok(Duration::ZERO),
        _ => parse_duration(text),
    }
}

/// Starts a new run, or finishes an interrupted one.
///
/// # Errors
/// If a flag is wrong or the record can't be written. Servers that fail become rows of the table and
/// give [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(folder) = &arguments.resume {
        let (mut job, base) = resume::resume(arguments, folder)?;
        against::refuse_vain(&arguments.judging, &job.options.servers)?;
        if arguments.filters.list {
            list(&job.options, None)?;
            say!("{}", done_line(&job));
            return Ok(Status::Fine);
        }
        let (listener, interrupt) = (listen(arguments)?, interrupt()?);
        let servers = &mut job.options.servers;
        let _tree = against::check_out(base.as_ref(), &job.catalog, servers, &interrupt)?;
        if interrupt.is_set() {
            return Ok(Status::Interrupted);
        }
        return carry_out(job, listener, &interrupt, &arguments.judging);
    }
    let (catalog, mut options, place, note, base) = begin::prepare(arguments)?;
    against::refuse_vain(&arguments.judging, &options.servers)?;
    if arguments.filters.list {
        list(&options, note.as_ref())?;
        return Ok(Status::Fine);
    }
    // Checked before any folder is created.
    let (listener, interrupt) = (listen(arguments)?, interrupt()?);
    let servers = &mut options.servers;
    let _tree = against::check_out(base.as_ref(), &catalog, servers, &interrupt)?;
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    let job = begin::begin(arguments, catalog, options, place, note)?;
    carry_out(job, listener, &interrupt, &arguments.judging)
}

fn listen(arguments: &Arguments) -> Result<Option<TcpListener>> {
    let listen = |address| metrics::listen(address, arguments.port);
    arguments.metrics.map(listen).transpose()
}

/// A run that is ready to start.
struct Job {
    /// Held while the run is being written.
    lock: File,
    catalog: Catalog,
    options: Options,
    place: CpuPlace,
    folder: Folder,
    store: Store,
    run: record::Run,
    environment: Environment,
    earlier: Earlier,
}

impl Job {
    /// The number of planned trials, and of those already done.
    fn trials(&self) -> (usize, usize) {
        let planned = self.options.plan().round_len() * self.options.expected_rounds() as usize;
        (planned, self.earlier.trials.len())
    }
}

/// The two servers that are compared least precisely, and where.
fn pair(widest: &Widest) -> String {
    let Widest {
        servers: [a, b],
        figure,
        workload,
        ..
    } = widest;
    format!("{a} vs {b} in {figure} of {workload}")
}

fn carry_out(
    job: Job,
    listener: Option<TcpListener>,
    interrupt: &Interrupt,
    judging: &Judging,
) -> Result<Status> {
    let mut progress = Progress::new();
    announce(&mut progress, &job);
    let live = Live::default();
    let metrics = tell_metrics(listener, &job, &live, &mut progress)?;
    let Job {
        catalog,
        options,
        place,
        folder,
        mut run,
        mut environment,
        ..
    } = job;
    let mut store = waiting(job.store, interrupt.clone());
    let recheck = Recheck::start(&Root::host(), &place.topology, &place.layout);
    let asked = run.clone();
    let sureness = |trials: &[Trial]| {
        let widest = judge::widest_ratio(&asked, trials)?;
        Some(Sureness {
            half_width: widest.half_width,
            of: pair(&widest),
        })
    };
    let mut watch = Both {
        progress: &mut progress,
        metrics: metrics.as_ref(),
    };
    let inputs = Inputs {
        catalog: &catalog,
        options: &options,
        earlier: job.earlier,
        store: &mut store,
        interrupt,
        watch: &mut watch,
        live: &live,
        sureness: &sureness,
    };
    let ended = runner::run(inputs, &mut run, &mut environment);
    progress.finish();
    if let Err(SessionError::Changed(why)) = ended {
        refuse!("{why}. Trials measured before are kept");
    }
    environment.findings.extend(recheck.finish());
    store.put_environment(&environment)?;
    let shown = show(&catalog, store, &folder, judging);
    drop(job.lock);
    match ended {
        Ok(()) => shown,
        Err(SessionError::Interrupted) => {
            shown?;
            let resume = match options.targets.is_empty() {
                true => format!(
                    "; continue with `harness bench --resume {}`",
                    folder.shown()
                ),
                false => String::new(),
            };
            eprintln!("interrupted: finished trials are kept{resume}");
            Ok(Status::Interrupted)
        }
        Err(SessionError::Changed(why)) => refuse!("{why}"),
        Err(SessionError::Other(error)) => Err(error),
    }
}

/// Waits for the record's lock: a viewer may hold it for minutes, and no trial may be lost.
fn waiting(store: Store, interrupt: Interrupt) -> Store {
    let file = store.path().display().to_string();
    store.when_locked(move || {
        if interrupt.is_set() {
            return false;
        }
        eprintln!("{file} is locked by another program: close it there; the run is waiting and will continue by itself");
        true
    })
}

fn list(options: &Options, note: Option<&Finding>) -> Result<()> {
    for step in options.plan().steps().iter().filter(|step| step.round == 1) {
        say!("{:<16} {:<10} {}", step.server, step.workload, step.stage);
    }
    say!("{}", plan_line(options));
    if let Some(note) = note {
        say!("{}: {}", note.id, note.found);
    }
    Ok(())
}

fn plan_line(options: &Options) -> String {
    let plan = options.plan();
    let rounds = options.expected_rounds();
    let Length { precision, budget } = options.length;
    let until = match (precision, budget) {
        (None, None) => format!("x {}", counted(rounds as usize, "round")),
        (precision, budget) => {
            let precise = precision.map_or(String::new(), |share| {
                let percent = (share * 1e5).round() / 1e3;
                format!("  until every ratio is within ±{percent} %, or")
            });
            let budget = budget.unwrap_or_default();
            let fit = fit_line(options, budget, plan.round_time(&options.profile));
            format!("x rounds{precise} for {}: {fit}", show_time(budget))
        }
    };
    format!(
        "({}) x {} x {} {until} = {} over {}, {}, about {} after the build (seed {})",
        entries_line(options),
        counted(options.workloads.len(), "workload"),
        counted(options.stages.len(), "stage"),
        counted(plan.round_len() * rounds as usize, "trial"),
        counted(options.connections, "connection"),
        schedule_line(options.schedule),
        show_time(options.estimate()),
        options.seed,
    )
}

fn schedule_line(schedule: Schedule) -> String {
    match schedule {
        Schedule::Isolated => "one at a time".to_owned(),
        Schedule::Interleaved { slice_ms, .. } => format!("in turn, slices of {slice_ms} ms"),
    }
}

/// How many rounds of this length will fit.
fn fit_line(options: &Options, budget: Duration, round: Duration) -> String {
    let (rounds, time) = (options.expected_rounds(), show_time(round));
    let rounds_of = format!("{} of {time}", counted(rounds as usize, "round"));
    if budget < round {
        format!("one round takes {time} and always runs in full")
    } else if rounds == options.profile.rounds {
        format!("at most {rounds_of}")
    } else {
        format!("about {rounds_of} fit")
    }
}

fn entries_line(options: &Options) -> String {
    let mut parts = vec![match options.targets.len() {
        0 => counted(options.servers.len(), "server"),
        targets => counted(targets, "target"),
    }];
    if !options.twins.is_empty() {
        parts.push(format!("a twin of {}", options.twins.join(", ")));
    }
    if options.control {
        parts.push("the control twice".to_owned());
    }
    parts.join(", ")
}

fn done_line(job: &Job) -> String {
    let (planned, done) = job.trials();
    format!("resuming: {done} of {planned} trials done")
}

/// Starts to serve metrics if asked to, and prints the URL.
fn tell_metrics(
    listener: Option<TcpListener>,
    job: &Job,
    live: &Live,
    progress: &mut Progress,
) -> Result<Option<Metrics>> {
    let Some(listener) = listener else {
        return Ok(None);
    };
    let metrics = Metrics::begin(listener, &job.run, job.trials(), live.clone(), &job.place)?;
    progress.tell(&format!("metrics: {}", metrics.url()));
    Ok(Some(metrics))
}

fn announce(progress: &mut Progress, job: &Job) {
    progress.tell(&plan_line(&job.options));
    if !job.run.resumed_at.is_empty() {
        progress.tell(&done_line(job));
    }
    for target in job.environment.targets() {
        progress.tell(&format!("target {}", target.told()));
    }
    let findings = job.environment.findings.iter();
    for finding in findings.filter(|finding| finding.level > Level::Ok) {
        let fix = finding.fix.as_ref();
        let fix = fix.map_or(String::new(), |fix| format!(" [{fix}]"));
        let mark = match finding.level {
            Level::Fail => "FAIL, this run's figures will be wrong",
            Level::Warn | Level::Ok => "warn",
        };
        progress.tell(&format!("{mark}: {}: {}{fix}", finding.id, finding.found));
    }
}

/// Writes the files made from the record and prints the tables.
fn show(catalog: &Catalog, store: Store, folder: &Folder, judging: &Judging) -> Result<Status> {
    drop(store);
    folder.keep_matrix();
    let mut record = results::load(&folder.database())?;
    record.costs = folder.keep_costs(&record.servers);
    let summary = results::write(&record, &folder.path)?;
    folder.point_latest_here();
    say!("{}", results::terminal(&record, &summary));
    let judged = against::judge(catalog, &record, folder, judging);
    let shown = folder.shown();
    eprintln!("stored in {shown}; charts and all figures: {shown}/report.html");
    let is_bad = |trial: &Trial| trial.failure.is_some() || !trial.errors.is_empty();
    let mut rows = summary.servers.iter();
    let failed = rows.any(|row| row.verdict == Verdict::Failed) || record.trials.iter().any(is_bad);
    let judged = judged?;
    Ok(if failed { Status::Failed } else { judged })
}
