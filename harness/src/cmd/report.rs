//! `harness report`: the tables of a stored run again, without starting anything.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::results;
use crate::catalog::Catalog;
use crate::cli::{Filters, Status, Usage};
use crate::judge;
use crate::record::{Record, Store};
use crate::report;

/// The verb's flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's folder [bench-results/latest]
    folder: Option<PathBuf>,
    /// terminal, markdown, csv or json
    #[arg(long, default_value = "terminal")]
    format: String,
    /// Write the files made from the record again, beside it
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    filters: Filters,
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
    if arguments.filters.list {
        println!("would show {} as {}", record.run.id, arguments.format);
        return Ok(Status::Fine);
    }
    if arguments.write {
        let folder = database.parent().context("a database lies in a folder")?;
        results::write(&record, folder)?;
    }
    narrow(&mut record, &arguments.filters)?;
    let summary = judge::summarise(&record);
    let text = match arguments.format.as_str() {
        "terminal" => results::terminal(&record, &summary),
        name => report::FORMATS
            .iter()
            .find(|format| format.name == name)
            .map(|format| (format.render)(&record, &summary))
            .ok_or_else(|| {
                let mut known = vec!["terminal"];
                known.extend(report::FORMATS.iter().map(|format| format.name));
                Usage(crate::catalog::names::unknown("format", name, &known))
            })?,
    };
    println!("{}", text.trim_end());
    Ok(Status::Fine)
}

/// Leaves out what the filters leave out; names are those of the record, since the
/// workspace may have changed.
fn narrow(record: &mut Record, filters: &Filters) -> Result<()> {
    let known: Vec<&str> = record
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    refuse_unknown("server", &filters.server, &known)?;
    let known: Vec<&str> = record.run.workloads.keys().map(String::as_str).collect();
    refuse_unknown("workload", &filters.workload, &known)?;
    let stages = filters.stages()?;
    let keep = |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
    record
        .servers
        .retain(|server| keep(&filters.server, &server.name));
    record
        .run
        .workloads
        .retain(|workload, _| keep(&filters.workload, workload));
    record.trials.retain(|trial| {
        keep(&filters.server, &trial.server)
            && keep(&filters.workload, &trial.workload)
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
