//! Stopping so that no request that has arrived is lost.
//!
//! hyper's graceful shutdown closes a connection it holds for idle without looking
//! whether a request already waits in the socket (hyper issue 3792). So it is put off by
//! two short intervals: in the first all connections go on as before, and what had
//! arrived is answered; in the second each answer carries `Connection: close`, so that a
//! client that always sends its next request is told before its connection goes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::response::Answer;

/// Long beside the time a request takes to be read and answered, short beside [`GRACE`].
const INTERVAL: Duration = Duration::from_millis(100);

/// How long open connections may hold up the exit after the two intervals: the contract
/// allows 5 s in all.
const GRACE: Duration = Duration::from_secs(3);

static LAST_ANSWERS: AtomicBool = AtomicBool::new(false);

/// SIGTERM and SIGINT, caught from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Must be called in the context of a runtime.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves when one of them comes.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The two intervals; resolves when idle connections may be closed.
pub(crate) async fn answer_what_arrived() {
    sleep(INTERVAL).await;
    LAST_ANSWERS.store(true, Ordering::Relaxed);
    sleep(INTERVAL).await;
}

/// Resolves when connections that are still open have had their time.
pub(crate) async fn grace() {
    sleep(GRACE).await;
}

/// Tells the client, in the last answers, that the connection ends with this one.
pub(crate) fn mark_last_answer(mut answer: Answer) -> Answer {
    if LAST_ANSWERS.load(Ordering::Relaxed) {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    answer
}
