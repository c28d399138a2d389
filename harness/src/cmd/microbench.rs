//! `harness microbench`: what parts of the servers and of the harness take by themselves.

mod criterion;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use record::{BenchedServer, Head, MICROBENCH_FILE, Microbenches, PackageFailure};

use super::machine::{CpuPlace, Cpus};
use super::progress::{PartsLeft, Progress};
use super::results::{self, Folder};
use crate::flags::{Printed, Servers, Status, Usage};
use catalog::{Benches, Catalog, Server};
use record::{Failure, Step};
use runner::{Interrupt, run_to_its_end};

const EXAMPLES: &str = "\
Examples:
  cargo harness microbench                        every benchmark, about 5 minutes after the builds
  cargo harness microbench --server NAME,OTHER    only the handlers of these servers
  cargo harness microbench --list                 show what would run
  cargo harness microbench --write                also renew harness/docs/microbench.json, which every run copies
  cargo harness microbench --from target/criterion
                                                  the tables of what `cargo bench` left there
  cargo harness microbench --from harness/docs/microbench.json --json

Runs the criterion benchmarks that packages of the workspace list in their manifests, one package at a time, \
with shorter times than criterion's: a server's handlers called without a socket, its router among 9 and 199 \
routes, up to 8 layers of middleware, JSON libraries, stores of orders, and the load generator's parser.

They show where a server's own time goes, not how fast it serves: there is no socket, no kernel, no second \
request at the same time, and everything is in the processor's caches.

Exit status: 0 success; 1 a package's benchmarks failed; 2 a bad flag; 130 interrupted.";

/// The figures that every run copies, relative to the workspace's root.
const KEPT: &str = super::results::MICROBENCH;
/// Criterion's flags. Its own times are 3 s and 5 s for each benchmark.
const SETTINGS: [&str; 7] = [
    "--noplot",
    "--warm-up-time",
    "0.3",
    "--measurement-time",
    "1.5",
    "--nresamples",
    "20000",
];
/// Only ids of the form TOPIC/SUBJECT/CASE belong in a table.
const TABULATED: &str = "^[^/]+/[^/]+/";

/// Flags of `harness microbench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Also replace harness/docs/microbench.json, which every run copies into its report
    #[arg(long, conflicts_with_all = ["server", "manifest", "list"])]
    write: bool,
    /// Show what would run, and do nothing else
    #[arg(long)]
    list: bool,
    /// Show stored figures, or what `cargo bench` left in a criterion folder on this machine; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "write"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    printed: Printed,
    /// Folder to store the figures in [default: bench-results/UTC-REVISION-microbench]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
}

/// Runs the benchmarks and prints their tables.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A package that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    if let Some(path) = &arguments.from {
        return finish(arguments, &stored(path, &servers)?);
    }
    let benches = chosen(arguments, &catalog, &servers)?;
    if arguments.list {
        for (package, target) in targets(&benches) {
            say!("would run {target} of {}", package.package);
        }
        return Ok(Status::Fine);
    }
    let interrupt = super::interrupt()?;
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-microbench")?;
    let mut micro = blank(folder.head::<Microbenches>(), &servers)?;
    let made = folder.path.join("criterion");
    micro.failures = run_all(&catalog, &benches, &folder, &made, &interrupt)?;
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    micro.benches = criterion::collect(&made)?;
    store::write_document(&micro, &folder.path.join(MICROBENCH_FILE))
        .with_context(|| format!("cannot write to {}", folder.shown()))?;
    eprintln!("stored in {}", folder.shown());
    if arguments.write && micro.failures.is_empty() {
        store::write_document(&micro, &catalog.root.join(KEPT))
            .with_context(|| format!("cannot write {KEPT}"))?;
        eprintln!("written to {KEPT}");
    }
    finish(arguments, &micro)
}

/// The packages to run: those of the selected servers, and the others unless servers were selected.
fn chosen(arguments: &Arguments, catalog: &Catalog, servers: &[Server]) -> Result<Vec<Benches>> {
    let mut benches = catalog.benches()?;
    benches.retain(|benches| match &benches.server {
        Some(name) => servers.iter().any(|server| server.name == *name),
        None => arguments.servers.server.is_empty(),
    });
    if benches.is_empty() {
        return Err(Usage(
            "none of these servers lists benchmarks: its framework can't be called without a socket, or its \
             Cargo.toml lacks `microbench = [\"handlers\"]` under [package.metadata]"
                .to_owned(),
        )
        .into());
    }
    Ok(benches)
}

fn targets(benches: &[Benches]) -> Vec<(&Benches, &str)> {
    let mut all = Vec::new();
    for package in benches {
        all.extend(
            package
                .targets
                .iter()
                .map(|target| (package, target.as_str())),
        );
    }
    all
}

/// Builds and runs each, its criterion folder being `made`. Returns what failed.
fn run_all(
    catalog: &Catalog,
    benches: &[Benches],
    folder: &Folder,
    made: &Path,
    interrupt: &Interrupt,
) -> Result<Vec<PackageFailure>> {
    let mut progress = Progress::new();
    let mut failures = Vec::new();
    let targets = targets(benches);
    let mut left = PartsLeft::new(targets.len());
    for (number, (package, target)) in (1..).zip(&targets) {
        let (name, of) = (&package.package, targets.len());
        let told = left.told();
        progress.note(&format!("{number} of {of}{told}: {target} of {name}"));
        left.done_one();
        let log = folder.logs().join(format!("{name}-{target}.log"));
        let outcome = run_to_its_end(
            &command(catalog, package, target, made),
            &catalog.root,
            &log,
            interrupt,
        );
        if interrupt.is_set() {
            break;
        }
        if let Err(error) = outcome {
            let text = fs::read(&log).unwrap_or_default();
            let failure = Failure {
                step: Step::Build,
                reason: format!("the benchmark {target} failed: {error:#}"),
                log_tail: runner::tail(&String::from_utf8_lossy(&text)),
            };
            progress.fail(name, &failure);
            failures.push(PackageFailure {
                package: name.clone(),
                failure,
            });
        }
    }
    progress.finish();
    Ok(failures)
}

/// One package at a time: cargo unifies the features of all that it builds together.
fn command(catalog: &Catalog, package: &Benches, target: &str, made: &Path) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let home = format!("CRITERION_HOME={}", made.display());
    let mut command = ["env", &home, &cargo, "bench", "--locked"]
        .map(str::to_owned)
        .to_vec();
    let own = ["--package", &package.id.repr, "--bench", target];
    command.extend(own.map(str::to_owned));
    command.push("--target-dir".to_owned());
    command.push(catalog.target.to_string_lossy().into_owned());
    command.extend(["--", TABULATED].map(str::to_owned));
    command.extend(SETTINGS.map(str::to_owned));
    command
}

fn blank(head: Head, servers: &[Server]) -> Result<Microbenches> {
    let place = CpuPlace::find(&Cpus::default())?;
    let server = |server: &Server| BenchedServer {
        name: server.name.clone(),
        display: server.about.display.clone(),
        version: server.version.clone(),
    };
    Ok(Microbenches {
        head,
        environment: place.described(&runner::rustc_version().unwrap_or_default()),
        servers: servers.iter().map(server).collect(),
        benches: Vec::new(),
        failures: Vec::new(),
    })
}

/// A stored file, or what a criterion folder holds.
fn stored(path: &Path, servers: &[Server]) -> Result<Microbenches> {
    if !path.is_dir() || path.join(MICROBENCH_FILE).is_file() {
        return results::read_stored(path, MICROBENCH_FILE);
    }
    let benches = criterion::collect(path)?;
    if benches.is_empty() {
        return Err(Usage(format!(
            "{} has neither a {MICROBENCH_FILE} nor a criterion benchmark named TOPIC/SUBJECT/CASE: run \
             `harness microbench`, or `cargo bench -p PACKAGE` and give target/criterion",
            path.display()
        ))
        .into());
    }
    let head = Head {
        started_at: jiff::Timestamp::now().to_string(),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Head::of::<Microbenches>()
    };
    Ok(Microbenches {
        benches,
        ..blank(head, servers)?
    })
}

fn finish(arguments: &Arguments, micro: &Microbenches) -> Result<Status> {
    results::print(
        &arguments.printed,
        micro,
        || report::microbench_page(micro),
        |colour| report::microbench_lines(micro, colour),
    )?;
    Ok(match micro.failures.is_empty() {
        true => Status::Fine,
        false => Status::Failed,
    })
}
