//! Counts allocations, for `harness cost`. Only in a build with the feature `count-allocations`, which is never
//! the one whose speed is measured.

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{env, io, thread};

/// Names the Unix socket on which the counts can be read. Without it, nothing listens.
const SOCKET: &str = "ALLOCATION_COUNTS";

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// An allocator that counts the calls of another one, and the bytes they ask for. A call of `realloc` counts as
/// one, and its growth as bytes.
pub(crate) struct Counted<A>(pub(crate) A);

fn count(bytes: usize) {
    CALLS.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes as u64, Relaxed);
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe; every call is passed on unchanged"
)]
// SAFETY: the inner allocator gets exactly the calls that this one gets.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.saturating_sub(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.dealloc(at, layout) }
    }
}

/// Writes `CALLS BYTES` and a line feed to every connection to the socket that [`SOCKET`] names. The thread that
/// does so allocates nothing once it has started.
pub(crate) fn serve() -> io::Result<()> {
    let Some(path) = env::var_os(SOCKET) else {
        return Ok(());
    };
    let listener = UnixListener::bind(path)?;
    thread::spawn(move || {
        while let Ok((mut reader, _)) = listener.accept() {
            // The reader may have gone; the next one is served all the same.
            let _ = writeln!(reader, "{} {}", CALLS.load(Relaxed), BYTES.load(Relaxed));
        }
    });
    Ok(())
}
