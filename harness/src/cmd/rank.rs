//! `harness rank`: servers across workloads, from one stored run or several.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::compare::{Format, colour, write};
use super::operand::{Operand, refuse_machines, refuse_unknown};
use crate::flags::{Status, Usage};
use judge::{By, Named, StandingChoice, standing};
use machine::{MachineDifference, differences};
use record::Record;
use report::{Colour, Ranked};

const EXAMPLES: &str = "\
Examples:
  harness rank                              the newest run
  harness rank monday tuesday               their rounds together
  harness rank latest --workload mixed,users --by cpu_us_per_request
  harness rank latest --format markdown --out standing.md

Every workload counts the same: a server's distance to the best of each is multiplied up, and
the root taken (geometric mean). Servers that tie share a rank such as 2-3. Only a server with a
valid row in every workload is ranked; why another is not stands below.

Unless --by says so, peak rate is ranked by where the load generator was no limit for any server of
any workload, else CPU time per request at the paced rate.

Exit status: 0 all well; 2 a run can't be read, or the runs must not be pooled.";

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Runs: folders, their run.sqlite or record.json, or names under bench-results/
    #[arg(value_name = "DIR", default_value = "latest")]
    runs: Vec<String>,
    /// The figure to rank by [what the runs allow]
    #[arg(long, value_name = "FIGURE")]
    by: Option<Figure>,
    /// Pool runs of different machines
    #[arg(long)]
    across_machines: bool,
    /// How to write it
    #[arg(long, default_value = "terminal")]
    format: Format,
    /// Write it to this file, replacing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only this server of the runs; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Choose"
    )]
    server: Vec<String>,
    /// Only this workload; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Choose"
    )]
    workload: Vec<String>,
}

/// A figure that all workloads can be ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Figure {
    /// Peak rate
    RequestsPerS,
    /// CPU time per request at the paced rate
    CpuUsPerRequest,
}

impl From<Figure> for By {
    fn from(figure: Figure) -> Self {
        match figure {
            Figure::RequestsPerS => Self::Peak,
            Figure::CpuUsPerRequest => Self::Cost,
        }
    }
}

/// Ranks the servers of stored runs.
///
/// # Errors
/// [`Usage`] where the runs can't be read or must not be pooled.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let runs = load(&arguments.runs)?;
    let choice = choice(arguments, &runs)?;
    let machines = machines(&runs);
    refuse_machines(&machines, arguments.across_machines)?;
    refuse_engines(&runs)?;
    let named: Vec<Named<'_>> = runs
        .iter()
        .map(|run| Named {
            name: &run.record.run.id,
            record: &run.record,
        })
        .collect();
    let records: Vec<&Record> = runs.iter().map(|run| &run.record).collect();
    let standing = standing(&named, &choice);
    let ranked = Ranked {
        runs: &records,
        another_machine: &machines,
        standing: &standing,
    };
    let text = |colour| match arguments.format {
        Format::Terminal => ranked.terminal(colour),
        Format::Markdown => ranked.markdown(),
        Format::Json => ranked.json(),
    };
    match &arguments.out {
        Some(file) => {
            let operands: Vec<&Operand> = runs.iter().collect();
            write(file, &text(Colour::Never), &operands)?;
            say!(
                "{}: {} servers ranked",
                file.display(),
                standing.places.len()
            );
        }
        None => say!("{}", text(colour()).trim_end()),
    }
    Ok(Status::Fine)
}

fn load(names: &[String]) -> Result<Vec<Operand>> {
    let mut runs: Vec<Operand> = Vec::new();
    for name in names {
        let run = Operand::load(name)?;
        if let Some(server) = &run.server {
            return Err(Usage(format!(
                "{name}: whole runs are ranked; --server {server} narrows them"
            ))
            .into());
        }
        if let Some(twice) = runs.iter().find(|other| other.is(&run)) {
            return Err(Usage(format!(
                "{name} and {} are the same run: its rounds would count twice",
                twice.name
            ))
            .into());
        }
        runs.push(run);
    }
    Ok(runs)
}

/// What the flags choose, names being those of the runs.
fn choice(arguments: &Arguments, runs: &[Operand]) -> Result<StandingChoice> {
    let servers: BTreeSet<&str> = runs.iter().flat_map(Operand::servers).collect();
    refuse_unknown("server", &arguments.server, &servers)?;
    let workloads: BTreeSet<&str> = runs.iter().flat_map(Operand::workloads).collect();
    refuse_unknown("workload", &arguments.workload, &workloads)?;
    Ok(StandingChoice {
        servers: arguments.server.clone(),
        workloads: arguments.workload.clone(),
        by: arguments.by.map(By::from),
    })
}

/// Refuses to pool rounds that were driven over different engines.
fn refuse_engines(runs: &[Operand]) -> Result<()> {
    let of = |run: &Operand| format!("{} in {}", run.record.run.engine, run.name);
    let other = |run: &&Operand| run.record.run.engine != runs[0].record.run.engine;
    match runs.iter().find(other) {
        Some(run) => Err(Usage(format!(
            "the runs were driven over different engines ({} and {}), and what the client itself takes is in \
             every figure: rank them apart",
            of(&runs[0]),
            of(run)
        ))
        .into()),
        None => Ok(()),
    }
}

/// In what the machines differ from the first run's, each member once.
fn machines(runs: &[Operand]) -> Vec<MachineDifference> {
    let mut found: Vec<MachineDifference> = Vec::new();
    let first = &runs[0].record.environment;
    for run in &runs[1..] {
        for difference in differences(first, &run.record.environment) {
            if found.iter().all(|known| known.member != difference.member) {
                found.push(difference);
            }
        }
    }
    found
}
