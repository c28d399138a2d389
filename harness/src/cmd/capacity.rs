//! `harness capacity`: up to which rate each server meets an objective, and what happens below and above that rate.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use record::{CAPACITY_FILE, Capacities, Failure, RoundCapacity, ServerCapacity};

use super::drive::find;
use super::drive::limits::{self, Limit};
use super::drive::pace::Spread;
use super::machine::{CpuPlace, Cpus};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use super::survey::{
    self, Build, Earlier, TimeLeft, build_all, contenders, refuse_other_programs,
    refuse_other_requests, refuse_to_resume, refuse_too_many, reopen, requests_sha256,
    served_options, stored, survey, tell_stored,
};
use crate::flags::{
    OnlyWorkloads, Printed, Servers, Status, parse_duration, parse_share, workloads,
};
use catalog::{Server, Workload};
use runner::{Built, Interrupt};
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

Searches the highest rate at which half of all trials meet the objective. A round has a fresh process of every \
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
    /// Most trials of a search
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
    /// Seed of the drawn requests and of the order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Continue an interrupted measurement with its flags; needs no other flag but --manifest
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = [
        "slo", "rounds", "duration", "warmup", "within", "max_trials", "connections", "arrivals", "no_curve", "overload",
        "workers", "seed", "timeout", "out", "server", "workload", "server_cpus", "driver_cpus", "no_pin",
    ])]
    resume: Option<PathBuf>,
    /// Show a stored capacity; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "resume"])]
    from: Option<PathBuf>,
    /// Show what would be measured and how long it takes, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    printed: Printed,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store it in [default: bench-results/UTC-REVISION-capacity]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    workloads: OnlyWorkloads,
    #[command(flatten)]
    cpus: Cpus,
}

/// The workload if none is named.
const WORKLOAD: &str = "mixed";

survey!(Capacities, CAPACITY_FILE, servers, name);

/// Builds and measures the selected servers, or those of an interrupted search.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure, finish)
}

/// Measures the rounds that an earlier search lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Capacities>) -> Result<Status> {
    let (catalog, mut servers) = arguments.servers.catalog()?;
    let named = &arguments.workloads.workload;
    let workloads = match named.is_empty() {
        true => workloads(&catalog, &[WORKLOAD.to_owned()])?,
        false => workloads(&catalog, named)?,
    };
    let place = CpuPlace::find(&arguments.cpus)?;
    let mut run = options(arguments, &place);
    let due: Vec<(u32, &Workload)> = (1..=arguments.rounds)
        .flat_map(|round| workloads.iter().map(move |workload| (round, workload)))
        .filter(|(round, workload)| match &earlier {
            Some((_, earlier)) => !has(earlier, *round, workload),
            None => true,
        })
        .collect();
    let requests = requests_sha256(&workloads, arguments.seed);
    if let Some((path, earlier)) = &earlier {
        let workers = run.trials.served.boot.workers;
        refuse_to_resume(path, earlier, due.len(), &place, workers)?;
        refuse_other_requests(path, earlier, &requests)?;
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
    if arguments.list {
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
    let interrupt = super::interrupt()?;
    let folder = match &earlier {
        Some((path, earlier)) => reopen(&catalog.root, path, earlier)?,
        None => Folder::create_as(&catalog.root, arguments.out.as_deref(), "-capacity")?,
    };
    run.trials.served.boot.log = folder.logs().join("server.log");
    refuse_too_many_connections(&run)?;
    let mut progress = Progress::new();
    let Some(built) = build_all(&catalog, &servers, &interrupt, &mut progress) else {
        return Ok(Status::Interrupted);
    };
    let mut capacities = match earlier {
        Some((_, earlier)) => {
            refuse_other_programs(&earlier, &built)?;
            earlier
        }
        None => {
            let mut blank = blank(arguments, &folder, &place, &run);
            blank.head.requests_sha256 = requests;
            for workload in &workloads {
                let serving = built
                    .iter()
                    .filter(|(server, _)| server.takes_part(workload));
                blank
                    .servers
                    .extend(serving.map(|(server, built)| row(server, built, workload, &folder)));
            }
            blank
        }
    };
    progress.tell(&format!("measuring for about {}", show_time(whole)));
    let mut survey = CapacitySurvey {
        arguments,
        run: &run,
        folder: &folder,
        built: &built,
        interrupt: &interrupt,
        progress,
        left: TimeLeft::new(whole),
    };
    for (round, workload) in due {
        survey.round(round, workload, &mut capacities)?;
    }
    survey.progress.finish();
    tell_stored(&capacities, &folder, "capacity", &interrupt);
    let status = finish(arguments, &capacities)?;
    Ok(match interrupt.is_set() {
        true => Status::Interrupted,
        false => status,
    })
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
                arguments.seed,
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
        seed: arguments.seed,
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

/// What every round needs.
struct CapacitySurvey<'a> {
    arguments: &'a Arguments,
    run: &'a CapacityRun,
    folder: &'a Folder,
    built: &'a [Build<'a>],
    interrupt: &'a Interrupt,
    progress: Progress,
    left: TimeLeft,
}

impl CapacitySurvey<'_> {
    /// Measures a round of one workload, and stores it.
    fn round(&mut self, round: u32, workload: &Workload, into: &mut Capacities) -> Result<()> {
        if self.interrupt.is_set() {
            return Ok(());
        }
        let contenders = contenders(self.built, |server| server.takes_part(workload));
        let slo = &self.arguments.slo;
        let judge = |config: &loadgen::Config, measured: &loadgen::Measurement| {
            let verdict = find::judge(slo, config, measured);
            TrialVerdict {
                passed: verdict.passed,
                shown: verdict.shown,
                generator_bound: verdict.generator_bound,
            }
        };
        let (progress, left) = (&mut self.progress, self.left.counter());
        let mut show = |what: &str| {
            let text = format!("round {round}, {}: {what}", workload.name);
            progress.working(&text, left());
        };
        let found = capacity_round(
            &contenders,
            (round, workload),
            self.run,
            &judge,
            self.interrupt,
            &mut show,
        );
        if self.interrupt.is_set() {
            return Ok(());
        }
        self.left
            .done(time_of_round(self.run) * contenders.len() as u32);
        for (contender, found) in contenders.iter().zip(found) {
            self.keep(contender.name, &workload.name, found, into);
        }
        into.summarise();
        self.folder
            .write_document(into, CAPACITY_FILE, report::capacity_page(into))
    }

    fn keep(
        &mut self,
        name: &str,
        workload: &str,
        found: Result<RoundCapacity, Failure>,
        into: &mut Capacities,
    ) {
        let mut rows = into.servers.iter_mut();
        let row = rows.find(|row| row.name == name && row.workload == workload);
        match (row, found) {
            (Some(row), Ok(found)) => row.rounds.push(found),
            (Some(row), Err(mut failure)) => {
                self.progress.fail(name, &failure);
                self.folder.clean(&mut failure);
                row.failure.get_or_insert(failure);
            }
            (None, _) => {}
        }
    }
}

/// Prints the capacities, and says how it went.
fn finish(arguments: &Arguments, capacities: &Capacities) -> Result<Status> {
    results::print(
        &arguments.printed,
        capacities,
        || report::capacity_page(capacities).text,
        |colour| report::capacity_lines(capacities, colour),
    )?;
    let mut servers = capacities.servers.iter();
    let failed = servers.any(|server| server.failure.is_some() || server.capacity.is_none());
    Ok(match failed {
        true => Status::Failed,
        false => Status::Fine,
    })
}
