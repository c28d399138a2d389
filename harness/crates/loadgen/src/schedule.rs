//! When each request is meant to be sent.
//!
//! Send times have a closed form and are never accumulated. Let `Λ(t)` be the number of requests due in the
//! first `t` seconds, the integral of the rate. Then the `n`-th request is due at `Λ⁻¹(n)`.
//!
//! - At a constant rate `r` that is `n / r`.
//! - In a stage in which the rate goes from `a` to `b` within `L` seconds, `Λ` grows by
//!   `a t + (b - a) t² / 2L`, a parabola whose inverse the quadratic formula gives.
//!
//! Request `k` of connection `c` of `C` is number `k * C + c`, which at a constant rate is
//! `(k + phase) / (r / C)` with the phase `c / C`: connections are staggered, each has a
//! schedule of its own, and together they send at even steps.

use super::{Pace, RateStage};

/// The send times of all connections; empty in a closed loop.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    connections: u64,
    curve: Curve,
}

/// `Λ⁻¹`.
#[derive(Debug, Clone)]
enum Curve {
    /// Nothing is ever due.
    None,
    /// Nanoseconds between requests over all connections.
    Constant { step_ns: f64 },
    /// In order, without gaps.
    Stages(Box<[Piece]>),
}

/// One stage. Times are in seconds, rates per second.
#[derive(Debug, Clone)]
struct Piece {
    start: f64,
    length: f64,
    /// Requests due before its start, and before its end.
    before: f64,
    after: f64,
    rate: f64,
    /// Growth of the rate per second.
    slope: f64,
}

impl Schedule {
    pub(crate) fn new(pace: &Pace, connections: usize) -> Self {
        Self {
            connections: connections as u64,
            curve: match pace {
                // Given times belong to requests, not to connections.
                Pace::Closed | Pace::Times(_) => Curve::None,
                Pace::Rate { per_second } => Curve::Constant {
                    step_ns: 1e9 / per_second,
                },
                Pace::Stages(stages) => Curve::Stages(pieces(stages)),
            },
        }
    }

    /// When request `k` of `connection` is due, in nanoseconds after the start; `u64::MAX` means never.
    pub(crate) fn due_ns(&self, connection: u64, k: u64) -> u64 {
        self.at_ns((k * self.connections + connection) as f64)
    }

    /// When `count` requests were due, in nanoseconds after the start; `u64::MAX` means never.
    pub(crate) fn at_ns(&self, count: f64) -> u64 {
        match &self.curve {
            Curve::None => u64::MAX,
            Curve::Constant { step_ns } => (count * step_ns).round() as u64,
            Curve::Stages(pieces) => {
                // A stage in which nothing is due ends where it began, and is skipped.
                let index = pieces.partition_point(|piece| piece.after <= count);
                let piece = pieces.get(index);
                piece.map_or(u64::MAX, |piece| (piece.at(count) * 1e9).round() as u64)
            }
        }
    }
}

impl Piece {
    /// The second in which `count` requests were due, for a count it reaches.
    ///
    /// Solves `slope t² / 2 + rate t = n` for `t` in the form that doesn't divide by the slope, which may be 0,
    /// and doesn't subtract nearly equal numbers (Press et al., *Numerical Recipes*, section 5.6).
    fn at(&self, count: f64) -> f64 {
        let n = count - self.before;
        if n <= 0.0 {
            return self.start;
        }
        // Rounding can bring it below 0 at the end of a ramp down to 0.
        let rate_then = (self.rate * self.rate + 2.0 * self.slope * n).max(0.0);
        let t = 2.0 * n / (self.rate + rate_then.sqrt());
        self.start + t.min(self.length)
    }
}

fn pieces(stages: &[RateStage]) -> Box<[Piece]> {
    let (mut start, mut before) = (0.0, 0.0);
    let piece = |stage: &RateStage| {
        let length = stage.length.as_secs_f64();
        let piece = Piece {
            start,
            length,
            before,
            after: before + stage.requests(),
            rate: stage.from,
            slope: (stage.to - stage.from) / length,
        };
        start += length;
        before = piece.after;
        piece
    };
    stages.iter().map(piece).collect()
}

/// The number of requests one thread may send; the first threads get the remainder.
pub(crate) fn share(limit: Option<u64>, (thread, threads): (usize, usize)) -> u64 {
    limit.map_or(u64::MAX, |limit| {
        let (thread, threads) = (thread as u64, threads as u64);
        limit / threads + u64::from(thread < limit % threads)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        Schedule::new(&Pace::Rate { per_second }, connections)
    }

    fn stages(stages: &[(u64, f64, f64)]) -> Vec<RateStage> {
        let stage = |&(ms, from, to): &(u64, f64, f64)| RateStage {
            length: Duration::from_millis(ms),
            from,
            to,
        };
        stages.iter().map(stage).collect()
    }

    fn staged(of: &[(u64, f64, f64)]) -> Schedule {
        Schedule::new(&Pace::Stages(stages(of)), 1)
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
        // Each step would lose a third of a nanosecond; after an hour the sum would be off.
        let hour = 3_600_000_000_000;
        assert_eq!(rate(30_000.0, 64).at_ns(30_000.0 * 3600.0), hour);
        let steps = staged(&[(1_800_000, 30_000.0, 30_000.0), (3_600_000, 7.0, 7.0)]);
        assert_eq!(steps.due_ns(0, 30_000 * 1800), hour / 2);
        assert_eq!(steps.due_ns(0, 30_000 * 1800 + 7 * 1800), hour);
    }

    #[test]
    fn a_closed_loop_has_no_send_times() {
        let schedule = Schedule::new(&Pace::Closed, 4);
        assert_eq!(schedule.due_ns(0, 0), u64::MAX);
    }

    #[test]
    fn a_ramp_is_the_inverse_of_a_parabola() {
        // From 0 up by 100/s each second: 50 t² are due after t seconds.
        let up = staged(&[(10_000, 0.0, 1000.0)]);
        for (n, seconds) in [
            (0, 0.0),
            (50, 1.0),
            (200, 2.0),
            (1250, 5.0),
            (4999, 9.998_999),
        ] {
            let at = up.due_ns(0, n) as f64 / 1e9;
            assert!((at - seconds).abs() < 1e-6, "{n}: {at}");
        }
        assert_eq!(up.due_ns(0, 5000), u64::MAX);
        // And down again: time reversed.
        let down = staged(&[(10_000, 1000.0, 0.0)]);
        for n in [1, 50, 1250, 4999, 5000] {
            let mirrored = 10_000_000_000 - up.due_ns(0, 5000 - n);
            assert!(
                down.due_ns(0, n).abs_diff(mirrored) <= 2 || n == 5000,
                "{n}"
            );
        }
    }

    #[test]
    fn a_stage_at_rate_0_is_a_pause() {
        let paused = staged(&[(1000, 10.0, 10.0), (5000, 0.0, 0.0), (1000, 10.0, 10.0)]);
        assert_eq!(paused.due_ns(0, 9), 900_000_000);
        assert_eq!(paused.due_ns(0, 10), 6_000_000_000);
        assert_eq!(paused.due_ns(0, 19), 6_900_000_000);
        assert_eq!(paused.due_ns(0, 20), u64::MAX);
    }

    proptest! {
        #[test]
        fn as_many_are_due_as_the_rate_integrates_to(
            of in prop::collection::vec((1_u64..20_000, 0.0_f64..5000.0, 0.0_f64..5000.0), 1..6)
        ) {
            let schedule = staged(&of);
            let all = stages(&of);
            let total: f64 = all.iter().map(RateStage::requests).sum();
            let mut last = 0;
            for n in 0..(total.floor() as u64).min(2000) {
                let at = schedule.due_ns(0, n);
                prop_assert!(at >= last);
                last = at;
                // The integral of the rate up to there, stage by stage.
                let (mut left, mut due) = (at as f64 / 1e9, 0.0);
                for stage in &all {
                    let length = stage.length.as_secs_f64();
                    let t = left.clamp(0.0, length);
                    due += stage.from * t + (stage.to - stage.from) * t * t / (2.0 * length);
                    left -= length;
                }
                // A nanosecond at 5,000/s is 5e-6 of a request.
                prop_assert!((due - n as f64).abs() < 1e-4, "{n} at {at}: {due}");
            }
            prop_assert_eq!(schedule.at_ns(total), u64::MAX);
        }
    }
}
