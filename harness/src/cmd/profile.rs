//! `harness profile`: records where a server's time goes, and where it allocates.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use record::{Document as _, PROFILE_FILE, ProfileRecord, ServerProfile};

use super::counting_build;
use super::machine::{CpuPlace, Cpus};
use super::progress::{PartsLeft, Progress};
use super::results::{self, Folder};
use crate::flags::{OnlyWorkloads, Servers, Status, Usage, parse_duration, workloads};
use ::cost::profile::{ProfileOptions, Profiler, WorkClasses, event, profile};
use ::cost::{CostOptions, Subject, Tools};
use catalog::{Catalog, Server, Workload};
use record::Failure;
use runner::{BootOptions, Interrupt};

const EXAMPLES: &str = "\
Examples:
  cargo harness profile --server NAME --workload users
  cargo harness profile --server NAME --workload ping --tool callgrind     the same instructions in every run
  cargo harness profile --server NAME --workload ping --rate 20000 --duration 20s
  cargo harness profile --server NAME --workload ping --json | jq .servers[0].workloads[0].classes

For each server and workload it writes NAME-WORKLOAD.svg (a flame graph: open it in a browser, click a function to \
enlarge it), NAME-WORKLOAD.folded (the same stacks as text) and profile.json into a folder of its own.

perf samples the server at a paced rate: by default half of what it reaches in one second. It sees the kernel. \
callgrind counts every instruction of one request after the other, with whole call stacks. It doesn't see the \
kernel. Without --tool it is perf where that is allowed, else callgrind.

Where the server allocates is found by callgrind in either case: it counts every call of the allocator, in a build \
whose allocator counts too, so that both can be compared.

Which kind of work a function is comes from harness/crates/cost/classes.toml. The code of helpers such as the \
standard library and memcpy counts for what calls it: copying JSON is JSON.

Exit status: 0 success; 1 a server failed; 2 a bad flag; 130 interrupted.";

/// Flags of `harness profile`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What records the profile [default: perf if it can sample here, else callgrind]
    #[arg(long, value_name = "NAME", value_enum)]
    tool: Option<Tool>,
    /// Requests per second, for perf [default: half of what the server reaches in one second]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// How long perf samples
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// Number of requests under callgrind
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    requests: u64,
    /// Worker threads of each server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Seed of the drawn requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show what would be profiled, and do nothing else
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Time limit for a response; a server under valgrind is many times slower
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store the profiles in [default: bench-results/UTC-REVISION-profile]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    loads: OnlyWorkloads,
    #[command(flatten)]
    cpus: Cpus,
}

/// What records the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tool {
    /// Samples at a paced rate, with the kernel
    Perf,
    /// Every instruction of one request after the other, without the kernel
    Callgrind,
}

/// Builds and profiles the selected servers.
///
/// # Errors
/// If a name is unknown, a tool is missing, or nothing can be stored. A server that fails gives
/// [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    let workloads = workloads(&catalog, &arguments.loads.workload)?;
    let tools = Tools::find();
    let profiler = choose(arguments, &tools)?;
    if arguments.list {
        for server in &servers {
            let names: Vec<&str> = workloads.iter().map(|one| one.name.as_str()).collect();
            say!(
                "would profile {} with {}: {}",
                server.name,
                tool_of(&profiler),
                names.join(", ")
            );
        }
        return Ok(Status::Fine);
    }
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = super::interrupt()?;
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-profile")?;
    let scratch = tempfile::tempdir().context("cannot create a temporary folder")?;
    let mut profiles = blank(arguments, &folder, &place);
    let mut job = ProfileJob {
        arguments,
        catalog: &catalog,
        workloads: &workloads,
        place: &place,
        folder: &folder,
        scratch: scratch.path().to_owned(),
        profiler,
        valgrind: tools.callgrind,
        interrupt: &interrupt,
        progress: Progress::new(),
        left: PartsLeft::new(servers.len() * workloads.len()),
    };
    for server in &servers {
        let profiled = job.server(server)?;
        if interrupt.is_set() {
            break;
        }
        profiles.servers.push(profiled);
        store::write_document(&profiles, &folder.path.join(PROFILE_FILE))
            .with_context(|| format!("cannot write to {}", folder.shown()))?;
    }
    job.progress.finish();
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    match arguments.json {
        true => say!("{}", profiles.to_json().trim_end()),
        false => say!(
            "{}",
            report::profile_lines(&profiles, results::colour()).trim_end()
        ),
    }
    let graphs = profiles.servers.iter().flat_map(|server| &server.workloads);
    for profile in graphs {
        eprintln!("flame graph: {}/{}", folder.shown(), profile.flame_graph);
    }
    eprintln!("stored in {}", folder.shown());
    let failed = profiles
        .servers
        .iter()
        .any(|server| server.failure.is_some());
    Ok(match failed {
        true => Status::Failed,
        false => Status::Fine,
    })
}

/// The tool, by default the best one that works here.
///
/// # Errors
/// [`Usage`] if the wanted one doesn't, or none does.
fn choose(arguments: &Arguments, tools: &Tools) -> Result<Profiler> {
    let perf = || -> Result<Profiler, String> {
        Ok(Profiler::Perf {
            event: event(&tools.hardware)?,
            rate: arguments.rate.map(f64::from),
            duration: arguments.duration,
        })
    };
    let callgrind = || tools.callgrind.clone().map(|()| Profiler::Callgrind);
    let chosen = match arguments.tool {
        Some(Tool::Perf) => perf().map_err(|why| format!("--tool perf: {why}")),
        Some(Tool::Callgrind) => callgrind().map_err(|why| format!("--tool callgrind: {why}")),
        None => perf().or_else(|no_perf| {
            callgrind().map_err(|no_valgrind| {
                format!("nothing can record a profile here: {no_perf}; {no_valgrind}")
            })
        }),
    };
    let chosen = chosen.map_err(Usage)?;
    if chosen == Profiler::Callgrind && arguments.rate.is_some() {
        return Err(Usage(
            "--rate needs perf: under callgrind one request is sent after the other".to_owned(),
        )
        .into());
    }
    Ok(chosen)
}

fn tool_of(profiler: &Profiler) -> &'static str {
    match profiler {
        Profiler::Perf { .. } => "perf",
        Profiler::Callgrind => "callgrind",
    }
}

fn blank(arguments: &Arguments, folder: &Folder, place: &CpuPlace) -> ProfileRecord {
    ProfileRecord {
        head: folder.head_on::<ProfileRecord>(place),
        workers: arguments.workers as usize,
        seed: arguments.seed,
        servers: Vec::new(),
    }
}

/// What every server needs.
struct ProfileJob<'a> {
    arguments: &'a Arguments,
    catalog: &'a Catalog,
    workloads: &'a [Workload],
    place: &'a CpuPlace,
    folder: &'a Folder,
    scratch: PathBuf,
    profiler: Profiler,
    valgrind: Result<(), String>,
    interrupt: &'a Interrupt,
    progress: Progress,
    left: PartsLeft,
}

impl ProfileJob<'_> {
    fn server(&mut self, server: &Server) -> Result<ServerProfile> {
        let mut profiled = ServerProfile {
            name: server.name.clone(),
            display: server.about.display.clone(),
            version: server.version.clone(),
            sha256: None,
            failure: None,
            workloads: Vec::new(),
        };
        let classes = WorkClasses::read(server.about.upstream.as_deref())?;
        if let Err(failure) = self.fill(server, &classes, &mut profiled)
            && !self.interrupt.is_set()
        {
            self.progress.fail(&server.name, &failure);
            profiled.failure = Some(failure);
        }
        Ok(profiled)
    }

    fn fill(
        &mut self,
        server: &Server,
        classes: &WorkClasses,
        profiled: &mut ServerProfile,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        self.progress.note(&format!("building {}", server.name));
        let built = runner::build(self.catalog, server, self.interrupt)?;
        profiled.sha256.clone_from(&built.record.sha256);
        let counting = self.valgrind.clone().and_then(|()| {
            counting_build(self.catalog, server, &mut self.progress, self.interrupt)
        });
        self.left.leave_out(begin);
        let subject = Subject {
            built: &built,
            counted: counting.as_ref().map_err(String::as_str),
        };
        let options = self.options(&server.name, classes);
        let workloads = self.workloads.iter();
        for workload in workloads.filter(|workload| server.takes_part(workload)) {
            let left = self.left.told();
            let (progress, name) = (&mut self.progress, &server.name);
            let mut show = |what: &str| {
                progress.part(&format!("{name}, {}: {what}{left}", workload.name));
            };
            let one = profile(
                name,
                &subject,
                workload,
                &options,
                self.interrupt,
                &mut show,
            )?;
            profiled.workloads.push(one);
            self.left.done_one();
        }
        Ok(())
    }

    fn options<'c>(&self, server: &str, classes: &'c WorkClasses) -> ProfileOptions<'c> {
        ProfileOptions {
            cost: CostOptions {
                boot: BootOptions {
                    workers: self.arguments.workers as usize,
                    ..self.place.boot(
                        self.folder.logs().join(format!("{server}.log")),
                        None,
                        self.arguments.timeout * 2,
                    )
                },
                driver_cpus: self.place.driver_cpus(),
                requests: [self.arguments.requests; 2],
                repeats: 1,
                kinds: Vec::new(),
                seed: self.arguments.seed,
                timeout: self.arguments.timeout,
                scratch: self.scratch.clone(),
            },
            profiler: self.profiler.clone(),
            classes,
            valgrind: self.valgrind.clone(),
            folder: self.folder.path.clone(),
            root: self.catalog.root.clone(),
        }
    }
}
