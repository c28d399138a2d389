//! How long a thread spins before a send time instead of sleeping.
//!
//! Sleeps end late: by some microseconds on bare metal, by hundreds on a virtual CPU that its host has to wake.
//! So this time is as long as sleeps have recently overrun, and shrinks while they don't.

use super::recorder::Nanos;

/// Minimum, however punctual sleeps are.
const LEAST: Nanos = 60_000;
/// Maximum: a thread that sleeps longer has lost its CPU to another.
const MOST: Nanos = 1_000_000;
/// Time in which it shrinks to 1/e.
const FORGET: Nanos = 1_000_000_000;

/// It is shortened after this much time, so that whole nanoseconds can express the change.
const STEP: Nanos = 1_000_000;

/// How long before a send time the thread should be awake.
#[derive(Debug)]
pub(super) struct Stretch {
    length: Nanos,
    /// Time since it was last shortened.
    passed: Nanos,
}

impl Default for Stretch {
    fn default() -> Self {
        Self {
            length: LEAST,
            passed: 0,
        }
    }
}

impl Stretch {
    pub(super) fn length(&self) -> Nanos {
        self.length
    }

    /// A sleep ended late by this much.
    pub(super) fn overslept(&mut self, by: Nanos) {
        self.length = self.length.max(by.min(MOST));
    }

    pub(super) fn passes(&mut self, time: Nanos) {
        self.passed += time;
        if self.passed >= STEP {
            let less = self.length * self.passed.min(FORGET) / FORGET;
            self.length = (self.length - less).max(LEAST);
            self.passed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_long_as_sleeps_overran_of_late() {
        let mut stretch = Stretch::default();
        stretch.overslept(5_000);
        assert_eq!(stretch.length(), LEAST);
        stretch.overslept(200_000);
        assert_eq!(stretch.length(), 200_000);
        // A shorter one changes nothing.
        stretch.overslept(100_000);
        assert_eq!(stretch.length(), 200_000);
        for _ in 0..FORGET / 1_000 {
            stretch.passes(1_000);
        }
        let e_th = 200_000.0 / std::f64::consts::E;
        let left = stretch.length() as f64;
        assert!((left - e_th).abs() < 0.05 * e_th, "{left}");
        stretch.passes(10 * FORGET);
        assert_eq!(stretch.length(), LEAST);
        stretch.overslept(Nanos::MAX);
        assert_eq!(stretch.length(), MOST);
    }
}
