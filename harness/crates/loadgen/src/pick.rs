//! Which request of a script is next.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// How a thread goes through the list of a script.
#[derive(Debug, Clone)]
pub(crate) enum Pick {
    /// Draws uniformly.
    Drawn(Pcg32),
    /// Takes every `step`-th request, so that all threads together go through the list in order, again and
    /// again.
    InTurn { next: usize, step: usize },
}

impl Pick {
    pub(crate) fn drawn(seed: u64) -> Self {
        Self::Drawn(Pcg32::seed_from_u64(seed))
    }

    /// For one of several threads, with a list of this length.
    pub(crate) fn in_turn((thread, threads): (usize, usize), len: usize) -> Self {
        Self::InTurn {
            next: thread % len,
            step: threads % len,
        }
    }

    /// The index into a list of this length.
    pub(crate) fn next(&mut self, len: usize) -> usize {
        match self {
            Self::Drawn(rng) => ((u64::from(rng.next_u32()) * len as u64) >> 32) as usize,
            Self::InTurn { next, step } => {
                let place = *next;
                *next += *step;
                if *next >= len {
                    *next -= len;
                }
                place
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_go_through_a_list_together() {
        for (threads, len) in [(1, 1), (1, 5), (2, 5), (3, 6), (4, 6), (5, 3), (3, 3)] {
            // Take the threads in turn, like equally fast threads would send.
            let mut picks: Vec<Pick> = (0..threads)
                .map(|thread| Pick::in_turn((thread, threads), len))
                .collect();
            let sent: Vec<usize> = (0..4 * len).map(|n| picks[n % threads].next(len)).collect();
            let expected: Vec<usize> = (0..4 * len).map(|n| n % len).collect();
            assert_eq!(sent, expected, "{threads} threads, {len} requests");
        }
    }

    #[test]
    fn a_draw_reaches_all_of_a_list_and_nothing_else() {
        let mut pick = Pick::drawn(7);
        let mut counts = [0; 5];
        for _ in 0..5000 {
            counts[pick.next(5)] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
