//! Quantiles, medians and geometric means of a few values.

/// The quantile at `p` of a sorted slice, type 7 of Hyndman and Fan ("Sample Quantiles in Statistical
/// Packages", 1996): linear between the order statistics around `(n − 1) p`. This is the default of NumPy and
/// R. `p` is clamped to 0..=1.
///
/// `None` if there are no values.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = p.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    let (low, high) = (sorted[below], sorted[above]);
    Some(low + (high - low) * (place - below as f64))
}

/// The median of `values`, in any order.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// The n-th root of the product, computed with logarithms.
///
/// `None` if there are no values, or one of them is not positive.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|&value| value.is_nan() || value <= 0.0) {
        return None;
    }
    let logs: f64 = values.iter().map(|value| value.ln()).sum();
    Some((logs / values.len() as f64).exp())
}

/// A sorted copy.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The median of a buffer, which it reorders; faster than sorting. NaN if empty.
pub(super) fn median_in_place(values: &mut [f64]) -> f64 {
    quantile_in_place(values, 0.5)
}

/// The type 7 quantile of a buffer, which it reorders. NaN if empty.
pub(super) fn quantile_in_place(values: &mut [f64], p: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = p * last as f64;
    let below = (place.floor() as usize).min(last);
    let (_, &mut low, rest) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const X: [f64; 7] = [3.1, 0.4, 2.7, 9.9, 5.5, 1.2, 7.3];

    #[test]
    fn quantiles_are_numpys() {
        // numpy 2.4.6: [np.quantile(x, p) for p in (0, .025, .25, .5, .9, .975, 1)]
        let known = [
            (0.0, 0.4),
            (0.025, 0.52),
            (0.25, 1.95),
            (0.5, 3.1),
            (0.9, 8.34),
            (0.975, 9.51),
            (1.0, 9.9),
        ];
        let x = sorted(&X);
        for (p, answer) in known {
            assert!((quantile(&x, p).unwrap() - answer).abs() < 1e-12, "at {p}");
        }
        // np.median(x[:6])
        assert!((median(&X[..6]).unwrap() - 2.9).abs() < 1e-12);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn geometric_mean_is_scipys() {
        // scipy 1.17.1: stats.gmean(x)
        assert!((geometric_mean(&X).unwrap() - 2.868_220_208_492_073).abs() < 1e-12);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[]), None);
    }

    proptest! {
        #[test]
        fn selecting_is_sorting(values in prop::collection::vec(-1e6..1e6_f64, 1..40), p in 0.0..=1.0_f64) {
            let by_sorting = quantile(&sorted(&values), p).unwrap();
            let by_selecting = quantile_in_place(&mut values.clone(), p);
            prop_assert!((by_sorting - by_selecting).abs() < 1e-6);
        }
    }
}
