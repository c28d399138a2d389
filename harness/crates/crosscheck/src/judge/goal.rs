//! The goals of the harness's load generator, and whether it meets them.

use serde::Serialize;

/// Limits of CPU time per request relative to another tool: ours, theirs, limit.
const CPU: [(&str, &str, f64); 4] = [
    ("epoll", "wrk", 0.85),
    ("io_uring", "wrk", 0.75),
    ("epoll", "oha", 0.65),
    ("io_uring", "oha", 0.65),
];
/// Limits of system calls per request: I/O backend, limit.
const CALLS: [(&str, f64); 1] = [("epoll", 2.1)];
/// Limit of the p99 send lag, nanoseconds, up to [`LAG_RATE`] per thread.
const LAG_NS: f64 = 50_000.0;
const LAG_RATE: f64 = 30_000.0;
/// Largest error of a quantile of known delays, as a share of it; or [`CLOSE_NS`], if larger.
const CLOSE: f64 = 0.02;
const CLOSE_NS: f64 = 20_000.0;
/// Largest error of a quantile if the server stalls, as a share of it.
const CLOSE_TO_STALL: f64 = 0.05;

/// A goal and whether it was met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Goal {
    /// The limit.
    pub most: f64,
    /// Whether the value is within the limit.
    pub met: bool,
    /// The excess over the limit, as a share of the limit; 0 if met.
    pub over: f64,
}

impl Goal {
    fn of(value: f64, most: f64) -> Self {
        Self {
            most,
            met: value <= most,
            over: (value / most - 1.0).max(0.0),
        }
    }

    /// For a ratio of CPU time per request.
    pub fn cpu(ours: &str, theirs: &str, ratio: f64) -> Option<Self> {
        let mut goals = CPU.iter();
        let goal = goals.find(|goal| (goal.0, goal.1) == (ours, theirs))?;
        Some(Self::of(ratio, goal.2))
    }

    /// For system calls per request.
    pub fn calls(tool: &str, per_request: f64) -> Option<Self> {
        let goal = CALLS.iter().find(|goal| goal.0 == tool)?;
        Some(Self::of(per_request, goal.1))
    }

    /// For the 99th percentile of the send lag at a rate on one thread.
    pub fn send_lag(rate_per_s: f64, p99_ns: f64) -> Option<Self> {
        (rate_per_s <= LAG_RATE).then(|| Self::of(p99_ns, LAG_NS))
    }

    /// For a latency that is known.
    pub fn close(delay: &str, known_ns: f64, measured_ns: f64) -> Self {
        let most = match delay.starts_with("stall") {
            true => known_ns * CLOSE_TO_STALL,
            false => (known_ns * CLOSE).max(CLOSE_NS),
        };
        Self::of((measured_ns - known_ns).abs(), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_by_how_much_it_is_missed() {
        let met = Goal::cpu("epoll", "wrk", 0.85).unwrap();
        assert!(met.met && met.over == 0.0);
        let missed = Goal::cpu("io_uring", "wrk", 0.9).unwrap();
        assert!(!missed.met && (missed.over - 0.2).abs() < 1e-9);
        assert_eq!(Goal::cpu("epoll", "hey", 0.1), None);
        assert!(Goal::send_lag(30_000.0, 50_000.0).unwrap().met);
        assert_eq!(Goal::send_lag(60_000.0, 1.0), None);
    }

    #[test]
    fn closeness_is_by_share_or_by_time() {
        assert!(Goal::close("constant:10ms", 1e7, 1.019e7).met);
        assert!(!Goal::close("constant:10ms", 1e7, 0.979e7).met);
        assert!(Goal::close("exponential:1ms", 100_000.0, 119_000.0).met);
        assert!(Goal::close("stall:1000ms:5000ms", 9.5e8, 9.9e8).met);
        assert!(!Goal::close("stall:1000ms:5000ms", 9.5e8, 1.01e9).met);
    }
}
