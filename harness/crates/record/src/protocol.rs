//! `protocol.json`: how servers respond to unusual, slow, invalid and hostile clients.
//!
//! It is a separate file with its own version, because other commands write it and nothing in it is measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Check, Document, Failure, Head};

/// The file's name.
pub const PROTOCOL_FILE: &str = "protocol.json";

/// The protocol matrix: what each server did in each case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// Time limit for a response, seconds.
    pub patience_s: f64,
    /// How long an open connection was watched, seconds.
    pub let_go_s: f64,
    /// Simultaneous idle connections.
    pub idle_connections: usize,
    /// The rows, in order.
    pub cases: Vec<ProtocolCase>,
    /// The columns, in name order.
    pub servers: Vec<ProtocolServer>,
}

/// One row of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolCase {
    /// A stable name, as in `length-negative`.
    pub id: String,
    /// Its heading.
    pub concern: String,
    /// What the client does.
    pub sends: String,
    /// The RFC and the section, as in `9112 §6.3`.
    pub section: String,
    /// What that requires.
    pub asks: String,
    /// It is within the contract, so a wrong response is a fault.
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
    /// One for each case, in the order of the cases; empty if the server could not be tested.
    pub cells: Vec<ProtocolCell>,
    /// The referee's checks, run on the same process after the cases.
    pub afterwards: Option<Check>,
    /// It did not stop afterwards as the contract requires.
    pub stop_failure: Option<String>,
    /// Why it could not be tested.
    pub failure: Option<Failure>,
    /// The results of mutated requests, if any were sent.
    pub fuzz: Option<Fuzz>,
}

/// What a server did in one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolCell {
    /// The case's id.
    pub case: String,
    /// A short description, as in `400, closed`.
    pub text: String,
    /// Whether that conforms to the standard.
    pub agreement: Agreement,
    /// A note for users of the server.
    pub note: Option<String>,
    /// What was wrong with the response to a request within the contract.
    pub wrong: Option<String>,
    /// How the process ended, if it did not survive the case.
    pub died: Option<String>,
    /// The end of its log in that case.
    pub log_tail: Option<String>,
    /// What was wrong with the response on a new connection after the case, if anything.
    pub wrong_afterwards: Option<String>,
}

/// Whether a behaviour conforms to RFC 9110 and RFC 9112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    /// It does what the standard requires.
    Follows,
    /// The standard allows it, but may recommend something else.
    Permitted,
    /// It violates the standard.
    Deviates,
}

/// The results of mutated requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fuzz {
    /// Determines the requests.
    pub seed: u64,
    /// Requests sent.
    pub requests: u64,
    /// Concurrent connections.
    pub connections: usize,
    /// Elapsed time, milliseconds.
    pub duration_ms: u64,
    /// Requests by the status of the first response.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests whose connection the server closed without a response.
    pub ended: u64,
    /// Requests without a response while they were watched; most are incomplete.
    pub silent: u64,
    /// Responses that weren't HTTP.
    pub garbled: u64,
    /// The first request for each status of 500 or above.
    pub server_errors: Vec<FuzzExample>,
    /// Lines in the server's log that report a panic.
    pub panics: u64,
    /// The first distinct panics: location and message.
    pub panic_examples: Vec<String>,
    /// Resident memory after the first thousand requests, and at the end, bytes.
    pub rss_before_bytes: Option<u64>,
    /// See `rss_before_bytes`.
    pub rss_after_bytes: Option<u64>,
    /// What ended the process, or made it stop responding.
    pub deaths: Vec<FuzzDeath>,
    /// The referee's checks afterwards, on the same process.
    pub afterwards: Option<Check>,
    /// It did not stop afterwards as the contract requires.
    pub stop_failure: Option<String>,
}

/// A notable request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuzzExample {
    /// The response.
    pub status: u16,
    /// Its number, from 0.
    pub index: u64,
    /// The start of the request, escaped.
    pub request: String,
}

/// A request that ended a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuzzDeath {
    /// Its number, from 0; absent if no single request reproduced it.
    pub index: Option<u64>,
    /// How the process ended, or what it no longer responded to.
    pub how: String,
    /// The minimised request, escaped.
    pub request: Option<String>,
    /// The end of its log.
    pub log_tail: String,
}

impl ProtocolCell {
    /// A fault of the server, which makes the command fail: the process ended, or the response to a request
    /// within the contract was wrong.
    pub fn is_fault(&self) -> bool {
        self.wrong.is_some() || self.died.is_some() || self.wrong_afterwards.is_some()
    }
}

impl Fuzz {
    /// A fault of the server, which makes the command fail.
    pub fn is_fault(&self) -> bool {
        let check_failed = |check: &Check| !check.failures.is_empty();
        !self.deaths.is_empty()
            || self.stop_failure.is_some()
            || self.ran_away()
            || self.afterwards.as_ref().is_some_and(check_failed)
    }

    /// Whether memory grew by more than orders and connections explain.
    pub fn ran_away(&self) -> bool {
        /// 65,536 orders and a thousand connections need only a fraction of this.
        const LIMIT_BYTES: u64 = 256 << 20;
        match (self.rss_before_bytes, self.rss_after_bytes) {
            (Some(before), Some(after)) => after.saturating_sub(before) > LIMIT_BYTES,
            _ => false,
        }
    }
}

impl ProtocolServer {
    /// A fault in any case, or after the cases.
    pub fn is_fault(&self) -> bool {
        let check_failed = |check: &Check| !check.failures.is_empty();
        self.failure.is_some()
            || self.stop_failure.is_some()
            || self.cells.iter().any(ProtocolCell::is_fault)
            || self.afterwards.as_ref().is_some_and(check_failed)
            || self.fuzz.as_ref().is_some_and(Fuzz::is_fault)
    }
}

impl Document for Protocol {
    const WHAT: &'static str = "protocol matrix";
    const KIND: &'static str = "protocol";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}
