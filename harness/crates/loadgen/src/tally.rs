//! All results of one thread.

use super::chains::ChainTally;
use super::ids::Ids;
use super::judge::{Verdict, explain};
use super::recorder::{Nanos, Recorder, RequestTimes};
use super::response::ParsedResponse;
use super::script::ScriptEntry;
use super::{ErrorKind, Malformed, ThreadTime};

#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) recorder: Recorder,
    pub(crate) ids: Ids,
    pub(crate) counts: Counts,
    /// If the requests are those of sessions.
    pub(crate) chains: Option<ChainTally>,
}

impl Tally {
    /// Counts the response to a request; returns whether it was right. `surplus`: there were more bytes than the response
    /// has, so it is unknown where the next response begins. `note` adds to the message of an error.
    #[inline]
    pub(crate) fn answer(
        &mut self,
        verdict: Verdict,
        entry: &ScriptEntry,
        answer: &ParsedResponse<'_>,
        request: &RequestTimes,
        surplus: bool,
        note: impl Fn() -> String,
    ) -> bool {
        self.counts.bytes_expected += answer.wire_len;
        match verdict {
            Verdict::Wrong(kind) => {
                self.failed(kind, entry, request, || explain(entry, answer) + &note());
                return false;
            }
            _ if surplus => {
                self.failed(ErrorKind::Protocol, entry, request, || {
                    let explained = explain(entry, answer);
                    format!("{explained}\n  {}{}", Malformed::Surplus, note())
                });
                return false;
            }
            Verdict::Numbered(id) => {
                self.counts.orders += 1;
                self.ids.insert(id);
            }
            Verdict::Right => {}
        }
        self.counts.answered += 1;
        self.recorder.answered(request, entry.class);
        true
    }

    /// A chain has ended: with its time, or by failing at a step.
    pub(crate) fn chain_ended(&mut self, at: Nanos, result: Result<u64, usize>) {
        let in_window = self.recorder.in_window(at);
        if let Some(chains) = &mut self.chains {
            chains.ended(result, in_window);
        }
    }

    /// Counts the error of a request; `say` returns the message and is called only for the first error.
    pub(crate) fn failed(
        &mut self,
        kind: ErrorKind,
        entry: &ScriptEntry,
        request: &RequestTimes,
        say: impl FnOnce() -> String,
    ) {
        self.recorder.error_of(kind, request, entry.class);
        self.recorder.first_error(request.ended, say);
    }

    /// Counts an error that belongs to no request; `say` as above.
    pub(crate) fn error(&mut self, kind: ErrorKind, at: Nanos, say: impl FnOnce() -> String) {
        self.recorder.error(kind, at);
        self.recorder.first_error(at, say);
    }

    /// Adds the results of another thread, except its time.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.recorder.merge(&other.recorder);
        self.ids.merge(&other.ids);
        self.counts.merge(&other.counts);
        if let (Some(mine), Some(theirs)) = (&mut self.chains, &other.chains) {
            mine.merge(theirs);
        }
    }
}

/// Counts over the whole drive, besides the recorder.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    /// Valid responses, and those of them that were numbered.
    pub(crate) answered: u64,
    pub(crate) orders: u64,
    /// In flight when the drain ended.
    pub(crate) unanswered: u64,
    pub(crate) unsent: u64,
    /// Send times within the window.
    pub(crate) asked: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_expected: u64,
    pub(crate) established: usize,
    pub(crate) reconnects: u64,
    /// Of the requests sent, those that had failed before.
    pub(crate) retries: u64,
    /// Responses that broke off.
    pub(crate) truncated: u64,
    pub(crate) time: ThreadTime,
    pub(crate) stopped: bool,
}

impl Counts {
    /// Adds the counts of another thread, except its time.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.orders += other.orders;
        self.unanswered += other.unanswered;
        self.unsent += other.unsent;
        self.asked += other.asked;
        self.bytes_received += other.bytes_received;
        self.bytes_expected += other.bytes_expected;
        self.established += other.established;
        self.reconnects += other.reconnects;
        self.retries += other.retries;
        self.truncated += other.truncated;
        self.stopped |= other.stopped;
    }
}
