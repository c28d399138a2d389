//! Tidy CSV over runs: the rows of `table.csv` with their run.

use super::History;
use crate::csv;

/// The columns before those of `table.csv`.
const HEAD: &str = "run,started_at,revision,machine,machine_changed";

pub(super) fn text(history: &History<'_>) -> String {
    let mut out = format!("{HEAD},{}\n", csv::HEAD);
    for past in &history.runs {
        let run = &past.record.run;
        let machine = &past.record.environment.fingerprint;
        let cells = [
            run.id.clone(),
            run.started_at.clone(),
            run.revision.clone().unwrap_or_default(),
            machine.chars().take(16).collect(),
            (!past.changed.is_empty()).to_string(),
        ];
        let before = cells.map(|cell| csv::quoted(&cell)).join(",");
        for row in csv::rows(past.summary) {
            out.push_str(&format!("{before},{row}\n"));
        }
    }
    out
}
