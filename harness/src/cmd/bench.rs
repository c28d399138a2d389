//! `harness bench`: build, check, measure, record, print.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::machine::{Cpus, Place};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use crate::catalog::{Catalog, Profile, Server, Stage};
use crate::cli::{Filters, Status, Usage, parse_duration};
use crate::environment::{Needs, Recheck, Root};
use crate::probe::limits;
use crate::record::{self, Ended, Environment, Finding, Level, Store, Verdict};
use crate::run::{Interrupt, Options, Session, SessionError, rustc_version};
use crate::words::counted;

const EXAMPLES: &str = "\
Examples:
  harness bench --profile quick                  one workload, under 3 minutes
  harness bench --rate 20000                     every paced stage at 20,000 requests/s
  harness bench --rate users=8000 --rate ping=30000
  harness bench --rounds 30 --duration 5s        longer than any profile
  harness bench --list                           what would run, and for how long

The run is stored in bench-results/UTC-REVISION/ after every trial, so Ctrl-C loses
nothing: `harness report` shows what was measured.";

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct Arguments {
    /// smoke, quick, standard or publish; see `harness list`
    #[arg(long, default_value = "standard")]
    profile: String,
    /// How often each server is measured, each time as a fresh process [profile's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Measured time of each trial [profile's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Load before each measurement that is not counted [profile's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,
    /// Connections of every stage
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    connections: u32,
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
    /// Where the run is stored; must not exist or be empty [bench-results/UTC-REVISION]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    cpus: Cpus,
}

/// Runs a comparison.
///
/// # Errors
/// Where a flag is wrong or the record can't be written. Servers that fail are rows of
/// the table and give [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.filters.catalog()?;
    let place = Place::find(&arguments.cpus)?;
    let mut options = options(arguments, &catalog, servers, &place)?;
    let note = fit_to_limits(&mut options)?;
    if arguments.filters.list {
        list(&options, note.as_ref())?;
        return Ok(Status::Fine);
    }
    let interrupt = Interrupt::on_signals().context("cannot hear of Ctrl-C")?;
    let folder = Folder::create(&catalog.root, arguments.out.as_deref())?;
    options.logs = folder.logs();
    let mut run = describe(&options, &folder);
    let mut environment = environment_of(&place, &options, note);
    let mut store = Store::create(&folder.database())?.hiding(folder.hidden());
    store.put_run(&run)?;
    store.put_environment(&environment)?;

    let mut progress = Progress::new();
    announce(&mut progress, &options, &environment);
    let recheck = Recheck::start(&Root::host(), &place.topology, &place.layout);
    let ended =
        Session::new(&catalog, &options, &mut store, &interrupt, &mut progress).run(&mut run);
    progress.finish();
    environment.findings.extend(recheck.finish());
    store.put_environment(&environment)?;
    let shown = show(store, &folder);
    match ended {
        Ok(()) => shown,
        Err(SessionError::Interrupted) => {
            shown?;
            eprintln!(
                "interrupted: what was measured is kept in {}",
                folder.shown()
            );
            Ok(Status::Interrupted)
        }
        Err(SessionError::Other(error)) => Err(error),
    }
}

fn options(
    arguments: &Arguments,
    catalog: &Catalog,
    servers: Vec<Server>,
    place: &Place,
) -> Result<Options> {
    let mut profile = Profile::find(&arguments.profile).map_err(Usage)?.clone();
    profile.rounds = arguments.rounds.unwrap_or(profile.rounds);
    profile.warmup = arguments.warmup.unwrap_or(profile.warmup);
    profile.peak = arguments.duration.unwrap_or(profile.peak);
    profile.paced = arguments.duration.unwrap_or(profile.paced);
    let workloads = arguments.filters.workloads(catalog, profile.workloads)?;
    let names: Vec<&str> = workloads.iter().map(|w| w.name.as_str()).collect();
    Ok(Options {
        rates_per_s: parse_rates(&arguments.rate, &names)?,
        servers,
        stages: arguments.filters.stages()?,
        profile,
        seed: arguments.seed.unwrap_or_else(random_seed),
        connections: arguments.connections as usize,
        first_byte_limit: arguments.first_byte_limit,
        timeout: arguments.timeout,
        ready_timeout: arguments.ready_timeout,
        port: arguments.port,
        layout: place.layout.clone(),
        pinned: place.unpinned.is_none(),
        logs: PathBuf::new(),
        workloads,
    })
}

/// Six digits of the clock: another one each run, and easy to type again.
fn random_seed() -> u64 {
    u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs()) / 1_000
}

/// `RATE` for all workloads, `WORKLOAD=RATE` for one; the latter wins.
fn parse_rates(flags: &[String], workloads: &[&str]) -> Result<BTreeMap<String, f64>> {
    let mut rates = BTreeMap::new();
    for flag in flags.iter().filter(|flag| !flag.contains('=')) {
        let rate = parse_rate(flag)?;
        rates.extend(
            workloads
                .iter()
                .map(|workload| ((*workload).to_owned(), rate)),
        );
    }
    for flag in flags {
        if let Some((workload, rate)) = flag.split_once('=') {
            if !workloads.contains(&workload) {
                return Err(Usage(crate::catalog::names::unknown(
                    "workload", workload, workloads,
                ))
                .into());
            }
            rates.insert(workload.to_owned(), parse_rate(rate)?);
        }
    }
    Ok(rates)
}

fn parse_rate(text: &str) -> Result<f64> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate >= 1.0 && *rate <= 10_000_000.0)
        .ok_or_else(|| {
            Usage(format!(
                "--rate {text}: requests per second from 1 to 10000000 are wanted"
            ))
            .into()
        })
}

/// A low descriptor limit makes a smaller run, with a word.
fn fit_to_limits(options: &mut Options) -> Result<Option<Finding>> {
    let limit = limits::raise_descriptor_limit().unwrap_or_else(|_| limits::descriptor_limit().0);
    let needed = |connections: usize| {
        let connections = connections as u32;
        Needs { connections }.descriptors()
    };
    if needed(options.connections) <= limit {
        return Ok(None);
    }
    let most = (1..options.connections)
        .rev()
        .find(|&fewer| needed(fewer) <= limit);
    let needed = needed(options.connections);
    let Some(most) = most else {
        let why = format!("only {limit} files may be open: run `ulimit -n {needed}` first");
        return Err(Usage(why).into());
    };
    let asked = std::mem::replace(&mut options.connections, most);
    Ok(Some(Finding {
        id: "connections".to_owned(),
        level: Level::Warn,
        found: format!("{most} connections instead of {asked}: only {limit} files may be open"),
        why: "the run is smaller than asked for".to_owned(),
        fix: Some(format!("ulimit -n {needed}")),
    }))
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
    let trials = options.servers.len() * options.workloads.len() * options.stages.len();
    format!(
        "{} x {} x {} x {} = {} over {}, about {} after the build (seed {})",
        counted(options.servers.len(), "server"),
        counted(options.workloads.len(), "workload"),
        counted(options.stages.len(), "stage"),
        counted(options.profile.rounds as usize, "round"),
        counted(trials * options.profile.rounds as usize, "trial"),
        counted(options.connections, "connection"),
        show_time(options.estimate()),
        options.seed,
    )
}

fn announce(progress: &mut Progress, options: &Options, environment: &Environment) {
    progress.tell(&plan_line(options));
    for finding in environment.findings.iter().filter(|f| f.level > Level::Ok) {
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

fn describe(options: &Options, folder: &Folder) -> record::Run {
    let millis = |time: Duration| time.as_millis() as u64;
    record::Run {
        id: folder.id().to_owned(),
        started_at: jiff::Timestamp::now().to_string(),
        ended_at: None,
        ended: Ended::Open,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: folder.revision().map(ToOwned::to_owned),
        command: std::env::args().skip(1).collect(),
        profile: options.profile.name.to_owned(),
        seed: options.seed,
        rounds: options.profile.rounds,
        connections: options.connections as u32,
        warmup_ms: millis(options.profile.warmup),
        peak_ms: millis(options.profile.peak),
        paced_ms: millis(options.profile.paced),
        timeout_ms: millis(options.timeout),
        first_byte_limit_ms: options.first_byte_limit.as_secs_f64() * 1e3,
        rates_per_s: BTreeMap::new(),
        rate_source: match (
            options.stages.contains(&Stage::Paced),
            options.rates_per_s.is_empty(),
        ) {
            (false, _) => "none".to_owned(),
            (true, true) => "calibration".to_owned(),
            (true, false) => "--rate".to_owned(),
        },
        workloads: options
            .workloads
            .iter()
            .map(|workload| (workload.name.clone(), workload.about.clone()))
            .collect(),
    }
}

fn environment_of(place: &Place, options: &Options, note: Option<Finding>) -> Environment {
    let needs = Needs {
        connections: options.connections as u32,
    };
    let mut environment = place.environment(&rustc_version().unwrap_or_default(), needs);
    environment.findings.extend(note);
    environment
}

/// Writes what is made from the record and prints the tables.
fn show(mut store: Store, folder: &Folder) -> Result<Status> {
    let record = store.load()?;
    drop(store);
    let summary = results::write(&record, folder.path())?;
    folder.point_latest_here();
    say!("{}", results::terminal(&record, &summary));
    eprintln!("stored in {}", folder.shown());
    let failed = summary
        .servers
        .iter()
        .any(|row| row.verdict == Verdict::Failed)
        || record
            .trials
            .iter()
            .any(|trial| trial.failure.is_some() || !trial.errors.is_empty());
    Ok(if failed { Status::Failed } else { Status::Fine })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(flags: &[&str]) -> Result<BTreeMap<String, f64>> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        parse_rates(&flags, &["ping", "users"])
    }

    #[test]
    fn one_rate_serves_all_workloads_and_a_named_one_wins() {
        let rates = rates(&["users=8000", "20000"]).unwrap();
        assert_eq!(rates["ping"], 20_000.0);
        assert_eq!(rates["users"], 8_000.0);
    }

    #[test]
    fn wrong_rates_are_refused() {
        for wrong in ["fast", "0", "-1", "nan", "user=5", "ping="] {
            let error = rates(&[wrong]).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{wrong}");
        }
    }
}
