//! `harness upstream`: what latency each server adds to that of a dependency.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use crosscheck::known::{self, Delay};
use record::{Failure, ServerUpstream, UPSTREAM_FILE, Upstreams};

use super::drive::pace::Spread;
use super::machine::CpuPlace;
use super::progress::show_time;
use super::results::Folder;
use super::survey::{
    self, Build, Earlier, Requests, SurveyFlags, Underway, contenders, refuse_to_resume,
    refuse_too_many, served_options, stored, survey,
};
use crate::flags::{Status, parse_duration, parse_rate};
use catalog::Server;
use runner::{Built, Referee, Running};
use traffic::{Counts, Dependency, TrialOptions, UpstreamRun, time_of_upstream, upstream_round};

const EXAMPLES: &str = "\
Examples:
  cargo harness upstream                                      every server that has the route, about 4 minutes
  cargo harness upstream --server NAME,OTHER --rate 500
  cargo harness upstream --delay constant:10ms                a dependency that always takes 10 ms
  cargo harness upstream --delay two-humped:2ms:40ms          70 % about 2 ms, 30 % about 40 ms
  cargo harness upstream --rounds 3 --duration 2s --list      how long would it take?
  cargo harness upstream --resume bench-results/…-upstream    after Ctrl-C or a reboot
  cargo harness upstream --from bench-results/…-upstream --format markdown

For each of its requests to GET /api/v1/upstream, a server sends one to a dependency: a small server that comes with the \
harness, runs on the load generator's CPUs, and responds after a delay from a known distribution. In every round a fresh \
process of each server gets its turn. The same load goes to the dependency alone and through the server, one right after \
the other; what the server adds is the difference within the round. Results are medians over rounds with 95 % intervals:
  alone        p50 and p99 of the dependency without a server
  added        p50 and p99 through the server, less those of the dependency
  connections  that the server opened to the dependency; about as many as `at once` if it keeps them,
               and as many as there were requests if it doesn't
The folder gets upstream.json and upstream.md after every round. Ctrl-C keeps the rounds that were complete; --resume \
measures the missing ones.

Exit status: 0 success; 1 a server failed; 2 a bad flag; 130 interrupted.";

/// The route, as manifests name it.
const ROUTE: &str = "upstream";

/// Flags of `harness upstream`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Delay of the dependency: constant:TIME, exponential:MEAN, two-humped:SHORT:LONG or queue:TIME
    #[arg(long, value_name = "DELAY", default_value = "exponential:5ms", value_parser = parse_delay)]
    delay: Delay,
    /// Requests per second
    #[arg(long, value_name = "RATE", default_value = "1000", value_parser = parse_rate)]
    rate: f64,
    /// How requests are spread over time
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Spread::Constant)]
    arrivals: Spread,
    /// Connections of the load
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Worker threads of a server [default: as many as the server has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Rounds: fresh processes of each server; an interval needs 3
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a load
    #[arg(short, long, value_name = "TIME", default_value = "4s", value_parser = parse_duration)]
    duration: Duration,
    /// Load before the measured one, which doesn't count
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warmup: Duration,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    flags: SurveyFlags,
}

/// Of a dependency every response must have a delay.
fn parse_delay(text: &str) -> Result<Delay, String> {
    match text.parse()? {
        Delay::Stall { .. } => Err("a stall has no p50 to compare with: use another".to_owned()),
        delay => Ok(delay),
    }
}

survey!(
    Upstreams,
    UPSTREAM_FILE,
    servers.name,
    report::upstream_page,
    report::upstream_lines,
    |server| server.failure.is_some() || server.rounds.is_empty()
);

/// Builds and measures the selected servers, or continues that.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure)
}

/// Measures the rounds that an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Upstreams>) -> Result<Status> {
    let flags = &arguments.flags;
    let (catalog, servers) = flags.servers.catalog()?;
    let servers = with_route(arguments, servers)?;
    let place = CpuPlace::find(&flags.cpus)?;
    let mut trials = options(arguments, &place);
    refuse_too_many(trials.served.connections, 1, "fewer --connections")?;
    let has = |round| {
        let servers = earlier.iter().flat_map(|(_, earlier)| &earlier.servers);
        let mut rounds = servers.flat_map(|server| &server.rounds);
        rounds.any(|done| done.round == round)
    };
    let due: Vec<u32> = (1..=arguments.rounds)
        .filter(|round| !has(*round))
        .collect();
    let workers = trials.served.boot.workers;
    refuse_to_resume(&earlier, due.len(), &place, workers, &Requests::new())?;
    let round = time_of_upstream(&trials) * servers.len() as u32;
    let whole = round * due.len() as u32;
    if flags.list {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        say!(
            "would measure {} with a dependency of {} in {} of about {}",
            names.join(", "),
            arguments.delay,
            words::counted(due.len() as u64, "round"),
            show_time(round)
        );
        say!("about {} after the builds", show_time(whole));
        return Ok(Status::Fine);
    }
    let blank = |folder: &Folder, built: &[Build<'_>]| {
        let rows = built.iter();
        let rows = rows.map(|(server, built)| row(server, built, folder));
        Upstreams {
            servers: rows.collect(),
            ..blank(arguments, folder, &place, &trials)
        }
    };
    let begun = survey::begin(flags, &catalog, &servers, earlier, whole, blank)?;
    let Some((mut underway, mut all)) = begun else {
        return Ok(Status::Interrupted);
    };
    trials.served.boot.log = underway.folder.logs().join("server.log");
    let dependency = start_dependency(arguments, &trials, &underway)?;
    let addr = dependency.addr;
    let run = UpstreamRun {
        trials: &trials,
        per_s: arguments.rate,
        dependency: Dependency {
            addr,
            counts: &|| counts(addr),
        },
    };
    for round in due {
        measure_round(round, &run, &mut underway, &mut all)?;
    }
    underway.end(flags, &all)
}

/// Leaves out servers that lack the route, unless they are named.
fn with_route(arguments: &Arguments, servers: Vec<Server>) -> Result<Vec<Server>> {
    let (with, without): (Vec<_>, Vec<_>) = servers
        .into_iter()
        .partition(|server| server.has_route(ROUTE));
    let named = &arguments.flags.servers.server;
    let refused = |server: &&Server| with.is_empty() || named.contains(&server.name);
    if let Some(server) = without.iter().find(refused) {
        refuse!(
            "{} lacks the route upstream, as its manifest says: leave it out",
            server.name
        );
    }
    Ok(with)
}

fn options(arguments: &Arguments, place: &CpuPlace) -> TrialOptions {
    let (workers, connections) = (arguments.workers, arguments.connections);
    let (seed, timeout) = (arguments.flags.seed, arguments.timeout);
    TrialOptions {
        served: served_options(place, workers, connections, seed, timeout),
        length: arguments.duration,
        warmup: arguments.warmup,
        arrivals: arguments.arrivals.into(),
    }
}

/// Starts the dependency on the load generator's CPUs.
fn start_dependency(
    arguments: &Arguments,
    trials: &TrialOptions,
    underway: &Underway<'_>,
) -> Result<Running> {
    let logs = underway.folder.logs();
    let launch = known::launch(&arguments.delay, arguments.flags.seed, &logs)?;
    let served = &trials.served;
    let options = runner::BootOptions {
        cpus: served.driver_cpus.clone(),
        workers: 1,
        log: logs.join("dependency.log"),
        ..served.boot.clone()
    };
    let started = runner::boot(&launch, &options, &Referee::new(), &underway.interrupt);
    started.map_err(|failure| {
        let (verb, reason) = (failure.step.verb(), failure.reason);
        anyhow!("the dependency failed to {verb}: {reason}; see logs/dependency.log")
    })
}

/// What the dependency has counted.
fn counts(addr: SocketAddr) -> Result<Counts> {
    let given = known::given(addr).context("the dependency does not report what it got")?;
    let count = |name: &str| {
        given[name]
            .as_u64()
            .with_context(|| format!("no {name} in {given}"))
    };
    Ok(Counts {
        requests: count("requests")?,
        connections: count("connections")?,
        most_at_once: count("most_at_once")?,
    })
}

fn blank(
    arguments: &Arguments,
    folder: &Folder,
    place: &CpuPlace,
    trials: &TrialOptions,
) -> Upstreams {
    Upstreams {
        head: folder.head_on::<Upstreams>(place),
        pinned: place.unpinned.is_none(),
        driver_cpus: place.layout.driver.len(),
        delay: arguments.delay.to_string(),
        rate: arguments.rate,
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

/// A server before its first round.
fn row(server: &Server, built: &Result<Built, Failure>, folder: &Folder) -> ServerUpstream {
    let (sha256, failure) = stored(built, folder);
    ServerUpstream {
        name: server.name.clone(),
        display: server.about.display.clone(),
        class: server.about.class.clone(),
        version: server.version.clone(),
        sha256,
        failure,
        ..ServerUpstream::default()
    }
}

/// Measures a round, and stores it.
fn measure_round(
    round: u32,
    run: &UpstreamRun<'_>,
    underway: &mut Underway<'_>,
    into: &mut Upstreams,
) -> Result<()> {
    if underway.interrupt.is_set() {
        return Ok(());
    }
    let contenders = contenders(&underway.built, |server| server.has_route(ROUTE));
    let (progress, left) = (&mut underway.progress, underway.left.counter());
    let mut show = |what: &str| progress.working(&format!("round {round}: {what}"), left());
    let found = upstream_round(&contenders, round, run, &underway.interrupt, &mut show);
    if underway.interrupt.is_set() {
        return Ok(());
    }
    let names: Vec<String> = contenders.iter().map(|one| one.name.to_owned()).collect();
    let time = time_of_upstream(run.trials) * names.len() as u32;
    underway.left.done(time);
    for (name, found) in names.into_iter().zip(found) {
        let mut rows = into.servers.iter_mut();
        match (rows.find(|row| row.name == name), found) {
            (Some(row), Ok(round)) => row.rounds.extend(round),
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
