//! Every candidate for the store of orders keeps the same promises.

// A test's unwrap is its assertion; the helpers here are not marked as tests themselves.
#![allow(clippy::unwrap_used)]

#[path = "../benches/candidates/mod.rs"]
mod candidates;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use candidates::mutex::OneMutex;
use candidates::rwlock::OneRwLock;
use candidates::sharded::Sharded;
use candidates::{Candidate, KEPT, Ring, StoredOrder};

const WRITERS: u64 = 8;
const READERS: u64 = 2;
/// The store is full before they begin, so that readers meet overwriting from the start.
const ENTRIES_EACH: u64 = 4_000;

/// An entry that its id must match again when it is read: unlike for neighbouring ids.
fn entry(n: u64) -> StoredOrder {
    StoredOrder {
        item: (n * 7 % 1_001) as u16,
        qty: (n % 1_000 + 1) as u16,
    }
}

fn page<C: Candidate>(store: &C, offset: u64, limit: u64) -> (u64, Vec<(u64, StoredOrder)>) {
    let mut entries = Vec::new();
    let total = store.page(offset, limit, |id, entry| entries.push((id, entry)));
    (total, entries)
}

fn keeps_the_newest<C: Candidate>() {
    let store = C::new();
    assert_eq!(page(&store, 0, 20), (0, vec![]));
    assert_eq!(store.get(0), None);
    assert_eq!(store.get(1), None);
    let total = 2 * KEPT + 10;
    for id in 1..=total {
        assert_eq!(store.append(entry(id)), id);
        assert_eq!(store.get(id), Some(entry(id)));
        assert_eq!(store.get(id + 1), None);
        let oldest = id.saturating_sub(KEPT) + 1;
        assert_eq!(store.get(oldest - 1), None);
        assert_eq!(store.get(oldest), Some(entry(oldest)));
    }
    let oldest = total - KEPT + 1;
    let newest_first = |ids: std::ops::RangeInclusive<u64>| -> Vec<(u64, StoredOrder)> {
        ids.rev().map(|id| (id, entry(id))).collect()
    };
    assert_eq!(page(&store, 0, 3), (total, newest_first(total - 2..=total)));
    // The last page that is kept in part, and the first beyond.
    assert_eq!(
        page(&store, KEPT - 2, 5),
        (total, newest_first(oldest..=oldest + 1))
    );
    assert_eq!(page(&store, KEPT, 5), (total, vec![]));
    assert_eq!(page(&store, total + 5, 5), (total, vec![]));
    assert_eq!(
        page(&store, 0, 2 * KEPT),
        (total, newest_first(oldest..=total))
    );
}

/// Writers check that what they placed is there at once; readers, that pages are whole.
fn stands_many_threads<C: Candidate>() {
    let store = &C::new();
    let earlier: Vec<_> = (0..KEPT)
        .map(|n| (store.append(entry(n)), entry(n)))
        .collect();
    let done = &AtomicBool::new(false);
    let mut placed: Vec<(u64, StoredOrder)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(store, writer)))
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(move || read_until(store, done)))
            .collect();
        let placed: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Before a writer's panic is passed on: else the readers would never end.
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        placed.into_iter().flat_map(Result::unwrap).collect()
    });
    placed.extend(earlier);
    placed.sort_unstable_by_key(|(id, _)| *id);
    let total = KEPT + WRITERS * ENTRIES_EACH;
    assert!(placed.iter().map(|(id, _)| *id).eq(1..=total));
    let newest_first: Vec<_> = placed.into_iter().rev().take(KEPT as usize).collect();
    assert_eq!(page(store, 0, 2 * KEPT), (total, newest_first));
}

fn write<C: Candidate>(store: &C, writer: u64) -> Vec<(u64, StoredOrder)> {
    let mut last_id = 0;
    (0..ENTRIES_EACH)
        .map(|n| {
            let entry = entry(n * WRITERS + writer);
            let id = store.append(entry);
            assert!(id > last_id, "{id} came after {last_id}");
            last_id = id;
            // None: so many came since that it is no longer kept.
            let found = store.get(id);
            let total = store.page(0, 0, |_, _| {});
            assert!(found == Some(entry) || found.is_none() && total >= id + KEPT);
            (id, entry)
        })
        .collect()
}

fn read_until<C: Candidate>(store: &C, done: &AtomicBool) {
    let mut last_total = 0;
    while !done.load(Ordering::Relaxed) {
        let (total, entries) = page(store, 0, 100);
        assert!(
            total >= last_total,
            "the total fell from {last_total} to {total}"
        );
        last_total = total;
        // From the total downwards without a hole; shorter only where this thread slept
        // so long that what is missing is no longer kept.
        assert!(
            entries
                .iter()
                .map(|(id, _)| *id)
                .eq((1..=total).rev().take(entries.len()))
        );
        let first_missing = total - entries.len() as u64;
        let now = store.page(0, 0, |_, _| {});
        let whole = entries.len() as u64 == total.min(100);
        assert!(
            whole || now >= first_missing + KEPT,
            "a page of {}",
            entries.len()
        );
        // At the far end, entries are overwritten while they are read: then it is shorter.
        let (total, entries) = page(store, KEPT - 50, 100);
        let due = (1..=total.saturating_sub(KEPT - 50)).rev();
        assert!(
            entries
                .iter()
                .map(|(id, _)| *id)
                .eq(due.take(entries.len()))
        );
        assert!(entries.len() <= 50);
    }
}

macro_rules! promises {
    ($($name:ident: $candidate:ty),+ $(,)?) => {
        $(
            mod $name {
                use super::*;

                #[test]
                fn keeps_the_newest() {
                    super::keeps_the_newest::<$candidate>();
                }

                #[test]
                fn stands_many_threads() {
                    super::stands_many_threads::<$candidate>();
                }
            }
        )+
    };
}

promises! { mutex: OneMutex, rwlock: OneRwLock, sharded: Sharded, ring: Ring }
