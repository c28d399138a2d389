//! `protocol.json`: what servers do with unusual, slow, wrong and hostile clients.
//!
//! A file of its own, with a version of its own: it is made by other verbs than a run's record,
//! and nothing in it is measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Check, Failure};

/// The version of `protocol.json`; raised with every change that an older reader would misread.
pub const PROTOCOL_SCHEMA_VERSION: u32 = 1;
/// What [`Protocol::kind`] holds.
pub const PROTOCOL_KIND: &str = "protocol";
/// The file's name.
pub const PROTOCOL_FILE: &str = "protocol.json";

/// The protocol matrix: what each server did in each case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// See [`PROTOCOL_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// [`PROTOCOL_KIND`].
    pub kind: String,
    /// `<utc>-<rev>-protocol`, the folder's name.
    pub id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The harness's version.
    pub harness_version: String,
    /// The workspace's git revision, `-dirty` appended where it had changes.
    pub revision: Option<String>,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// How long an answer was waited for, seconds.
    pub patience_s: f64,
    /// How long a server was watched that held a connection, seconds.
    pub let_go_s: f64,
    /// Connections that were to idle at once.
    pub idle_connections: usize,
    /// The rows, in their order.
    pub cases: Vec<ProtocolCase>,
    /// The columns, in name order.
    pub servers: Vec<ProtocolServer>,
}

/// One row of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolCase {
    /// A stable name, as in `length-negative`.
    pub id: String,
    /// The heading it stands under.
    pub concern: String,
    /// What the client does.
    pub sends: String,
    /// The RFC and the section, as in `9112 §6.3`.
    pub section: String,
    /// What that asks.
    pub asks: String,
    /// It keeps to what the contract judges: a wrong answer is a fault.
    pub in_terms: bool,
}

/// One column of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProtocolServer {
    /// Its folder's name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// As in `framework`.
    pub class: String,
    /// The crate whose version is shown.
    pub upstream: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// One for each case, in the cases' order; empty where it could not be tried.
    pub cells: Vec<ProtocolCell>,
    /// The referee's checks, made on the process that had been through the cases.
    pub afterwards: Option<Check>,
    /// It did not end as the contract says after all of them.
    pub stop_failure: Option<String>,
    /// Why it could not be tried.
    pub failure: Option<Failure>,
    /// What came of mutated requests, where some were sent.
    pub fuzz: Option<Fuzz>,
}

/// What a server did in one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolCell {
    /// The case's id.
    pub case: String,
    /// A few words, as in `400, closed`.
    pub text: String,
    /// Whether that agrees with the standard.
    pub agreement: Agreement,
    /// What a user of the server should know.
    pub note: Option<String>,
    /// What was wrong about the answer to a request within the contract's terms.
    pub wrong: Option<String>,
    /// How the process ended, where it did not live through the case.
    pub died: Option<String>,
    /// The end of the log of such a process.
    pub log_tail: Option<String>,
    /// What a new connection was answered wrongly after the case, where it was.
    pub wrong_afterwards: Option<String>,
}

/// Whether a behaviour agrees with RFC 9110 and RFC 9112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    /// It does what the standard asks.
    Follows,
    /// The standard leaves it open, or recommends another way without requiring it.
    Permitted,
    /// It is against what the standard requires.
    Deviates,
}

/// What came of mutated requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fuzz {
    /// The requests follow from it.
    pub seed: u64,
    /// Requests sent.
    pub requests: u64,
    /// Connections at a time.
    pub connections: usize,
    /// Time they took, milliseconds.
    pub duration_ms: u64,
    /// Requests by the status of the first answer.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests whose connection the server ended without an answer.
    pub ended: u64,
    /// Requests without an answer while they were watched: most are incomplete.
    pub silent: u64,
    /// Answers that were no HTTP.
    pub garbled: u64,
    /// The first request of each status from 500 on.
    pub server_errors: Vec<FuzzExample>,
    /// Lines of the server's log that tell of a panic.
    pub panics: u64,
    /// The first panics that differ: where, and their message.
    pub panic_examples: Vec<String>,
    /// Resident memory after the first thousand requests, and at the end, bytes.
    pub rss_before_bytes: Option<u64>,
    /// See `rss_before_bytes`.
    pub rss_after_bytes: Option<u64>,
    /// What ended the process, or made it answer no more.
    pub deaths: Vec<FuzzDeath>,
    /// The referee's checks afterwards, on the same process.
    pub afterwards: Option<Check>,
    /// It did not end as the contract says after all of them.
    pub stop_failure: Option<String>,
}

/// A request that is worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuzzExample {
    /// What it was answered.
    pub status: u16,
    /// Its number, from 0.
    pub index: u64,
    /// Its beginning, with escapes.
    pub request: String,
}

/// A request that ended a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuzzDeath {
    /// Its number, from 0; absent where no single request did it again.
    pub index: Option<u64>,
    /// How the process ended, or what it answered no more.
    pub how: String,
    /// The request, cut down to what is needed, with escapes.
    pub request: Option<String>,
    /// The end of its log.
    pub log_tail: String,
}

impl ProtocolCell {
    /// A fault of the server, which fails the verb: the process ended, or a request within the
    /// contract's terms was answered wrongly.
    pub fn is_fault(&self) -> bool {
        self.wrong.is_some() || self.died.is_some() || self.wrong_afterwards.is_some()
    }
}

impl Fuzz {
    /// A fault of the server, which fails the verb.
    pub fn is_fault(&self) -> bool {
        let check_failed = |check: &Check| !check.failures.is_empty();
        !self.deaths.is_empty()
            || self.stop_failure.is_some()
            || self.ran_away()
            || self.afterwards.as_ref().is_some_and(check_failed)
    }

    /// Whether memory grew beyond all that orders and connections explain.
    pub fn ran_away(&self) -> bool {
        /// 65,536 orders and a thousand connections are a fraction of it.
        const LIMIT_BYTES: u64 = 256 << 20;
        match (self.rss_before_bytes, self.rss_after_bytes) {
            (Some(before), Some(after)) => after.saturating_sub(before) > LIMIT_BYTES,
            _ => false,
        }
    }
}

impl ProtocolServer {
    /// A fault in any case, or after them.
    pub fn is_fault(&self) -> bool {
        let check_failed = |check: &Check| !check.failures.is_empty();
        self.failure.is_some()
            || self.stop_failure.is_some()
            || self.cells.iter().any(ProtocolCell::is_fault)
            || self.afterwards.as_ref().is_some_and(check_failed)
            || self.fuzz.as_ref().is_some_and(Fuzz::is_fault)
    }
}

impl Protocol {
    /// The text of the file, indented, with a final newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("all keys are strings or numbers");
        text.push('\n');
        text
    }
}
