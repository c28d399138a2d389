//! `harness compare`: shows what changed between two stored runs, two servers of one run, or two single drives.

mod drives;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::operand::{Operand, refuse_machines, refuse_unknown};
use super::results::colour;
use crate::flags::{Shown, Status, Usage, read_share};
use judge::{Choice, Comparison, Outcome};
use machine::differences;
use record::figure::{FIGURES, Figure, Scope};
use report::{Colour, Meeting, WIDTH, wrapped};
use words::listed;

const EXAMPLES: &str = "\
Examples:
  cargo harness compare before latest                      every server in both runs
  cargo harness compare before:NAME latest:NAME            one of them
  cargo harness compare latest:NAME latest:OTHER           two servers of one run, paired by round
  cargo harness compare before latest --figure cpu_us_per_request --workload mixed
  cargo harness compare before latest --fail-on surely-regressed --format markdown --out comment.md
  cargo harness compare before latest --fail-on regressed --threshold 5% --figure requests_per_s
  cargo harness compare old.json new.json                  two files of `harness drive --json`

BASE and NEW are each a run's folder, its run.sqlite or record.json, or the name of a folder under \
bench-results/. Entries are named as in the record: a twin ends in ~2, another build of NAME is NAME@ \
plus the start of its hash, the control is `control`. Twins and the control are compared only if you \
name them.

{figures}

Each comparison has a 5 % chance of a false alarm: of 60 rows where nothing changed, about 3 will be \
reported as changed. Narrow the comparison to what you would act on, or use --fail-on \
surely-regressed, which has at most a 5 % chance of any false alarm (Holm's correction).

If a control ran in both runs, req/s and CPU time are divided by the control's, round by round. That \
cancels what the machine did to both, and adds the control's own scatter; --raw turns it off. Latency \
and CPU time are comparable only at the same paced rate: give both runs the same --rate.

Two single drives have no interval, so their figures are listed next to each other without a verdict. \
Differences in URL, rate, connections or duration are listed. `harness drive --help` describes the figures.

Exit status: 0 compared; 1 --fail-on found a regression; 2 the runs can't be read or compared.";

/// Flags of `harness compare`.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct Arguments {
    /// Baseline: a run or one of its servers, DIR[:SERVER], or a drive, FILE
    base: String,
    /// What to compare with it: a run or one of its servers, DIR[:SERVER], or a drive, FILE
    new: String,
    #[command(flatten)]
    judging: Judging,
    /// Compare runs from different machines; each row says so
    #[arg(long)]
    across_machines: bool,
    /// Compare figures as measured, without correcting them by the control
    #[arg(long)]
    raw: bool,
    /// On a terminal, also list what didn't change; for two drives, every figure
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    only: Shown,
}

/// Lists the compared figures, grouped by stage.
fn help() -> String {
    let stage = |figure: &&Figure| match (figure.scope, figure.compared) {
        (Scope::Stage, [stage]) => stage.name(),
        (Scope::Stage, _) => "both",
        _ => "process",
    };
    let of_stage = |same: &[&Figure]| {
        let ids: Vec<&str> = same.iter().map(|figure| figure.id).collect();
        format!("{} ({})", listed(&ids), stage(&same[0]))
    };
    let all = compared();
    let all = all.chunk_by(|a, b| stage(a) == stage(b)).map(of_stage);
    let text = format!("Figures: {}.", all.collect::<Vec<_>>().join(", "));
    EXAMPLES.replace("{figures}", &wrapped(&text, WIDTH, 0).join("\n"))
}

fn compared() -> Vec<&'static Figure> {
    let all = FIGURES.iter();
    all.filter(|figure| !figure.compared.is_empty()).collect()
}

/// What to judge, and what makes the exit status 1.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Comparison")]
pub(super) struct Judging {
    /// Compare only this figure; repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) figure: Vec<String>,
    /// Exit with status 1 if something regressed
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// Ignore regressions with a smaller median change, e.g. 5% or 0.05 [default: none]
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "fail_on")]
    threshold: Option<f64>,
}

/// What makes the exit status 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any figure whose 95 % interval lies beyond the noise floor, and any new failure
    Regressed,
    /// Only regressions that also pass Holm's correction for all comparisons, and any new failure
    SurelyRegressed,
}

/// Output format of a comparison or a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For reading in a terminal
    Terminal,
    /// For a comment or an issue
    Markdown,
    /// For programs
    Json,
}

/// Compares two stored runs, or two drives.
///
/// # Errors
/// [`Usage`] if they can't be read or must not be compared.
pub fn run(arguments: &Arguments) -> Result<Status> {
    if let Some(status) = drives::run(arguments)? {
        return Ok(status);
    }
    let (base, new) = (
        Operand::load(&arguments.base)?,
        Operand::load(&arguments.new)?,
    );
    let choice = choice(arguments, &base, &new)?;
    let machines = differences(&base.record.environment, &new.record.environment);
    refuse_machines(&machines, arguments.across_machines)?;
    let comparison = judge::compare(&base.side(), &new.side(), &choice);
    let meeting = Meeting {
        base: (&base.record, base.named()),
        new: (&new.record, new.named()),
        same_run: choice.same_run,
        another_machine: &machines,
        comparison: &comparison,
    };
    let text = |format, colour| match format {
        Format::Terminal => meeting.terminal(arguments.all, colour),
        Format::Markdown => meeting.markdown(),
        Format::Json => meeting.json(),
    };
    let read = [base.file(), new.file()];
    arguments.output.show(&meeting.counts(), &read, text)?;
    arguments.judging.status(&comparison)
}

/// What the flags select, checked against the names in the runs.
fn choice(arguments: &Arguments, base: &Operand, new: &Operand) -> Result<Choice> {
    let workload = &arguments.only.loads.workload;
    match (&base.server, &new.server) {
        (Some(server), None) | (None, Some(server)) => {
            refuse!(
                "{server} is named on one side only: name a server on both sides, as in {}:{server} \
                 {}:{server}, or on neither",
                base.name,
                new.name
            );
        }
        (Some(_), Some(_)) if !arguments.only.server.is_empty() => {
            refuse!(
                "--server selects servers of whole runs, but both sides already name a server: leave it out"
            );
        }
        _ => {}
    }
    refuse_unknown(
        "server",
        &arguments.only.server,
        &base.servers() | &new.servers(),
    )?;
    let workloads = &base.workloads() | &new.workloads();
    refuse_unknown("workload", workload, workloads)?;
    arguments.judging.refuse_unknown_figures()?;
    Ok(Choice {
        servers: arguments.only.server.clone(),
        workloads: workload.clone(),
        stages: arguments.only.loads.stages()?,
        figures: arguments.judging.figure.clone(),
        same_run: base.is(new),
        raw: arguments.raw,
        ..Choice::default()
    })
}

impl Judging {
    /// Whether any of these flags was given.
    pub(super) fn is_given(&self) -> bool {
        self.fail_on.is_some() || !self.figure.is_empty()
    }

    /// # Errors
    /// [`Usage`] with the known names.
    pub(super) fn refuse_unknown_figures(&self) -> Result<()> {
        // In the order of their names.
        let known: BTreeSet<&str> = compared().iter().map(|figure| figure.id).collect();
        refuse_unknown("figure", &self.figure, known)
    }

    /// The exit status of a comparison.
    ///
    /// # Errors
    /// [`Usage`] if it should fail on something and nothing could be compared.
    pub(super) fn status(&self, comparison: &Comparison) -> Result<Status> {
        let Some(fail_on) = self.fail_on else {
            return Ok(Status::Fine);
        };
        if comparison.changes.is_empty() && comparison.turns.is_empty() {
            refuse!(
                "nothing could be compared, so --fail-on has nothing to check: see the causes above"
            );
        }
        let threshold = self.threshold.unwrap_or(0.0);
        let counts = |change: &&judge::Change| {
            change.outcome == Outcome::Regressed
                && change.worse_by() >= threshold
                && (fail_on == FailOn::Regressed || change.sure)
        };
        let worse = comparison.changes.iter().filter(counts).count();
        let broken = comparison
            .turns
            .iter()
            .filter(|turn| turn.outcome == Outcome::Regressed);
        match worse + broken.count() {
            0 => Ok(Status::Fine),
            _ => Ok(Status::Failed),
        }
    }
}

/// The form and the place of a comparison or a ranking.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Output format
    #[arg(long, default_value = "terminal")]
    format: Format,
    /// Write to this file, replacing it, and print only the counts
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Output {
    /// Prints a text, or writes it to the file and prints only the counts. The file must not be one of those that
    /// were read, each of which comes with what it is the record of.
    pub(super) fn show(
        &self,
        counts: &str,
        read: &[(&Path, &str)],
        text: impl Fn(Format, Colour) -> String,
    ) -> Result<()> {
        let Some(file) = &self.out else {
            say!("{}", text(self.format, colour()).trim_end());
            return Ok(());
        };
        let shown = file.display();
        let there = fs::canonicalize(file).ok();
        let own =
            |(path, _): &&(&Path, &str)| there.is_some() && fs::canonicalize(path).ok() == there;
        if let Some((_, whose)) = read.iter().find(own) {
            refuse!("--out {shown} is the record of {whose}: name another file");
        }
        fs::write(file, text(self.format, Colour::Never))
            .map_err(|error| Usage(format!("cannot write {shown}: {error}")))?;
        say!("{shown}: {counts}");
        Ok(())
    }
}

/// Parses a percentage such as `5%` or `0.05`; for clap.
fn parse_share(text: &str) -> Result<f64, String> {
    read_share(text)
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| "expected a percentage from 0% to below 100%, as in 5% or 0.05".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_what_is_compared() {
        let help = help();
        let figures = "Figures: requests_per_s (peak), cpu_us_per_request (paced), latency_p50_us and latency_p99_us\n\
            (both), latency_p999_us and first_byte_p99_us (paced), rss_peak_bytes and start_ms (process).\n\n";
        assert!(help.contains(figures), "{help}");
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        for (text, share) in [("5%", 0.05), ("0.05", 0.05), ("2.5 %", 0.025), ("0", 0.0)] {
            let found = parse_share(text).unwrap();
            assert!((found - share).abs() < 1e-12, "{text}");
        }
        for wrong in ["5", "100%", "-1%", "", "%", "five", "nan", "inf%", "1.0"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }
}
