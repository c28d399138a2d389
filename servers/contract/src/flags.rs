//! The command line every server has, and the one way to take the port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::exit;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use listenfd::ListenFd;

/// A reference web server of this workspace; it serves until SIGTERM or SIGINT.
#[derive(Debug, Clone, Parser)]
#[command(version, about)]
pub struct Flags {
    /// Address and port to listen on, unless a service manager passes a listening socket (LISTEN_FDS)
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub addr: SocketAddr,

    /// Worker threads
    #[arg(long, default_value_t = default_workers())]
    pub workers: NonZeroUsize,

    /// Layers of middleware that only pass each request on, to measure what one costs
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(..=64))]
    pub middleware: u8,

    /// The dependency to which GET /api/v1/upstream sends a request
    #[arg(long, value_name = "HOST:PORT")]
    pub upstream: Option<SocketAddr>,
}

/// Flags that only some servers can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// [`Flags::middleware`], for a server that puts layers around its handlers.
    Middleware,
    /// [`Flags::upstream`], for a server that has the route.
    Upstream,
}

impl Flags {
    /// Reads the command line. A bad flag or value is named on the first line of
    /// stderr and ends the process with status 2.
    pub fn read() -> Self {
        Self::read_with(&[])
    }

    /// As [`Flags::read`], for a server that can also be given these.
    pub fn read_with(special: &[Special]) -> Self {
        let flags = Self::parse();
        for (flag, name, given) in [
            (Special::Middleware, "--middleware", flags.middleware > 0),
            (Special::Upstream, "--upstream", flags.upstream.is_some()),
        ] {
            if given && !special.contains(&flag) {
                let why = format!("this server can't be given {name}");
                Self::command()
                    .error(ErrorKind::ArgumentConflict, why)
                    .exit()
            }
        }
        #[cfg(feature = "count-allocations")]
        crate::counted::serve().expect("the socket for allocation counts is free");
        flags
    }
}

fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Connections that may wait to be accepted. The standard library's 128 is few for a
/// burst of clients; may's own listener, which can't be handed one, asks for as many.
const BACKLOG: i32 = 1024;

/// Binds `addr` for this process alone, as a blocking listener, or names the address
/// on stderr and ends the process with status 1.
///
/// The standard library sets `SO_REUSEADDR` (a port in `TIME_WAIT` can be taken
/// again) and never `SO_REUSEPORT`, so two processes can't share the port.
///
/// A service manager may pass a listening socket instead, as sd_listen_fds(3) describes: then it
/// is used, whatever `addr` is. Connections wait in it while one process follows another.
pub fn bind(addr: SocketAddr) -> TcpListener {
    try_bind(addr).unwrap_or_else(|error| bind_failed(addr, &error))
}

fn try_bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = match ListenFd::from_env().take_tcp_listener(0)? {
        Some(passed) => passed,
        None => TcpListener::bind(addr)?,
    };
    // On a socket that listens already this only changes its backlog.
    rustix::net::listen(&listener, BACKLOG)?;
    // Connections inherit it on Linux, also those of a framework that has no setting of its own.
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    Ok(listener)
}

fn bind_failed(addr: SocketAddr, error: &io::Error) -> ! {
    eprintln!("error: cannot listen on {addr}: {error}");
    exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, String> {
        Flags::try_parse_from(["server"].iter().chain(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_have_defaults_and_values() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.addr.to_string(), "127.0.0.1:8080");
        let flags = parse(&["--addr", "[::1]:9", "--workers", "3"]).unwrap();
        assert_eq!(
            (flags.addr.to_string(), flags.workers.get()),
            ("[::1]:9".into(), 3)
        );
    }

    #[test]
    fn a_bad_value_is_named_on_the_first_line() {
        for (args, named) in [
            (&["--workers", "0"][..], "--workers"),
            (&["--workers", "-1"], "-1"),
            (&["--workers", "many"], "many"),
            (&["--addr", "localhost"], "localhost"),
            (&["--port", "1"], "--port"),
            (&["--upstream", "somewhere"], "somewhere"),
            (&["extra"], "extra"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.lines().next().unwrap().contains(named), "{error}");
        }
    }

    #[test]
    fn a_port_has_one_listener() {
        let first = try_bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = try_bind(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
