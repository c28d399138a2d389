//! Outlier rounds. They are marked, never dropped: the interval already includes them.

use super::quantile::median;

/// The modified z-score above which a value is an outlier: Iglewicz and Hoaglin, "How to Detect and Handle
/// Outliers" (1993).
pub const OUTLIER_SCORE: f64 = 3.5;

/// Φ⁻¹(3/4), the factor between σ and the median absolute deviation of normal values.
const MAD_OF_SIGMA: f64 = 0.674_489_750_196_081_7;

/// The indices of values whose modified z-score, 0.6745 (x − median) / MAD, exceeds [`OUTLIER_SCORE`]. Finds
/// none among fewer than five values, or if more than half are equal.
pub fn outliers(values: &[f64]) -> Vec<usize> {
    let (Some(middle), Some(sigma)) = (median(values), sigma(values)) else {
        return Vec::new();
    };
    if values.len() < 5 || sigma <= 0.0 {
        return Vec::new();
    }
    let apart = |value: f64| (value - middle).abs() / sigma > OUTLIER_SCORE;
    (0..values.len())
        .filter(|&index| apart(values[index]))
        .collect()
}

/// The spread as a share of the median, by the median absolute deviation: close to the coefficient of variation
/// for normal values, and robust against one bad round.
///
/// `None` if there are no values or their median is 0.
pub fn robust_spread(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    (middle != 0.0).then(|| sigma(values).map(|sigma| sigma / middle.abs()))?
}

/// σ estimated from the median absolute deviation.
fn sigma(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    Some(median(&deviations)? / MAD_OF_SIGMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_that_stand_apart_are_named() {
        // scipy 1.17.1: stats.median_abs_deviation(s) -> 0.75; scores
        // 0.6744897501960817 * (s - np.median(s)) / 0.75 are 35.8 and -35.3 at 6 and 8,
        // within 1.4 elsewhere
        let values = [
            100.1, 101.2, 99.4, 100.9, 98.7, 100.3, 140.0, 99.9, 61.0, 100.6,
        ];
        assert_eq!(outliers(&values), [6, 8]);
        let spread = robust_spread(&values).unwrap();
        assert!((spread - 0.75 / MAD_OF_SIGMA / 100.2).abs() < 1e-12);
    }

    #[test]
    fn few_or_equal_values_have_none() {
        assert!(outliers(&[1.0, 1.1, 0.9, 50.0]).is_empty());
        assert!(outliers(&[1.0, 1.0, 1.0, 1.0, 50.0]).is_empty());
        assert_eq!(robust_spread(&[]), None);
    }
}
