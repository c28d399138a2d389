//! `harness fairness`: shows whether servers run under the same conditions.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use record::{FAIRNESS_FILE, Failure, Fairness, ServerFairness};

use super::machine::{CpuPlace, Cpus};
use super::progress::Progress;
use super::results::{self, Folder};
use super::{renew, renew_readmes};
use crate::flags::{Printed, Servers, Status, parse_duration, workloads};
use ::cost::FairnessOptions;
use catalog::{Catalog, Server, Source, Workload};
use runner::Interrupt;

const EXAMPLES: &str = "\
Examples:
  cargo harness fairness                           every server, about 15 s each after the build
  cargo harness fairness --server NAME,OTHER --format markdown
  cargo harness fairness --json
  cargo harness fairness --write                   all servers; update the docs
  cargo harness fairness --from bench-results/…-fairness --format markdown

Starts each server and looks at its process and its connections: threads that work with 1 and 2 \
workers, the allocator, socket options, how long connections are kept, limits on bodies and heads, how \
old a Date may be, and the HTTP parser. Below the table are all differences. Only two are errors: a \
number of busy threads other than --workers, and packages of the workspace with different allocators. \
What can't be seen is left out, with the reason.

Exit status: 0 success; 1 an error as above, or a server failed; 2 a bad flag; 130 interrupted.";

/// The document about all servers.
const PAGE: &str = "harness/docs/FAIRNESS.md";
/// The workload that shows which threads work.
const WORKLOAD: &str = "users";

/// Flags of `harness fairness`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Show what was stored; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out"])]
    from: Option<PathBuf>,
    /// Show which servers would be looked at, and do nothing else
    #[arg(long)]
    list: bool,
    /// Regenerate harness/docs/FAIRNESS.md and the section in each server's README
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    printed: Printed,
    /// Time limit for a start and for a response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder to store it in [default: bench-results/UTC-REVISION-fairness]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

/// Builds the selected servers and looks at them.
///
/// # Errors
/// If a name is unknown or nothing can be stored. An unfair difference or a server that fails gives
/// [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let part = !arguments.servers.server.is_empty() || !arguments.servers.manifest.is_empty();
    if arguments.write && part && arguments.from.is_none() {
        refuse!("--write: the documents cover all servers; leave out --server and --manifest");
    }
    if let Some(path) = &arguments.from {
        let fairness = results::read_stored(path, FAIRNESS_FILE)?;
        return finish(arguments, &fairness);
    }
    let (catalog, servers) = arguments.servers.with_all_routes()?;
    if arguments.list {
        for server in &servers {
            say!("would look at {}", server.name);
        }
        return Ok(Status::Fine);
    }
    let workloads = workloads(&catalog, &[WORKLOAD.to_owned()])?;
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = super::interrupt()?;
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-fairness")?;
    let mut job = FairnessJob {
        arguments,
        catalog: &catalog,
        workload: workloads.first().context("there is no workload")?,
        place: &place,
        folder: &folder,
        interrupt: &interrupt,
        progress: Progress::new(),
    };
    let mut fairness = Fairness {
        head: folder.head::<Fairness>(),
        servers: Vec::new(),
    };
    for server in &servers {
        let seen = job.look(server);
        if interrupt.is_set() {
            break;
        }
        fairness.servers.push(seen);
        store::write_document(&fairness, &folder.path.join(FAIRNESS_FILE))
            .with_context(|| format!("cannot write to {}", folder.shown()))?;
    }
    job.progress.finish();
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    eprintln!("stored in {}", folder.shown());
    finish(arguments, &fairness)
}

/// What every server needs.
struct FairnessJob<'a> {
    arguments: &'a Arguments,
    workload: &'a Workload,
    place: &'a CpuPlace,
    folder: &'a Folder,
    interrupt: &'a Interrupt,
    catalog: &'a Catalog,
    progress: Progress,
}

impl FairnessJob<'_> {
    fn look(&mut self, server: &Server) -> ServerFairness {
        let mut seen = ServerFairness {
            name: server.name.clone(),
            display: server.about.display.clone(),
            class: server.about.class.clone(),
            version: server.version.clone(),
            package: matches!(server.source, Source::Package { .. }),
            ..ServerFairness::default()
        };
        if let Err(mut failure) = self.fill(server, &mut seen)
            && !self.interrupt.is_set()
        {
            self.progress.fail(&server.name, &failure);
            self.folder.clean(&mut failure);
            seen.failure = Some(failure);
        }
        seen
    }

    fn fill(&mut self, server: &Server, seen: &mut ServerFairness) -> Result<(), Failure> {
        self.progress.note(&format!("building {}", server.name));
        let built = runner::build(self.catalog, server, self.interrupt)?;
        let log = self.folder.logs().join(format!("{}.log", server.name));
        let options = FairnessOptions {
            boot: self.place.boot(log, None, self.arguments.timeout),
            driver_cpus: self.place.driver_cpus(),
            timeout: self.arguments.timeout,
        };
        let (progress, name) = (&mut self.progress, &server.name);
        let mut show = |what: &str| progress.part(&format!("{name}: {what}"));
        ::cost::fairness(
            server,
            &built.launch,
            self.workload,
            &options,
            self.interrupt,
            seen,
            &mut show,
        )
    }
}

/// Prints the table, writes the documents, and says how it went.
fn finish(arguments: &Arguments, fairness: &Fairness) -> Result<Status> {
    results::print(
        &arguments.printed,
        fairness,
        || report::fairness_page(fairness),
        |colour| report::fairness_lines(fairness, colour),
    )?;
    let failed = fairness
        .servers
        .iter()
        .find(|server| server.failure.is_some());
    if arguments.write {
        if let Some(server) = failed {
            anyhow::bail!("the documents were not updated: {} failed", server.name);
        }
        let (catalog, _) = arguments.servers.catalog()?;
        renew(&catalog.root.join(PAGE), &report::fairness_page(fairness))?;
        let sections = fairness.servers.iter();
        let sections = sections.map(|seen| (&*seen.name, report::fairness_section(fairness, seen)));
        renew_readmes(&catalog, sections)?;
    }
    Ok(match failed.is_some() || !fairness.unfair().is_empty() {
        true => Status::Failed,
        false => Status::Fine,
    })
}
