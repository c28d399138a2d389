//! Which store of orders: one lock, an `RwLock`, sharded locks or a lock-free ring.
//!
//! Each candidate is filled beyond what it keeps, then used by 1, 2 and 4 threads at
//! once, of whose operations 0, 10, 50 or 100 % are writes. Reads are alternately a page of the newest 20 and
//! the order the thread placed last. A criterion iteration is a batch of operations of each thread; the
//! time is from the first thread's start to the last one's end.

mod candidates;

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use candidates::mutex::OneMutex;
use candidates::rwlock::OneRwLock;
use candidates::sharded::Sharded;
use candidates::{Candidate, KEPT, Ring, StoredOrder};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Writes in percent, and the number of operations of which one is a write.
const MIXES: [(&str, Option<u64>); 4] = [
    ("0 % writes", None),
    ("10 % writes", Some(10)),
    ("50 % writes", Some(2)),
    ("100 % writes", Some(1)),
];
const THREADS: [u64; 3] = [1, 2, 4];
const PAGE: u64 = 20;
/// Operations of each thread in an iteration. With single ones, a busy machine makes
/// criterion settle on a few, and what is timed is the start of the threads.
const BATCH: u64 = 10_000;

fn orders(criterion: &mut Criterion) {
    for threads in THREADS {
        measure::<OneMutex>(criterion, threads);
        measure::<OneRwLock>(criterion, threads);
        measure::<Sharded>(criterion, threads);
        measure::<Ring>(criterion, threads);
    }
}

fn measure<C: Candidate>(criterion: &mut Criterion, threads: u64) {
    let store = C::new();
    for n in 0..KEPT + 1_000 {
        store.append(entry(n));
    }
    let each = if threads == 1 { "thread" } else { "threads" };
    let name = format!("order store, {threads} {each}/{}", C::NAME);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(threads * BATCH));
    for (mix, write_every) in MIXES {
        group.bench_function(mix, |bencher| {
            bencher.iter_custom(|batches| together(&store, threads, batches * BATCH, write_every));
        });
    }
    group.finish();
}

fn entry(n: u64) -> StoredOrder {
    StoredOrder {
        item: (n % 1_000) as u16,
        qty: (n % 1_000 + 1) as u16,
    }
}

/// From the first thread's start to the last one's end, for so many operations each.
/// The threads read the clock: this one may be woken long after they began.
fn together<C: Candidate>(
    store: &C,
    threads: u64,
    operations: u64,
    write_every: Option<u64>,
) -> Duration {
    let ready = Barrier::new(threads as usize);
    let use_store = |thread| {
        ready.wait();
        let start = Instant::now();
        operate(store, thread, operations, write_every);
        (start, Instant::now())
    };
    let use_store = &use_store;
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let users: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || use_store(thread)))
            .collect();
        let join =
            |user: thread::ScopedJoinHandle<'_, _>| user.join().expect("no operation panics");
        users.into_iter().map(join).collect()
    });
    let start = spans.iter().map(|(start, _)| *start).min();
    let end = spans.iter().map(|(_, end)| *end).max();
    start
        .zip(end)
        .map_or(Duration::ZERO, |(start, end)| end - start)
}

fn operate<C: Candidate>(store: &C, thread: u64, operations: u64, write_every: Option<u64>) {
    let mut page = Vec::with_capacity(PAGE as usize);
    // Read again while it is among the newest: an id that stays the same would soon be
    // overwritten, and finding nothing is not what is to be measured.
    let mut own = store.append(entry(thread));
    // Not all threads write at the same step.
    for n in (thread * 3)..(thread * 3 + operations) {
        if write_every.is_some_and(|every| n % every == 0) {
            own = store.append(entry(n));
        } else if n / write_every.unwrap_or(1 << 32) % 2 == n % 2 {
            page.clear();
            black_box(store.page(0, PAGE, |id, entry| page.push((id, entry))));
            black_box(&page);
        } else {
            black_box(store.get(own));
        }
    }
}

/// Flags on the command line have precedence.
fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = orders
}
criterion_main!(benches);
