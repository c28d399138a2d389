//! `harness rank`: ranks servers across workloads, from one or more stored runs.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::compare::{Format, Output};
use super::operand::{Operand, refuse_machines, refuse_unknown};
use crate::flags::Status;
use judge::{By, Named, StandingChoice, standing};
use machine::{MachineDifference, differences};
use record::Record;
use report::Ranked;

const EXAMPLES: &str = "\
Examples:
  cargo harness rank                              the newest run
  cargo harness rank monday tuesday               pool the rounds of two runs
  cargo harness rank latest --workload mixed,users --by cpu_us_per_request
  cargo harness rank latest --format markdown --out standing.md

All workloads have equal weight: a server's score is the geometric mean of its ratios to the best server \
of each workload. Servers that tie share a rank, such as 2-3. Only servers with a valid row in every \
workload are ranked; the reasons for the others are listed below the table.

Without --by, servers are ranked by peak rate if the load generator limited no server in any workload, \
otherwise by CPU time per request at the paced rate.

Exit status: 0 ranked; 2 a run can't be read, or the runs must not be pooled.";

/// Flags of `harness rank`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Runs to rank: folders, their run.sqlite or record.json, or names under bench-results/
    #[arg(value_name = "DIR", default_value = "latest")]
    runs: Vec<String>,
    /// Figure to rank by [default: peak rate if possible, else CPU time]
    #[arg(long, value_name = "FIGURE")]
    by: Option<RankFigure>,
    /// Pool runs from different machines
    #[arg(long)]
    across_machines: bool,
    #[command(flatten)]
    output: Output,
    /// Rank only this server; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    server: Vec<String>,
    /// Use only this workload; repeatable, or separated by commas
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    workload: Vec<String>,
}

/// A figure that servers can be ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RankFigure {
    /// Peak rate
    RequestsPerS,
    /// CPU time per request at the paced rate
    CpuUsPerRequest,
}

impl From<RankFigure> for By {
    fn from(figure: RankFigure) -> Self {
        match figure {
            RankFigure::RequestsPerS => Self::Peak,
            RankFigure::CpuUsPerRequest => Self::Cost,
        }
    }
}

/// Ranks the servers of stored runs.
///
/// # Errors
/// [`Usage`](crate::flags::Usage) if the runs can't be read or must not be pooled.
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
    let text = |format, colour| match format {
        Format::Terminal => ranked.terminal(colour),
        Format::Markdown => ranked.markdown(),
        Format::Json => ranked.json(),
    };
    let counts = format!("{} servers ranked", standing.places.len());
    let read: Vec<_> = runs.iter().map(Operand::file).collect();
    arguments.output.show(&counts, &read, text)?;
    Ok(Status::Fine)
}

fn load(names: &[String]) -> Result<Vec<Operand>> {
    let mut runs: Vec<Operand> = Vec::new();
    for name in names {
        let run = Operand::load(name)?;
        if let Some(server) = &run.server {
            refuse!("{name}: rank takes whole runs; use --server {server} to select servers");
        }
        if let Some(twice) = runs.iter().find(|other| other.is(&run)) {
            refuse!(
                "{name} and {} are the same run: its rounds would count twice",
                twice.name
            );
        }
        runs.push(run);
    }
    Ok(runs)
}

/// What the flags select, checked against the names in the runs.
fn choice(arguments: &Arguments, runs: &[Operand]) -> Result<StandingChoice> {
    let servers: BTreeSet<&str> = runs.iter().flat_map(Operand::servers).collect();
    refuse_unknown("server", &arguments.server, servers)?;
    let workloads: BTreeSet<&str> = runs.iter().flat_map(Operand::workloads).collect();
    refuse_unknown("workload", &arguments.workload, workloads)?;
    Ok(StandingChoice {
        servers: arguments.server.clone(),
        workloads: arguments.workload.clone(),
        by: arguments.by.map(By::from),
    })
}

/// Refuses to pool runs that used different I/O backends.
fn refuse_engines(runs: &[Operand]) -> Result<()> {
    let of = |run: &Operand| format!("{} in {}", run.record.run.engine, run.name);
    let other = |run: &&Operand| run.record.run.engine != runs[0].record.run.engine;
    match runs.iter().find(other) {
        Some(run) => refuse!(
            "the runs used different I/O backends ({} and {}), and the load generator's own cost is in \
             every figure: rank them separately",
            of(&runs[0]),
            of(run)
        ),
        None => Ok(()),
    }
}

/// How the machines differ from the first run's, each difference once.
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
