//! Stopping so that no request that has arrived is lost.
//!
//! hyper's graceful shutdown, on which salvo's rests, closes a connection it holds for
//! idle without looking whether a request already waits in the socket (hyper issue
//! 3792). So it is put off by two short intervals: in the first all goes on as before,
//! and what had arrived is answered; in the second each answer carries
//! `Connection: close`, so that a client that always sends its next request is told
//! before its connection goes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use salvo::http::header::{CONNECTION, HeaderValue};
use salvo::prelude::*;
use salvo::server::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// Long beside the time a request takes to be read and answered, short beside [`GRACE`].
const INTERVAL: Duration = Duration::from_millis(100);

/// How long open connections may hold up the exit after the two intervals.
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
}

/// Waits for a signal, then stops the server.
pub(crate) async fn on_signal(mut signals: Signals, server: ServerHandle) {
    tokio::select! {
        _ = signals.terminate.recv() => {}
        _ = signals.interrupt.recv() => {}
    }
    sleep(INTERVAL).await;
    LAST_ANSWERS.store(true, Ordering::Relaxed);
    sleep(INTERVAL).await;
    server.stop_graceful(GRACE);
}

/// Tells the client, in the last answers, that the connection ends with this one.
#[handler]
pub(crate) async fn mark_last_answer(res: &mut Response) {
    if LAST_ANSWERS.load(Ordering::Relaxed) {
        let close = HeaderValue::from_static("close");
        res.headers_mut().insert(CONNECTION, close);
    }
}
