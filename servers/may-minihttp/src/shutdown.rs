//! Stopping without dropping a request or cutting off an answer; the framework has no
//! shutdown of its own. The README says what this does and does not guarantee.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use may::coroutine::JoinHandle;

use crate::hold;
use crate::sockets::Queues;

/// How long clients may take to finish; the contract gives 5 s for all of it.
const LIMIT: Duration = Duration::from_secs(3);
/// How much of that connections may take that wait to be accepted.
const ACCEPT_LIMIT: Duration = Duration::from_millis(500);
/// How long to try to hold the workers. They come at once unless a thread was
/// kept from running, or stole the coroutine meant for another.
const HOLD_LIMIT: Duration = Duration::from_millis(100);
/// How often to look.
const PERIOD: Duration = Duration::from_millis(2);

static BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether clients should be told to send no more on their connection.
pub(crate) fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// Stops accepting, waits until every request that has arrived is answered and every
/// answer received, but not longer than [`LIMIT`], and ends the process with status 0.
pub(crate) fn run(acceptor: &JoinHandle<()>, port: u16, workers: usize) -> ! {
    let begin = Instant::now();
    BEGUN.store(true, Ordering::Relaxed);

    // Closing the listener would reset the connections still in its queue.
    while begin.elapsed() < ACCEPT_LIMIT
        && Queues::read(port).is_ok_and(|queues| queues.unaccepted > 0)
    {
        thread::sleep(PERIOD);
    }
    stop_accepting(acceptor);

    while begin.elapsed() < LIMIT {
        if acceptor.is_done() && is_quiet(port) {
            // Between two looks a worker may have taken up a request, or be about to
            // write an answer. So look again while none runs, and end it there.
            hold::with_workers_held(workers, HOLD_LIMIT, || {
                if is_quiet(port) {
                    exit(0);
                }
            });
        }
        thread::sleep(PERIOD);
    }
    hold::with_workers_held(workers, HOLD_LIMIT, || exit(0));
    exit(0)
}

/// Whether the kernel holds nothing for our connections: all that came has been read,
/// all that was written received. Where that can't be known, it is not so.
fn is_quiet(port: u16) -> bool {
    Queues::read(port).is_ok_and(Queues::are_empty)
}

/// Unwinds the framework's listening coroutine where it waits, which closes its socket.
fn stop_accepting(acceptor: &JoinHandle<()>) {
    // SAFETY: the coroutine is made to unwind at its next wait, dropping what it owns:
    // the listener and a `Service`, both of which may be dropped at any time.
    #[expect(
        unsafe_code,
        reason = "the framework has no other way to stop accepting"
    )]
    unsafe {
        acceptor.coroutine().cancel();
    }
}
