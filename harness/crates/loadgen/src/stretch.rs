//! The last stretch before a send time, in which the thread no longer sleeps.
//!
//! A sleep ends late: by some microseconds on bare metal, by hundreds where the CPU is virtual and its
//! host has to wake it. So the stretch is as long as sleeps have overrun of late, and shrinks
//! while time passes without that.

use super::recorder::Nanos;

/// However punctual sleeps are.
const LEAST: Nanos = 60_000;
/// However late they are: such a thread has lost its CPU to another.
const MOST: Nanos = 1_000_000;
/// In so long it shrinks to 1/e.
const FORGET: Nanos = 1_000_000_000;

/// It is shortened in steps of so much time, which whole nanoseconds can express.
const STEP: Nanos = 1_000_000;

/// How long before a send time the thread is to be awake.
#[derive(Debug)]
pub(super) struct Stretch {
    length: Nanos,
    /// Time that has passed since it was shortened.
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

    /// A sleep ended by so much after its time.
    pub(super) fn overslept(&mut self, by: Nanos) {
        self.length = self.length.max(by.min(MOST));
    }

    /// Time went by.
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
        // A shorter one takes nothing back.
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
