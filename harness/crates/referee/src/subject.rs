//! The server under check, and the requests sent to it.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rand::SeedableRng;
use rand_pcg::Pcg64;
use reqwest::Method;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use serde_json::Value;

use super::raw::{Connection, NoResponse, RawResponse};
use super::response::{Refusal, Response};
use super::{CheckOptions, Model, Outcome};

/// Request timeout.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
/// After this many timeouts the remaining checks are skipped.
const TIMEOUTS_ALLOWED: u32 = 2;

/// The server under check.
pub(super) struct Subject {
    addr: SocketAddr,
    pub(super) model: Model,
    pub(super) first_byte_limit: Duration,
    pub(super) fill_limit: Duration,
    pub(super) only_ping: bool,
    http: Client,
    seed: u64,
    seen: Mutex<Observations>,
}

/// What is known about the server so far.
#[derive(Default)]
struct Observations {
    timeouts: u32,
    /// Why no more requests are sent.
    gone: Option<String>,
    first_byte: Option<Duration>,
    limited_units_sold: u64,
}

/// A request of a check.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) accept_encoding: Option<&'static str>,
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            content_type: None,
            accept_encoding: None,
            body: Vec::new(),
        }
    }

    pub(super) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target)
    }

    pub(super) fn accepting(mut self, encodings: &'static str) -> Self {
        self.accept_encoding = Some(encodings);
        self
    }

    /// Sends any body to the orders route as JSON.
    pub(super) fn order(body: impl Into<Vec<u8>>) -> Self {
        Self::to_orders(Method::POST, Some("application/json"), body)
    }

    pub(super) fn to_orders(
        method: Method,
        content_type: Option<&'static str>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        Self::new(method, "/api/v1/orders").with_body(content_type, body)
    }

    pub(super) fn with_body(
        mut self,
        content_type: Option<&'static str>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        self.content_type = content_type;
        self.body = body.into();
        self
    }
}

impl Subject {
    pub(super) fn new(addr: SocketAddr, options: &CheckOptions) -> Self {
        let http = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            // Bodies as they come.
            .no_gzip()
            .no_brotli()
            .build()
            .expect("a client without TLS and proxies can be built");
        Self {
            addr,
            model: Model::new(),
            first_byte_limit: options.first_byte_limit,
            fill_limit: options.fill_limit,
            only_ping: options.only_ping,
            http,
            seed: options.seed,
            seen: Mutex::default(),
        }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Fails if the server no longer responds.
    pub(super) fn answers(&self) -> Outcome {
        match &self.seen().gone {
            Some(reason) => Err(format!("server no longer responds: {reason}")),
            None => Ok(()),
        }
    }

    /// A check's random number generator, independent of which checks are selected.
    pub(super) fn rng(&self, check: &str) -> Pcg64 {
        let stream = check.bytes().fold(0u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        Pcg64::seed_from_u64(self.seed ^ stream.rotate_left(32))
    }

    pub(super) fn get(&self, target: impl Into<String>) -> Result<Response, String> {
        self.ask(&Ask::get(target))
    }

    /// Checks the whole response to a GET.
    pub(super) fn returns(&self, target: impl Into<String>, body: &Value) -> Outcome {
        self.get(target)?.is(200, body)
    }

    /// Checks the error that a GET gets.
    pub(super) fn refuses(&self, target: impl Into<String>, error: Refusal) -> Outcome {
        self.get(target)?.is_error(error)
    }

    pub(super) fn order(&self, item: &str, qty: u64) -> Result<Response, String> {
        self.ask(&Ask::order(
            serde_json::json!({"item_id": item, "qty": qty}).to_string(),
        ))
    }

    /// Number of accepted orders, as counted by the server.
    pub(super) fn orders_total(&self) -> Result<u64, String> {
        let answer = self.get("/api/v1/orders?limit=1")?;
        match answer.json().as_ref().map(|body| &body["total"]) {
            Ok(Value::Number(total)) if answer.status == 200 && total.is_u64() => {
                Ok(total.as_u64().unwrap_or_default())
            }
            _ => Err(answer.wrong("200 with a whole number as total")),
        }
    }

    /// Sends a request and reads the complete response.
    pub(super) fn ask(&self, ask: &Ask) -> Result<Response, String> {
        self.answers()?;
        let asked = describe(ask);
        let sent_at = SystemTime::now();
        let exchange = || {
            let response = self.request(ask).send()?;
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            Ok((status, headers, response.bytes()?.to_vec()))
        };
        match exchange() {
            Ok((status, headers, body)) => Ok(Response {
                asked,
                status,
                headers,
                body,
                sent_at,
                received_at: SystemTime::now(),
            }),
            Err(error) => Err(self.no_answer(&asked, &error)),
        }
    }

    fn request(&self, ask: &Ask) -> reqwest::blocking::RequestBuilder {
        let url = format!("http://{}{}", self.addr, ask.target);
        let mut request = self.http.request(ask.method.clone(), url);
        if let Some(content_type) = ask.content_type {
            request = request.header("content-type", content_type);
        }
        if let Some(encodings) = ask.accept_encoding {
            request = request.header("accept-encoding", encodings);
        }
        if ask.method != Method::GET {
            request = request.body(ask.body.clone());
        }
        request
    }

    fn no_answer(&self, asked: &str, error: &reqwest::Error) -> String {
        let reason = if error.is_connect() {
            "no connection".to_owned()
        } else if error.is_timeout() {
            format!("no complete response within {} s", TIMEOUT.as_secs())
        } else {
            innermost(error)
        };
        if error.is_connect() {
            self.seen().gone.get_or_insert_with(|| reason.clone());
        } else if error.is_timeout() {
            self.note_timeout();
        }
        format!("sent: {asked}\ngot:  {reason}\nexpected: a response")
    }

    /// Sends a request unmodified over one connection, which is opened if there is none or the server said that
    /// it closes it.
    pub(super) fn exchange(
        &self,
        connection: &mut Option<Connection>,
        wire: &[u8],
    ) -> Result<RawResponse, String> {
        self.answers()?;
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(self.addr, TIMEOUT).map_err(|error| {
                let reason = format!("no connection: {error}");
                self.seen().gone.get_or_insert_with(|| reason.clone());
                reason
            })?,
        };
        let answer = open.exchange(wire).map_err(|reason| {
            if matches!(reason, NoResponse::Timeout(_)) {
                self.note_timeout();
            }
            reason.to_string()
        })?;
        if !answer.closes {
            *connection = Some(open);
        }
        Ok(answer)
    }

    /// Counts a request that timed out.
    fn note_timeout(&self) {
        let mut seen = self.seen();
        seen.timeouts += 1;
        if seen.timeouts >= TIMEOUTS_ALLOWED {
            let reason = format!("{} requests timed out", seen.timeouts);
            seen.gone.get_or_insert(reason);
        }
    }

    pub(super) fn first_byte(&self) -> Option<Duration> {
        self.seen().first_byte
    }

    pub(super) fn set_first_byte(&self, median: Duration) {
        self.seen().first_byte = Some(median);
    }

    /// Units of the limited item that checks have bought so far.
    pub(super) fn limited_units_sold(&self) -> u64 {
        self.seen().limited_units_sold
    }

    pub(super) fn note_limited_units_sold(&self, units: u64) {
        self.seen().limited_units_sold += units;
    }

    fn seen(&self) -> MutexGuard<'_, Observations> {
        // No code that holds the lock can leave the state half-changed.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in one line.
fn describe(ask: &Ask) -> String {
    let mut line = format!("{} {}", ask.method, ask.target);
    if let Some(encodings) = ask.accept_encoding {
        line.push_str(&format!(" (Accept-Encoding: {encodings})"));
    }
    if !ask.body.is_empty() {
        if let Some(content_type) = ask.content_type {
            line.push_str(&format!(" ({content_type})"));
        }
        line.push(' ');
        line.push_str(&super::response::excerpt(&ask.body));
    }
    line
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
