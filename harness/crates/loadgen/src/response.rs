//! The HTTP/1.1 response parser, fed with whatever a read brought.
//!
//! It does no I/O. A response that lies whole in one read is judged where it lies; only one
//! that is split is copied together.

use std::ops::Range;

use super::chunked::Chunked;
use super::head::{Framing, MAX_HEAD, parse_head};
use super::malformed::Malformed;

/// A whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Status line and headers with the empty line.
    pub(crate) head: &'a [u8],
    /// The body, chunks joined; cut where it was longer than what is kept.
    pub(crate) body: &'a [u8],
    /// The body's true length.
    pub(crate) body_len: u64,
    /// Bytes of the response on the wire, interim (1xx) responses included.
    pub(crate) wire_len: u64,
    /// Whether the connection ends with it.
    pub(crate) close: bool,
    /// Whether the input that completed it brought its first byte too, after interim responses.
    pub(crate) begins: bool,
    /// Bytes used of the input that completed it.
    pub(crate) consumed: usize,
}

impl Answer<'_> {
    /// Whether all of the body was kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.len() as u64 == self.body_len
    }
}

/// A parser in the middle of a response.
#[derive(Debug)]
pub(crate) struct Parser {
    state: State,
    /// The answer to a HEAD request has no body.
    head_only: bool,
    /// Bytes of a split body that are kept.
    keep: usize,
    /// The head, or its beginning, where it was not whole in the read that ends the response.
    head: Vec<u8>,
    body: Vec<u8>,
    body_len: u64,
    wire_len: u64,
    status: u16,
    close: bool,
    begins: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Parser {
    /// A parser; without [`Self::start`] it expects the answer to a GET and keeps nothing.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            head_only: false,
            keep: 0,
            head: Vec::new(),
            body: Vec::new(),
            body_len: 0,
            wire_len: 0,
            status: 0,
            close: false,
            begins: false,
        }
    }

    /// Forgets what came before. `head_only`: the request was a HEAD. `keep`: bytes kept of a
    /// body that comes in pieces.
    pub(crate) fn start(&mut self, head_only: bool, keep: usize) {
        self.state = State::Head;
        self.head_only = head_only;
        self.keep = keep;
        self.head.clear();
        self.body.clear();
        self.body_len = 0;
        self.wire_len = 0;
        self.begins = false;
    }

    /// Whether a byte of the final response has been seen, or of what may turn out to be an
    /// interim one.
    pub(crate) fn has_begun(&self) -> bool {
        !(matches!(self.state, State::Head) && self.head.is_empty())
    }

    /// Whether the first of those bytes was in the input fed last.
    pub(crate) fn begins(&self) -> bool {
        self.begins
    }

    /// Bytes it holds on to for the answers to come.
    pub(crate) fn held(&self) -> usize {
        self.head.capacity() + self.body.capacity()
    }

    /// Takes the bytes of one read. After an answer or an error, [`Self::start`] must follow.
    pub(crate) fn feed<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<Answer<'a>>, Malformed> {
        let mut head_at = 0..0;
        self.begins = false;
        if matches!(self.state, State::Head) {
            let Some(at) = self.feed_head(input)? else {
                return Ok(None);
            };
            head_at = at;
        }
        let (body, end) = self.feed_body(input, head_at.end)?;
        self.wire_len += (end - head_at.end) as u64;
        match body {
            Body::Partial => {
                self.head.extend_from_slice(&input[head_at]);
                Ok(None)
            }
            Body::Here => {
                let body = &input[head_at.end..end];
                Ok(Some(self.answer(&input[head_at], body, end)))
            }
            Body::Kept => Ok(Some(self.answer(&input[head_at], &self.body, end))),
        }
    }

    /// Takes the end of the connection; it completes a body that is delimited by it.
    pub(crate) fn finish(&mut self) -> Option<Answer<'_>> {
        self.begins = false;
        match self.state {
            State::UntilClose => Some(self.answer(&[], &self.body, 0)),
            State::Head | State::Length(_) | State::Chunked(_) => None,
        }
    }

    /// `head` is empty where the head came in an earlier read.
    fn answer<'a>(&'a self, head: &'a [u8], body: &'a [u8], consumed: usize) -> Answer<'a> {
        Answer {
            status: self.status,
            head: if head.is_empty() { &self.head } else { head },
            body,
            body_len: self.body_len,
            wire_len: self.wire_len,
            close: self.close,
            begins: self.begins,
            consumed,
        }
    }

    /// Reads heads until a final one is complete, and returns where it lies in `input`; where
    /// it began in an earlier read, it is in `self.head` and the range is empty.
    fn feed_head(&mut self, input: &[u8]) -> Result<Option<Range<usize>>, Malformed> {
        let mut at = 0;
        loop {
            let kept = self.head.len();
            let rest = &input[at..];
            self.begins = kept == 0 && !rest.is_empty();
            let head = if kept == 0 {
                parse_head(rest, self.head_only)?
            } else {
                self.head
                    .extend_from_slice(&rest[..rest.len().min(MAX_HEAD - kept)]);
                parse_head(&self.head, self.head_only)?
            };
            let Some(head) = head else {
                if kept == 0 {
                    self.head.extend_from_slice(rest);
                }
                return Ok(None);
            };
            let start = at;
            // A head that was incomplete before ends in this read.
            at += head.len - kept;
            self.wire_len += head.len as u64;
            if head.status < 200 {
                self.head.clear();
                continue;
            }
            self.head.truncate(head.len);
            self.status = head.status;
            self.close = head.close;
            self.state = match head.framing {
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::Chunked(Chunked::new()),
                Framing::UntilClose => State::UntilClose,
            };
            return Ok(Some(if kept == 0 { start..at } else { at..at }));
        }
    }

    /// Reads the body from `at`; returns where its bytes are, and where this read's part ends.
    fn feed_body(&mut self, input: &[u8], at: usize) -> Result<(Body, usize), Malformed> {
        let rest = &input[at..];
        let mut body = Kept {
            bytes: &mut self.body,
            len: &mut self.body_len,
            keep: self.keep,
        };
        match &mut self.state {
            State::Length(left) if *left <= rest.len() as u64 => {
                let here = &rest[..*left as usize];
                if *body.len == 0 {
                    *body.len = *left;
                    return Ok((Body::Here, at + here.len()));
                }
                body.push(here);
                Ok((Body::Kept, at + here.len()))
            }
            State::Length(left) => {
                body.reserve(*left);
                body.push(rest);
                *left -= rest.len() as u64;
                Ok((Body::Partial, input.len()))
            }
            State::Chunked(chunked) => {
                let (used, done) = chunked.feed(rest, |data| body.push(data))?;
                let body = if done { Body::Kept } else { Body::Partial };
                Ok((body, at + used))
            }
            State::UntilClose | State::Head => {
                body.push(rest);
                Ok((Body::Partial, input.len()))
            }
        }
    }
}

/// Where the bytes of a body are after a read.
enum Body {
    /// Not all are there.
    Partial,
    /// All in this read.
    Here,
    /// Copied together.
    Kept,
}

/// The body being copied together.
struct Kept<'a> {
    bytes: &'a mut Vec<u8>,
    len: &'a mut u64,
    keep: usize,
}

impl Kept<'_> {
    fn reserve(&mut self, more: u64) {
        let more = usize::try_from(more).unwrap_or(self.keep);
        self.bytes
            .reserve(more.min(self.keep - self.bytes.len().min(self.keep)));
    }

    fn push(&mut self, data: &[u8]) {
        *self.len += data.len() as u64;
        let room = self.keep - self.bytes.len().min(self.keep);
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
    }
}

#[cfg(test)]
#[path = "response_model.rs"]
mod model;
#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
