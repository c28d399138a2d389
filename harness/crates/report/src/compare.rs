//! Renders a comparison of two runs: for a terminal, as Markdown short enough for a pull request comment, and
//! as JSON.

mod json;

use judge::{Change, Comparison, ControlMove, NotJudged, Outcome, Place, Ratio, Turn};
use machine::MachineDifference;
use record::Record;
use record::figure;

use super::figure::{label, ratio, shown};
use super::grid::{Align, Grid};
use super::number::ABSENT;
use super::page::{Block, Footnotes};
use super::{Colour, markdown, say, terminal};

pub use json::COMPARISON_SCHEMA_VERSION;

/// Subjects listed per cause before the rest is only counted.
const NAMED: usize = 8;

/// Changed figures that a comment shows before it folds the rest.
const IN_A_COMMENT: usize = 12;

/// Where a comparison is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On a terminal, which can't fold; all figures or only those that changed.
    Terminal { all: bool },
    /// In a pull request comment, which should be short.
    Comment,
}

/// A comparison and its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Meeting<'a> {
    /// The base, and its entry if one was named.
    pub base: (&'a Record, Option<&'a str>),
    /// The new one, likewise.
    pub new: (&'a Record, Option<&'a str>),
    /// Both are the same run, so ratios were taken within rounds.
    pub same_run: bool,
    /// Differences between their machines.
    pub another_machine: &'a [MachineDifference],
    /// The result.
    pub comparison: &'a Comparison,
}

impl Meeting<'_> {
    /// For a terminal. Lists unchanged figures only if `all` is set, because they would push the rest off the
    /// screen.
    pub fn terminal(&self, all: bool, colour: Colour) -> String {
        terminal::blocks(self.blocks(Form::Terminal { all }), colour)
    }

    /// For a pull request comment: the counts and the figures that changed most; the rest is folded.
    pub fn markdown(&self) -> String {
        markdown::blocks(self.blocks(Form::Comment))
    }

    /// For programs; `harness/docs/RECORD.md` describes it.
    pub fn json(&self) -> String {
        json::text(self)
    }

    /// As in `2 regressed, 1 improved, 89 indistinguishable, 6 not compared`.
    pub fn counts(&self) -> String {
        let found = self.comparison;
        format!(
            "{} regressed, {} improved, {} indistinguishable, {} not compared",
            found.count(Outcome::Regressed),
            found.count(Outcome::Improved),
            found.count(Outcome::Indistinguishable),
            found.not_judged.len()
        )
    }

    fn blocks(&self, form: Form) -> Vec<Block> {
        let found = self.comparison;
        let mut notes = Footnotes::default();
        let mut blocks = vec![
            Block::Heading(format!("Comparison: {}", self.counts())),
            Block::Text(self.operands()),
        ];
        let mut changed = self.changed(&mut notes);
        let more = match form {
            Form::Comment => changed.split_off(changed.len().min(IN_A_COMMENT)),
            Form::Terminal { .. } => Vec::new(),
        };
        if !changed.is_empty() {
            blocks.push(Block::Table(self.table(changed, true)));
            blocks.extend(notes.block());
        }
        if !more.is_empty() {
            let title = format!("{} more changed", more.len());
            blocks.push(Block::Folded(
                title,
                vec![Block::Table(self.table(more, true))],
            ));
        }
        let how = Block::Text(self.how_to_read());
        blocks.push(match form {
            Form::Comment if !found.changes.is_empty() => {
                Block::Folded("How to read this".to_owned(), vec![how])
            }
            _ => how,
        });
        let unchanged: Vec<Vec<String>> = found
            .changes
            .iter()
            .filter(|change| change.outcome == Outcome::Indistinguishable)
            .map(|change| self.line(change, false))
            .collect();
        let with_unchanged = form != Form::Terminal { all: false };
        if with_unchanged && !unchanged.is_empty() {
            let title = format!("{} indistinguishable", unchanged.len());
            let table = Block::Table(self.table(unchanged, false));
            blocks.push(Block::Folded(title, vec![table]));
        }
        if !found.not_judged.is_empty() {
            let title = format!("{} not compared", found.not_judged.len());
            let causes = Block::Notes(causes(&found.not_judged));
            blocks.push(Block::Folded(title, vec![causes]));
        }
        let about = self.about_the_runs();
        if !about.is_empty() {
            let notes = Block::Notes(about);
            blocks.push(Block::Folded("About the runs".to_owned(), vec![notes]));
        }
        blocks
    }

    fn operands(&self) -> String {
        let told = |(record, server): (&Record, Option<&str>)| {
            let run = &record.run;
            let whose = server
                .map(|server| format!("{server} of "))
                .unwrap_or_default();
            format!(
                "{whose}run {} ({}, {} rounds, revision {}{})",
                run.id,
                run.profile,
                run.rounds,
                run.revision.as_deref().unwrap_or("unknown"),
                run.engine.remark()
            )
        };
        format!("base: {}; new: {}.", told(self.base), told(self.new))
    }

    /// Failures on one side and changed figures, worst first.
    fn changed(&self, notes: &mut Footnotes) -> Vec<Vec<String>> {
        let mut turns: Vec<&Turn> = self.comparison.turns.iter().collect();
        turns.sort_by_key(|turn| turn.outcome);
        let mut rows: Vec<(Outcome, Vec<String>)> = turns
            .into_iter()
            .map(|turn| (turn.outcome, self.turn(turn, notes)))
            .collect();
        let mut changes: Vec<&Change> = self
            .comparison
            .changes
            .iter()
            .filter(|change| change.outcome != Outcome::Indistinguishable)
            .collect();
        let size = |change: &Change| change.ratio.median.ln().abs();
        changes.sort_by(|a, b| b.sure.cmp(&a.sure).then(size(b).total_cmp(&size(a))));
        rows.extend(
            changes
                .into_iter()
                .map(|change| (change.outcome, self.line(change, true))),
        );
        rows.sort_by_key(|(outcome, _)| *outcome);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn table(&self, rows: Vec<Vec<String>>, verdicts: bool) -> Grid {
        let mut head = vec![
            ("server", Align::Left),
            ("where", Align::Left),
            ("figure", Align::Left),
            ("base", Align::Right),
            ("new", Align::Right),
            ("new/base", Align::Left),
        ];
        if verdicts {
            head.push(("verdict", Align::Left));
        }
        if !self.another_machine.is_empty() {
            head.push(("machine", Align::Left));
        }
        let head = head
            .into_iter()
            .map(|(text, align)| (text.to_owned(), align));
        Grid {
            head: head.collect(),
            rows,
        }
    }

    fn line(&self, change: &Change, verdict: bool) -> Vec<String> {
        let id = change.place.figure.unwrap_or_default();
        let figure = figure::find(id);
        let value = |value| figure.map_or_else(String::new, |figure| shown(figure, value));
        let divided = if change.by_control { " ÷" } else { "" };
        let mut cells = vec![
            display(&change.display),
            whereabouts(&change.place),
            format!("{}{divided}", label(id)),
            value(change.base.median),
            value(change.new.median),
            with_interval(&change.ratio),
        ];
        if verdict {
            let sure = if change.sure { "!" } else { "" };
            cells.push(format!("{}{sure}", change.outcome.name()));
        }
        self.machine(cells)
    }

    fn turn(&self, turn: &Turn, notes: &mut Footnotes) -> Vec<String> {
        let mark = notes.mark(say::obstacle(&turn.cause));
        let none = || ABSENT.to_owned();
        self.machine(vec![
            display(&turn.display),
            whereabouts(&turn.place),
            none(),
            none(),
            none(),
            none(),
            format!("{} {mark}", turn.outcome.name()),
        ])
    }

    fn machine(&self, mut cells: Vec<String>) -> Vec<String> {
        if !self.another_machine.is_empty() {
            cells.push("another".to_owned());
        }
        cells
    }

    fn how_to_read(&self) -> String {
        let found = self.comparison;
        let compared = found.changes.len();
        if compared == 0 {
            return "No figure could be compared.".to_owned();
        }
        let paired = match self.same_run {
            true => "taken within the rounds of one run",
            false => {
                "of two runs that share no round; it doesn't include differences between the times \
                 of the runs, so builds measured in the same run are compared more reliably"
            }
        };
        let floors = found
            .changes
            .iter()
            .map(|change| change.delta.exp_m1() * 100.0);
        let (least, most) = floors.fold((f64::INFINITY, 0.0_f64), |(least, most), floor| {
            (least.min(floor), most.max(floor))
        });
        let floor = match most - least < 5e-4 {
            true => format!("{least:.1} %"),
            false => format!("{least:.1} to {most:.1} %, by figure"),
        };
        let sure = found.changes.iter().filter(|change| change.sure).count();
        let mut text = format!(
            "new/base is the ratio of medians with its 95 % interval, {paired}. A figure counts as \
             changed only if that interval lies entirely outside the noise floor ({floor}). Of \
             {compared} comparisons, up to {} (5 %) may be false changes; those marked ! ({sure}) \
             also pass Holm's correction for all {compared}.",
            found.by_chance()
        );
        if found.changes.iter().any(|change| change.by_control) {
            text += " ÷: each round's value was first divided by the control's.";
        }
        if found.control.iter().any(|moved| !moved.divided) {
            text += " Other figures count as changed only if they changed by more than the control did.";
        }
        if !self.another_machine.is_empty() {
            text += " The runs are from different machines, which may explain a ratio.";
        }
        text
    }

    /// Differences in the machine, the control, and anything else.
    fn about_the_runs(&self) -> Vec<String> {
        let machine = self.another_machine.iter().map(|difference| {
            format!(
                "different machine: {} is {} in base, {} in new",
                difference.member, difference.base, difference.new
            )
        });
        let moved = &self.comparison.control;
        let control = moved
            .chunk_by(|a, b| whereabouts(&a.place) == whereabouts(&b.place))
            .map(moves);
        machine
            .chain(control)
            .chain(self.comparison.notes.iter().map(say::note))
            .collect()
    }
}

/// How much the control changed in one stage of one workload, in all its figures.
fn moves(of_cell: &[ControlMove]) -> String {
    let told = |moved: &ControlMove| {
        let divided = if moved.divided { " ÷" } else { "" };
        let figure = label(moved.place.figure.unwrap_or_default());
        format!("{figure}{divided} {}", with_interval(&moved.ratio))
    };
    let all: Vec<String> = of_cell.iter().map(told).collect();
    let cell = whereabouts(&of_cell[0].place);
    format!("change of the control in {cell}: {}", all.join(", "))
}

fn with_interval(found: &Ratio) -> String {
    let interval = found.interval;
    format!(
        "{} ({}–{})",
        ratio(found.median),
        ratio(interval.low),
        ratio(interval.high)
    )
}

/// As in `mixed peak`, or `process` for a figure of the process.
fn whereabouts(place: &Place) -> String {
    let workload = place.workload.as_deref();
    let stage = place.stage.map(|stage| stage.name());
    match (workload, stage) {
        (None, None) if place.figure.is_some() => "process".to_owned(),
        (None, None) => "all".to_owned(),
        _ => workload
            .into_iter()
            .chain(stage)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// As in `a`, or `a → b` if two entries are compared with each other.
fn display(names: &[String]) -> String {
    names.join(" → ")
}

/// Each cause once, with its subjects.
fn causes(all: &[NotJudged]) -> Vec<String> {
    say::not_compared(all)
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(|same| {
            let named: Vec<String> = same
                .iter()
                .take(NAMED)
                .map(|(_, one)| subject(&one.place))
                .collect();
            let more = match same.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{}{more}: {}", named.join(", "), same[0].0)
        })
        .collect()
}

/// As in `alder, ping paced, p99 µs`, without the commas.
fn subject(place: &Place) -> String {
    let stage = place.stage.map(|stage| stage.name());
    let figure = place.figure.map(label);
    [
        place.server.as_deref(),
        place.workload.as_deref(),
        stage,
        figure,
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(" ")
}
