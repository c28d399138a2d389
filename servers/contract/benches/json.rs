//! Which JSON library: pages of users written, an order read.
//!
//! Every server's framework uses `serde_json`; the others show how much of a handler's time that choice is.

use std::hint::black_box;

use contract::{OrderRequest, Store, UserPage, UsersParams};
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};

const SIZES: [u64; 3] = [1, 20, 100];
const ORDER: &[u8] = br#"{"item_id":"SKU-789","qty":3}"#;

fn libraries(criterion: &mut Criterion) {
    let store = Store::new();
    measure(
        criterion,
        "serde_json",
        &store,
        |page| serde_json::to_vec(page).expect("a page is JSON"),
        |order| serde_json::from_slice::<OrderRequest>(order).is_ok(),
    );
    measure(
        criterion,
        "sonic-rs",
        &store,
        |page| sonic_rs::to_vec(page).expect("a page is JSON"),
        |order| sonic_rs::from_slice::<OrderRequest>(order).is_ok(),
    );
    measure(
        criterion,
        "simd-json",
        &store,
        |page| simd_json::to_vec(page).expect("a page is JSON"),
        |order| simd_json::from_slice::<OrderRequest>(order).is_ok(),
    );
}

fn measure(
    criterion: &mut Criterion,
    library: &str,
    store: &Store,
    write: impl Fn(&UserPage<'_>) -> Vec<u8>,
    read: impl Fn(&mut [u8]) -> bool,
) {
    let mut group = criterion.benchmark_group(format!("JSON/{library}"));
    for size in SIZES {
        pages(&mut group, store, size, &write);
    }
    group.throughput(Throughput::Bytes(ORDER.len() as u64));
    assert!(read(&mut ORDER.to_vec()), "{library} reads an order");
    group.bench_function("order", |bencher| {
        // simd-json changes what it reads, so each reads a copy of its own.
        bencher.iter_batched_ref(
            || ORDER.to_vec(),
            |order| black_box(read(order)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn pages(
    group: &mut BenchmarkGroup<'_, WallTime>,
    store: &Store,
    size: u64,
    write: impl Fn(&UserPage<'_>) -> Vec<u8>,
) {
    let params: UsersParams =
        serde_json::from_value(serde_json::json!({"page": "7", "limit": size.to_string()}))
            .expect("the parameters are strings");
    let page = store.users(params.validate().expect("they are valid"));
    let text = serde_json::to_vec(&page).expect("a page is JSON");
    assert_eq!(write(&page), text, "every library writes the same");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function(BenchmarkId::new("users", size), |bencher| {
        bencher.iter(|| write(black_box(&page)));
    });
}

criterion_group!(benches, libraries);
criterion_main!(benches);
