//! `harness upstream`: what latency each server adds to that of a dependency.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use crosscheck::known::{self, Delay};
use record::{Failure, RoundUpstream, ServerUpstream, UPSTREAM_FILE, Upstreams};

use super::drive::pace::Spread;
use super::machine::{CpuPlace, Cpus};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use super::survey::{
    self, Build, Earlier, TimeLeft, build_all, contenders, refuse_other_programs, refuse_to_resume,
    refuse_too_many, reopen, served_options, stored, survey, tell_stored,
};
use crate::flags::{Printed, Servers, Status, parse_duration, parse_rate};
use catalog::Server;
use runner::{Built, Interrupt, Referee, Running};
use traffic::{Counts, Dependency, TrialOptions, UpstreamRun, time_of_upstream, upstream_round};

const EXAMPLES: &str = "\
Examples:
  cargo harness upstream                                      every server that has the route, about 4 minutes
  cargo harness upstream --server NAME,OTHER --rate 500
  cargo harness upstream --delay constant:10ms                a dependency that always takes as long
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
    /// How they are spread over time
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
    /// Load before it, which doesn't count
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warmup: Duration,
    /// Seed of the delays and of the order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Continue an interrupted measurement with its flags; needs no other flag but --manifest
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = [
        "delay", "rate", "arrivals", "connections", "workers", "rounds", "duration", "warmup", "seed", "timeout", "out",
        "server", "server_cpus", "driver_cpus", "no_pin",
    ])]
    resume: Option<PathBuf>,
    /// Show stored results; starts nothing
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
    /// Folder to store it in [default: bench-results/UTC-REVISION-upstream]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

/// Of a dependency every response must have a delay.
fn parse_delay(text: &str) -> Result<Delay, String> {
    match text.parse()? {
        Delay::Stall { .. } => Err("a stall has no p50 to compare with: use another".to_owned()),
        delay => Ok(delay),
    }
}

survey!(Upstreams, UPSTREAM_FILE, servers, name);

/// Builds and measures the selected servers, or continues that.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure, finish)
}

/// Measures the rounds that an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Upstreams>) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    let servers = with_route(arguments, servers)?;
    let place = CpuPlace::find(&arguments.cpus)?;
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
    if let Some((path, earlier)) = &earlier {
        let workers = trials.served.boot.workers;
        refuse_to_resume(path, earlier, due.len(), &place, workers)?;
    }
    let round = time_of_upstream(&trials) * servers.len() as u32;
    let whole = round * due.len() as u32;
    if arguments.list {
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
    let interrupt = super::interrupt()?;
    let folder = match &earlier {
        Some((path, earlier)) => reopen(&catalog.root, path, earlier)?,
        None => Folder::create_as(&catalog.root, arguments.out.as_deref(), "-upstream")?,
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
            let rows = built.iter();
            let rows = rows.map(|(server, built)| row(server, built, &folder));
            Upstreams {
                servers: rows.collect(),
                ..blank(arguments, &folder, &place, &trials)
            }
        }
    };
    progress.tell(&format!("measuring for about {}", show_time(whole)));
    let dependency = start_dependency(arguments, &folder, &trials, &interrupt)?;
    let mut survey = Survey {
        trials: &trials,
        per_s: arguments.rate,
        dependency: dependency.addr,
        folder: &folder,
        built: &built,
        interrupt: &interrupt,
        progress,
        left: TimeLeft::new(whole),
    };
    for round in due {
        survey.round(round, &mut all)?;
    }
    survey.progress.finish();
    tell_stored(&all, &folder, "upstream", &interrupt);
    let status = finish(arguments, &all)?;
    Ok(match interrupt.is_set() {
        true => Status::Interrupted,
        false => status,
    })
}

/// Leaves out servers that lack the route, unless they are named.
fn with_route(arguments: &Arguments, servers: Vec<Server>) -> Result<Vec<Server>> {
    let (with, without): (Vec<_>, Vec<_>) = servers
        .into_iter()
        .partition(|server| server.has_route(ROUTE));
    let named = &arguments.servers.server;
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
    let (seed, timeout) = (arguments.seed, arguments.timeout);
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
    folder: &Folder,
    trials: &TrialOptions,
    interrupt: &Interrupt,
) -> Result<Running> {
    let launch = known::launch(&arguments.delay, arguments.seed, &folder.logs())?;
    let served = &trials.served;
    let options = runner::BootOptions {
        cpus: served.driver_cpus.clone(),
        workers: 1,
        log: folder.logs().join("dependency.log"),
        ..served.boot.clone()
    };
    runner::boot(&launch, &options, &Referee::new(), interrupt).map_err(|failure| {
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
        seed: arguments.seed,
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

/// What every round needs.
struct Survey<'a> {
    trials: &'a TrialOptions,
    per_s: f64,
    /// Where the dependency listens.
    dependency: SocketAddr,
    folder: &'a Folder,
    built: &'a [Build<'a>],
    interrupt: &'a Interrupt,
    progress: Progress,
    left: TimeLeft,
}

impl Survey<'_> {
    /// Measures a round, and stores it.
    fn round(&mut self, round: u32, into: &mut Upstreams) -> Result<()> {
        if self.interrupt.is_set() {
            return Ok(());
        }
        let contenders = contenders(self.built, |server| server.has_route(ROUTE));
        let addr = self.dependency;
        let run = UpstreamRun {
            trials: self.trials,
            per_s: self.per_s,
            dependency: Dependency {
                addr,
                counts: &|| counts(addr),
            },
        };
        let (progress, left) = (&mut self.progress, self.left.counter());
        let mut show = |what: &str| progress.working(&format!("round {round}: {what}"), left());
        let found = upstream_round(&contenders, round, &run, self.interrupt, &mut show);
        if self.interrupt.is_set() {
            return Ok(());
        }
        self.left
            .done(time_of_upstream(self.trials) * contenders.len() as u32);
        for (contender, found) in contenders.iter().zip(found) {
            let mut rows = into.servers.iter_mut();
            if let Some(row) = rows.find(|row| row.name == contender.name) {
                self.keep(found, row);
            }
        }
        into.summarise();
        self.folder
            .write_document(into, UPSTREAM_FILE, report::upstream_page(into))
    }

    fn keep(&mut self, found: Result<Option<RoundUpstream>, Failure>, row: &mut ServerUpstream) {
        match found {
            Ok(round) => row.rounds.extend(round),
            Err(mut failure) => {
                self.progress.fail(&row.name, &failure);
                self.folder.clean(&mut failure);
                row.failure.get_or_insert(failure);
            }
        }
    }
}

/// Prints the table, and says how it went.
fn finish(arguments: &Arguments, upstreams: &Upstreams) -> Result<Status> {
    results::print(
        &arguments.printed,
        upstreams,
        || report::upstream_page(upstreams).text,
        |colour| report::upstream_lines(upstreams, colour),
    )?;
    let mut servers = upstreams.servers.iter();
    let failed = servers.any(|server| server.failure.is_some() || server.rounds.is_empty());
    Ok(match failed {
        true => Status::Failed,
        false => Status::Fine,
    })
}
