//! Judges many drawn runs: how often is a difference found?

use std::slice::from_ref;
use std::time::Duration;

use stats::{Better, Difference, Series};

use crate::pool::{Pool, RankFigure, RoundValues, combined, series};
use crate::rule::{Rule, Share};

/// The columns of one figure that are judged together.
pub(crate) struct Columns {
    better: Better,
    base: RoundValues,
    control: Option<(RoundValues, RoundValues)>,
}

/// The result for one server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Versus {
    /// It costs more or is slower than the base.
    Worse,
    /// It costs less or is faster than the base.
    Better,
    /// They can't be told apart.
    Tie,
}

/// How often each result occurred.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) worse: Share,
    pub(crate) better: Share,
    pub(crate) ties: Share,
}

impl Columns {
    pub(crate) fn new(
        pool: &Pool,
        figure: &RankFigure,
        cut: Option<Duration>,
        base: &str,
        control: Option<&(String, String)>,
    ) -> Self {
        let column = |name: &str| pool.column(figure, cut, name);
        Self {
            better: figure.better(),
            base: column(base),
            control: control.map(|(first, second)| (column(first), column(second))),
        }
    }

    /// For a twin of the base: each round twice, the second time with the two swapped, so that draws swap their
    /// names randomly.
    pub(crate) fn swapped(&self, twin: &RoundValues) -> (Self, RoundValues) {
        let both = |first: &RoundValues, second: &RoundValues| [&first[..], second].concat();
        let doubled = |(first, second): &(RoundValues, RoundValues)| {
            (both(first, first), both(second, second))
        };
        let columns = Self {
            better: self.better,
            base: both(&self.base, twin),
            control: self.control.as_ref().map(doubled),
        };
        (columns, both(twin, &self.base))
    }

    /// Columns whose rounds are geometric means of several each.
    pub(crate) fn combined(&self, groups: &[Vec<usize>]) -> Self {
        let of = |column: &RoundValues| combined(column, groups);
        Self {
            better: self.better,
            base: of(&self.base),
            control: self.control.as_ref().map(|(a, b)| (of(a), of(b))),
        }
    }

    /// Judges `others` against the base in each drawn run; returns a tally for each.
    pub(crate) fn tally(
        &self,
        others: &[RoundValues],
        drawn: &[Vec<usize>],
        rule: &mut Rule,
    ) -> Vec<Tally> {
        let mut found = vec![Vec::with_capacity(drawn.len()); others.len()];
        for draw in drawn {
            for (server, one) in self.judge(others, draw, rule).into_iter().enumerate() {
                found[server].push(one);
            }
        }
        let of = |found: &Vec<Versus>, what| Share::count(found.iter().map(|one| *one == what));
        found
            .iter()
            .map(|found| Tally {
                worse: of(found, Versus::Worse),
                better: of(found, Versus::Better),
                ties: of(found, Versus::Tie),
            })
            .collect()
    }

    /// Whether `other` is found to be worse in at least the share `wanted` of the drawn runs; stops as soon as
    /// that is impossible.
    pub(crate) fn is_found(
        &self,
        other: &RoundValues,
        drawn: &[Vec<usize>],
        wanted: f64,
        rule: &mut Rule,
    ) -> bool {
        let needed = (drawn.len() as f64 * wanted - 1e-9).ceil() as usize;
        let allowed = drawn.len() - needed;
        let missed = drawn
            .iter()
            .filter(|draw| self.judge(from_ref(other), draw, rule)[0] != Versus::Worse);
        missed.take(allowed + 1).count() <= allowed
    }

    fn judge(&self, others: &[RoundValues], draw: &[usize], rule: &mut Rule) -> Vec<Versus> {
        let delta = rule.delta(self.control(draw));
        let base = series(&self.base, draw);
        let against = |other: &RoundValues| {
            let difference = rule.difference(&series(other, draw), &base, delta);
            match (difference, self.better) {
                (Difference::Tie, _) => Versus::Tie,
                (Difference::Greater, Better::Lower) | (Difference::Less, Better::Higher) => {
                    Versus::Worse
                }
                _ => Versus::Better,
            }
        };
        others.iter().map(against).collect()
    }

    /// The median δ of drawn runs, as a log-ratio.
    pub(crate) fn usual_delta(&self, drawn: &[Vec<usize>], rule: &mut Rule) -> Option<f64> {
        let delta = |draw: &Vec<usize>| rule.delta(self.control(draw));
        stats::median(&drawn.iter().map(delta).collect::<Vec<_>>())
    }

    fn control(&self, draw: &[usize]) -> Option<(Series, Series)> {
        let (first, second) = self.control.as_ref()?;
        Some((series(first, draw), series(second, draw)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::draw;

    /// `rounds` values around `level` with a relative standard deviation of `noise`; `weather` is the effect
    /// shared by the round.
    pub(crate) fn column(level: f64, noise: f64, weather: &[f64], seed: u64) -> RoundValues {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        weather
            .iter()
            .map(|shared| Some(level * (shared + noise * normal()).exp()))
            .collect()
    }

    /// Effects shared by a round: up to a factor of 1.5, in waves.
    pub(crate) fn weather(rounds: usize) -> Vec<f64> {
        (0..rounds)
            .map(|round| 0.2 * (round as f64 / 5.0).sin())
            .collect()
    }

    fn columns(better: Better, control: Option<(RoundValues, RoundValues)>) -> Columns {
        Columns {
            better,
            base: column(20.0, 0.03, &weather(100), 1),
            control,
        }
    }

    #[test]
    fn equal_servers_tie() {
        let columns = columns(Better::Lower, None);
        let twin = column(20.0, 0.03, &weather(100), 2);
        let drawn = draw::draws(100, 10, 200, 1);
        let tally = columns.tally(from_ref(&twin), &drawn, &mut Rule::new(1, 0.01))[0];
        assert!(tally.ties.value() >= 0.95, "{tally:?}");
        let blocks = draw::blocks(100, 10);
        let tally = columns.tally(&[twin], &blocks, &mut Rule::new(1, 0.01))[0];
        assert_eq!(tally.ties.of, 10);
        assert!(tally.ties.hits >= 9, "{tally:?}");
    }

    #[test]
    fn a_fifth_more_is_always_found_and_in_its_direction() {
        let drawn = draw::draws(100, 10, 100, 1);
        let dearer = column(24.0, 0.03, &weather(100), 2);
        let rule = &mut Rule::new(1, 0.01);
        let tally = columns(Better::Lower, None).tally(from_ref(&dearer), &drawn, rule)[0];
        assert_eq!(
            (tally.worse.hits, tally.better.hits, tally.ties.hits),
            (100, 0, 0)
        );
        // As a rate, the same values are better.
        let tally = columns(Better::Higher, None).tally(&[dearer], &drawn, rule)[0];
        assert_eq!(
            (tally.worse.hits, tally.better.hits, tally.ties.hits),
            (0, 100, 0)
        );
    }

    #[test]
    fn several_workloads_find_what_one_does_not() {
        let columns = columns(Better::Lower, None);
        let dearer = column(20.6, 0.03, &weather(100), 2);
        let rule = &mut Rule::new(1, 0.01);
        let drawn = draw::draws(100, 10, 100, 1);
        let one = columns.tally(from_ref(&dearer), &drawn, rule)[0].worse;
        let groups = draw::draws(100, 4, 10 * 100, 1);
        let four = columns.combined(&groups);
        let dearer = combined(&dearer, &groups);
        let drawn = draw::blocks(groups.len(), 10);
        let four = four.tally(&[dearer], &drawn, rule)[0].worse;
        assert_eq!((one.of, four.of), (100, 100));
        assert!(four.hits > one.hits + 10, "{one} {four}");
    }

    #[test]
    fn swapping_names_takes_a_difference_out() {
        let columns = columns(Better::Lower, None);
        let dearer = column(21.2, 0.01, &weather(100), 2);
        let rule = &mut Rule::new(1, 0.01);
        let drawn = draw::draws(100, 10, 100, 1);
        assert!(
            columns.tally(from_ref(&dearer), &drawn, rule)[0]
                .ties
                .value()
                < 0.5
        );
        let (either, other) = columns.swapped(&dearer);
        let drawn = draw::draws(200, 10, 200, 1);
        assert!(either.tally(&[other], &drawn, rule)[0].ties.value() >= 0.95);
    }

    #[test]
    fn a_control_that_differs_from_itself_hides_small_differences() {
        let flat = weather(100);
        let control = |level| column(level, 0.0, &flat, 3);
        let uneven = columns(Better::Lower, Some((control(5.0), control(5.5))));
        let dearer = column(21.0, 0.0, &flat, 1);
        let drawn = draw::draws(100, 20, 100, 1);
        let rule = &mut Rule::new(1, 0.01);
        assert!((uneven.usual_delta(&drawn, rule).unwrap() - 1.1_f64.ln()).abs() < 1e-9);
        assert_eq!(uneven.tally(&[dearer], &drawn, rule)[0].ties.hits, 100);
    }

    #[test]
    fn found_often_enough_is_what_the_tally_says() {
        let columns = columns(Better::Lower, None);
        let drawn = draw::draws(100, 10, 40, 1);
        let rule = &mut Rule::new(1, 0.01);
        for level in [20.0, 20.9, 24.0] {
            let other = column(level, 0.03, &weather(100), 2);
            let share = columns.tally(from_ref(&other), &drawn, rule)[0].worse;
            for wanted in [0.05, 0.5, 0.9] {
                let found = columns.is_found(&other, &drawn, wanted, rule);
                assert_eq!(
                    found,
                    share.hits >= (wanted * 40.0) as usize,
                    "{level}: {share:?}"
                );
            }
        }
    }

    #[test]
    fn rounds_in_which_one_is_missing_do_not_count() {
        let columns = columns(Better::Lower, None);
        let mut dearer = column(40.0, 0.03, &weather(100), 2);
        dearer.iter_mut().skip(2).for_each(|value| *value = None);
        let all: Vec<usize> = (0..100).collect();
        let tally = columns.tally(&[dearer], &[all], &mut Rule::new(1, 0.01))[0];
        assert_eq!(tally.ties.hits, 1, "two rounds have no interval");
    }
}
