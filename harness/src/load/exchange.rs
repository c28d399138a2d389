//! One blocking request.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Status line and headers as received, with the empty line that ends them.
    pub head: Vec<u8>,
    /// The body, its chunks joined.
    pub body: Vec<u8>,
    /// Whether the connection can't be used again.
    pub close: bool,
    /// From before the sending to the read that brought the first byte of the status line.
    pub first_byte: Duration,
    /// From before the sending to the end of the body.
    pub total: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection could be made.
    #[error("could not connect to {addr}: {cause}")]
    Connect {
        /// Where to.
        addr: SocketAddr,
        /// The system's word for it.
        cause: io::Error,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before the answer was complete.
    #[error("the connection was closed after {received} bytes of the answer")]
    Closed {
        /// Bytes received.
        received: u64,
    },
    /// No complete answer in time.
    #[error("no complete answer within {limit:?}, {received} bytes received")]
    Timeout {
        /// The limit.
        limit: Duration,
        /// Bytes received.
        received: u64,
    },
    /// What came back is not one HTTP/1.1 response.
    #[error("not an HTTP/1.1 response: {what}; it begins with {begin:?}")]
    Protocol {
        /// What is wrong with it.
        what: &'static str,
        /// Its beginning.
        begin: String,
    },
}

/// Sends `wire`, a whole request, and waits for the whole answer.
///
/// The stream's read timeout is changed. After an error, or where [`Response::close`] is true,
/// the stream must not be used again.
///
/// # Errors
/// See [`ExchangeError`]; `timeout` limits all of it together.
pub fn exchange(
    _stream: &mut TcpStream,
    _wire: &[u8],
    _timeout: Duration,
) -> Result<Response, ExchangeError> {
    unimplemented!("the parser follows in the next commit")
}

/// Exchanges with one address over one connection, made anew where it can't be used again.
#[derive(Debug)]
pub struct Client {
    addr: SocketAddr,
    timeout: Duration,
    stream: Option<TcpStream>,
}

impl Client {
    /// A client that allows each connection and each exchange `timeout`.
    pub fn new(addr: SocketAddr, timeout: Duration) -> Self {
        Self {
            addr,
            timeout,
            stream: None,
        }
    }

    /// Sends `wire`, a whole request, and waits for the whole answer.
    ///
    /// # Errors
    /// See [`ExchangeError`]; the next exchange then makes a new connection. Nothing is sent
    /// twice: where a kept connection turns out to have been closed, that is an error.
    pub fn exchange(&mut self, wire: &[u8]) -> Result<Response, ExchangeError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.addr, self.timeout)?,
        };
        let response = exchange(&mut stream, wire, self.timeout)?;
        if !response.close {
            self.stream = Some(stream);
        }
        Ok(response)
    }
}

fn connect(addr: SocketAddr, timeout: Duration) -> Result<TcpStream, ExchangeError> {
    let connected = TcpStream::connect_timeout(&addr, timeout).and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    connected.map_err(|cause| ExchangeError::Connect { addr, cause })
}
