//! Finds the paced rate of each workload.

use super::Verified;
use super::entry::{Entry, Subject};
use super::options::{CALIBRATION, CALIBRATIONS};
use super::session::{Happening, Session, SessionError, Watch};
use super::trial::{self, Task};
use catalog::plan::{self, round_seed};
use catalog::{DISTINCT_CALLS, Stage, Workload};
use loadgen::Pace;

/// The paced rate as a share of the slowest server's peak.
const PACED_SHARE: f64 = 0.8;

impl<W: Watch> Session<'_, W> {
    /// Finds the paced rate of each workload that has none: a share of the slowest server's peak, so that every
    /// server can keep up with it.
    pub(super) fn calibrate(
        &mut self,
        servers: &[Verified],
        run: &mut record::Run,
    ) -> Result<(), SessionError> {
        run.rates_per_s.clone_from(&self.options.rates_per_s);
        // Rounds before and after an interruption have the same rates, or none.
        if !self.earlier.trials.is_empty() {
            return Ok(());
        }
        for workload in self.options.calibrated() {
            // Server after server, then all again: a busy second of the machine distorts one peak of each.
            let mut peaks = vec![Vec::new(); servers.len()];
            for _ in 0..CALIBRATIONS {
                for (server, peaks) in servers.iter().zip(&mut peaks) {
                    self.go_on()?;
                    let name = &server.built().server.name;
                    self.watch
                        .happens(&Happening::Calibrating(name, &workload.name));
                    peaks.extend(self.peak_of(server, workload));
                }
            }
            self.go_on()?;
            let slowest = peaks
                .iter()
                .filter_map(|peaks| stats::median(peaks))
                .fold(f64::INFINITY, f64::min);
            if slowest.is_finite() && slowest > 0.0 {
                let rate = two_digits(slowest * PACED_SHARE);
                run.rates_per_s.insert(workload.name.clone(), rate);
            }
        }
        Ok(())
    }

    /// The peak of one server; `None` if the trial failed, which its own trials will report.
    fn peak_of(&mut self, server: &Verified, workload: &Workload) -> Option<f64> {
        let calls = workload.draw(round_seed(self.options.seed, 0), DISTINCT_CALLS);
        let step = plan::Step {
            round: 0,
            server: server.built().server.name.clone(),
            workload: workload.name.clone(),
            stage: Stage::Peak,
        };
        let task = Task {
            step: &step,
            position: 0,
            log: format!("calibration-{}", workload.name),
            calls: &calls,
            pace: Pace::Closed,
            warmup: self.options.profile.warmup,
            duration: CALIBRATION,
            seed: self.options.seed,
        };
        let entry = Entry {
            name: step.server.clone(),
            subject: Subject::Server(Box::new(server.clone())),
        };
        let trial = trial::measure(&entry, &task, &self.settings, &self.referee, self.interrupt);
        let why = match (&trial.failure, &trial.first_error) {
            (Some(failure), _) => Some(&failure.reason),
            (None, error) => error.as_ref(),
        };
        if let Some(why) = why {
            let why = format!("the calibration on {} failed: {why}", step.server);
            self.uncalibrated.insert(workload.name.clone(), why);
            return None;
        }
        trial.figures.get("requests_per_s").copied()
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
