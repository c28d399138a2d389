//! A dependency for the checks of `GET /api/v1/upstream`: it returns what it is told, and counts its connections.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

/// A server on a loopback port. It closes its port and its connections when it is dropped.
#[derive(Debug)]
pub struct Dependency {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The response to `GET /`.
    wire: Vec<u8>,
    streams: Vec<TcpStream>,
    closed: bool,
}

impl Dependency {
    /// Listens, and returns 200 `{}` from now on.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let dependency = Self {
            addr: listener.local_addr()?,
            state: Arc::new(Mutex::new(State {
                wire: wire(200, "{}"),
                streams: Vec::new(),
                closed: false,
            })),
        };
        let state = Arc::clone(&dependency.state);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let mut own = lock(&state);
                if own.closed {
                    return;
                }
                if let Ok(handle) = stream.try_clone() {
                    own.streams.push(handle);
                    let state = Arc::clone(&state);
                    // An error ends the connection, as it would in any server.
                    thread::spawn(move || serve(stream, &state));
                }
            }
        });
        Ok(dependency)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The response to every `GET /` from now on.
    pub fn answer(&self, status: u16, body: &Value) {
        lock(&self.state).wire = wire(status, &body.to_string());
    }

    /// The connections so far.
    pub fn connections(&self) -> usize {
        lock(&self.state).streams.len()
    }
}

impl Drop for Dependency {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.closed = true;
        for stream in &state.streams {
            // Fails if the other side has closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        // Wakes the thread that accepts, which closes the port. Until then it is the one that is connected.
        drop(TcpStream::connect(self.addr));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wire(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Answers requests without bodies until the connection ends.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut waiting = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while let Some(end) = waiting.windows(4).position(|four| four == b"\r\n\r\n") {
            let reply = match waiting.starts_with(b"GET / HTTP/1.1\r\n") {
                true => lock(state).wire.clone(),
                false => wire(400, r#"{"expected":"GET / HTTP/1.1"}"#),
            };
            waiting.drain(..end + 4);
            stream.write_all(&reply)?;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => waiting.extend_from_slice(&chunk[..read]),
        }
    }
}
