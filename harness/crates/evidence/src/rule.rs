//! The judge's rule for two servers of one run, and shares of runs with their uncertainty.

use std::fmt;

use stats::{Bootstrap, Difference, Series, differs, noise_floor, paired_ratio};

/// Whether two servers differ, by the judge's rule.
#[derive(Clone)]
pub(crate) struct Rule {
    bootstrap: Bootstrap,
    /// The smallest δ, as a log-ratio.
    least: f64,
}

impl Rule {
    pub(crate) fn new(seed: u64, least: f64) -> Self {
        Self {
            bootstrap: Bootstrap::new(seed),
            least,
        }
    }

    /// δ from the control's two entries, or the minimum without a control. Don't pass a pair that is to be
    /// judged: it would tie by definition.
    pub(crate) fn delta(&mut self, control: Option<(Series, Series)>) -> f64 {
        let pairs: Vec<(Series, Series)> = control.into_iter().collect();
        noise_floor(&pairs, self.least, &mut self.bootstrap).delta
    }

    /// How `a` compares with `b`.
    pub(crate) fn difference(&mut self, a: &Series, b: &Series, delta: f64) -> Difference {
        let ratio = paired_ratio(a, b, &mut self.bootstrap);
        differs(ratio.and_then(|ratio| ratio.interval), delta)
    }

    /// The effect over all rounds of both.
    pub(crate) fn effect(&mut self, a: &Series, b: &Series) -> Option<Effect> {
        let ratio = paired_ratio(a, b, &mut self.bootstrap)?;
        let interval = ratio.factors()?;
        Some(Effect {
            factor: ratio.factor(),
            low: interval.low,
            high: interval.high,
        })
    }
}

/// A ratio to the base with its 95 % interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect {
    pub(crate) factor: f64,
    low: f64,
    high: f64,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |factor: f64| (factor - 1.0) * 100.0;
        let (low, high) = (percent(self.low), percent(self.high));
        write!(
            f,
            "{:+.1} % ({low:+.1} to {high:+.1})",
            percent(self.factor)
        )
    }
}

/// A number of hits out of a total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) hits: usize,
    pub(crate) of: usize,
}

impl Share {
    pub(crate) fn count(results: impl IntoIterator<Item = bool>) -> Self {
        results
            .into_iter()
            .fold(Self::default(), |share, hit| Self {
                hits: share.hits + usize::from(hit),
                of: share.of + 1,
            })
    }

    pub(crate) fn value(self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// The 95 % score interval of the probability behind it: Wilson, "Probable Inference, the
    /// Law of Succession, and Statistical Inference" (1927).
    pub(crate) fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.959_963_984_540_054;
        let (n, p) = (self.of as f64, self.value());
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        ((centre - half) / scale, (centre + half) / scale)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 0 {
            return f.write_str("–");
        }
        let (low, high) = self.interval();
        let percent = self.value() * 100.0;
        write!(
            f,
            "{percent:.1} % ({:.1} to {:.1}; {} of {})",
            low * 100.0,
            high * 100.0,
            self.hits,
            self.of
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_interval_is_the_published_one() {
        // Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I,
        // method 3: 81/263 gives 0.2553 to 0.3662, and 0/20 gives 0 to 0.1611.
        for (hits, of, low, high) in [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611)] {
            let found = Share { hits, of }.interval();
            assert!((found.0 - low).abs() < 5e-5, "{found:?}");
            assert!((found.1 - high).abs() < 5e-5, "{found:?}");
        }
    }

    #[test]
    fn delta_is_the_controls_and_never_below_the_least() {
        let mut rule = Rule::new(1, 0.01);
        assert_eq!(rule.delta(None), 0.01);
        let ones: Series = (1..=10).map(|round| (round, 1.0)).collect();
        let more: Series = ones.keys().map(|round| (*round, 1.05)).collect();
        assert!((rule.delta(Some((more, ones.clone()))) - 1.05_f64.ln()).abs() < 1e-12);
        assert_eq!(rule.delta(Some((ones.clone(), ones))), 0.01);
    }
}
