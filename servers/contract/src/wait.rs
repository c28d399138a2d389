//! `GET /api/v1/wait`: the answer, and how long to wait before it. The waiting is the framework's.

use std::time::Duration;

use serde::Serialize;

/// A wait within its range, made by [`crate::WaitParams::validate`] alone, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wait {
    ms: u64,
}

impl Wait {
    pub(crate) fn of(ms: u64) -> Self {
        Self { ms }
    }

    /// How long the answer must wait, 0 to 1 s: with the runtime's timer, which blocks no worker.
    pub fn time(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// The same in milliseconds.
    pub fn ms(self) -> u64 {
        self.ms
    }
}
