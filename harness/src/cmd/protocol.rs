//! `harness protocol`: shows how each server handles unusual, slow, wrong and hostile clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::fuzz::{self, sent_so_far};
use super::machine::{CpuPlace, Cpus, descriptor_limit};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use super::{renew, renew_readmes, write_file};
use crate::flags::{Servers, Status, TableFormat, Usage, parse_duration};
use catalog::{Catalog, Server, names};
use record::{Document as _, PROTOCOL_FILE, Protocol, ProtocolCase, ProtocolServer};
use robustness::protocol::{self as cases, Case};
use runner::{Built, Done, Interrupt, ProtocolOptions, Referee};

const EXAMPLES: &str = "\
Examples:
  cargo harness protocol                       every server of the workspace, under a minute each
  cargo harness protocol --server NAME
  cargo harness protocol --list                list the cases and what the RFCs require
  cargo harness protocol --server NAME --only chunked --only length-negative
  cargo harness protocol --fuzz 100000 --write all servers, with mutated requests; update the docs
  cargo harness protocol --from bench-results/…-protocol/protocol.json --format markdown

Each server is built, started, and sent requests that are split, pipelined, oversized, malformed, \
contradictory or slow. Each case shows what the server did, what RFC 9110 or RFC 9112 requires, and \
whether the process is alive and responds correctly afterwards. A case fails only if the process ends or \
gives a wrong response to a request that the contract allows; everything else is only shown.

Marks: (none) conforms to the standard; ○ the standard allows it; ✗ violates the standard; ‼ a fault.

Exit status: 0 no fault; 1 a fault, or a server could not be built or started; 2 a bad flag; \
130 interrupted.";

/// The document about all servers.
const PAGE: &str = "harness/docs/PROTOCOL.md";
/// File descriptors to leave free when opening idle connections.
const SPARE_DESCRIPTORS: u64 = 200;

/// Flags of `harness protocol`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Run only this case; repeatable
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Output format
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    format: TableFormat,
    /// Show which servers would be tested and which cases would run, and do nothing else
    #[arg(long)]
    list: bool,
    /// Show a stored matrix; starts nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "list", "fuzz", "out"])]
    from: Option<PathBuf>,
    /// Regenerate harness/docs/PROTOCOL.md and the section in each server's README
    #[arg(long)]
    write: bool,
    /// Also send this many mutated requests, and store the results
    #[arg(long, value_name = "N")]
    fuzz: Option<u64>,
    /// Seed for mutated requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of connections that idle while one works
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    idle: usize,
    /// How long to wait for a response
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    patience: Duration,
    /// How long to watch a server that keeps a stalled connection open
    #[arg(long, value_name = "TIME", default_value = "35s", value_parser = parse_duration)]
    let_go: Duration,
    /// Maximum time until a server's first valid response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    ready_timeout: Duration,
    /// Folder to store it in [default: bench-results/UTC-REVISION-protocol]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

/// Builds and starts the selected servers, and runs the cases.
///
/// # Errors
/// If a name is unknown or nothing can be stored. A fault gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(path) = &arguments.from {
        return show_again(arguments, path);
    }
    let cases = chosen(&arguments.only)?;
    refuse_part_to_write(arguments)?;
    let (catalog, servers) = arguments.servers.with_all_routes()?;
    if arguments.list {
        return list(&servers, &cases);
    }
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = crate::cmd::interrupt()?;
    let folder = Folder::create_as(&catalog.root, arguments.out.as_deref(), "-protocol")?;
    let mut matrix = blank(arguments, &folder, &cases);
    let mut job = ProtocolJob {
        arguments,
        catalog: &catalog,
        place: &place,
        folder: &folder,
        cases,
        interrupt: &interrupt,
        progress: Progress::new(),
    };
    for server in &servers {
        let Some(column) = job.column(server) else {
            break;
        };
        for part in parts(arguments, &matrix, &column) {
            job.progress.print(part.trim_end())?;
        }
        matrix.servers.push(column);
        store(&matrix, &folder)?;
    }
    job.progress.finish();
    if interrupt.is_set() {
        return Ok(Status::Interrupted);
    }
    eprintln!("stored in {}", folder.shown());
    print(arguments, &matrix)?;
    if arguments.write {
        write(&matrix, &catalog)?;
    }
    Ok(status(&matrix))
}

fn chosen(only: &[String]) -> Result<Vec<Case>> {
    let all = cases::all().to_vec();
    Ok(names::select("case", all, |case| case.id, only).map_err(Usage)?)
}

/// Refuses to write documents from a part of the servers or cases: the rest would be lost from them.
fn refuse_part_to_write(arguments: &Arguments) -> Result<()> {
    let servers = &arguments.servers;
    let whole =
        arguments.only.is_empty() && servers.server.is_empty() && servers.manifest.is_empty();
    if arguments.write && !whole {
        refuse!(
            "--write: the documents cover all servers and cases; leave out --server, --manifest \
             and --only"
        );
    }
    Ok(())
}

fn list(servers: &[Server], cases: &[Case]) -> Result<Status> {
    for server in servers {
        say!("would test {}", server.name);
    }
    let mut concern = None;
    for case in cases {
        if concern.replace(case.concern) != Some(case.concern) {
            say!("{}", case.concern.title());
        }
        let judged = if case.in_terms { " *" } else { "" };
        say!("  {:<22} {}{judged}", case.id, case.sends);
        say!("  {:<22} {}: {}", "", case.rule.section, case.rule.asks);
    }
    say!("* the contract allows this request: a wrong response is a fault");
    Ok(Status::Fine)
}

fn show_again(arguments: &Arguments, path: &Path) -> Result<Status> {
    let matrix: Protocol = store::read_document(path)?;
    for server in &matrix.servers {
        for part in parts(arguments, &matrix, server) {
            say!("{}", part.trim_end());
        }
    }
    print(arguments, &matrix)?;
    if arguments.write {
        let (catalog, _) = arguments.servers.catalog()?;
        write(&matrix, &catalog)?;
    }
    Ok(status(&matrix))
}

/// What is printed of one server as text: its cases, then its mutated requests.
fn parts(arguments: &Arguments, matrix: &Protocol, server: &ProtocolServer) -> Vec<String> {
    if arguments.json || arguments.format != TableFormat::Text {
        return Vec::new();
    }
    let cases = report::protocol_lines(&matrix.cases, server, results::colour());
    let fuzz = server.fuzz.as_ref();
    let fuzz = fuzz.map(|fuzz| report::fuzz_lines(&server.name, fuzz));
    std::iter::once(cases).chain(fuzz).collect()
}

fn print(arguments: &Arguments, matrix: &Protocol) -> Result<()> {
    match (arguments.json, arguments.format) {
        (true, _) => say!("{}", matrix.to_json().trim_end()),
        (false, TableFormat::Markdown) => say!("{}", report::protocol_page(matrix).trim_end()),
        (false, TableFormat::Text) => {}
    }
    Ok(())
}

fn status(matrix: &Protocol) -> Status {
    match matrix.servers.iter().any(ProtocolServer::is_fault) {
        true => Status::Failed,
        false => Status::Fine,
    }
}

/// The matrix before any server was tested.
fn blank(arguments: &Arguments, folder: &Folder, cases: &[Case]) -> Protocol {
    Protocol {
        head: folder.head::<Protocol>(),
        patience_s: arguments.patience.as_secs_f64(),
        let_go_s: arguments.let_go.as_secs_f64(),
        idle_connections: arguments.idle,
        cases: cases
            .iter()
            .map(|case| ProtocolCase {
                id: case.id.to_owned(),
                concern: case.concern.title().to_owned(),
                sends: case.sends.to_owned(),
                section: case.rule.section.to_owned(),
                asks: case.rule.asks.to_owned(),
                in_terms: case.in_terms,
            })
            .collect(),
        servers: Vec::new(),
    }
}

/// What every server needs.
struct ProtocolJob<'a> {
    arguments: &'a Arguments,
    catalog: &'a Catalog,
    place: &'a CpuPlace,
    folder: &'a Folder,
    cases: Vec<Case>,
    interrupt: &'a Interrupt,
    progress: Progress,
}

impl ProtocolJob<'_> {
    /// One server's column; `None` if the user interrupted.
    fn column(&mut self, server: &Server) -> Option<ProtocolServer> {
        let mut column = ProtocolServer {
            name: server.name.clone(),
            display: server.about.display.clone(),
            class: server.about.class.clone(),
            upstream: server.about.upstream.clone(),
            version: server.version.clone(),
            cells: Vec::new(),
            afterwards: None,
            stop_failure: None,
            failure: None,
            fuzz: None,
        };
        self.progress.note(&format!("building {}", server.name));
        let tried = runner::build(self.catalog, server, self.interrupt)
            .and_then(|built| self.fill(&built, &mut column));
        if self.interrupt.is_set() {
            return None;
        }
        if let Err(failure) = tried {
            self.progress.fail(&server.name, &failure);
            column.failure = Some(failure);
        }
        Some(column)
    }

    fn fill(&mut self, built: &Built, column: &mut ProtocolServer) -> Result<(), record::Failure> {
        let name = built.server.name.clone();
        let options = self.options(&name);
        let referee = Referee::new();
        let progress = &mut self.progress;
        let mut show = |done: Done| {
            progress.part(&format!(
                "{name}: {} of {} cases, about {} left",
                done.done,
                done.of,
                show_time(done.left)
            ));
        };
        let tried = runner::protocol(built, &options, &referee, self.interrupt, &mut show)?;
        column.cells = tried.cells;
        column.afterwards = tried.afterwards;
        column.stop_failure = tried.stop_failure;
        if let Some(requests) = self.arguments.fuzz {
            let options = fuzz::options(requests, self.arguments.seed, options.boot);
            let mut show = sent_so_far(&mut self.progress, &name, requests);
            let found = runner::fuzz(built, &options, &referee, self.interrupt, &mut show)?;
            column.fuzz = Some(found);
        }
        Ok(())
    }

    fn options(&self, server: &str) -> ProtocolOptions {
        let most = descriptor_limit().saturating_sub(SPARE_DESCRIPTORS);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        ProtocolOptions {
            cases: self.cases.clone(),
            boot: self.place.boot(
                self.folder.logs().join(format!("{server}.log")),
                None,
                self.arguments.ready_timeout,
            ),
            patience: self.arguments.patience,
            let_go: self.arguments.let_go,
            idle: self.arguments.idle.min(most),
            idle_wanted: self.arguments.idle,
        }
    }
}

/// Stores the matrix after every server, so that an interrupt loses only the current one.
fn store(matrix: &Protocol, folder: &Folder) -> Result<()> {
    let path = folder.path.join(PROTOCOL_FILE);
    let text = matrix.to_json();
    let text = folder.hidden().clean(&text).into_owned();
    write_file(&path, &text)
}

/// Regenerates the documents from the matrix.
fn write(matrix: &Protocol, catalog: &Catalog) -> Result<()> {
    if let Some(server) = matrix
        .servers
        .iter()
        .find(|server| server.failure.is_some())
    {
        anyhow::bail!(
            "the documents were not updated: {} could not be tested",
            server.name
        );
    }
    renew(&catalog.root.join(PAGE), &report::protocol_page(matrix))?;
    renew(&catalog.root.join(results::MATRIX), &matrix.to_json())?;
    let columns = matrix.servers.iter();
    let sections = columns.map(|column| (&*column.name, report::protocol_section(matrix, column)));
    renew_readmes(catalog, sections)
}
