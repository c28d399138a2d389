//! The candidates for the store of orders, behind one small trait.
//!
//! Included by the benchmark and by `tests/candidates.rs`, which holds them all to the
//! same behaviour.

// The benchmark and the test each use a part of it.
#![allow(dead_code)]

#[path = "../../src/ledger.rs"]
pub(crate) mod ledger;
pub(crate) mod mutex;
pub(crate) mod rwlock;
pub(crate) mod sharded;

pub(crate) use ledger::{KEPT, StoredOrder};

/// A store of the newest orders, used by many threads at once.
pub(crate) trait Candidate: Sync + Sized {
    /// Its name in the tables.
    const NAME: &'static str;

    /// An empty one.
    fn new() -> Self;

    /// Adds an entry and gives its id, counted up from 1; on return every reader sees it.
    fn append(&self, entry: StoredOrder) -> u64;

    /// The entry of an id, while it is kept.
    fn get(&self, id: u64) -> Option<StoredOrder>;

    /// Passes at most `limit` entries to `each`, from the newest but `offset` downwards
    /// without holes, and returns the total they belong to.
    fn page(&self, offset: u64, limit: u64, each: impl FnMut(u64, StoredOrder)) -> u64;
}

/// The lock-free ring, which is what the crate ships.
pub(crate) type Ring = ledger::Ledger;

impl Candidate for Ring {
    const NAME: &'static str = "ring";

    fn new() -> Self {
        Self::new()
    }

    fn append(&self, entry: StoredOrder) -> u64 {
        self.append(entry)
    }

    fn get(&self, id: u64) -> Option<StoredOrder> {
        self.get(id)
    }

    fn page(&self, offset: u64, limit: u64, each: impl FnMut(u64, StoredOrder)) -> u64 {
        self.page(offset, limit, each)
    }
}

/// What a lock guards, in both candidates that have one lock.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Oldest first; the last one's id is `total`.
    newest: std::collections::VecDeque<StoredOrder>,
    total: u64,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self {
            newest: std::collections::VecDeque::with_capacity(KEPT as usize),
            total: 0,
        }
    }

    pub(crate) fn append(&mut self, entry: StoredOrder) -> u64 {
        if self.newest.len() as u64 == KEPT {
            self.newest.pop_front();
        }
        self.newest.push_back(entry);
        self.total += 1;
        self.total
    }

    pub(crate) fn get(&self, id: u64) -> Option<StoredOrder> {
        let oldest = self.total + 1 - self.newest.len() as u64;
        let position = usize::try_from(id.checked_sub(oldest)?).ok()?;
        self.newest.get(position).copied()
    }

    pub(crate) fn page(
        &self,
        offset: u64,
        limit: u64,
        mut each: impl FnMut(u64, StoredOrder),
    ) -> u64 {
        let newest = self.total.saturating_sub(offset);
        for id in (newest.saturating_sub(limit) + 1..=newest).rev() {
            let Some(entry) = self.get(id) else { break };
            each(id, entry);
        }
        self.total
    }
}
