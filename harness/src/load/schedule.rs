//! When each request is meant to be sent.
//!
//! Send times are a closed form, never accumulated: request `k` of connection `c` of `C` at a
//! rate over all connections of `r` is due at `(k * C + c) / r` seconds after the start, which
//! is `(k + phase) / (r / C)` with the phase `c / C`. So connections are staggered, each has a
//! schedule of its own, and together they send at even steps.

use super::Pace;

/// The send times of all connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    connections: u64,
    /// Nanoseconds from one request to the next over all connections; `None` in a closed loop.
    step_ns: Option<f64>,
}

impl Schedule {
    pub(crate) fn new(pace: Pace, connections: usize) -> Self {
        Self {
            connections: connections as u64,
            step_ns: match pace {
                Pace::Closed => None,
                Pace::Rate { per_second } => Some(1e9 / per_second),
            },
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.step_ns.is_some()
    }

    /// When request `k` of `connection` is due, nanoseconds after the start; never in a closed
    /// loop.
    pub(crate) fn due_ns(&self, connection: u64, k: u64) -> u64 {
        self.at(k * self.connections + connection)
    }

    /// How many requests of all connections are due before `ns` after the start.
    pub(crate) fn due_before(&self, ns: u64) -> u64 {
        let Some(step) = self.step_ns else { return 0 };
        // The division may be off by one; the closed form decides.
        let mut n = (ns as f64 / step) as u64;
        while self.at(n) < ns {
            n += 1;
        }
        while n > 0 && self.at(n - 1) >= ns {
            n -= 1;
        }
        n
    }

    /// How many requests of `connection` are due before `ns` after the start.
    pub(crate) fn due_before_on(&self, connection: u64, ns: u64) -> u64 {
        let all = self.due_before(ns);
        all.saturating_sub(connection).div_ceil(self.connections)
    }

    fn at(&self, index: u64) -> u64 {
        self.step_ns
            .map_or(u64::MAX, |step| (index as f64 * step).round() as u64)
    }
}

/// The requests one thread may send; the first ones take the remainder.
pub(crate) fn share(limit: Option<u64>, (thread, threads): (usize, usize)) -> u64 {
    limit.map_or(u64::MAX, |limit| {
        let (thread, threads) = (thread as u64, threads as u64);
        limit / threads + u64::from(thread < limit % threads)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_is_shared_out_whole() {
        for (limit, threads, shares) in [(7, 3, [3, 2, 2]), (2, 3, [1, 1, 0]), (9, 3, [3, 3, 3])] {
            assert_eq!(
                [0, 1, 2].map(|thread| share(Some(limit), (thread, threads))),
                shares
            );
        }
        assert_eq!(share(None, (1, 2)), u64::MAX);
    }

    fn rate(per_second: f64, connections: usize) -> Schedule {
        Schedule::new(Pace::Rate { per_second }, connections)
    }

    #[test]
    fn connections_are_staggered() {
        let schedule = rate(1000.0, 4);
        let due: Vec<u64> = (0..4).map(|c| schedule.due_ns(c, 0)).collect();
        assert_eq!(due, [0, 1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(schedule.due_ns(1, 2), 9_000_000);
    }

    #[test]
    fn send_times_do_not_drift() {
        // A third of a nanosecond is lost in each step; after an hour the sum would be off.
        let schedule = rate(30_000.0, 64);
        let last = schedule.due_before(3_600_000_000_000);
        assert_eq!(last, 30_000 * 3600);
        assert_eq!(schedule.at(last), 3_600_000_000_000);
    }

    #[test]
    fn a_closed_loop_has_no_send_times() {
        let schedule = Schedule::new(Pace::Closed, 4);
        assert_eq!(schedule.due_ns(0, 0), u64::MAX);
        assert_eq!(schedule.due_before(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn counts_agree_with_times(per_second in 0.5_f64..2e6, connections in 1_usize..300, ns in 0_u64..5_000_000_000) {
            let schedule = rate(per_second, connections);
            let n = schedule.due_before(ns);
            prop_assert!(schedule.at(n) >= ns);
            prop_assert!(n == 0 || schedule.at(n - 1) < ns);
            let each: u64 = (0..connections as u64).map(|c| schedule.due_before_on(c, ns)).sum();
            prop_assert_eq!(each, n);
            let k = schedule.due_before_on(0, ns);
            prop_assert!(schedule.due_ns(0, k) >= ns);
        }
    }
}
