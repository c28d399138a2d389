//! One connection of the responder: requests in, stored responses out.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::answers::Answers;
use super::request;

/// The reply to a request without a stored response.
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// The connection must be closed: the peer closed it, or sent something invalid.
pub(super) struct Over;

#[derive(Debug)]
pub(super) struct Connection<'a> {
    pub(super) socket: OwnedFd,
    /// Received but not answered: an incomplete request, or those behind `unsent`.
    pending: Vec<u8>,
    /// The rest of a response that the socket would not take.
    unsent: &'a [u8],
}

impl<'a> Connection<'a> {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            pending: Vec::new(),
            unsent: &[],
        }
    }

    /// Whether it waits for the peer to read its response. It reads nothing meanwhile, so a peer that only
    /// sends can't fill the memory.
    pub(super) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Handles readiness of the socket: one read, and responses to what it brought.
    pub(super) fn attend(&mut self, answers: &'a Answers, buffer: &mut [u8]) -> Result<(), Over> {
        if self.is_blocked() {
            self.send()?;
            self.answer_pending(answers)?;
        }
        if self.is_blocked() {
            return Ok(());
        }
        let read = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => return Err(Over),
            Ok((_, read)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return Err(Over),
        };
        let input = &buffer[..read];
        if self.pending.is_empty() {
            let used = self.answer(input, answers)?;
            self.pending.extend_from_slice(&input[used..]);
            return Ok(());
        }
        self.pending.extend_from_slice(input);
        self.answer_pending(answers)
    }

    fn answer_pending(&mut self, answers: &'a Answers) -> Result<(), Over> {
        let mut pending = std::mem::take(&mut self.pending);
        let used = self.answer(&pending, answers)?;
        pending.drain(..used);
        self.pending = pending;
        Ok(())
    }

    /// Answers the complete requests at the beginning of `input`, as far as the socket takes the responses.
    /// Returns the number of bytes consumed.
    fn answer(&mut self, input: &[u8], answers: &'a Answers) -> Result<usize, Over> {
        let mut used = 0;
        while used < input.len() && !self.is_blocked() {
            let Some(request) = request::first(&input[used..]).map_err(|_| Over)? else {
                break;
            };
            used += request.len;
            let answer = answers.find(request.line, request.body, request.codings);
            self.unsent = answer.unwrap_or(NOT_FOUND);
            self.send()?;
        }
        Ok(used)
    }

    fn send(&mut self) -> Result<(), Over> {
        while !self.unsent.is_empty() {
            match send(&self.socket, self.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => self.unsent = &self.unsent[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(Over),
            }
        }
        Ok(())
    }
}
