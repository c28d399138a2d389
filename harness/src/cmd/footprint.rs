//! `harness footprint`: what each server needs of memory, threads and descriptors, how soon it starts, and how large
//! it is.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use record::{FOOTPRINT_FILE, Footprints, ServerFootprint};

use super::machine::{CpuPlace, Cpus};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use crate::flags::{Printed, Servers, Status, parse_duration, workloads};
use ::cost::FootprintOptions;
use catalog::{Catalog, Server, Source, Workload};
use machine::probe::limits;
use record::Failure;
use runner::{BootOptions, Interrupt};

const EXAMPLES: &str = "\
Examples:
  cargo harness footprint                           every server, about half a minute each after the build
  cargo harness footprint --server NAME,OTHER --open 100,1000,10000
  cargo harness footprint --server NAME --build-time   also how long a clean build takes
  cargo harness footprint --manifest path/to/server.toml --server MINE
  cargo harness footprint --from bench-results/…-footprint --format markdown

Measures, each in fresh processes: the time to start and the first request; resident memory when idle, under \
two loads, after them and after a rest, and its growth from one load to the next; memory, threads and \
descriptors with idle connections open, told apart into heap, stacks, page cache and socket buffers. Then \
the size of the binary, the number of dependencies and the lines of the server's own code. A figure that can't \
be read is left out, with the reason. The folder gets footprint.json, footprint.md and footprint.svg.

Exit status: 0 success; 1 a server failed; 2 a bad flag; 130 interrupted.";

/// The time that one server takes after its build and without the rest, before the first one was timed.
const FIRST_GUESS: Duration = Duration::from_secs(20);
/// Connections of a load.
const LOAD_CONNECTIONS: usize = 64;

/// Flags of `harness footprint`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Number of starts to time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    starts: u32,
    /// Requests of each load; memory may grow from the first to the second
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    requests: u64,
    /// Numbers of idle connections to open
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [100, 1_000, 5_000],
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    open: Vec<u64>,
    /// The rest after the loads
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    rest: Duration,
    /// The workload of the loads
    #[arg(long, value_name = "NAME", default_value = "mixed")]
    workload: String,
    /// Worker threads of each server [default: as many as it has CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Seed of the drawn requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also time a build of each server in an empty folder; takes a minute or more for each
    #[arg(long)]
    build_time: bool,
    /// Show a stored footprint; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "build_time"])]
    from: Option<PathBuf>,
    /// Show what would be measured, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    printed: Printed,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store it in [default: bench-results/UTC-REVISION-footprint]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

/// Builds and measures the selected servers.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(path) = &arguments.from {
        return finish(arguments, &results::read_stored(path, FOOTPRINT_FILE)?);
    }
    let (catalog, servers) = arguments.servers.catalog()?;
    let workloads = workloads(&catalog, std::slice::from_ref(&arguments.workload))?;
    let workload = workloads.first().context("there is no workload")?;
    if arguments.list {
        for server in &servers {
            let open: Vec<String> = arguments.open.iter().map(u64::to_string).collect();
            say!(
                "would measure {}: {} starts, 2 x {} requests of {}, {} open connections",
                server.name,
                arguments.starts,
                arguments.requests,
                workload.name,
                open.join(", ")
            );
        }
        return Ok(Status::Fine);
    }
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = super::interrupt()?;
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-footprint")?;
    // Without it, a number of connections may be too high, which is reported then.
    let _ = limits::raise_descriptor_limit();
    let mut footprints = blank(arguments, &folder, &place, workload);
    let mut survey = Survey {
        arguments,
        catalog: &catalog,
        folder: &folder,
        workload,
        options: options(arguments, &footprints, &place),
        interrupt: &interrupt,
        progress: Progress::new(),
        spent: Duration::ZERO,
        done: 0,
        of: servers.len(),
    };
    for server in &servers {
        let measured = survey.measure(server);
        if interrupt.is_set() {
            break;
        }
        footprints.servers.push(measured);
        survey.done += 1;
        folder.write_document(
            &footprints,
            FOOTPRINT_FILE,
            report::footprint_page(&footprints),
        )?;
    }
    survey.progress.finish();
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    eprintln!("stored in {}", folder.shown());
    finish(arguments, &footprints)
}

fn blank(
    arguments: &Arguments,
    folder: &Folder,
    place: &CpuPlace,
    workload: &Workload,
) -> Footprints {
    Footprints {
        head: folder.head_on::<Footprints>(place),
        workload: workload.name.clone(),
        workers: arguments
            .workers
            .map_or(place.layout.server.len(), |workers| workers as usize),
        starts: arguments.starts,
        requests: arguments.requests,
        connections: LOAD_CONNECTIONS,
        rest_ms: arguments.rest.as_millis() as u64,
        seed: arguments.seed,
        servers: Vec::new(),
    }
}

/// How a server is measured; its log is set for each.
fn options(arguments: &Arguments, footprints: &Footprints, place: &CpuPlace) -> FootprintOptions {
    let mut open = arguments.open.clone();
    open.sort_unstable();
    open.dedup();
    FootprintOptions {
        boot: BootOptions {
            workers: footprints.workers,
            ..place.boot(PathBuf::new(), None, arguments.timeout)
        },
        driver_cpus: place.driver_cpus(),
        starts: arguments.starts,
        connections: LOAD_CONNECTIONS,
        requests: arguments.requests,
        open,
        rest: arguments.rest,
        seed: arguments.seed,
        timeout: arguments.timeout,
    }
}

/// What every server needs.
struct Survey<'a> {
    arguments: &'a Arguments,
    catalog: &'a Catalog,
    folder: &'a Folder,
    workload: &'a Workload,
    options: FootprintOptions,
    interrupt: &'a Interrupt,
    progress: Progress,
    /// The time for the servers done, without their builds.
    spent: Duration,
    done: usize,
    of: usize,
}

impl Survey<'_> {
    fn measure(&mut self, server: &Server) -> ServerFootprint {
        let mut footprint = ServerFootprint {
            name: server.name.clone(),
            display: server.about.display.clone(),
            class: server.about.class.clone(),
            version: server.version.clone(),
            ..ServerFootprint::default()
        };
        if let Err(mut failure) = self.fill(server, &mut footprint)
            && !self.interrupt.is_set()
        {
            self.progress.fail(&server.name, &failure);
            self.folder.clean(&mut failure);
            footprint.failure = Some(failure);
        }
        let hidden = self.folder.hidden();
        for text in footprint.absent.values_mut() {
            *text = hidden.clean(text).into_owned();
        }
        footprint
    }

    fn fill(&mut self, server: &Server, footprint: &mut ServerFootprint) -> Result<(), Failure> {
        self.progress.note(&format!("building {}", server.name));
        let built = runner::build(self.catalog, server, self.interrupt)?;
        footprint.sha256.clone_from(&built.record.sha256);
        let stripped = built.record.stripped_bytes.ok_or_else(|| {
            let why = "it is not known which file is its binary, or `strip` is not installed (apt-get install binutils)";
            why.to_owned()
        });
        note(
            footprint,
            "stripped_bytes",
            stripped.map(|bytes| bytes as f64),
        );
        let dependencies = server.dependencies();
        note(
            footprint,
            "dependencies",
            dependencies.map(|count| count as f64),
        );
        note(
            footprint,
            "glue_lines",
            server.glue_lines().map(|lines| lines as f64),
        );
        if self.arguments.build_time {
            note(footprint, "clean_build_s", self.clean_build(server));
        }

        let begin = Instant::now();
        let each = match self.done {
            0 => FIRST_GUESS + self.options.rest,
            done => self.spent / done as u32,
        };
        let all_left = each * (self.of - self.done) as u32;
        let options = FootprintOptions {
            boot: BootOptions {
                log: self.folder.logs().join(format!("{}.log", server.name)),
                ..self.options.boot.clone()
            },
            ..self.options.clone()
        };
        let (progress, name) = (&mut self.progress, &server.name);
        let mut show = |what: &str| {
            let left = show_time(all_left.saturating_sub(begin.elapsed()));
            progress.part(&format!("{name}: {what}, about {left} left"));
        };
        let measured = ::cost::footprint(
            &built.launch,
            self.workload,
            &options,
            self.interrupt,
            footprint,
            &mut show,
        );
        self.spent += begin.elapsed();
        measured
    }

    /// Seconds for a build of a server in an empty folder.
    fn clean_build(&mut self, server: &Server) -> Result<f64, String> {
        let mut clean = server.clone();
        let Source::Package { target, .. } = &mut clean.source else {
            return Err(
                "only a package of this workspace can be built in another folder".to_owned(),
            );
        };
        let folder =
            tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        folder.path().clone_into(target);
        let name = &server.name;
        self.progress.tell(&format!(
            "building {name} in an empty folder: a minute or more"
        ));
        let built = runner::build(self.catalog, &clean, self.interrupt)
            .map_err(|failure| format!("the clean build failed: {}", failure.reason))?;
        let time = Duration::from_millis(built.record.build_ms);
        self.progress
            .tell(&format!("built {name} in {:.1} s", time.as_secs_f64()));
        Ok(time.as_secs_f64())
    }
}

/// Stores a figure, or why it is absent.
fn note(footprint: &mut ServerFootprint, id: &str, value: Result<f64, String>) {
    match value {
        Ok(value) => footprint.figures.insert(id.to_owned(), value).map(|_| ()),
        Err(why) => footprint.absent.insert(id.to_owned(), why).map(|_| ()),
    };
}

/// Prints the footprint, and says how it went.
fn finish(arguments: &Arguments, footprints: &Footprints) -> Result<Status> {
    results::print(
        &arguments.printed,
        footprints,
        || report::footprint_page(footprints).text,
        |colour| report::footprint_lines(footprints, colour),
    )?;
    let failed = footprints
        .servers
        .iter()
        .any(|server| server.failure.is_some());
    Ok(match failed {
        true => Status::Failed,
        false => Status::Fine,
    })
}
