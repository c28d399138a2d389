//! Sixteen locks, each around the entries whose id has the same remainder.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Candidate, KEPT, StoredOrder};

const SHARDS: u64 = 16;
const SLOTS: u64 = KEPT / SHARDS;
/// How often a writer looks whether its turn has come before it gives up its processor.
const SPINS: u32 = 64;

type Shard = Mutex<Box<[(u64, StoredOrder)]>>;

/// Ids are given out before their entries are written, so writers publish in order of
/// id: else a reader would see a hole.
#[derive(Debug)]
pub(crate) struct Sharded {
    shards: Vec<Shard>,
    claimed: AtomicU64,
    published: AtomicU64,
}

impl Sharded {
    fn slot<T>(&self, id: u64, use_slot: impl FnOnce(&mut (u64, StoredOrder)) -> T) -> T {
        let shard = &self.shards[(id % SHARDS) as usize];
        let mut slots = shard.lock().unwrap_or_else(PoisonError::into_inner);
        use_slot(&mut slots[(id / SHARDS % SLOTS) as usize])
    }

    fn read(&self, id: u64) -> Option<StoredOrder> {
        let (found, entry) = self.slot(id, |slot| *slot);
        (found == id).then_some(entry)
    }

    fn publish(&self, id: u64) {
        let mut spins = 0;
        while self.published.load(Ordering::Acquire) != id - 1 {
            spins += 1;
            if spins % SPINS == 0 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        self.published.store(id, Ordering::Release);
    }
}

impl Candidate for Sharded {
    const NAME: &'static str = "sharded";

    fn new() -> Self {
        let empty = (0, StoredOrder { item: 0, qty: 0 });
        let shard = || Mutex::new(vec![empty; SLOTS as usize].into_boxed_slice());
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            claimed: AtomicU64::new(0),
            published: AtomicU64::new(0),
        }
    }

    fn append(&self, entry: StoredOrder) -> u64 {
        let id = self.claimed.fetch_add(1, Ordering::Relaxed) + 1;
        self.slot(id, |slot| *slot = (id, entry));
        self.publish(id);
        id
    }

    fn get(&self, id: u64) -> Option<StoredOrder> {
        let written = (1..=self.published.load(Ordering::Acquire)).contains(&id);
        written.then(|| self.read(id)).flatten()
    }

    fn page(&self, offset: u64, limit: u64, mut each: impl FnMut(u64, StoredOrder)) -> u64 {
        let total = self.published.load(Ordering::Acquire);
        let newest = total.saturating_sub(offset);
        for id in (newest.saturating_sub(limit) + 1..=newest).rev() {
            let Some(entry) = self.read(id) else { break };
            each(id, entry);
        }
        total
    }
}
