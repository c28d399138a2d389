//! Compares one server of one side with one of the other.

use std::collections::BTreeMap;

use super::cells::{Cells, as_long};
use super::frame::{Frame, floor};
use super::{
    Cell, Change, Choice, Comparison, ControlMove, NotJudged, Obstacle, Outcome, Place, Ratio,
    Side, Turn, chosen,
};
use crate::rows::Judged;
use crate::side::Found;
use crate::{Cause, estimate, is_control};
use catalog::Stage;
use record::figure::Figure;
use stats::{
    Better, Bootstrap, Difference, Interval, MIN_REPLICATES, Series, differs, paired_p,
    paired_ratio, unpaired_p, unpaired_ratio,
};

/// Both runs, and what their servers share.
pub(super) struct Measuring<'m, 'a> {
    base: &'m Side<'a>,
    new: &'m Side<'a>,
    cells: &'m Cells,
    choice: &'m Choice,
    frames: BTreeMap<(&'m Cell, &'static str), (&'static Figure, Frame)>,
    bootstrap: Bootstrap,
}

/// Two entries to compare, and where the results go.
struct Pair<'p> {
    base: &'p str,
    new: &'p str,
    display: Vec<String>,
    comparison: &'p mut Comparison,
    p_values: &'p mut Vec<f64>,
}

impl<'m, 'a> Measuring<'m, 'a> {
    pub(super) fn new(
        base: &'m Side<'a>,
        new: &'m Side<'a>,
        cells: &'m Cells,
        choice: &'m Choice,
    ) -> Self {
        let seed = |side: &Side<'_>| side.court.record.run.seed;
        // Independent of which run is named first.
        let mut bootstrap = Bootstrap::new(seed(base).wrapping_add(seed(new)));
        let mut frames = BTreeMap::new();
        for cell in &cells.alike {
            for figure in chosen(choice, Some(cell.stage)) {
                let frame = Frame::new(base, new, cell, figure.id, choice, &mut bootstrap);
                frames.insert((cell, figure.id), (figure, frame));
            }
        }
        Self {
            base,
            new,
            cells,
            choice,
            frames,
            bootstrap,
        }
    }

    pub(super) fn control_moves(&self) -> Vec<ControlMove> {
        let moved = |((cell, _), (figure, frame)): (&(&Cell, _), &(&Figure, Frame))| {
            frame.moved(cell, figure)
        };
        self.frames.iter().filter_map(moved).collect()
    }

    /// Compares all figures of an entry of each side.
    pub(super) fn server(
        &mut self,
        base: &str,
        new: &str,
        comparison: &mut Comparison,
        p_values: &mut Vec<f64>,
    ) {
        let shown = |side: &Side<'_>, name: &str| {
            side.entry(name)
                .map_or_else(|| name.to_owned(), |entry| entry.display.clone())
        };
        let display = match base == new {
            true => vec![shown(self.base, base)],
            false => vec![shown(self.base, base), shown(self.new, new)],
        };
        let mut pair = Pair {
            base,
            new,
            display,
            comparison,
            p_values,
        };
        let failed = (self.base.not_measured(base), self.new.not_measured(new));
        if failed.0.is_some() || failed.1.is_some() {
            pair.failed(None, failed.0, failed.1);
            return;
        }
        let (mut sound, cells) = (Vec::new(), self.cells);
        for cell in &cells.common {
            let both = (self.base.found(base, cell), self.new.found(new, cell));
            if let (Found::Sound(_), Found::Sound(_)) = both {
                sound.push(cell);
            }
            if cells.alike.contains(cell) {
                self.cell(&mut pair, cell, both);
            }
        }
        for figure in chosen(self.choice, None) {
            self.process(&mut pair, figure, &sound);
        }
    }

    fn cell(
        &mut self,
        pair: &mut Pair<'_>,
        cell: &'m Cell,
        (base, new): (Found<'m, 'a>, Found<'m, 'a>),
    ) {
        let figures: Vec<&Figure> = chosen(self.choice, Some(cell.stage)).collect();
        if figures.is_empty() {
            return;
        }
        let (base, new) = match (base, new) {
            (Found::NotRun, _) => {
                return pair.not(Some(cell), None, Obstacle::NoTrial { run: "base" });
            }
            (_, Found::NotRun) => {
                return pair.not(Some(cell), None, Obstacle::NoTrial { run: "new" });
            }
            (Found::Sound(base), Found::Sound(new)) => (base, new),
            (base, new) => return pair.failed(Some(cell), causes(base), causes(new)),
        };
        for (side, judged) in [("base", base), ("new", new)] {
            if let Some(obstacle) = bound(cell, judged, side) {
                return pair.not(Some(cell), None, obstacle);
            }
        }
        for figure in figures {
            let base = self.base.series(pair.base, cell, figure.id);
            let new = self.new.series(pair.new, cell, figure.id);
            let place = pair.place(Some(cell), Some(figure.id));
            if let Some(cause) = too_few(&base, &new) {
                pair.not(Some(cell), Some(figure.id), cause);
                continue;
            }
            let (_, frame) = &self.frames[&(cell, figure.id)];
            let values = match is_control(pair.base) {
                // Dividing it by itself would give 1.
                true => (base.clone(), new.clone(), false, frame.floor),
                false => frame.values(figure, base.clone(), new.clone()),
            };
            self.measure(pair, place, figure, (&base, &new), values);
        }
    }

    /// A figure of the process, over the cells that are valid on both sides.
    fn process(&mut self, pair: &mut Pair<'_>, figure: &'static Figure, sound: &[&'m Cell]) {
        // A start doesn't depend on the load; memory does.
        let of_starts = figure.compared.contains(&Stage::Peak);
        let once_a_round = of_starts && self.base.court.record.run.schedule.is_interleaved();
        let cells = match of_starts {
            true => sound.to_vec(),
            false => self.equal_load(sound),
        };
        if cells.is_empty() {
            if self.choice.figures.is_empty() && !self.choice.stages.contains(&Stage::Paced) {
                // Without the paced stage, memory wasn't requested.
                return;
            }
            let cause = match sound.is_empty() {
                true => Obstacle::NoValidTrials,
                false => Obstacle::NoEqualLoad,
            };
            return pair.not(None, Some(figure.id), cause);
        }
        let values = |side: &Side<'_>, name: &str| match once_a_round {
            true => side.of_starts(name, &cells, figure.id),
            false => side.over(name, &cells, figure.id),
        };
        let (base, new) = (values(self.base, pair.base), values(self.new, pair.new));
        if let Some(cause) = too_few(&base, &new) {
            return pair.not(None, Some(figure.id), cause);
        }
        let twins = |side: &Side<'_>| -> Vec<(Series, Series)> {
            let twins = side.twins().into_iter();
            twins
                .map(|(a, b)| (values(side, a), values(side, b)))
                .collect()
        };
        let (of_base, of_new) = (twins(self.base), twins(self.new));
        let delta = floor(of_base, of_new, self.choice, &mut self.bootstrap);
        let place = pair.place(None, Some(figure.id));
        let values = (base.clone(), new.clone(), false, delta);
        self.measure(pair, place, figure, (&base, &new), values);
    }

    /// The cells with the same load in both runs: the paced ones at the same rate and for the same time. At
    /// peak the faster server gets more requests, and may use more memory.
    fn equal_load(&self, sound: &[&'m Cell]) -> Vec<&'m Cell> {
        let alike = |cell: &&&Cell| {
            cell.stage == Stage::Paced
                && self.cells.alike.contains(cell)
                && as_long(self.base, self.new, cell.stage)
        };
        sound.iter().filter(alike).copied().collect()
    }

    fn measure(
        &mut self,
        pair: &mut Pair<'_>,
        place: Place,
        figure: &Figure,
        (raw_base, raw_new): (&Series, &Series),
        (base, new, by_control, delta): (Series, Series, bool, f64),
    ) {
        let (ratio, p_value) = if self.choice.same_run {
            let ratio = paired_ratio(&new, &base, &mut self.bootstrap);
            let found = ratio.map(|ratio| (ratio.median, ratio.interval));
            (found, paired_p(&new, &base, delta))
        } else {
            let ratio = unpaired_ratio(&new, &base, &mut self.bootstrap);
            let found = ratio.map(|ratio| (ratio.median, ratio.interval));
            (found, unpaired_p(&new, &base, delta))
        };
        let Some((median, Some(interval))) = ratio else {
            let cause = Obstacle::TooFewInCommon {
                needed: MIN_REPLICATES,
            };
            pair.comparison.not_judged.push(NotJudged { cause, place });
            return;
        };
        let mut over_rounds = |series: &Series| {
            let values: Vec<f64> = series.values().copied().collect();
            estimate(&values, &mut self.bootstrap)
        };
        let (Some(base), Some(new)) = (over_rounds(raw_base), over_rounds(raw_new)) else {
            return;
        };
        pair.p_values.push(p_value.unwrap_or(1.0));
        pair.comparison.changes.push(Change {
            place,
            display: pair.display.clone(),
            better: figure.better(),
            base,
            new,
            ratio: Ratio::of_logs(median, interval),
            delta,
            by_control,
            outcome: outcome(interval, delta, figure.better()),
            sure: false,
        });
    }
}

impl Pair<'_> {
    fn place(&self, cell: Option<&Cell>, figure: Option<&'static str>) -> Place {
        Place {
            server: Some(self.base.to_owned()),
            workload: cell.map(|cell| cell.workload.clone()),
            stage: cell.map(|cell| cell.stage),
            figure,
        }
    }

    fn not(&mut self, cell: Option<&Cell>, figure: Option<&'static str>, cause: Obstacle) {
        let place = self.place(cell, figure);
        self.comparison.not_judged.push(NotJudged { cause, place });
    }

    /// What fails on at least one side.
    fn failed(&mut self, cell: Option<&Cell>, base: Option<Vec<Cause>>, new: Option<Vec<Cause>>) {
        let (outcome, run, causes) = match (base, new) {
            (Some(causes), None) => (Outcome::Improved, "base", causes),
            (None, Some(causes)) => (Outcome::Regressed, "new", causes),
            (_, new) => {
                let new = new.unwrap_or_default();
                return self.not(cell, None, Obstacle::FailedInBoth { new });
            }
        };
        self.comparison.turns.push(Turn {
            place: self.place(cell, None),
            display: self.display.clone(),
            outcome,
            cause: Obstacle::Failed { run, causes },
        });
    }
}

fn causes(found: Found<'_, '_>) -> Option<Vec<Cause>> {
    match found {
        Found::Failed(causes) => Some(causes),
        Found::NotRun | Found::Sound(_) => None,
    }
}

/// Why a peak rate says nothing about the server.
fn bound(cell: &Cell, judged: &Judged<'_>, run: &'static str) -> Option<Obstacle> {
    match cell.stage {
        Stage::Peak if judged.row.lower_bound => Some(Obstacle::LowerBound { run }),
        Stage::Peak if !judged.server_bound => Some(Obstacle::DriverMayBind { run }),
        _ => None,
    }
}

fn too_few(base: &Series, new: &Series) -> Option<Obstacle> {
    match (base.len(), new.len()) {
        (0, 0) => Some(Obstacle::NotMeasured { run: "either" }),
        (0, _) => Some(Obstacle::NotMeasured { run: "base" }),
        (_, 0) => Some(Obstacle::NotMeasured { run: "new" }),
        (base, new) if base.min(new) < MIN_REPLICATES => Some(Obstacle::TooFewRounds {
            base,
            new,
            needed: MIN_REPLICATES,
        }),
        _ => None,
    }
}

fn outcome(interval: Interval, delta: f64, better: Better) -> Outcome {
    match (differs(Some(interval), delta), better) {
        (Difference::Tie, _) => Outcome::Indistinguishable,
        (Difference::Greater, Better::Higher) | (Difference::Less, Better::Lower) => {
            Outcome::Improved
        }
        (Difference::Less, Better::Higher) | (Difference::Greater, Better::Lower) => {
            Outcome::Regressed
        }
    }
}
