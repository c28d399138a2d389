//! Rank correlation: do the residuals follow the order of the trials?

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

/// Spearman's ρ, from −1 to 1: Pearson's correlation of the ranks, where equal values share the mean of their
/// ranks.
///
/// `None` if the lengths differ, there are fewer than three pairs, or one side does not vary.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 3 {
        return None;
    }
    pearson(&mean_ranks(x), &mean_ranks(y))
}

/// The p-value of ρ by a two-sided permutation test, (hits + 1) / (permutations + 1).
///
/// `None` if [`spearman`] is.
pub fn permutation_p(x: &[f64], y: &[f64], permutations: u32, seed: u64) -> Option<f64> {
    let rho = spearman(x, y)?.abs();
    let (x, mut y) = (mean_ranks(x), mean_ranks(y));
    let mut random = Pcg64::seed_from_u64(seed);
    let mut hits = 0_u32;
    for _ in 0..permutations {
        y.shuffle(&mut random);
        // The tolerance allows for rounding when the same ranks are summed in another order.
        if pearson(&x, &y).is_some_and(|other| other.abs() >= rho - 1e-12) {
            hits += 1;
        }
    }
    Some(f64::from(hits + 1) / f64::from(permutations + 1))
}

pub(super) fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = first as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|&index| ranks[index] = shared);
        first += group.len();
    }
    ranks
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: [f64; 12] = [
        1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0,
    ];
    const B: [f64; 12] = [2.1, 2.0, 3.5, 1.0, 8.0, 8.0, 3.0, 9.9, 9.0, 12.0, 7.5, 8.0];

    #[test]
    fn rho_is_scipys() {
        // scipy 1.17.1: stats.spearmanr(a, b) -> statistic 0.6690306744437988, p 0.01735
        assert!((spearman(&A, &B).unwrap() - 0.669_030_674_443_798_8).abs() < 1e-12);
        // SciPy's p is from Student's t and ours from permutations, so they differ slightly.
        let p = permutation_p(&A, &B, 20_000, 1).unwrap();
        assert!((p - 0.017_35).abs() < 0.006, "{p}");
    }

    #[test]
    fn what_does_not_vary_has_none() {
        assert_eq!(spearman(&A, &[1.0; 12]), None);
        assert_eq!(spearman(&A[..2], &B[..2]), None);
        assert_eq!(spearman(&A, &B[..5]), None);
    }

    proptest! {
        #[test]
        fn only_the_order_counts(values in prop::collection::vec((-5.0..5.0_f64, -5.0..5.0_f64), 3..20)) {
            let (x, y): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
            let stretched: Vec<f64> = y.iter().map(|y| y.exp()).collect();
            if let (Some(rho), Some(other)) = (spearman(&x, &y), spearman(&x, &stretched)) {
                prop_assert!((rho - other).abs() < 1e-9);
                prop_assert!(rho.abs() <= 1.0 + 1e-12);
                prop_assert!((spearman(&y, &x).unwrap() - rho).abs() < 1e-9);
            }
        }
    }
}
