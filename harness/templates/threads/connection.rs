//! One connection: what has arrived, and what is still to be sent.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use crate::http::{self, Request, Response};

/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Reads no more, and closes once all is sent.
    closing: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            closing: false,
        }
    }

    /// Sends, reads and answers until the socket would block. Returns whether the connection is still open.
    pub(crate) fn go_on(&mut self, app: impl Fn(&Request<'_>) -> Response) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        loop {
            while !self.output.is_empty() {
                let Some(sent) = unless_blocked(self.stream.write(&self.output))? else {
                    return Ok(true);
                };
                self.output.drain(..sent);
            }
            if self.closing {
                return Ok(false);
            }
            match unless_blocked(self.stream.read(&mut chunk))? {
                None => return Ok(true),
                Some(0) => return Ok(false),
                Some(length) => self.input.extend_from_slice(&chunk[..length]),
            }
            self.closing = !http::serve(&mut self.input, &mut self.output, &app);
        }
    }

    /// Ends it once all is sent. Returns whether something is left to send.
    pub(crate) fn finish(&mut self) -> bool {
        self.closing = true;
        !self.output.is_empty()
    }
}

/// `None` if the socket isn't ready.
fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
