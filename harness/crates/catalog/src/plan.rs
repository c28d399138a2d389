//! Which trials run, in which order; no I/O.
//!
//! A round has every (server, workload, stage) once. Its order is shuffled from the run's seed, so that a
//! drift of the machine affects all servers alike, and the order can be reproduced from the record.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::{Profile, Stage};

/// One trial: a stage of a workload on one entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// Counts from 1.
    pub round: u32,
    /// The entry's name.
    pub server: String,
    /// The workload's name.
    pub workload: String,
    /// The stage.
    pub stage: Stage,
}

/// What to measure, and in which order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The entries of every round: servers, twins, other builds, the control.
    pub entries: Vec<String>,
    /// The workloads' names.
    pub workloads: Vec<String>,
    /// The stages.
    pub stages: Vec<Stage>,
    /// Number of rounds, at most.
    pub rounds: u32,
    /// Seed of the order.
    pub seed: u64,
    /// Whether all entries of a round run at once and take turns.
    pub interleaved: bool,
    /// The entries that don't take part in every workload, and the workloads of each.
    pub partial: BTreeMap<String, Vec<String>>,
}

impl Plan {
    /// All trials in the order they run.
    pub fn steps(&self) -> Vec<Step> {
        (1..=self.rounds)
            .flat_map(|round| self.round(round))
            .collect()
    }

    /// One round's trials in the order they run. The order depends only on the seed and the round's number,
    /// so a run with more rounds starts like one with fewer.
    ///
    /// Isolated rounds shuffle all trials. In interleaved rounds all entries run a stage of a workload
    /// together, so these trials stay adjacent; the workloads are shuffled, and the stages of each.
    pub fn round(&self, round: u32) -> Vec<Step> {
        let mut rng = Pcg64Mcg::seed_from_u64(round_seed(self.seed, round));
        let step = |server: &String, workload: &String, stage: Stage| Step {
            round,
            server: server.clone(),
            workload: workload.clone(),
            stage,
        };
        let mut steps = Vec::with_capacity(self.round_len());
        if self.interleaved {
            let mut workloads: Vec<&String> = self.workloads.iter().collect();
            workloads.shuffle(&mut rng);
            for workload in workloads {
                let mut stages = self.stages.clone();
                stages.shuffle(&mut rng);
                for stage in stages {
                    let entries = self.entries.iter();
                    steps.extend(
                        entries
                            .filter(|entry| self.takes_part(entry, workload))
                            .map(|entry| step(entry, workload, stage)),
                    );
                }
            }
            return steps;
        }
        for server in &self.entries {
            let workloads = self.workloads.iter();
            for workload in workloads.filter(|workload| self.takes_part(server, workload)) {
                steps.extend(
                    self.stages
                        .iter()
                        .map(|&stage| step(server, workload, stage)),
                );
            }
        }
        steps.shuffle(&mut rng);
        steps
    }

    /// Groups trials that run together: single trials, or a stage of a workload with all its entries.
    pub fn together<'s>(&self, steps: &'s [Step]) -> impl Iterator<Item = &'s [Step]> + use<'s> {
        let interleaved = self.interleaved;
        steps.chunk_by(move |a, b| interleaved && (&a.workload, a.stage) == (&b.workload, b.stage))
    }

    fn takes_part(&self, entry: &str, workload: &str) -> bool {
        let only = self.partial.get(entry);
        only.is_none_or(|own| own.iter().any(|own| own == workload))
    }

    /// The pairs of an entry and a workload.
    fn pairs(&self) -> usize {
        let of_entry = |entry: &String| {
            let workloads = self.workloads.iter();
            workloads
                .filter(|workload| self.takes_part(entry, workload))
                .count()
        };
        self.entries.iter().map(of_entry).sum()
    }

    /// The trials of one round.
    pub fn round_len(&self) -> usize {
        self.pairs() * self.stages.len()
    }

    /// Estimated time of one round: warm-up, measured time and overhead.
    pub fn round_time(&self, profile: &Profile) -> Duration {
        let of_pair: Duration = self
            .stages
            .iter()
            .map(|stage| self.trial_time(profile, *stage))
            .sum();
        of_pair * self.pairs() as u32
    }

    /// Estimated time of one trial.
    pub fn trial_time(&self, profile: &Profile, stage: Stage) -> Duration {
        trial_time(profile, stage, self.interleaved)
    }
}

/// Estimated time of one trial, interleaved or isolated.
pub fn trial_time(profile: &Profile, stage: Stage, interleaved: bool) -> Duration {
    let measured = profile.measured(stage);
    if interleaved {
        SHARED_OVERHEAD + profile.warmup + measured.mul_f64(SLICE_OVERHEAD)
    } else {
        OVERHEAD + profile.warmup + measured
    }
}

/// Overhead of a trial besides warm-up and measuring, as seen on a two-core machine: boot, checking the
/// response to each request, drain and shutdown.
const OVERHEAD: Duration = Duration::from_millis(450);
/// The same if the stages of a workload share the process and its checked responses.
const SHARED_OVERHEAD: Duration = Duration::from_millis(130);
/// Total time per second of measured slices, including lead-in and drain.
const SLICE_OVERHEAD: f64 = 1.15;

/// Which entry has the load in each slice: `cycles` times each of `entries`, by index.
///
/// Every entry has the load once per cycle. The cycles are the rows of a Williams design (E. J. Williams,
/// 1949), in which every entry follows every other equally often: `n` rows if `n` is even, `2n` if it is
/// odd. The seed decides which entry is which number of the design, and the order of its rows.
pub fn turns(entries: usize, cycles: usize, seed: u64) -> Vec<usize> {
    if entries == 0 {
        return Vec::new();
    }
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut labels: Vec<usize> = (0..entries).collect();
    labels.shuffle(&mut rng);
    let design = williams(entries);
    let mut rows: Vec<&Vec<usize>> = Vec::new();
    let mut all: Vec<usize> = Vec::with_capacity(entries * cycles);
    for _ in 0..cycles {
        // No entry has the load twice in a row, if there is a choice.
        let last = all.last().copied();
        let may_follow = |row: &&Vec<usize>| entries == 1 || Some(labels[row[0]]) != last;
        if !rows.iter().any(may_follow) {
            let mut more: Vec<&Vec<usize>> = design.iter().collect();
            more.shuffle(&mut rng);
            rows.extend(more);
        }
        let next = rows.iter().position(may_follow).unwrap_or(0);
        let row = rows.remove(next);
        all.extend(row.iter().map(|&number| labels[number]));
    }
    all
}

/// The rows of a Williams design for `n` numbers.
fn williams(n: usize) -> Vec<Vec<usize>> {
    // 0, n - 1, 1, n - 2, ...: neighbours differ by each of 1 to n - 1 once.
    let first = (0..n).map(|place| match place % 2 {
        0 => place / 2,
        _ => n - 1 - place / 2,
    });
    let first: Vec<usize> = first.collect();
    let mut rows: Vec<Vec<usize>> = (0..n)
        .map(|by| first.iter().map(|number| (number + by) % n).collect())
        .collect();
    if n % 2 == 1 {
        let mirrored = rows.iter().map(|row| row.iter().rev().copied().collect());
        rows.extend(mirrored.collect::<Vec<_>>());
    }
    rows
}

/// The seed of one round. Its requests also depend on it, so every server of a round gets the same ones and
/// no two rounds have the same.
pub fn round_seed(seed: u64, round: u32) -> u64 {
    // An odd multiplier spreads neighbouring rounds over the whole range (Knuth's
    // multiplicative hashing, 2^64 / golden ratio).
    seed ^ u64::from(round).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan(rounds: u32, seed: u64) -> Plan {
        Plan {
            entries: ["a", "b", "c"].map(String::from).to_vec(),
            workloads: ["w", "x"].map(String::from).to_vec(),
            stages: Stage::ALL.to_vec(),
            rounds,
            seed,
            interleaved: false,
            partial: BTreeMap::new(),
        }
    }

    fn interleaved(rounds: u32, seed: u64) -> Plan {
        Plan {
            interleaved: true,
            ..plan(rounds, seed)
        }
    }

    #[test]
    fn every_round_holds_every_combination_once() {
        let steps = plan(5, 1).steps();
        assert_eq!(steps.len(), 5 * 3 * 2 * 2);
        let distinct: BTreeSet<_> = steps.iter().collect();
        assert_eq!(distinct.len(), steps.len());
        for (index, step) in steps.iter().enumerate() {
            assert_eq!(step.round as usize, index / 12 + 1);
        }
    }

    #[test]
    fn the_order_follows_from_the_seed() {
        assert_eq!(plan(3, 7).steps(), plan(3, 7).steps());
        assert_ne!(plan(3, 7).steps(), plan(3, 8).steps());
    }

    #[test]
    fn rounds_are_not_in_one_fixed_order() {
        let steps = plan(6, 1).steps();
        let first_servers: BTreeSet<_> = steps.chunks(12).map(|r| &r[0].server).collect();
        assert!(first_servers.len() > 1);
    }

    #[test]
    fn more_rounds_begin_like_fewer() {
        let (short, long) = (plan(2, 3).steps(), plan(4, 3).steps());
        assert_eq!(short[..], long[..short.len()]);
    }

    #[test]
    fn interleaved_entries_run_a_stage_together() {
        let plan = interleaved(4, 1);
        let mut orders = BTreeSet::new();
        for round in 1..=4 {
            let steps = plan.round(round);
            let distinct: BTreeSet<_> = steps.iter().collect();
            assert_eq!(distinct.len(), plan.round_len());
            let together: Vec<&[Step]> = plan.together(&steps).collect();
            assert_eq!(together.len(), 4);
            for steps in &together {
                let entries: Vec<&str> = steps.iter().map(|s| s.server.as_str()).collect();
                assert_eq!(entries, ["a", "b", "c"]);
            }
            // The stages of a workload are adjacent, so that they share checked responses.
            assert_eq!(together[0][0].workload, together[1][0].workload);
            orders.insert(
                steps
                    .iter()
                    .map(|s| (s.workload.clone(), s.stage))
                    .collect::<Vec<_>>(),
            );
        }
        assert!(orders.len() > 1);
        assert!(
            super::Plan::together(&self::plan(1, 1), &self::plan(1, 1).round(1))
                .all(|s| s.len() == 1)
        );
    }

    #[test]
    fn a_partial_entry_has_no_trials_of_other_workloads() {
        let partial: BTreeMap<_, _> = [("b".to_owned(), vec!["x".to_owned()])].into();
        for plan in [plan(2, 1), interleaved(2, 1)] {
            let all = plan.steps();
            let some = Plan {
                partial: partial.clone(),
                ..plan
            };
            assert_eq!(some.round_len(), 5 * Stage::ALL.len());
            let steps = some.steps();
            assert_eq!(steps.len(), 2 * some.round_len());
            let left_out = |step: &Step| step.server == "b" && step.workload == "w";
            assert!(!steps.iter().any(left_out));
            let kept = all.iter().filter(|step| !left_out(step)).count();
            assert_eq!(steps.len(), kept);
        }
    }

    #[test]
    fn every_entry_has_its_turn_in_each_cycle() {
        for entries in 1..9 {
            assert!(super::turns(0, entries, 5).is_empty());
            let turns = turns(entries, 23, 5);
            for cycle in turns.chunks(entries) {
                let mut seen = cycle.to_vec();
                seen.sort_unstable();
                assert_eq!(seen, (0..entries).collect::<Vec<_>>());
            }
            if entries > 1 {
                assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
            }
        }
        assert_ne!(turns(7, 20, 1), turns(7, 20, 2));
    }

    #[test]
    fn rows_of_a_design_are_balanced() {
        for n in 2..9 {
            let rows = williams(n);
            let mut follows = vec![vec![0_u32; n]; n];
            for pair in rows.iter().flat_map(|row| row.windows(2)) {
                follows[pair[0]][pair[1]] += 1;
            }
            for (a, row) in follows.iter().enumerate() {
                for (b, count) in row.iter().enumerate().filter(|(b, _)| *b != a) {
                    assert_eq!(*count, 1 + n as u32 % 2, "{a} before {b} of {n}");
                }
            }
        }
    }

    #[test]
    fn every_entry_follows_every_other_about_equally_often() {
        for (entries, cycles) in [(2, 20), (6, 20), (7, 14), (7, 22), (12, 12), (25, 50)] {
            for seed in 0..20 {
                let turns = turns(entries, cycles, seed);
                let mut follows = vec![vec![0_u32; entries]; entries];
                for pair in turns.windows(2) {
                    follows[pair[0]][pair[1]] += 1;
                }
                let counts = (0..entries).flat_map(|a| {
                    let row = &follows[a];
                    (0..entries).filter(move |&b| a != b).map(move |b| row[b])
                });
                let (least, most) = counts.fold((u32::MAX, 0), |(l, m), n| (l.min(n), m.max(n)));
                // Random orders of 7 entries in 22 cycles differ by about 10.
                assert!(most - least <= 4, "{entries} x {cycles}: {least} to {most}");
            }
        }
    }
}
