//! `harness ladder`: how each server's figures change with connections, worker threads or the rate.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use record::{Factor, Failure, LADDER_FILE, Ladder, Ladders, ServerLadder};

use super::drive::pace::Spread;
use super::machine::CpuPlace;
use super::progress::show_time;
use super::results::Folder;
use super::survey::{
    self, Build, Earlier, SurveyFlags, Underway, contenders, refuse_to_resume, refuse_too_many,
    requests_sha256, served_options, stored, survey,
};
use crate::flags::{Status, parse_duration, parse_rate, workloads};
use catalog::{Server, Workload};
use runner::Built;
use traffic::{ServedOptions, TrialOptions, ladder_round, time_of_ladder};

const EXAMPLES: &str = "\
Examples:
  cargo harness ladder                                   all three ladders of every server, about 15 minutes
  cargo harness ladder --connections 16,64,256,1024 --server NAME,OTHER
  cargo harness ladder --workers 1,2,4 --server-cpus 0-3 --driver-cpus 4-7     does it scale?
  cargo harness ladder --rates 1000,3000,5000 --workload orders --duration 10s
  cargo harness ladder --workers 1,2 --rates 1000,5000 --rounds 3 --list       how long would it take?
  cargo harness ladder --resume bench-results/…-ladder                         continue an interrupted one
  cargo harness ladder --from bench-results/…-ladder --format markdown

Each flag --connections, --workers and --rates gives the values of one factor; without any of them, all three have \
default values. A round of a factor has a fresh process of every server, and with --workers one for each number of \
workers. Their trials take turns. Results are medians over rounds with their 95 % intervals:
  --connections  closed loop: requests/s, p50, p99, CPU time per request, memory at its highest and after
  --workers      closed loop: requests/s, CPU time per second, and efficiency: the requests/s of each worker
                 as a share of what they are with the fewest. More workers than server CPUs can't show scaling
  --rates        fixed rates: goodput as a share of the requests due, p50, p99, CPU time per second, memory
The folder gets ladder.json, ladder.md and a chart for each factor and workload, after every round of a factor. \
Ctrl-C keeps the rounds that were complete, and --resume measures the others. The highest rate that meets an objective: cargo harness capacity

Exit status: 0 success; 1 a server failed; 2 a bad flag; 130 interrupted.";

/// Flags of `harness ladder`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Numbers of connections, as in 16,64 [default without --workers and --rates: 16,64,256,1024]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: Vec<u32>,
    /// Numbers of worker threads, as in 1,2,4 [default without the other two: powers of 2 up to the server's CPUs]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Vec<u32>,
    /// Requests per second, as in 500,2000 [default without the other two: 1000,3000,5000]
    #[arg(long, value_name = "RATE,…", value_delimiter = ',', value_parser = parse_rate)]
    rates: Vec<f64>,
    /// Connections of --workers and --rates
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    fixed_connections: u32,
    /// Worker threads of --connections and --rates [default: as many as the server has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    fixed_workers: Option<u32>,
    /// Rounds: fresh processes of each server; an interval needs 3
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a trial
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    duration: Duration,
    /// Load before each trial, which doesn't count
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warmup: Duration,
    /// How the requests of --rates are spread over time
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Spread::Constant)]
    arrivals: Spread,
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

/// The values if no factor is named.
const CONNECTIONS: [f64; 4] = [16.0, 64.0, 256.0, 1_024.0];
const RATES: [f64; 3] = [1_000.0, 3_000.0, 5_000.0];

survey!(
    Ladders,
    LADDER_FILE,
    servers.name,
    report::ladder_page,
    report::ladder_lines,
    |server| server.failure.is_some() || server.rungs.is_empty()
);

/// Builds and measures the selected servers, or those of an interrupted measurement.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure)
}

/// Measures what an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Ladders>) -> Result<Status> {
    let flags = &arguments.flags;
    let (catalog, mut servers) = flags.servers.catalog()?;
    let workloads = workloads(&catalog, &arguments.workload)?;
    let place = CpuPlace::find(&flags.cpus)?;
    let ladders = ladders(arguments, place.layout.server.len());
    let mut trials = options(arguments, &place);
    refuse_too_many(most_connections(&ladders, &trials), 1, "fewer connections")?;
    let parts = workloads
        .iter()
        .flat_map(|workload| ladders.iter().map(move |ladder| (workload, ladder)));
    let due: Vec<(u32, &Workload, &Ladder)> = (1..=arguments.rounds)
        .flat_map(|round| {
            let parts = parts.clone();
            parts.map(move |(workload, ladder)| (round, workload, ladder))
        })
        .filter(|part| match &earlier {
            Some((_, earlier)) => !has(earlier, *part),
            None => true,
        })
        .collect();
    let requests = requests_sha256(&workloads, flags.seed);
    let workers = trials.served.boot.workers;
    refuse_to_resume(&earlier, due.len(), &place, workers, &requests)?;
    if let Some((_, earlier)) = &earlier {
        servers.retain(|server| earlier.servers.iter().any(|row| row.name == server.name));
    }
    let mut whole = Duration::ZERO;
    for (workload, ladder) in parts {
        let serving = servers.iter().filter(|s| s.takes_part(workload));
        let names: Vec<&str> = serving.map(|server| server.name.as_str()).collect();
        let rounds = due
            .iter()
            .filter(|(_, one, other)| one.name == workload.name && other.factor == ladder.factor)
            .count() as u32;
        let round = time_of_ladder(ladder, &trials) * names.len() as u32;
        whole += round * rounds;
        if flags.list {
            let values = ladder.values.iter();
            let values: Vec<String> = values.map(|value| report::short(*value)).collect();
            say!(
                "{} {}: would measure {} with {} in {} of about {}",
                ladder.factor.name(),
                values.join(", "),
                names.join(", "),
                workload.name,
                words::counted(u64::from(rounds), "round"),
                show_time(round)
            );
        }
    }
    if flags.list {
        say!("about {} after the builds", show_time(whole));
        return Ok(Status::Fine);
    }
    let blank = |folder: &Folder, built: &[Build<'_>]| {
        let mut blank = blank(arguments, folder, &place, (&ladders, &trials));
        blank.head.requests_sha256 = requests;
        for workload in &workloads {
            for ladder in &ladders {
                let serving = built.iter().filter(|(s, _)| s.takes_part(workload));
                let rows =
                    serving.map(|(server, built)| row(server, built, (workload, ladder), folder));
                blank.servers.extend(rows);
            }
        }
        blank
    };
    let begun = survey::begin(flags, &catalog, &servers, earlier, whole, blank)?;
    let Some((mut underway, mut all)) = begun else {
        return Ok(Status::Interrupted);
    };
    trials.served.boot.log = underway.folder.logs().join("server.log");
    for part in due {
        measure_round(part, &trials, &mut underway, &mut all)?;
    }
    underway.end(flags, &all)
}

/// Whether a round of a workload and factor was measured.
fn has(stored: &Ladders, (round, workload, ladder): (u32, &Workload, &Ladder)) -> bool {
    let mut rows = stored.servers.iter();
    rows.any(|row| {
        let mut rounds = row.rounds.iter();
        row.workload == workload.name
            && row.factor == ladder.factor
            && rounds.any(|one| one.round == round)
    })
}

/// The factors that are named, or all of them.
fn ladders(arguments: &Arguments, server_cpus: usize) -> Vec<Ladder> {
    let numbers = |numbers: &[u32]| numbers.iter().map(|number| f64::from(*number)).collect();
    let mut named = [
        (Factor::Connections, numbers(&arguments.connections)),
        (Factor::Workers, numbers(&arguments.workers)),
        (Factor::Rates, arguments.rates.clone()),
    ];
    if named
        .iter()
        .all(|(_, values): &(_, Vec<f64>)| values.is_empty())
    {
        let powers = (0..).map(|power| f64::from(1 << power));
        let cpus = server_cpus as f64;
        named[0].1 = CONNECTIONS.to_vec();
        named[1].1 = powers.take_while(|power| *power < cpus).collect();
        named[1].1.push(cpus);
        named[2].1 = RATES.to_vec();
    }
    let ladder = |(factor, mut values): (Factor, Vec<f64>)| {
        values.sort_by(f64::total_cmp);
        values.dedup();
        Ladder { factor, values }
    };
    let named = named.into_iter().filter(|(_, values)| !values.is_empty());
    named.map(ladder).collect()
}

/// The most connections of any trial.
fn most_connections(ladders: &[Ladder], trials: &TrialOptions) -> usize {
    let most = |ladder: &Ladder| match (ladder.factor, ladder.values.last()) {
        (Factor::Connections, Some(most)) => *most as usize,
        _ => trials.served.connections,
    };
    ladders.iter().map(most).max().unwrap_or(0)
}

fn options(arguments: &Arguments, place: &CpuPlace) -> TrialOptions {
    let (workers, connections) = (arguments.fixed_workers, arguments.fixed_connections);
    TrialOptions {
        served: ServedOptions {
            filled: true,
            ..served_options(
                place,
                workers,
                connections,
                arguments.flags.seed,
                arguments.timeout,
            )
        },
        length: arguments.duration,
        warmup: arguments.warmup,
        arrivals: arguments.arrivals.into(),
    }
}

fn blank(
    arguments: &Arguments,
    folder: &Folder,
    place: &CpuPlace,
    (ladders, trials): (&[Ladder], &TrialOptions),
) -> Ladders {
    let pinned = place.unpinned.is_none();
    Ladders {
        head: folder.head_on::<Ladders>(place),
        server_cpus: match pinned {
            true => place.layout.server.len(),
            false => place.topology.online.len(),
        },
        pinned,
        ladders: ladders.to_vec(),
        connections: trials.served.connections,
        workers: trials.served.boot.workers,
        rounds: arguments.rounds,
        trial_ms: arguments.duration.as_millis() as u64,
        warmup_ms: arguments.warmup.as_millis() as u64,
        arrivals: arguments.arrivals.name().to_owned(),
        seed: arguments.flags.seed,
        servers: Vec::new(),
    }
}

/// A server before its first round of a factor.
fn row(
    server: &Server,
    built: &Result<Built, Failure>,
    (workload, ladder): (&Workload, &Ladder),
    folder: &Folder,
) -> ServerLadder {
    let (sha256, failure) = stored(built, folder);
    ServerLadder {
        name: server.name.clone(),
        display: server.about.display.clone(),
        class: server.about.class.clone(),
        version: server.version.clone(),
        sha256,
        workload: workload.name.clone(),
        factor: ladder.factor,
        failure,
        ..ServerLadder::default()
    }
}

/// Measures a round of one workload and factor, and stores it.
fn measure_round(
    (round, workload, ladder): (u32, &Workload, &Ladder),
    trials: &TrialOptions,
    underway: &mut Underway<'_>,
    into: &mut Ladders,
) -> Result<()> {
    if underway.interrupt.is_set() {
        return Ok(());
    }
    let contenders = contenders(&underway.built, |server| server.takes_part(workload));
    let (progress, left) = (&mut underway.progress, underway.left.counter());
    let mut show = |what: &str| {
        let text = format!("round {round}, {}: {what}", workload.name);
        progress.working(&text, left());
    };
    let interrupt = &underway.interrupt;
    let part = (round, workload);
    let found = ladder_round(&contenders, part, ladder, trials, interrupt, &mut show);
    if interrupt.is_set() {
        return Ok(());
    }
    let names: Vec<String> = contenders.iter().map(|one| one.name.to_owned()).collect();
    let time = time_of_ladder(ladder, trials) * names.len() as u32;
    underway.left.done(time);
    for (name, (round, failure)) in names.into_iter().zip(found) {
        let mut rows = into.servers.iter_mut();
        let row = rows.find(|row| {
            row.name == name && row.workload == workload.name && row.factor == ladder.factor
        });
        let Some(row) = row else { continue };
        if !round.trials.is_empty() {
            row.rounds.push(round);
        }
        if let Some(failure) = failure {
            let failure = underway.failed(&name, failure);
            row.failure.get_or_insert(failure);
        }
    }
    into.summarise();
    underway.store(into)
}
