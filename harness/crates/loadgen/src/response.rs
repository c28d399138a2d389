//! The incremental HTTP/1.1 response parser.
//!
//! It does no I/O. A response that arrives in one read is used in place; only a split one is copied.

use std::ops::Range;

use super::chunked::Chunked;
use super::head::{Framing, MAX_HEAD, parse_head};
use super::malformed::Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParsedResponse<'a> {
    pub(crate) status: u16,
    /// Status line and headers with the empty line.
    pub(crate) head: &'a [u8],
    /// The body, with chunks joined; truncated if longer than what is kept.
    pub(crate) body: &'a [u8],
    /// The full length of the body.
    pub(crate) body_len: u64,
    /// Bytes of the response on the wire, interim (1xx) responses included.
    pub(crate) wire_len: u64,
    /// Whether the connection ends after it.
    pub(crate) close: bool,
    /// Whether the input that completed it also brought its first byte, after interim responses.
    pub(crate) begins: bool,
    /// Bytes used from the input that completed it.
    pub(crate) consumed: usize,
}

impl ParsedResponse<'_> {
    /// Whether the full body was kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.len() as u64 == self.body_len
    }
}

/// Parser state within a response.
#[derive(Debug)]
pub(crate) struct Parser {
    state: ParserState,
    /// The response to a HEAD request has no body.
    head_only: bool,
    /// Bytes to keep of a split body.
    keep: usize,
    /// The head or its beginning, if it was not complete in the read that ends the response.
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
enum ParserState {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Parser {
    /// Without [`Self::start`] the parser expects the response to a GET and keeps nothing.
    pub(crate) fn new() -> Self {
        Self {
            state: ParserState::Head,
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

    /// Resets the parser. `head_only`: the request was a HEAD. `keep`: bytes to keep of a split body.
    pub(crate) fn start(&mut self, head_only: bool, keep: usize) {
        self.state = ParserState::Head;
        self.head_only = head_only;
        self.keep = keep;
        self.head.clear();
        self.body.clear();
        self.body_len = 0;
        self.wire_len = 0;
        self.begins = false;
    }

    /// Whether it has seen a byte of the final response, or of one that may turn out to be interim.
    pub(crate) fn has_begun(&self) -> bool {
        !(matches!(self.state, ParserState::Head) && self.head.is_empty())
    }

    /// Whether the first of those bytes was in the last input.
    pub(crate) fn begins(&self) -> bool {
        self.begins
    }

    /// Bytes it keeps allocated between responses.
    pub(crate) fn held(&self) -> usize {
        self.head.capacity() + self.body.capacity()
    }

    /// Takes the bytes of one read. After a response or an error, call [`Self::start`].
    pub(crate) fn feed<'a>(
        &'a mut self,
        input: &'a [u8],
    ) -> Result<Option<ParsedResponse<'a>>, Malformed> {
        let mut head_at = 0..0;
        self.begins = false;
        if matches!(self.state, ParserState::Head) {
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

    /// Handles the end of the connection, which completes a body without other framing.
    pub(crate) fn finish(&mut self) -> Option<ParsedResponse<'_>> {
        self.begins = false;
        match self.state {
            ParserState::UntilClose => Some(self.answer(&[], &self.body, 0)),
            ParserState::Head | ParserState::Length(_) | ParserState::Chunked(_) => None,
        }
    }

    /// `head` is empty if the head came in an earlier read.
    fn answer<'a>(&'a self, head: &'a [u8], body: &'a [u8], consumed: usize) -> ParsedResponse<'a> {
        ParsedResponse {
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

    /// Parses heads until a final one is complete, and returns its range in `input`. If it began in an earlier
    /// read, it is in `self.head` and the range is empty.
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
            // A head from an earlier read ends in this one.
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
                Framing::Length(length) => ParserState::Length(length),
                Framing::Chunked => ParserState::Chunked(Chunked::new()),
                Framing::UntilClose => ParserState::UntilClose,
            };
            return Ok(Some(if kept == 0 { start..at } else { at..at }));
        }
    }

    /// Parses the body from `at`; returns where its bytes are, and where this read's part ends.
    fn feed_body(&mut self, input: &[u8], at: usize) -> Result<(Body, usize), Malformed> {
        let rest = &input[at..];
        let mut body = Kept {
            bytes: &mut self.body,
            len: &mut self.body_len,
            keep: self.keep,
        };
        match &mut self.state {
            ParserState::Length(left) if *left <= rest.len() as u64 => {
                let here = &rest[..*left as usize];
                if *body.len == 0 {
                    *body.len = *left;
                    return Ok((Body::Here, at + here.len()));
                }
                body.push(here);
                Ok((Body::Kept, at + here.len()))
            }
            ParserState::Length(left) => {
                body.reserve(*left);
                body.push(rest);
                *left -= rest.len() as u64;
                Ok((Body::Partial, input.len()))
            }
            ParserState::Chunked(chunked) => {
                let (used, done) = chunked.feed(rest, |data| body.push(data))?;
                let body = if done { Body::Kept } else { Body::Partial };
                Ok((body, at + used))
            }
            ParserState::UntilClose | ParserState::Head => {
                body.push(rest);
                Ok((Body::Partial, input.len()))
            }
        }
    }
}

/// Where the bytes of a body are after a read.
enum Body {
    /// Incomplete.
    Partial,
    /// Entirely in this read.
    Here,
    /// In the copy.
    Kept,
}

/// The copy of a split body.
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
