//! Requests and their expected responses.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::compressed::Coding;
use super::engine::SURE;
use super::session::{Session, Template};

/// The requests of a drive, and a list of them. Each thread draws from the list uniformly, unless it [goes
/// through it](Script::listed) in order.
#[derive(Debug)]
pub struct Script {
    pub(crate) entries: Vec<ScriptEntry>,
    /// Indices into `entries`, at least one.
    pub(crate) list: Vec<u32>,
    pub(crate) order: Order,
    /// The names of the classes, at least one.
    pub(crate) classes: Vec<String>,
    /// Number of kinds of expected responses, at least one.
    pub(crate) kinds: usize,
    /// If the entries are the steps of sessions: those of one session follow each other, and the list has the first ones.
    pub(crate) session: Option<SessionScript>,
}

/// What the steps of sessions need besides their entries.
#[derive(Debug)]
pub(crate) struct SessionScript {
    pub(crate) session: Session,
    /// By entry; `None` if its request has no values.
    pub(crate) templates: Vec<Option<Template>>,
}

/// How to go through the list of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Draw each request uniformly.
    Drawn,
    /// From start to end, again and again: the threads share the list, each taking every n-th request.
    InTurn,
}

/// A request and its expected response.
#[derive(Debug, Clone)]
pub struct Request {
    /// The complete request as sent.
    pub wire: Vec<u8>,
    /// The expected response.
    pub expect: Expect,
}

/// An expected response. Its framing is always checked.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Only this status.
    Status(u16),
    /// Any status from 200 to 299.
    Success,
    /// A body that means the same as one accepted earlier.
    Body {
        /// The status.
        status: u16,
        /// The accepted body; an equal one is right without parsing.
        bytes: Vec<u8>,
    },
    /// A compressed body that means the same as one accepted earlier.
    Encoded {
        /// How it is compressed.
        coding: Coding,
        /// The status.
        status: u16,
        /// The accepted body as it came; an equal one is right without decompressing.
        bytes: Vec<u8>,
    },
    /// A body of the same shape as one accepted earlier: objects with the same members, and values of the same type.
    Shape {
        /// The status.
        status: u16,
        /// The accepted body; an equal one is right without parsing.
        bytes: Vec<u8>,
    },
    /// An object that is always the same except for a new positive integer in one member.
    Numbered {
        /// The status.
        status: u16,
        /// An accepted body; one that differs only in the digits of `id_member` is right without parsing.
        bytes: Vec<u8>,
        /// All other members, for comparing a body that differs otherwise.
        members: Map<String, Value>,
        /// The member with the integer, such as `id`. It must be different in every response of a drive.
        id_member: String,
    },
}

/// Why a script can't be used; request numbers start at 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// There is nothing to send.
    #[error("a script needs at least one request")]
    Empty,
    /// More requests than supported.
    #[error("a script holds at most {max} requests")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// A request without a request line and the empty line that ends its head.
    #[error("request {index} is not a complete HTTP/1.1 request")]
    NotARequest {
        /// Its index.
        index: usize,
    },
    /// An accepted body that is not an object with a positive integer in this member.
    #[error("the accepted response to request {index} has no positive integer `{member}`")]
    NoId {
        /// Its index.
        index: usize,
        /// The member.
        member: String,
    },
    /// A request with values of responses that is too large.
    #[error("step {step} takes up to {longest} bytes; one with values of responses may take {max}")]
    TooLong {
        /// The name of the step.
        step: String,
        /// Its greatest length in bytes.
        longest: usize,
        /// The limit.
        max: usize,
    },
}

/// A request prepared for sending and judging.
#[derive(Debug)]
pub(crate) struct ScriptEntry {
    pub(crate) wire: Vec<u8>,
    pub(crate) expect: Expect,
    /// The response has no body, whatever its head says.
    pub(crate) head_only: bool,
    /// For [`Expect::Numbered`]: the lengths of the accepted body before and after the id's digits.
    pub(crate) around_id: (usize, usize),
    /// The index of its class.
    pub(crate) class: u32,
    /// The kind of its response: responses of one kind are likely to have equal heads.
    pub(crate) kind: u32,
    /// The request in its form as the last of its connection.
    last: OnceLock<Vec<u8>>,
    /// The value of the accepted body, for comparing one whose bytes differ. It takes several times the memory of the
    /// body, so it is parsed when first needed.
    json: OnceLock<Option<Value>>,
}

/// Maximum number of requests in a script, so that an index fits 32 bits.
const MAX_REQUESTS: usize = 1 << 24;
/// Maximum number of response kinds; the rest share one. Each takes about 300 bytes per thread.
const MAX_KINDS: u32 = 1024;
/// Maximum number of classes in a script; each takes a histogram of about 200 KiB per thread.
const MAX_CLASSES: usize = 64;
/// The class for requests beyond the maximum.
const OTHERS: &str = "others";

impl Script {
    /// Prepares `requests` for sending, all in one class, `all`.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn new(requests: Vec<Request>) -> Result<Self, ScriptError> {
        if requests.is_empty() {
            return Err(ScriptError::Empty);
        }
        if requests.len() > MAX_REQUESTS {
            return Err(ScriptError::TooMany { max: MAX_REQUESTS });
        }
        let mut entries = requests
            .into_iter()
            .enumerate()
            .map(|(index, request)| ScriptEntry::new(index, request))
            .collect::<Result<Vec<_>, _>>()?;
        let kinds = number_kinds(&mut entries);
        Ok(Self {
            list: (0..entries.len() as u32).collect(),
            order: Order::Drawn,
            entries,
            classes: vec!["all".to_owned()],
            kinds,
            session: None,
        })
    }

    /// Prepares sessions: a request for each step, with placeholders such as `{order}` for the values that earlier steps
    /// took. A user draws one of them, sends its requests one after another, and draws the next. Each step is a class.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn sessions(session: Session, requests: Vec<Vec<Request>>) -> Result<Self, ScriptError> {
        let names = session.steps.iter().map(|step| step.name.clone());
        let steps = names.len();
        assert!(
            requests.iter().all(|requests| requests.len() == steps),
            "each session has a request for each step"
        );
        let firsts = (0..requests.len())
            .map(|place| (place * steps) as u32)
            .collect();
        let requests = requests.into_iter().flatten();
        let script = Self::with_classes(names.cycle().zip(requests).collect())?;
        let templates: Vec<Option<Template>> = script
            .entries
            .iter()
            .map(|entry| Template::new(&entry.wire, &session.values))
            .collect();
        for (template, step) in templates.iter().zip(session.steps.iter().cycle()) {
            let longest = template.as_ref().map_or(0, Template::longest);
            if longest > SURE {
                return Err(ScriptError::TooLong {
                    step: step.name.clone(),
                    longest,
                    max: SURE,
                });
            }
        }
        Ok(Self {
            session: Some(SessionScript { session, templates }),
            ..script.listed(firsts, Order::Drawn)
        })
    }

    /// Prepares `requests` for sending, each with the name of its class. Latency is also recorded by class.
    /// Beyond 63 classes, in order of first mention, the rest share one class, `others`.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn with_classes(requests: Vec<(String, Request)>) -> Result<Self, ScriptError> {
        let (names, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let mut script = Self::new(requests)?;
        script.classes.clear();
        for (entry, name) in script.entries.iter_mut().zip(names) {
            entry.class = class(&mut script.classes, name) as u32;
        }
        Ok(script)
    }

    /// Draws from `keys`, of which `request` gives the class and the request. A key that occurs again is the same
    /// request, because what is expected may be large.
    ///
    /// # Errors
    /// Those of `request`, and [`ScriptError`].
    pub fn drawn<K: Eq + Hash, E: From<ScriptError>>(
        keys: &[K],
        mut request: impl FnMut(&K) -> Result<(String, Request), E>,
    ) -> Result<Self, E> {
        let mut places: HashMap<&K, u32> = HashMap::new();
        let mut requests = Vec::new();
        let mut list = Vec::with_capacity(keys.len());
        for key in keys {
            if !places.contains_key(key) {
                places.insert(key, requests.len() as u32);
                requests.push(request(key)?);
            }
            list.push(places[key]);
        }
        Ok(Self::with_classes(requests)?.listed(list, Order::Drawn))
    }

    /// Sends the requests in the order of a list of indices, which may repeat. The list must not be empty, and
    /// every index must be valid.
    pub fn listed(mut self, list: Vec<u32>, order: Order) -> Self {
        assert!(!list.is_empty(), "the list is not empty");
        let len = self.entries.len();
        assert!(
            list.iter().all(|place| (*place as usize) < len),
            "all of the script"
        );
        (self.list, self.order) = (list, order);
        self
    }

    /// Goes through the list from start to end, again and again.
    pub fn in_turn(mut self) -> Self {
        self.order = Order::InTurn;
        self
    }

    /// The most bytes that a request with values of responses takes.
    pub(crate) fn room(&self) -> usize {
        let templates = self.session.iter().flat_map(|session| &session.templates);
        let longest = templates.flatten().map(Template::longest);
        longest.max().unwrap_or(0)
    }

    /// Number of requests, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a script is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Numbers the kinds of responses and returns how many there are. Heads of one server differ by the length they
/// announce, and by whether there is a body at all.
fn number_kinds(entries: &mut [ScriptEntry]) -> usize {
    let mut kinds = HashMap::new();
    for entry in entries {
        let next = (kinds.len() as u32).min(MAX_KINDS - 1);
        let kind = (
            entry.expect.status(),
            entry.expect.body().len(),
            entry.head_only,
        );
        entry.kind = *kinds.entry(kind).or_insert(next);
    }
    kinds.len().min(MAX_KINDS as usize)
}

/// The index of a class, which is added if it is new and there is room.
fn class(classes: &mut Vec<String>, name: String) -> usize {
    if let Some(known) = classes.iter().position(|class| *class == name) {
        return known;
    }
    match classes.len() {
        MAX_CLASSES => MAX_CLASSES - 1,
        len => {
            let last = len == MAX_CLASSES - 1;
            classes.push(if last { OTHERS.to_owned() } else { name });
            len
        }
    }
}

impl Expect {
    /// The only correct status; `None` if any success is.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Success => None,
            Self::Status(status)
            | Self::Body { status, .. }
            | Self::Encoded { status, .. }
            | Self::Shape { status, .. }
            | Self::Numbered { status, .. } => Some(*status),
        }
    }

    /// The accepted body; empty if none is expected.
    pub(crate) fn body(&self) -> &[u8] {
        match self {
            Self::Status(_) | Self::Success => &[],
            Self::Body { bytes, .. }
            | Self::Encoded { bytes, .. }
            | Self::Shape { bytes, .. }
            | Self::Numbered { bytes, .. } => bytes,
        }
    }
}

impl ScriptEntry {
    fn new(index: usize, request: Request) -> Result<Self, ScriptError> {
        let wire = request.wire;
        let has_head = wire.windows(4).any(|w| w == b"\r\n\r\n");
        let line = wire.split(|b| *b == b'\r').next().unwrap_or_default();
        if !has_head || !line.ends_with(b" HTTP/1.1") {
            return Err(ScriptError::NotARequest { index });
        }
        let around_id = match &request.expect {
            Expect::Numbered {
                bytes, id_member, ..
            } => around_integer(bytes, id_member).ok_or_else(|| ScriptError::NoId {
                index,
                member: id_member.clone(),
            })?,
            Expect::Status(_)
            | Expect::Success
            | Expect::Body { .. }
            | Expect::Encoded { .. }
            | Expect::Shape { .. } => (0, 0),
        };
        Ok(Self {
            head_only: wire.starts_with(b"HEAD "),
            wire,
            expect: request.expect,
            around_id,
            class: 0,
            kind: 0,
            last: OnceLock::new(),
            json: OnceLock::new(),
        })
    }

    /// The value of the accepted body; `None` if it isn't JSON, so that only equal bytes are right.
    pub(crate) fn json(&self) -> Option<&Value> {
        let parse = || match &self.expect {
            Expect::Encoded { coding, bytes, .. } => {
                serde_json::from_slice(&coding.decode(bytes)?).ok()
            }
            expect => serde_json::from_slice(expect.body()).ok(),
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// The request as the last of its connection: with `Connection: close`, unless it has its own `Connection`
    /// header.
    pub(crate) fn last(&self) -> &[u8] {
        self.last.get_or_init(|| {
            let mut wire = self.wire.clone();
            let end = wire.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(0);
            let is_given = wire[..end].split(|b| *b == b'\n').any(|line| {
                let name = line.split(|b| *b == b':').next().unwrap_or_default();
                name.eq_ignore_ascii_case(b"connection")
            });
            if !is_given {
                let at = end + 2;
                wire.splice(at..at, *b"Connection: close\r\n");
            }
            wire
        })
    }

    /// The request line, for messages.
    pub(crate) fn line(&self) -> String {
        let line = self.wire.split(|b| *b == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }
}

/// The range of the digits of the top-level member `name` in the object `body`.
fn around_integer(body: &[u8], name: &str) -> Option<(usize, usize)> {
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let value = object.get(name)?.as_u64().filter(|n| *n > 0)?;
    // The document is known to be valid, so tracking strings and depth is enough.
    let (mut depth, mut at) = (0_u32, 0);
    while at < body.len() {
        match body[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let end = string_end(body, at)?;
                let after = skip_space(body, end);
                let key = depth == 1 && body.get(after) == Some(&b':');
                if key && serde_json::from_slice::<String>(&body[at..end]).ok()? == name {
                    let start = skip_space(body, after + 1);
                    let digits = body[start..].iter().take_while(|b| b.is_ascii_digit());
                    let end = start + digits.count();
                    // The last of repeated members counts; `1e3` is not just digits.
                    if body[start..end] == *value.to_string().as_bytes() {
                        return Some((start, end));
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The index after the string that begins at `start`.
fn string_end(body: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    while *body.get(at)? != b'"' {
        at += if body[at] == b'\\' { 2 } else { 1 };
    }
    Some(at + 1)
}

fn skip_space(body: &[u8], mut at: usize) -> usize {
    while body.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits<'a>(body: &'a str, name: &str) -> Option<&'a str> {
        around_integer(body.as_bytes(), name).map(|(start, end)| &body[start..end])
    }

    #[test]
    fn the_id_is_found_at_the_top_level_only() {
        assert_eq!(digits(r#"{"id":17,"qty":1}"#, "id"), Some("17"));
        assert_eq!(
            digits(r#"{"a":{"id":3},"s":"\"id\":4","id" : 55 }"#, "id"),
            Some("55")
        );
        assert_eq!(
            digits(r#"{"v":"id","x":[{"id":1}],"id":2}"#, "id"),
            Some("2")
        );
    }

    #[test]
    fn what_is_no_positive_integer_is_refused() {
        for body in [
            r#"{"id":0}"#,
            r#"{"id":-1}"#,
            r#"{"id":"1"}"#,
            r#"{"id":1.5}"#,
            r#"{"other":1}"#,
            "[1]",
            "",
        ] {
            assert_eq!(digits(body, "id"), None, "{body}");
        }
    }

    #[test]
    fn classes_are_numbered_by_name_and_bounded() {
        let request = || Request {
            wire: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            expect: Expect::Success,
        };
        let script = |names: Vec<String>| {
            Script::with_classes(names.into_iter().map(|name| (name, request())).collect()).unwrap()
        };
        let few = script(["a", "b", "a"].map(str::to_owned).to_vec());
        assert_eq!(few.classes, ["a", "b"]);
        assert_eq!(
            few.entries.iter().map(|e| e.class).collect::<Vec<_>>(),
            [0, 1, 0]
        );
        let many = script((0..100).map(|n| n.to_string()).collect());
        assert_eq!(
            (many.classes.len(), &many.classes[62..]),
            (64, &["62".to_owned(), OTHERS.to_owned()][..])
        );
        assert_eq!(
            [62, 63, 64, 99].map(|n| many.entries[n].class),
            [62, 63, 63, 63]
        );
        assert_eq!(Script::new(vec![request()]).unwrap().classes, ["all"]);
    }

    #[test]
    fn answers_of_one_length_are_of_one_kind() {
        let request = |method: &str, status: u16, length: usize| Request {
            wire: format!("{method} / HTTP/1.1\r\n\r\n").into_bytes(),
            expect: Expect::Body {
                status,
                bytes: vec![b' '; length],
            },
        };
        let kinds = |requests: Vec<Request>| {
            let script = Script::new(requests).unwrap();
            let each: Vec<u32> = script.entries.iter().map(|e| e.kind).collect();
            (each, script.kinds)
        };
        let few = [
            request("GET", 200, 5),
            request("GET", 200, 6),
            request("HEAD", 200, 5),
            request("GET", 404, 5),
            request("GET", 200, 5),
        ];
        assert_eq!(kinds(few.to_vec()), (vec![0, 1, 2, 3, 0], 4));
        let (each, count) = kinds((0..2000).map(|n| request("GET", 200, n)).collect());
        assert_eq!(count, 1024);
        assert_eq!(
            [1022, 1023, 1024, 1999].map(|n| each[n]),
            [1022, 1023, 1023, 1023]
        );
    }

    #[test]
    fn the_last_request_of_a_connection_asks_to_close() {
        let last = |wire: &str| {
            let request = Request {
                wire: wire.into(),
                expect: Expect::Success,
            };
            let script = Script::new(vec![request]).unwrap();
            String::from_utf8(script.entries[0].last().to_vec()).unwrap()
        };
        assert_eq!(
            last("POST / HTTP/1.1\r\nA: b\r\n\r\nx\r\n\r\n"),
            "POST / HTTP/1.1\r\nA: b\r\nConnection: close\r\n\r\nx\r\n\r\n"
        );
        assert_eq!(
            last("GET / HTTP/1.1\r\n\r\n"),
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
        );
        let own = "GET / HTTP/1.1\r\nCONNECTION: keep-alive\r\n\r\n";
        assert_eq!(last(own), own);
        let another = "GET / HTTP/1.1\r\nX: connection: y\r\n";
        assert!(last(&format!("{another}\r\n")).contains("Connection: close"));
    }

    #[test]
    #[should_panic(expected = "all of the script")]
    fn a_list_names_requests_of_its_script() {
        let request = Request {
            wire: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            expect: Expect::Success,
        };
        let script = Script::new(vec![request]).unwrap();
        assert_eq!(script.list, [0]);
        script.listed(vec![0, 0, 1], Order::InTurn);
    }

    #[test]
    fn half_a_request_is_refused() {
        for wire in ["", "GET / HTTP/1.1\r\n", "GET /\r\n\r\n"] {
            let request = Request {
                wire: wire.into(),
                expect: Expect::Status(200),
            };
            let refused = Script::new(vec![request]).map(|_| ());
            assert_eq!(refused, Err(ScriptError::NotARequest { index: 0 }));
        }
        assert_eq!(Script::new(Vec::new()).map(|_| ()), Err(ScriptError::Empty));
    }
}
