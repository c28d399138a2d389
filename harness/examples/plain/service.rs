//! From a request to its answer.

use crate::data::{self, Orders, Page};
use crate::http::{Request, Response};
use crate::json::{self, Json};

/// The largest id, 2^53 − 1.
const MAX_ID: u64 = 9_007_199_254_740_991;
const MAX_BODY: usize = 16 * 1024;

/// The whole service.
pub(crate) struct Service {
    orders: Orders,
}

type Answer = Result<Response, Response>;

impl Service {
    pub(crate) fn new() -> Self {
        Self {
            orders: Orders::new(),
        }
    }

    pub(crate) fn answer(&self, request: &Request) -> Response {
        self.route(request).unwrap_or_else(|error| error)
    }

    fn route(&self, request: &Request) -> Answer {
        let (path, query) = match request.target.split_once('?') {
            Some((path, query)) => (path, query),
            None => (request.target.as_str(), ""),
        };
        let get = |answer: &dyn Fn() -> Answer| match request.method.as_str() {
            "GET" => answer(),
            _ => Err(not_allowed("GET")),
        };
        let id_of = |list| path.strip_prefix(list).filter(|id| is_segment(id));
        if path == "/ping" {
            get(&|| Ok(Response::new(200, r#"{"status":"ok"}"#)))
        } else if path == "/api/v1/users" {
            get(&|| users(query))
        } else if let Some(id) = id_of("/api/v1/users/") {
            get(&|| data::user(parse_id(id)?).map_or_else(not_found, found))
        } else if path == "/api/v1/orders" {
            match request.method.as_str() {
                "GET" => Ok(Response::new(200, self.orders.page(page(query)?))),
                "POST" => self.place(request),
                _ => Err(not_allowed("GET, POST")),
            }
        } else if let Some(id) = id_of("/api/v1/orders/") {
            get(&|| self.orders.get(parse_id(id)?).map_or_else(not_found, found))
        } else {
            not_found()
        }
    }

    fn place(&self, request: &Request) -> Answer {
        if request.length > MAX_BODY {
            return Err(error(413, "payload_too_large", "at most 16 KiB are taken"));
        }
        let media_type = request.content_type.split(';').next().unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Err(error(
                415,
                "unsupported_media_type",
                "send application/json",
            ));
        }
        let body = std::str::from_utf8(&request.body)
            .ok()
            .and_then(json::parse);
        let Some(body) = body else {
            return Err(error(400, "malformed_json", "the body is not JSON"));
        };
        let invalid = || error(422, "invalid_order", "an order has an item_id and a qty");
        let (item, qty) = order(&body).ok_or_else(invalid)?;
        let price = data::price(item).ok_or_else(invalid)?;
        match self.orders.place(item, qty, price) {
            Some(order) => Ok(Response::new(201, order)),
            None => Err(error(409, "out_of_stock", "fewer units are left")),
        }
    }
}

fn order(body: &Json) -> Option<(&str, u64)> {
    let (Json::String(item), Json::Number(qty)) = (body.member("item_id")?, body.member("qty")?)
    else {
        return None;
    };
    Some((item, number(qty, 1, 1_000)?))
}

fn users(query: &str) -> Answer {
    let status = parameter(query, "status");
    let known = |status: &String| ["active", "pending", "archived"].contains(&status.as_str());
    if status.as_ref().is_some_and(|status| !known(status)) {
        return Err(invalid("there is no such status"));
    }
    let body = data::users(status.as_deref(), page(query)?);
    Ok(Response::new(200, body))
}

fn page(query: &str) -> Result<Page, Response> {
    let read = |name, absent, most| match parameter(query, name) {
        None => Ok(absent),
        Some(text) => number(&text, 1, most).ok_or_else(|| invalid("not a number in range")),
    };
    Ok(Page {
        limit: read("limit", 20, 100)?,
        page: read("page", 1, 1_000_000)?,
    })
}

fn parse_id(text: &str) -> Result<u64, Response> {
    number(text, 0, MAX_ID).ok_or_else(|| invalid("an id is digits, at most 2^53 - 1"))
}

/// Digits only.
fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (least..=most).contains(&number).then_some(number)
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// The first parameter of that name, percent-decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
    let mut decoded = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((16 * high + low) as u8);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

fn found(body: String) -> Answer {
    Ok(Response::new(200, body))
}

fn not_found() -> Answer {
    Err(error(404, "not_found", "there is nothing here"))
}

fn not_allowed(allow: &'static str) -> Response {
    let mut response = error(405, "method_not_allowed", "see Allow");
    response.allow = Some(allow);
    response
}

fn invalid(message: &str) -> Response {
    error(400, "invalid_parameter", message)
}

/// The texts are ours and have nothing to escape.
fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
    Response::new(status, body)
}
