//! When latency is as before a burst.

use std::time::Duration;

use record::{PatternRun, PatternShape};
use stats::recovery;

/// What a burst left behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovered {
    /// The p99 that counts as before, nanoseconds.
    pub limit_ns: f64,
    /// From the end of the burst until latency is as before; `None` if it never is.
    pub after: Option<Duration>,
    /// How long it was watched after the burst.
    pub watched: Duration,
}

/// An interval of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct P99Interval {
    /// Its start.
    pub at: Duration,
    /// Its length.
    pub length: Duration,
    /// Its 99th percentile, nanoseconds; `None` if nothing ended in it.
    pub p99_ns: Option<f64>,
    /// Errors in it.
    pub errors: u64,
}

/// When p99 is as before the burst, which lasts from `burst.0` to `burst.1`: see [`stats::recovery`]. An interval with
/// an error, or in which nothing ended, is not as before.
///
/// `None` if there are too few intervals before the burst.
pub fn recovered(moments: &[P99Interval], burst: (Duration, Duration)) -> Option<Recovered> {
    let before: Vec<f64> = moments
        .iter()
        .filter(|moment| moment.at + moment.length <= burst.0)
        .filter_map(|moment| moment.p99_ns)
        .collect();
    let after: Vec<&P99Interval> = moments.iter().filter(|m| m.at >= burst.1).collect();
    let values: Vec<Option<f64>> = after
        .iter()
        .map(|moment| moment.p99_ns.filter(|_| moment.errors == 0))
        .collect();
    let found = recovery(&before, &values)?;
    let end = after.last().map_or(burst.1, |last| last.at + last.length);
    Some(Recovered {
        limit_ns: found.limit,
        after: found.at.map(|index| after[index].at - burst.1),
        watched: end - burst.1,
    })
}

/// The same of a stored run.
pub fn pattern_recovered(shape: &PatternShape, run: &PatternRun) -> Option<Recovered> {
    let (begin, end) = shape.phase_ms("burst")?;
    let ms = Duration::from_millis;
    let moments: Vec<P99Interval> = run
        .intervals
        .iter()
        .map(|interval| P99Interval {
            at: ms(interval.at_ms),
            length: ms(interval.length_ms),
            p99_ns: interval.p99_us.map(|us| us * 1e3),
            errors: interval.errors,
        })
        .collect();
    recovered(&moments, (ms(begin), ms(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_after_the_burst_counts() {
        let ms = Duration::from_millis;
        // 2 s at 1 ms; a burst of 1 s; 0.7 s of backlog; then as before.
        let mut moments: Vec<P99Interval> = (0..60)
            .map(|index| P99Interval {
                at: ms(index * 100),
                length: ms(100),
                p99_ns: Some(if (22..37).contains(&index) { 5e7 } else { 1e6 }),
                errors: 0,
            })
            .collect();
        let burst = (ms(2_000), ms(3_000));
        let found = recovered(&moments, burst).unwrap();
        assert_eq!(found.after, Some(ms(700)));
        assert_eq!(found.watched, ms(3_000));
        assert!((found.limit_ns - 1.25e6).abs() < 1.0);
        // Errors are no recovery, however fast.
        for moment in &mut moments[37..45] {
            moment.errors = 1;
        }
        assert_eq!(recovered(&moments, burst).unwrap().after, Some(ms(1_500)));
        for moment in &mut moments[37..] {
            moment.p99_ns = None;
        }
        assert_eq!(recovered(&moments, burst).unwrap().after, None);
        assert_eq!(recovered(&moments, (ms(500), ms(1_000))), None);
    }
}
