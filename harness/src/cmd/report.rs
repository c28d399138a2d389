//! `harness report`: prints the tables of a stored run without starting anything, or the history of
//! several runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::operand::{Operand, refuse_unknown, servers, workloads};
use super::{results, write_file};
use crate::flags::{Loads, Shown, Status, Usage};
use catalog::{Catalog, names};
use record::{Record, Summary};
use report::History;

const EXAMPLES: &str = "\
Examples:
  cargo harness report                                     the newest run, in the terminal
  cargo harness report bench-results/reference --workload mixed
  cargo harness report --wide                              with the ratio to the best for every figure
  cargo harness report --format html --out report.html     tables and charts in one file
  cargo harness report --format markdown --svg charts --out results.md
  cargo harness report --format csv >figures.csv           medians and intervals; use `trials` for every trial
  cargo harness report --format markdown --server NAME,OTHER
  cargo harness report --format bencher >bmf.json          for `bencher run --adapter json --file bmf.json`
  cargo harness report DIR --write                         rewrite all files made from the record
  cargo harness report DIR --with RESTARTS --write         add a folder of harness restart to its report
  cargo harness report DIR OTHER THIRD                     history of each server over these runs
  cargo harness report bench-results/2026* --format html --out history.html

It reads run.sqlite in the folder and starts nothing. If some servers are left out, the others are ranked \
among themselves. Several runs are shown oldest first, in whatever order you name them.";

/// Flags of `harness report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The run's folder [default: bench-results/latest]; several show their history
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// terminal, markdown, csv, html, trials (every trial, as CSV) or json; for services that track figures:
    /// bencher, github-action-benchmark-bigger or -smaller
    #[arg(long, default_value = "terminal")]
    format: String,
    /// Write to this file instead of printing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With --format markdown: write charts as SVG into this folder and link them below the tables
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Show the ratio to the best, with its interval, for every figure; needs a wide terminal
    #[arg(long)]
    wide: bool,
    /// Also show what `harness capacity`, `restart` or `upstream` stored in this folder; with --write, keep it with the run
    #[arg(long, value_name = "FOLDER")]
    with: Vec<PathBuf>,
    /// Rewrite all files made from the record, next to it
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    only: Shown,
}

/// Prints a stored run.
///
/// # Errors
/// If there is no such run, or it can't be read.
pub fn run(arguments: &Arguments) -> Result<Status> {
    if arguments.svg.is_some() && arguments.format != "markdown" {
        refuse!("--svg needs --format markdown");
    }
    if arguments.wide && arguments.format != "terminal" {
        refuse!(
            "--wide is only for --format terminal; html, csv and json always include these columns"
        );
    }
    let text = match arguments.folders.as_slice() {
        [] => of_one(arguments, None)?,
        [folder] => of_one(arguments, Some(folder))?,
        several => of_several(arguments, several)?,
    };
    match &arguments.out {
        Some(file) => write_file(file, &text)?,
        None => say!("{}", text.trim_end()),
    }
    Ok(Status::Fine)
}

fn of_one(arguments: &Arguments, folder: Option<&Path>) -> Result<String> {
    let root = Catalog::load(&[]).map(|catalog| catalog.root);
    let root = root.or_else(|_| std::env::current_dir())?;
    let database = results::database(&root, folder)?;
    let mut record = results::load(&database)?;
    let own = database.parent();
    let own = own.context("the database has no parent folder")?;
    for folder in &arguments.with {
        results::add(&mut record, folder, arguments.write.then_some(own))?;
    }
    if arguments.write {
        results::write(&record, own)?;
    }
    refuse_unknown("server", &arguments.only.server, servers(&record))?;
    refuse_unknown(
        "workload",
        &arguments.only.loads.workload,
        workloads(&record),
    )?;
    narrow(&mut record, &arguments.only.server, &arguments.only.loads)?;
    let summary = report::summarise(&record);
    match (&arguments.svg, arguments.format.as_str()) {
        (Some(folder), _) => illustrated(&record, &summary, folder, arguments.out.as_deref()),
        (None, "terminal") if arguments.wide => {
            Ok(report::terminal_wide(&record, &summary, results::colour()))
        }
        (None, "terminal") => Ok(results::terminal(&record, &summary)),
        (None, name) => report::formats()
            .find(|format| format.name == name)
            .map(|format| (format.render)(&record, &summary))
            .ok_or_else(|| {
                unknown_format(name, report::formats().map(|format| format.name)).into()
            }),
    }
}

/// Writes the charts and returns the Markdown that links to them.
fn illustrated(
    record: &Record,
    summary: &Summary,
    folder: &Path,
    out: Option<&Path>,
) -> Result<String> {
    // Links are relative to the Markdown file, if there is one.
    let beside = out.and_then(Path::parent);
    let named = beside
        .and_then(|parent| folder.strip_prefix(parent).ok())
        .unwrap_or(folder);
    let made = report::illustrated(record, summary, &named.display().to_string());
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, svg) in &made.files {
        write_file(&folder.join(name), svg)?;
    }
    Ok(made.text)
}

fn of_several(arguments: &Arguments, folders: &[PathBuf]) -> Result<String> {
    let single = [
        (arguments.write, "--write"),
        (arguments.wide, "--wide"),
        (arguments.svg.is_some(), "--svg"),
        (!arguments.with.is_empty(), "--with"),
    ];
    if let Some((_, flag)) = single.iter().find(|(given, _)| *given) {
        refuse!("{flag} takes one run, but {} are given", folders.len());
    }
    let mut records = Vec::new();
    for folder in folders {
        records.push(Operand::load(&folder.to_string_lossy())?.record);
    }
    let known: BTreeSet<&str> = records.iter().flat_map(servers).collect();
    refuse_unknown("server", &arguments.only.server, known)?;
    let known: BTreeSet<&str> = records.iter().flat_map(workloads).collect();
    refuse_unknown("workload", &arguments.only.loads.workload, known)?;
    let mut runs = Vec::new();
    for mut record in records {
        narrow(&mut record, &arguments.only.server, &arguments.only.loads)?;
        let summary = report::summarise(&record);
        runs.push((record, summary));
    }
    let history = History::of(&runs);
    match arguments.format.as_str() {
        "terminal" => Ok(history.terminal(results::colour())),
        "markdown" => Ok(history.markdown()),
        "csv" => Ok(history.csv()),
        "html" => Ok(history.html()),
        "json" => Ok(history.json()),
        name => Err(unknown_format(name, ["markdown", "csv", "html", "json"]).into()),
    }
}

fn unknown_format(name: &str, known: impl IntoIterator<Item = &'static str>) -> Usage {
    let all: Vec<&str> = std::iter::once("terminal").chain(known).collect();
    Usage(names::unknown("format", name, &all))
}

/// Removes what the filters exclude.
fn narrow(record: &mut Record, servers: &[String], loads: &Loads) -> Result<()> {
    let stages = loads.stages()?;
    let keep = |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
    record.servers.retain(|server| keep(servers, &server.name));
    record
        .run
        .workloads
        .retain(|workload, _| keep(&loads.workload, workload));
    record.trials.retain(|trial| {
        keep(servers, &trial.server)
            && keep(&loads.workload, &trial.workload)
            && stages.contains(&trial.stage)
    });
    Ok(())
}
