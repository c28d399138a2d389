//! `harness capacity`: up to which rate each server meets an objective, and what happens below and above that rate.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use record::{CAPACITY_FILE, Capacities, Failure, ServerCapacity};

use super::drive::find;
use super::drive::limits::{self, Limit};
use super::drive::pace::Spread;
use super::machine::CpuPlace;
use super::progress::show_time;
use super::results::Folder;
use super::survey::{
    self, Build, Earlier, SurveyFlags, Underway, contenders, refuse_to_resume, refuse_too_many,
    requests_sha256, served_options, stored, survey,
};
use crate::flags::{Status, parse_duration, parse_share, workloads};
use catalog::{Server, Workload};
use runner::Built;
use traffic::{
    CapacityRun, TrialOptions, TrialVerdict, capacity_round, connections_of_overload, time_of_round,
};

const EXAMPLES: &str = "\
Examples:
  cargo harness capacity                            every server, p99 below 10 ms, about 30 minutes
  cargo harness capacity --slo 'p99<5ms,errors=0' --server NAME,OTHER --workload orders
  cargo harness capacity --rounds 3 --no-curve      only the capacity, in half the time
  cargo harness capacity --overload                 then three times the capacity: does it recover?
  cargo harness capacity --resume bench-results/…-capacity     continue one that was interrupted
  cargo harness capacity --from bench-results/…-capacity --format markdown

Finds the highest rate at which half of all trials meet the objective. A round has a fresh process of every \
server, and their trials take turns. The result is the median over rounds with its 95 % interval, and the ratio to \
the best within rounds. Then each process gets 10 to 120 % of its own capacity: goodput, p50, p99, CPU time and \
memory. --slo takes the figures of drive --fail-if but the rate, and fails a trial unless all hold. The folder gets \
capacity.json, capacity.md and two charts for each workload, after every round. Ctrl-C keeps the rounds that were \
complete, and --resume measures the others. One URL: cargo harness drive --find 'p99<10ms' URL

Exit status: 0 success; 1 a server failed or has no capacity; 2 a bad flag; 130 interrupted.";

/// Flags of `harness capacity`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The objective, as in 'p99<10ms,errors=0'; repeatable
    #[arg(long, value_name = "OBJECTIVE", value_delimiter = ',', default_value = "p99<10ms,errors=0",
        value_parser = limits::parse_objective)]
    slo: Vec<Limit>,
    /// Rounds: fresh processes of each server; an interval needs 3
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a trial
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    duration: Duration,
    /// Load before each trial, which doesn't count
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = parse_duration)]
    warmup: Duration,
    /// A search ends when its interval is within ± this
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = parse_share)]
    within: f64,
    /// Maximum number of trials in a search
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max_trials: u32,
    /// Number of connections
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// How requests are spread over time
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Spread::Constant)]
    arrivals: Spread,
    /// Leave out the load curve
    #[arg(long)]
    no_curve: bool,
    /// Also load each server with three times its capacity for 10 s, then with half of it
    #[arg(long)]
    overload: bool,
    /// Worker threads of each server [default: as many as it has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    /// Only this workload, or that of a file, as in shop.toml; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "mixed",
        help_heading = "Selection"
    )]
    workload: Vec<String>,
    #[command(flatten)]
    flags: SurveyFlags,
}

survey!(
    Capacities,
    CAPACITY_FILE,
    servers.name,
    report::capacity_page,
    report::capacity_lines,
    |server| server.failure.is_some() || server.capacity.is_none()
);

/// Builds and measures the selected servers, or those of an interrupted search.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure)
}

/// Measures the rounds that an earlier search lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Capacities>) -> Result<Status> {
    let flags = &arguments.flags;
    let (catalog, mut servers) = flags.servers.catalog()?;
    let workloads = workloads(&catalog, &arguments.workload)?;
    let place = CpuPlace::find(&flags.cpus)?;
    let mut run = options(arguments, &place);
    let due: Vec<(u32, &Workload)> = (1..=arguments.rounds)
        .flat_map(|round| workloads.iter().map(move |workload| (round, workload)))
        .filter(|(round, workload)| match &earlier {
            Some((_, earlier)) => !has(earlier, *round, workload),
            None => true,
        })
        .collect();
    let requests = requests_sha256(&workloads, flags.seed);
    let workers = run.trials.served.boot.workers;
    refuse_to_resume(&earlier, due.len(), &place, workers, &requests)?;
    if let Some((_, earlier)) = &earlier {
        servers.retain(|server| earlier.servers.iter().any(|row| row.name == server.name));
    }
    let each = time_of_round(&run);
    let serving = |workload: &Workload| {
        let serving = servers.iter().filter(|s| s.takes_part(workload));
        serving.count() as u32
    };
    let whole = due
        .iter()
        .map(|(_, workload)| each * serving(workload))
        .sum();
    if flags.list {
        for workload in &workloads {
            let rounds = due.iter().filter(|(_, one)| one.name == workload.name);
            let rounds = words::counted(rounds.count() as u64, "round");
            for server in servers.iter().filter(|s| s.takes_part(workload)) {
                say!(
                    "would measure {} with {}: {rounds} of about {}",
                    server.name,
                    workload.name,
                    show_time(each)
                );
            }
        }
        say!("about {} after the builds", show_time(whole));
        return Ok(Status::Fine);
    }
    refuse_too_many_connections(&run)?;
    let blank = |folder: &Folder, built: &[Build<'_>]| {
        let mut blank = blank(arguments, folder, &place, &run);
        blank.head.requests_sha256 = requests;
        for workload in &workloads {
            let serving = built
                .iter()
                .filter(|(server, _)| server.takes_part(workload));
            let rows = serving.map(|(server, built)| row(server, built, workload, folder));
            blank.servers.extend(rows);
        }
        blank
    };
    let begun = survey::begin(flags, &catalog, &servers, earlier, whole, blank)?;
    let Some((mut underway, mut capacities)) = begun else {
        return Ok(Status::Interrupted);
    };
    run.trials.served.boot.log = underway.folder.logs().join("server.log");
    for (round, workload) in due {
        let part = (round, workload);
        measure_round(part, &arguments.slo, &run, &mut underway, &mut capacities)?;
    }
    underway.end(flags, &capacities)
}

/// Whether a round of a workload was measured.
fn has(stored: &Capacities, round: u32, workload: &Workload) -> bool {
    let mut rows = stored.servers.iter();
    rows.any(|row| {
        let mut rounds = row.rounds.iter();
        row.workload == workload.name && rounds.any(|one| one.round == round)
    })
}

/// An overload's connections need a descriptor each.
fn refuse_too_many_connections(run: &CapacityRun) -> Result<()> {
    let connections = match run.overload {
        true => connections_of_overload(run),
        false => run.trials.served.connections,
    };
    refuse_too_many(connections, 1, "fewer connections (-c) or no --overload")
}

fn options(arguments: &Arguments, place: &CpuPlace) -> CapacityRun {
    let (workers, connections) = (arguments.workers, arguments.connections);
    CapacityRun {
        trials: TrialOptions {
            served: served_options(
                place,
                workers,
                connections,
                arguments.flags.seed,
                arguments.timeout,
            ),
            length: arguments.duration,
            warmup: arguments.warmup,
            arrivals: arguments.arrivals.into(),
        },
        within: arguments.within,
        max_trials: arguments.max_trials as usize,
        curve: !arguments.no_curve,
        overload: arguments.overload,
    }
}

fn blank(
    arguments: &Arguments,
    folder: &Folder,
    place: &CpuPlace,
    run: &CapacityRun,
) -> Capacities {
    Capacities {
        head: folder.head_on::<Capacities>(place),
        objective: arguments
            .slo
            .iter()
            .map(|limit| limit.text.clone())
            .collect(),
        connections: run.trials.served.connections,
        workers: run.trials.served.boot.workers,
        rounds: arguments.rounds,
        trial_ms: arguments.duration.as_millis() as u64,
        warmup_ms: arguments.warmup.as_millis() as u64,
        within: arguments.within,
        max_trials: arguments.max_trials,
        arrivals: arguments.arrivals.name().to_owned(),
        seed: arguments.flags.seed,
        servers: Vec::new(),
    }
}

/// A server before its first round.
fn row(
    server: &Server,
    built: &Result<Built, Failure>,
    workload: &Workload,
    folder: &Folder,
) -> ServerCapacity {
    let (sha256, failure) = stored(built, folder);
    ServerCapacity {
        name: server.name.clone(),
        display: server.about.display.clone(),
        class: server.about.class.clone(),
        version: server.version.clone(),
        sha256,
        workload: workload.name.clone(),
        failure,
        ..ServerCapacity::default()
    }
}

/// Measures a round of one workload, and stores it.
fn measure_round(
    (round, workload): (u32, &Workload),
    slo: &[Limit],
    run: &CapacityRun,
    underway: &mut Underway<'_>,
    into: &mut Capacities,
) -> Result<()> {
    if underway.interrupt.is_set() {
        return Ok(());
    }
    let contenders = contenders(&underway.built, |server| server.takes_part(workload));
    let judge = |config: &loadgen::Config, measured: &loadgen::Measurement| {
        let verdict = find::judge(slo, config, measured);
        TrialVerdict {
            passed: verdict.passed,
            shown: verdict.shown,
            generator_bound: verdict.generator_bound,
        }
    };
    let (progress, left) = (&mut underway.progress, underway.left.counter());
    let mut show = |what: &str| {
        let text = format!("round {round}, {}: {what}", workload.name);
        progress.working(&text, left());
    };
    let interrupt = &underway.interrupt;
    let part = (round, workload);
    let found = capacity_round(&contenders, part, run, &judge, interrupt, &mut show);
    if interrupt.is_set() {
        return Ok(());
    }
    let names: Vec<String> = contenders.iter().map(|one| one.name.to_owned()).collect();
    underway.left.done(time_of_round(run) * names.len() as u32);
    for (name, found) in names.into_iter().zip(found) {
        let mut rows = into.servers.iter_mut();
        let row = rows.find(|row| row.name == name && row.workload == workload.name);
        match (row, found) {
            (Some(row), Ok(found)) => row.rounds.push(found),
            (Some(row), Err(failure)) => {
                let failure = underway.failed(&name, failure);
                row.failure.get_or_insert(failure);
            }
            (None, _) => {}
        }
    }
    into.summarise();
    underway.store(into)
}
