//! Tidy CSV of the trials: one observation per row, with full precision and nothing summarised.
//!
//! A trial without figures has one line with an empty figure, so that every trial is included.

use record::figure::Unit;
use record::{Record, Trial};

use super::csv::quoted;

const HEAD: &str = "run,round,position,server,workload,stage,valid,figure,unit,value,failure";

/// The text of `trials.csv`. Errors under load are figures too: `errors_` and their kind.
pub(super) fn csv(record: &Record, _summary: &record::Summary) -> String {
    let mut out = format!("{HEAD}\n");
    for trial in &record.trials {
        let valid = judge::is_valid(&record.run, trial);
        let before = before(&record.run.id, trial, valid);
        let failure = trial.failure.as_ref().map_or_else(String::new, |failure| {
            quoted(&format!(
                "failed to {}: {}",
                failure.step.verb(),
                failure.reason
            ))
        });
        let mut line = |figure: &str, unit: &str, value: &str| {
            out.push_str(&format!("{before},{figure},{unit},{value},{failure}\n"));
        };
        if trial.figures.is_empty() && trial.errors.is_empty() {
            line("", "", "");
        }
        for (name, value) in &trial.figures {
            line(&quoted(name), Unit::of(name).name(), &value.to_string());
        }
        for (kind, count) in &trial.errors {
            line(&quoted(&format!("errors_{kind}")), "1", &count.to_string());
        }
    }
    out
}

fn before(run: &str, trial: &Trial, valid: bool) -> String {
    let cells = [
        run.to_owned(),
        trial.round.to_string(),
        trial.position.to_string(),
        trial.server.clone(),
        trial.workload.clone(),
        trial.stage.to_string(),
        valid.to_string(),
    ];
    cells.map(|cell| quoted(&cell)).join(",")
}
