//! `harness ladder`: how each server's figures change with connections, worker threads or the rate.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use record::{Factor, Failure, LADDER_FILE, Ladder, Ladders, RoundLadder, ServerLadder};

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
    OnlyWorkloads, Printed, Servers, Status, parse_duration, parse_rate, workloads,
};
use catalog::{Server, Workload};
use runner::{Built, Interrupt};
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
    /// Seed of the drawn requests and of the order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Continue an interrupted measurement with its flags; needs no other flag but --manifest
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = [
        "connections", "workers", "rates", "fixed_connections", "fixed_workers", "rounds", "duration", "warmup",
        "arrivals", "seed", "timeout", "out", "server", "workload", "server_cpus", "driver_cpus", "no_pin",
    ])]
    resume: Option<PathBuf>,
    /// Show stored ladders; starts nothing
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
    /// Folder to store it in [default: bench-results/UTC-REVISION-ladder]
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
/// The values if no factor is named.
const CONNECTIONS: [f64; 4] = [16.0, 64.0, 256.0, 1_024.0];
const RATES: [f64; 3] = [1_000.0, 3_000.0, 5_000.0];

survey!(Ladders, LADDER_FILE, servers, name);

/// Builds and measures the selected servers, or those of an interrupted measurement.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure, finish)
}

/// Measures what an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Ladders>) -> Result<Status> {
    let (catalog, mut servers) = arguments.servers.catalog()?;
    let named = &arguments.workloads.workload;
    let workloads = match named.is_empty() {
        true => workloads(&catalog, &[WORKLOAD.to_owned()])?,
        false => workloads(&catalog, named)?,
    };
    let place = CpuPlace::find(&arguments.cpus)?;
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
    let requests = requests_sha256(&workloads, arguments.seed);
    if let Some((path, earlier)) = &earlier {
        let workers = trials.served.boot.workers;
        refuse_to_resume(path, earlier, due.len(), &place, workers)?;
        refuse_other_requests(path, earlier, &requests)?;
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
        if arguments.list {
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
    if arguments.list {
        say!("about {} after the builds", show_time(whole));
        return Ok(Status::Fine);
    }
    let interrupt = super::interrupt()?;
    let folder = match &earlier {
        Some((path, earlier)) => reopen(&catalog.root, path, earlier)?,
        None => Folder::create_as(&catalog.root, arguments.out.as_deref(), "-ladder")?,
    };
    trials.served.boot.log = folder.logs().join("server.log");
    let mut progress = Progress::new();
    let Some(built) = build_all(&catalog, &servers, &interrupt, &mut progress) else {
        return Ok(Status::Interrupted);
    };
    let mut all = match earlier {
        Some((_, earlier)) => {
            refuse_other_programs(&earlier, &built)?;
            earlier
        }
        None => {
            let mut blank = blank(arguments, &folder, &place, (&ladders, &trials));
            blank.head.requests_sha256 = requests;
            for workload in &workloads {
                for ladder in &ladders {
                    let serving = built.iter().filter(|(s, _)| s.takes_part(workload));
                    let rows = serving
                        .map(|(server, built)| row(server, built, (workload, ladder), &folder));
                    blank.servers.extend(rows);
                }
            }
            blank
        }
    };
    progress.tell(&format!("measuring for about {}", show_time(whole)));
    let mut survey = LadderSurvey {
        trials: &trials,
        folder: &folder,
        built: &built,
        interrupt: &interrupt,
        progress,
        left: TimeLeft::new(whole),
    };
    for (round, workload, ladder) in due {
        survey.round(round, workload, ladder, &mut all)?;
    }
    survey.progress.finish();
    tell_stored(&all, &folder, "ladder", &interrupt);
    let status = finish(arguments, &all)?;
    Ok(match interrupt.is_set() {
        true => Status::Interrupted,
        false => status,
    })
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
                arguments.seed,
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
        seed: arguments.seed,
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

/// What every round needs.
struct LadderSurvey<'a> {
    trials: &'a TrialOptions,
    folder: &'a Folder,
    built: &'a [Build<'a>],
    interrupt: &'a Interrupt,
    progress: Progress,
    left: TimeLeft,
}

impl LadderSurvey<'_> {
    /// Measures a round of one workload and factor, and stores it.
    fn round(
        &mut self,
        round: u32,
        workload: &Workload,
        ladder: &Ladder,
        into: &mut Ladders,
    ) -> Result<()> {
        if self.interrupt.is_set() {
            return Ok(());
        }
        let contenders = contenders(self.built, |server| server.takes_part(workload));
        let (progress, left) = (&mut self.progress, self.left.counter());
        let mut show = |what: &str| {
            let text = format!("round {round}, {}: {what}", workload.name);
            progress.working(&text, left());
        };
        let found = ladder_round(
            &contenders,
            (round, workload),
            ladder,
            self.trials,
            self.interrupt,
            &mut show,
        );
        if self.interrupt.is_set() {
            return Ok(());
        }
        self.left
            .done(time_of_ladder(ladder, self.trials) * contenders.len() as u32);
        for (contender, found) in contenders.iter().zip(found) {
            let mut rows = into.servers.iter_mut();
            let row = rows.find(|row| {
                row.name == contender.name
                    && row.workload == workload.name
                    && row.factor == ladder.factor
            });
            if let Some(row) = row {
                self.keep(found, row);
            }
        }
        into.summarise();
        self.folder
            .write_document(into, LADDER_FILE, report::ladder_page(into))
    }

    fn keep(&mut self, (round, failure): (RoundLadder, Option<Failure>), row: &mut ServerLadder) {
        if !round.trials.is_empty() {
            row.rounds.push(round);
        }
        if let Some(mut failure) = failure {
            self.progress.fail(&row.name, &failure);
            self.folder.clean(&mut failure);
            row.failure.get_or_insert(failure);
        }
    }
}

/// Prints the ladders, and says how it went.
fn finish(arguments: &Arguments, ladders: &Ladders) -> Result<Status> {
    results::print(
        &arguments.printed,
        ladders,
        || report::ladder_page(ladders).text,
        |colour| report::ladder_lines(ladders, colour),
    )?;
    let mut servers = ladders.servers.iter();
    let failed = servers.any(|server| server.failure.is_some() || server.rungs.is_empty());
    Ok(match failed {
        true => Status::Failed,
        false => Status::Fine,
    })
}
