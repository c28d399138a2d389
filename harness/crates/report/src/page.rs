//! The contents of a report, independent of the output format.

use std::collections::BTreeMap;

use record::{Ended, Environment, Finding, Level, Moment, Record, Run, Server, Summary};
use words::counted;

use super::grid::Grid;
use super::notes::Notes;
use super::number::significant;
use super::workload_table::Layout;
use super::{servers_table, workload_table};

/// A block of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// A title.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Grid),
    /// A table that may be wider than a terminal.
    WideTable(Grid),
    /// Short lines: footnotes, the environment.
    Notes(Vec<String>),
    /// The end of a server's log, unchanged.
    Log(Vec<String>),
    /// A chart in a separate file: its description and path.
    Image(String, String),
    /// Details under a title, folded if the format can.
    Folded(String, Vec<Block>),
}

const HOW_TO_READ: &str = "The figure ranked by comes first, with the ratio to the best (1.08× is \
    8 % more than the best) and the 95 % interval of that ratio, taken within rounds over fresh \
    processes. Ranks such as 2–3 are ties: this run can't tell those servers apart. The other \
    figures are medians; `harness report --wide` adds their ratios and intervals. [1] refers to \
    the notes: the figures count, but read the note. ≥ is a lower bound: the load generator was \
    the limit. ~ is caused by the machine, not the server. Times are in microseconds. TTFB is the \
    time to the first byte of a response (its p99), jitter the standard deviation of latency. \
    Latency counts from when a request was due. – is not measured.";

/// The whole report: a table for each workload, one of the servers, the environment.
pub(super) fn page(record: &Record, summary: &Summary) -> Vec<Block> {
    page_with(record, summary, Layout::Narrow, |_| Vec::new())
}

/// The same with another layout, and more blocks after the table of each workload.
pub(super) fn page_with(
    record: &Record,
    summary: &Summary,
    layout: Layout,
    more: impl Fn(&str) -> Vec<Block>,
) -> Vec<Block> {
    let mut page = Vec::new();
    let mut notes = Notes::default();
    let workloads = workload_table::workloads(summary);
    for workload in &workloads {
        let blocks = workload_table::blocks(record, summary, workload, layout, &mut notes);
        page.extend(blocks);
        page.extend(more(workload));
    }
    if let Some(costs) = &record.costs {
        page.extend(super::cost::blocks(costs, Some(summary)));
    }
    page.extend(super::added::blocks(&record.added));
    page.extend(servers_table::blocks(record, summary, &mut notes));
    let notes = (1..).zip(notes.texts(workloads.len()));
    let notes: Vec<String> = notes
        .map(|(number, text): (u32, _)| format!("[{number}] {text}"))
        .collect();
    if !notes.is_empty() {
        page.push(Block::Heading("Notes".into()));
        page.push(Block::Notes(notes));
    }
    page.push(Block::Heading("How to read this".into()));
    page.push(Block::Text(HOW_TO_READ.into()));
    page.push(Block::Heading("Environment".into()));
    page.push(Block::Notes(environment(record)));
    page
}

fn environment(record: &Record) -> Vec<String> {
    let (machine, run) = (&record.environment, &record.run);
    let mut lines = about(record);
    lines.extend(unfinished(run).map(str::to_owned));
    for level in [Level::Fail, Level::Warn] {
        let unmet = machine.findings.iter().filter(|f| f.level == level);
        lines.extend(unmet.map(unmet_line));
    }
    lines.extend(unseen(&machine.findings));
    lines
}

/// The machine, its software, and how the run was planned.
pub(super) fn about(record: &Record) -> Vec<String> {
    let machine = &record.environment;
    let mut lines = vec![hardware(machine), software(machine), plan(&record.run)];
    lines.extend(build_flags(&record.servers));
    lines.extend(control(machine));
    let targets = machine.targets();
    lines.extend(targets.map(|finding| format!("Target {}", finding.told())));
    lines
}

/// Whose responses the control replays, and why not another's. A missing control is among the unmet findings.
fn control(machine: &Environment) -> Option<String> {
    let finding = machine.control().filter(|f| f.level == Level::Ok)?;
    Some(format!("The control {}", finding.told()))
}

/// One line for each set of build flags that are not cargo's defaults.
fn build_flags(servers: &[Server]) -> Vec<String> {
    let known = |server: &&Server| server.build.as_ref().is_some_and(|b| b.flags.is_some());
    let all = servers.iter().filter(known).count();
    let mut names = BTreeMap::<String, Vec<&str>>::new();
    for server in servers {
        if let Some(build) = &server.build
            && build.flags.as_ref().is_some_and(|flags| !flags.is_empty())
        {
            let line = build.flags_line().unwrap_or_default();
            names.entry(line).or_default().push(&server.display);
        }
    }
    let line = |(flags, names): (String, Vec<&str>)| match names.len() == all {
        true => format!("All servers are built with {flags}"),
        false => format!("{}: built with {flags}", names.join(", ")),
    };
    names.into_iter().map(line).collect()
}

/// A warning about a run that did not complete.
pub(super) fn unfinished(run: &Run) -> Option<&'static str> {
    match run.ended {
        Ended::Complete => None,
        Ended::Open => {
            Some("The run is still going or was killed: the figures cover the trials so far.")
        }
        Ended::Interrupted => {
            Some("The run was interrupted: the figures cover the trials before that.")
        }
    }
}

fn unmet_line(finding: &Finding) -> String {
    format!(
        "{}: {}: {}",
        unmet(finding),
        finding.subject(),
        finding.told()
    )
}

/// The severity and moment of a finding that is not ok.
pub(super) fn unmet(finding: &Finding) -> &'static str {
    match (finding.level, finding.moment()) {
        (Level::Fail, Moment::During) => "Makes figures wrong, over the run",
        (Level::Fail, _) => "Makes figures wrong",
        (_, Moment::Before) => "Not met",
        (_, Moment::During) => "Not met over the run",
        (_, Moment::Changed) => "Changed during the run",
    }
}

/// Unknown values are not a problem, but matter when comparing machines.
pub(super) fn unseen(findings: &[Finding]) -> Option<String> {
    let unknown = findings.iter().filter(|f| f.is_unknown());
    let names: Vec<&str> = unknown.map(Finding::subject).collect();
    (!names.is_empty()).then(|| format!("Could not be read: {}", names.join(", ")))
}

fn hardware(machine: &Environment) -> String {
    let known = |text: &str| if text.is_empty() { "unknown CPU" } else { text }.to_owned();
    let pinned = if machine.pinned {
        "pinned"
    } else {
        "not pinned"
    };
    format!(
        "{}: {} on {}{}; server on {}, load generator on {}, {pinned}",
        known(&machine.cpu_model),
        counted(machine.logical_cpus, "logical CPU"),
        counted(machine.physical_cores, "core"),
        machine
            .virtualisation
            .as_ref()
            .map_or_else(String::new, |name| format!(", {name}")),
        cpus(&machine.server_cpus),
        cpus(&machine.driver_cpus),
    )
}

/// As in `CPU 0` or `CPUs 0, 2, 3`.
fn cpus(list: &[u32]) -> String {
    let names: Vec<_> = list.iter().map(u32::to_string).collect();
    match list.len() {
        0 => "no dedicated CPU".into(),
        1 => format!("CPU {}", names[0]),
        _ => format!("CPUs {}", names.join(", ")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn software(machine: &Environment) -> String {
    let memory = match machine.memory_bytes {
        0 => "unknown memory".to_owned(),
        bytes => format!(
            "{} GiB of memory",
            significant(bytes as f64 / f64::from(1 << 30), 3)
        ),
    };
    format!(
        "Linux {}; {}; governor {}; clock source {}; {memory}",
        machine.kernel,
        machine.rustc,
        machine.governor.as_deref().unwrap_or("unknown"),
        machine.clock_source.as_deref().unwrap_or("unknown"),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a trial has few milliseconds")]
fn plan(run: &Run) -> String {
    let seconds = |ms: u64| ms as f64 / 1e3;
    format!(
        "Run {}, profile {}: {}, {}; {} s peak and {} s paced after {} s of warm-up, seed {}, \
         rates from {}; harness {}, revision {}",
        run.id,
        run.profile,
        counted(run.rounds, "round"),
        run.schedule,
        seconds(run.peak_ms),
        seconds(run.paced_ms),
        seconds(run.warmup_ms),
        run.seed,
        run.rate_source,
        run.harness_version,
        run.revision.as_deref().unwrap_or("unknown"),
    )
}

/// Numbered notes of one table of a comparison; equal texts share a number.
#[derive(Debug, Default)]
pub(super) struct Footnotes(Vec<String>);

impl Footnotes {
    /// The mark for `text`, as in `[1]`.
    pub(super) fn mark(&mut self, text: String) -> String {
        let known = self.0.iter().position(|other| *other == text);
        let at = known.unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        });
        format!("[{}]", at + 1)
    }

    /// `None` if there are no notes.
    pub(super) fn block(self) -> Option<Block> {
        let numbered = (1..)
            .zip(self.0)
            .map(|(n, text): (u32, _)| format!("[{n}] {text}"));
        let notes: Vec<_> = numbered.collect();
        (!notes.is_empty()).then_some(Block::Notes(notes))
    }
}
