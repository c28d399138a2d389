//! Resident memory of processes, told apart by what it holds; and what the kernel keeps for TCP.
//!
//! Formats are those of proc(5) and the kernel's `Documentation/filesystems/proc.rst`.

use std::fs;
use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;

/// The largest mapping that counts as the stack of a thread: the usual limit of a stack. A larger one may be a
/// stack that the kernel has merged with the heap above it.
const LARGEST_STACK: u64 = 8 << 20;
/// How often the threads' stack pointers are read until all threads sleep, and the time between.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Resident memory of some processes, bytes. Pages shared between processes count in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResidentMemory {
    /// Memory of its own: the heap, and what it has written of its binary's data. With the stacks of threads
    /// where they can't be told from it.
    pub heap_bytes: u64,
    /// Stacks of threads. Absent if the stack of any thread can't be told from the heap.
    pub stack_bytes: Option<u64>,
    /// Files it has mapped, such as its binary and libraries, and shared memory. This is page cache, which other
    /// processes may use too.
    pub file_bytes: u64,
}

impl ResidentMemory {
    /// All of it.
    pub fn rss_bytes(&self) -> u64 {
        self.heap_bytes + self.stack_bytes.unwrap_or(0) + self.file_bytes
    }

    fn plus(self, other: Self) -> Self {
        Self {
            heap_bytes: self.heap_bytes + other.heap_bytes,
            stack_bytes: self
                .stack_bytes
                .zip(other.stack_bytes)
                .map(|(one, two)| one + two),
            file_bytes: self.file_bytes + other.file_bytes,
        }
    }
}

/// The resident memory of these processes, page by page. Takes about a millisecond for each thousand mappings.
///
/// # Errors
/// If there is no process, or one can't be read.
pub fn resident_memory(pids: &[u32]) -> io::Result<ResidentMemory> {
    let each = pids.iter().map(|pid| of_process(*pid));
    let whole = each.reduce(|one, other| Ok(one?.plus(other?)));
    whole.unwrap_or_else(|| Err(io::Error::new(ErrorKind::NotFound, "no process is left")))
}

fn of_process(pid: u32) -> io::Result<ResidentMemory> {
    let pointers = stack_pointers(pid);
    let mappings = fs::read_to_string(format!("/proc/{pid}/smaps"));
    if let Some(told_apart) = mappings.ok().and_then(|smaps| {
        let mappings = mappings_of(&smaps)?;
        (!mappings.is_empty()).then(|| told_apart(&mappings, pointers.as_deref()))
    }) {
        return Ok(told_apart);
    }
    // A kernel without smaps still has the sums, less exact and without stacks.
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    of_status(&status).ok_or_else(|| {
        let what = format!("/proc/{pid}/status has no resident memory");
        io::Error::new(ErrorKind::InvalidData, what)
    })
}

/// The used lines of a mapping in `smaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping<'a> {
    start: u64,
    end: u64,
    /// As in `rw-p`.
    access: &'a str,
    /// The file, or the kernel's name, as in `[stack]`; empty for plain memory.
    name: &'a str,
    resident: u64,
    anonymous: u64,
}

/// `None` if it is no `smaps`.
fn mappings_of(smaps: &str) -> Option<Vec<Mapping<'_>>> {
    let mut mappings: Vec<Mapping<'_>> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next()?;
        let Some(name) = first.strip_suffix(':') else {
            let (start, end) = first.split_once('-')?;
            mappings.push(Mapping {
                start: u64::from_str_radix(start, 16).ok()?,
                end: u64::from_str_radix(end, 16).ok()?,
                access: words.next()?,
                // After the offset, the device and the inode.
                name: words.nth(3).unwrap_or_default(),
                resident: 0,
                anonymous: 0,
            });
            continue;
        };
        let mapping = mappings.last_mut()?;
        let mut bytes = || Some(words.next()?.parse::<u64>().ok()? * 1024);
        match name {
            "Rss" => mapping.resident = bytes()?,
            "Anonymous" => mapping.anonymous = bytes()?,
            _ => {}
        }
    }
    Some(mappings)
}

/// Takes the stack pointer of every thread; `None` if they can't be read.
fn told_apart(mappings: &[Mapping<'_>], pointers: Option<&[u64]>) -> ResidentMemory {
    let mut memory = ResidentMemory::default();
    let mut stacks = 0;
    let mut on_stacks = 0;
    for (index, mapping) in mappings.iter().enumerate() {
        let below = index.checked_sub(1).map(|below| &mappings[below]);
        let threads = pointers.unwrap_or_default().iter();
        let threads = threads.filter(|at| (mapping.start..mapping.end).contains(at));
        let threads = threads.count();
        memory.file_bytes += mapping.resident.saturating_sub(mapping.anonymous);
        if mapping.is_stack(below, threads > 0) {
            on_stacks += threads;
            stacks += mapping.anonymous;
        } else {
            memory.heap_bytes += mapping.anonymous;
        }
    }
    let all = pointers.is_some_and(|pointers| on_stacks == pointers.len());
    match all {
        true => memory.stack_bytes = Some(stacks),
        false => memory.heap_bytes += stacks,
    }
    memory
}

impl Mapping<'_> {
    /// Whether the kernel names it so, or a thread's stack pointer is in it and a page below guards it.
    fn is_stack(&self, below: Option<&Mapping<'_>>, has_pointer: bool) -> bool {
        let guard = |below: &Mapping<'_>| below.end == self.start && below.access == "---p";
        let size = self.end - self.start;
        match self.name {
            "" => has_pointer && size <= LARGEST_STACK && below.is_some_and(guard),
            name => name.starts_with("[stack") || name.contains("stack:"),
        }
    }
}

/// The stack pointer of each thread. It is known while the thread sleeps, so this waits a moment for threads that
/// run. `None` if the system doesn't tell, or a thread keeps running.
fn stack_pointers(pid: u32) -> Option<Vec<u64>> {
    for _ in 0..LOOKS {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let calls = tasks.map(|task| fs::read_to_string(task.path().join("syscall")));
        // A thread may end between listing and reading.
        let known = calls.filter(|call| {
            !call
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::NotFound)
        });
        let pointers = known.map(|call| stack_pointer(&call.ok()?));
        if let Some(pointers) = pointers.collect() {
            return Some(pointers);
        }
        sleep(BETWEEN_LOOKS);
    }
    None
}

/// From `/proc/PID/task/TID/syscall`: the last two numbers are the stack pointer and the program counter.
fn stack_pointer(call: &str) -> Option<u64> {
    let word = call.split_ascii_whitespace().rev().nth(1)?;
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// From `/proc/PID/status`.
fn of_status(status: &str) -> Option<ResidentMemory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(ResidentMemory {
        heap_bytes: field("RssAnon:")?,
        stack_bytes: None,
        file_bytes: field("RssFile:")? + field("RssShmem:")?,
    })
}

/// Memory of all TCP sockets of this machine in the kernel, bytes: their buffers, not the sockets themselves.
///
/// # Errors
/// If `/proc/net/sockstat` can't be read or doesn't have it.
pub fn tcp_buffers() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let pages = tcp_pages(&text).ok_or_else(|| {
        let what = "/proc/net/sockstat has no memory of TCP";
        io::Error::new(ErrorKind::InvalidData, what)
    })?;
    Ok(pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096))
}

fn tcp_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A binary with written data, the heap, a thread's stack above its guard page, a mapping of the allocator,
    /// shared memory, and the stack of the first thread.
    const SMAPS: &str = "\
5556f9ad6000-5556f9ade000 r-xp 00000000 fe:00 247282                     /srv/my server
Size:                 32 kB
Rss:                  28 kB
Anonymous:             0 kB
VmFlags: rd mr mw me 
5556f9ade000-5556f9ae0000 rw-p 00008000 fe:00 247282                     /srv/my server
Rss:                   8 kB
Anonymous:             4 kB
5556fa000000-5556fa100000 rw-p 00000000 00:00 0                          [heap]
Rss:                 100 kB
Anonymous:           100 kB
7f0000000000-7f0000001000 ---p 00000000 00:00 0 
Rss:                   0 kB
Anonymous:             0 kB
7f0000001000-7f0000201000 rw-p 00000000 00:00 0 
Rss:                  12 kB
Anonymous:            12 kB
7f0000300000-7f0000400000 rw-p 00000000 00:00 0 
Rss:                  64 kB
Anonymous:            64 kB
7f0000500000-7f0000600000 rw-s 00000000 00:01 2048                       /dev/zero (deleted)
Rss:                  16 kB
Anonymous:             0 kB
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                  20 kB
Anonymous:            20 kB
";
    const KIB: u64 = 1024;
    const MAIN: u64 = 0x7ffc_0000_1000;
    const THREAD: u64 = 0x7f00_0020_0ff0;

    #[test]
    fn memory_is_told_apart_by_mapping_and_stack_pointer() {
        let mappings = mappings_of(SMAPS).unwrap();
        assert_eq!(mappings.len(), 8);
        let memory = told_apart(&mappings, Some(&[MAIN, THREAD]));
        let expected = ResidentMemory {
            heap_bytes: (4 + 100 + 64) * KIB,
            stack_bytes: Some((12 + 20) * KIB),
            file_bytes: (28 + 4 + 16) * KIB,
        };
        assert_eq!(memory, expected);
        let resident: u64 = mappings.iter().map(|mapping| mapping.resident).sum();
        assert_eq!(memory.rss_bytes(), resident);
    }

    #[test]
    fn stacks_count_as_heap_unless_every_one_is_known() {
        let mappings = mappings_of(SMAPS).unwrap();
        // One runs on memory without a guard page, as coroutines may.
        let unguarded = 0x7f00_0038_0000;
        for pointers in [None, Some(&[MAIN, THREAD, unguarded][..])] {
            let memory = told_apart(&mappings, pointers);
            assert_eq!(memory.stack_bytes, None, "{pointers:?}");
            assert_eq!(memory.heap_bytes, (4 + 100 + 64 + 12 + 20) * KIB);
        }
    }

    #[test]
    fn a_stack_that_the_kernel_names_needs_no_guard() {
        let smaps = "7f0000300000-7f0000400000 rw-p 00000000 00:00 0 [anon:stack:77]\nRss: 8 kB\nAnonymous: 8 kB\n";
        let memory = told_apart(&mappings_of(smaps).unwrap(), Some(&[0x7f00_0030_1000]));
        assert_eq!((memory.heap_bytes, memory.stack_bytes), (0, Some(8 * KIB)));
    }

    #[test]
    fn other_text_is_no_smaps() {
        assert_eq!(mappings_of("Rss: 8 kB\n"), None);
        assert_eq!(mappings_of("7f00 rw-p\n"), None);
        assert_eq!(mappings_of(""), Some(vec![]));
    }

    #[test]
    fn a_status_has_the_sums() {
        let status = "Name:\tx\nVmRSS:\t  600 kB\nRssAnon:\t  400 kB\nRssFile:\t  190 kB\nRssShmem:\t   10 kB\n";
        let memory = of_status(status).unwrap();
        assert_eq!(memory.heap_bytes, 400 * KIB);
        assert_eq!((memory.stack_bytes, memory.file_bytes), (None, 200 * KIB));
        assert_eq!(of_status("Name:\tx\n"), None);
    }

    #[test]
    fn a_sleeping_thread_has_a_stack_pointer() {
        let sleeping =
            "232 0x3 0x7f46b22ac000 0x20 0xffffffff 0x0 0x8 0x7fff5ae864f8 0x7f46b24272ad\n";
        assert_eq!(stack_pointer(sleeping), Some(0x7fff_5ae8_64f8));
        assert_eq!(
            stack_pointer("-1 0x7fff5ae864f8 0x7f46b24272ad\n"),
            Some(0x7fff_5ae8_64f8)
        );
        assert_eq!(stack_pointer("running\n"), None);
    }

    #[test]
    fn memory_of_tcp_is_in_pages() {
        let text =
            "sockets: used 22\nTCP: inuse 3 orphan 0 tw 0 alloc 3 mem 214\nUDP: inuse 0 mem 7\n";
        assert_eq!(tcp_pages(text), Some(214));
        assert_eq!(tcp_pages("TCP: inuse 3\nUDP: inuse 0 mem 7\n"), None);
    }

    #[test]
    fn memory_of_this_process_grows_with_its_heap() {
        let own = [std::process::id()];
        let before = resident_memory(&own).unwrap();
        // Large beside what the tests next to this one free meanwhile.
        let kept = vec![1_u8; 256 << 20];
        let after = resident_memory(&own).unwrap();
        let grown = after.heap_bytes - before.heap_bytes;
        assert!(grown > 240 << 20, "{grown} of {}", kept.len());
        assert!(before.file_bytes > 100 * KIB, "{before:?}");
        assert!(resident_memory(&[]).is_err());
        assert!(resident_memory(&[u32::MAX]).is_err());
    }
}
