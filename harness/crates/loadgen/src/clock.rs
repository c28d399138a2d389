//! The clock shared by all threads of a drive, and those of each thread.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::ThreadTime;
use super::recorder::Nanos;

/// Counts from its start. It is read twice per request, so it reads the same clock as [`Instant`] but skips the
/// conversion to seconds and [`Duration`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    instant: Instant,
    zero: Nanos,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            zero: monotonic(),
            instant: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        monotonic() - self.zero
    }

    /// The instant at which it reads `time`, to a microsecond.
    pub(crate) fn instant(&self, time: Nanos) -> Instant {
        self.instant + Duration::from_nanos(time)
    }
}

fn monotonic() -> Nanos {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a thread has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadClocks {
    cpu: Nanos,
    wait: Option<Nanos>,
    wall: Nanos,
}

impl ThreadClocks {
    /// Of the calling thread, at this time of the common clock.
    pub(crate) fn at(wall: Nanos) -> Self {
        Self {
            cpu: read(ClockId::ThreadCPUTime),
            wait: run_delay_ns(),
            wall,
        }
    }

    /// Adds what was used since `start`.
    pub(crate) fn add_since(self, start: Self, time: &mut ThreadTime) {
        time.cpu_ns += self.cpu.saturating_sub(start.cpu);
        time.wall_ns += self.wall.saturating_sub(start.wall);
        let waited = self.wait.zip(start.wait);
        time.wait_ns =
            waited.map(|(end, start)| time.wait_ns.unwrap_or(0) + end.saturating_sub(start));
    }
}

/// Time this thread has waited for a CPU since it began, nanoseconds.
///
/// This is the second number of `/proc/thread-self/schedstat` (`Documentation/scheduler/sched-stats.rst`);
/// absent if the kernel was built without it. CPU steal is not included.
fn run_delay_ns() -> Option<u64> {
    // Three numbers of at most 20 digits; on the stack, because the load generator must not allocate.
    let mut buffer = [0_u8; 64];
    let mut file = File::open("/proc/thread-self/schedstat").ok()?;
    let length = file.read(&mut buffer).ok()?;
    parse(std::str::from_utf8(buffer.get(..length)?).ok()?)
}

/// The numbers are: time on a CPU, time waiting for one, and how often the thread got one.
fn parse(text: &str) -> Option<u64> {
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    let mut next = || numbers.next().flatten();
    let (_, waited, turns): (u64, u64, u64) = (next()?, next()?, next()?);
    // A thread that reads this has run; a kernel that doesn't count prints three zeros.
    (turns > 0).then_some(waited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_the_clock_of_instants() {
        let clock = Clock::start();
        let mut last = 0;
        for _ in 0..1000 {
            let before = Instant::now();
            let now = clock.now();
            let after = Instant::now();
            assert!(now >= last);
            // `start` reads both clocks one after the other, so this one is ahead by that time.
            assert!(clock.instant(now) >= before);
            assert!(clock.instant(now) < after + Duration::from_secs(10));
            last = now;
        }
    }

    #[test]
    fn the_second_number_is_the_wait() {
        assert_eq!(parse("1000 250 3\n"), Some(250));
        assert_eq!(parse("0 0 0\n"), None);
        assert_eq!(parse("12 7"), None);
        assert_eq!(parse(""), None);
    }
}
