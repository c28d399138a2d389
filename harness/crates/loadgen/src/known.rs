//! Skips parsing of a head that was parsed before.
//!
//! Responses to requests of one kind differ mostly in their bodies: within a second, their heads are usually
//! identical. The last head and its meaning are kept, and an identical one means the same. Any other is parsed.

use super::head::{Framing, parse_head};
use super::response::ParsedResponse;

/// Maximum size of a kept head in bytes.
const LONGEST: usize = 256;

/// The last head of a kind whose body was delimited by its length.
#[derive(Debug, Clone)]
pub(crate) struct KnownHead {
    bytes: [u8; LONGEST],
    /// 0 if there is none.
    len: usize,
    /// It is the response to a HEAD, so no body follows.
    head_only: bool,
    status: u16,
    /// Length of the body that follows.
    body_len: usize,
    close: bool,
}

impl KnownHead {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
            len: 0,
            head_only: false,
            status: 0,
            body_len: 0,
            close: false,
        }
    }

    /// The response at the start of `input`, if it is complete and has the known head. `head_only`: the request
    /// was a HEAD.
    pub(crate) fn answer<'a>(
        &self,
        input: &'a [u8],
        head_only: bool,
    ) -> Option<ParsedResponse<'a>> {
        let known = &self.bytes[..self.len];
        let (head, rest) = input.split_at_checked(known.len())?;
        let body = rest.get(..self.body_len)?;
        let is_known = head == known && !head.is_empty() && head_only == self.head_only;
        is_known.then_some(ParsedResponse {
            status: self.status,
            head,
            body,
            body_len: body.len() as u64,
            wire_len: (head.len() + body.len()) as u64,
            close: self.close,
            begins: true,
            consumed: head.len() + body.len(),
        })
    }

    /// Replaces the kept head with that of this response, if it can be used. `head_only`: the request was a
    /// HEAD.
    pub(crate) fn learn(&mut self, answer: &ParsedResponse<'_>, head_only: bool) {
        let head = answer.head;
        let alone = answer.wire_len == head.len() as u64 + answer.body_len;
        // Chunked and interim responses can't be recognised this way.
        if !alone || (head == &self.bytes[..self.len] && head_only == self.head_only) {
            return;
        }
        let Some(kept) = self.bytes.get_mut(..head.len()) else {
            return;
        };
        if let Ok(Some(parsed)) = parse_head(head, head_only)
            && let Framing::Length(length) = parsed.framing
            && let Ok(body_len) = usize::try_from(length)
        {
            kept.copy_from_slice(head);
            (self.len, self.head_only) = (head.len(), head_only);
            (self.status, self.body_len, self.close) = (parsed.status, body_len, parsed.close);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::Parser;
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    const INPUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    /// Learns from the response in these pieces, as the parser reads it.
    fn learn(known: &mut KnownHead, pieces: &[&[u8]], head_only: bool) {
        let mut parser = Parser::new();
        parser.start(head_only, 1000);
        for piece in pieces {
            if let Some(answer) = parser.feed(piece).unwrap() {
                return known.learn(&answer, head_only);
            }
        }
        known.learn(&parser.finish().unwrap(), head_only);
    }

    fn knows(pieces: &[&[u8]], head_only: bool) -> KnownHead {
        let mut known = KnownHead::new();
        learn(&mut known, pieces, head_only);
        known
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(KnownHead::new().answer(b"", false), None);
        assert_eq!(KnownHead::new().answer(INPUT, false), None);
    }

    #[test]
    fn only_an_equal_head_is_known() {
        let input = format!("{HEAD}helloHTTP");
        for pieces in [
            &[INPUT][..],
            &[&INPUT[..7], &INPUT[7..]],
            &[&INPUT[..40], &INPUT[40..]],
        ] {
            let known = knows(pieces, false);
            let answer = known.answer(input.as_bytes(), false).unwrap();
            let mut parser = Parser::new();
            assert_eq!(parser.feed(input.as_bytes()), Ok(Some(answer)));
            for at in 0..HEAD.len() {
                let mut other = input.clone().into_bytes();
                other[at] ^= 1;
                assert_eq!(known.answer(&other, false), None, "{at}");
            }
        }
    }

    #[test]
    fn a_part_of_an_answer_is_none() {
        let known = knows(&[INPUT], false);
        for at in 0..INPUT.len() {
            assert_eq!(known.answer(&INPUT[..at], false), None, "{at}");
        }
    }

    #[test]
    fn what_is_of_no_use_leaves_the_last() {
        let mut known = knows(&[INPUT], false);
        let long = "x".repeat(LONGEST);
        let long = format!("HTTP/1.1 200 OK\r\nA: {long}\r\nContent-Length: 0\r\n\r\n");
        for other in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            "HTTP/1.1 103\r\n\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
            &long,
        ] {
            learn(&mut known, &[other.as_bytes()], false);
            assert_eq!(known.answer(other.as_bytes(), false), None, "{other}");
            assert!(known.answer(INPUT, false).is_some(), "{other}");
        }
        let next = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        learn(&mut known, &[next], false);
        let answer = known.answer(next, false).unwrap();
        assert_eq!((answer.status, answer.close), (404, true));
        assert_eq!(known.answer(INPUT, false), None);
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let known = knows(&[HEAD.as_bytes()], true);
        let answer = known.answer(HEAD.as_bytes(), true).unwrap();
        assert_eq!((answer.body_len, answer.consumed), (0, HEAD.len()));
    }

    #[test]
    fn the_same_head_means_another_thing_to_get_and_to_head() {
        for first in [false, true] {
            let mut known = knows(&[INPUT], first);
            assert_eq!(known.answer(INPUT, !first), None);
            learn(&mut known, &[INPUT], !first);
            assert_eq!(known.answer(INPUT, first), None);
            let answer = known.answer(INPUT, !first).unwrap();
            assert_eq!(answer.body_len, if first { 5 } else { 0 });
        }
    }
}
