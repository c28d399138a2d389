//! The process under test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use referee::raw;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use crate::{Connection, RawResponse};

/// How often a fresh port is tried, should another process take it first.
const BOOTS: usize = 5;
/// Generous: a debug build on a loaded machine. No test waits this long for a right server.
const BOOT_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);
/// Limit on each wait for a response, for the same reasons.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    addr: SocketAddr,
}

/// A response, its body read as JSON.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body; a JSON string holding it as text where it is not JSON.
    pub body: Value,
    /// The same as it was sent.
    pub raw: RawResponse,
}

impl Response {
    fn new(raw: RawResponse) -> Self {
        let text = || Value::String(String::from_utf8_lossy(&raw.body).into_owned());
        Self {
            status: raw.status,
            body: serde_json::from_slice(&raw.body).unwrap_or_else(|_| text()),
            raw,
        }
    }
}

impl Server {
    /// Starts `program` with two workers on a free loopback port and waits for its
    /// first valid answer.
    ///
    /// # Panics
    /// Where the program can't be started, exits, or gives no valid answer to
    /// `GET /ping` in 20 s.
    pub fn boot(program: &str) -> Self {
        Self::boot_with(program, 2)
    }

    /// The same with further flags.
    pub(crate) fn boot_flagged(program: &str, flags: &[&str]) -> Self {
        Self::boot_as(program, 2, flags)
    }

    /// The same with this many workers.
    pub(crate) fn boot_with(program: &str, workers: usize) -> Self {
        Self::boot_as(program, workers, &[])
    }

    fn boot_as(program: &str, workers: usize, flags: &[&str]) -> Self {
        (0..BOOTS)
            .find_map(|_| Self::try_boot(program, workers, flags))
            .unwrap_or_else(|| panic!("{program} exited with status 1 on {BOOTS} free ports"))
    }

    /// None where the process ended with status 1: the port may have been taken
    /// between its choice and the bind.
    fn try_boot(program: &str, workers: usize, flags: &[&str]) -> Option<Self> {
        let addr = free_addr();
        let mut server = Self {
            child: spawn(program, &addr.to_string(), workers, flags),
            addr,
        };
        let deadline = Instant::now() + BOOT_LIMIT;
        loop {
            let ready = server.is_ready();
            // Asked after: should another process have the port, the answer was its.
            if let Some(status) = server.exited() {
                assert_eq!(status.code(), Some(1), "{program} ended at once: {status}");
                return None;
            }
            if ready {
                return Some(server);
            }
            assert!(
                Instant::now() < deadline,
                "{program}: no valid answer to GET /ping on {addr} in {BOOT_LIMIT:?}"
            );
            sleep(POLL);
        }
    }

    fn is_ready(&self) -> bool {
        TcpStream::connect(self.addr).is_ok()
            && self
                .connect()
                .exchange(&raw::get("/ping"))
                .is_ok_and(|answer| answer.status == 200)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a well-formed request over its own connection; a body brings
    /// `Content-Length`, and `content_type` is sent where given.
    ///
    /// # Panics
    /// Where no whole answer comes back.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        content_type: Option<&str>,
        body: Option<&[u8]>,
    ) -> Response {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.addr);
        if let Some(content_type) = content_type {
            head += &format!("Content-Type: {content_type}\r\n");
        }
        if let Some(body) = body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let wire = [head.as_bytes(), b"\r\n", body.unwrap_or_default()].concat();
        let response = self.connect().exchange(&wire);
        let response =
            response.unwrap_or_else(|error| panic!("{method} {target}: no whole answer: {error}"));
        Response::new(response)
    }

    /// `GET target`.
    ///
    /// # Panics
    /// As [`Server::send`].
    pub fn get(&self, target: &str) -> Response {
        self.send("GET", target, None, None)
    }

    /// `POST /api/v1/orders` with `body` as `application/json`.
    ///
    /// # Panics
    /// As [`Server::send`].
    pub fn post_order(&self, body: &[u8]) -> Response {
        self.send(
            "POST",
            "/api/v1/orders",
            Some("application/json"),
            Some(body),
        )
    }

    /// Opens a raw connection, for what a well-behaved client doesn't send.
    ///
    /// # Panics
    /// Where the server does not accept.
    pub fn connect(&self) -> Connection {
        Connection::open(self.addr, TIMEOUT)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", self.addr))
    }

    /// The exit status, if the process has ended.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("our own child can be waited for")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our own child takes signals until it is waited for");
    }

    /// Stops the process where it is, until a `CONT`; returns once no thread of it runs.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let pid = WaitId::Pid(Pid::from_child(&self.child));
        waitid(pid, WaitIdOptions::STOPPED).expect("our own child can be waited for");
    }

    /// Waits until the process ends; None where it still runs after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait(&mut self.child, limit)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// stderr is left as the test's own: it shows why a server failed.
fn spawn(program: &str, addr: &str, workers: usize, flags: &[&str]) -> Child {
    Command::new(program)
        .args(["--addr", addr, "--workers", &workers.to_string()])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"))
}

/// Polls for the end of `child`; None where it still runs after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait().expect("our own child can be waited for");
        if status.is_some() || Instant::now() >= deadline {
            return status;
        }
        sleep(POLL);
    }
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_addr() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "ended at once")]
    fn a_program_that_ends_is_no_server() {
        Server::boot("true");
    }

    #[test]
    #[should_panic(expected = "on 5 free ports")]
    fn one_that_can_bind_nowhere_is_given_up() {
        Server::boot("false");
    }
}
