//! Checks the response to each request before the clock runs.
//!
//! Sends every request of the round once and checks the JSON of its response, each member once, against the
//! referee's own model of the contract. The accepted bytes become what the load generator expects. So comparing
//! bytes is enough under load, and still every response is checked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::Value;

use super::Interrupt;
use catalog::{Body, Call};
use loadgen::{Client, Coding, Expect, Request, Response, Script, id_beside, means};
use referee::{Expected, Model};

/// Time limit for all responses of a round before the load.
const LIMIT: Duration = Duration::from_secs(30);
/// The member that holds an order's number.
const ID: &str = "id";
/// The level at which made responses are compressed.
const LEVEL: u32 = 6;

/// Knows the correct responses.
#[derive(Debug, Default)]
pub struct Referee {
    model: Model,
}

impl Referee {
    /// Builds the model of the contract's data.
    pub fn new() -> Self {
        Self {
            model: Model::new(),
        }
    }

    /// The request sent to a starting server until it responds.
    pub fn readiness(&self) -> Call {
        Call {
            method: "GET".to_owned(),
            target: "/ping".to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Whether a response is what the contract requires; if so, what to expect under load.
    ///
    /// # Errors
    /// The request, the response, and what was expected.
    pub fn judge(&self, call: &Call, response: &Response) -> Result<Expect> {
        let expected = self.expected(call)?;
        if let Expected::Encoded {
            coding,
            status,
            body,
        } = expected
        {
            return self.judge_encoded(call, response, coding, status, &body);
        }
        let bytes = response.body.clone();
        let expect = match expected {
            Expected::Json { status, body }
                if status == response.status && means(&response.body, &body) =>
            {
                Some(Expect::Body { status, bytes })
            }
            Expected::Order { status, members }
                if status == response.status
                    && id_beside(&response.body, &members, ID).is_some() =>
            {
                Some(Expect::Numbered {
                    status,
                    bytes,
                    members,
                    id_member: ID.to_owned(),
                })
            }
            Expected::Json { .. } | Expected::Encoded { .. } | Expected::Order { .. } => None,
        };
        expect.ok_or_else(|| {
            let json: serde_json::Result<Value> = serde_json::from_slice(&response.body);
            let why = json.err().map(|error| error.to_string());
            let why = why.as_deref().unwrap_or("not what the contract requires");
            self.refused(call, response, why)
        })
    }

    /// The same for a response that must be compressed, and say so.
    fn judge_encoded(
        &self,
        call: &Call,
        response: &Response,
        coding: &str,
        status: u16,
        json: &Value,
    ) -> Result<Expect> {
        let said = Coding::of_head(&response.head).filter(|said| said.name() == coding);
        let why = match said.map(|coding| (coding, coding.decode(&response.body))) {
            None => format!("no Content-Encoding: {coding}"),
            Some((_, None)) => format!("the body isn't {coding}, as its Content-Encoding says"),
            Some((coding, Some(plain))) if status == response.status && means(&plain, json) => {
                let bytes = response.body.clone();
                return Ok(Expect::Encoded {
                    coding,
                    status,
                    bytes,
                });
            }
            Some(_) => "not what the contract requires".to_owned(),
        };
        Err(self.refused(call, response, &why))
    }

    /// A correct response made from the model, with the headers that the contract requires. An order has the id
    /// 1.
    ///
    /// # Errors
    /// If the contract defines no response to the call.
    pub(super) fn made(&self, call: &Call) -> Result<Accepted> {
        let expected = self.expected(call)?;
        let (status, coding, body) = match expected {
            Expected::Json { status, body } => (status, None, body),
            Expected::Encoded {
                coding,
                status,
                body,
            } => (status, Coding::named(coding), body),
            Expected::Order {
                status,
                mut members,
            } => {
                members.insert(ID.to_owned(), 1.into());
                (status, None, Value::Object(members))
            }
        };
        let mut body = serde_json::to_vec(&body)?;
        let mut encoding = String::new();
        if let Some(coding) = coding {
            body = coding.encode(&body, LEVEL);
            let name = coding.name();
            encoding = format!("Content-Encoding: {name}\r\nVary: Accept-Encoding\r\n");
        }
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now())?;
        let head = format!(
            "HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {}\r\n{encoding}Date: {date}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let response = Response {
            status,
            wire: [&head[..], &body].concat(),
            head,
            body,
            close: false,
            first_byte: Duration::ZERO,
            total: Duration::ZERO,
        };
        let expect = self.judge(call, &response)?;
        Ok(Accepted { response, expect })
    }

    fn expected(&self, call: &Call) -> Result<Expected> {
        self.model
            .expect(call)
            .with_context(|| format!("the contract defines no response to {}", line(call)))
    }

    fn refused(&self, call: &Call, response: &Response, why: &str) -> anyhow::Error {
        let wanted = match self.model.expect(call) {
            Some(Expected::Json { status, body }) => format!("{status} {body}"),
            Some(Expected::Encoded {
                coding,
                status,
                body,
            }) => format!("{status}, {coding} of {body}"),
            Some(Expected::Order { status, members }) => {
                format!("{status} {} with an id", Value::Object(members))
            }
            None => "no particular response".to_owned(),
        };
        anyhow!(
            "{}: {why}; got {} {}, expected {}",
            line(call),
            response.status,
            clip(&String::from_utf8_lossy(&response.body)),
            clip(&wanted),
        )
    }
}

/// A response that the referee accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    /// As received.
    pub(super) response: Response,
    /// What to expect in response to the same call under load.
    pub(super) expect: Expect,
}

/// The one class of requests that have none by route.
pub(super) const ALL: &str = "all";

/// Sends each call once and makes the script from the accepted responses.
///
/// # Errors
/// The first response that is not what the contract requires.
pub fn accept(
    addr: SocketAddr,
    calls: &[Call],
    referee: &Referee,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Script> {
    let mut accepted = ask(addr, calls, referee, timeout, interrupt)?;
    let expect = |call: &Call| accepted.remove(call).map(|accepted| accepted.expect);
    script(addr, calls, |_| ALL.to_owned(), expect)
}

/// The same, with a class for each route.
///
/// # Errors
/// See [`accept`].
pub fn accept_by_route(
    addr: SocketAddr,
    calls: &[Call],
    referee: &Referee,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Script> {
    let mut accepted = ask(addr, calls, referee, timeout, interrupt)?;
    let class = |call: &Call| {
        let path = call.target.split('?').next().unwrap_or_default();
        format!("{} {path}", call.method)
    };
    let expect = |call: &Call| accepted.remove(call).map(|accepted| accepted.expect);
    script(addr, calls, class, expect)
}

/// Draws from `calls`.
///
/// # Errors
/// If there is no call, or `expect` knows none of its response.
pub(super) fn script(
    addr: SocketAddr,
    calls: &[Call],
    class: impl Fn(&Call) -> String,
    mut expect: impl FnMut(&Call) -> Option<Expect>,
) -> Result<Script> {
    if calls.is_empty() {
        bail!("the workload has no requests");
    }
    Script::drawn(calls, |call| {
        let expect = expect(call);
        let expect = expect.with_context(|| format!("no response to {}", line(call)))?;
        let wire = wire(call, addr);
        Ok((class(call), Request { wire, expect }))
    })
}

/// Sends each distinct call once, however often it occurs, and returns a response for every call.
///
/// # Errors
/// The first response that is not what the contract requires.
pub(super) fn ask<'c>(
    addr: SocketAddr,
    calls: &'c [Call],
    referee: &Referee,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<HashMap<&'c Call, Accepted>> {
    let begin = Instant::now();
    let mut client = Client::new(addr, timeout);
    let mut accepted = HashMap::new();
    for (index, call) in calls.iter().enumerate() {
        if accepted.contains_key(call) {
            continue;
        }
        if interrupt.is_set() {
            bail!("interrupted");
        }
        if begin.elapsed() > LIMIT {
            bail!(
                "only {index} of {} responses arrived within {} s, one request at a time",
                calls.len(),
                LIMIT.as_secs()
            );
        }
        let response = client
            .exchange(&wire(call, addr))
            .with_context(|| format!("no response to {}", line(call)))?;
        let expect = referee.judge(call, &response)?;
        accepted.insert(call, Accepted { response, expect });
    }
    Ok(accepted)
}

/// The complete request as sent; only what HTTP/1.1 and the contract need.
pub fn wire(call: &Call, addr: SocketAddr) -> Vec<u8> {
    let mut text = format!("{} HTTP/1.1\r\n", line(call));
    if !call.has_header("Host") {
        text += &format!("Host: {addr}\r\n");
    }
    for (name, value) in &call.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(kind) = call.content_type() {
        text += &format!("Content-Type: {kind}\r\n");
    }
    let body = call.body.as_ref().map(Body::bytes);
    if let Some(body) = body {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut wire = (text + "\r\n").into_bytes();
    wire.extend_from_slice(body.unwrap_or_default());
    wire
}

/// Method and target, for messages.
pub(super) fn line(call: &Call) -> String {
    format!("{} {}", call.method, call.target)
}

/// Short enough for a table's footnote.
fn clip(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_referee_knows_what_the_load_generator_sends() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
        let order = r#"{"item_id":"SKU-000","qty":3}"#;
        for (method, target, body) in [
            ("GET", "/api/v1/users?limit=20&page=1", None),
            ("POST", "/api/v1/orders", Some(order)),
        ] {
            let call = Call {
                method: method.to_owned(),
                target: target.to_owned(),
                headers: Vec::new(),
                body: body.map(|body| Body::Json(body.to_owned())),
            };
            let known = referee::load_wire(addr, method, target, body);
            assert_eq!(known, wire(&call, addr));
        }
    }

    #[test]
    fn a_call_that_occurs_again_is_the_same_request() {
        let call = |target: &str| Call {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
        };
        let calls = [call("/ping"), call("/api/v1/users"), call("/ping")];
        let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
        let of = |calls| script(addr, calls, |_| ALL.to_owned(), |_| Some(Expect::Success));
        assert_eq!(of(&calls).unwrap().len(), 2);
        assert!(of(&[]).is_err());
    }

    #[test]
    fn an_answer_is_accepted_by_its_meaning_and_has_each_member_once() {
        let referee = Referee::new();
        let accepted = |call: &Call, status: u16, body: &str| {
            let response = Response {
                status,
                head: Vec::new(),
                body: body.as_bytes().to_vec(),
                wire: Vec::new(),
                close: false,
                first_byte: Duration::ZERO,
                total: Duration::ZERO,
            };
            referee.judge(call, &response).is_ok()
        };
        let ping = referee.readiness();
        assert!(accepted(&ping, 200, r#" { "status" : "\u006fk" } "#));
        assert!(!accepted(&ping, 201, r#"{"status":"ok"}"#));
        assert!(!accepted(&ping, 200, r#"{"status":"ok","status":"ok"}"#));
        assert!(!accepted(&ping, 200, r#"{"status":"ok"}{}"#));
        let order = Call {
            method: "POST".to_owned(),
            target: "/api/v1/orders".to_owned(),
            headers: Vec::new(),
            body: Some(Body::Json(r#"{"item_id":"SKU-000","qty":3}"#.to_owned())),
        };
        let answer = |members: &str| {
            let rest = r#""item_id":"SKU-000","qty":3,"unit_price_cents":100,"total_cents":300"#;
            format!(r#"{{{members},{rest},"status":"created"}}"#)
        };
        assert!(accepted(&order, 201, &answer(r#""id":1"#)));
        assert!(!accepted(&order, 201, &answer(r#""id":0"#)));
        assert!(!accepted(&order, 201, &answer(r#""id":1,"id":1"#)));
        assert!(!accepted(&order, 201, &answer(r#""id":1,"qty":3"#)));
    }

    #[test]
    fn a_compressed_response_says_so_and_is_so() {
        let referee = Referee::new();
        for coding in Coding::ALL {
            let name = coding.name();
            let call = Call {
                method: "GET".to_owned(),
                target: "/api/v1/compressed".to_owned(),
                headers: vec![("Accept-Encoding".to_owned(), name.to_owned())],
                body: None,
            };
            let right = referee.made(&call).unwrap().response;
            assert!(right.body.len() < 20_000);
            let plain = coding.decode(&right.body).unwrap();
            let half = right.body[..right.body.len() / 2].to_vec();
            let silent = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n".to_vec();
            let not_so = format!("the body isn't {name}");
            for (head, body, why) in [
                (right.head.clone(), plain.clone(), &not_so[..]),
                (right.head.clone(), half, &not_so),
                (silent.clone(), right.body.clone(), "no Content-Encoding"),
                (silent, plain, "no Content-Encoding"),
            ] {
                let response = Response {
                    head,
                    body,
                    ..right.clone()
                };
                let error = referee.judge(&call, &response).unwrap_err().to_string();
                assert!(error.contains(why), "{error}");
            }
        }
    }
}
