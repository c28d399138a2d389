//! Whether two servers differ, and by how much: log-ratios within rounds.
//!
//! Effects on a whole round (a neighbour on the host, a warmer CPU) cancel in the ratio of two trials of that
//! round, so ratios are taken within rounds before anything is averaged.

use std::collections::BTreeMap;

use super::bootstrap::{Bootstrap, Interval, MIN_REPLICATES, Scale, interval};
use super::quantile::median;

/// One figure of one server by round. Rounds with an invalid trial are absent.
pub type Series = BTreeMap<u32, f64>;

/// The ratio of two servers over the rounds both have, as natural logarithms: 0 if they are equal, 0.0953 if
/// the first is 10 % above the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRatio {
    /// The median of the log-ratios.
    pub median: f64,
    /// Its 95 % interval; absent for fewer than [`MIN_REPLICATES`] common rounds.
    pub interval: Option<Interval>,
    /// Rounds both have.
    pub n: usize,
}

impl PairedRatio {
    /// The median as a factor: 1.1 if the first is 10 % above the second.
    pub fn factor(&self) -> f64 {
        self.median.exp()
    }

    /// The interval as factors.
    pub fn factors(&self) -> Option<Interval> {
        self.interval.map(|Interval { low, high }| Interval {
            low: low.exp(),
            high: high.exp(),
        })
    }
}

/// The median of log(`a / b`) over common rounds, and its interval by resampling rounds. Ignores values that
/// are not positive.
///
/// `None` if they have no common round.
pub fn paired_ratio(a: &Series, b: &Series, bootstrap: &mut Bootstrap) -> Option<PairedRatio> {
    let logs: Vec<Option<f64>> = a
        .iter()
        .filter_map(|(round, &a)| log_ratio(a, *b.get(round)?))
        .map(Some)
        .collect();
    resampled(&logs, bootstrap)
}

/// The natural logarithm of `a / b`, if defined.
pub(super) fn log_ratio(a: f64, b: f64) -> Option<f64> {
    let log = a.ln() - b.ln();
    (a > 0.0 && b > 0.0 && log.is_finite()).then_some(log)
}

/// From log-ratios with a slot for every resampled round.
pub(super) fn resampled(logs: &[Option<f64>], bootstrap: &mut Bootstrap) -> Option<PairedRatio> {
    let present: Vec<f64> = logs.iter().copied().flatten().collect();
    let median = median(&present)?;
    let interval = (present.len() >= MIN_REPLICATES).then(|| {
        let mut medians = bootstrap.resamples(logs.len()).medians(logs, median);
        interval(&mut medians, &present, Scale::Linear)
    });
    Some(PairedRatio {
        median,
        interval,
        n: present.len(),
    })
}

/// How the first of two compares with the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It is smaller.
    Less,
    /// It is greater.
    Greater,
    /// They can't be distinguished.
    Tie,
}

/// Two servers differ only if the 95 % interval of their log-ratio lies entirely outside [−`delta`, +`delta`];
/// without an interval they tie.
pub fn differs(interval: Option<Interval>, delta: f64) -> Difference {
    match interval {
        Some(Interval { low, .. }) if low > delta => Difference::Greater,
        Some(Interval { high, .. }) if high < -delta => Difference::Less,
        _ => Difference::Tie,
    }
}

/// The difference between two entries of the same program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseFloor {
    /// δ: log-ratios within ± this count as no difference. At least the given minimum.
    pub delta: f64,
    /// Number of pairs it was measured with; if 0, it is the minimum.
    pub pairs: usize,
}

/// δ from programs that were entered twice.
///
/// For each pair it takes |median log-ratio|. Variation between rounds is already in the width of the servers'
/// own intervals, and would count twice if δ used the pair's whole interval. But if that interval does not
/// include 0, two entries of the same program differ by more than chance, and δ is the interval's far end. The
/// result is the largest of all pairs and `minimum`.
pub fn noise_floor(
    pairs: &[(Series, Series)],
    minimum: f64,
    bootstrap: &mut Bootstrap,
) -> NoiseFloor {
    let of_pair = |(a, b): &(Series, Series)| {
        let ratio = paired_ratio(a, b, bootstrap)?;
        Some(match ratio.interval {
            Some(Interval { low, high }) if low > 0.0 || high < 0.0 => low.abs().max(high.abs()),
            _ => ratio.median.abs(),
        })
    };
    let floors: Vec<f64> = pairs.iter().filter_map(of_pair).collect();
    let delta = floors.iter().copied().fold(minimum, f64::max);
    NoiseFloor {
        delta,
        pairs: floors.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Series {
        (1..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn what_a_round_shares_cancels() {
        // Rounds differ by a factor of 3, the servers by 10 % in each.
        let slow = series(&[100.0, 300.0, 150.0, 120.0, 200.0, 90.0]);
        let fast: Series = slow
            .iter()
            .map(|(&round, rate)| (round, rate * 1.1))
            .collect();
        let ratio = paired_ratio(&fast, &slow, &mut Bootstrap::new(1)).unwrap();
        let factors = ratio.factors().unwrap();
        assert!((ratio.factor() - 1.1).abs() < 1e-12);
        assert!((factors.low - 1.1).abs() < 1e-12 && (factors.high - 1.1).abs() < 1e-12);
        assert_eq!(differs(ratio.interval, 0.01), Difference::Greater);
        assert_eq!(differs(ratio.interval, 0.1), Difference::Tie);
    }

    #[test]
    fn only_common_rounds_count() {
        let a = Series::from([(1, 2.0), (2, 2.0), (4, 2.0), (5, 0.0)]);
        let b = Series::from([(2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0)]);
        let ratio = paired_ratio(&a, &b, &mut Bootstrap::new(1)).unwrap();
        assert_eq!((ratio.n, ratio.interval), (2, None));
        assert_eq!(differs(ratio.interval, 0.0), Difference::Tie);
        assert_eq!(
            paired_ratio(&a, &Series::new(), &mut Bootstrap::new(1)),
            None
        );
    }

    #[test]
    fn noise_floor_is_the_pairs_median_or_more() {
        let mut bootstrap = Bootstrap::new(1);
        let one = series(&[100.0; 6]);
        assert_eq!(
            noise_floor(&[], 0.01, &mut bootstrap),
            NoiseFloor {
                delta: 0.01,
                pairs: 0
            }
        );

        // About 2 % apart at the median, in both directions, so due to chance.
        let either = series(&[102.0, 97.0, 102.0, 102.0, 96.0, 102.0]);
        let floor = noise_floor(&[(either, one.clone())], 0.01, &mut bootstrap);
        assert!((floor.delta - 1.02_f64.ln()).abs() < 1e-9, "{floor:?}");

        // Always above, so the far end of the interval counts.
        let above = series(&[102.0, 103.0, 104.0, 105.0, 106.0, 107.0]);
        let floor = noise_floor(&[(above, one)], 0.01, &mut bootstrap);
        assert!(
            floor.delta > 1.06_f64.ln() && floor.delta <= 1.07_f64.ln(),
            "{floor:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_inverse_is_the_mirror(
            pairs in prop::collection::vec((1.0..1e5_f64, 1.0..1e5_f64), 1..20)
        ) {
            let a = series(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
            let b = series(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>());
            let mut bootstrap = Bootstrap::new(5);
            let there = paired_ratio(&a, &b, &mut bootstrap).unwrap();
            let back = paired_ratio(&b, &a, &mut bootstrap).unwrap();
            prop_assert!((there.median + back.median).abs() < 1e-9);
            if let (Some(there), Some(back)) = (there.interval, back.interval) {
                prop_assert!((there.low + back.high).abs() < 1e-9);
                prop_assert!((there.high + back.low).abs() < 1e-9);
            }
            let opposite = match differs(there.interval, 0.01) {
                Difference::Less => Difference::Greater,
                Difference::Greater => Difference::Less,
                Difference::Tie => Difference::Tie,
            };
            prop_assert_eq!(differs(back.interval, 0.01), opposite);
        }
    }
}
