//! Internals of the load generator, for benchmarks and fuzzing; not part of its interface.

use std::time::Duration;

use super::judge::{Verdict, judge};
use super::known::KnownHead;
use super::recorder::{Recorder, RequestTimes};
use super::response::{ParsedResponse, Parser};
use super::{ErrorKind, Malformed, Script};

/// Bytes kept of a split body.
pub const KEEP: usize = 1 << 20;

/// A parsed response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The status.
    pub status: u16,
    /// Status line and headers.
    pub head: Vec<u8>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// The full length of the body.
    pub body_len: u64,
    /// Size of the response on the wire in bytes.
    pub wire_len: u64,
    /// Whether the connection ends after it.
    pub close: bool,
}

impl Whole {
    fn of(answer: &ParsedResponse<'_>) -> Self {
        Self {
            status: answer.status,
            head: answer.head.to_vec(),
            body: answer.body.to_vec(),
            body_len: answer.body_len,
            wire_len: answer.wire_len,
            close: answer.close,
        }
    }
}

/// The processing of each response: parsed, judged, recorded.
#[derive(Debug)]
pub struct Parts {
    script: Script,
    parser: Parser,
    known: KnownHead,
    recorder: Recorder,
    at: u64,
}

impl Parts {
    /// Expects the responses to the first request of `script`.
    pub fn new(script: Script) -> Self {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(second, second / 10, 10 * second);
        recorder.begin(0..1_000_000_000);
        Self {
            script,
            parser: Parser::new(),
            known: KnownHead::new(),
            recorder,
            at: 0,
        }
    }

    /// Parses a response that arrives in `pieces`. Returns its status, or `None` if it is incomplete.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<u16>, Malformed> {
        self.parser.start(false, KEEP);
        for piece in pieces {
            if let Some(answer) = self.parser.feed(piece)? {
                return Ok(Some(answer.status));
            }
        }
        Ok(self.parser.finish().map(|a| a.status))
    }

    /// Like [`Self::parse`], but returns the whole response. `head_only`: the request was a HEAD.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        head_only: bool,
    ) -> Result<Option<Whole>, Malformed> {
        self.parser.start(head_only, KEEP);
        for piece in pieces {
            if let Some(answer) = self.parser.feed(piece)? {
                self.known.learn(&answer, head_only);
                return Ok(Some(Whole::of(&answer)));
            }
        }
        Ok(self.parser.finish().map(|a| Whole::of(&a)))
    }

    /// The response at the start of `text`, if it is complete and has the same head as the last one that
    /// [`Self::read`] or [`Self::judge`] saw. `head_only`: the request was a HEAD.
    pub fn again(&self, text: &[u8], head_only: bool) -> Option<Whole> {
        let known = self.known.answer(text, head_only);
        known.map(|answer| Whole::of(&answer))
    }

    /// Bytes the parser keeps allocated.
    pub fn held(&self) -> usize {
        self.parser.held()
    }

    /// Judges a complete response, and parses it only if its head differs from the last one.
    ///
    /// # Errors
    /// The kind of error.
    pub fn judge(&mut self, response: &[u8]) -> Result<(), ErrorKind> {
        let answer = match self.known.answer(response, false) {
            Some(answer) => answer,
            None => {
                self.parser.start(false, KEEP);
                let answer = self.parser.feed(response);
                let answer = answer.map_err(|_| ErrorKind::Protocol)?;
                let answer = answer.ok_or(ErrorKind::Closed)?;
                self.known.learn(&answer, false);
                answer
            }
        };
        match judge(&self.script.entries[0], &answer) {
            Verdict::Wrong(kind) => Err(kind),
            Verdict::Right | Verdict::Numbered(_) => Ok(()),
        }
    }

    /// Records a request that took this long, ending at a time that moves through the window.
    pub fn record(&mut self, took_ns: u64) {
        self.at = (self.at + 10_007) % 999_000_000;
        let request = RequestTimes {
            intended: self.at,
            sent: self.at,
            first_byte: self.at + took_ns,
            ended: self.at + took_ns,
        };
        self.recorder.answered(&request, 0);
    }

    /// Number of recorded requests.
    pub fn recorded(&self) -> u64 {
        self.recorder.requests
    }
}
