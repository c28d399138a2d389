//! When a series is as it was before a disturbance.
//!
//! A limit comes from the values before: their 95th percentile, or 1.25 times their median if that is more, so that
//! values that hardly vary don't make a limit that noise exceeds. The series has recovered at the first value from which
//! [`RUN`] in a row are within the limit, and at least [`WITHIN`] of all that follow. Not all, because one in twenty
//! values before exceeds its own 95th percentile too, and few values give that percentile only roughly.

use super::quantile::{quantile, sorted};

/// Fewer values before a disturbance give no limit.
pub const LEAST_BEFORE: usize = 10;
/// How many values in a row must be within the limit.
const RUN: usize = 5;
/// The share of all later values that must be.
const WITHIN: f64 = 0.8;
/// The percentile of the earlier values that is the limit.
const PERCENTILE: f64 = 0.95;
/// How much more than the earlier median is never a disturbance.
const SLACK: f64 = 1.25;

/// When a series is as before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// The highest value that counts as before.
    pub limit: f64,
    /// The index of the first value from which on the series is as before; `None` if it never is.
    pub at: Option<usize>,
}

/// Finds the recovery in the values after a disturbance. `None` stands for a value that is missing or must not count:
/// it is never within the limit.
///
/// `None` if there are fewer than [`LEAST_BEFORE`] values before.
pub fn recovery(before: &[f64], after: &[Option<f64>]) -> Option<Recovery> {
    if before.len() < LEAST_BEFORE {
        return None;
    }
    let before = sorted(before);
    let limit = quantile(&before, PERCENTILE)?.max(SLACK * quantile(&before, 0.5)?);
    let within: Vec<bool> = after
        .iter()
        .map(|value| value.is_some_and(|value| value <= limit))
        .collect();
    // How many of those from an index on are within.
    let mut later = 0;
    let mut at = None;
    let mut row = 0;
    for index in (0..within.len()).rev() {
        later += usize::from(within[index]);
        row = if within[index] { row + 1 } else { 0 };
        let share = later as f64 / (within.len() - index) as f64;
        if row >= RUN && share >= WITHIN {
            at = Some(index);
        }
    }
    Some(Recovery { limit, at })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn it_is_the_first_value_that_stays_within() {
        let before = [1.0; 20];
        let mut after = vec![9.0; 7];
        after.extend([1.2; 30]);
        let found = recovery(&before, &some(&after)).unwrap();
        assert_eq!(
            found,
            Recovery {
                limit: 1.25,
                at: Some(7)
            }
        );
        // One lucky value during the disturbance is no recovery, and one bad one later is no relapse.
        after[3] = 1.0;
        after[20] = 50.0;
        assert_eq!(recovery(&before, &some(&after)).unwrap().at, Some(7));
        assert_eq!(recovery(&before, &some(&[1.0; 9])).unwrap().at, Some(0));
    }

    #[test]
    fn what_stays_above_or_missing_never_recovers() {
        let before: Vec<f64> = (1..=20).map(f64::from).collect();
        let found = recovery(&before, &some(&[30.0; 40])).unwrap();
        // numpy 2.4.6: np.quantile(np.arange(1, 21), .95) -> 19.05
        assert!((found.limit - 19.05).abs() < 1e-9);
        assert_eq!(found.at, None);
        assert_eq!(recovery(&before, &[None; 40]).unwrap().at, None);
        // Good at first, then bad for good.
        let mut after = vec![1.0; 10];
        after.extend([30.0; 10]);
        assert_eq!(recovery(&before, &some(&after)).unwrap().at, None);
        assert_eq!(recovery(&before[..9], &some(&[1.0; 9])), None);
    }

    #[test]
    fn noise_alone_recovers_at_once() {
        let mut random = Pcg64::seed_from_u64(7);
        // p99 of a noisy machine: a median of 1, one in a hundred above 2.
        let mut draw =
            || (0.3 * ((0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0)).exp();
        let late = (0..200)
            .filter(|_| {
                let before: Vec<f64> = (0..100).map(|_| draw()).collect();
                let after: Vec<Option<f64>> = (0..200).map(|_| Some(draw())).collect();
                let at = recovery(&before, &after).unwrap().at;
                // Up to a few values late, where one of the first five is above.
                at.is_none_or(|at| at > 10)
            })
            .count();
        assert!(late <= 10, "{late} of 200");
    }
}
