//! `harness restart`: what clients lose when a server is restarted under load.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use record::{Failure, RESTART_FILE, RestartRun, RestartWay, Restarts};

use super::machine::CpuPlace;
use super::progress::show_time;
use super::results::Folder;
use super::survey::{
    self, Build, Earlier, SurveyFlags, Underway, refuse_to_resume, requests_sha256, served_options,
    survey,
};
use crate::flags::{Status, parse_duration, parse_rate, parse_share, workloads};
use catalog::{Server, Workload};
use runner::Launch;
use traffic::{LEAST_RESTART_RATE, ServedOptions, reached, restart, time_of_restart};

const EXAMPLES: &str = "\
Examples:
  cargo harness restart                             every server, 3 restarts in each way
  cargo harness restart --server NAME,OTHER --workload users --rounds 10
  cargo harness restart --rate 2000 --way replace   the same rate for all, only stop and start
  cargo harness restart --list                      what would be restarted, and how long it takes
  cargo harness restart --resume bench-results/…-restart   continue one that was interrupted
  cargo harness restart --from bench-results/…-restart --format markdown

Two ways. replace: the old process gets SIGTERM, and when it has ended the new one starts on the same port, as a plain \
service manager does it. handover: both are passed one listening socket (systemd's socket activation: LISTEN_FDS, \
LISTEN_PID, descriptor 3); the new process starts, and when it has answered a request, the old one gets SIGTERM. A \
server that doesn't serve a passed socket has a row that says so. Requests keep their send times meanwhile. A request \
is lost if its connection is refused, or closed before the whole response has come, or if it times out; a connection that \
is closed between requests loses nothing. The folder gets restart.json, restart.md and a chart for each workload and way.

Exit status: 0 success, whatever was lost; 1 a server failed; 2 a bad flag; 130 interrupted, after storing what was \
measured.";

/// Estimated time of the closed loop that calibrates the rate, for each server and workload.
const CLOSED_LOOP: Duration = Duration::from_secs(2);

/// Flags of `harness restart`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// How to restart: replace, handover [default: both]
    #[arg(long, value_name = "WAY", value_delimiter = ',', value_parser = parse_way)]
    way: Vec<RestartWay>,
    /// The load, as a share of what each server reached in a closed loop of 1 s
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = parse_share)]
    share: f64,
    /// The load in requests per second, the same for every server
    #[arg(long, value_name = "RATE", conflicts_with = "share", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Restarts of each server, workload and way; the tables show the median and the worst
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Number of connections
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Worker threads of each server [default: as many as it has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Time limit for a response
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_timeout)]
    timeout: Duration,
    /// Time limit for a start
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    ready_timeout: Duration,
    /// Only this workload, or that of a file, as in shop.toml; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "users",
        help_heading = "Selection"
    )]
    workload: Vec<String>,
    #[command(flatten)]
    flags: SurveyFlags,
}

fn parse_way(text: &str) -> Result<RestartWay, String> {
    let mut ways = RestartWay::ALL.into_iter();
    let found = ways.find(|way| way.name() == text);
    found.ok_or_else(|| format!("a way is replace or handover, not {text:?}"))
}

/// A longer one would not end within the load.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    match time <= Duration::from_secs(5) {
        true => Ok(time),
        false => Err("at most 5s".to_owned()),
    }
}

survey!(
    Restarts,
    RESTART_FILE,
    runs.server,
    report::restart_page,
    report::restart_lines,
    |run| run.failure.is_some()
);

/// Restarts the selected servers under load, or continues that.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure)
}

/// Measures what an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Restarts>) -> Result<Status> {
    let flags = &arguments.flags;
    let (catalog, servers) = flags.servers.catalog()?;
    let workloads = workloads(&catalog, &arguments.workload)?;
    if let Some(rate) = arguments.rate.filter(|rate| *rate < LEAST_RESTART_RATE) {
        refuse!("--rate {rate}: at least {LEAST_RESTART_RATE}, or gaps can't be told from pauses");
    }
    let ways = match arguments.way.is_empty() {
        true => RestartWay::ALL.to_vec(),
        false => arguments.way.clone(),
    };
    let pairs: Vec<(&Server, &Workload)> = workloads
        .iter()
        .flat_map(|workload| servers.iter().map(move |server| (server, workload)))
        .filter(|(server, workload)| server.takes_part(workload))
        .collect();
    let due: Vec<(u32, &Server, &Workload, RestartWay)> = (1..=arguments.rounds)
        .flat_map(|round| pairs.iter().map(move |pair| (round, pair)))
        .flat_map(|(round, (server, workload))| {
            ways.iter()
                .map(move |way| (round, *server, *workload, *way))
        })
        .filter(|part| match &earlier {
            Some((_, earlier)) => !has(earlier, *part),
            None => true,
        })
        .collect();
    let place = CpuPlace::find(&flags.cpus)?;
    let (workers, connections) = (arguments.workers, arguments.connections);
    let mut options = served_options(&place, workers, connections, flags.seed, arguments.timeout);
    options.boot.ready_timeout = arguments.ready_timeout;
    let requests = requests_sha256(&workloads, flags.seed);
    let workers = options.boot.workers;
    refuse_to_resume(&earlier, due.len(), &place, workers, &requests)?;
    let calibration = match arguments.rate {
        Some(_) => Duration::ZERO,
        None => CLOSED_LOOP * pairs.len() as u32,
    };
    let each = time_of_restart(arguments.timeout);
    let whole = each * due.len() as u32 + calibration;
    if flags.list {
        let named: Vec<&str> = ways.iter().map(|way| way.name()).collect();
        for (server, workload) in &pairs {
            let whose = |part: &&(u32, &Server, &Workload, RestartWay)| {
                part.1.name == server.name && part.2.name == workload.name
            };
            let rounds: BTreeSet<u32> = due.iter().filter(whose).map(|part| part.0).collect();
            say!(
                "would restart {} with {}: {}, {}",
                server.name,
                workload.name,
                named.join(" and "),
                words::counted(rounds.len() as u64, "round")
            );
        }
        say!("about {} after the builds", show_time(whole));
        return Ok(Status::Fine);
    }
    let blank = |folder: &Folder, _: &[Build<'_>]| {
        let mut blank = blank(arguments, folder, &place, &options);
        blank.head.requests_sha256 = requests;
        blank
    };
    let begun = survey::begin(flags, &catalog, &servers, earlier, whole, blank)?;
    let Some((underway, mut stored)) = begun else {
        return Ok(Status::Interrupted);
    };
    let mut restarter = Restarter {
        arguments,
        options,
        rates: rates(&stored),
        underway,
    };
    for (round, server, workload, way) in due {
        if restarter.underway.interrupt.is_set() {
            break;
        }
        let run = restarter.restart((server, workload), way, round);
        restarter.underway.left.done(each);
        if !restarter.underway.interrupt.is_set() {
            stored.runs.push(run);
            restarter.underway.store(&stored)?;
        }
    }
    restarter.underway.end(flags, &stored)
}

/// Whether a restart was done.
fn has(
    stored: &Restarts,
    (round, server, workload, way): (u32, &Server, &Workload, RestartWay),
) -> bool {
    let mut runs = stored.runs.iter();
    runs.any(|run| {
        (run.round, run.way) == (round, way)
            && run.server == server.name
            && run.workload == workload.name
    })
}

/// The load of each server and workload so far.
fn rates(stored: &Restarts) -> BTreeMap<(String, String), f64> {
    let rate = |run: &RestartRun| {
        let rate = *run.figures.get("rate_per_s")?;
        Some(((run.server.clone(), run.workload.clone()), rate))
    };
    stored.runs.iter().filter_map(rate).collect()
}

fn blank(
    arguments: &Arguments,
    folder: &Folder,
    place: &CpuPlace,
    options: &ServedOptions,
) -> Restarts {
    Restarts {
        head: folder.head_on::<Restarts>(place),
        workers: options.boot.workers,
        connections: options.connections,
        share: match arguments.rate {
            Some(_) => None,
            None => Some(arguments.share),
        },
        rounds: arguments.rounds,
        timeout_ms: arguments.timeout.as_millis() as u64,
        seed: arguments.flags.seed,
        runs: Vec::new(),
    }
}

/// What every restart needs.
struct Restarter<'a> {
    arguments: &'a Arguments,
    options: ServedOptions,
    /// The load of each server and workload, once it is known.
    rates: BTreeMap<(String, String), f64>,
    underway: Underway<'a>,
}

impl Restarter<'_> {
    fn restart(
        &mut self,
        (server, workload): (&Server, &Workload),
        way: RestartWay,
        round: u32,
    ) -> RestartRun {
        let mut run = RestartRun {
            display: server.about.display.clone(),
            version: server.version.clone(),
            ..RestartRun::new(&workload.name, way, &server.name, round)
        };
        let (sha256, launch) = self.underway.launch(server);
        run.sha256 = sha256;
        let done = launch.and_then(|launch| {
            let measured = self.measure(&launch, workload, &mut run);
            let whose = format!("{}, {}", server.name, way.name());
            measured.map_err(|failure| self.underway.failed(&whose, failure))
        });
        run.failure = done.err();
        let hidden = self.underway.folder.hidden();
        let texts = [&mut run.first_error, &mut run.not_supported];
        for text in texts.into_iter().flatten() {
            *text = hidden.clean(text).into_owned();
        }
        run
    }

    fn measure(
        &mut self,
        launch: &Launch,
        workload: &Workload,
        run: &mut RestartRun,
    ) -> Result<(), Failure> {
        let (server, way, round) = (run.server.clone(), run.way.name(), run.round);
        let log = format!("{server}-{}-{way}-{round}.log", workload.name);
        let underway = &mut self.underway;
        self.options.boot.log = underway.folder.logs().join(log);
        let rounds = self.arguments.rounds;
        let what = format!(
            "round {round} of {rounds}, {server}: {way}, {}",
            workload.name
        );
        underway.progress.working(&what, underway.left.counter()());
        let (options, interrupt) = (&self.options, &underway.interrupt);
        let key = (server, workload.name.clone());
        let rate = match (self.arguments.rate, self.rates.get(&key)) {
            (Some(rate), _) | (None, Some(&rate)) => rate,
            (None, None) => {
                let reached = reached(launch, workload, options, interrupt)?;
                let rate = (reached * self.arguments.share).max(LEAST_RESTART_RATE);
                self.rates.insert(key, rate);
                rate
            }
        };
        restart(launch, workload, rate, options, interrupt, run)
    }
}
