//! What a user does, as data: requests in order, in which later ones use values of earlier responses.
//!
//! A session is a TOML file: a description, and steps whose members are fixed or drawn like those of a workload.
//! `harness/sessions` has those that come with the harness.
//!
//! ```toml
//! about = "One line on what it shows"
//!
//! [[step]]
//! name = "place"                     # in figures and messages
//! method = "POST"                    # method, path, query, headers and body are as in a workload
//! path = "/api/v1/orders"
//! take = { order = "/id" }           # values of the JSON response, each with its place (JSON Pointer, RFC 6901)
//! [step.body]
//! item_id = [{ range = [0, 999], prefix = "SKU-", digits = 3 }]
//!
//! [[step]]
//! name = "read"
//! path = "/api/v1/orders/{order}"    # a value of an earlier step; also in the query, headers and the body. In a JSON body
//!                                    # "{order}" alone is a number if it was one
//! same_as = "place"                  # the body must mean the same as the response to that step
//!
//! [[step]]
//! name = "list"
//! path = "/api/v1/orders"
//! expect = "shape"                   # the body: "first" (default if path has no value) means the same as the first response to this request
//!                                    # (except for the id that a POST returns); "shape" has the same members with values
//!                                    # of the same types; "any" only needs the status
//! ```

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_pcg::Pcg64;
use serde::Deserialize;

use super::file::{self, Parsed, Problem, RequestEntry, wrong};
use super::{
    Alternatives, Call, Content, MAX_LENGTH_FACTOR, RequestTemplate, ValueSource, WorkloadError,
    as_text,
};

/// Maximum number of steps.
const MAX_STEPS: usize = 32;

/// What a user does, step by step. It is only created from a valid file.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its file's name without `.toml`.
    pub name: String,
    /// A one-line description.
    pub about: String,
    /// 1 to 32.
    pub steps: Vec<SessionStep>,
    /// The names of the values that steps take.
    pub values: Vec<String>,
}

/// One step of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStep {
    /// Its name, different from those of the others.
    pub name: String,
    /// The values it takes: the index of each, and its place as a JSON Pointer.
    pub takes: Vec<(usize, String)>,
    /// The body that its response must have.
    pub body: StepBody,
    request: RequestTemplate,
}

/// The body that the response to a step must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepBody {
    /// One that means the same as the first one, except for the id that a POST returns.
    First,
    /// One with the members of the first one, and values of the same types.
    Shape,
    /// Any.
    Any,
    /// One that means the same as the response to this earlier step of the same chain.
    SameAs(usize),
}

#[derive(Deserialize)]
#[serde(rename = "Session", deny_unknown_fields)]
struct SessionFile {
    about: String,
    #[serde(default)]
    step: Vec<StepEntry>,
}

#[derive(Deserialize)]
#[serde(rename = "Step", deny_unknown_fields)]
struct StepEntry {
    name: String,
    #[serde(default)]
    take: BTreeMap<String, String>,
    same_as: Option<String>,
    expect: Option<Expectation>,
    method: Option<String>,
    path: Option<String>,
    query: Option<BTreeMap<String, toml::Value>>,
    headers: Option<BTreeMap<String, toml::Value>>,
    body: Option<toml::Value>,
    body_file: Option<PathBuf>,
    body_bytes: Option<u64>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename = "Expect", rename_all = "lowercase")]
enum Expectation {
    First,
    Shape,
    Any,
}

impl Session {
    /// Reads one file.
    ///
    /// # Errors
    /// See [`WorkloadError`].
    pub fn load(path: &Path) -> Result<Self, WorkloadError> {
        Self::parse(path, &file::read(path)?)
    }

    /// Parses the text of a file; `path` gives its name, and the folder of body files.
    ///
    /// # Errors
    /// See [`WorkloadError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, WorkloadError> {
        file::with_room_for(text, || Self::parse_here(path, text))
    }

    fn parse_here(path: &Path, text: &str) -> Result<Self, WorkloadError> {
        let file: SessionFile = toml::from_str(text).map_err(|source| WorkloadError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        session(path, file).map_err(|Problem { key, problem }| WorkloadError::Value {
            path: path.to_owned(),
            key,
            problem,
        })
    }

    /// Draws up to `count` different chains: the request of each step, with placeholders such as `{order}` for the values
    /// that earlier steps take. The same seed gives the same chains.
    pub fn draw(&self, seed: u64, count: usize) -> Vec<Vec<Call>> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut seen = HashSet::new();
        let mut chains = Vec::new();
        for _ in 0..count.saturating_mul(MAX_LENGTH_FACTOR) {
            if chains.len() == count {
                break;
            }
            let steps = self.steps.iter();
            let chain: Vec<Call> = steps.map(|step| self.call(step, &mut rng)).collect();
            if seen.insert(chain.clone()) {
                chains.push(chain);
            }
        }
        chains
    }

    fn call(&self, step: &SessionStep, rng: &mut Pcg64) -> Call {
        let mut call = step.request.draw(rng);
        // Queries are percent-encoded when they are drawn, but placeholders must remain.
        for value in &self.values {
            let encoded = format!("%7B{value}%7D");
            call.target = call.target.replace(&encoded, &format!("{{{value}}}"));
        }
        call
    }
}

fn session(path: &Path, file: SessionFile) -> Parsed<Session> {
    let mut session = Session {
        name: file::name_of(path)?,
        about: file::one_line(file.about)?,
        steps: Vec::new(),
        values: Vec::new(),
    };
    if !(1..=MAX_STEPS).contains(&file.step.len()) {
        return wrong(
            "step",
            format!("a session needs 1 to {MAX_STEPS} of [[step]], in the order they are sent"),
        );
    }
    for (index, entry) in file.step.into_iter().enumerate() {
        let step = step(path, &format!("step[{index}]"), entry, &mut session)?;
        session.steps.push(step);
    }
    Ok(session)
}

/// A step; the values it takes are added to those of the session.
fn step(path: &Path, key: &str, entry: StepEntry, session: &mut Session) -> Parsed<SessionStep> {
    let earlier = &session.steps;
    let place_of = |name: &str| earlier.iter().position(|step| step.name == name);
    let name = entry.name;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return wrong(format!("{key}.name"), "must be one line of text");
    }
    if place_of(&name).is_some() {
        return wrong(
            format!("{key}.name"),
            format!("another step is called {name:?}"),
        );
    }
    let body = match (&entry.same_as, entry.expect) {
        (Some(_), Some(_)) => {
            return wrong(format!("{key}.same_as"), "can't be combined with expect");
        }
        (Some(other), None) => match place_of(other) {
            Some(place) => StepBody::SameAs(place),
            None => {
                return wrong(
                    format!("{key}.same_as"),
                    format!("{other:?} is not the name of an earlier step"),
                );
            }
        },
        (None, Some(Expectation::Shape)) => StepBody::Shape,
        (None, Some(Expectation::Any)) => StepBody::Any,
        (None, Some(Expectation::First) | None) => StepBody::First,
    };
    let request = RequestEntry {
        method: entry.method,
        path: entry.path,
        query: entry.query,
        headers: entry.headers,
        body: entry.body,
        body_file: entry.body_file,
        body_bytes: entry.body_bytes,
        ..RequestEntry::default()
    };
    let request = file::request(path, key, request)?;
    check_placeholders(key, &request, &session.values)?;
    if body == StepBody::First
        && entry.expect.is_none()
        && has_value(&request.path, &session.values)
    {
        return wrong(
            format!("{key}.path"),
            "its response depends on a value, so the step needs same_as, or expect = \"shape\", \"any\" or \"first\"",
        );
    }
    let mut takes = Vec::new();
    for (value, place) in entry.take {
        let key = format!("{key}.take.{value}");
        if !is_value(value.as_bytes()) {
            return wrong(
                key,
                "the name may only have lowercase letters, digits and _",
            );
        }
        if session.values.contains(&value) {
            return wrong(key, "an earlier step takes a value of this name");
        }
        if !is_pointer(&place) {
            return wrong(
                key,
                format!("{place:?} is not a JSON Pointer such as \"/id\" or \"/orders/0/id\""),
            );
        }
        takes.push((session.values.len(), place));
        session.values.push(value);
    }
    Ok(SessionStep {
        name,
        takes,
        body,
        request,
    })
}

fn is_value(name: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    !name.is_empty() && name.iter().all(allowed)
}

fn is_pointer(text: &str) -> bool {
    let mut after_tilde = text.split('~').skip(1);
    text.starts_with('/') && after_tilde.all(|after| after.starts_with(['0', '1']))
}

fn has_value(path: &str, values: &[String]) -> bool {
    values
        .iter()
        .any(|value| path.contains(&format!("{{{value}}}")))
}

/// Refuses placeholders of values that no earlier step takes.
fn check_placeholders(key: &str, request: &RequestTemplate, values: &[String]) -> Parsed<()> {
    let check = |key: String, text: &[u8]| {
        for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'{') {
            let inside = text[at + 1..].split(|byte| *byte == b'}').next();
            let name = inside.filter(|name| is_value(name) && at + 1 + name.len() < text.len());
            let Some(name) = name else { continue };
            if !values.iter().any(|value| value.as_bytes() == name) {
                let name = String::from_utf8_lossy(name);
                return wrong(key, format!("no earlier step takes a value called {name}"));
            }
        }
        Ok(())
    };
    check(format!("{key}.path"), request.path.as_bytes())?;
    let no_members = Vec::new();
    let (members, raw) = match &request.body {
        Some(Content::Json(members)) => (members, &[][..]),
        Some(Content::Raw(bytes)) => (&no_members, &bytes[..]),
        None => (&no_members, &[][..]),
    };
    check(format!("{key}.body"), raw)?;
    for (part, members) in [
        ("query", &request.query),
        ("headers", &request.headers),
        ("body", members),
    ] {
        for (name, Alternatives(alternatives)) in members {
            for (_, source) in alternatives {
                let text = match source {
                    ValueSource::Fixed(value) => as_text(value),
                    ValueSource::Numbered { prefix, .. } => prefix.clone(),
                    ValueSource::Absent | ValueSource::Range { .. } => continue,
                };
                check(format!("{key}.{part}.{name}"), text.as_bytes())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn parse(text: &str) -> Result<Session, String> {
        let text = format!("about = \"x\"\n{text}");
        Session::parse(Path::new("test.toml"), &text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_session_places_an_order_reads_it_and_lists() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sessions");
        let session = Session::load(&dir.join("order.toml")).unwrap();
        let bodies: Vec<_> = session.steps.iter().map(|step| step.body).collect();
        assert_eq!(
            bodies,
            [StepBody::First, StepBody::SameAs(0), StepBody::Shape]
        );
        assert_eq!(session.steps[0].takes, [(0, "/id".to_owned())]);
        let chains = session.draw(7, 100);
        assert_eq!(chains.len(), 100);
        for chain in &chains {
            assert_eq!(
                (&*chain[0].method, &*chain[0].target),
                ("POST", "/api/v1/orders")
            );
            assert_eq!(chain[1].target, "/api/v1/orders/{order}");
        }
        assert_eq!(chains, session.draw(7, 100));
        assert_ne!(chains, session.draw(8, 100));
    }

    #[test]
    fn placeholders_remain_wherever_they_are() {
        let session = parse(
            "[[step]]\nname = \"a\"\npath = \"/\"\ntake = { v = \"/v\" }\n\
             [[step]]\nname = \"b\"\nmethod = \"POST\"\npath = \"/{v}\"\nexpect = \"any\"\n\
             query = { q = \"a {v}\" }\nheaders = { A = \"{v}\" }\nbody = { m = \"{v}\", n = 1 }\n",
        )
        .unwrap();
        let chains = session.draw(1, 10);
        assert_eq!(chains.len(), 1, "there is only one possible chain");
        let call = &chains[0][1];
        assert_eq!(call.target, "/{v}?q=a%20{v}");
        assert_eq!(call.headers, [("A".to_owned(), "{v}".to_owned())]);
        assert_eq!(
            call.body,
            Some(Body::Json(r#"{"m":"{v}","n":1}"#.to_owned()))
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        let first = "[[step]]\nname = \"a\"\npath = \"/\"\ntake = { v = \"/v\" }\n";
        let second = |more: &str| format!("{first}[[step]]\nname = \"b\"\npath = \"/\"\n{more}");
        for (text, words) in [
            ("", "step: a session needs 1 to 32"),
            (
                &second("[[step]]\nname = \"c\"\npath = \"/{v}\""),
                "step[2].path: its response depends on a value",
            ),
            ("[[request]]\npath = \"/\"", "unknown field `request`"),
            (
                "[[step]]\nname = \"\"\npath = \"/\"",
                "step[0].name: must be one line",
            ),
            ("[[step]]\nname = \"a\"", "step[0]: needs a path"),
            (
                "[[step]]\nname = \"a\"\npath = \"/{v}\"",
                "step[0].path: no earlier step takes a value called v",
            ),
            (
                &format!("{first}[[step]]\nname = \"a\"\npath = \"/\""),
                "step[1].name: another step",
            ),
            (
                &second("same_as = \"c\""),
                "step[1].same_as: \"c\" is not the name of an earlier",
            ),
            (
                &second("same_as = \"a\"\nexpect = \"any\""),
                "can't be combined",
            ),
            (&second("expect = \"x\""), "unknown variant `x`"),
            (
                &second("query = { q = \"{w}\" }"),
                "step[1].query.q: no earlier step takes",
            ),
            (
                &second("method = \"POST\"\nbody = \"{w}\""),
                "step[1].body: no earlier step takes",
            ),
            (
                &second("take = { v = \"/w\" }"),
                "step[1].take.v: an earlier step",
            ),
            (
                &second("take = { w = \"w\" }"),
                "step[1].take.w: \"w\" is not a JSON Pointer",
            ),
            (&second("take = { w = \"/~2\" }"), "is not a JSON Pointer"),
            (&second("take = { W = \"/w\" }"), "step[1].take.W: the name"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        // What is no placeholder stays as it is.
        parse(&second("method = \"POST\"\nbody = \"{\\\"a\\\": {v}, {x\"")).unwrap();
        let workload =
            crate::Workload::parse(Path::new("x.toml"), &format!("about = \"x\"\n{first}"));
        let error = workload.unwrap_err().to_string();
        assert!(error.contains("drive --session"), "{error}");
    }
}
