//! `harness patterns`: how servers bear load that changes over time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use record::{Failure, PATTERNS_FILE, PatternPart, PatternRun, PatternShape, Patterns};

use super::machine::CpuPlace;
use super::progress::show_time;
use super::results::Folder;
use super::survey::{
    self, Build, Earlier, SurveyFlags, Underway, refuse_to_resume, requests_sha256, served_options,
    survey,
};
use crate::flags::{Status, parse_duration, parse_rate, patterns, workloads};
use catalog::{Pattern, Server, Workload};
use loadgen::MAX_RATE;
use runner::Launch;
use traffic::{PatternOptions, ServedOptions};

const EXAMPLES: &str = "\
Examples:
  cargo harness patterns                            every pattern for every server
  cargo harness patterns --pattern burst --rate 20000 --server NAME,OTHER
  cargo harness patterns --pattern burst --rounds 5 --workload users
  cargo harness patterns --pattern mine.toml        a pattern of your own
  cargo harness patterns --list                     the patterns, and how long it takes
  cargo harness patterns --resume bench-results/…-patterns     continue one that was interrupted
  cargo harness patterns --from bench-results/…-patterns --format markdown

A pattern is a TOML file of stages whose rates are multiples of --rate; harness/patterns has those that are run \
without --pattern. Each server gets a fresh process for each pattern, and the requests keep their send times \
whether or not the server keeps up: requests that wait count with their waiting time. Shows goodput, p99 before, in and \
after a burst, the time until p99 is as before, errors by kind, and memory. The folder gets patterns.json, \
patterns.md and a chart over time for each pattern.

Exit status: 0 success; 1 a server failed or returned an error; 2 a bad flag; 130 interrupted, after storing what was \
measured.";

/// The time that a start and a warm-up take.
const START: Duration = Duration::from_secs(3);

/// Flags of `harness patterns`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only this pattern, or that of a file, as in mine.toml; repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pattern: Vec<String>,
    /// The base rate, requests per second; the rates of a pattern are multiples of it
    #[arg(long, value_name = "RATE", default_value = "5000", value_parser = parse_rate)]
    rate: f64,
    /// The workload of patterns without requests of their own
    #[arg(long, value_name = "NAME", default_value = "users")]
    workload: String,
    /// Fresh processes for each server and pattern; the tables show medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Worker threads of each server [default: as many as it has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    flags: SurveyFlags,
}

survey!(
    Patterns,
    PATTERNS_FILE,
    runs.server,
    report::pattern_page,
    report::pattern_lines,
    |run| run.failure.is_some() || !run.errors.is_empty()
);

/// Applies the selected patterns to the selected servers, or continues that.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure)
}

/// Measures what an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Patterns>) -> Result<Status> {
    let flags = &arguments.flags;
    let (catalog, servers) = flags.servers.with_all_routes()?;
    let patterns = patterns(&catalog, &arguments.pattern)?;
    refuse_rates(&patterns, arguments.rate)?;
    let workloads = workloads(&catalog, std::slice::from_ref(&arguments.workload))?;
    let workload = workloads.first().context("there is no workload")?;
    let place = CpuPlace::find(&flags.cpus)?;
    let due: Vec<(u32, &Pattern, &Server)> = (1..=arguments.rounds)
        .flat_map(|round| patterns.iter().map(move |pattern| (round, pattern)))
        .flat_map(|(round, pattern)| servers.iter().map(move |server| (round, pattern, server)))
        .filter(|part| match &earlier {
            Some((_, earlier)) => !has(earlier, *part),
            None => true,
        })
        .collect();
    let of_patterns = patterns
        .iter()
        .filter_map(|pattern| pattern.requests.as_ref());
    let requests = requests_sha256(of_patterns.chain([workload]), flags.seed);
    let shapes: Vec<PatternShape> = patterns
        .iter()
        .map(|pattern| shape(pattern, arguments.rate))
        .collect();
    let options = options(arguments, &place);
    let workers = options.served.boot.workers;
    refuse_to_resume(&earlier, due.len(), &place, workers, &requests)?;
    if let Some((path, earlier)) = &earlier {
        let mut edited = earlier
            .patterns
            .iter()
            .zip(&shapes)
            .filter(|(then, now)| then != now);
        if let Some((pattern, _)) = edited.next() {
            refuse!(
                "pattern {} is not the one measured in {}: start a new measurement, or undo what you changed",
                pattern.name,
                path.display()
            );
        }
    }
    let whole = due
        .iter()
        .map(|(_, pattern, _)| pattern.length() + START)
        .sum();
    if flags.list {
        for pattern in &patterns {
            let (name, length) = (&pattern.name, pattern.length().as_secs_f64());
            say!("{name:<10} {length:>4} s  {}", pattern.about);
        }
        let rounds: BTreeSet<u32> = due.iter().map(|(round, ..)| *round).collect();
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        say!(
            "would apply {} to {}, base rate {}/s, {}: about {} after the builds",
            words::counted(patterns.len() as u64, "pattern"),
            names.join(", "),
            arguments.rate,
            words::counted(rounds.len() as u64, "round"),
            show_time(whole)
        );
        return Ok(Status::Fine);
    }
    let blank = |folder: &Folder, _: &[Build<'_>]| {
        let mut blank = blank(arguments, folder, &place, (workload, workers), shapes);
        blank.head.requests_sha256 = requests;
        blank
    };
    let begun = survey::begin(flags, &catalog, &servers, earlier, whole, blank)?;
    let Some((underway, mut stored)) = begun else {
        return Ok(Status::Interrupted);
    };
    let mut survey = PatternSurvey {
        rounds: arguments.rounds,
        workload,
        options,
        underway,
    };
    for (round, pattern, server) in due {
        if survey.underway.interrupt.is_set() {
            break;
        }
        let run = survey.measure(server, pattern, round);
        survey.underway.left.done(pattern.length() + START);
        if !survey.underway.interrupt.is_set() {
            stored.runs.push(run);
            survey.underway.store(&stored)?;
        }
    }
    survey.underway.end(flags, &stored)
}

/// Whether a server was measured under a pattern in a round.
fn has(stored: &Patterns, (round, pattern, server): (u32, &Pattern, &Server)) -> bool {
    let mut runs = stored.of(&pattern.name, &server.name);
    runs.any(|run| run.round == round)
}

/// Refuses a base rate at which a pattern would exceed what the load generator can be asked for.
fn refuse_rates(patterns: &[Pattern], base: f64) -> Result<()> {
    for pattern in patterns {
        let highest = pattern.highest() * base;
        if highest > MAX_RATE {
            refuse!(
                "--rate {base}: {} would reach {highest} requests per second, and the most is {MAX_RATE}",
                pattern.name
            );
        }
        let stages = traffic::stages(pattern, base);
        if stages.iter().map(loadgen::RateStage::requests).sum::<f64>() < 1.0 {
            refuse!("--rate {base}: {} would have no request", pattern.name);
        }
    }
    Ok(())
}

fn blank(
    arguments: &Arguments,
    folder: &Folder,
    place: &CpuPlace,
    (workload, workers): (&Workload, usize),
    patterns: Vec<PatternShape>,
) -> Patterns {
    Patterns {
        head: folder.head_on::<Patterns>(place),
        workload: workload.name.clone(),
        workers,
        connections: arguments.connections as usize,
        base_per_s: arguments.rate,
        rounds: arguments.rounds,
        timeout_ms: arguments.timeout.as_millis() as u64,
        seed: arguments.flags.seed,
        patterns,
        runs: Vec::new(),
    }
}

fn shape(pattern: &Pattern, base: f64) -> PatternShape {
    let ms = |time: Duration| time.as_millis() as u64;
    let stages = pattern.stages.iter().zip(traffic::stages(pattern, base));
    PatternShape {
        name: pattern.name.clone(),
        about: pattern.about.clone(),
        poisson: pattern.poisson,
        own_requests: pattern.requests.is_some(),
        interval_ms: ms(traffic::interval(pattern, base)),
        stages: stages
            .map(|(stage, rates)| PatternPart {
                length_ms: ms(stage.length),
                from_per_s: rates.from,
                to_per_s: rates.to,
                phase: stage.phase.map(|phase| phase.name().to_owned()),
            })
            .collect(),
    }
}

/// How a server is loaded; its log is set for each.
fn options(arguments: &Arguments, place: &CpuPlace) -> PatternOptions {
    let (workers, connections) = (arguments.workers, arguments.connections);
    let (seed, timeout) = (arguments.flags.seed, arguments.timeout);
    PatternOptions {
        served: ServedOptions {
            filled: true,
            ..served_options(place, workers, connections, seed, timeout)
        },
        base_per_s: arguments.rate,
    }
}

/// What every server needs.
struct PatternSurvey<'a> {
    rounds: u32,
    workload: &'a Workload,
    options: PatternOptions,
    underway: Underway<'a>,
}

impl PatternSurvey<'_> {
    fn measure(&mut self, server: &Server, pattern: &Pattern, round: u32) -> PatternRun {
        let mut run = PatternRun {
            pattern: pattern.name.clone(),
            server: server.name.clone(),
            display: server.about.display.clone(),
            version: server.version.clone(),
            round,
            ..PatternRun::default()
        };
        let (sha256, launch) = self.underway.launch(server);
        run.sha256 = sha256;
        let done = launch.and_then(|launch| {
            let applied = self.apply(&launch, pattern, &mut run);
            let whose = format!("{} under {}", server.name, pattern.name);
            applied.map_err(|failure| self.underway.failed(&whose, failure))
        });
        run.failure = done.err();
        if let Some(error) = &mut run.first_error {
            let hidden = self.underway.folder.hidden();
            *error = hidden.clean(error).into_owned();
        }
        run
    }

    fn apply(
        &mut self,
        launch: &Launch,
        pattern: &Pattern,
        run: &mut PatternRun,
    ) -> Result<(), Failure> {
        let workload = pattern.requests.as_ref().unwrap_or(self.workload);
        let (name, round) = (&run.server, run.round);
        let log = format!("{name}-{}-{round}.log", pattern.name);
        let mut options = self.options.clone();
        options.served.boot.log = self.underway.folder.logs().join(log);
        let what = match self.rounds {
            1 => format!("{name}: {}", pattern.name),
            rounds => format!("round {round} of {rounds}, {name}: {}", pattern.name),
        };
        let left = self.underway.left.counter();
        let progress = &mut self.underway.progress;
        progress.note(&format!("{what}, about {} left", show_time(left())));
        let mut show = |at: Duration| {
            let (done, of) = (at.as_secs(), pattern.length().as_secs_f64());
            let left = show_time(left());
            progress.part(&format!("{what}, {done} of {of} s, about {left} left"));
        };
        let what = (pattern, workload);
        let interrupt = &self.underway.interrupt;
        traffic::pattern(launch, what, &options, interrupt, run, &mut show)
    }
}
