//! What a client does on one connection, as data.

use std::time::Duration;

use serde_json::{Map, Value, json};

use catalog::{Body, Call};
use referee::raw;
use referee::{Expected, Model};

/// One action of the client. It also reads while it waits.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Writes all of it at once.
    Send(Vec<u8>),
    /// Writes these pieces this far apart, until the server ends the connection.
    Trickle(Vec<Vec<u8>>, Duration),
    /// Waits up to this time for any response, even an interim one.
    AwaitAnswer(Duration),
    /// Waits until this many requests are answered.
    AwaitAnswers(usize),
    /// Waits for the first bytes of a response, and leaves the rest unread.
    AwaitFirstByte,
    /// Ends the client's side of the connection.
    HalfClose,
    /// Resets the connection.
    Reset,
}

/// When a script is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// As soon as every request is answered.
    Answered,
    /// Once it is known whether the connection can serve another request.
    Probed,
    /// When the server ends the connection, or the watching time is over.
    LetGo,
    /// After the last step.
    AtOnce,
}

/// What must be known about a request to read its response.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its response has no body, whatever the head says.
    pub(super) head: bool,
    /// The only correct response, if the case defines one.
    pub(super) want: Option<Want>,
}

impl Asked {
    /// Any request except HEAD, with any response.
    pub(super) const PLAIN: Self = Self {
        head: false,
        want: None,
    };
}

/// A correct response.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Want {
    /// This status and this JSON.
    Json(u16, Value),
    /// 201 and an order with these members besides its id.
    Order(Map<String, Value>),
    /// An error of the contract.
    Error(u16, &'static str),
}

/// What a client does on one connection.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// Distinguishes it from the other scripts of its case, as in `cut at byte 17`.
    pub(super) label: String,
    pub(super) steps: Vec<Action>,
    /// The requests, in their order.
    pub(super) asked: Vec<Asked>,
    pub(super) finish: Finish,
    /// The client reads little before the server has to wait.
    pub(super) small_window: bool,
}

impl Script {
    pub(super) fn new(steps: Vec<Action>) -> Self {
        Self {
            label: String::new(),
            steps,
            asked: Vec::new(),
            finish: Finish::Probed,
            small_window: false,
        }
    }

    /// One request, sent at once, without a single correct response.
    pub(super) fn one(wire: impl Into<Vec<u8>>) -> Self {
        Self::new(vec![Action::Send(wire.into())]).asking(None)
    }

    /// The same with a known correct response.
    pub(super) fn wanting(wire: impl Into<Vec<u8>>, want: Want) -> Self {
        Self::new(vec![Action::Send(wire.into())]).asking(Some(want))
    }

    /// Adds a request, which the steps send.
    pub(super) fn asking(mut self, want: Option<Want>) -> Self {
        self.asked.push(Asked {
            want,
            ..Asked::PLAIN
        });
        self
    }

    /// Adds a HEAD request.
    pub(super) fn asking_head(mut self) -> Self {
        self.asked.push(Asked {
            head: true,
            ..Asked::PLAIN
        });
        self
    }

    pub(super) fn until(mut self, finish: Finish) -> Self {
        self.finish = finish;
        self
    }

    pub(super) fn called(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
}

/// The body of the order most cases place.
pub(super) const ORDER: &str = r#"{"item_id":"SKU-789","qty":1}"#;
/// The user that the probe requests, and no case does.
const PROBE_USER: u64 = 77;

/// The request that probes a connection.
pub(super) fn probe() -> Vec<u8> {
    raw::get(&format!("/api/v1/users/{PROBE_USER}"))
}

/// The correct response to it.
pub(super) fn probe_want() -> Want {
    user(PROBE_USER)
}

pub(super) fn ping() -> Want {
    Want::Json(200, json!({"status": "ok"}))
}

pub(super) fn user(id: u64) -> Want {
    Want::Json(200, model().user(id).cloned().unwrap_or_default())
}

/// The correct response to [`ORDER`].
pub(super) fn order() -> Want {
    let call = Call {
        method: "POST".to_owned(),
        target: "/api/v1/orders".to_owned(),
        headers: Vec::new(),
        body: Some(Body::Json(ORDER.to_owned())),
    };
    match model().expect(&call) {
        Some(Expected::Order { members, .. }) => Want::Order(members),
        _ => unreachable!("the contract defines the response to this order"),
    }
}

fn model() -> &'static Model {
    static MODEL: std::sync::LazyLock<Model> = std::sync::LazyLock::new(Model::new);
    &MODEL
}

/// A head with only this request line and `Host`.
pub(super) fn head_of(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// A GET with these additional lines, each with its line end.
pub(super) fn get_with(target: &str, lines: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").into_bytes()
}

/// The head of an order with these lines about its body, and then the given body.
pub(super) fn order_with(lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut wire = format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         {lines}\r\n"
    )
    .into_bytes();
    wire.extend_from_slice(body.as_ref());
    wire
}

/// [`ORDER`] with these lines instead of its `Content-Length`.
pub(super) fn order_saying(lines: &str) -> Vec<u8> {
    order_with(lines, ORDER)
}

/// The same in pieces of one byte.
pub(super) fn bytes_of(wire: &[u8]) -> Vec<Vec<u8>> {
    wire.iter().map(|byte| vec![*byte]).collect()
}
