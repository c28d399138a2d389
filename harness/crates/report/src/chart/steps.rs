//! Many trials step by step: the median and quartiles over rounds.

use catalog::Stage;
use record::{Interval, Trial};
use stats::quantile;

use super::field::{Entrant, Field};

/// A tenth of a second of all trials of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeStep {
    /// Its start, seconds from that of the measured window.
    pub(super) at_s: f64,
    /// The lower quartile over rounds.
    pub(super) low: f64,
    /// The median over rounds.
    pub(super) median: f64,
    /// The upper quartile over rounds.
    pub(super) high: f64,
    /// Number of rounds.
    pub(super) rounds: usize,
}

/// A server and its steps.
pub(super) type Course<'a> = (&'a Entrant<'a>, Vec<TimeStep>);

/// A figure of each server that has more than one step.
pub(super) fn courses<'a>(
    field: &'a Field<'a>,
    stage: Stage,
    figure: fn(&Interval) -> Option<f64>,
) -> Vec<Course<'a>> {
    let course = |entry: &'a Entrant<'a>| (entry, steps(entry.trials(stage), figure));
    let courses = field.servers().map(course);
    courses.filter(|(_, steps)| steps.len() > 1).collect()
}

/// A figure by the time within a trial. Leaves out steps that no round has.
fn steps(trials: &[&Trial], figure: fn(&Interval) -> Option<f64>) -> Vec<TimeStep> {
    let longest = trials.iter().map(|trial| trial.intervals.len()).max();
    (0..longest.unwrap_or(0))
        .filter_map(|index| {
            let of_round = |trial: &&Trial| {
                let interval = trial.intervals.get(index)?;
                let ns = interval.start_unix_ns - trial.started_unix_ns;
                Some((ns as f64 / 1e9, figure(interval)?))
            };
            let found: Vec<(f64, f64)> = trials.iter().filter_map(of_round).collect();
            let mut values: Vec<f64> = found.iter().map(|(_, value)| *value).collect();
            values.retain(|value| value.is_finite());
            values.sort_by(f64::total_cmp);
            let starts: Vec<f64> = found.iter().map(|(at, _)| *at).collect();
            Some(TimeStep {
                at_s: stats::median(&starts)?,
                low: quantile(&values, 0.25)?,
                median: quantile(&values, 0.5)?,
                high: quantile(&values, 0.75)?,
                rounds: values.len(),
            })
        })
        .collect()
}

/// Requests per second of an interval.
pub(super) fn rate(interval: &Interval) -> Option<f64> {
    (interval.length_ns > 0).then(|| interval.requests as f64 * 1e9 / interval.length_ns as f64)
}

/// 99th percentile of latency, microseconds.
pub(super) fn p99(interval: &Interval) -> Option<f64> {
    interval.p99_ns.map(|ns| ns as f64 / 1e3)
}

/// Standard deviation of latency, microseconds.
pub(super) fn jitter(interval: &Interval) -> Option<f64> {
    interval.jitter_ns.map(|ns| ns / 1e3)
}

/// Resident memory, bytes.
pub(super) fn memory(interval: &Interval) -> Option<f64> {
    interval.rss_bytes.map(|bytes| bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(rates: &[u64]) -> Trial {
        Trial {
            round: 1,
            position: 0,
            server: "a".into(),
            workload: "w".into(),
            stage: Stage::Peak,
            started_unix_ns: 1_000,
            failure: None,
            figures: Default::default(),
            errors: Default::default(),
            first_error: None,
            histograms: Default::default(),
            intervals: (0..)
                .zip(rates)
                .map(|(index, requests)| Interval {
                    start_unix_ns: 1_000 + index * 100_000_000,
                    length_ns: 100_000_000,
                    requests: *requests,
                    ..Interval::default()
                })
                .collect(),
        }
    }

    #[test]
    fn the_middle_over_rounds_is_taken_step_by_step() {
        let trials = [trial(&[10, 20]), trial(&[30]), trial(&[20, 40])];
        let trials: Vec<&Trial> = trials.iter().collect();
        let found = steps(&trials, rate);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].median, found[0].low, found[0].high),
            (200.0, 150.0, 250.0)
        );
        assert_eq!((found[1].median, found[1].rounds), (300.0, 2));
        assert!((found[1].at_s - 0.1).abs() < 1e-12);
        assert!(steps(&trials, p99).is_empty(), "an absent figure is not 0");
    }
}
