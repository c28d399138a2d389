//! `harness cost`: counts what a request costs each server, and whether it costs more than before.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use record::{COST_FILE, Costs, ServerCost};

use super::bench::against::{self, Base};
use super::counting_build;
use super::machine::{CpuPlace, Cpus};
use super::progress::{PartsLeft, Progress};
use super::results::{self, Folder};
use crate::flags::{OnlyWorkloads, Printed, Servers, Status, Usage, parse_duration, workloads};
use ::cost::{CostKind, CostOptions, Subject, Tools};
use catalog::{CHECKED_CALLS, Catalog, Server, Workload, names};
use judge::{CostChange, CostLimit, cost_changes, unjudged};
use record::{BUILD_MARK, Failure};
use runner::{BootOptions, Interrupt};

const EXAMPLES: &str = "\
Examples:
  cargo harness cost                              every server and workload
  cargo harness cost --server NAME,OTHER --workload ping --repeats 10
  cargo harness cost --server NAME --against main --fail-on 'instructions>0.5%,allocations>0'
                                                  does my change make a request more expensive?
  cargo harness cost --save cost.json             renew a committed baseline
  cargo harness cost --against cost.json --fail-on 'instructions>0.5%'
  cargo harness cost --from bench-results/…-cost --format markdown

Requests per second depend on the machine and the hour; these counts hardly do, so they also work in CI \
and on a laptop. One connection sends one request after the other. User instructions come from the \
processor's counters through perf, or from valgrind's callgrind where there are none. Allocations come from \
a separate build of the server with a counting allocator, system calls from strace. A figure that can't be \
counted is left out, with the reason.

Instructions are not time: they leave out the kernel, cache misses and waiting.

Exit status: 0 success; 1 a server failed, or a cost grew by more than --fail-on allows; 2 a bad flag; \
130 interrupted.";

/// Flags of `harness cost`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// How often each figure is counted
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Number of requests to count; rounded up to a multiple of 256, and more for instructions if they are few
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    requests: u64,
    /// Count only this: allocations, instructions, syscalls or process; repeatable, or separated by commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<String>,
    /// Worker threads of each server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Seed of the drawn requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compare with a stored cost.json, or with the servers of another git revision
    #[arg(long, value_name = "FILE|REV")]
    against: Option<String>,
    /// Exit with status 1 if a cost grows by more than this, as in instructions>0.5%,allocations>0
    #[arg(long, value_name = "LIMITS", value_delimiter = ',', value_parser = CostLimit::parse, requires = "against")]
    fail_on: Vec<CostLimit>,
    /// Also write the costs to this file, to be committed as a baseline; replaces it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Show stored costs; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "save"])]
    from: Option<PathBuf>,
    /// Show what would be counted, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    printed: Printed,
    /// Time limit for a response; a server under valgrind is many times slower
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store the costs in [default: bench-results/UTC-REVISION-cost]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    loads: OnlyWorkloads,
    #[command(flatten)]
    cpus: Cpus,
}

/// Builds and counts the selected servers.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(path) = &arguments.from {
        let costs = results::read_stored(path, COST_FILE)?;
        let base = arguments
            .against
            .as_deref()
            .map(|file| results::read_stored(Path::new(file), COST_FILE));
        return finish(arguments, &costs, base.transpose()?.as_ref());
    }
    let (catalog, mut servers) = arguments.servers.catalog()?;
    let kinds = CostKind::ALL.to_vec();
    let kinds = names::select("kind of cost", kinds, |kind| kind.name(), &arguments.only);
    let kinds = kinds.map_err(Usage)?;
    let workloads = workloads(&catalog, &arguments.loads.workload)?;
    let stored = arguments
        .against
        .as_deref()
        .map(Path::new)
        .filter(|path| path.exists());
    let stored = stored
        .map(|path| results::read_stored(path, COST_FILE))
        .transpose()?;
    let revision = match (&stored, arguments.against.as_deref()) {
        (None, Some(revision)) => Some(Base::find(&catalog, revision, &servers)?),
        _ => None,
    };
    if arguments.list {
        for server in &servers {
            let names: Vec<&str> = workloads
                .iter()
                .map(|workload| workload.name.as_str())
                .collect();
            say!("would count {}: {}", server.name, names.join(", "));
        }
        return Ok(Status::Fine);
    }
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = super::interrupt()?;
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-cost")?;
    servers.extend(revision.iter().flat_map(Base::servers));
    // Removed when this ends.
    let _tree = against::check_out(revision.as_ref(), &catalog, &mut servers, &interrupt)?;
    let tools = Tools::find();
    let mut costs = blank(arguments, &folder, &place, &tools);
    let scratch = tempfile::tempdir().context("cannot create a temporary folder")?;
    let mut job = CostJob {
        arguments,
        catalog: &catalog,
        place: &place,
        folder: &folder,
        workloads: &workloads,
        kinds: &kinds,
        tools: &tools,
        scratch: scratch.path(),
        interrupt: &interrupt,
        progress: Progress::new(),
        left: PartsLeft::new(servers.len() * workloads.len()),
    };
    for server in &servers {
        let counted = job.count(server);
        if interrupt.is_set() {
            break;
        }
        costs.servers.push(counted);
        store::write_document(&costs, &folder.path.join(COST_FILE))
            .with_context(|| format!("cannot write to {}", folder.shown()))?;
    }
    job.progress.finish();
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    folder.point_here(results::LATEST_COST);
    eprintln!("stored in {}", folder.shown());
    if let Some(path) = &arguments.save {
        let mut kept = costs.clone();
        kept.servers
            .retain(|server| !server.name.contains(BUILD_MARK));
        store::write_document(&kept, path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("saved as {}", path.display());
    }
    finish(arguments, &costs, stored.as_ref())
}

/// Requests of the short and of the long load: whole passes through the list of a workload.
fn loads(arguments: &Arguments) -> [u64; 2] {
    let pass = CHECKED_CALLS as u64;
    [pass, pass + arguments.requests.next_multiple_of(pass)]
}

fn blank(arguments: &Arguments, folder: &Folder, place: &CpuPlace, tools: &Tools) -> Costs {
    Costs {
        head: folder.head_on::<Costs>(place),
        workers: arguments.workers as usize,
        requests: loads(arguments),
        seed: arguments.seed,
        counted_by: tools.counted_by(),
        absent: tools.absent(),
        servers: Vec::new(),
    }
}

/// What every server needs.
struct CostJob<'a> {
    arguments: &'a Arguments,
    catalog: &'a Catalog,
    place: &'a CpuPlace,
    folder: &'a Folder,
    workloads: &'a [Workload],
    kinds: &'a [CostKind],
    tools: &'a Tools,
    scratch: &'a Path,
    interrupt: &'a Interrupt,
    progress: Progress,
    left: PartsLeft,
}

impl CostJob<'_> {
    fn count(&mut self, server: &Server) -> ServerCost {
        let mut cost = ServerCost {
            name: server.name.clone(),
            display: server.about.display.clone(),
            class: server.about.class.clone(),
            version: server.version.clone(),
            sha256: None,
            failure: None,
            workloads: Vec::new(),
        };
        if let Err(failure) = self.fill(server, &mut cost)
            && !self.interrupt.is_set()
        {
            self.progress.fail(&server.name, &failure);
            cost.failure = Some(failure);
        }
        cost
    }

    fn fill(&mut self, server: &Server, cost: &mut ServerCost) -> Result<(), Failure> {
        self.progress.note(&format!("building {}", server.name));
        let begin = Instant::now();
        let built = runner::build(self.catalog, server, self.interrupt)?;
        cost.sha256.clone_from(&built.record.sha256);
        let counting = match self.kinds.contains(&CostKind::Allocations) {
            true => counting_build(self.catalog, server, &mut self.progress, self.interrupt),
            false => Err("not counted".to_owned()),
        };
        self.left.leave_out(begin);
        let subject = Subject {
            built: &built,
            counted: counting.as_ref().map_err(String::as_str),
        };
        let options = self.options(&server.name);
        let workloads = self.workloads.iter();
        for workload in workloads.filter(|workload| server.takes_part(workload)) {
            let left = self.left.told();
            let (progress, name) = (&mut self.progress, &server.name);
            let mut show = |what: &str| {
                progress.part(&format!("{name}, {}: {what}{left}", workload.name));
            };
            let counted = ::cost::measure(
                &subject,
                workload,
                self.tools,
                &options,
                self.interrupt,
                &mut show,
            )?;
            cost.workloads.push(counted);
            self.left.done_one();
        }
        Ok(())
    }

    fn options(&self, server: &str) -> CostOptions {
        CostOptions {
            boot: BootOptions {
                workers: self.arguments.workers as usize,
                ..self.place.boot(
                    self.folder.logs().join(format!("{server}.log")),
                    None,
                    self.arguments.timeout * 2,
                )
            },
            driver_cpus: self.place.driver_cpus(),
            requests: loads(self.arguments),
            repeats: self.arguments.repeats,
            kinds: self.kinds.to_vec(),
            seed: self.arguments.seed,
            timeout: self.arguments.timeout,
            scratch: self.scratch.to_owned(),
        }
    }
}

/// Prints the costs, compares them, and says how it went.
fn finish(arguments: &Arguments, costs: &Costs, stored: Option<&Costs>) -> Result<Status> {
    results::print(
        &arguments.printed,
        costs,
        || report::cost_page(costs),
        |colour| report::cost_lines(costs, colour),
    )?;
    let failed = costs.servers.iter().any(|server| server.failure.is_some());
    // Where all failed, that is said already.
    let counted = costs
        .servers
        .iter()
        .any(|server| !server.workloads.is_empty());
    let exceeded = counted && arguments.against.is_some() && compare(arguments, costs, stored)?;
    Ok(match failed || exceeded {
        true => Status::Failed,
        false => Status::Fine,
    })
}

/// Prints what changed. Returns whether a cost grew by more than its limit.
fn compare(arguments: &Arguments, costs: &Costs, stored: Option<&Costs>) -> Result<bool> {
    if let Some(base) = stored
        && (base.workers, base.requests, base.seed) != (costs.workers, costs.requests, costs.seed)
    {
        refuse!(
            "{} was counted with other settings: use --workers {} --requests {} --seed {}, or save it again",
            arguments.against.as_deref().unwrap_or_default(),
            base.workers,
            base.requests[1] - base.requests[0],
            base.seed
        );
    }
    let base_of = |server: &ServerCost| match stored {
        Some(base) => base.server(&server.name),
        None => {
            let start = format!("{}{BUILD_MARK}", server.name);
            costs
                .servers
                .iter()
                .find(|other| other.name.starts_with(&start))
        }
    };
    let changes = cost_changes(costs, base_of, &arguments.fail_on);
    if changes.is_empty() {
        return Err(Usage(
            "the base has none of these servers and workloads: nothing to compare".to_owned(),
        )
        .into());
    }
    // With --json, standard output is one document.
    let lines = report::cost_changes(&changes, results::colour());
    match arguments.printed.json {
        true => eprintln!("{}", lines.trim_end()),
        false => say!("\n{}", lines.trim_end()),
    }
    for limit in unjudged(&changes, &arguments.fail_on) {
        eprintln!(
            "--fail-on {}: neither side has that figure, so it can't be judged",
            limit.figure.label
        );
    }
    let vain = !unjudged(&changes, &arguments.fail_on).is_empty();
    Ok(vain || changes.iter().any(|change: &CostChange<'_>| change.exceeds))
}
