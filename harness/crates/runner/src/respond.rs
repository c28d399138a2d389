//! The responder: replies to known requests with stored bytes, as cheaply as possible.
//!
//! It is the control of a run. Beyond finding where a request ends, it does nothing that a server must do: no
//! routing, no parsing of values, no JSON, no Date. So what the load generator reaches against it is the most
//! it can reach. A request costs one `recv`, one `send` and a share of an `epoll_wait`.
//!
//! | file | contents |
//! |---|---|
//! | `answers` | the responses and their file |
//! | `request` | where one request ends and the next begins |
//! | `connection` | requests in, responses out |
//! | `worker` | one thread with its connections |

mod answers;
mod connection;
mod request;
mod worker;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use signal_hook::consts::{SIGINT, SIGTERM};

pub(super) use answers::{Answers, Entries, write};
pub(super) use request::first;
use worker::{Desk, Worker};

/// Flags of the hidden command.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; with port 0 the chosen address is the first line of stdout
    #[arg(long)]
    pub addr: SocketAddr,
    /// Worker threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: u16,
    /// The file of responses
    #[arg(long)]
    pub answers: PathBuf,
}

/// Serves until SIGTERM or SIGINT, which end the process at once with status 0.
///
/// # Errors
/// If the responses can't be read, it can't listen on the address, or the system refuses a resource.
pub fn respond(arguments: &Arguments) -> Result<Infallible> {
    for signal in [SIGTERM, SIGINT] {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(signal, 0, always)
            .context("cannot install a signal handler")?;
    }
    let answers = Answers::read(&arguments.answers)?;
    let listener = TcpListener::bind(arguments.addr)
        .with_context(|| format!("cannot listen on {}", arguments.addr))?;
    if arguments.addr.port() == 0 {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
    }
    serve(listener, usize::from(arguments.workers), answers)
}

/// Serves on a listening socket with this many threads, plus the one that accepts.
///
/// # Errors
/// If a thread can't be started, or the system refuses a resource.
pub(super) fn serve(listener: TcpListener, workers: usize, answers: Answers) -> Result<Infallible> {
    let answers = Arc::new(answers);
    let (sender, receiver) = channel();
    let mut desks = Vec::new();
    for _ in 0..workers {
        let desk = Arc::new(Desk::new().context("cannot create an epoll instance")?);
        desks.push(Arc::clone(&desk));
        let (answers, ended) = (Arc::clone(&answers), sender.clone());
        start("worker", move || {
            let errno = Worker::new(&desk, &answers).run();
            let _ = ended.send(("waiting for requests", errno));
        })?;
    }
    start("acceptor", move || {
        let errno = accept(&listener, &desks);
        let _ = sender.send(("accepting a connection", errno));
    })?;
    match receiver.recv() {
        Ok((doing, errno)) => bail!("{doing} failed: {errno}"),
        Err(_) => bail!("all threads have ended"),
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).context("cannot start a thread")?;
    Ok(())
}

/// Hands connections to the workers in turn, until the system refuses one.
fn accept(listener: &TcpListener, desks: &[Arc<Desk>]) -> Errno {
    for desk in desks.iter().cycle() {
        let handed = next(listener).and_then(|socket| {
            sockopt::set_tcp_nodelay(&socket, true)?;
            desk.hand(socket)
        });
        if let Err(errno) = handed {
            return errno;
        }
    }
    // Only without workers, which the flags rule out.
    Errno::INVAL
}

fn next(listener: &TcpListener) -> Result<rustix::fd::OwnedFd, Errno> {
    loop {
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            result => return result,
        }
    }
}
