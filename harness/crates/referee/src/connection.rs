//! A connection carries nothing but responses, and serves more than one request.

use serde_json::{Value, json};

use super::model::Page;
use super::raw;
use super::response::excerpt;
use super::subject::Subject;
use super::{CheckDef, Outcome};

const REQUESTS: usize = 30;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "connection-reuse" => reuse:
        "a connection serves many requests; each response is complete and nothing follows it",
};

fn reuse(subject: &Subject) -> Outcome {
    let order = r#"{"item_id":"SKU-777","qty":1}"#;
    let refused = r#"{"item_id":"SKU-777","qty":0}"#;
    let page = Page {
        limit: 100,
        page: 2,
    };
    let get = |asked: &'static str, status: u16, body: Option<Value>| {
        let target = asked.trim_start_matches("GET ");
        (asked, raw::get(target), status, body)
    };
    // 14 is Zoë: more bytes than characters.
    let requests: [(&str, Vec<u8>, u16, Option<Value>); 10] = [
        get("GET /ping", 200, Some(json!({"status": "ok"}))),
        get(
            "GET /api/v1/users?limit=100&page=2",
            200,
            Some(subject.model.users(None, page)),
        ),
        ("POST /api/v1/orders", raw::order(order), 201, None),
        get("GET /nothing", 404, None),
        ("POST /api/v1/orders", raw::order(refused), 422, None),
        get("GET /api/v1/users/14", 200, subject.model.user(14).cloned()),
        get("GET /api/v1/users?limit=0", 400, None),
        get("GET /api/v1/orders", 200, None),
        (
            "DELETE /ping",
            b"DELETE /ping HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            405,
            None,
        ),
        get("GET /api/v1/users/77", 200, subject.model.user(77).cloned()),
    ];
    let requests = if subject.only_ping {
        &requests[..1]
    } else {
        &requests
    };
    let mut connection = None;
    for position in 0..REQUESTS {
        let (asked, wire, status, body) = &requests[position % requests.len()];
        let wrong = |got: String| {
            let nth = position + 1;
            format!("sent: {asked} (request {nth})\ngot:  {got}\nexpected: {status}, complete")
        };
        // Closing a connection after a response that says so is costly but not wrong. The number of connections
        // of a load shows it.
        let answer = subject.exchange(&mut connection, wire).map_err(wrong)?;
        let got: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if answer.status != *status || got.is_none() || (body.is_some() && got != *body) {
            return Err(wrong(format!(
                "{} {}",
                answer.status,
                excerpt(&answer.body)
            )));
        }
    }
    // An error is a connection that is kept or reset: no bytes either.
    let rest = connection.map_or_else(Vec::new, |open| open.finish().unwrap_or_default());
    match rest.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "sent: {REQUESTS} requests\ngot:  bytes after the end of the last response: {}\n\
             expected: nothing",
            excerpt(&rest)
        )),
    }
}
