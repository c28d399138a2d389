//! One process, read through `/proc`.
//!
//! Formats are those of proc(5) and the kernel's `Documentation/filesystems/proc.rst`.

use std::fs::{self, File};
use std::iter::Sum;
use std::ops::Add;
use std::os::unix::fs::FileExt;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A process, held by an open `/proc/PID/stat`.
///
/// The descriptor belongs to the process, not to its id: once the process is gone, reading it fails with
/// ESRCH, even if the id was reused. So reading it last tells whether what was read by id before belongs to
/// the right process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    stat: File,
    clock: Option<ClockId>,
}

/// The used fields of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stat {
    pub(super) zombie: bool,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    /// Of its own threads.
    pub(super) own: Ticks,
    /// Of its ended children that it has waited for, and of theirs.
    pub(super) waited: Ticks,
    pub(super) threads: u32,
    pub(super) rss_pages: u64,
}

/// CPU time in clock ticks, each part rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ticks {
    pub(super) user: u64,
    pub(super) system: u64,
}

impl Ticks {
    pub(super) fn sum_ns(self) -> u64 {
        ticks_ns(self.user + self.system)
    }
}

/// Clock ticks as nanoseconds; practically every Linux has 100 per second.
pub(super) fn ticks_ns(ticks: u64) -> u64 {
    ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second())
}

impl Add for Ticks {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

impl Sum for Ticks {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Self::add)
    }
}

/// Values that need a look at every thread and descriptor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Detail {
    pub(super) peak_rss_bytes: Option<u64>,
    pub(super) voluntary_switches: Option<u64>,
    pub(super) involuntary_switches: Option<u64>,
    pub(super) descriptors: Option<u32>,
    pub(super) sockets: Option<u32>,
}

impl Process {
    /// `None` if there is no such process.
    pub(super) fn open(pid: u32) -> Option<Self> {
        let stat = File::open(format!("/proc/{pid}/stat")).ok()?;
        let raw = i32::try_from(pid).ok()?;
        let clock = clock_getcpuclockid(Pid::from_raw(raw)).ok();
        Some(Self { pid, stat, clock })
    }

    /// `None` once the process is gone.
    pub(super) fn stat(&self) -> Option<Stat> {
        // 52 numbers of at most 20 digits and a name of at most 64 bytes.
        let mut buffer = [0_u8; 2048];
        let length = self.stat.read_at(&mut buffer, 0).ok()?;
        Stat::parse(buffer.get(..length)?)
    }

    /// CPU time of all threads, ended ones included, nanoseconds. For a running thread it may lag by up to a
    /// tick of the scheduler (1 to 10 ms).
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        let time = clock_gettime(self.clock?).ok()?;
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        let rest = u64::try_from(time.tv_nsec()).ok()?;
        Some(seconds * 1_000_000_000 + rest)
    }

    pub(super) fn detail(&self) -> Detail {
        let (voluntary, involuntary) = self.switches().unzip();
        let (descriptors, sockets) = self.descriptors().unzip();
        Detail {
            peak_rss_bytes: self.peak_rss_bytes(),
            voluntary_switches: voluntary,
            involuntary_switches: involuntary,
            descriptors,
            sockets,
        }
    }

    fn peak_rss_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let kibibytes = field(&status, "VmHWM:")?;
        Some(kibibytes * 1024)
    }

    /// Voluntary and involuntary switches; the process's own `status` has only those of its first thread.
    fn switches(&self) -> Option<(u64, u64)> {
        let mut sum: Option<(u64, u64)> = None;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))
            .ok()?
            .flatten()
        {
            // A thread may end between listing and reading.
            let Ok(status) = fs::read_to_string(task.path().join("status")) else {
                continue;
            };
            let voluntary = field(&status, "voluntary_ctxt_switches:")?;
            let involuntary = field(&status, "nonvoluntary_ctxt_switches:")?;
            let (before, before_not) = sum.unwrap_or_default();
            sum = Some((before + voluntary, before_not + involuntary));
        }
        sum
    }

    /// All descriptors, and those that are sockets.
    fn descriptors(&self) -> Option<(u32, u32)> {
        let mut all = 0;
        let mut sockets = 0;
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid))
            .ok()?
            .flatten()
        {
            all += 1;
            sockets += u32::from(socket_inode(&entry).is_some());
        }
        Some((all, sockets))
    }

    pub(super) fn socket_inodes(&self) -> Option<Vec<u64>> {
        socket_inodes(self.pid)
    }
}

/// The inodes of a process's sockets; `None` if it is gone or belongs to another user.
pub(super) fn socket_inodes(pid: u32) -> Option<Vec<u64>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(
        entries
            .flatten()
            .filter_map(|entry| socket_inode(&entry))
            .collect(),
    )
}

/// The link of a socket's descriptor is `socket:[INODE]`.
fn socket_inode(entry: &fs::DirEntry) -> Option<u64> {
    let target = fs::read_link(entry.path()).ok()?;
    let inode = target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?;
    inode.parse().ok()
}

/// The ids of all current processes, ascending.
pub(super) fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The number after a name at the start of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Stat {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok().or_else(|| {
            // Only the name can contain non-ASCII bytes.
            let name_end = text.iter().rposition(|byte| *byte == b')')?;
            str::from_utf8(text.get(name_end..)?).ok()
        })?;
        // The name may contain spaces and parentheses; it ends at the last parenthesis.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        // What follows starts at field 3 of proc(5); `nth` skips to the wanted one.
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?; // 4
        let group = fields.next()?.parse().ok()?; // 5
        let minor_faults = fields.nth(4)?.parse().ok()?; // 10
        let major_faults = fields.nth(1)?.parse().ok()?; // 12
        let mut ticks = |skipped| {
            let user = fields.nth(skipped)?.parse().ok()?;
            let system = fields.next()?.parse().ok()?;
            Some(Ticks { user, system })
        };
        let own = ticks(1)?; // 14, 15
        let waited = ticks(0)?; // 16, 17
        let threads = fields.nth(2)?.parse().ok()?; // 20
        let rss_pages = fields.nth(3)?.parse().ok()?; // 24
        Some(Self {
            zombie: matches!(state, "Z" | "X"),
            parent,
            group,
            minor_faults,
            major_faults,
            own,
            waited,
            threads,
            rss_pages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Stat, Ticks};

    const STAT: &str = "6723 (odd ) (name) R 1 42 41 34834 6723 1077936128 101 2 3 4 50 60 7 8 20 0 9 0 \
        130508 12345344 1100 18446744073709551615 1 1 0";

    #[test]
    fn members_are_those_of_proc_5() {
        let stat = Stat::parse(STAT.as_bytes()).unwrap();
        let expected = Stat {
            zombie: false,
            parent: 1,
            group: 42,
            minor_faults: 101,
            major_faults: 3,
            own: Ticks {
                user: 50,
                system: 60,
            },
            waited: Ticks { user: 7, system: 8 },
            threads: 9,
            rss_pages: 1100,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_name_need_not_be_text() {
        let mut text = STAT.as_bytes().to_vec();
        text[7] = 0xff;
        assert_eq!(Stat::parse(&text), Stat::parse(STAT.as_bytes()));
        assert_eq!(Stat::parse(b"6723 (cut"), None);
    }
}
