//! Failed requests that are sent again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::Retries;
use super::recorder::{Nanos, nanos};

/// Room for requests that wait, before the clock runs.
const ROOM: usize = 1 << 14;
/// The pause doubles this often at most.
const DOUBLINGS: u32 = 10;

/// A request that failed, in the order of when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Retry {
    pub(crate) due: Nanos,
    /// When its first attempt was due.
    pub(crate) intended: Nanos,
    pub(crate) entry: u32,
    /// How often it has been sent.
    pub(crate) attempt: u32,
}

/// The requests of one thread that wait to be sent again.
#[derive(Debug)]
pub(crate) struct Waiting {
    most: u32,
    backoff: Nanos,
    rng: Pcg64,
    waiting: BinaryHeap<Reverse<Retry>>,
}

impl Waiting {
    /// None are kept without `retries`.
    pub(crate) fn new(retries: Option<Retries>, seed: u64) -> Self {
        Self {
            most: retries.map_or(0, |retries| retries.most),
            backoff: retries.and_then(|retries| retries.backoff).map_or(0, nanos),
            // Another stream than that of the arrivals.
            rng: Pcg64::seed_from_u64(!seed),
            waiting: match retries {
                Some(_) => BinaryHeap::with_capacity(ROOM),
                None => BinaryHeap::new(),
            },
        }
    }

    /// Whether a request that was sent so often before, and failed, is sent again.
    pub(crate) fn takes(&self, attempt: u32) -> bool {
        attempt < self.most
    }

    /// Keeps a request that failed now. `attempt`: how often it had been sent before.
    pub(crate) fn keep(&mut self, now: Nanos, intended: Nanos, entry: u32, attempt: u32) {
        // "Full jitter": spreads the retries of requests that failed together.
        let longest = self.backoff << attempt.min(DOUBLINGS);
        let pause = match longest {
            0 => 0,
            longest => self.rng.random_range(0..=longest),
        };
        self.waiting.push(Reverse(Retry {
            due: now + pause,
            intended,
            entry,
            attempt: attempt + 1,
        }));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first of them is due; `Nanos::MAX` if there is none.
    pub(crate) fn next_due(&self) -> Nanos {
        self.waiting.peek().map_or(Nanos::MAX, |first| first.0.due)
    }

    /// Takes the first if it is due.
    pub(crate) fn take(&mut self, now: Nanos) -> Option<Retry> {
        match self.next_due() <= now {
            true => self.waiting.pop().map(|first| first.0),
            false => None,
        }
    }

    /// Takes all that wait, and keeps no more.
    pub(crate) fn end(&mut self) -> Vec<Retry> {
        self.most = 0;
        self.waiting.drain().map(|retry| retry.0).collect()
    }
}
