//! The ranks that a server may have.
//!
//! Rounds are resampled. In each resample a server's score is the median over the drawn rounds of its log-ratio
//! to the round's reference, and servers are ranked by score; the middle 95 % of a server's ranks are kept. The
//! same resamples give the intervals of all pairs: a server can't rank worse than 1 + the number of servers
//! that are not clearly behind it, nor better than 1 + the number clearly ahead of it (Goldstein and
//! Spiegelhalter, 1996, on ranks from pairwise intervals). The result is the union of both, so two servers that
//! tie always share a rank. Each pair is judged at 95 %, without a correction for their number.
//!
//! The reference is the geometric mean of all servers of the round. If a server misses a round, its absence
//! alone would change that mean. So rounds and servers are fitted as a two-way additive model of the
//! logarithms, which equals that mean if nothing is missing.

use std::collections::BTreeSet;

use super::bootstrap::{Bootstrap, MIN_REPLICATES, tail};
use super::quantile::median;
use super::ratio::{Difference, Series, differs, log_ratio, resampled};

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The higher, as for a rate.
    Higher,
    /// The lower, as for a time or a cost.
    Lower,
}

/// The ranks a server may have at 95 % confidence, counted from 1; equal if it is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankRange {
    /// The best.
    pub low: u32,
    /// The worst.
    pub high: u32,
}

/// The ranks of servers by one figure. `delta` is the noise floor, as a log-ratio.
///
/// A server with fewer than [`MIN_REPLICATES`] rounds has no rank, and the others are ranked without it. The
/// order of `series` doesn't matter.
pub fn ranks(
    series: &[Series],
    better: Better,
    delta: f64,
    bootstrap: &mut Bootstrap,
) -> Vec<Option<RankRange>> {
    let ranked: Vec<usize> = (0..series.len())
        .filter(|&index| positive(&series[index]).count() >= MIN_REPLICATES)
        .collect();
    let table = ServerValues::new(
        &ranked
            .iter()
            .map(|&index| &series[index])
            .collect::<Vec<_>>(),
    );
    let mut found = resampled_ranks(&table, better, bootstrap);
    let ahead = surely_ahead(&table, better, delta, bootstrap);
    widen_by_pairs(&mut found, &ahead);
    let mut all = vec![None; series.len()];
    for (index, range) in ranked.into_iter().zip(found) {
        all[index] = Some(range);
    }
    all
}

/// The level of each series: the median over rounds of its log-ratio to the round's reference, as in [`ranks`].
/// The lowest is the best if lower is better. `None` for a series without a positive value.
pub fn levels(series: &[Series]) -> Vec<Option<f64>> {
    let table = ServerValues::new(&series.iter().collect::<Vec<_>>());
    let level = |row: &Vec<Option<f64>>| {
        let present: Vec<f64> = row.iter().copied().flatten().collect();
        median(&present)
    };
    table.residuals().iter().map(level).collect()
}

fn positive(series: &Series) -> impl Iterator<Item = (&u32, &f64)> {
    series
        .iter()
        .filter(|(_, value)| **value > 0.0 && value.is_finite())
}

/// The servers' values, one row each, with a slot for every round that any of them has.
struct ServerValues {
    values: Vec<Vec<Option<f64>>>,
    rounds: usize,
}

impl ServerValues {
    fn new(series: &[&Series]) -> Self {
        let rounds: BTreeSet<u32> = series
            .iter()
            .flat_map(|series| positive(series).map(|(round, _)| *round))
            .collect();
        let usable = |value: &f64| (*value > 0.0 && value.is_finite()).then_some(*value);
        let row = |series: &&Series| {
            rounds
                .iter()
                .map(|r| series.get(r).and_then(usable))
                .collect()
        };
        Self {
            values: series.iter().map(row).collect(),
            rounds: rounds.len(),
        }
    }

    /// Log-ratios to each round's reference.
    fn residuals(&self) -> Vec<Vec<Option<f64>>> {
        let logs: Vec<Vec<Option<f64>>> = self
            .values
            .iter()
            .map(|row| row.iter().map(|value| value.map(f64::ln)).collect())
            .collect();
        let reference = reference(&logs, self.rounds);
        let less = |row: &Vec<Option<f64>>| {
            row.iter()
                .zip(&reference)
                .map(|(log, by)| log.map(|log| log - by))
                .collect()
        };
        logs.iter().map(less).collect()
    }
}

/// The logarithm of each round's reference: the round's effect in log = server + round, fitted by alternating
/// least squares until it converges.
fn reference(logs: &[Vec<Option<f64>>], rounds: usize) -> Vec<f64> {
    let mut servers = vec![0.0; logs.len()];
    let mut reference = vec![0.0; rounds];
    for _ in 0..200 {
        let before = servers.clone();
        for (round, effect) in reference.iter_mut().enumerate() {
            let left = logs
                .iter()
                .zip(&servers)
                .filter_map(|(row, by)| Some(row[round]? - by));
            *effect = mean(left);
        }
        for (row, effect) in logs.iter().zip(&mut servers) {
            *effect = mean(
                row.iter()
                    .zip(&reference)
                    .filter_map(|(log, by)| Some((*log)? - by)),
            );
        }
        // Only differences between servers are determined, so their mean is set to 0.
        let centre = mean(servers.iter().copied());
        servers.iter_mut().for_each(|effect| *effect -= centre);
        let moved = before
            .iter()
            .zip(&servers)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        if moved < 1e-12 {
            break;
        }
    }
    reference
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    if n > 0.0 { sum / n } else { 0.0 }
}

/// The middle 95 % of each server's ranks over the resamples.
fn resampled_ranks(
    table: &ServerValues,
    better: Better,
    bootstrap: &mut Bootstrap,
) -> Vec<RankRange> {
    let resamples = bootstrap.resamples(table.rounds);
    let sign = if better == Better::Higher { -1.0 } else { 1.0 };
    let scores: Vec<Vec<f64>> = table
        .residuals()
        .iter()
        .map(|row| {
            let present: Vec<f64> = row.iter().copied().flatten().collect();
            let whole = median(&present).expect("a ranked server has rounds");
            let mut medians = resamples.medians(row, whole);
            medians.iter_mut().for_each(|median| *median *= sign);
            medians
        })
        .collect();
    let of_server = |server: usize| {
        let (mut low, mut high): (Vec<u32>, Vec<u32>) = (0..scores[server].len())
            .map(|draw| {
                let own = scores[server][draw];
                let before = scores.iter().filter(|other| other[draw] < own).count();
                let level = scores.iter().filter(|other| other[draw] == own).count();
                (before as u32 + 1, (before + level) as u32)
            })
            .unzip();
        let cut = (tail(table.rounds) * low.len() as f64).floor() as usize;
        let last = high.len() - 1 - cut;
        RankRange {
            low: *low.select_nth_unstable(cut).1,
            high: *high.select_nth_unstable(last).1,
        }
    };
    (0..scores.len()).map(of_server).collect()
}

/// `[a][b]`: a is clearly better than b.
fn surely_ahead(
    table: &ServerValues,
    better: Better,
    delta: f64,
    bootstrap: &mut Bootstrap,
) -> Vec<Vec<bool>> {
    let wanted = match better {
        Better::Higher => Difference::Greater,
        Better::Lower => Difference::Less,
    };
    let count = table.values.len();
    let mut ahead = vec![vec![false; count]; count];
    let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
    for (a, b) in pairs {
        let values = table.values[a].iter().zip(&table.values[b]);
        let logs: Vec<Option<f64>> = values.map(|(a, b)| log_ratio((*a)?, (*b)?)).collect();
        let interval = resampled(&logs, bootstrap).and_then(|ratio| ratio.interval);
        match differs(interval, delta) {
            Difference::Tie => {}
            found if found == wanted => ahead[a][b] = true,
            _ => ahead[b][a] = true,
        }
    }
    ahead
}

/// Widens ranges to all that the pairs allow, and until servers that tie share a rank.
fn widen_by_pairs(ranges: &mut [RankRange], ahead: &[Vec<bool>]) {
    let count = ranges.len();
    for (index, range) in ranges.iter_mut().enumerate() {
        let before = ahead.iter().filter(|row| row[index]).count();
        let behind = ahead[index].iter().filter(|&&surely| surely).count();
        range.low = range.low.min(before as u32 + 1);
        range.high = range.high.max((count - behind) as u32);
    }
    for a in 0..count {
        for b in 0..count {
            if a != b && !ahead[a][b] && !ahead[b][a] && ranges[a].high < ranges[b].low {
                // Pairs need not be transitive, so both may have the same server between them.
                ranges[b].low = ranges[a].high;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rounds that differ by up to a factor of 2, and noise of up to ± 2 % around `levels`.
    fn rounds(levels: &[f64], count: u32) -> Vec<Series> {
        let noise =
            |server: u32, round: u32| f64::from((server * 7 + round * 13) % 17) / 17.0 - 0.5;
        let value = |server: u32, level: f64, round: u32| {
            let weather = 1.0 + f64::from(round * 5 % 11) / 11.0;
            (round, level * weather * (1.0 + 0.04 * noise(server, round)))
        };
        (0..)
            .zip(levels)
            .map(|(s, &l)| (1..=count).map(|r| value(s, l, r)).collect())
            .collect()
    }

    fn range(low: u32, high: u32) -> Option<RankRange> {
        Some(RankRange { low, high })
    }

    #[test]
    fn clear_differences_rank_and_small_ones_tie() {
        let series = rounds(&[100.0, 150.0, 100.5, 60.0], 10);
        let found = ranks(&series, Better::Higher, 0.01, &mut Bootstrap::new(1));
        assert_eq!(found, [range(2, 3), range(1, 1), range(2, 3), range(4, 4)]);
        let found = ranks(&series, Better::Lower, 0.01, &mut Bootstrap::new(1));
        assert_eq!(found, [range(2, 3), range(4, 4), range(2, 3), range(1, 1)]);
    }

    #[test]
    fn a_wide_noise_floor_ties_all() {
        let series = rounds(&[100.0, 150.0, 120.0], 10);
        let found = ranks(&series, Better::Higher, 0.5, &mut Bootstrap::new(1));
        assert_eq!(found, [range(1, 3); 3]);
    }

    #[test]
    fn a_missing_round_moves_nobody_else() {
        // The slowest server misses the rounds in which all are fast.
        let mut series = rounds(&[100.0, 104.9, 30.0], 12);
        let whole = ranks(&series, Better::Higher, 0.01, &mut Bootstrap::new(1));
        series[2].retain(|round, _| round * 5 % 11 < 6);
        let found = ranks(&series, Better::Higher, 0.01, &mut Bootstrap::new(1));
        assert_eq!(found, whole);
        assert_eq!(found, [range(2, 2), range(1, 1), range(3, 3)]);
    }

    #[test]
    fn levels_are_free_of_what_a_round_shares() {
        // Rounds of 1, 10, 100, ...; the second misses the expensive ones.
        let round = |r: u32| 10_f64.powi(r as i32);
        let all: Series = (1..=6).map(|r| (r, round(r))).collect();
        let few: Series = (1..=3).map(|r| (r, 2.0 * round(r))).collect();
        let found = levels(&[all, few, Series::new()]);
        let (Some(all), Some(few), None) = (found[0], found[1], found[2]) else {
            panic!("{found:?}");
        };
        assert!((few - all - 2_f64.ln()).abs() < 1e-9, "{found:?}");
        assert_eq!(levels(&[]), []);
    }

    #[test]
    fn too_few_rounds_have_no_rank() {
        let mut series = rounds(&[100.0, 150.0, 120.0], 8);
        series[1].retain(|round, _| *round < 3);
        let found = ranks(&series, Better::Higher, 0.01, &mut Bootstrap::new(1));
        assert_eq!(found, [range(2, 2), None, range(1, 1)]);
        assert_eq!(ranks(&[], Better::Higher, 0.01, &mut Bootstrap::new(1)), []);
        let two = rounds(&[100.0, 150.0], 2);
        assert_eq!(
            ranks(&two, Better::Higher, 0.01, &mut Bootstrap::new(1)),
            [None, None]
        );
    }

    #[test]
    fn ties_that_contradict_each_other_still_share_a_place() {
        // 0 ties with 3, yet 1 and 2 are both behind 0 and ahead of 3 the other way round.
        let no = vec![false; 4];
        let ahead = vec![
            no.clone(),
            vec![true, false, false, false],
            vec![true, false, false, false],
            vec![false, true, true, false],
        ];
        let mut ranges = vec![
            RankRange { low: 4, high: 4 },
            RankRange { low: 2, high: 3 },
            RankRange { low: 2, high: 3 },
            RankRange { low: 1, high: 1 },
        ];
        widen_by_pairs(&mut ranges, &ahead);
        assert!(ranges[3].high >= ranges[0].low, "{ranges:?}");
    }

    fn tables() -> impl Strategy<Value = Vec<Series>> {
        let cell = prop::option::weighted(0.85, 50.0..150.0_f64);
        let row = prop::collection::vec(cell, 4..9);
        let series =
            |row: Vec<Option<f64>>| (1..).zip(row).filter_map(|(r, v)| Some((r, v?))).collect();
        prop::collection::vec(row, 1..6)
            .prop_map(move |rows| rows.into_iter().map(series).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn every_place_is_held_by_somebody(series in tables()) {
            let found = ranks(&series, Better::Lower, 0.01, &mut Bootstrap::new(2));
            let held: Vec<RankRange> = found.into_iter().flatten().collect();
            for place in 1..=held.len() as u32 {
                prop_assert!(held.iter().any(|r| r.low <= place && place <= r.high), "{place}: {held:?}");
            }
            prop_assert!(held.iter().all(|r| 1 <= r.low && r.low <= r.high && r.high <= held.len() as u32));
        }

        #[test]
        fn servers_in_another_order_keep_their_ranks(series in tables(), turn in 0..6_usize) {
            let turn = turn % series.len();
            let mut turned = series.clone();
            turned.rotate_left(turn);
            let mut expected = ranks(&series, Better::Lower, 0.01, &mut Bootstrap::new(2));
            expected.rotate_left(turn);
            prop_assert_eq!(ranks(&turned, Better::Lower, 0.01, &mut Bootstrap::new(2)), expected);
        }

        #[test]
        fn lower_is_the_mirror_of_higher(series in tables()) {
            let inverse: Vec<Series> =
                series.iter().map(|s| s.iter().map(|(r, v)| (*r, 1.0 / v)).collect()).collect();
            let lower = ranks(&series, Better::Lower, 0.01, &mut Bootstrap::new(2));
            prop_assert_eq!(ranks(&inverse, Better::Higher, 0.01, &mut Bootstrap::new(2)), lower);
        }
    }
}
