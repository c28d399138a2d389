//! The requests to send, and the responses to expect.

use anyhow::{Context, Result, bail};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64;
use serde::de::IgnoredAny;
use serde_json::{Value, from_slice};

use super::Arguments;
use super::replay::{Replay, expected, takes_body};
use super::source::RequestSource;
use super::target::Target;
use crate::flags::Usage;
use catalog::{Body, Call, DISTINCT_CALLS, Session, StepBody, Workload, header_problem, is_token};
use loadgen::{
    Client, Coding, Config, Expect, Order, Pointer, Request, Response, Script, Step, Taken,
    Template,
};
use runner::Interrupt;

/// The JSON member that may hold the number of what a POST created.
const ID: &str = "id";

/// The requests to send; `None` after Ctrl-C.
///
/// # Errors
/// [`Usage`] for a flag that makes no valid request; for a workload also if a first response doesn't have the
/// expected status.
pub(super) fn script(
    arguments: &Arguments,
    (target, source): (&Target, &RequestSource),
    config: &Config,
    interrupt: &Interrupt,
) -> Result<Option<Script>> {
    let head = Headers::new(target, &arguments.header)?;
    let expect = arguments
        .expect_status
        .map_or(Expect::Success, Expect::Status);
    let asking = || {
        anyhow::Ok(Asking {
            arguments,
            config,
            head: head.clone(),
            base: target.base()?,
            expect: expect.clone(),
        })
    };
    match source {
        RequestSource::Workload(workload) => return asking()?.all(workload, interrupt),
        RequestSource::Session(session) => return asking()?.sessions(session, interrupt),
        RequestSource::Url | RequestSource::Urls(_) | RequestSource::Replay(_) => {}
    }
    let body = body(arguments)?;
    if let RequestSource::Replay(replay) = source {
        let always = arguments.expect_status.map(Expect::Status);
        let script = replayed(replay, &head, target.base()?, body.as_deref(), always)?;
        return Ok(Some(script));
    }
    let default = if body.is_some() { "POST" } else { "GET" };
    let default = arguments.method.as_deref().unwrap_or(default);
    let request = |method: &str, path: &str| {
        let wire = head.request(method, path, body.as_deref())?;
        let expect = expect.clone();
        anyhow::Ok((class(method, path), Request { wire, expect }))
    };
    let RequestSource::Urls(lines) = source else {
        let only = request(default, target.path())?;
        return Ok(Some(Script::with_classes(vec![only])?));
    };
    let requests = lines.iter().map(|line| {
        let method = line.method.as_deref().unwrap_or(default);
        request(method, line.target.path())
    });
    let script = Script::with_classes(requests.collect::<Result<_>>()?)?;
    let mut list: Vec<u32> = (0..script.len() as u32).collect();
    if arguments.shuffle {
        list.shuffle(&mut Pcg64::seed_from_u64(arguments.seed));
    }
    Ok(Some(script.listed(list, Order::InTurn)))
}

/// The requests of a log in its order; `always` replaces the logged status.
fn replayed(
    replay: &Replay,
    head: &Headers,
    base: &str,
    body: Option<&[u8]>,
    always: Option<Expect>,
) -> Result<Script> {
    let requests = replay.requests.iter().map(|(route, logged)| {
        let body = body.filter(|_| takes_body(&logged.method));
        let target = format!("{base}{}", logged.target);
        let wire = head.request(&logged.method, &target, body)?;
        let expect = always.clone().unwrap_or_else(|| expected(logged));
        anyhow::Ok((route.clone(), Request { wire, expect }))
    });
    let script = Script::with_classes(requests.collect::<Result<_>>()?)?;
    Ok(script.listed(replay.list.clone(), Order::InTurn))
}

/// What all requests of a workload share while each is sent once.
struct Asking<'a> {
    arguments: &'a Arguments,
    config: &'a Config,
    head: Headers,
    base: &'a str,
    expect: Expect,
}

impl Asking<'_> {
    /// The requests of a workload, each with its first response as the expected one; `None` after Ctrl-C.
    fn all(&self, workload: &Workload, interrupt: &Interrupt) -> Result<Option<Script>> {
        let calls = workload.draw(self.arguments.seed, DISTINCT_CALLS);
        let mut client = Client::of(self.config);
        let script = Script::drawn(&calls, |call| {
            if interrupt.is_set() {
                bail!("interrupted");
            }
            if self.config.requests_per_connection.is_some() {
                client = Client::of(self.config);
            }
            let class = class(&call.method, &format!("{}{}", self.base, call.target));
            Ok((class, self.accept(&mut client, call)?))
        });
        match script {
            Err(_) if interrupt.is_set() => Ok(None),
            script => script.map(Some),
        }
    }

    /// The chains of a session, each of which is sent once; `None` after Ctrl-C.
    fn sessions(&self, session: &Session, interrupt: &Interrupt) -> Result<Option<Script>> {
        let mut client = Client::of(self.config);
        let mut chains = Vec::new();
        let plan = plan(session)?;
        for calls in session.draw(self.arguments.seed, DISTINCT_CALLS) {
            if interrupt.is_set() {
                return Ok(None);
            }
            chains.push(self.chain(&mut client, session, &plan, &calls)?);
        }
        Ok(Some(Script::sessions(plan, chains)?))
    }

    /// Sends the requests of one chain, and takes the responses as the expected ones.
    fn chain(
        &self,
        client: &mut Client,
        session: &Session,
        plan: &loadgen::Session,
        calls: &[Call],
    ) -> Result<Vec<Request>> {
        let mut taken = Taken::new(plan.values.len());
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        let mut requests = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            let (step, body) = (&plan.steps[place], session.steps[place].body);
            let wire = self.wire(call)?;
            let filled = Template::new(&wire, &plan.values).map(|template| {
                let mut filled = vec![0; template.longest()];
                let length = template.write(&taken, &mut filled);
                filled.truncate(length);
                filled
            });
            let line = format!("step {}, {}", step.name, self.line(call));
            let response = self.ask(client, filled.as_deref().unwrap_or(&wire), &line)?;
            for (value, pointer) in &step.takes {
                if !taken.take(*value, pointer, &response.body) {
                    bail!(
                        "{line}: the response has no number or text at {pointer} to take as {}",
                        plan.values[*value]
                    );
                }
            }
            bodies.push(response.body.clone());
            let expect = match body {
                StepBody::First => always(call, response),
                StepBody::Any => Expect::Status(response.status),
                StepBody::Shape => {
                    from_slice::<IgnoredAny>(&response.body).with_context(|| {
                        format!("{line}: expect = \"shape\" needs a JSON response")
                    })?;
                    Expect::Shape {
                        status: response.status,
                        bytes: response.body,
                    }
                }
                StepBody::SameAs(other) => {
                    let earlier = &bodies[other];
                    let json: Result<Value, _> = from_slice(earlier);
                    let means = json.is_ok_and(|json| loadgen::means(&response.body, &json));
                    if response.body != *earlier && !means {
                        let name = &plan.steps[other].name;
                        bail!("{line}: the response differs from that to {name}");
                    }
                    Expect::Status(response.status)
                }
            };
            requests.push(Request { wire, expect });
        }
        Ok(requests)
    }

    /// Sends one call and takes its response as the expected one.
    fn accept(&self, client: &mut Client, call: &Call) -> Result<Request> {
        let wire = self.wire(call)?;
        let response = self.ask(client, &wire, &self.line(call))?;
        let expect = match self.arguments.any_body {
            true => self.expect.clone(),
            false => always(call, response),
        };
        Ok(Request { wire, expect })
    }

    fn line(&self, call: &Call) -> String {
        format!("{} {}{}", call.method, self.base, call.target)
    }

    /// The whole request.
    fn wire(&self, call: &Call) -> Result<Vec<u8>> {
        let target = format!("{}{}", self.base, call.target);
        let body = call.body.as_ref().map(Body::bytes);
        let mut head = self.head.clone();
        for (name, value) in &call.headers {
            head.set(name, value);
        }
        if let Some(kind) = call.content_type() {
            head.add_unless_given("Content-Type", kind);
        }
        head.request(&call.method, &target, body)
    }

    /// The response to a request, if it has the expected status; `line` names it in errors.
    fn ask(&self, client: &mut Client, wire: &[u8], line: &str) -> Result<Response> {
        let response = client
            .exchange(wire)
            .with_context(|| format!("no response to {line}"))?;
        let right = match &self.expect {
            Expect::Status(status) => response.status == *status,
            _ => (200..300).contains(&response.status),
        };
        if !right {
            bail!(
                "{line} returned status {}, so its responses can't be checked",
                response.status
            );
        }
        Ok(response)
    }
}

/// A session as the load generator has it.
fn plan(session: &Session) -> Result<loadgen::Session> {
    let step = |step: &catalog::SessionStep| {
        let takes = step.takes.iter().map(|(value, place)| {
            let pointer = Pointer::parse(place);
            Ok((
                *value,
                pointer.with_context(|| format!("{place} is not a JSON Pointer"))?,
            ))
        });
        anyhow::Ok(Step {
            name: step.name.clone(),
            takes: takes.collect::<Result<_>>()?,
            same_as: match step.body {
                StepBody::SameAs(other) => Some(other),
                StepBody::First | StepBody::Shape | StepBody::Any => None,
            },
        })
    };
    Ok(loadgen::Session {
        steps: session.steps.iter().map(step).collect::<Result<_>>()?,
        values: session.values.clone(),
    })
}

/// The class of a request is its route: method and path, without the query.
fn class(method: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    format!("{method} {path}")
}

fn body(arguments: &Arguments) -> Result<Option<Vec<u8>>> {
    match (&arguments.body, &arguments.body_file) {
        (Some(text), _) => Ok(Some(text.clone().into_bytes())),
        (None, Some(path)) => match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => {
                refuse!("--body-file {}: {error}", path.display())
            }
        },
        (None, None) => Ok(None),
    }
}

/// What to expect from now on, after `response` arrived once.
fn always(call: &Call, response: Response) -> Expect {
    let (status, bytes) = (response.status, response.body);
    let holds_json = |coding: &Coding| {
        let plain = coding.decode(&bytes);
        plain.is_some_and(|plain| from_slice::<IgnoredAny>(&plain).is_ok())
    };
    let coding = Coding::of_head(&response.head).filter(holds_json);
    match (call.method.as_str(), from_slice(&bytes)) {
        ("HEAD", _) => Expect::Status(status),
        // Every created object has its own number.
        ("POST", Ok(Value::Object(members)))
            if members
                .get(ID)
                .and_then(Value::as_u64)
                .is_some_and(|id| id > 0) =>
        {
            Expect::Numbered {
                status,
                bytes,
                members,
                id_member: ID.to_owned(),
            }
        }
        _ => match coding {
            Some(coding) => Expect::Encoded {
                coding,
                status,
                bytes,
            },
            // If it isn't JSON, only equal bytes are valid.
            None => Expect::Body { status, bytes },
        },
    }
}

/// The headers that all requests share.
#[derive(Debug, Clone)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn new(target: &Target, flags: &[String]) -> Result<Self> {
        let mut head = Self(Vec::new());
        for flag in flags {
            head.0.push(header(flag)?);
        }
        if !head.has("Host") {
            head.0.insert(0, ("Host".to_owned(), target.authority()));
        }
        Ok(head)
    }

    fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// Sets a header, replacing those with the same name.
    fn set(&mut self, name: &str, value: &str) {
        self.0
            .retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn add_unless_given(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The whole request.
    fn request(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>> {
        if !is_method(method) {
            refuse!("--method {method}: expected a method such as GET or PUT");
        }
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &self.0 {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut wire = (text + "\r\n").into_bytes();
        wire.extend_from_slice(body.unwrap_or_default());
        Ok(wire)
    }
}

/// Splits `Name: value`.
fn header(flag: &str) -> Result<(String, String)> {
    let refuse = |why: &str| Err(Usage(format!("--header '{flag}': {why}")).into());
    let Some((name, value)) = flag.split_once(':') else {
        return refuse("expected 'Name: value'");
    };
    if let Some(problem) = header_problem(name, value) {
        return refuse(problem);
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// Whether a request can use this method: CONNECT has no path.
pub(super) fn is_method(text: &str) -> bool {
    is_token(text) && text != "CONNECT"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(flags: &[&str], method: &str, body: Option<&[u8]>) -> Result<String> {
        let target = Target::parse("http://127.0.0.1:8080/a?b=1")?;
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let wire = Headers::new(&target, &flags)?.request(method, target.path(), body)?;
        Ok(String::from_utf8(wire)?)
    }

    #[test]
    fn a_request_has_host_headers_and_length() {
        assert_eq!(
            wire(&[], "GET", None).unwrap(),
            "GET /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
        );
        assert_eq!(
            wire(&["host: x", "A:b:c "], "PUT", Some(b"12")).unwrap(),
            "PUT /a?b=1 HTTP/1.1\r\nhost: x\r\nA: b:c\r\nContent-Length: 2\r\n\r\n12"
        );
    }

    #[test]
    fn what_would_make_another_request_is_refused() {
        for flag in [
            "none",
            ": x",
            "a b: c",
            "a: b\r\nc: d",
            "Content-Length: 3",
            "transfer-encoding: chunked",
        ] {
            let error = wire(&[flag], "GET", None).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{flag}");
        }
        for method in ["", "GET /x", "CONNECT", "G\r\n"] {
            assert!(wire(&[], method, None).is_err(), "{method:?}");
        }
    }

    fn accepted(method: &str, body: &str) -> Expect {
        accepted_with(method, "", body.as_bytes())
    }

    fn accepted_with(method: &str, head: &str, body: &[u8]) -> Expect {
        let call = Call {
            method: method.to_owned(),
            target: "/".to_owned(),
            headers: Vec::new(),
            body: None,
        };
        let response = Response {
            status: 200,
            head: head.into(),
            body: body.into(),
            wire: Vec::new(),
            close: false,
            first_byte: Default::default(),
            total: Default::default(),
        };
        always(&call, response)
    }

    #[test]
    fn what_came_once_must_come_always() {
        assert!(matches!(
            accepted("GET", r#"{"id":1}"#),
            Expect::Body { .. }
        ));
        assert!(matches!(accepted("GET", "plain"), Expect::Body { .. }));
        assert!(matches!(accepted("HEAD", ""), Expect::Status(200)));
        assert!(matches!(
            accepted("POST", r#"{"id":1}"#),
            Expect::Numbered { .. }
        ));
        for body in [r#"{"id":0}"#, r#"{"id":"a"}"#, "[1]", "plain"] {
            assert!(
                matches!(accepted("POST", body), Expect::Body { .. }),
                "{body}"
            );
        }
    }

    #[test]
    fn json_is_compared_by_what_it_holds_if_the_head_names_its_coding() {
        for coding in Coding::ALL {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {}\r\n\r\n",
                coding.name()
            );
            let json = coding.encode(b"{}", 1);
            let expect = accepted_with("GET", &head, &json);
            assert!(matches!(expect, Expect::Encoded { coding: found, .. } if found == coding));
            let text = coding.encode(b"plain", 1);
            for (head, body) in [("", &json), (&head, &text)] {
                let expect = accepted_with("GET", head, body);
                assert!(matches!(expect, Expect::Body { .. }), "{head}");
            }
        }
    }
}
