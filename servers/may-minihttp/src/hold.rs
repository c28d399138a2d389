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
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Coroutines that are at work between a read and a write.
    static AT_WORK: AtomicUsize = AtomicUsize::new(0);

    /// Echoes byte by byte, and takes its time between reading and writing.
    fn echo(mut stream: may::net::TcpStream) {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            AT_WORK.fetch_add(1, Ordering::SeqCst);
            for _ in 0..10 {
                thread::yield_now();
            }
            AT_WORK.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(&byte).is_err() {
                break;
            }
        }
    }

    #[test]
    fn no_coroutine_is_at_work_while_the_workers_are_held() {
        may::config().set_workers(2).set_worker_pin(false);
        let listener = may::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        go!(move || for stream in listener.incoming() {
            let stream = stream.unwrap();
            go!(move || echo(stream));
        });
        let stop = AtomicBool::new(false);
        let looks = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    while !stop.load(Ordering::SeqCst) {
                        stream.write_all(b"x").unwrap();
                        stream.read_exact(&mut [0]).unwrap();
                    }
                });
            }
            let mut looks = Vec::new();
            for _ in 0..100 {
                with_workers_held(2, Duration::from_secs(1), || {
                    let at_work = (0..100).map(|_| {
                        thread::yield_now();
                        AT_WORK.load(Ordering::SeqCst)
                    });
                    looks.push(at_work.max());
                });
            }
            stop.store(true, Ordering::SeqCst);
            looks
        });
        assert!(looks.len() > 50, "held only {} times of 100", looks.len());
        assert!(looks.iter().all(|at_work| *at_work == Some(0)), "{looks:?}");
    }
}
