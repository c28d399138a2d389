//! A page that was requested before shows what changed since: no response is kept for later.

use serde_json::Value;

use super::raw::{self, Connection, RawResponse};
use super::response::excerpt;
use super::subject::Subject;
use super::{CheckDef, Outcome};

/// Orders to place, each between two reads of the same target.
const ORDERS: u64 = 30;
/// The reads and the orders go over these in turn, so that a target comes on every connection.
const CONNECTIONS: usize = 4;
const PAGES: [&str; 3] = [
    "/api/v1/orders",
    "/api/v1/orders?limit=1",
    "/api/v1/orders?limit=100&page=1",
];

pub(super) const CHECKS: &[CheckDef] = checks! {
    "orders-fresh" => fresh:
        "a page or an order that was just read shows the next order at once, on every connection",
};

fn fresh(subject: &Subject) -> Outcome {
    let mut reader = Reader {
        subject,
        connections: std::array::from_fn(|_| None),
        turn: 0,
    };
    let first = subject.orders_total()?;
    for (total, page) in (first..first + ORDERS).zip(PAGES.iter().cycle()) {
        let next = format!("/api/v1/orders/{}", total + 1);
        reader.shows(page, total)?;
        reader.returns(&next, 404)?;
        reader.send(&raw::order(r#"{"item_id":"SKU-600","qty":6}"#))?;
        reader.shows(page, total + 1)?;
        reader.returns(&next, 200)?;
    }
    Ok(())
}

struct Reader<'s> {
    subject: &'s Subject,
    connections: [Option<Connection>; CONNECTIONS],
    turn: usize,
}

impl Reader<'_> {
    /// Sends a request over the next connection.
    fn send(&mut self, wire: &[u8]) -> Result<RawResponse, String> {
        self.turn += 1;
        let connection = &mut self.connections[self.turn % CONNECTIONS];
        self.subject.exchange(connection, wire)
    }

    fn get(&mut self, target: &str) -> Result<RawResponse, String> {
        let wrong = |got: String| format!("sent: GET {target}\ngot:  {got}\nexpected: a response");
        self.send(&raw::get(target)).map_err(wrong)
    }

    fn returns(&mut self, target: &str, status: u16) -> Outcome {
        let answer = self.get(target)?;
        match answer.status == status {
            true => Ok(()),
            false => Err(format!(
                "sent: GET {target}, just {} the order was placed\ngot:  {} {}\nexpected: {status}",
                if status == 404 { "before" } else { "after" },
                answer.status,
                excerpt(&answer.body)
            )),
        }
    }

    /// Checks that a first page counts `total` orders and begins with the newest.
    fn shows(&mut self, page: &str, total: u64) -> Outcome {
        let answer = self.get(page)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let newest = body["orders"][0]["id"].as_u64().unwrap_or(0);
        match body["total"].as_u64() == Some(total) && newest == total {
            true => Ok(()),
            false => Err(format!(
                "sent: GET {page}, just read before the last order and again after it\ngot:  {} {}\n\
                 expected: total {total}, and order {total} first",
                answer.status,
                excerpt(&answer.body)
            )),
        }
    }
}
