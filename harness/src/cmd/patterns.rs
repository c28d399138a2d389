//! `harness patterns`: how servers bear load that changes over time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use record::{PATTERNS_FILE, PatternPart, PatternRun, PatternShape, Patterns};

use super::machine::{CpuPlace, Cpus};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use super::survey::{
    self, Earlier, build_all, refuse_other_programs, refuse_other_requests, refuse_to_resume,
    reopen, requests_sha256, stored as program, survey, tell_stored,
};
use crate::flags::{Printed, Servers, Status, parse_duration, parse_rate, patterns, workloads};
use catalog::{Pattern, Server, Workload};
use loadgen::MAX_RATE;
use machine::probe::limits;
use record::Failure;
use runner::{BootOptions, Built, Interrupt};
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
    /// Seed of the drawn requests and of random arrivals
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Continue an interrupted measurement with its flags; needs no other flag but --manifest
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = [
        "pattern", "rate", "workload", "rounds", "connections", "workers", "seed", "timeout", "out", "server",
        "server_cpus", "driver_cpus", "no_pin",
    ])]
    resume: Option<PathBuf>,
    /// Show what was stored; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "resume"])]
    from: Option<PathBuf>,
    /// Show what would be measured, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    printed: Printed,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store it in [default: bench-results/UTC-REVISION-patterns]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

survey!(Patterns, PATTERNS_FILE, runs, server);

/// Applies the selected patterns to the selected servers, or continues that.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    survey::run(arguments, measure, finish)
}

/// Measures what an earlier measurement lacks, or all.
fn measure(arguments: &Arguments, earlier: Earlier<'_, Patterns>) -> Result<Status> {
    let (catalog, servers) = arguments.servers.with_all_routes()?;
    let patterns = patterns(&catalog, &arguments.pattern)?;
    refuse_rates(&patterns, arguments.rate)?;
    let workloads = workloads(&catalog, std::slice::from_ref(&arguments.workload))?;
    let workload = workloads.first().context("there is no workload")?;
    let place = CpuPlace::find(&arguments.cpus)?;
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
    let requests = requests_sha256(of_patterns.chain([workload]), arguments.seed);
    let shapes: Vec<PatternShape> = patterns
        .iter()
        .map(|pattern| shape(pattern, arguments.rate))
        .collect();
    if let Some((path, earlier)) = &earlier {
        let workers = workers(arguments, &place);
        refuse_to_resume(path, earlier, due.len(), &place, workers)?;
        refuse_other_requests(path, earlier, &requests)?;
        let mut edited = earlier
            .patterns
            .iter()
            .zip(&shapes)
            .filter(|(then, now)| then != now);
        if let Some((pattern, _)) = edited.next() {
            refuse!(
                "the pattern {} is no longer that of {}: start a new measurement, or undo what you changed",
                pattern.name,
                path.display()
            );
        }
    }
    let all = due
        .iter()
        .map(|(_, pattern, _)| pattern.length() + START)
        .sum();
    if arguments.list {
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
            show_time(all)
        );
        return Ok(Status::Fine);
    }
    let interrupt = super::interrupt()?;
    let folder = match &earlier {
        Some((path, earlier)) => reopen(&catalog.root, path, earlier)?,
        None => Folder::create_as(&catalog.root, arguments.out.as_deref(), "-patterns")?,
    };
    // Without it, the load generator names the limit that it needs.
    let _ = limits::raise_descriptor_limit();
    eprintln!("about {} after the builds", show_time(all));
    let mut progress = Progress::new();
    let Some(built) = build_all(&catalog, &servers, &interrupt, &mut progress) else {
        return Ok(Status::Interrupted);
    };
    let mut stored = match earlier {
        Some((_, earlier)) => {
            refuse_other_programs(&earlier, &built)?;
            earlier
        }
        None => {
            let mut blank = blank(arguments, &folder, &place, workload, shapes);
            blank.head.requests_sha256 = requests;
            blank
        }
    };
    let mut survey = PatternSurvey {
        arguments,
        folder: &folder,
        workload,
        options: options(arguments, &stored, &place),
        interrupt: &interrupt,
        progress,
        left: all,
    };
    for (round, pattern, server) in due {
        let whose = built.iter().find(|(one, _)| one.name == server.name);
        let Some((server, built)) = whose.filter(|_| !interrupt.is_set()) else {
            continue;
        };
        let run = survey.measure(server, built, pattern, round);
        if !interrupt.is_set() {
            stored.runs.push(run);
            folder.write_document(&stored, PATTERNS_FILE, report::pattern_page(&stored))?;
        }
    }
    survey.progress.finish();
    tell_stored(&stored, &folder, "patterns", &interrupt);
    let status = finish(arguments, &stored)?;
    Ok(match interrupt.is_set() {
        true => Status::Interrupted,
        false => status,
    })
}

/// Whether a server was measured under a pattern in a round.
fn has(stored: &Patterns, (round, pattern, server): (u32, &Pattern, &Server)) -> bool {
    let mut runs = stored.of(&pattern.name, &server.name);
    runs.any(|run| run.round == round)
}

/// The worker threads of each server.
fn workers(arguments: &Arguments, place: &CpuPlace) -> usize {
    let given = arguments.workers.map(|workers| workers as usize);
    given.unwrap_or(place.layout.server.len())
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
    workload: &Workload,
    patterns: Vec<PatternShape>,
) -> Patterns {
    Patterns {
        head: folder.head_on::<Patterns>(place),
        workload: workload.name.clone(),
        workers: workers(arguments, place),
        connections: arguments.connections as usize,
        base_per_s: arguments.rate,
        rounds: arguments.rounds,
        timeout_ms: arguments.timeout.as_millis() as u64,
        seed: arguments.seed,
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
fn options(arguments: &Arguments, stored: &Patterns, place: &CpuPlace) -> PatternOptions {
    PatternOptions {
        served: ServedOptions {
            boot: BootOptions {
                workers: stored.workers,
                ..place.boot(PathBuf::new(), None, arguments.timeout)
            },
            driver_cpus: place.driver_cpus(),
            connections: stored.connections,
            filled: true,
            seed: arguments.seed,
            timeout: arguments.timeout,
        },
        base_per_s: arguments.rate,
    }
}

/// What every server needs.
struct PatternSurvey<'a> {
    arguments: &'a Arguments,
    folder: &'a Folder,
    workload: &'a Workload,
    options: PatternOptions,
    interrupt: &'a Interrupt,
    progress: Progress,
    left: Duration,
}

impl PatternSurvey<'_> {
    fn measure(
        &mut self,
        server: &Server,
        built: &Result<Built, Failure>,
        pattern: &Pattern,
        round: u32,
    ) -> PatternRun {
        let mut run = PatternRun {
            pattern: pattern.name.clone(),
            server: server.name.clone(),
            display: server.about.display.clone(),
            version: server.version.clone(),
            round,
            ..PatternRun::default()
        };
        let all = pattern.length() + START;
        (run.sha256, run.failure) = program(built, self.folder);
        if let Ok(built) = built
            && let Err(failure) = self.apply(built, pattern, &mut run)
        {
            let whose = format!("{} under {}", server.name, pattern.name);
            run.failure = Some(self.failed(&whose, failure));
        }
        if let Some(error) = &mut run.first_error {
            *error = self.folder.hidden().clean(error).into_owned();
        }
        self.left = self.left.saturating_sub(all);
        run
    }

    fn apply(
        &mut self,
        built: &Built,
        pattern: &Pattern,
        run: &mut PatternRun,
    ) -> Result<(), Failure> {
        let workload = pattern.requests.as_ref().unwrap_or(self.workload);
        let (name, round) = (&run.server, run.round);
        let log = format!("{name}-{}-{round}.log", pattern.name);
        let mut options = self.options.clone();
        options.served.boot.log = self.folder.logs().join(log);
        let what = match self.arguments.rounds {
            1 => format!("{name}: {}", pattern.name),
            rounds => format!("round {round} of {rounds}, {name}: {}", pattern.name),
        };
        let (progress, left) = (&mut self.progress, self.left);
        progress.note(&format!("{what}, about {} left", show_time(left)));
        let mut show = |at: Duration| {
            let left = show_time(left.saturating_sub(START + at));
            let (done, of) = (at.as_secs(), pattern.length().as_secs_f64());
            progress.part(&format!("{what}, {done} of {of} s, about {left} left"));
        };
        traffic::pattern(
            &built.launch,
            (pattern, workload),
            &options,
            self.interrupt,
            run,
            &mut show,
        )
    }

    /// Tells of a failure, without this machine's folders.
    fn failed(&mut self, whose: &str, mut failure: Failure) -> Failure {
        if !self.interrupt.is_set() {
            self.progress.fail(whose, &failure);
        }
        self.folder.clean(&mut failure);
        failure
    }
}

/// Prints it, and says how it went.
fn finish(arguments: &Arguments, patterns: &Patterns) -> Result<Status> {
    results::print(
        &arguments.printed,
        patterns,
        || report::pattern_page(patterns).text,
        |colour| report::pattern_lines(patterns, colour),
    )?;
    let wrong = |run: &PatternRun| run.failure.is_some() || !run.errors.is_empty();
    Ok(match patterns.runs.iter().any(wrong) {
        true => Status::Failed,
        false => Status::Fine,
    })
}
