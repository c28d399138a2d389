//! `GET /ping`.

use serde_json::json;

use super::subject::Subject;
use super::{CheckDef, Outcome};

pub(super) const CHECKS: &[CheckDef] = &[CheckDef {
    id: "ping",
    about: "GET /ping returns {\"status\":\"ok\"}, with or without a query",
    run: ping,
}];

fn ping(subject: &Subject) -> Outcome {
    for target in ["/ping", "/ping", "/ping?limit=0"] {
        subject.get(target)?.is(200, &json!({"status": "ok"}))?;
    }
    Ok(())
}
