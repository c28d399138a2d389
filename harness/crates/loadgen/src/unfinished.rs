//! Requests that had not ended when a drive did. Only a lower bound of their latency is known. They are
//! censored observations, and figures without them would be too low.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Measurement, SessionFigures};

/// A connection silent for less than this is not reported.
const SILENT: Duration = Duration::from_secs(1);
/// When to warn about a window that ends without responses: that part is at least 1/10 of the window, and 10
/// times as long as the typical time between responses.
const QUIET_SHARE: u32 = 10;
const QUIET_GAPS: f64 = 10.0;

/// How long a request that was sent and has not ended has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// Since its intended send time, in nanoseconds.
    pub waited_ns: u64,
    /// How much of it until the first byte of its response, if one arrived.
    pub first_byte_ns: u64,
}

/// A distribution that includes unfinished requests.
#[derive(Debug)]
pub struct Bounds<'a> {
    ended: &'a Histogram<u64>,
    /// With the unfinished ones at the time they had waited.
    all: Histogram<u64>,
    /// Number of requests that may exceed any value.
    open: u64,
}

impl<'a> Bounds<'a> {
    fn new(ended: &'a Histogram<u64>, waited: impl Iterator<Item = u64>, unsent: u64) -> Self {
        let mut all = ended.clone();
        waited.for_each(|ns| all.saturating_record(ns));
        Self {
            ended,
            open: all.len() - ended.len() + unsent,
            all,
        }
    }

    /// Whether no request has ended.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// The value at a quantile in nanoseconds, and whether it is only a lower bound: if the unfinished had
    /// ended, it could be higher.
    pub fn at(&self, quantile: f64) -> (u64, bool) {
        let lowest = self.ended.value_at_quantile(quantile);
        let moves = self
            .highest(quantile)
            .is_none_or(|highest| highest > lowest);
        (self.all.value_at_quantile(quantile), self.open > 0 && moves)
    }

    /// An upper bound of the value at a quantile in nanoseconds, reached if the unfinished are slower than all
    /// that ended. `None` if the quantile falls on an unfinished one, so that nothing limits it.
    pub fn highest(&self, quantile: f64) -> Option<u64> {
        let ended = self.ended.len() as f64;
        let rank = (quantile * (ended + self.open as f64)).ceil().max(1.0);
        // Subtracting half a rank hits the exact rank despite rounding.
        let highest = || self.ended.value_at_quantile((rank - 0.5) / ended.max(1.0));
        (rank <= ended).then(highest)
    }
}

impl SessionFigures {
    /// The end to end time, including unfinished chains.
    pub fn time_bounds(&self) -> Bounds<'_> {
        Bounds::new(&self.time, self.unfinished_ns.iter().copied(), 0)
    }
}

impl Measurement {
    /// Latency, including unfinished requests.
    pub fn latency_bounds(&self) -> Bounds<'_> {
        let waited = self.unfinished.iter().map(|request| request.waited_ns);
        Bounds::new(&self.latency, waited, self.unsent)
    }

    /// Time to first byte, including unfinished requests.
    pub fn first_byte_bounds(&self) -> Bounds<'_> {
        let waited = self.unfinished.iter().map(|request| request.first_byte_ns);
        Bounds::new(&self.first_byte, waited, self.unsent)
    }

    /// Send lag, including requests that were never sent.
    pub fn send_lag_bounds(&self) -> Bounds<'_> {
        Bounds::new(&self.send_lag, std::iter::empty(), self.unsent)
    }

    /// The mean latency in nanoseconds, with the unfinished at the time they had waited, and whether there are
    /// any. If so, it is a lower bound.
    pub fn latency_mean_bound(&self) -> Option<(f64, bool)> {
        let ended = self.latency.len() as f64;
        let waited: f64 = self.unfinished.iter().map(|r| r.waited_ns as f64).sum();
        let count = ended + self.unfinished.len() as f64;
        let mean = (self.latency_mean_ns? * ended + waited) / count;
        Some((mean, !self.unfinished.is_empty() || self.unsent > 0))
    }

    /// How long a request must be unanswered before its connection counts as silent: a second, and twice the
    /// longest latency.
    pub fn silent_after(&self) -> Duration {
        SILENT.max(Duration::from_nanos(self.latency.max()).saturating_mul(2))
    }

    /// Number of connections that were silent at the end.
    pub fn silent(&self) -> u64 {
        let limit = self.silent_after().as_nanos();
        let silent = |request: &&Unfinished| u128::from(request.waited_ns) > limit;
        self.unfinished.iter().filter(silent).count() as u64
    }

    /// The last part of the window, if it had no responses but the part before did: at least a tenth of the
    /// window, and ten times as long as the gaps between responses.
    pub fn quiet(&self) -> Option<Duration> {
        let answered = self.intervals.iter().rposition(|i| i.requests > 0)?;
        let quiet: Duration = self.intervals[answered + 1..]
            .iter()
            .map(|i| i.length)
            .sum();
        let gap = self.window.saturating_sub(quiet).as_secs_f64() / self.requests as f64;
        let long = quiet.as_secs_f64() > QUIET_GAPS * gap && quiet * QUIET_SHARE >= self.window;
        long.then_some(quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_max(1_000_000, 3).unwrap();
        values
            .into_iter()
            .for_each(|v| histogram.record(v).unwrap());
        histogram
    }

    #[test]
    fn without_unfinished_requests_nothing_is_a_bound() {
        let ended = ended(1..=1000);
        let bounds = Bounds::new(&ended, std::iter::empty(), 0);
        for quantile in [0.0, 0.5, 0.99, 0.999, 1.0] {
            let value = ended.value_at_quantile(quantile);
            assert_eq!(bounds.at(quantile), (value, false), "{quantile}");
        }
    }

    #[test]
    fn only_what_they_could_change_is_a_bound() {
        // Nine of ten are equal, so that the median does not move.
        let ended = ended((0..900).map(|_| 10).chain(901..=1000));
        let bounds = Bounds::new(&ended, [500, 700].into_iter(), 0);
        assert_eq!(bounds.at(0.5), (10, false));
        assert_eq!(bounds.at(0.899), (500, true));
        assert!(bounds.at(0.95).1);
        assert_eq!(bounds.at(1.0), (1000, true));
        let later = Bounds::new(&ended, [5_000].into_iter(), 0);
        // Two slower ones move each rank up by at most two.
        assert_eq!(bounds.highest(0.5), Some(10));
        let high = bounds.highest(0.95).unwrap();
        assert!(
            high >= bounds.at(0.95).0 && ended.equivalent(high, 952),
            "{high}"
        );
        assert_eq!((bounds.highest(0.9999), bounds.highest(1.0)), (None, None));
        let (max, bound) = later.at(1.0);
        assert!(bound && ended.equivalent(max, 5_000), "{max}");
    }

    #[test]
    fn an_unsent_request_has_a_bound_without_a_value() {
        let ended = ended([10; 99]);
        let bounds = Bounds::new(&ended, std::iter::empty(), 1);
        assert_eq!(bounds.at(0.99), (10, false));
        assert_eq!(bounds.at(0.999), (10, true));
    }

    #[test]
    fn where_nothing_ended_all_is_a_bound() {
        let ended = ended([]);
        let bounds = Bounds::new(&ended, [7].into_iter(), 0);
        assert!(bounds.is_empty());
        assert_eq!(bounds.at(0.5), (7, true));
    }
}
