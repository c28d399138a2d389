//! `harness compare`: what changed between two stored runs, two servers of one, or two single drives.

mod drives;

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::operand::{Operand, refuse_machines, refuse_unknown};
use crate::flags::{Loads, Status, Usage};
use judge::{Choice, Comparison, Outcome};
use machine::differences;
use record::figure::{FIGURES, Figure, Scope};
use report::{Colour, Meeting, WIDTH, wrapped};
use words::listed;

const EXAMPLES: &str = "\
Examples:
  harness compare before latest                      every server in both runs
  harness compare before:NAME latest:NAME            one of them
  harness compare latest:NAME latest:OTHER           two servers of one run, within its rounds
  harness compare before latest --figure cpu_us_per_request --workload mixed
  harness compare before latest --fail-on surely-regressed --format markdown --out comment.md
  harness compare before latest --fail-on regressed --threshold 5% --figure requests_per_s
  harness compare old.json new.json                  two files of `harness drive --json`

BASE and NEW are a run's folder, its run.sqlite or record.json, or a folder's name under
bench-results/. Entries are named as in the record: a second entry ends in ~2, another build of
NAME is NAME@ and the start of its hash, the control is `control`. Second entries and the control
are compared only where they are named.

{figures}

Each comparison errs in up to 5 % of cases where nothing changed: of 60 rows, 3 may be called
changed by chance. Narrow the comparison to what you would act on, or use --fail-on
surely-regressed, which errs in up to 5 % of whole comparisons (Holm's correction).

Where a control ran in both runs, req/s and CPU time are divided by the control's round by round,
which cancels what the machine did to both and adds the control's own scatter; --raw does not.
Latency and CPU time are comparable only at the same paced rate: give both runs the same --rate.

Two single drives have no interval, so their figures are set beside each other without a verdict; other
URLs, rates, connections or durations are named. `harness drive --help` lists their figures.

Exit status: 0 compared; 1 --fail-on found what it names; 2 the runs can't be read or compared.";

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct Arguments {
    /// The run compared with, or one of its servers: DIR[:SERVER]; or a drive: FILE
    base: String,
    /// The run looked at, or one of its servers: DIR[:SERVER]; or a drive: FILE
    new: String,
    #[command(flatten)]
    judging: Judging,
    /// Compare runs of different machines; each row says so
    #[arg(long)]
    across_machines: bool,
    /// Compare figures as measured, also where the control could correct them
    #[arg(long)]
    raw: bool,
    /// On a terminal, list also what did not change; of two drives, every figure
    #[arg(long)]
    all: bool,
    /// How to write it
    #[arg(long, default_value = "terminal")]
    format: Format,
    /// Write it to this file, replacing it, and print the counts alone
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
    #[command(flatten)]
    loads: Loads,
}

/// The figures that are compared, with neighbours of one stage together.
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

/// What is judged, and what makes the exit status 1.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Judge")]
pub(super) struct Judging {
    /// Only this figure; repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) figure: Vec<String>,
    /// Exit with status 1 where something regressed
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// The least median change for which a regression counts, as 5% or 0.05 [any]
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "fail_on")]
    threshold: Option<f64>,
}

/// What makes the exit status 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any figure whose own 95 % interval lies beyond the noise floor, and any new failure
    Regressed,
    /// Those that stand Holm's correction for all comparisons as well, and any new failure
    SurelyRegressed,
}

/// How a comparison or a standing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For reading here
    Terminal,
    /// For a comment or an issue
    Markdown,
    /// For programs
    Json,
}

/// Compares two stored runs, or two drives.
///
/// # Errors
/// [`Usage`] where they can't be read or must not be compared.
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
    let side = |operand| judge::Operand {
        record: Operand::record(operand),
        server: Operand::named(operand),
    };
    let comparison = judge::compare(&side(&base), &side(&new), &choice);
    let meeting = Meeting {
        base: (&base.record, base.named()),
        new: (&new.record, new.named()),
        same_run: choice.same_run,
        another_machine: &machines,
        comparison: &comparison,
    };
    let text = |colour| match arguments.format {
        Format::Terminal => meeting.terminal(arguments.all, colour),
        Format::Markdown => meeting.markdown(),
        Format::Json => meeting.json(),
    };
    match &arguments.out {
        Some(file) => {
            write(file, &text(Colour::Never), &[&base, &new])?;
            say!("{}: {}", file.display(), meeting.counts());
        }
        None => say!("{}", text(colour()).trim_end()),
    }
    arguments.judging.status(&comparison)
}

/// What the flags choose, names being those of the runs.
fn choice(arguments: &Arguments, base: &Operand, new: &Operand) -> Result<Choice> {
    let Loads { workload, .. } = &arguments.loads;
    match (&base.server, &new.server) {
        (Some(server), None) | (None, Some(server)) => {
            return Err(Usage(format!(
                "{server} is named on one side only: name a server on both, as in {}:{server} \
                 {}:{server}, or on neither",
                base.name, new.name
            ))
            .into());
        }
        (Some(_), Some(_)) if !arguments.server.is_empty() => {
            return Err(Usage("--server narrows runs, and both sides name a server".into()).into());
        }
        _ => {}
    }
    let servers = base.servers().union(&new.servers()).copied().collect();
    refuse_unknown("server", &arguments.server, &servers)?;
    let workloads = base.workloads().union(&new.workloads()).copied().collect();
    refuse_unknown("workload", workload, &workloads)?;
    arguments.judging.refuse_unknown_figures()?;
    Ok(Choice {
        servers: arguments.server.clone(),
        workloads: workload.clone(),
        stages: arguments.loads.stages()?,
        figures: arguments.judging.figure.clone(),
        same_run: base.is(new),
        raw: arguments.raw,
        ..Choice::default()
    })
}

impl Judging {
    /// Whether any of its flags was given.
    pub(super) fn is_given(&self) -> bool {
        self.fail_on.is_some() || !self.figure.is_empty()
    }

    /// # Errors
    /// [`Usage`] with the known names.
    pub(super) fn refuse_unknown_figures(&self) -> Result<()> {
        let known = compared().into_iter().map(|figure| figure.id).collect();
        refuse_unknown("figure", &self.figure, &known)
    }

    /// The exit status of a comparison.
    ///
    /// # Errors
    /// [`Usage`] where it should fail on something and nothing could be compared.
    pub(super) fn status(&self, comparison: &Comparison) -> Result<Status> {
        let Some(fail_on) = self.fail_on else {
            return Ok(Status::Fine);
        };
        if comparison.changes.is_empty() && comparison.turns.is_empty() {
            return Err(Usage(
                "nothing could be compared, so --fail-on can't tell; see the causes above".into(),
            )
            .into());
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

/// Writes to a file that is none of the runs' own.
pub(super) fn write(file: &Path, text: &str, operands: &[&Operand]) -> Result<()> {
    let own = operands.iter();
    let own: Vec<_> = own
        .map(|operand| (&*operand.path, &*operand.name))
        .collect();
    write_beside(file, text, &own)
}

/// Writes to a file that is none of those, each with what it is the record of.
fn write_beside(file: &Path, text: &str, read: &[(&Path, &str)]) -> Result<()> {
    let there = fs::canonicalize(file).ok();
    let own = |(path, _): &&(&Path, &str)| there.is_some() && fs::canonicalize(path).ok() == there;
    if let Some((_, whose)) = read.iter().find(own) {
        return Err(Usage(format!(
            "--out {} is the record of {whose}: name another file",
            file.display()
        ))
        .into());
    }
    fs::write(file, text)
        .map_err(|error| Usage(format!("cannot write {}: {error}", file.display())).into())
}

pub(super) fn colour() -> Colour {
    Colour::choose(
        std::io::stdout().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
    )
}

/// Reads a share such as `5%` or `0.05`; for clap.
fn parse_share(text: &str) -> Result<f64, String> {
    let hint = "a share from 0% to under 100% is wanted, as in 5% or 0.05";
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| hint.to_owned());
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => number(percent)? / 100.0,
        None => number(text)?,
    };
    match share {
        0.0..1.0 => Ok(share),
        _ => Err(hint.to_owned()),
    }
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
