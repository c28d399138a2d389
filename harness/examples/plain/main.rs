//! A right server on nothing but the standard library: what the referee must let pass.
//!
//! It was written from the contract's text alone and shares nothing with the other servers, the
//! fixture or the harness, so a rule that only they happen to follow would show.

mod data;
mod http;
mod json;
mod service;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use service::Service;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// Between two looks at whether a signal has come.
const POLL: Duration = Duration::from_millis(10);
/// How long open connections may hold up the end; the contract gives 5 s.
const FINISH_WITHIN: Duration = Duration::from_secs(4);

/// Set by the signal handler.
static STOPPED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let addr = match flags() {
        Ok(addr) => addr,
        Err(message) => {
            eprintln!("plain: {message}");
            return ExitCode::from(2);
        }
    };
    catch_signals();
    match TcpListener::bind(addr) {
        Ok(listener) => {
            serve(listener, addr);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("plain: {addr}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address. Each connection has a thread of its own, however many workers are asked for.
fn flags() -> Result<SocketAddr, String> {
    let mut addr = SocketAddr::from(([127, 0, 0, 1], 8080));
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().unwrap_or_default();
        let bad = || format!("{flag} {value}: a bad value");
        match flag.as_str() {
            "--addr" => addr = value.parse().map_err(|_| bad())?,
            "--workers" if value.parse::<u16>().is_ok_and(|workers| workers > 0) => {}
            "--workers" => return Err(bad()),
            _ => return Err(format!("{flag}: there is no such flag")),
        }
    }
    Ok(addr)
}

/// The standard library has no signals; the C library, on which it stands, does.
fn catch_signals() {
    #[allow(unsafe_code, reason = "the standard library has no signals")]
    unsafe extern "C" {
        fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    }
    extern "C" fn note(_: i32) {
        STOPPED.store(true, Ordering::SeqCst);
    }
    for number in [SIGINT, SIGTERM] {
        #[allow(
            unsafe_code,
            reason = "a handler that only stores to an atomic is safe"
        )]
        // SAFETY: `signal` has this signature in C, and the handler may run at any point, as
        // all it does is to store to an atomic.
        unsafe {
            signal(number, note);
        }
    }
}

/// The open connections by number, and a notice of each that ends.
#[derive(Default)]
struct Connections {
    open: Mutex<HashMap<u64, TcpStream>>,
    one_ended: Condvar,
}

/// With port 0 asked for, the address is the first line of stdout.
fn serve(listener: TcpListener, asked: SocketAddr) {
    let service = Arc::new(Service::new());
    let connections = Arc::new(Connections::default());
    let addr = listener.local_addr();
    if let (0, Ok(addr)) = (asked.port(), &addr) {
        println!("{addr}");
    }
    let acceptor = {
        let connections = Arc::clone(&connections);
        thread::spawn(move || accept(&listener, &service, &connections))
    };
    while !STOPPED.load(Ordering::SeqCst) {
        thread::sleep(POLL);
    }
    // Wakes the acceptor, which takes what waits and ends.
    let _ = addr.and_then(TcpStream::connect);
    let _ = acceptor.join();
    let open = connections.open.lock();
    let open = open.unwrap_or_else(PoisonError::into_inner);
    for stream in open.values() {
        // Ends a read that waits; what has arrived can still be read.
        let _ = stream.shutdown(Shutdown::Read);
    }
    let all_ended = |open: &mut HashMap<_, _>| !open.is_empty();
    let _ = connections
        .one_ended
        .wait_timeout_while(open, FINISH_WITHIN, all_ended);
}

fn accept(listener: &TcpListener, service: &Arc<Service>, connections: &Arc<Connections>) {
    for number in 0.. {
        if STOPPED.load(Ordering::SeqCst) && listener.set_nonblocking(true).is_err() {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => open(number, stream, service, connections),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(_) => thread::yield_now(),
        }
    }
}

fn open(number: u64, stream: TcpStream, service: &Arc<Service>, connections: &Arc<Connections>) {
    let Ok(handle) = stream.try_clone() else {
        return;
    };
    let all = || {
        connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    all().insert(number, handle);
    let (service, connections_of_thread) = (Arc::clone(service), Arc::clone(connections));
    let spawned = thread::Builder::new().spawn(move || {
        // What goes wrong on one connection is that client's affair.
        let _ = http::serve(stream, &service);
        let open = &connections_of_thread.open;
        open.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
        connections_of_thread.one_ended.notify_all();
    });
    if spawned.is_err() {
        all().remove(&number);
    }
}
