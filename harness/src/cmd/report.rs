//! `harness report`: the tables of a stored run again, without starting anything.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::results;
use crate::catalog::Catalog;
use crate::cli::{Loads, Status, Usage};
use crate::judge;
use crate::record::{Record, Store};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  harness report                                     the newest run, as a terminal shows it
  harness report bench-results/reference --workload mixed
  harness report --format csv >figures.csv
  harness report --format markdown --server NAME,OTHER
  harness report --format bencher >bmf.json          for `bencher run --adapter json --file bmf.json`
  harness report DIR --write                         table.md, table.csv and record.json again

It reads run.sqlite in the folder and starts nothing. With some servers left out, ranks are
those among the others.";

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The run's folder [bench-results/latest]
    folder: Option<PathBuf>,
    /// terminal, markdown, csv or json; for trackers of figures over runs: bencher,
    /// github-action-benchmark-bigger or -smaller
    #[arg(long, default_value = "terminal")]
    format: String,
    /// Write the files made from the record again, beside it
    #[arg(long)]
    write: bool,
    /// Only this server of the run; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Choose"
    )]
    server: Vec<String>,
    #[command(flatten)]
    loads: Loads,
}

/// Prints a stored run.
///
/// # Errors
/// Where there is no such run, or it can't be read.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let root = Catalog::load(&[]).map(|catalog| catalog.root);
    let root = root.or_else(|_| std::env::current_dir())?;
    let database = results::database(&root, arguments.folder.as_deref())?;
    let mut record = Store::open(&database)?.load()?;
    if arguments.write {
        let folder = database.parent().context("a database lies in a folder")?;
        results::write(&record, folder)?;
    }
    narrow(&mut record, &arguments.server, &arguments.loads)?;
    let summary = judge::summarise(&record);
    let text = match arguments.format.as_str() {
        "terminal" => results::terminal(&record, &summary),
        name => report::formats()
            .find(|format| format.name == name)
            .map(|format| (format.render)(&record, &summary))
            .ok_or_else(|| {
                let mut known = vec!["terminal"];
                known.extend(report::formats().map(|format| format.name));
                Usage(crate::catalog::names::unknown("format", name, &known))
            })?,
    };
    say!("{}", text.trim_end());
    Ok(Status::Fine)
}

/// Leaves out what the filters leave out; names are those of the record, since the
/// workspace may have changed.
fn narrow(record: &mut Record, servers: &[String], loads: &Loads) -> Result<()> {
    let known: Vec<&str> = record
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    refuse_unknown("server", servers, &known)?;
    let known: Vec<&str> = record.run.workloads.keys().map(String::as_str).collect();
    refuse_unknown("workload", &loads.workload, &known)?;
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

fn refuse_unknown(what: &str, wanted: &[String], known: &[&str]) -> Result<()> {
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Usage(crate::catalog::names::unknown(what, name, known)).into()),
        None => Ok(()),
    }
}
