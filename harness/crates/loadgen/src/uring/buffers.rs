//! The receive buffers shared by all connections of a thread: the kernel picks one when bytes arrive.
//!
//! They are offered to the kernel in a shared ring (`io_uring_register_buf_ring(3)`): we write a descriptor
//! after the last one and then advance the tail; the kernel takes from the head. So an idle connection needs no
//! buffer.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Minimum and maximum number of buffers.
const FEWEST: u16 = 64;
const MOST: u16 = 1024;
/// Size of a buffer in bytes: large if there are few, small if there are many. Together at most 4 MiB, and
/// pages that were never written take no memory.
const LARGE: usize = 16 * 1024;
const SMALL: usize = 4 * 1024;
/// Maximum number of large ones.
const MOST_LARGE: u16 = 256;

/// One entry of the ring: `struct io_uring_buf` of the kernel's interface. The last field of the first entry is
/// the tail of the ring.
#[repr(C)]
#[derive(Default)]
struct RingEntry {
    addr: AtomicU64,
    len: AtomicU32,
    id: AtomicU16,
    tail: AtomicU16,
}

/// All entries. The kernel wants them page-aligned; no Linux has larger pages than this.
#[repr(C, align(65536))]
struct RingEntries([RingEntry; MOST as usize]);

/// The buffers, and the ring that offers them.
pub(super) struct Buffers {
    memory: Memory,
    count: u16,
    /// Size of each in bytes.
    size: usize,
    tail: u16,
}

/// Memory shared with the kernel; leaked instead of freed if the kernel might still use it.
struct Memory {
    /// In a vector, because a box claims that nobody else has its address.
    places: Vec<RingEntries>,
    data: NonNull<u8>,
    len: usize,
}

impl Buffers {
    /// One per connection, within limits; all of them offered.
    pub(super) fn new(connections: usize) -> Self {
        let wanted = connections.clamp(FEWEST.into(), MOST.into());
        let count = wanted.next_power_of_two() as u16;
        let size = if count > MOST_LARGE { SMALL } else { LARGE };
        let places = RingEntries([const { RingEntry::new() }; MOST as usize]);
        let mut buffers = Self {
            memory: Memory::new(places, usize::from(count) * size),
            count,
            size,
            tail: 0,
        };
        for id in 0..count {
            buffers.give(id);
        }
        buffers
    }

    /// The number of buffers, a power of two.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn ring_addr(&self) -> u64 {
        self.memory.places.as_ptr().expose_provenance() as u64
    }

    /// Offers a buffer to the kernel, for the first time or again.
    pub(super) fn give(&mut self, id: u16) {
        let places = &self.memory.places[0].0;
        let place = &places[usize::from(self.tail & (self.count - 1))];
        let start = self.memory.data.as_ptr().expose_provenance() as u64;
        let addr = start + u64::from(id) * self.size as u64;
        place.addr.store(addr, Ordering::Relaxed);
        place.len.store(self.size as u32, Ordering::Relaxed);
        place.id.store(id, Ordering::Relaxed);
        self.tail = self.tail.wrapping_add(1);
        places[0].tail.store(self.tail, Ordering::Release);
    }

    /// The bytes received into a buffer that a completion named and that was not returned since.
    pub(super) fn bytes(&self, id: u16, len: usize) -> &[u8] {
        let at = usize::from(id) * self.size;
        assert!(
            id < self.count && len <= self.size,
            "the kernel only names its buffers"
        );
        #[allow(
            unsafe_code,
            reason = "the kernel writes the buffers, so no Rust owner can hold them"
        )]
        // SAFETY: within the allocation, by the assertion; all of it is initialised. The kernel is done writing
        // when it names a buffer, and uses it again only after `give`, which needs an exclusive borrow.
        unsafe {
            std::slice::from_raw_parts(self.memory.data.as_ptr().add(at), len)
        }
    }

    /// Leaks the memory, so that the kernel can use it forever.
    pub(super) fn abandon(&mut self) {
        let none = Memory {
            places: Vec::new(),
            data: NonNull::dangling(),
            len: 0,
        };
        std::mem::forget(std::mem::replace(&mut self.memory, none));
    }
}

impl RingEntry {
    const fn new() -> Self {
        Self {
            addr: AtomicU64::new(0),
            len: AtomicU32::new(0),
            id: AtomicU16::new(0),
            tail: AtomicU16::new(0),
        }
    }
}

impl Memory {
    fn new(places: RingEntries, len: usize) -> Self {
        // Zeroed pages come untouched from the system.
        let data = Box::into_raw(vec![0_u8; len].into_boxed_slice());
        Self {
            places: vec![places],
            data: NonNull::new(data.cast()).unwrap_or(NonNull::dangling()),
            len,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        let data = std::ptr::slice_from_raw_parts_mut(self.data.as_ptr(), self.len);
        #[allow(unsafe_code, reason = "split up in `new` so that the kernel can write")]
        // SAFETY: from `Box::into_raw` in `new`, with the same length, and freed once. The kernel no longer
        // writes: see `Drop` of the engine, which otherwise leaks it.
        drop(unsafe { Box::from_raw(data) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_connections_within_bounds() {
        for (connections, count) in [(1, 64), (64, 64), (65, 128), (9_000, 1024)] {
            let buffers = Buffers::new(connections);
            assert_eq!(buffers.count(), count);
            assert_eq!(buffers.memory.len, usize::from(count) * buffers.size);
            assert!(buffers.memory.len <= 4 << 20);
        }
    }

    #[test]
    fn the_kernel_finds_what_its_interface_says() {
        assert_eq!(size_of::<RingEntry>(), 16);
        assert_eq!(std::mem::offset_of!(RingEntry, tail), 14);
        let mut buffers = Buffers::new(64);
        assert_eq!(buffers.ring_addr() % 65_536, 0);
        let tail = |buffers: &Buffers| buffers.memory.places[0].0[0].tail.load(Ordering::Acquire);
        assert_eq!(tail(&buffers), 64);
        buffers.give(7);
        assert_eq!(tail(&buffers), 65);
        // The first entry follows the last.
        let first = &buffers.memory.places[0].0[0];
        let start = buffers.memory.data.as_ptr() as u64;
        assert_eq!(first.id.load(Ordering::Relaxed), 7);
        assert_eq!(first.addr.load(Ordering::Relaxed), start + 7 * LARGE as u64);
        assert_eq!(buffers.bytes(7, LARGE), vec![0; LARGE]);
    }
}
