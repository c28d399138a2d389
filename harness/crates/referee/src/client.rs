//! A response doesn't depend on the client: its name, its other headers, or their order.

use std::net::SocketAddr;

use rand::RngExt;
use rand::seq::SliceRandom as _;
use serde_json::Value;

use super::raw::RawResponse;
use super::response::excerpt;
use super::subject::Subject;
use super::{CheckDef, Outcome};

/// Clients whose name and order of headers are drawn.
const DRAWN: usize = 4;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "any-client" => any_client:
        "the response doesn't depend on User-Agent, other headers, their order or upper and lower case",
};

/// How a client names itself and in which order it sends its headers. `HOST` stands for address and port.
pub(super) struct Client {
    name: String,
    headers: Vec<(String, String)>,
}

const HOST: &str = "HOST";
/// In place of the headers that describe a body.
const BODY: (&str, &str) = ("", "");

impl Client {
    fn new(name: &str, headers: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            name: name.to_owned(),
            headers: headers.iter().map(owned).collect(),
        }
    }

    /// The load generator.
    pub(super) fn load() -> Self {
        Self::new("the load generator", &[("Host", HOST), BODY])
    }

    /// A common one.
    pub(super) fn curl() -> Self {
        let headers = [
            ("Host", HOST),
            ("User-Agent", "curl/8.14.1"),
            ("Accept", "*/*"),
            BODY,
        ];
        Self::new("curl", &headers)
    }

    fn browser() -> Self {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let headers = [
            ("user-agent", agent),
            ("accept", "application/json, text/html;q=0.9, */*;q=0.8"),
            ("accept-language", "en-GB,en;q=0.5"),
            ("dnt", "1"),
            ("cache-control", "no-cache"),
            BODY,
            ("cookie", "theme=dark; session=6f1c"),
            ("host", HOST),
        ];
        Self::new("a browser", &headers)
    }

    fn drawn(subject: &Subject, number: usize) -> Self {
        let name = format!("drawn client {number}");
        let mut rng = subject.rng(&name);
        let mut client = Self::new(&name, &[("Host", HOST), BODY, ("Accept", "*/*")]);
        let agent = format!("client-{:08x}", rng.random::<u32>());
        client.headers.push(("User-Agent".to_owned(), agent));
        let other = format!("X-{:04x}", rng.random::<u16>());
        client.headers.push((other, "1".to_owned()));
        client.headers.shuffle(&mut rng);
        client
    }

    /// A request of this client; a body is an order.
    pub(super) fn wire(
        &self,
        addr: SocketAddr,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Vec<u8> {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            match (name.as_str(), value.as_str(), body) {
                ("", _, Some(body)) => {
                    text += "Content-Type: application/json\r\n";
                    text += &format!("Content-Length: {}\r\n", body.len());
                }
                ("", _, None) => {}
                (name, HOST, _) => text += &format!("{name}: {addr}\r\n"),
                (name, value, _) => text += &format!("{name}: {value}\r\n"),
            }
        }
        text += "\r\n";
        text += body.unwrap_or_default();
        text.into_bytes()
    }
}

/// A request of the load generator; `body` is an order.
pub fn load_wire(addr: SocketAddr, method: &str, target: &str, body: Option<&str>) -> Vec<u8> {
    Client::load().wire(addr, method, target, body)
}

fn any_client(subject: &Subject) -> Outcome {
    let mut others = vec![Client::curl(), Client::browser()];
    others.extend((1..=DRAWN).map(|number| Client::drawn(subject, number)));
    let load = Client::load();
    let order = r#"{"item_id":"SKU-123","qty":2}"#;
    for (method, target, body) in [
        ("GET", "/ping", None),
        ("GET", "/api/v1/users", None),
        ("GET", "/api/v1/users?status=active&limit=100&page=3", None),
        ("GET", "/api/v1/users/14", None),
        ("GET", "/api/v1/orders?limit=5", None),
        ("POST", "/api/v1/orders", Some(order)),
        ("POST", "/api/v1/orders", Some("{}")),
        ("GET", "/nothing", None),
        ("GET", "/api/v1/users?limit=0", None),
        ("DELETE", "/ping", None),
    ] {
        let get = |client: &Client| {
            let wire = client.wire(subject.addr(), method, target, body);
            let answer = subject.exchange(&mut None, &wire);
            answer.map_err(|error| {
                let name = &client.name;
                format!("sent: {method} {target} as {name}\ngot:  {error}\nexpected: a response")
            })
        };
        let due = get(&load)?;
        for client in &others {
            let answer = get(client)?;
            if Alike::of(&answer) != Alike::of(&due) {
                let shown = |answer: &RawResponse| {
                    let names: Vec<_> = answer.headers.iter().map(|(n, _)| n.as_str()).collect();
                    let body = excerpt(&answer.body);
                    format!("{} {body}, headers {}", answer.status, names.join(", "))
                };
                return Err(format!(
                    "sent: {method} {target} as {}\ngot:  {}\nexpected: as {} got, {}",
                    client.name,
                    shown(&answer),
                    load.name,
                    shown(&due)
                ));
            }
        }
    }
    Ok(())
}

/// What must be the same in the responses to two clients.
#[derive(PartialEq)]
struct Alike {
    status: u16,
    /// Names of the headers, in order of the alphabet.
    headers: Vec<String>,
    content_type: Option<String>,
    /// Without an order's id.
    body: Option<Value>,
}

impl Alike {
    fn of(answer: &RawResponse) -> Self {
        let mut headers: Vec<_> = answer.headers.iter().map(|(n, _)| n.clone()).collect();
        headers.sort_unstable();
        let mut body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if let (201, Some(Value::Object(order))) = (answer.status, &mut body) {
            order.remove("id");
        }
        Self {
            status: answer.status,
            headers,
            content_type: answer.header("content-type").map(str::to_owned),
            body,
        }
    }
}
