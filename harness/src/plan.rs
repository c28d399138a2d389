//! Which trials, in which order; pure.
//!
//! A round holds every (server, workload, stage) once. Its order is shuffled from the
//! run's seed, so that a drift of the machine falls on all servers alike and the whole
//! order can be drawn again from the record.

use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::catalog::{Profile, Stage};

/// One trial to be run: a stage of a workload on a freshly started server.
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

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is measured in every round: servers, second entries, other builds, the control.
    pub entries: Vec<String>,
    /// The workloads' names.
    pub workloads: Vec<String>,
    /// The stages.
    pub stages: Vec<Stage>,
    /// How often each is measured, at most.
    pub rounds: u32,
    /// The order is drawn from it.
    pub seed: u64,
}

impl Plan {
    /// All trials in the order they are to run.
    pub fn steps(&self) -> Vec<Step> {
        (1..=self.rounds)
            .flat_map(|round| self.round(round))
            .collect()
    }

    /// One round's trials. A round's order depends on the seed and its own number alone,
    /// so a run with more rounds begins like one with fewer.
    pub fn round(&self, round: u32) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.round_len());
        for server in &self.entries {
            for workload in &self.workloads {
                for &stage in &self.stages {
                    steps.push(Step {
                        round,
                        server: server.clone(),
                        workload: workload.clone(),
                        stage,
                    });
                }
            }
        }
        let mut rng = Pcg64Mcg::seed_from_u64(round_seed(self.seed, round));
        steps.shuffle(&mut rng);
        steps
    }

    /// The trials of one round.
    pub fn round_len(&self) -> usize {
        self.entries.len() * self.workloads.len() * self.stages.len()
    }

    /// How long one round will take: the measured time, the warm-up and what a trial
    /// costs beside them.
    pub fn round_time(&self, profile: &Profile) -> Duration {
        let of_pair: Duration = self
            .stages
            .iter()
            .map(|stage| trial_time(profile, *stage))
            .sum();
        of_pair * (self.entries.len() * self.workloads.len()) as u32
    }
}

/// What a trial takes beside warm-up and measuring, as seen on a two-core machine: boot,
/// acceptance of each request's answer, drain and shutdown.
const OVERHEAD: Duration = Duration::from_millis(450);

/// How long one trial takes, about.
pub fn trial_time(profile: &Profile, stage: Stage) -> Duration {
    OVERHEAD + profile.warmup + profile.measured(stage)
}

/// The seed of one round; its requests are drawn from it too, so every server of a round
/// is sent the same ones and no two rounds send the same.
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
}
