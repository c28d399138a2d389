//! Well-formed requests, through reqwest.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// An answer, its body read as JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; a JSON string holding it as text where it is not JSON.
    pub body: Value,
}

impl Answer {
    /// A header's value, or nothing where it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn read(response: Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.bytes()?;
        let body = serde_json::from_slice(&text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
        Ok(Self {
            status,
            headers,
            body,
        })
    }
}

/// A client of its own connections, deaf to proxies in the environment.
pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client without TLS needs nothing from the machine")
}

pub(crate) fn send(
    client: &Client,
    addr: SocketAddr,
    method: &str,
    target: &str,
    content_type: Option<&str>,
    body: Option<&[u8]>,
) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).expect("tests name valid methods");
    let mut request = client.request(method.clone(), format!("http://{addr}{target}"));
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    if let Some(body) = body {
        request = request.body(body.to_vec());
    }
    request
        .send()
        .and_then(Answer::read)
        .unwrap_or_else(|error| panic!("{method} {target}: no whole answer: {error:?}"))
}
