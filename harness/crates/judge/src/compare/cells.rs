//! Which stages of which workloads can be compared.

use std::collections::BTreeSet;

use super::{Cell, Choice, Comparison, NotJudged, Obstacle, Place, Side, chosen};
use catalog::Stage;

/// The stages of workloads that both runs have.
pub(super) struct Cells {
    /// All of them; startup doesn't depend on the load.
    pub(super) common: Vec<Cell>,
    /// Those in which the load was the same.
    pub(super) alike: Vec<Cell>,
}

impl Cells {
    /// Finds them, and records why the others can't be compared.
    pub(super) fn new(
        base: &Side<'_>,
        new: &Side<'_>,
        choice: &Choice,
        comparison: &mut Comparison,
    ) -> Self {
        let mut cells = Self {
            common: Vec::new(),
            alike: Vec::new(),
        };
        let mut not = |workload: Option<&String>, stage, cause| {
            comparison.not_judged.push(NotJudged {
                cause,
                place: Place {
                    workload: workload.cloned(),
                    stage,
                    ..Place::default()
                },
            });
        };
        let stages = both(base.stages(), new.stages(), |stage| {
            choice.stages.contains(stage)
        });
        for (stage, side) in stages.one {
            let run = called(side, base, new);
            not(None, Some(stage), Obstacle::StageNotRun { run });
        }
        let workloads = both(set(base), set(new), |workload| {
            choice.workloads.is_empty() || choice.workloads.contains(workload)
        });
        for (workload, side) in workloads.one {
            let run = called(side, base, new);
            not(Some(&workload), None, Obstacle::NotIn { run });
        }
        for workload in workloads.common {
            for &stage in &stages.common {
                let cell = Cell {
                    workload: workload.clone(),
                    stage,
                };
                match obstacle(base, new, &cell) {
                    None => cells.alike.push(cell.clone()),
                    Some(cause) if chosen(choice, Some(stage)).next().is_some() => {
                        not(Some(&workload), Some(stage), cause);
                    }
                    Some(_) => {}
                }
                cells.common.push(cell);
            }
        }
        cells
    }
}

/// Items in both, and items missing from one, with the index of that one.
struct Both<T> {
    common: Vec<T>,
    one: Vec<(T, usize)>,
}

fn both<T: Ord + Clone>(
    base: BTreeSet<T>,
    new: BTreeSet<T>,
    wanted: impl Fn(&T) -> bool,
) -> Both<T> {
    let mut found = Both {
        common: Vec::new(),
        one: Vec::new(),
    };
    for item in base.union(&new).filter(|item| wanted(item)).cloned() {
        match (base.contains(&item), new.contains(&item)) {
            (true, true) => found.common.push(item),
            (in_base, _) => found.one.push((item, usize::from(in_base))),
        }
    }
    found
}

fn called(lacking: usize, base: &Side<'_>, new: &Side<'_>) -> String {
    [base, new][lacking].called.clone()
}

fn set(side: &Side<'_>) -> BTreeSet<String> {
    side.court.workloads().into_iter().collect()
}

/// Why a cell's figures can't be compared.
fn obstacle(base: &Side<'_>, new: &Side<'_>, cell: &Cell) -> Option<Obstacle> {
    let (base_run, new_run) = (&base.court.record.run, &new.court.record.run);
    if base_run.connections != new_run.connections {
        return Some(Obstacle::Connections {
            base: base_run.connections,
            new: new_run.connections,
        });
    }
    if base_run.engine != new_run.engine {
        return Some(Obstacle::Engines {
            base: base_run.engine.clone(),
            new: new_run.engine.clone(),
        });
    }
    if base_run.schedule.name() != new_run.schedule.name() {
        return Some(Obstacle::Schedules {
            base: base_run.schedule.name(),
            new: new_run.schedule.name(),
        });
    }
    if cell.stage == Stage::Peak {
        return None;
    }
    let rate = |run: &record::Run| run.rates_per_s.get(&cell.workload).copied();
    match (rate(base_run), rate(new_run)) {
        (Some(base), Some(new)) if base == new => None,
        (Some(base), Some(new)) => Some(Obstacle::Rates { base, new }),
        _ => Some(Obstacle::RateUnknown),
    }
}

/// Whether a stage lasted equally long in both runs.
pub(super) fn as_long(base: &Side<'_>, new: &Side<'_>, stage: Stage) -> bool {
    let lengths = |side: &Side<'_>| {
        let run = &side.court.record.run;
        match stage {
            Stage::Peak => (run.warmup_ms, run.peak_ms),
            Stage::Paced => (run.warmup_ms, run.paced_ms),
        }
    };
    lengths(base) == lengths(new)
}
