//! `record.json`: the record and its summary for programs that don't read SQLite.
//!
//! Its format is `harness/schema/record.schema.json`; a change that an older reader would
//! misread raises [`SCHEMA_VERSION`](super::SCHEMA_VERSION).

use serde::Serialize;

use super::{Ranking, ReasonRow, Record, Row, ServerRow, Summary};

/// The JSON Schema (draft 2020-12) of `record.json`.
pub const JSON_SCHEMA: &str = include_str!("../../../schema/record.schema.json");

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    record: &'a Record,
    summary: &'a [Row],
    server_summary: &'a [ServerRow],
    rankings: &'a [Ranking],
    reasons: &'a [ReasonRow],
}

/// The text of `record.json`, indented, with a final newline. The 100 ms intervals are only in `run.sqlite`.
pub fn to_json(record: &Record, summary: &Summary) -> String {
    let document = Document {
        record,
        summary: &summary.rows,
        server_summary: &summary.servers,
        rankings: &summary.rankings,
        reasons: &summary.reasons,
    };
    let mut text = serde_json::to_string_pretty(&document).expect("all keys are strings");
    text.push('\n');
    text
}
