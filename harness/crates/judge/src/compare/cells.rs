//! Which stages of which workloads can be compared.

use std::collections::BTreeSet;

use super::{Cell, Choice, Comparison, NotJudged, Place, Side, chosen};
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
            not(
                None,
                Some(stage),
                format!("not run in {}", called(side, base, new)),
            );
        }
        let workloads = both(set(base), set(new), |workload| {
            choice.workloads.is_empty() || choice.workloads.contains(workload)
        });
        for (workload, side) in workloads.one {
            not(
                Some(&workload),
                None,
                format!("not in {}", called(side, base, new)),
            );
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

fn called<'s>(lacking: usize, base: &'s Side<'_>, new: &'s Side<'_>) -> &'s str {
    &[base, new][lacking].called
}

fn set(side: &Side<'_>) -> BTreeSet<String> {
    side.court.workloads().into_iter().collect()
}

/// Why a cell's figures can't be compared.
fn obstacle(base: &Side<'_>, new: &Side<'_>, cell: &Cell) -> Option<String> {
    let (base_run, new_run) = (&base.court.record.run, &new.court.record.run);
    if base_run.connections != new_run.connections {
        return Some(format!(
            "{} connections in base and {} in new",
            base_run.connections, new_run.connections
        ));
    }
    if base_run.engine != new_run.engine {
        return Some(format!(
            "different I/O backends: {} in base and {} in new, and their cost is in every figure; \
             run both with the same --engine",
            base_run.engine, new_run.engine
        ));
    }
    if base_run.schedule.name() != new_run.schedule.name() {
        return Some(format!(
            "base is {} and new is {}; run both with or both without --isolated",
            base_run.schedule.name(),
            new_run.schedule.name()
        ));
    }
    if cell.stage == Stage::Peak {
        return None;
    }
    let rate = |run: &record::Run| run.rates_per_s.get(&cell.workload).copied();
    match (rate(base_run), rate(new_run)) {
        (Some(base), Some(new)) if base == new => None,
        (Some(base), Some(new)) => Some(format!(
            "{base}/s in base and {new}/s in new: latency and cost depend on the rate; run both \
             with the same --rate"
        )),
        _ => Some("the paced rate was not recorded in both".to_owned()),
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
