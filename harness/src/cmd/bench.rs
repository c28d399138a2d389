//! `harness bench`: build, check, measure, record, print.

mod against;
mod begin;
mod metrics;
mod rates;
mod resume;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use self::metrics::{Both, Listener, Metrics};
use super::compare::Judging;
use super::machine::{Cpus, Place};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use crate::flags::{Filters, Status, Usage, engine_parser, parse_duration, parse_share};
use catalog::Catalog;
use judge::Widest;
use loadgen::EngineKind;
use machine::{Recheck, Root};
use record::{Environment, Finding, Level, Schedule, Trial, Verdict};
use runner::{Earlier, Interrupt, Length, Live, Options, Session, SessionError, Sureness};
use store::Store;
use words::counted;

const EXAMPLES: &str = "\
Examples:
  harness bench --profile quick                  one workload, under 3 minutes
  harness bench --rate 20000                     every paced stage at 20,000 requests/s
  harness bench --rate users=8000 --rate ping=30000
  harness bench --rounds 30 --duration 5s        longer than any profile
  harness bench --precision 2% --budget 20m      until every ratio is known to ±2 %
  harness bench --server NAME --against main     did my change make it slower?
  harness bench --server NAME --against v1.2 --fail-on surely-regressed
                                                 the same as an exit status
  harness bench --server NAME --binary NAME=old/server-NAME
                                                 is the new build faster than the old one?
  harness bench --server NAME --twin NAME        how far apart are two equal servers here?
  harness bench --resume bench-results/latest    finish an interrupted run
  harness bench --metrics 127.0.0.1:9464         watch it in Prometheus and Grafana meanwhile
  harness bench --list                           what would run, and for how long

Every round also measures the control, twice: a minimal responder that replays accepted
answers. It shows what the load generator reaches, and its two entries how far apart
equals are on this machine; nearer servers tie.

The run is stored in bench-results/UTC-REVISION/ after every trial, so Ctrl-C loses
nothing: `harness report` shows what was measured, and --resume goes on.

--metrics answers GET /metrics in OpenMetrics 1.0 until the run ends, from one thread on CPUs that
neither side uses. Where both sides take all CPUs it shares the load generator's, with the least
priority, and Prometheus itself takes CPU time of what is measured: run it on another machine, through
a tunnel, or scrape seldom. scripts/grafana-dashboard.json draws it.";

/// The time for rounds where only a precision is asked for.
const DEFAULT_BUDGET: Duration = Duration::from_secs(30 * 60);

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct Arguments {
    /// smoke, quick, standard or publish; see `harness list`
    #[arg(long, default_value = "standard")]
    profile: String,
    /// How often each server is measured, each time as a fresh process [profile's]; with
    /// --precision or --budget, how often at most
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Go on until the 95 % interval of every ratio between servers, in the figure that ranks, reaches
    /// no further than this to either side, as in 2%; ends at --budget at the latest
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    precision: Option<f64>,
    /// Go on for this time at most [with --precision: 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    budget: Option<Duration>,
    /// Enter a server twice, from separate copies of its binary; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    twin: Vec<String>,
    /// Enter another build of a server too, as NAME@ and the start of its SHA-256; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    binary: Vec<String>,
    /// Measure each server beside its build of another git revision too, and print what changed; that
    /// entry is NAME@ and the short revision
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Leave out the control: what ties is then assumed, and no rate is known to be the
    /// load generator's limit
    #[arg(long)]
    no_control: bool,
    /// Measure one server at a time, each trial on a process of its own, instead of all in turn in
    /// short slices. For studies of memory, and as a check; far noisier on a shared machine
    #[arg(long)]
    isolated: bool,
    /// How long a server has the load before the next one does; longer where the slowest server needs it
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_duration,
        conflicts_with = "isolated")]
    slice: Duration,
    /// The start of each slice that does not count towards rate and latency
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = parse_lead_in,
        conflicts_with = "isolated")]
    lead_in: Duration,
    /// Measured time of each trial [profile's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Load before each measurement that is not counted [profile's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,
    /// Connections of every stage
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    connections: u32,
    /// What moves the bytes of the load: epoll on every Linux; io_uring at less CPU a request, from Linux 6.1
    /// on where nothing forbids it; portable for want of both. Runs of different engines are not compared
    #[arg(long, value_name = "NAME", default_value = "epoll", value_parser = engine_parser())]
    engine: EngineKind,
    /// Paced rate in requests per second, for all workloads or as WORKLOAD=RATE;
    /// repeatable [4/5 of the slowest server's peak, measured first]
    #[arg(long, value_name = "[WORKLOAD=]RATE", allow_hyphen_values = true)]
    rate: Vec<String>,
    /// The order of trials and all requests are drawn from it [random]
    #[arg(long)]
    seed: Option<u64>,
    /// The most the first byte may take at idle, median of 100 warm requests
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    first_byte_limit: Duration,
    /// The most one request may take under load
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    timeout: Duration,
    /// How long a server may take until its first valid answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    ready_timeout: Duration,
    /// A fixed port for the servers [a free one]
    #[arg(long)]
    port: Option<u16>,
    /// Expose the run there while it is under way; a loopback address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Where the run is stored; must not exist or be empty [bench-results/UTC-REVISION]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Finish this interrupted run with its own plan and seed; refused where binaries, requests
    /// or the machine have changed. Of the other flags only --manifest, --binary, --port, --metrics
    /// and --list go with it
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "profile", "rounds", "isolated", "slice", "lead_in", "precision", "budget", "twin", "against", "no_control",
        "duration", "warmup",
        "connections", "engine", "rate", "seed", "first_byte_limit", "timeout", "ready_timeout", "out",
        "server", "workload", "stage", "server_cpus", "driver_cpus", "no_pin",
    ])]
    resume: Option<PathBuf>,
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
        match self.isolated {
            true => Schedule::Isolated,
            false => Schedule::Interleaved {
                slice_ms: millis(self.slice),
                lead_in_ms: millis(self.lead_in),
            },
        }
    }
}

/// As a time, or 0.
fn parse_lead_in(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0ms" | "0s" => Ok(Duration::ZERO),
        _ => parse_duration(text),
    }
}

/// Runs a comparison, or finishes one.
///
/// # Errors
/// Where a flag is wrong or the record can't be written. Servers that fail are rows of
/// the table and give [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(folder) = &arguments.resume {
        let (mut job, base) = resume::resume(arguments, folder)?;
        against::refuse_vain(&arguments.judging, &job.options.servers)?;
        if arguments.filters.list {
            list(&job.options, None)?;
            say!("{}", done_line(&job));
            return Ok(Status::Fine);
        }
        let listener = listen(arguments)?;
        let interrupt = Interrupt::on_signals().context("cannot hear of Ctrl-C")?;
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
    // Refused before a folder is made.
    let listener = listen(arguments)?;
    let interrupt = Interrupt::on_signals().context("cannot hear of Ctrl-C")?;
    let servers = &mut options.servers;
    let _tree = against::check_out(base.as_ref(), &catalog, servers, &interrupt)?;
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    let job = begin::begin(arguments, catalog, options, place, note)?;
    carry_out(job, listener, &interrupt, &arguments.judging)
}

fn listen(arguments: &Arguments) -> Result<Option<Listener>> {
    let listen = |address| metrics::listen(address, arguments.port);
    arguments.metrics.map(listen).transpose()
}

/// A run, ready to be carried out.
struct Job {
    /// Held as long as the run is written.
    lock: File,
    catalog: Catalog,
    options: Options,
    place: Place,
    folder: Folder,
    store: Store,
    run: record::Run,
    environment: Environment,
    earlier: Earlier,
}

impl Job {
    /// The trials planned, and those there already.
    fn trials(&self) -> (usize, usize) {
        let planned = self.options.plan().round_len() * self.options.expected_rounds() as usize;
        (planned, self.earlier.trials.len())
    }
}

fn carry_out(
    job: Job,
    listener: Option<Listener>,
    interrupt: &Interrupt,
    judging: &Judging,
) -> Result<Status> {
    let mut progress = Progress::new();
    announce(&mut progress, &job);
    let live = Live::default();
    let metrics = tell_metrics(listener, &job, &live, &mut progress)?;
    let Job {
        lock,
        catalog,
        options,
        place,
        folder,
        store,
        mut run,
        mut environment,
        earlier,
    } = job;
    let mut store = waiting(store, interrupt.clone());
    let recheck = Recheck::start(&Root::host(), &place.topology, &place.layout);
    let asked = run.clone();
    let sureness = |trials: &[Trial]| {
        let Widest { half_width, of } = judge::widest_ratio(&asked, trials)?;
        Some(Sureness { half_width, of })
    };
    let mut watch = Both {
        progress: &mut progress,
        metrics: metrics.as_ref(),
    };
    let parts = (&mut store, interrupt, &mut watch);
    let mut session = Session::new(&catalog, &options, earlier, parts, &sureness);
    session.show_in(&live);
    let ended = session.run(&mut run, &mut environment);
    progress.finish();
    if let Err(SessionError::Changed(why)) = ended {
        return Err(Usage(format!("{why}. What was measured before is kept")).into());
    }
    environment.findings.extend(recheck.finish());
    store.put_environment(&environment)?;
    let shown = show(&catalog, store, &folder, judging);
    drop(lock);
    match ended {
        Ok(()) => shown,
        Err(SessionError::Interrupted) => {
            shown?;
            eprintln!(
                "interrupted: what was measured is kept; go on with `harness bench --resume {}`",
                folder.shown()
            );
            Ok(Status::Interrupted)
        }
        Err(SessionError::Changed(why)) => Err(Usage(why).into()),
        Err(SessionError::Other(error)) => Err(error),
    }
}

/// A viewer may lock the record for minutes; no trial is lost by it.
fn waiting(store: Store, interrupt: Interrupt) -> Store {
    let file = store.path().display().to_string();
    store.when_locked(move || {
        if interrupt.is_set() {
            return false;
        }
        eprintln!("{file} is locked by another program: close it there; the run waits and goes on by itself");
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
                format!(" until each ratio is known to ±{percent} %, or")
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

/// How many rounds of this length there will be.
fn fit_line(options: &Options, budget: Duration, round: Duration) -> String {
    let (rounds, time) = (options.expected_rounds(), show_time(round));
    let rounds_of = format!("{} of {time}", counted(rounds as usize, "round"));
    if budget < round {
        format!("one takes {time} and is run whole")
    } else if rounds == options.profile.rounds {
        format!("at most {rounds_of}")
    } else {
        format!("about {rounds_of} fit")
    }
}

fn entries_line(options: &Options) -> String {
    let mut parts = vec![counted(options.servers.len(), "server")];
    if !options.twins.is_empty() {
        parts.push(format!("{} again", options.twins.join(", ")));
    }
    if options.control {
        parts.push("the control twice".to_owned());
    }
    parts.join(", ")
}

fn done_line(job: &Job) -> String {
    let (planned, done) = job.trials();
    format!("taken up again: {done} of {planned} trials are there")
}

/// Begins to answer where it was asked for, and says where.
fn tell_metrics(
    listener: Option<Listener>,
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
    for finding in job
        .environment
        .findings
        .iter()
        .filter(|f| f.level > Level::Ok)
    {
        let fix = finding
            .fix
            .as_ref()
            .map_or(String::new(), |fix| format!(" [{fix}]"));
        let mark = match finding.level {
            Level::Fail => "FAIL, figures of this run will be wrong",
            Level::Warn | Level::Ok => "warn",
        };
        progress.tell(&format!("{mark}: {}: {}{fix}", finding.id, finding.found));
    }
}

/// Writes what is made from the record and prints the tables.
fn show(catalog: &Catalog, store: Store, folder: &Folder, judging: &Judging) -> Result<Status> {
    drop(store);
    folder.keep_matrix();
    let record = results::load(&folder.database())?;
    let summary = results::write(&record, folder.path())?;
    folder.point_latest_here();
    say!("{}", results::terminal(&record, &summary));
    let judged = against::judge(catalog, &record, folder, judging);
    let shown = folder.shown();
    eprintln!("stored in {shown}; charts and all figures: {shown}/report.html");
    let failed = summary
        .servers
        .iter()
        .any(|row| row.verdict == Verdict::Failed)
        || record
            .trials
            .iter()
            .any(|trial| trial.failure.is_some() || !trial.errors.is_empty());
    let judged = judged?;
    Ok(if failed { Status::Failed } else { judged })
}
