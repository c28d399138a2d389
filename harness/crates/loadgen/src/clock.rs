//! The clock shared by all threads of a drive.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

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

pub(crate) fn thread_cpu() -> Nanos {
    read(ClockId::ThreadCPUTime)
}

fn monotonic() -> Nanos {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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
}
