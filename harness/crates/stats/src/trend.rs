//! Does a series of readings grow?
//!
//! The test is Mann and Kendall's: S is the number of later readings that are higher than earlier ones, less the number
//! that are lower (Mann, "Nonparametric Tests Against Trend", 1945; Kendall, *Rank Correlation Methods*, 1975). Without a
//! trend S is close to normal with mean 0 and variance (n (n − 1) (2n + 5) − Σ t (t − 1) (2t + 5)) / 18, where t are the
//! numbers of equal readings. Readings that depend on their predecessors make S vary more: the variance is multiplied by
//! n / n* of Hamed and Rao ("A modified Mann–Kendall trend test for autocorrelated data", Journal of Hydrology 204, 1998),
//! where that is above 1. The test is for growth only: p is the probability of an S this high or higher.
//!
//! The slope is the median of the slopes between all pairs of readings, with the interval of Sen ("Estimates of the
//! Regression Coefficient Based on Kendall's Tau", 1968) from the same variance. No single reading can move it far.
//!
//! Readings of several processes are groups: only readings of one group are compared, and S, its variance and the slopes
//! are added up over groups (as over seasons in Hirsch, Slack and Smith, "Techniques of Trend Analysis for Monthly Water
//! Quality Data", 1982).

use super::quantile::{median, sorted};

/// Growth of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Readings of all groups.
    pub readings: usize,
    /// The score S.
    pub score: f64,
    /// The variance of S without a trend, correlation taken into account.
    pub variance: f64,
    /// The one-sided p-value of growth.
    pub p: f64,
    /// The median slope.
    pub slope: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The trend of y over x within each group of pairs `(x, y)`, in ascending order of x.
///
/// `None` if no group has three readings at different x.
pub fn trend(groups: &[Vec<(f64, f64)>]) -> Option<Trend> {
    let groups: Vec<&Vec<(f64, f64)>> = groups.iter().filter(|group| group.len() > 2).collect();
    let mut slopes: Vec<f64> = groups.iter().flat_map(|group| slopes(group)).collect();
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = median(&slopes)?;
    let of = |each: fn(&[f64]) -> f64| groups.iter().map(move |group| each(&values(group)));
    let score: f64 = of(score).sum();
    let variance: f64 = groups
        .iter()
        .map(|group| {
            let y = values(group);
            variance(&y) * inflation(&y)
        })
        .sum();
    let deviation = variance.sqrt();
    // S takes every second whole number, so a half of that distance is taken off.
    let z = match deviation > 0.0 {
        true => (score - score.signum()) / deviation,
        false => 0.0,
    };
    // As in SciPy's theilslopes.
    let pairs = slopes.len() as f64;
    let last = slopes.len() - 1;
    let high = (((pairs + Z * deviation) / 2.0).round() as usize).min(last);
    let low = ((pairs - Z * deviation) / 2.0).round() - 1.0;
    Some(Trend {
        readings: groups.iter().map(|group| group.len()).sum(),
        score,
        variance,
        p: upper_tail(z),
        slope,
        low: slopes[low.max(0.0) as usize],
        high: slopes[high],
    })
}

fn values(group: &[(f64, f64)]) -> Vec<f64> {
    group.iter().map(|(_, y)| *y).collect()
}

/// The slopes between all pairs at different x.
fn slopes(group: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(group.len() * group.len() / 2);
    for (place, (x, y)) in group.iter().enumerate() {
        let later = group[place + 1..].iter().filter(|(later, _)| later > x);
        slopes.extend(later.map(|(later, value)| (value - y) / (later - x)));
    }
    slopes
}

fn score(y: &[f64]) -> f64 {
    let mut score = 0.0;
    for (place, value) in y.iter().enumerate() {
        for later in &y[place + 1..] {
            score += f64::from(i8::from(later > value) - i8::from(later < value));
        }
    }
    score
}

/// The variance of S if the readings don't depend on each other.
fn variance(y: &[f64]) -> f64 {
    let term = |n: usize| n as f64 * (n as f64 - 1.0) * (2.0 * n as f64 + 5.0);
    let y = sorted(y);
    let ties: f64 = y.chunk_by(|a, b| a == b).map(|same| term(same.len())).sum();
    (term(y.len()) - ties) / 18.0
}

/// n / n*, at least 1: by how much correlation between readings raises the variance of S.
fn inflation(y: &[f64]) -> f64 {
    let n = y.len();
    let numbered: Vec<(f64, f64)> = (0..n).map(|place| (place as f64, y[place])).collect();
    let Some(slope) = median(&slopes(&numbered)) else {
        return 1.0;
    };
    let detrended: Vec<f64> = numbered.iter().map(|(x, y)| y - slope * x).collect();
    let ranks = super::correlation::mean_ranks(&detrended);
    let mean = ranks.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let product = |lag: usize| -> f64 {
        let pairs = centred.iter().zip(&centred[lag..]);
        pairs.map(|(a, b)| a * b).sum()
    };
    let whole = product(0);
    if whole <= 0.0 {
        return 1.0;
    }
    let size = n as f64;
    let mut sum = 0.0;
    for lag in 1..n {
        let correlation = product(lag) / whole;
        // Only what is significant on its own: the rest is noise that would add up.
        if correlation.abs() > Z / size.sqrt() {
            let left = size - lag as f64;
            sum += left * (left - 1.0) * (left - 2.0) * correlation;
        }
    }
    (1.0 + 2.0 / (size * (size - 1.0) * (size - 2.0)) * sum).max(1.0)
}

/// The probability that a standard normal variable exceeds z, to about 1e-12: the series of Abramowitz and Stegun,
/// *Handbook of Mathematical Functions*, 26.2.11, below 3, and their continued fraction 26.2.14 above.
fn upper_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let x = z.abs();
    let tail = if x < 3.0 {
        let mut term = x;
        let mut sum = x;
        for k in 1..60_u32 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 - density * sum
    } else {
        let fraction = (1..=60_u32).rev().fold(x, |below, k| x + f64::from(k) / below);
        density / fraction
    };
    if z < 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    fn group(values: &[f64]) -> Vec<(f64, f64)> {
        (0..values.len()).map(|x| (x as f64, values[x])).collect()
    }

    fn trend_of(values: &[f64]) -> Trend {
        trend(&[group(values)]).unwrap()
    }

    const TIED: [f64; 10] = [10.0, 22.0, 21.0, 30.0, 22.0, 30.0, 22.0, 30.0, 40.0, 40.0];
    const RISING: [f64; 12] = [1.0, 2.5, 2.0, 3.5, 4.1, 3.9, 5.2, 6.0, 5.8, 7.1, 7.4, 8.8];
    /// An AR(1) series with coefficient 0.7 and no trend.
    const CORRELATED: [f64; 30] = [
        0.0, 2.041, -1.127, -0.371, -0.827, -1.032, -0.938, -2.676, -2.105, -2.339, 1.686, 1.406,
        0.631, 0.161, -0.556, -1.444, -1.402, -0.499, -0.588, 0.546, 0.183, 0.152, 1.652, 1.702,
        0.686, 0.297, 0.749, 2.459, 1.452, 0.773,
    ];

    #[test]
    fn scores_and_variances_are_pymannkendalls() {
        // pymannkendall 1.4.3: original_test(x) -> s, var_s, z, p (two-sided)
        for (values, s, variance, z, p) in [
            (&TIED[..], 30.0, 116.666_666_666_666_67, 2.684_878_289_340_399_5, 0.007_255_622_276_777_007),
            (&RISING[..], 60.0, 212.666_666_666_666_66, 4.045_780_339_810_076, 5.214_911_582_429_593e-5),
        ] {
            assert_eq!(score(values), s);
            assert!((super::variance(values) - variance).abs() < 1e-9);
            let found = upper_tail((s - 1.0) / variance.sqrt());
            assert!(((s - 1.0) / variance.sqrt() - z).abs() < 1e-12);
            assert!((2.0 * found - p).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn correlation_raises_the_variance_as_in_pymannkendall() {
        // original_test(x) -> s 149, var_s 3141.6667, p 0.0083;
        // hamed_rao_modification_test(x) -> var_s 5827.602914997774, z 1.9387273608887117, p 0.052534545184369064
        assert!((super::variance(&CORRELATED) - 3_141.666_666_666_666_5).abs() < 1e-9);
        let found = trend_of(&CORRELATED);
        assert_eq!(found.score, 149.0);
        assert!((found.variance - 5_827.602_914_997_774).abs() < 1e-6, "{found:?}");
        assert!((2.0 * found.p - 0.052_534_545_184_369_064).abs() < 1e-9, "{found:?}");
        // hamed_rao_modification_test(rising) -> the variance of original_test: nothing is significant
        assert!((trend_of(&RISING).variance - 212.666_666_666_666_66).abs() < 1e-9);
    }

    #[test]
    fn slopes_are_scipys() {
        // scipy 1.17.1: stats.theilslopes(y, np.arange(n), 0.95) -> slope, low, high
        for (values, slope, low, high) in [
            (&RISING[..], 0.633_333_333_333_333_3, 0.55, 0.728_571_428_571_428_5),
            (&TIED[..], 2.666_666_666_666_666_5, 0.25, 4.0),
        ] {
            let found = trend_of(values);
            for (got, want) in [(found.slope, slope), (found.low, low), (found.high, high)] {
                assert!((got - want).abs() < 1e-12, "{found:?}");
            }
        }
    }

    #[test]
    fn tails_are_scipys() {
        // 0.5 * math.erfc(z / math.sqrt(2))
        for (z, p) in [
            (0.5, 0.308_537_538_725_986_9),
            (2.326_347_874_040_840_8, 0.01),
            (3.5, 0.000_232_629_079_035_525_04),
            (5.0, 2.866_515_718_791_946e-7),
        ] {
            assert!((upper_tail(z) / p - 1.0).abs() < 1e-9, "{z}: {}", upper_tail(z));
            assert!((upper_tail(-z) - (1.0 - p)).abs() < 1e-12);
        }
        assert_eq!(upper_tail(0.0), 0.5);
    }

    #[test]
    fn what_does_not_vary_has_no_trend() {
        let found = trend_of(&[5.0; 12]);
        assert_eq!((found.slope, found.low, found.high, found.p), (0.0, 0.0, 0.0, 0.5));
        assert_eq!(trend(&[group(&[1.0, 2.0])]), None);
        assert_eq!(trend(&[]), None);
        assert_eq!(trend(&[vec![(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]]), None);
    }

    #[test]
    fn groups_are_not_compared_with_each_other() {
        // Each falls, but the second is far above the first.
        let found = trend(&[group(&[5.0, 4.0, 3.0]), group(&[50.0, 49.0, 48.0])]).unwrap();
        assert_eq!((found.score, found.slope, found.readings), (-6.0, -1.0, 6));
        assert!(found.p > 0.9);
    }

    /// The share of series without a trend whose p is below `alpha`.
    fn false_alarms(alpha: f64, correlation: f64) -> f64 {
        let mut random = Pcg64::seed_from_u64(11);
        let runs = 4_000;
        let mut alarms = 0;
        for _ in 0..runs {
            let mut last = 0.0;
            let values: Vec<f64> = (0..40)
                .map(|_| {
                    let noise = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
                    last = correlation * last + noise;
                    last
                })
                .collect();
            alarms += u32::from(trend_of(&values).p < alpha);
        }
        f64::from(alarms) / f64::from(runs)
    }

    #[test]
    fn false_alarms_are_as_rare_as_stated() {
        // 4,000 runs give a share within ± 0.003 of 0.01 and ± 0.007 of 0.05 at 95 %.
        let share = false_alarms(0.01, 0.0);
        assert!(share <= 0.0145, "{share}");
        let share = false_alarms(0.05, 0.0);
        assert!((0.03..0.062).contains(&share), "{share}");
        // Correlation is only partly made up for; without that it would be three times as many.
        let share = false_alarms(0.01, 0.5);
        assert!(share <= 0.04, "{share}");
    }
}
