//! The workload file.
//!
//! ```toml
//! about = "One line on what it shows"
//! optional = true                # measured only if it is named; default: false
//! connections = 256              # of a run of this workload, if the user doesn't say
//!
//! [[request]]
//! weight = 3                     # default: 1
//! method = "GET"                 # default: GET
//! path = "/api/v1/users"
//! [request.query]                # members in alphabetical order on the wire
//! limit = 20                     # fixed: a string, an integer or a boolean
//! page = [{ range = [1, 500] }]  # drawn: one of these, by weight
//! status = [{ value = "active", weight = 2 }, { absent = true }]
//!
//! [[request]]
//! method = "POST"
//! path = "/api/v1/orders"
//! [request.headers]              # fixed or drawn, in alphabetical order
//! X-Request-Id = [{ range = [1, 9999], prefix = "r-" }]
//! [request.body]                 # a JSON object
//! item_id = [{ range = [0, 999], prefix = "SKU-", digits = 3 }]
//!
//! [[request]]
//! method = "PUT"
//! path = "/notes/7"
//! headers = { Content-Type = "text/plain" }
//! body = "sent as it is"         # or body_file = "note.txt", a file in the workload's folder; or body_bytes = 1000,
//!                                # so many bytes, always the same
//!
//! [[request]]
//! weight = 2
//! include = "orders"             # all requests of orders.toml, sharing this weight
//! ```

use std::collections::BTreeMap;
use std::fs::File as Opened;
use std::io::{self, Read as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Alternatives, Content, RequestTemplate, ValueSource, Workload, WorkloadError, as_text,
};
use crate::header_problem;

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
const METHODS_WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];
/// More digits would look the same as zeros typed by mistake.
const MAX_DIGITS: usize = 20;
/// Maximum size of a workload file, bytes: far above any workload, and far below what would fill the memory if the
/// path is wrong.
const MAX_FILE: u64 = 1 << 20;
/// Maximum size of a body file, bytes.
const MAX_BODY: u64 = 64 << 20;

/// This many levels of nesting fit any stack: each takes about 10 KB in debug builds.
const SHALLOW: usize = 100;
/// Enough stack for 6,400 levels, bytes; the system allocates only what is used.
const DEEP_STACK: usize = 256 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    #[serde(default)]
    optional: bool,
    connections: Option<NonZeroU32>,
    #[serde(default)]
    request: Vec<RequestEntry>,
    /// Of a session, which is no workload.
    step: Option<toml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename = "Entry", deny_unknown_fields)]
pub(crate) struct RequestEntry {
    pub(super) weight: Option<u32>,
    pub(super) include: Option<String>,
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) query: Option<BTreeMap<String, toml::Value>>,
    pub(super) headers: Option<BTreeMap<String, toml::Value>>,
    pub(super) body: Option<toml::Value>,
    pub(super) body_file: Option<PathBuf>,
    pub(super) body_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alternative {
    weight: Option<u32>,
    value: Option<toml::Value>,
    absent: Option<bool>,
    range: Option<[i64; 2]>,
    prefix: Option<String>,
    digits: Option<usize>,
}

/// A key and what is wrong with its value.
pub(super) struct Problem {
    pub(super) key: String,
    pub(super) problem: String,
}

pub(super) type Parsed<T> = Result<T, Problem>;

pub(super) fn wrong<T>(key: impl Into<String>, problem: impl Into<String>) -> Parsed<T> {
    Err(Problem {
        key: key.into(),
        problem: problem.into(),
    })
}

/// Whether a workload may include others. An included one may not, so cycles are impossible.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Includes {
    Allowed,
    Refused,
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, WorkloadError> {
    let read_error = |source| WorkloadError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = Opened::open(path).map_err(read_error)?;
    // Read one byte more than allowed, to detect larger files.
    let mut limited = file.take(MAX_FILE + 1);
    limited.read_to_string(&mut text).map_err(read_error)?;
    if text.len() as u64 > MAX_FILE {
        let kind = io::ErrorKind::FileTooLarge;
        let what = "more than 1 MiB: not a workload";
        return Err(read_error(io::Error::new(kind, what)));
    }
    Ok(text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Workload, WorkloadError> {
    with_room_for(text, || parse_with(path, text, Includes::Allowed))
}

/// Runs `read` with enough stack for the nesting of `text`.
///
/// The TOML reader allows 80 tables in a key and 80 tables in a value, so a few kilobytes of dotted keys in
/// inline tables have 6,400 levels, each one call deeper.
pub(crate) fn with_room_for<T: Send>(text: &str, read: impl FnOnce() -> T + Send) -> T {
    // Every level has at least one of these.
    let levels = text.bytes().filter(|byte| b".{[".contains(byte)).count();
    if levels <= SHALLOW {
        return read();
    }
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new().stack_size(DEEP_STACK);
        let reader = deep.spawn_scoped(scope, read);
        let read = reader.expect("a thread can be started").join();
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn parse_with(path: &Path, text: &str, includes: Includes) -> Result<Workload, WorkloadError> {
    let file: File = toml::from_str(text).map_err(|source| WorkloadError::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let in_this_file = |Problem { key, problem }| WorkloadError::Value {
        path: path.to_owned(),
        key,
        problem,
    };
    if file.step.is_some() {
        return wrong(
            "step",
            "a session, which only `harness drive --session` sends",
        )
        .map_err(in_this_file);
    }
    let name = name_of(path).map_err(in_this_file)?;
    let about = one_line(file.about).map_err(in_this_file)?;
    let requests = requests(path, file.request, includes)?;
    if requests.is_empty() {
        return wrong("request", "a workload needs at least one [[request]]").map_err(in_this_file);
    }
    Ok(Workload {
        name,
        about,
        optional: file.optional,
        connections: file.connections.map(NonZeroU32::get),
        requests,
    })
}

/// A workload of these requests, named after its file; `None` if there are none.
pub(crate) fn with_requests(
    path: &Path,
    about: &str,
    entries: Vec<RequestEntry>,
) -> Result<Option<Workload>, WorkloadError> {
    let in_this_file = |Problem { key, problem }| WorkloadError::Value {
        path: path.to_owned(),
        key,
        problem,
    };
    let name = name_of(path).map_err(in_this_file)?;
    let about = one_line(about.to_owned()).map_err(in_this_file)?;
    let requests = requests(path, entries, Includes::Allowed)?;
    Ok((!requests.is_empty()).then_some(Workload {
        name,
        about,
        optional: true,
        connections: None,
        requests,
    }))
}

fn requests(
    path: &Path,
    entries: Vec<RequestEntry>,
    includes: Includes,
) -> Result<Vec<(f64, RequestTemplate)>, WorkloadError> {
    let in_this_file = |Problem { key, problem }| WorkloadError::Value {
        path: path.to_owned(),
        key,
        problem,
    };
    let mut requests = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let key = format!("request[{index}]");
        let weight = f64::from(weight_of(&key, entry.weight).map_err(in_this_file)?);
        match entry.include.clone() {
            None => requests.push((weight, request(path, &key, entry).map_err(in_this_file)?)),
            Some(included) => {
                check_include(&key, &included, &entry, includes).map_err(in_this_file)?;
                let included = load_included(path, &included)?;
                requests.extend(shared(weight, included.requests));
            }
        }
    }
    Ok(requests)
}

pub(super) fn name_of(path: &Path) -> Parsed<String> {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some(name) if is_name(name) => Ok(name.to_owned()),
        _ => wrong(
            "the file's name",
            "may only have lowercase letters, digits and hyphens",
        ),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

pub(super) fn one_line(about: String) -> Parsed<String> {
    if about.trim().is_empty() || about.chars().any(char::is_control) {
        return wrong("about", "must be a one-line description");
    }
    Ok(about)
}

fn weight_of(key: &str, weight: Option<u32>) -> Parsed<u32> {
    match weight.unwrap_or(1) {
        0 => wrong(format!("{key}.weight"), "must be a whole number from 1 up"),
        weight => Ok(weight),
    }
}

fn check_include(key: &str, name: &str, entry: &RequestEntry, includes: Includes) -> Parsed<()> {
    let key = format!("{key}.include");
    let alone = entry.method.is_none()
        && entry.path.is_none()
        && entry.query.is_none()
        && entry.headers.is_none()
        && entry.body.is_none()
        && entry.body_file.is_none()
        && entry.body_bytes.is_none();
    if includes == Includes::Refused {
        return wrong(key, "an included workload can't include another");
    }
    if !is_name(name) {
        return wrong(
            key,
            format!("{name:?} must be the name of a workload in the same folder, without .toml"),
        );
    }
    if !alone {
        return wrong(key, "can only be combined with a weight");
    }
    Ok(())
}

fn load_included(path: &Path, name: &str) -> Result<Workload, WorkloadError> {
    let included = path.with_file_name(format!("{name}.toml"));
    let text = read(&included)?;
    with_room_for(&text, || parse_with(&included, &text, Includes::Refused))
}

/// Scales an included workload's weights so that together they are `weight`.
fn shared(
    weight: f64,
    requests: Vec<(f64, RequestTemplate)>,
) -> impl Iterator<Item = (f64, RequestTemplate)> {
    let total: f64 = requests.iter().map(|(weight, _)| weight).sum();
    requests
        .into_iter()
        .map(move |(inner, request)| (weight * inner / total, request))
}

pub(super) fn request(path: &Path, key: &str, entry: RequestEntry) -> Parsed<RequestTemplate> {
    let method = entry.method.unwrap_or_else(|| "GET".to_owned());
    if !METHODS.contains(&method.as_str()) {
        return wrong(
            format!("{key}.method"),
            format!("{method:?} is not one of {}", METHODS.join(", ")),
        );
    }
    let has_body = entry.body.is_some() || entry.body_file.is_some() || entry.body_bytes.is_some();
    if has_body && !METHODS_WITH_BODY.contains(&method.as_str()) {
        return wrong(
            format!("{key}.body"),
            format!("only {} can have a body", METHODS_WITH_BODY.join(", ")),
        );
    }
    Ok(RequestTemplate {
        path: path_of(key, entry.path)?,
        query: members(&format!("{key}.query"), entry.query.unwrap_or_default())?,
        headers: headers(key, entry.headers.unwrap_or_default())?,
        body: body(path, key, entry.body, entry.body_file, entry.body_bytes)?,
        method,
    })
}

fn headers(key: &str, given: BTreeMap<String, toml::Value>) -> Parsed<Vec<(String, Alternatives)>> {
    let key = format!("{key}.headers");
    let headers = members(&key, given)?;
    for (name, Alternatives(alternatives)) in &headers {
        for (_, source) in alternatives {
            let value = match source {
                ValueSource::Fixed(value) => as_text(value),
                ValueSource::Numbered { prefix, .. } => prefix.clone(),
                ValueSource::Absent | ValueSource::Range { .. } => String::new(),
            };
            if let Some(problem) = header_problem(name, &value) {
                return wrong(format!("{key}.{name}"), problem);
            }
        }
    }
    Ok(headers)
}

/// The body of a request in the workload at `path`.
fn body(
    path: &Path,
    key: &str,
    given: Option<toml::Value>,
    file: Option<PathBuf>,
    bytes: Option<u64>,
) -> Parsed<Option<Content>> {
    let key = format!("{key}.body");
    if let Some(count) = bytes {
        if given.is_some() || file.is_some() {
            return wrong(
                format!("{key}_bytes"),
                "can't be combined with another body",
            );
        }
        return Ok(Some(Content::Raw(some_bytes(&key, count)?)));
    }
    Ok(match (given, file) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            return wrong(key, "can't be combined with body_file: use one of them");
        }
        (None, Some(file)) => Some(Content::Raw(body_file(path, &key, &file)?)),
        (Some(toml::Value::String(text)), None) => Some(Content::Raw(text.into_bytes().into())),
        (Some(toml::Value::Table(table)), None) => {
            Some(Content::Json(members(&key, table.into_iter().collect())?))
        }
        (Some(_), None) => {
            return wrong(
                key,
                "must be a table, sent as JSON, or a string, sent unchanged",
            );
        }
    })
}

/// So many bytes, of every value but a few, always the same.
fn some_bytes(key: &str, count: u64) -> Parsed<Arc<[u8]>> {
    match count {
        1..=MAX_BODY => Ok((0..count).map(|at| (at * 31 % 251) as u8).collect()),
        _ => wrong(
            format!("{key}_bytes"),
            format!("must be from 1 to {MAX_BODY}"),
        ),
    }
}

/// Reads a body file next to the workload.
fn body_file(workload: &Path, key: &str, file: &Path) -> Parsed<Arc<[u8]>> {
    let path = workload.with_file_name("").join(file);
    let read = || {
        // Something that isn't a regular file may be endless.
        if !std::fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let mut bytes = Vec::new();
        Opened::open(&path)?
            .take(MAX_BODY + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BODY {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "more than 64 MiB",
            ));
        }
        Ok(bytes.into())
    };
    read().or_else(|error| {
        wrong(
            format!("{key}_file"),
            format!("{}: {error}", path.display()),
        )
    })
}

fn path_of(key: &str, path: Option<String>) -> Parsed<String> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    match path {
        Some(path) if path.starts_with('/') && path.bytes().all(allowed) => Ok(path),
        Some(path) => wrong(
            format!("{key}.path"),
            format!(
                "{path:?} must start with / and must not have a space, ?, # or non-ASCII characters; \
                 parameters belong in [request.query]"
            ),
        ),
        None => wrong(key, "needs a path or an include"),
    }
}

fn members(
    key: &str,
    members: BTreeMap<String, toml::Value>,
) -> Parsed<Vec<(String, Alternatives)>> {
    members
        .into_iter()
        .map(|(name, value)| {
            let member = member(&format!("{key}.{name}"), value)?;
            Ok((name, member))
        })
        .collect()
}

fn member(key: &str, value: toml::Value) -> Parsed<Alternatives> {
    let alternatives = match value {
        toml::Value::Array(alternatives) if !alternatives.is_empty() => alternatives,
        scalar => {
            return Ok(Alternatives(vec![(
                1,
                ValueSource::Fixed(fixed(key, scalar)?),
            )]));
        }
    };
    alternatives
        .into_iter()
        .enumerate()
        .map(|(index, value)| alternative(&format!("{key}[{index}]"), value))
        .collect::<Parsed<_>>()
        .map(Alternatives)
}

fn fixed(key: &str, value: toml::Value) -> Parsed<Value> {
    match value {
        toml::Value::String(text) => Ok(text.into()),
        toml::Value::Integer(number) => Ok(number.into()),
        toml::Value::Boolean(flag) => Ok(flag.into()),
        _ => wrong(
            key,
            "must be a string, an integer, a boolean, or a list of { value = … }, \
             { range = [low, high] } and { absent = true }, each with an optional weight",
        ),
    }
}

fn alternative(key: &str, value: toml::Value) -> Parsed<(u32, ValueSource)> {
    let alternative: Alternative = match value.try_into() {
        Ok(alternative) => alternative,
        Err(error) => return wrong(key, error.message()),
    };
    let weight = weight_of(key, alternative.weight)?;
    let is_text = alternative.prefix.is_some() || alternative.digits.is_some();
    let source = match (alternative.value, alternative.absent, alternative.range) {
        (Some(value), None, None) if !is_text => ValueSource::Fixed(fixed(key, value)?),
        (None, Some(true), None) if !is_text => ValueSource::Absent,
        (None, None, Some(ends)) => {
            let prefix = alternative.prefix.unwrap_or_default();
            range(key, ends, prefix, alternative.digits, is_text)?
        }
        _ => {
            return wrong(
                key,
                "needs one of value, range and absent = true; prefix and digits need a range",
            );
        }
    };
    Ok((weight, source))
}

fn range(
    key: &str,
    [low, high]: [i64; 2],
    prefix: String,
    digits: Option<usize>,
    is_text: bool,
) -> Parsed<ValueSource> {
    if low > high {
        return wrong(
            format!("{key}.range"),
            format!("{low} is above {high}; both ends are included"),
        );
    }
    let digits = digits.unwrap_or(1);
    if digits > MAX_DIGITS {
        return wrong(
            format!("{key}.digits"),
            format!("must be at most {MAX_DIGITS}, not {digits}"),
        );
    }
    Ok(match is_text {
        false => ValueSource::Range { low, high },
        true => ValueSource::Numbered {
            low,
            high,
            prefix,
            digits,
        },
    })
}
