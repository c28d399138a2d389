//! Runs drawn from a long one.
//!
//! **With replacement.** A drawn run of n rounds is n independent draws from the long run, for every n. Without
//! replacement, runs half as long as the pool would be similar because they share half of it, and a run as long
//! as the pool would be the pool. The drawbacks: a round may occur twice, which makes intervals slightly
//! narrower, so equal programs are told apart slightly too often; effects shared by neighbouring rounds are
//! lost; and a chance difference in the pool is in every draw. So the pool is also cut into **blocks** of
//! consecutive rounds, each used once. They are truly independent runs, but few.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// `count` runs of `rounds` rounds each, as indices into a pool of `held` rounds.
pub(crate) fn draws(held: usize, rounds: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut random = Pcg64::seed_from_u64(seed ^ rounds as u64);
    let mut draw = |_| (0..rounds).map(|_| random.random_range(0..held)).collect();
    (0..count).map(&mut draw).collect()
}

/// The pool in consecutive blocks of `rounds` rounds; leaves out the rest.
pub(crate) fn blocks(held: usize, rounds: usize) -> Vec<Vec<usize>> {
    let block = |index: usize| (index * rounds..(index + 1) * rounds).collect();
    (0..held / rounds).map(block).collect()
}

/// Runs `work` on each job, on all CPUs; returns the results in the order of the jobs. `tool` creates the state
/// of each thread.
pub(crate) fn on_all_cpus<J: Sync, T, R: Send>(
    jobs: &[J],
    tool: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, &J) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                let mut tool = tool();
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    let result = work(&mut tool, job);
                    lock().push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_runs_have_the_rounds_asked_for_and_follow_from_the_seed() {
        let drawn = draws(7, 20, 50, 1);
        assert_eq!(drawn.len(), 50);
        assert!(
            drawn
                .iter()
                .all(|draw| draw.len() == 20 && draw.iter().all(|&i| i < 7))
        );
        assert_eq!(drawn, draws(7, 20, 50, 1));
        assert_ne!(drawn, draws(7, 20, 50, 2));
    }

    #[test]
    fn blocks_use_each_round_at_most_once() {
        assert_eq!(blocks(7, 3), [vec![0, 1, 2], vec![3, 4, 5]]);
        assert!(blocks(2, 3).is_empty());
    }

    #[test]
    fn answers_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..500).collect();
        let squares = on_all_cpus(&jobs, || 0, |_, job| job * job);
        assert!(
            squares
                .iter()
                .zip(&jobs)
                .all(|(square, job)| *square == job * job)
        );
    }
}
