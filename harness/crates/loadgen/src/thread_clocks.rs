//! What the calling thread has used: CPU time, and time in which it was ready to run but had no CPU.

use std::fs::File;
use std::io::Read;

use super::ThreadTime;
use super::clock::thread_cpu;
use super::recorder::Nanos;

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
            cpu: thread_cpu(),
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
    fn the_second_number_is_the_wait() {
        assert_eq!(parse("1000 250 3\n"), Some(250));
        assert_eq!(parse("0 0 0\n"), None);
        assert_eq!(parse("12 7"), None);
        assert_eq!(parse(""), None);
    }
}
