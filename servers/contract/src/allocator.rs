//! The allocator of every program that links this crate.

cfg_select! {
    feature = "system-allocator" => { use std::alloc::System as Chosen; }
    feature = "jemalloc" => { use tikv_jemallocator::Jemalloc as Chosen; }
    feature = "mimalloc" => { use mimalloc::MiMalloc as Chosen; }
    _ => { use std::alloc::System as Chosen; }
}

#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: crate::counted::Counted<Chosen> = crate::counted::Counted(Chosen);
