//! How long a slice should be: the difference between two copies of a program, and the overhead.

use anyhow::{Context as _, Result};
use catalog::Stage;
use record::{Record, Schedule, Trial};
use stats::{median, robust_spread};

use crate::Names;
use crate::table::{MarkdownTable, tenths};

/// The figures to compare by.
const FIGURES: [(&str, &str); 4] = [
    ("cpu_us_per_request", "CPU/request"),
    ("requests_per_s", "requests/s"),
    ("latency_p50_us", "p50"),
    ("latency_p99_us", "p99"),
];

/// A line for each run.
pub(crate) fn report(runs: &[Record], names: &Names) -> Result<String> {
    let mut head = vec![
        "schedule".to_owned(),
        "steal".to_owned(),
        "counts".to_owned(),
    ];
    for (_, label) in FIGURES {
        head.extend([format!("{label}, SD"), format!("{label}, robust SD")]);
    }
    let mut table = MarkdownTable::new(head);
    for run in runs {
        let schedule = match run.run.schedule {
            Schedule::Isolated => "isolated".to_owned(),
            Schedule::Interleaved {
                slice_ms,
                lead_in_ms,
            } => format!("{slice_ms} ms, lead-in {lead_in_ms} ms"),
        };
        let share = |figure: &str| {
            let values: Vec<f64> = run
                .trials
                .iter()
                .filter_map(|t| t.figures.get(figure).copied())
                .collect();
            tenths(median(&values))
        };
        let mut row = vec![schedule, share("steal_ratio"), share("counted_ratio")];
        for (figure, _) in FIGURES {
            let logs = logs(run, names, figure)?;
            let factors: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
            row.extend([deviation(&logs), robust_spread(&factors)].map(tenths));
        }
        table.row(row);
    }
    let first = runs.first().context("no run to report on")?;
    Ok(format!(
        "Two copies of a program (`{}`, closed loop, {} rounds of {} ms each, {} connections): \
         standard deviation of their log-ratio within rounds, and the same from the median \
         absolute deviation. Steal is the median over trials; `counts` is the share of a slice \
         that counts.\n\n{table}",
        names.base, first.run.rounds, first.run.peak_ms, first.run.connections
    ))
}

/// The log-ratio of the twin to the base in each round that has both.
fn logs(run: &Record, names: &Names, figure: &str) -> Result<Vec<f64>> {
    let of = |server: &str, round: u32| {
        let is_it = |trial: &&Trial| {
            trial.server == server
                && trial.round == round
                && trial.stage == Stage::Peak
                && trial.failure.is_none()
        };
        run.trials.iter().find(is_it)?.figures.get(figure).copied()
    };
    let logs = (1..=run.run.rounds)
        .filter_map(|round| Some((of(&names.twin, round)? / of(&names.base, round)?).ln()));
    let logs: Vec<f64> = logs.filter(|log| log.is_finite()).collect();
    anyhow::ensure!(
        !logs.is_empty(),
        "run {} has no round of {} and {}",
        run.run.id,
        names.base,
        names.twin
    );
    Ok(logs)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (n > 1.0).then(|| (squares / (n - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(deviation(&[1.0]), None);
        let found = deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((found - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
    }
}
