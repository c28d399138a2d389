//! All results of one thread.

use super::ids::Ids;
use super::judge::{Verdict, explain, judge};
use super::recorder::{Nanos, Recorder, RequestTimes};
use super::response::ParsedResponse;
use super::script::ScriptEntry;
use super::{ErrorKind, Malformed, ThreadTime};

#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) recorder: Recorder,
    pub(crate) ids: Ids,
    pub(crate) counts: Counts,
}

impl Tally {
    /// Judges the response to a request and counts it; returns whether it is right. `surplus`: there were more bytes
    /// than the response has, so it is unknown where the next response begins.
    pub(crate) fn answer(
        &mut self,
        entry: &ScriptEntry,
        answer: &ParsedResponse<'_>,
        request: &RequestTimes,
        surplus: bool,
    ) -> bool {
        self.counts.bytes_expected += answer.wire_len;
        match judge(entry, answer) {
            Verdict::Wrong(kind) => {
                self.failed(kind, entry, request, || explain(entry, answer));
                return false;
            }
            _ if surplus => {
                self.failed(ErrorKind::Protocol, entry, request, || {
                    format!("{}\n  {}", explain(entry, answer), Malformed::Surplus)
                });
                return false;
            }
            Verdict::Numbered(id) => {
                self.counts.orders += 1;
                self.ids.insert(id);
                self.right(entry, request);
            }
            Verdict::Right => self.right(entry, request),
        }
        true
    }

    fn right(&mut self, entry: &ScriptEntry, request: &RequestTimes) {
        self.counts.answered += 1;
        self.recorder.answered(request, entry.class);
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
