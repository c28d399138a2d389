//! `record.json`: the record and its summary for programs that don't read SQLite.
//!
//! Its format is `harness/schema/record.schema.json`; a change that an older reader would
//! misread raises [`SCHEMA_VERSION`](super::SCHEMA_VERSION).

use serde::Serialize;

use super::{Head, Ranking, ReasonRow, Record, Row, ServerRow, Summary};

/// The JSON Schema (draft 2020-12) of `record.json`.
pub const JSON_SCHEMA: &str = include_str!("../../../schema/record.schema.json");

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    record: &'a Record,
    summary: &'a [Row],
    server_summary: &'a [ServerRow],
    rankings: &'a [Ranking],
    reasons: &'a [ReasonRow],
}

/// A JSON file with a kind and a version of its own.
pub trait Document: Serialize {
    /// What it is, for messages.
    const WHAT: &'static str;
    /// The value of its member `kind`.
    const KIND: &'static str;
    /// The newest version that this harness reads, and the one it writes; incremented by every change that an older
    /// reader would misread.
    const VERSION: u32;

    /// What it begins with.
    fn head(&self) -> &Head;

    /// The text of the file, indented, with a final newline.
    fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("all keys are strings or numbers");
        text.push('\n');
        text
    }
}

/// The text of `record.json`, indented, with a final newline. The 100 ms intervals are only in `run.sqlite`.
pub fn to_json(record: &Record, summary: &Summary) -> String {
    let document = Whole {
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
