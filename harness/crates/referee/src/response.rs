//! A response, and what can be wrong with it.

use std::fmt::Display;
use std::time::SystemTime;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::Outcome;

/// Maximum number of bytes of a body to show.
const EXCERPT_BYTES: usize = 240;

/// An error of the contract: its status and its code.
pub(super) type Refusal = (u16, &'static str);

pub(super) const NOT_FOUND: Refusal = (404, "not_found");
pub(super) const METHOD_NOT_ALLOWED: Refusal = (405, "method_not_allowed");
pub(super) const INVALID_PARAMETER: Refusal = (400, "invalid_parameter");
pub(super) const PAYLOAD_TOO_LARGE: Refusal = (413, "payload_too_large");
pub(super) const UNSUPPORTED_MEDIA_TYPE: Refusal = (415, "unsupported_media_type");
pub(super) const MALFORMED_JSON: Refusal = (400, "malformed_json");
pub(super) const INVALID_ORDER: Refusal = (422, "invalid_order");
pub(super) const OUT_OF_STOCK: Refusal = (409, "out_of_stock");
pub(super) const UPSTREAM_ABSENT: Refusal = (503, "upstream_absent");
pub(super) const UPSTREAM_FAILED: Refusal = (502, "upstream_failed");

/// A complete response.
#[derive(Debug)]
pub(super) struct Response {
    /// The request, in one line.
    pub(super) asked: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Just before the request was sent.
    pub(super) sent_at: SystemTime,
    /// Just after the response was complete.
    pub(super) received_at: SystemTime,
}

impl Response {
    /// Request, response and expectation, for the user.
    pub(super) fn wrong(&self, expected: impl Display) -> String {
        format!(
            "sent: {}\ngot:  {} {}\nexpected: {expected}",
            self.asked,
            self.status,
            excerpt(&self.body)
        )
    }

    /// The value of a header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The same response with another body.
    pub(super) fn with_body(&self, body: Vec<u8>) -> Self {
        Self {
            body,
            asked: self.asked.clone(),
            headers: self.headers.clone(),
            ..*self
        }
    }

    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| self.wrong(format!("JSON ({error})")))
    }

    /// The ids of the orders on a page.
    pub(super) fn order_ids(&self) -> Result<Option<Vec<u64>>, String> {
        let body = self.json()?;
        let orders = body["orders"].as_array();
        Ok(orders.and_then(|orders| orders.iter().map(|order| order["id"].as_u64()).collect()))
    }

    /// Checks the status and the whole body.
    pub(super) fn is(&self, status: u16, body: &Value) -> Outcome {
        if self.status == status && self.json()? == *body {
            return Ok(());
        }
        Err(self.wrong(format!("{status} {}", excerpt(body.to_string().as_bytes()))))
    }

    /// Checks for the error envelope with this code; its message can be anything.
    pub(super) fn is_error(&self, (status, code): Refusal) -> Outcome {
        let envelope = self.json().unwrap_or_default();
        let message = &envelope["error"]["message"];
        let whole = json!({"error": {"code": code, "message": message}});
        if self.status == status && message.is_string() && envelope == whole {
            return Ok(());
        }
        Err(self.wrong(format!(
            r#"{status} {{"error":{{"code":"{code}","message":"…"}}}}"#
        )))
    }

    /// Checks for an accepted order with these members; returns its id.
    pub(super) fn is_order(&self, members: &Map<String, Value>) -> Result<u64, String> {
        let mut body = self.json().unwrap_or_default();
        let id = body
            .as_object_mut()
            .and_then(|order| order.remove("id"))
            .and_then(|id| id.as_u64())
            .filter(|id| *id > 0);
        match id {
            Some(id) if self.status == 201 && body.as_object() == Some(members) => Ok(id),
            _ => {
                let members = Value::Object(members.clone());
                Err(self.wrong(format!("201, an id from 1 and {members}")))
            }
        }
    }
}

/// The beginning of a body, for the user.
pub fn excerpt(body: &[u8]) -> String {
    let shown = &body[..body.len().min(EXCERPT_BYTES)];
    let text = String::from_utf8_lossy(shown).replace(char::is_control, "\u{fffd}");
    match body.len() {
        0 => "(no body)".to_owned(),
        length if length > EXCERPT_BYTES => format!("{text}… ({length} bytes)"),
        _ => text,
    }
}
