//! Serves on `--workers` threads without an async runtime: each worker waits for events on connections of its
//! own. One more thread accepts, the main thread waits for a signal. The routes are in `routes.rs`. `http.rs`
//! takes the place of a framework's HTTP.

mod connection;
mod http;
mod routes;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use contract::{Flags, Store};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use connection::Connection;

/// Accepting fails mostly because descriptors have run out, which only time brings back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long unfinished responses may hold up the exit.
const GRACE: Duration = Duration::from_secs(3);

/// The event that says: look at the channel and at `stopping`.
const WAKE: Token = Token(usize::MAX);

/// How to reach a worker.
struct Worker {
    connections: Sender<TcpStream>,
    waker: Arc<Waker>,
}

fn main() -> io::Result<()> {
    let flags = Flags::read();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let listener = contract::bind(flags.addr);
    let store = Store::leak();
    let stopping = Arc::new(AtomicBool::new(false));
    let (mut workers, mut threads, mut wakers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..flags.workers.get() {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (connections, arriving) = channel();
        let stopping = Arc::clone(&stopping);
        threads.push(thread::spawn(move || {
            work(poll, &arriving, store, &stopping)
        }));
        wakers.push(Arc::clone(&waker));
        workers.push(Worker { connections, waker });
    }
    thread::spawn(move || accept(&listener, &workers));
    signals.forever().next();
    stopping.store(true, Ordering::Release);
    for waker in &wakers {
        waker.wake()?;
    }
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("a worker panicked"))??;
    }
    Ok(())
}

/// Gives each worker a connection in turn, for as long as the process lives.
fn accept(listener: &TcpListener, workers: &[Worker]) {
    for worker in workers.iter().cycle() {
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) => thread::sleep(ACCEPT_PAUSE),
            }
        };
        // They fail only if the client is gone already, or the worker: then the connection closes.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_nonblocking(true);
        let _ = worker.connections.send(TcpStream::from_std(stream));
        let _ = worker.waker.wake();
    }
}

/// Serves connections until it is told to stop.
fn work(
    mut poll: Poll,
    arriving: &Receiver<TcpStream>,
    store: &Store,
    stopping: &AtomicBool,
) -> io::Result<()> {
    let app = |request: &http::Request<'_>| routes::app(store, request);
    let mut events = Events::with_capacity(1024);
    let mut connections = HashMap::new();
    let mut last = 0;
    let mut end: Option<Instant> = None;
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, left) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for mut stream in arriving.try_iter() {
            last += 1;
            let (token, interest) = (Token(last), Interest::READABLE | Interest::WRITABLE);
            if poll
                .registry()
                .register(&mut stream, token, interest)
                .is_ok()
            {
                connections.insert(token, Connection::new(stream));
            }
        }
        for event in &events {
            if let Some(connection) = connections.get_mut(&event.token())
                && !connection.go_on(app).unwrap_or(false)
            {
                connections.remove(&event.token());
            }
        }
        if stopping.load(Ordering::Acquire) {
            let end = *end.get_or_insert_with(|| Instant::now() + GRACE);
            connections.retain(|_, connection| connection.finish());
            if connections.is_empty() || Instant::now() >= end {
                return Ok(());
            }
        }
    }
}
