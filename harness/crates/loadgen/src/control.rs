//! What a caller shares with a drive while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The measured window of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its start, after the warm-up.
    pub start: Instant,
    /// Its planned end; a stop brings it forward, see [`Control::is_over`].
    pub end: Instant,
    /// [`Self::start`] as Unix nanoseconds.
    pub start_unix_ns: i64,
    /// [`Self::end`] as Unix nanoseconds.
    pub end_unix_ns: i64,
}

/// Shared between one drive and its caller: a stop flag, the [`Window`], and live counters.
///
/// Share it by reference (scoped threads) or in an [`Arc`]. One `Control` serves one drive.
#[derive(Debug, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    phase: Mutex<Phase>,
    changed: Condvar,
    requests: AtomicU64,
    errors: AtomicU64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Phase {
    window: Option<Window>,
    over: bool,
}

impl Control {
    /// The drive ends early, within 100 ms, once `stop` is true.
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// Ends the drive within 100 ms.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the drive was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The measured window; known from before the warm-up.
    pub fn window(&self) -> Option<Window> {
        self.phase().window
    }

    /// Waits until the window is known; `None` if the drive ended, or `limit` passed, before.
    pub fn wait_window(&self, limit: Duration) -> Option<Window> {
        self.wait_while(limit, |p| p.window.is_none() && !p.over)
            .window
    }

    /// Whether the drive has ended, successfully or not.
    pub fn is_over(&self) -> bool {
        self.phase().over
    }

    /// Waits up to `limit` until the drive has ended; returns whether it has.
    pub fn wait_over(&self, limit: Duration) -> bool {
        self.wait_while(limit, |p| !p.over).over
    }

    /// Valid responses so far, warm-up included, about 10 ms behind. For a progress line.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Errors so far, warm-up included, about 10 ms behind. For a progress line.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn publish(&self, window: Window) {
        self.phase().window = Some(window);
        self.changed.notify_all();
    }

    pub(crate) fn end(&self) {
        self.phase().over = true;
        self.changed.notify_all();
    }

    /// Adds to both counts, as workers do.
    pub fn count(&self, requests: u64, errors: u64) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.errors.fetch_add(errors, Ordering::Relaxed);
    }

    fn wait_while(&self, limit: Duration, waits: impl Fn(&Phase) -> bool) -> Phase {
        let waited = self
            .changed
            .wait_timeout_while(self.phase(), limit, |phase| waits(phase));
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn phase(&self) -> std::sync::MutexGuard<'_, Phase> {
        // A panic while it was held can't have left it half written.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
