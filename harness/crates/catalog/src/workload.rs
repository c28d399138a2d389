//! Request mixes as data.
//!
//! A workload is a TOML file: a description, and weighted requests whose members are fixed or drawn.
//! `harness/workloads/` has those that come with the harness; [`file`] describes the format.

pub(crate) mod file;
pub(crate) mod session;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Number of distinct calls that a round's load is drawn from: more than a server could cache, few enough to
/// keep in memory.
pub const DISTINCT_CALLS: usize = 2_048;
/// Number of distinct calls where each of them is also checked by itself before the load.
pub const CHECKED_CALLS: usize = 256;
/// Orders that the contract has a server keep. Until it has that many, each one may take memory.
pub const KEPT_ORDERS: u64 = 65_536;
/// Number of calls that are hashed, to tell whether a workload was edited.
const HASHED_CALLS: usize = 256;

/// Maximum length of a list, relative to the number of distinct calls asked for, so that drawing also ends for
/// workloads with few possible calls.
const MAX_LENGTH_FACTOR: usize = 4;

/// The fractional part of the golden ratio: its multiples, modulo 1, cover the unit interval more evenly than
/// random numbers (an additive recurrence, or Weyl sequence).
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// One request of a workload, before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// For example `GET`.
    pub method: String,
    /// Path and query, as in `/api/v1/users?page=2`, percent-encoded.
    pub target: String,
    /// The headers from the file, without those for the body's length.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<Body>,
}

/// The body of a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Body {
    /// A JSON object, sent as `application/json` unless the headers say otherwise.
    Json(String),
    /// Bytes that are sent unchanged.
    Raw(Arc<[u8]>),
}

impl Body {
    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(text) => text.as_bytes(),
            Self::Raw(bytes) => bytes,
        }
    }
}

impl Call {
    /// The JSON text, if it is a JSON body.
    pub fn json(&self) -> Option<&str> {
        match &self.body {
            Some(Body::Json(text)) => Some(text),
            Some(Body::Raw(_)) | None => None,
        }
    }

    /// Whether the file sets a header of that name.
    pub fn has_header(&self, name: &str) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// The body's content type, if the file doesn't set it.
    pub fn content_type(&self) -> Option<&'static str> {
        let json = self.json().is_some() && !self.has_header("Content-Type");
        json.then_some("application/json")
    }
}

/// A request mix. It is only created from a valid file, so drawing from it can't fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its file's name without `.toml`.
    pub name: String,
    /// A one-line description.
    pub about: String,
    /// Whether it is measured only if it is named.
    pub optional: bool,
    /// The number of connections that it is made for, if that matters.
    pub connections: Option<u32>,
    /// At least one; each weight is above 0.
    requests: Vec<(f64, RequestTemplate)>,
}

/// A request whose members are not drawn yet.
#[derive(Debug, Clone, PartialEq)]
struct RequestTemplate {
    method: String,
    path: String,
    query: Vec<(String, Alternatives)>,
    headers: Vec<(String, Alternatives)>,
    body: Option<Content>,
}

/// A body whose members are not drawn yet.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// A JSON object.
    Json(Vec<(String, Alternatives)>),
    /// Sent unchanged.
    Raw(Arc<[u8]>),
}

/// The value of a query, header or body member: one of at least one alternatives, drawn by weight.
#[derive(Debug, Clone, PartialEq)]
struct Alternatives(Vec<(u32, ValueSource)>);

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
enum ValueSource {
    /// The member is left out.
    Absent,
    /// A string, an integer or a boolean.
    Fixed(Value),
    /// An integer, both ends included; `low <= high`.
    Range { low: i64, high: i64 },
    /// Like [`ValueSource::Range`], as text with a prefix and zero-padded to `digits`.
    Numbered {
        low: i64,
        high: i64,
        prefix: String,
        digits: usize,
    },
}

/// Why a workload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not TOML, or has an unknown key.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The place, and what is allowed there.
        source: Box<toml::de::Error>,
    },
    /// A value is invalid.
    #[error("{}: {key}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// As in `request[0].query.limit`, counted from 0.
        key: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
}

impl Workload {
    /// Reads every `*.toml` of a folder, sorted by name.
    ///
    /// # Errors
    /// The first file that can't be read or used; see [`WorkloadError`].
    pub fn load_dir(dir: &Path) -> Result<Vec<Self>, WorkloadError> {
        let paths = toml_files(dir)?;
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// Reads one file. Workloads it includes are looked for in the same folder.
    ///
    /// # Errors
    /// See [`WorkloadError`].
    pub fn load(path: &Path) -> Result<Self, WorkloadError> {
        let text = file::read(path)?;
        Self::parse(path, &text)
    }

    /// Parses the text of a file; `path` gives its name, and the folder of included files.
    ///
    /// # Errors
    /// See [`WorkloadError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, WorkloadError> {
        file::parse(path, text)
    }

    /// A hash of the first requests that this seed draws, which tells whether the workload was edited.
    pub fn requests_sha256(&self, seed: u64) -> String {
        let mut hash = Sha256::new();
        for call in self.draw(seed, HASHED_CALLS) {
            hash.update(format!("{} {}\n", call.method, call.target));
            hash.update(call.body.as_ref().map_or(&b""[..], Body::bytes));
            hash.update("\n");
            for (name, value) in &call.headers {
                hash.update(format!("{name}: {value}\n"));
            }
        }
        super::hex(&hash.finalize())
    }

    /// The paths of its requests.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.requests.iter().map(|(_, request)| &request.path[..])
    }

    /// Draws the list that a round's load is picked from uniformly. The same seed gives the same list.
    ///
    /// Drawing continues until the list has `count` distinct calls, and every draw is kept. So the list is
    /// somewhat longer than `count`, calls of high weight occur many times, and picking uniformly preserves the
    /// file's weights. It ends after `4 * count` draws if a workload has few possible calls, and after one if it
    /// has only one. The share of each `[[request]]` matches its weight to within one or two draws, whatever the
    /// seed; otherwise two seeds would load a server differently.
    pub fn draw(&self, seed: u64, count: usize) -> Vec<Call> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let longest = match self.possible_calls() {
            1 => count.min(1),
            _ => count.saturating_mul(MAX_LENGTH_FACTOR),
        };
        let total_weight: f64 = self.requests.iter().map(|(weight, _)| weight).sum();
        let mut point: f64 = rng.random();
        let mut distinct = HashSet::new();
        let mut calls = Vec::new();
        while distinct.len() < count && calls.len() < longest {
            point = (point + GOLDEN).fract();
            let call = self.request_at(point * total_weight).draw(&mut rng);
            distinct.insert(call.clone());
            calls.push(call);
        }
        calls
    }

    /// The request at a point of a line on which each request takes as much room as its weight.
    fn request_at(&self, mut point: f64) -> &RequestTemplate {
        let (last, others) = self
            .requests
            .split_last()
            .expect("a workload has at least one request");
        for (weight, request) in others {
            if point < *weight {
                return request;
            }
            point -= weight;
        }
        &last.1
    }

    /// Number of possible calls; too high if two requests overlap.
    fn possible_calls(&self) -> u128 {
        self.requests
            .iter()
            .map(|(_, request)| request.possible_calls())
            .fold(0, u128::saturating_add)
    }
}

/// Every `*.toml` of a folder, sorted by name.
///
/// # Errors
/// If the folder can't be read.
pub(crate) fn toml_files(dir: &Path) -> Result<Vec<PathBuf>, WorkloadError> {
    let read_error = |source| WorkloadError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl RequestTemplate {
    fn draw(&self, rng: &mut Pcg64) -> Call {
        let mut target = self.path.clone();
        let mut separator = '?';
        for (name, value) in draw_members(&self.query, rng) {
            target.push(separator);
            target.push_str(&percent_encode(&name));
            target.push('=');
            target.push_str(&percent_encode(&as_text(&value)));
            separator = '&';
        }
        let headers = draw_members(&self.headers, rng).into_iter();
        Call {
            method: self.method.clone(),
            target,
            headers: headers
                .map(|(name, value)| (name, as_text(&value)))
                .collect(),
            body: self.body.as_ref().map(|body| match body {
                Content::Json(members) => {
                    Body::Json(Value::Object(draw_members(members, rng)).to_string())
                }
                Content::Raw(bytes) => Body::Raw(bytes.clone()),
            }),
        }
    }

    fn possible_calls(&self) -> u128 {
        let body = match &self.body {
            Some(Content::Json(members)) => &members[..],
            Some(Content::Raw(_)) | None => &[],
        };
        self.query
            .iter()
            .chain(&self.headers)
            .chain(body)
            .map(|(_, member)| member.possible_values())
            .fold(1, u128::saturating_mul)
    }
}

fn draw_members(members: &[(String, Alternatives)], rng: &mut Pcg64) -> Map<String, Value> {
    members
        .iter()
        .filter_map(|(name, member)| Some((name.clone(), member.draw(rng)?)))
        .collect()
}

impl Alternatives {
    fn draw(&self, rng: &mut Pcg64) -> Option<Value> {
        let total: u64 = self.0.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut point = rng.random_range(0..total);
        for (weight, source) in &self.0 {
            let weight = u64::from(*weight);
            if point < weight {
                return source.draw(rng);
            }
            point -= weight;
        }
        None
    }

    fn possible_values(&self) -> u128 {
        self.0
            .iter()
            .map(|(_, source)| source.possible_values())
            .fold(0, u128::saturating_add)
    }
}

impl ValueSource {
    fn draw(&self, rng: &mut Pcg64) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Fixed(value) => Some(value.clone()),
            Self::Range { low, high } => Some(rng.random_range(*low..=*high).into()),
            Self::Numbered {
                low,
                high,
                prefix,
                digits,
            } => {
                let number = rng.random_range(*low..=*high);
                Some(format!("{prefix}{number:0digits$}").into())
            }
        }
    }

    fn possible_values(&self) -> u128 {
        match self {
            Self::Absent | Self::Fixed(_) => 1,
            Self::Range { low, high } | Self::Numbered { low, high, .. } => {
                u128::from(high.abs_diff(*low)) + 1
            }
        }
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Encodes everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
