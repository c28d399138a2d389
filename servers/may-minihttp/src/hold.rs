//! Holding all of may's worker threads still for a moment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use may::coroutine::Builder;
use may::go;

/// Calls `look` while each of may's `workers` threads is kept inside a coroutine of
/// ours, so that none is in the middle of a connection's: what a connection's
/// coroutine does between two waits, such as calling the service and writing the
/// answer, is then either all done or not begun.
///
/// Without effect where the threads can't all be had within `limit`; they are let go
/// then, as they are when `look` returns.
pub(crate) fn with_workers_held(workers: usize, limit: Duration, look: impl FnOnce()) {
    let gate = Arc::new(Gate::default());
    for id in 0..workers {
        let gate = Arc::clone(&gate);
        // The id chooses the thread. Coroutines can be stolen by another, but a thread
        // that is held steals nothing, so as many held coroutines are as many threads.
        if go!(Builder::new().id(id), move || gate.pass()).is_err() {
            break;
        }
    }
    if gate.wait_for(workers, limit) {
        look();
    }
    gate.open();
}

/// Coroutines wait before it, and keep their threads while they do: it is made of the
/// standard library's locks, which block the thread, not of may's.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: usize,
    open: bool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.lock();
        state.held += 1;
        self.changed.notify_all();
        while !state.open {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether `count` were held before `limit` was over.
    fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while state.held < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_coroutine_runs_while_the_workers_are_held() {
        may::config().set_workers(2).set_worker_pin(false);
        let steps = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..8)
            .map(|_| {
                let (steps, stop) = (Arc::clone(&steps), Arc::clone(&stop));
                go!(move || while !stop.load(Ordering::SeqCst) {
                    steps.fetch_add(1, Ordering::SeqCst);
                    may::coroutine::yield_now();
                })
            })
            .collect();

        let mut looks = 0;
        for _ in 0..100 {
            with_workers_held(2, Duration::from_secs(1), || {
                looks += 1;
                let before = steps.load(Ordering::SeqCst);
                for _ in 0..100 {
                    thread::yield_now();
                }
                assert_eq!(steps.load(Ordering::SeqCst), before);
            });
        }
        stop.store(true, Ordering::SeqCst);
        for coroutine in busy {
            coroutine.join().unwrap();
        }
        assert!(looks > 0, "the workers were never held");
    }
}
