//! Does a series of readings grow?
//!
//! The test is Mann and Kendall's: S is the number of later readings that are higher than earlier ones, less the number
//! that are lower (Mann, "Nonparametric Tests Against Trend", 1945; Kendall, *Rank Correlation Methods*, 1975). Without a
//! trend S is close to normal with mean 0 and variance (n (n − 1) (2n + 5) − Σ t (t − 1) (2t + 5)) / 18, where t are the
//! numbers of equal readings. The test is for growth only: p is the probability of an S this high or higher.
//!
//! Readings that resemble their predecessors, most of all those that wander, make S vary more than that. So a second test
//! looks at the steps from one reading to the next: the signed-rank test of Wilcoxon ("Individual Comparisons by Ranking
//! Methods", 1945), exact, one-sided, without steps of 0. If steps up and down are alike, it is right for readings that
//! wander, and on the safe side for readings that scatter about a level, as a step up is then followed by one down. What
//! grows must pass both.
//!
//! The slope is the median of the slopes between all pairs of readings, with the interval of Sen ("Estimates of the
//! Regression Coefficient Based on Kendall's Tau", 1968) from the variance of S. No single reading can move it far.
//! For the interval, that variance is raised where readings resemble their predecessors, as in Yue and Wang ("The
//! Mann–Kendall test modified by effective sample size", Water Resources Management 18, 2004): by
//! 1 + 2 Σ (1 − k/n) ρᵏ, k from 1 to n − 1, with ρ the correlation of successive ranks after the slope is taken off. A slope
//! fitted to n readings lowers that by about (2 + 4ρ) / n, so it is raised to (n r + 2) / (n − 4), within 0 and 0.95.
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
    /// The variance of S without a trend.
    pub variance: f64,
    /// The one-sided p-value of growth: the higher one of the two tests.
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

/// The most steps whose choices of signs are counted; more are close to normal.
const MOST_EXACT: usize = 100;
/// The highest correlation of successive readings that is made up for.
const HIGHEST: f64 = 0.95;

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
    let variance: f64 = of(variance).sum();
    let raised: f64 = of(|y| self::variance(y) * inflation(y)).sum();
    let steps: Vec<f64> = groups
        .iter()
        .flat_map(|group| group.windows(2).map(|pair| pair[1].1 - pair[0].1))
        .collect();
    // S takes every second whole number, so a half of that distance is taken off.
    let z = match variance > 0.0 {
        true => (score - score.clamp(-1.0, 1.0)) / variance.sqrt(),
        false => 0.0,
    };
    let deviation = raised.sqrt();
    // As in SciPy's theilslopes.
    let pairs = slopes.len() as f64;
    let last = slopes.len() - 1;
    let high = (((pairs + Z * deviation) / 2.0).round() as usize).min(last);
    let low = ((pairs - Z * deviation) / 2.0).round() - 1.0;
    Some(Trend {
        readings: groups.iter().map(|group| group.len()).sum(),
        score,
        variance,
        p: upper_tail(z).max(signed_rank_p(&steps)),
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

/// The probability that the ranks of steps up have a sum this high or higher, if each step is as likely to be up as
/// down. Exact: sums are counted over all choices of signs. Equal steps share the mean of their ranks, so ranks are
/// doubled to be whole.
fn signed_rank_p(steps: &[f64]) -> f64 {
    let steps: Vec<f64> = steps.iter().copied().filter(|step| *step != 0.0).collect();
    let sizes: Vec<f64> = steps.iter().map(|step| step.abs()).collect();
    let ranks: Vec<usize> = super::correlation::mean_ranks(&sizes)
        .iter()
        .map(|rank| (2.0 * rank) as usize)
        .collect();
    let total: usize = ranks.iter().sum();
    let up: usize = ranks
        .iter()
        .zip(&steps)
        .filter(|(_, step)| **step > 0.0)
        .map(|(rank, _)| rank)
        .sum();
    if steps.len() > MOST_EXACT {
        let spread: f64 = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum::<f64>() / 4.0;
        // Doubled ranks: a half of their distance is 1.
        return upper_tail((up as f64 - total as f64 / 2.0 - 1.0) / spread.sqrt());
    }
    // The share of all choices whose sum is the index.
    let mut shares = vec![0.0; total + 1];
    shares[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = f64::midpoint(shares[sum], with);
        }
    }
    shares[up..].iter().sum::<f64>().min(1.0)
}

/// By how much resemblance to the reading before raises the variance of S; at least 1.
fn inflation(y: &[f64]) -> f64 {
    let n = y.len();
    let numbered: Vec<(f64, f64)> = (0..n).map(|place| (place as f64, y[place])).collect();
    let Some(slope) = median(&slopes(&numbered)).filter(|_| n > 4) else {
        return 1.0;
    };
    let detrended: Vec<f64> = numbered.iter().map(|(x, y)| y - slope * x).collect();
    let ranks = super::correlation::mean_ranks(&detrended);
    let mean = ranks.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let whole: f64 = centred.iter().map(|rank| rank * rank).sum();
    if whole <= 0.0 {
        return 1.0;
    }
    let successive = centred.iter().zip(&centred[1..]);
    let seen = successive.map(|(a, b)| a * b).sum::<f64>() / whole;
    let size = n as f64;
    let correlation = ((size * seen + 2.0) / (size - 4.0)).clamp(0.0, HIGHEST);
    let mut power = 1.0;
    let mut sum = 0.0;
    for lag in 1..n {
        power *= correlation;
        sum += (1.0 - lag as f64 / size) * power;
    }
    1.0 + 2.0 * sum
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
        let fraction = (1..=60_u32)
            .rev()
            .fold(x, |below, k| x + f64::from(k) / below);
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
    const CORRELATED: [f64; 32] = [
        0.0, -0.802, -1.886, -1.568, -0.677, 0.662, 0.573, -0.152, -0.891, 0.125, 1.722, 1.478,
        -0.198, -1.097, 0.832, 0.785, -1.182, -0.911, -1.801, -1.89, -1.811, -1.981, -0.833,
        -0.646, -1.042, -0.32, 0.606, -1.219, -1.11, -1.758, -1.404, -2.272,
    ];

    #[test]
    fn scores_and_variances_are_pymannkendalls() {
        // pymannkendall 1.4.3: original_test(x) -> s, var_s, z, p (two-sided)
        for (values, s, variance, z, p) in [
            (
                &TIED[..],
                30.0,
                116.666_666_666_666_67,
                2.684_878_289_340_399_5,
                0.007_255_622_276_777_007,
            ),
            (
                &RISING[..],
                60.0,
                212.666_666_666_666_66,
                4.045_780_339_810_076,
                5.214_911_582_429_593e-5,
            ),
        ] {
            assert_eq!(score(values), s);
            assert!((super::variance(values) - variance).abs() < 1e-9);
            let found = upper_tail((s - 1.0) / variance.sqrt());
            assert!(((s - 1.0) / variance.sqrt() - z).abs() < 1e-12);
            assert!((2.0 * found - p).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn correlation_widens_the_interval() {
        // pymannkendall 1.4.3: original_test(x) -> s -136, var_s 3802.6666666666665
        let found = trend_of(&CORRELATED);
        assert_eq!(found.score, -136.0);
        assert!((found.variance - 3_802.666_666_666_666_5).abs() < 1e-9);
        // r = rankdata(x - sens_slope(x).slope * np.arange(n)) less its mean; r1 = (r[1:] * r[:-1]).sum() / (r * r).sum()
        // p = (n * r1 + 2) / (n - 4); k = np.arange(1, n); var_s * (1 + 2 * ((1 - k / n) * p**k).sum())
        let raised = found.variance * inflation(&CORRELATED);
        assert!((raised - 17_158.479_204_175_78).abs() < 1e-6, "{raised}");
        assert_eq!(inflation(&[5.0; 12]), 1.0);
    }

    #[test]
    fn signed_ranks_are_scipys() {
        // scipy 1.17.1: wilcoxon(x, alternative="greater", method="exact").pvalue; with ties, the share of all 2ⁿ signs
        for (steps, p) in [
            (
                &[1.1, -0.4, 2.3, 0.7, -1.9, 3.1, 0.2, 1.6][..],
                0.097_656_25,
            ),
            (&[1.1, -0.4, -2.3, 0.7, -1.9, 3.1, 0.2, -1.6], 0.628_906_25),
            (
                &[1.0, 1.0, 2.0, -1.0, 0.0, 3.0, 3.0, -2.0, 5.0],
                0.070_312_5,
            ),
        ] {
            let found = signed_rank_p(steps);
            assert!((found - p).abs() < 1e-12, "{steps:?}: {found}");
        }
        assert_eq!(signed_rank_p(&[]), 1.0);
        assert_eq!(signed_rank_p(&[0.0; 5]), 1.0);
        assert_eq!(signed_rank_p(&[2.0; 10]), 1.0 / 1_024.0);
        // The normal distribution takes over where the exact one ends: one small step more changes little.
        let sign = |k: u32| if k % 5 < 3 { 1.0 } else { -1.0 };
        let mut steps: Vec<f64> = (1..=100).map(|k| f64::from(k) * sign(k)).collect();
        let exact = signed_rank_p(&steps);
        steps.push(0.5);
        let normal = signed_rank_p(&steps);
        assert!((exact / normal - 1.0).abs() < 0.2, "{exact} {normal}");
    }

    #[test]
    fn slopes_are_scipys() {
        // scipy 1.17.1: stats.theilslopes(y, np.arange(n), 0.95) -> slope, low, high
        for (values, slope, low, high) in [
            (
                &RISING[..],
                0.633_333_333_333_333_3,
                0.55,
                0.728_571_428_571_428_5,
            ),
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
            assert!(
                (upper_tail(z) / p - 1.0).abs() < 1e-9,
                "{z}: {}",
                upper_tail(z)
            );
            assert!((upper_tail(-z) - (1.0 - p)).abs() < 1e-12);
        }
        assert_eq!(upper_tail(0.0), 0.5);
    }

    #[test]
    fn what_does_not_vary_has_no_trend() {
        let found = trend_of(&[5.0; 12]);
        assert_eq!(
            (found.slope, found.low, found.high, found.p),
            (0.0, 0.0, 0.0, 1.0)
        );
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

    /// The shares of series of `n` readings without a trend whose p is below 0.01 and 0.05.
    fn false_alarms(n: u32, correlation: f64) -> [f64; 2] {
        let mut random = Pcg64::seed_from_u64(11);
        let runs = 2_000;
        let mut alarms = [0; 2];
        for _ in 0..runs {
            let mut last = 0.0;
            let mut next = || {
                let noise = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
                last = correlation * last + noise;
                last
            };
            let values: Vec<f64> = (0..n).map(|_| next()).collect();
            let p = trend_of(&values).p;
            for (alarms, alpha) in alarms.iter_mut().zip([0.01, 0.05]) {
                *alarms += u32::from(p < alpha);
            }
        }
        alarms.map(|alarms| f64::from(alarms) / f64::from(runs))
    }

    #[test]
    fn false_alarms_are_as_rare_as_stated() {
        // Readings that scatter, that resemble their predecessors, and that wander. 2,000 runs give 0.01 ± 0.0045 and
        // 0.05 ± 0.01 at 95 %.
        for n in [15, 40] {
            for correlation in [0.0, 0.5, 0.9, 1.0] {
                let found = false_alarms(n, correlation);
                let rare = found[0] <= 0.0145 && found[1] <= 0.06;
                assert!(rare, "{n}, {correlation}: {found:?}");
            }
        }
    }
}
