//! Detects stalls by Nagle's algorithm with delayed ACK.
//!
//! A server that writes a response in two parts on a socket without TCP_NODELAY sends the second only when the
//! first is acknowledged. The client delays that by 40 ms, which its timer extends to up to 50.

use hdrhistogram::Histogram;

use super::Measurement;

/// Range of such latencies in nanoseconds.
const STALL: std::ops::Range<u64> = 38_000_000..50_000_000;
/// Width of the ranges on each side, which other causes would also fill.
const BESIDE: u64 = 12_000_000;
/// The smallest share of requests worth reporting.
const LEAST: f64 = 0.1;
/// Maximum busy share of an idle client.
const IDLE: f64 = 0.5;

impl Measurement {
    /// The share of requests that such a stall explains, if it does: many end at 40 to 50 ms, few shortly
    /// before or after, first bytes came at once, and the client was idle.
    pub fn delayed_ack(&self) -> Option<f64> {
        let is_idle = self.threads.iter().all(|thread| thread.busy_ratio() < IDLE);
        share(&self.latency, &self.first_byte).filter(|_| is_idle)
    }
}

fn share(latency: &Histogram<u64>, first_byte: &Histogram<u64>) -> Option<f64> {
    let between = |of: &Histogram<u64>, from, to| of.count_between(from, to - 1);
    let piled = between(latency, STALL.start, STALL.end);
    let beside = between(latency, STALL.start - BESIDE, STALL.start)
        + between(latency, STALL.end, STALL.end + BESIDE);
    let late = between(first_byte, STALL.start, STALL.end);
    let share = piled as f64 / latency.len().max(1) as f64;
    (share >= LEAST && 4 * beside < piled && 4 * late < piled).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn histogram(values: &[(u64, u64)]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_max(1000 * MS, 3).unwrap();
        for (ms, count) in values {
            histogram.record_n(ms * MS, *count).unwrap();
        }
        histogram
    }

    #[test]
    fn a_pile_behind_an_early_first_byte_is_a_stall() {
        let soon = histogram(&[(1, 100)]);
        assert_eq!(
            share(&histogram(&[(1, 50), (41, 30), (44, 15), (48, 5)]), &soon),
            Some(0.5)
        );
        assert_eq!(share(&histogram(&[(1, 90), (42, 10)]), &soon), Some(0.1));
    }

    #[test]
    fn what_other_causes_explain_is_none() {
        let soon = histogram(&[(1, 100)]);
        // Too few.
        assert_eq!(share(&histogram(&[(1, 91), (42, 9)]), &soon), None);
        // A slow server: its first byte is just as late.
        let slow = histogram(&[(42, 100)]);
        assert_eq!(share(&slow, &slow), None);
        // A large body: a slope instead of a peak.
        let slope: Vec<(u64, u64)> = (20..80).map(|ms| (ms, 10)).collect();
        assert_eq!(share(&histogram(&slope), &soon), None);
        assert_eq!(share(&histogram(&[]), &histogram(&[])), None);
    }
}
