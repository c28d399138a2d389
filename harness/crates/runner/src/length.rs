//! How many rounds to run.

use std::time::Duration;

use record::StoppedBy;
use stats::RESAMPLING_SUFFICES;

/// How many rounds to run. Without a precision or a budget the number is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Length {
    /// Stop when each ratio's 95 % interval extends no further than this share to either side.
    pub precision: Option<f64>,
    /// Stop after this time at the latest.
    pub budget: Option<Duration>,
}

/// How precisely the ratios between the servers are known so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Sureness {
    /// Half the width of the widest 95 % interval, as a share of its median.
    pub half_width: f64,
    /// The ratio and figure it belongs to, in words.
    pub of: String,
}

impl Length {
    /// Whether rounds can end early.
    pub fn is_adaptive(&self) -> bool {
        self.precision.is_some() || self.budget.is_some()
    }

    /// Whether to stop after `rounds` that took `spent`, and why; `round` is the time of one round. It looks
    /// only at the width of an interval, not at who is ahead, so that repeated checks don't favour a
    /// difference.
    pub(super) fn ended(
        &self,
        rounds: u32,
        spent: Duration,
        round: Duration,
        sureness: Option<&Sureness>,
    ) -> Option<StoppedBy> {
        let wide = |wanted: f64| sureness.is_none_or(|known| known.half_width > wanted);
        if self.precision.is_some_and(|wanted| !wide(wanted)) && rounds >= LEAST_ROUNDS {
            return Some(StoppedBy::Precision);
        }
        self.budget
            .is_some_and(|budget| spent + round > budget)
            .then_some(StoppedBy::Budget)
    }

    /// Estimate of the rounds still needed. The width after `rounds` shrinks with their square root.
    pub fn rounds_wanting(&self, rounds: u32, sureness: &Sureness) -> Option<u32> {
        let times = (sureness.half_width / self.precision?).powi(2);
        let all = (f64::from(rounds) * times).ceil() as u32;
        Some(all.max(LEAST_ROUNDS).saturating_sub(rounds))
    }
}

/// An interval from fewer rounds can't end a run.
pub const LEAST_ROUNDS: u32 = RESAMPLING_SUFFICES as u32;

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_secs(10);

    fn known(half_width: f64) -> Sureness {
        Sureness {
            half_width,
            of: "a to b".to_owned(),
        }
    }

    fn ended(length: Length, rounds: u32, half_width: f64) -> Option<StoppedBy> {
        length.ended(rounds, ROUND * rounds, ROUND, Some(&known(half_width)))
    }

    #[test]
    fn a_fixed_number_never_ends_early() {
        assert_eq!(ended(Length::default(), 1_000, 0.0), None);
    }

    #[test]
    fn precision_ends_it_once_there_are_rounds_enough() {
        let length = Length {
            precision: Some(0.02),
            budget: None,
        };
        assert_eq!(ended(length, LEAST_ROUNDS, 0.021), None);
        assert_eq!(ended(length, LEAST_ROUNDS - 1, 0.02), None);
        assert_eq!(
            ended(length, LEAST_ROUNDS, 0.02),
            Some(StoppedBy::Precision)
        );
        assert_eq!(length.ended(100, ROUND, ROUND, None), None);
    }

    #[test]
    fn a_round_that_does_not_fit_is_not_begun() {
        let length = Length {
            precision: Some(0.02),
            budget: Some(ROUND * 8),
        };
        assert_eq!(ended(length, 7, 0.1), None);
        assert_eq!(ended(length, 8, 0.1), Some(StoppedBy::Budget));
        assert_eq!(ended(length, 8, 0.01), Some(StoppedBy::Precision));
    }

    #[test]
    fn half_the_width_takes_four_times_the_rounds() {
        let length = Length {
            precision: Some(0.02),
            budget: None,
        };
        assert_eq!(length.rounds_wanting(10, &known(0.04)), Some(30));
        assert_eq!(length.rounds_wanting(10, &known(0.01)), Some(0));
        assert_eq!(Length::default().rounds_wanting(10, &known(0.04)), None);
    }
}
