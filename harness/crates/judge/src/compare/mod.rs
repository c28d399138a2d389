//! Compares two runs, or two servers of one run; pure.
//!
//! A figure changed only if the 95 % interval of its ratio lies entirely outside the noise floor. Two runs
//! share no round, so the rounds of each are resampled separately; two servers of one run are compared within
//! its rounds. Anything that can't be compared is listed with the reason.

mod cells;
mod frame;
mod measure;
mod notes;
mod obstacle;

use std::collections::BTreeSet;

use cells::Cells;
pub use notes::{Condition, Lengths, Note};
pub use obstacle::Obstacle;

use super::is_control;
use super::side::{Cell, Side};
use catalog::Stage;
use record::figure::{self, Figure};
use record::{Estimate, Record};
use stats::{Better, Interval, holm};

/// The level of the intervals, and of Holm's correction over all of them.
pub const ALPHA: f64 = 0.05;

/// One side of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    /// The run.
    pub record: &'a Record,
    /// The entry to compare; if absent, all entries that both sides have.
    pub server: Option<&'a str>,
}

/// What to compare, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Only these entries, if any are named. Twins and the control are compared only if named, here or by an
    /// operand.
    pub servers: Vec<String>,
    /// Pairs of an entry of base and an entry of new; if not empty, only these are compared.
    pub pairs: Vec<(String, String)>,
    /// Only these workloads, if any are named.
    pub workloads: Vec<String>,
    /// Only these stages.
    pub stages: Vec<Stage>,
    /// Only these figures, if any are named.
    pub figures: Vec<String>,
    /// Both operands are the same run, so rounds are paired.
    pub same_run: bool,
    /// Figures are compared as measured, not divided by the control's.
    pub raw: bool,
    /// The least noise floor, as a log-ratio.
    pub minimum_delta: f64,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            pairs: Vec::new(),
            workloads: Vec::new(),
            stages: Stage::ALL.to_vec(),
            figures: Vec::new(),
            same_run: false,
            raw: false,
            minimum_delta: super::Settings::default().minimum_delta,
        }
    }
}

/// How new compares with base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Worse by more than the noise floor, or it fails and base did not.
    Regressed,
    /// Better by more than the noise floor, or base failed and it does not.
    Improved,
    /// Neither.
    Indistinguishable,
}

impl Outcome {
    /// The name used in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Indistinguishable => "indistinguishable",
        }
    }
}

/// What a result is about; an absent field means all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The entry of base.
    pub server: Option<String>,
    /// The workload.
    pub workload: Option<String>,
    /// The stage.
    pub stage: Option<Stage>,
    /// The figure's name in the record.
    pub figure: Option<&'static str>,
}

/// A ratio new / base as a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// Its 95 % interval.
    pub interval: Interval,
}

impl Ratio {
    /// From natural logarithms.
    fn of_logs(median: f64, interval: Interval) -> Self {
        Self {
            median: median.exp(),
            interval: Interval {
                low: interval.low.exp(),
                high: interval.high.exp(),
            },
        }
    }
}

/// A figure that was compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where. Workload and stage are absent for a figure of the process.
    pub place: Place,
    /// The name shown; those of base and of new if two entries are compared.
    pub display: Vec<String>,
    /// Which direction is better.
    pub better: Better,
    /// As measured, over the rounds of base.
    pub base: Estimate,
    /// As measured, over the rounds of new.
    pub new: Estimate,
    /// new / base; of values divided by the control's, if `by_control`.
    pub ratio: Ratio,
    /// The noise floor, as a log-ratio: a ratio within ± it is no difference.
    pub delta: f64,
    /// Each round's value was divided by the control's.
    pub by_control: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// It changed, and is still significant after Holm's correction over all comparisons.
    pub sure: bool,
}

impl Change {
    /// How much worse it became, as a share: 0.05 if a cost rose or a rate fell by 5 %. Negative if it
    /// improved.
    pub fn worse_by(&self) -> f64 {
        match self.better {
            Better::Lower => self.ratio.median - 1.0,
            Better::Higher => 1.0 - self.ratio.median,
        }
    }
}

/// A failure on one side only.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// A server, or one of its rows.
    pub place: Place,
    /// The name shown; those of base and of new if two entries are compared.
    pub display: Vec<String>,
    /// Never [`Outcome::Indistinguishable`].
    pub outcome: Outcome,
    /// Why it fails.
    pub cause: Obstacle,
}

/// Something that could not be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct NotJudged {
    /// The reason.
    pub cause: Obstacle,
    /// Where.
    pub place: Place,
}

/// How much the control changed between the runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlMove {
    /// Workload, stage and figure.
    pub place: Place,
    /// new / base of the control.
    pub ratio: Ratio,
    /// The servers' values were divided by it; otherwise it widens their noise floor.
    pub divided: bool,
}

/// The comparison of two runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Every figure that was compared.
    pub changes: Vec<Change>,
    /// Failures on one side only.
    pub turns: Vec<Turn>,
    /// What was not compared, and why.
    pub not_judged: Vec<NotJudged>,
    /// Changes of the control between the runs; empty if it did not run in both, or if both are the same run.
    pub control: Vec<ControlMove>,
    /// Other differences between the runs.
    pub notes: Vec<Note>,
}

impl Comparison {
    /// Number of figures and failures with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        let changes = self.changes.iter().filter(|c| c.outcome == outcome).count();
        changes + self.turns.iter().filter(|t| t.outcome == outcome).count()
    }

    /// Expected number of false changes by chance.
    pub fn by_chance(&self) -> usize {
        (ALPHA * self.changes.len() as f64).ceil() as usize
    }
}

/// Compares two runs, or two servers. The same records always give the same comparison.
pub fn compare(base: &Operand<'_>, new: &Operand<'_>, choice: &Choice) -> Comparison {
    let (base_side, new_side) = (Side::new(base.record, "base"), Side::new(new.record, "new"));
    let mut comparison = Comparison {
        notes: notes::between(&base_side, &new_side, choice),
        ..Comparison::default()
    };
    let pairs = pairs(base, new, &base_side, &new_side, choice, &mut comparison);
    comparison
        .notes
        .extend(notes::other_flags(&base_side, &new_side, &pairs));
    let cells = Cells::new(&base_side, &new_side, choice, &mut comparison);
    let mut p_values = Vec::new();
    {
        let mut measuring = measure::Measuring::new(&base_side, &new_side, &cells, choice);
        for (base_name, new_name) in &pairs {
            measuring.server(base_name, new_name, &mut comparison, &mut p_values);
        }
        comparison.control = measuring.control_moves();
    }
    for (change, passes) in comparison.changes.iter_mut().zip(holm(&p_values, ALPHA)) {
        change.sure = passes && change.outcome != Outcome::Indistinguishable;
    }
    comparison
}

/// The pairs of entries to compare, as (base, new).
fn pairs(
    base: &Operand<'_>,
    new: &Operand<'_>,
    base_side: &Side<'_>,
    new_side: &Side<'_>,
    choice: &Choice,
    comparison: &mut Comparison,
) -> Vec<(String, String)> {
    if let (Some(base), Some(new)) = (base.server, new.server) {
        return vec![(base.to_owned(), new.to_owned())];
    }
    if !choice.pairs.is_empty() {
        return choice.pairs.clone();
    }
    let mut names: Vec<&str> = base_side.names().collect();
    names.extend(
        new_side
            .names()
            .filter(|name| base_side.entry(name).is_none()),
    );
    let wanted = |name: &&str| match choice.servers.is_empty() {
        true => !is_control(name) && !is_second(name, base_side, new_side),
        false => choice.servers.iter().any(|server| server == name),
    };
    let mut found = Vec::new();
    for name in names.into_iter().filter(wanted) {
        let lacking = [base_side, new_side]
            .into_iter()
            .find(|side| side.entry(name).is_none());
        match lacking {
            None => found.push((name.to_owned(), name.to_owned())),
            Some(side) => comparison.not_judged.push(NotJudged {
                cause: Obstacle::NotIn {
                    run: side.called.clone(),
                },
                place: Place {
                    server: Some(name.to_owned()),
                    ..Place::default()
                },
            }),
        }
    }
    found
}

/// Whether it is a twin; the first entry represents it.
fn is_second(name: &str, base: &Side<'_>, new: &Side<'_>) -> bool {
    let seconds: BTreeSet<&str> = [base, new]
        .iter()
        .flat_map(|side| side.twins())
        .map(|(_, second)| second)
        .collect();
    seconds.contains(name)
}

/// The chosen figures of a stage, or of the process.
fn chosen(choice: &Choice, stage: Option<Stage>) -> impl Iterator<Item = &'static Figure> {
    let wanted = move |figure: &&Figure| {
        choice.figures.is_empty() || choice.figures.iter().any(|id| id == figure.id)
    };
    figure::compared(stage).filter(wanted)
}
