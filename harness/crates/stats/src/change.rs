//! Whether a trial was in a steady state: change points over its 100 ms windows.
//!
//! The windows are split into the segments that minimise Σ nᵢ ln σᵢ² + penalty × changes, the likelihood of
//! normal segments that may change in mean and in variance. Optimal partitioning finds them exactly (Jackson et
//! al., "An algorithm for optimal partitioning of data on an interval", 2005), with the same result as PELT
//! (Killick, Fearnhead and Eckley, 2012). Using this for steady states, and counting segments with similar
//! means as one, follows Barrett et al., "Virtual Machine Warmup Blows Hot and Cold" (2017). Their penalty of
//! 15 ln n is for thousands of iterations; here it is 6 ln n, twice the Bayesian information criterion for the
//! three parameters a change adds, because neighbouring windows are not quite independent.

/// The fewest windows in a segment: half a second of 100 ms windows.
const MIN_SEGMENT: usize = 5;

/// The fewest windows that can be judged.
const MIN_WINDOWS: usize = 4 * MIN_SEGMENT;

/// Longer series are averaged to at most this many windows, because partitioning takes quadratic time.
const MAX_WINDOWS: usize = 120;

/// The smallest scatter, as a share of the overall mean, so that a series without scatter has a finite
/// likelihood.
const SCATTER_FLOOR: f64 = 0.005;

/// Whether a trial's windows are steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steadiness {
    /// All windows are at one level.
    Steady,
    /// They are steady from this window (counted from 0), for at least half of the trial.
    SteadyFrom(usize),
    /// No level lasts for the last half of the trial.
    Unsteady,
    /// There are fewer than 20 windows.
    TooFew,
}

/// Judges windows of a rate or a latency, in any unit. Levels within `tolerance` of the last one (as a share,
/// such as 0.05 for a rate) count as the same level. Ignores values that are not finite.
pub fn steadiness(windows: &[f64], tolerance: f64) -> Steadiness {
    let windows: Vec<f64> = windows
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    if windows.len() < MIN_WINDOWS {
        return Steadiness::TooFew;
    }
    let width = windows.len().div_ceil(MAX_WINDOWS);
    let averaged: Vec<f64> = windows.chunks(width).map(mean).collect();
    let floor = (SCATTER_FLOOR * mean(&averaged))
        .powi(2)
        .max(f64::MIN_POSITIVE);
    let penalty = 6.0 * (averaged.len() as f64).ln();
    let changes = change_points(&averaged, MIN_SEGMENT, penalty, floor);
    let settled = settled_from(&averaged, &changes, tolerance);
    match settled {
        0 => Steadiness::Steady,
        _ if 2 * settled <= averaged.len() => Steadiness::SteadyFrom(settled * width),
        _ => Steadiness::Unsteady,
    }
}

/// The start of the final segments that share the last one's level.
fn settled_from(values: &[f64], changes: &[usize], tolerance: f64) -> usize {
    let mut ends = changes.to_vec();
    ends.push(values.len());
    let mut settled = changes.last().copied().unwrap_or(0);
    let last = mean(&values[settled..]);
    for index in (0..changes.len()).rev() {
        let start = if index == 0 { 0 } else { ends[index - 1] };
        if (mean(&values[start..ends[index]]) - last).abs() > tolerance * last.abs() {
            break;
        }
        settled = start;
    }
    settled
}

/// The indices at which a new segment begins, in ascending order; empty if nothing changes. Segments have at
/// least `min_segment` values, and each change must lower Σ nᵢ ln(σᵢ² + `floor`) by more than `penalty`.
pub fn change_points(values: &[f64], min_segment: usize, penalty: f64, floor: f64) -> Vec<usize> {
    let min_segment = min_segment.max(1);
    let costs = Costs::new(values, floor);
    // best[end]: the lowest cost of the first `end` values, and where their last segment begins.
    let mut best = vec![(f64::INFINITY, 0); values.len() + 1];
    best[0] = (-penalty, 0);
    for end in min_segment..=values.len() {
        for start in 0..=end - min_segment {
            let cost = best[start].0 + costs.of(start, end) + penalty;
            if cost < best[end].0 {
                best[end] = (cost, start);
            }
        }
    }
    let mut changes = Vec::new();
    let mut at = best[values.len()].1;
    while at > 0 {
        changes.push(at);
        at = best[at].1;
    }
    changes.reverse();
    changes
}

/// Costs of segments in constant time, from running sums.
struct Costs {
    sums: Vec<f64>,
    squares: Vec<f64>,
    floor: f64,
}

impl Costs {
    fn new(values: &[f64], floor: f64) -> Self {
        // Centred first, because the variance of large rates would be lost in their sums of squares.
        let centre = if values.is_empty() { 0.0 } else { mean(values) };
        let (mut sums, mut squares) = (vec![0.0], vec![0.0]);
        let (mut sum, mut square) = (0.0, 0.0);
        for value in values {
            sum += value - centre;
            square += (value - centre).powi(2);
            sums.push(sum);
            squares.push(square);
        }
        Self {
            sums,
            squares,
            floor,
        }
    }

    fn of(&self, start: usize, end: usize) -> f64 {
        let n = (end - start) as f64;
        let mean = (self.sums[end] - self.sums[start]) / n;
        let variance = (self.squares[end] - self.squares[start]) / n - mean * mean;
        n * (variance.max(0.0) + self.floor).ln()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// NumPy 2.4.6: rng = np.random.default_rng(42); np.round(np.concatenate([
    /// rng.normal(100, 2, 12), rng.normal(112, 2, 15), rng.normal(108, 6, 14)]), 1)
    const LEVELS: [f64; 41] = [
        100.6, 97.9, 101.5, 101.9, 96.1, 97.4, 100.3, 99.4, 100.0, 98.3, 101.8, 101.6, 112.1,
        114.3, 112.9, 110.3, 112.7, 110.1, 113.8, 111.9, 111.6, 110.6, 114.4, 111.7, 111.1, 111.3,
        113.1, 110.2, 110.5, 110.6, 120.8, 105.6, 104.9, 103.1, 111.7, 114.8, 107.3, 103.0, 103.1,
        111.9, 112.5,
    ];

    #[test]
    fn changes_are_those_of_ruptures() {
        // ruptures 1.1.10: Pelt(custom_cost=CostNormal(add_small_diag=True), min_size=5,
        // jump=1).fit(x).predict(pen=k * np.log(41)); it lists the end, 41, as well.
        let ln = 41_f64.ln();
        for (k, answer) in [(3.0, vec![12, 30]), (6.0, vec![12, 30]), (15.0, vec![])] {
            assert_eq!(
                change_points(&LEVELS, 5, k * ln, 1e-6),
                answer,
                "at {k} ln n"
            );
        }
    }

    #[test]
    fn one_level_is_steady() {
        let windows: Vec<f64> = (0..60)
            .map(|i| 50_000.0 + f64::from(i * 7919 % 13) * 40.0)
            .collect();
        assert_eq!(steadiness(&windows, 0.05), Steadiness::Steady);
        assert_eq!(steadiness(&[50_000.0; 60], 0.05), Steadiness::Steady);
        assert_eq!(steadiness(&[0.0; 60], 0.05), Steadiness::Steady);
    }

    #[test]
    fn a_warm_up_ends_where_it_ends() {
        let mut windows = vec![30_000.0; 12];
        windows.extend((0..48).map(|i| 50_000.0 + f64::from(i % 5) * 100.0));
        assert_eq!(steadiness(&windows, 0.05), Steadiness::SteadyFrom(12));
        assert_eq!(steadiness(&windows, 0.5), Steadiness::Steady);
        windows.reverse();
        assert_eq!(steadiness(&windows, 0.05), Steadiness::Unsteady);
    }

    #[test]
    fn long_series_are_averaged_and_short_ones_refused() {
        let mut windows = vec![30_000.0; 100];
        windows.extend([50_000.0; 300]);
        assert_eq!(steadiness(&windows, 0.05), Steadiness::SteadyFrom(100));
        assert_eq!(steadiness(&windows[..19], 0.05), Steadiness::TooFew);
    }

    /// Tries every way to split.
    fn least_cost(values: &[f64], penalty: f64, floor: f64) -> f64 {
        let costs = Costs::new(values, floor);
        let n = values.len();
        let cuts = (0_u32..1 << (n - 1)).filter_map(|mask| {
            let mut ends: Vec<usize> = (1..n).filter(|i| mask >> (i - 1) & 1 == 1).collect();
            ends.push(n);
            cost_of(&costs, &ends, penalty)
        });
        cuts.fold(f64::INFINITY, f64::min)
    }

    fn cost_of(costs: &Costs, ends: &[usize], penalty: f64) -> Option<f64> {
        let mut start = 0;
        let mut cost = -penalty;
        for &end in ends {
            if end - start < 2 {
                return None;
            }
            cost += costs.of(start, end) + penalty;
            start = end;
        }
        Some(cost)
    }

    proptest! {
        #[test]
        fn no_cut_is_better(values in prop::collection::vec(-10.0..10.0_f64, 4..13), penalty in 0.0..8.0_f64) {
            let mut ends = change_points(&values, 2, penalty, 0.01);
            ends.push(values.len());
            let found = cost_of(&Costs::new(&values, 0.01), &ends, penalty).unwrap();
            prop_assert!((found - least_cost(&values, penalty, 0.01)).abs() < 1e-9);
        }
    }
}
