//! The newest orders, in a ring of atomic slots that readers and writers share without
//! a lock.
//!
//! Only the standard library is used here: the benchmark includes this file as it is,
//! to measure what is shipped beside the other candidates.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many of the newest orders are kept.
pub(crate) const KEPT: u64 = 65_536;

/// What an order is made from; all else follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredOrder {
    /// The item's number, under 1,024.
    pub(crate) item: u16,
    /// Units, under 1,024.
    pub(crate) qty: u16,
}

/// The newest [`KEPT`] entries, numbered from 1.
///
/// Order `id` lies in slot `id % KEPT`, packed with its id into one word, so a slot is
/// never half-written. `total` is the id up to which all slots are written: a reader
/// that stays at or below it finds no hole.
///
/// A writer takes an id by replacing, in the slot of `total + 1`, the entry that was
/// there a lap before. A slot's ids only rise, so that exchange can succeed once for
/// each id: none is lost or given twice. Then `total` moves on; whoever finds it lagging
/// behind a written slot moves it, so no thread waits for another.
#[derive(Debug)]
pub(crate) struct Ledger {
    slots: Box<[AtomicU64]>,
    total: AtomicU64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..KEPT).map(|_| AtomicU64::new(0)).collect(),
            total: AtomicU64::new(0),
        }
    }

    /// Adds an entry and gives its id; on return every reader sees it.
    pub(crate) fn append(&self, entry: StoredOrder) -> u64 {
        loop {
            let id = self.total.load(Ordering::Acquire) + 1;
            let slot = self.slot(id);
            let found = slot.load(Ordering::Acquire);
            if id_of(found) == id.saturating_sub(KEPT) {
                let placed = slot.compare_exchange(
                    found,
                    pack(id, entry),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                if placed.is_ok() {
                    self.advance_to(id);
                    return id;
                }
            } else if id_of(found) == id {
                // Written by another that has not moved `total` yet.
                self.advance_to(id);
            }
            // Else `total` was read a lap ago.
        }
    }

    /// Where it fails, another has moved `total` to `id` already, or further.
    fn advance_to(&self, id: u64) {
        let _ = self
            .total
            .compare_exchange(id - 1, id, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The entry of an id, while it is kept.
    pub(crate) fn get(&self, id: u64) -> Option<StoredOrder> {
        let written = (1..=self.total.load(Ordering::Acquire)).contains(&id);
        written.then(|| self.read(id)).flatten()
    }

    /// Passes at most `limit` entries to `each`, from the newest but `offset` downwards,
    /// as far as they are kept; returns how many there ever were when it began.
    pub(crate) fn page(
        &self,
        offset: u64,
        limit: u64,
        mut each: impl FnMut(u64, StoredOrder),
    ) -> u64 {
        let total = self.total.load(Ordering::Acquire);
        let newest = total.saturating_sub(offset);
        for id in (newest.saturating_sub(limit) + 1..=newest).rev() {
            // Writers overwrite the oldest first, so all that follow are gone as well.
            let Some(entry) = self.read(id) else { break };
            each(id, entry);
        }
        total
    }

    /// None where a later lap has overwritten it. `id` is 1 to `total`.
    fn read(&self, id: u64) -> Option<StoredOrder> {
        let found = self.slot(id).load(Ordering::Acquire);
        (id_of(found) == id).then(|| entry_of(found))
    }

    fn slot(&self, id: u64) -> &AtomicU64 {
        &self.slots[(id % KEPT) as usize]
    }
}

/// Id (44 bits: enough for a million orders a second over half a year), item and
/// quantity (10 bits each). An empty slot is 0, and no entry has id 0.
fn pack(id: u64, entry: StoredOrder) -> u64 {
    debug_assert!(id < 1 << 44 && entry.item < 1 << 10 && entry.qty < 1 << 10);
    id << 20 | u64::from(entry.item) << 10 | u64::from(entry.qty)
}

fn id_of(packed: u64) -> u64 {
    packed >> 20
}

fn entry_of(packed: u64) -> StoredOrder {
    StoredOrder {
        item: (packed >> 10 & 0x3ff) as u16,
        qty: (packed & 0x3ff) as u16,
    }
}
