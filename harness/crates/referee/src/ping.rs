//! `GET /ping`.

use serde_json::json;

use super::subject::Subject;
use super::{CheckDef, Outcome};

pub(super) const CHECKS: &[CheckDef] = checks! {
    "ping" => ping: "GET /ping returns {\"status\":\"ok\"}, with or without a query",
};

fn ping(subject: &Subject) -> Outcome {
    for target in ["/ping", "/ping", "/ping?limit=0"] {
        subject.returns(target, &json!({"status": "ok"}))?;
    }
    Ok(())
}
