//! The contract served by may_minihttp.

mod answer;
mod body;
mod route;
mod service;

use std::io;

use contract::{Flags, Store};
use may_minihttp::HttpServer;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::service::Service;

/// Stack of each connection's coroutine, in machine words: 128 KiB. The deepest use
/// measured is 9 KiB in a release build, 15 KiB in a debug build, and 26 KiB there for
/// a panic with its backtrace. It is address space, which becomes memory by the page as
/// it is touched, with a guard page below.
const STACK_WORDS: usize = 128 * 1024 / size_of::<usize>();

fn main() -> io::Result<()> {
    let flags = Flags::read();

    // The framework's listener sets SO_REUSEPORT, with which a second process could
    // take the same port; a plain bind can't, so it goes first and finds out.
    let addr = contract::bind(flags.addr).local_addr()?;
    let mut signals = Signals::new([SIGTERM, SIGINT])?;

    may::config()
        .set_workers(flags.workers.get())
        .set_stack_size(STACK_WORDS)
        // Threads stay where the kernel puts them, as the other servers' do.
        .set_worker_pin(false);
    HttpServer(Service::new(Store::leak())).start(addr)?;

    // The framework has no graceful shutdown: the process ends with all its connections.
    signals.forever().next();
    Ok(())
}
