//! Finds the paced rate of a workload.

use super::Verified;
use super::entry::{Entry, Subject};
use super::options::{CALIBRATION, Options};
use super::trial::{self, Part, Settings, Task};
use catalog::plan::{self, round_seed};
use catalog::{DISTINCT_CALLS, Stage, Workload};
use loadgen::Pace;

/// The paced rate as a share of the slowest server's peak.
const PACED_SHARE: f64 = 0.8;

/// The paced rate for these peaks of each server; `None` if no peak is known.
pub(super) fn paced_rate(peaks: &[Vec<f64>]) -> Option<f64> {
    let slowest = peaks
        .iter()
        .filter_map(|peaks| stats::median(peaks))
        .fold(f64::INFINITY, f64::min);
    (slowest.is_finite() && slowest > 0.0).then(|| two_digits(slowest * PACED_SHARE))
}

/// Measures the peak of one server. If that fails, returns why; its own trials will report it too.
pub(super) fn peak(
    server: &Verified,
    workload: &Workload,
    options: &Options,
    settings: &Settings,
) -> Result<Option<f64>, String> {
    let step = plan::Step {
        round: 0,
        server: server.built().server.name.clone(),
        workload: workload.name.clone(),
        stage: Stage::Peak,
    };
    let entry = Entry {
        name: step.server.clone(),
        subject: Subject::Server(Box::new(server.clone())),
    };
    let task = Task {
        part: Part {
            entry: &entry,
            step: &step,
            position: 0,
        },
        log: format!("calibration-{}", workload.name),
        calls: &workload.draw(round_seed(options.seed, 0), DISTINCT_CALLS),
        pace: Pace::Closed,
        warmup: options.profile.warmup,
        duration: CALIBRATION,
        seed: options.seed,
    };
    let trial = trial::measure(&task, settings);
    let why = match (&trial.failure, &trial.first_error) {
        (Some(failure), _) => Some(&failure.reason),
        (None, error) => error.as_ref(),
    };
    match why {
        Some(why) => Err(format!("the calibration on {} failed: {why}", step.server)),
        None => Ok(trial.figures.get("requests_per_s").copied()),
    }
}

/// Rounded down to two significant digits, so that the rate is easy to quote and to request again.
fn two_digits(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    (value / unit).floor() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_down_to_two_digits() {
        assert_eq!(two_digits(23_999.0), 23_000.0);
        assert_eq!(two_digits(100_000.0), 100_000.0);
        assert!((two_digits(9.87) - 9.8).abs() < 1e-9);
    }
}
