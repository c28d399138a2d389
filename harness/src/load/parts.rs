//! The load generator's inner parts, for benchmarks and fuzzing; no part of its interface.

use std::time::Duration;

use super::judge::{Verdict, judge};
use super::recorder::{Ended, Recorder};
use super::response::Parser;
use super::{ErrorKind, Script};

/// What is done with each response: parsed, judged, recorded.
#[derive(Debug)]
pub struct Parts {
    script: Script,
    parser: Parser,
    recorder: Recorder,
    at: u64,
}

impl Parts {
    /// Parts that expect what the first request of `script` does.
    pub fn new(script: Script) -> Self {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(second, second / 10, 10 * second);
        (recorder.start, recorder.end) = (0, 1_000_000_000);
        Self {
            script,
            parser: Parser::new(),
            recorder,
            at: 0,
        }
    }

    /// Parses a response that comes in `pieces`; the status, or `None` where it is incomplete.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<u16>, &'static str> {
        self.parser.start(false, 1 << 20);
        for piece in pieces {
            if let Some(answer) = self.parser.feed(piece).map_err(|e| e.0)? {
                return Ok(Some(answer.status));
            }
        }
        Ok(self.parser.finish().map(|a| a.status))
    }

    /// Parses and judges a response that comes whole.
    ///
    /// # Errors
    /// The kind of error it is.
    pub fn judge(&mut self, response: &[u8]) -> Result<(), ErrorKind> {
        self.parser.start(false, 1 << 20);
        let answer = self.parser.feed(response);
        match answer.map_err(|_| ErrorKind::Protocol)? {
            None => Err(ErrorKind::Closed),
            Some(answer) => match judge(&self.script.entries[0], &answer) {
                Verdict::Wrong(kind) => Err(kind),
                Verdict::Right | Verdict::Numbered(_) => Ok(()),
            },
        }
    }

    /// Records a request that took that long, at a time that moves through the window.
    pub fn record(&mut self, took_ns: u64) {
        self.at = (self.at + 10_007) % 999_000_000;
        let request = Ended {
            intended: self.at,
            sent: self.at,
            first_byte: self.at + took_ns,
            ended: self.at + took_ns,
        };
        self.recorder.answered(&request, 0);
    }

    /// How many were recorded.
    pub fn recorded(&self) -> u64 {
        self.recorder.requests
    }
}
