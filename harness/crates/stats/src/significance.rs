//! Which of many differences may be due to chance.
//!
//! A 95 % interval is wrong in up to one of twenty comparisons if nothing changed, so among a hundred figures a
//! few false changes are expected. Holm's step-down method ("A Simple Sequentially Rejective Multiple Test
//! Procedure", 1979) limits the probability that **any** accepted difference is false to the given level, even
//! if the tests depend on each other: the p-values are sorted, and the k-th smallest of m, counted from 0, must
//! not exceed α / (m − k).
//!
//! Resampling can't give p-values that small, because no resample leaves the range of the values. Instead they
//! come from Student's t test on logarithms; if the samples are unpaired, from Welch's, with Satterthwaite's
//! degrees of freedom rounded down. The null hypothesis is not that the ratio is 1 but that it lies within the
//! noise floor: the distance from ± δ is divided by the standard error.

use super::ratio::{Series, log_ratio};
use super::unpaired::{difference_of_means, logs, mean_and_error};

/// The two-sided p-value of the hypothesis that the log of `a / b` within rounds lies within ± `delta`.
///
/// `None` for fewer than two common rounds.
pub fn paired_p(a: &Series, b: &Series, delta: f64) -> Option<f64> {
    let logs: Vec<f64> = a
        .iter()
        .filter_map(|(round, &a)| log_ratio(a, *b.get(round)?))
        .collect();
    if logs.len() < 2 {
        return None;
    }
    let (mean, error) = mean_and_error(&logs);
    Some(p_value(mean, error, delta, logs.len() as u32 - 1))
}

/// The two-sided p-value of the hypothesis that the log of `a / b` of two runs lies within ± `delta`.
///
/// `None` for fewer than two rounds in either.
pub fn unpaired_p(a: &Series, b: &Series, delta: f64) -> Option<f64> {
    let (a, b) = (logs(a), logs(b));
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let (difference, error) = difference_of_means(&a, &b);
    Some(p_value(
        difference,
        error,
        delta,
        degrees_of_freedom(&a, &b),
    ))
}

/// Welch–Satterthwaite degrees of freedom, rounded down, at least 1.
fn degrees_of_freedom(a: &[f64], b: &[f64]) -> u32 {
    let part = |values: &[f64]| {
        let square = mean_and_error(values).1.powi(2);
        (square, square.powi(2) / (values.len() as f64 - 1.0))
    };
    let ((a, of_a), (b, of_b)) = (part(a), part(b));
    let degrees = (a + b).powi(2) / (of_a + of_b);
    // NaN if nothing varies; then any value will do.
    degrees.max(1.0) as u32
}

fn p_value(mean: f64, error: f64, delta: f64, degrees: u32) -> f64 {
    let beyond = mean.abs() - delta;
    if beyond <= 0.0 {
        return 1.0;
    }
    // Without scatter, the distance is infinite.
    (2.0 * student_tail(beyond / error, degrees)).min(1.0)
}

/// The probability that Student's t with `degrees` of freedom exceeds a non-negative `t`: the finite series of
/// Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.7.3 and 26.7.4. Accurate to about 1e-15.
fn student_tail(t: f64, degrees: u32) -> f64 {
    let theta = (t / f64::from(degrees).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = degrees % 2 == 1;
    // 1 + 1/2 cos² + 1·3/(2·4) cos⁴ + ..., or cos + 2/3 cos³ + 2·4/(3·5) cos⁵ + ...
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = 0.0;
    let first = if odd { 3 } else { 2 };
    for next in (first..=degrees).step_by(2) {
        sum += term;
        term *= cos * cos * f64::from(next - 1) / f64::from(next);
    }
    let within = if odd {
        (theta + sin * sum) * std::f64::consts::FRAC_2_PI
    } else {
        sin * sum
    };
    ((1.0 - within) / 2.0).clamp(0.0, 0.5)
}

/// Which of these p-values pass Holm's correction at the level `alpha`.
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut passes = vec![false; p_values.len()];
    for (k, index) in order.into_iter().enumerate() {
        let left = (p_values.len() - k) as f64;
        if p_values[index] > alpha / left {
            break;
        }
        passes[index] = true;
    }
    passes
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    fn series(values: &[f64]) -> Series {
        (1..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn tails_are_scipys() {
        // scipy 1.17.1: stats.t.sf(t, degrees)
        for (t, degrees, answer) in [
            (0.5, 1, 0.352_416_382_349_566_74),
            (2.0, 2, 0.091_751_709_536_136_98),
            (2.0, 3, 0.069_662_984_279_421_52),
            (1.3, 4, 0.131_725_798_235_612_06),
            (4.5, 7, 0.001_399_165_038_921_315_8),
            (2.1009, 18, 0.025_001_079_653_157_26),
            (8.0, 10, 5.887_471_394_833_083e-6),
            (5.0, 101, 1.209_935_133_521_760_6e-6),
        ] {
            let found = student_tail(t, degrees);
            assert!((found - answer).abs() < 1e-13, "{t}, {degrees}: {found}");
        }
        assert_eq!(student_tail(0.0, 5), 0.5);
        assert_eq!(student_tail(f64::INFINITY, 5), 0.0);
    }

    #[test]
    fn p_values_are_scipys() {
        // scipy 1.17.1, a and b the logarithms:
        // r = stats.ttest_ind(a, b, equal_var=False); d = a.mean() - b.mean(); e = d / r.statistic
        // 2 * stats.t.sf((d - delta) / e, math.floor(r.df))
        let a = series(&[10.2, 11.5, 9.8, 10.9, 12.4, 10.1, 9.5, 11.1, 10.6, 10.0]);
        let b = series(&[9.1, 9.9, 8.7, 9.6, 10.3, 9.0, 8.8]);
        for (delta, answer) in [(0.0, 0.003_043_503_165), (0.02, 0.009_410_318_589)] {
            for found in [unpaired_p(&a, &b, delta), unpaired_p(&b, &a, delta)] {
                assert!((found.unwrap() - answer).abs() < 1e-9, "{found:?}");
            }
        }
        // c = np.log(b); m = c.mean(); e = c.std(ddof=1) / np.sqrt(6)
        // 2 * stats.t.sf((m - delta) / e, 5)
        let one = series(&[1.0; 6]);
        let b = series(&[1.02, 1.05, 1.03, 1.08, 1.01, 1.04]);
        for (delta, answer) in [(0.0, 0.011_956_997_586), (0.02, 0.133_156_616_634)] {
            let found = paired_p(&b, &one, delta).unwrap();
            assert!((found - answer).abs() < 1e-9, "{found}");
        }
    }

    #[test]
    fn no_scatter_is_all_or_nothing() {
        let (one, more) = (series(&[1.0; 4]), series(&[1.1; 4]));
        assert_eq!(unpaired_p(&one, &one, 0.01), Some(1.0));
        assert_eq!(unpaired_p(&more, &one, 0.01), Some(0.0));
        assert_eq!(paired_p(&more, &one, 0.2), Some(1.0));
        assert_eq!(paired_p(&series(&[1.0]), &one, 0.0), None);
    }

    #[test]
    fn holm_is_statsmodels() {
        // statsmodels 0.15.0: multipletests(p, 0.05, "holm")[0]
        let p = [0.01, 0.04, 0.001, 0.03, 0.012];
        assert_eq!(holm(&p, 0.05), [true, false, true, false, true]);
        // The smallest fails, so nothing passes, though others are below 5 % on their own.
        assert_eq!(holm(&[0.02, 0.03, 0.04], 0.05), [false; 3]);
        assert!(holm(&[], 0.05).is_empty());
    }

    #[test]
    fn families_without_a_change_pass_nothing_in_ninety_five_percent() {
        let mut random = Pcg64::seed_from_u64(5);
        let mut run = |scatter: f64| -> Series {
            let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            (0..8)
                .map(|round| (round, (scatter * normal()).exp()))
                .collect()
        };
        let clean = (0..400)
            .filter(|_| {
                let p = |_| unpaired_p(&run(0.1), &run(0.05), 0.0).unwrap();
                let family: Vec<f64> = (0..20).map(p).collect();
                !holm(&family, 0.05).contains(&true)
            })
            .count();
        // At 95 %, 400 draws give at least 363 with a probability over 0.9999.
        assert!(clean >= 363, "{clean} of 400");
    }
}
