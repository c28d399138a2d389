//! A history as JSON.

use serde_json::{Value, json};

use super::{History, Past};

/// The version of the JSON; incremented by every change that an older reader would misread.
pub const HISTORY_SCHEMA_VERSION: u32 = 1;

pub(super) fn text(history: &History<'_>) -> String {
    let runs: Vec<Value> = history.runs.iter().map(run).collect();
    let document = json!({
        "schema_version": HISTORY_SCHEMA_VERSION,
        "kind": "history",
        "runs": runs,
    });
    let mut text = serde_json::to_string_pretty(&document).expect("all keys are strings");
    text.push('\n');
    text
}

fn run(past: &Past<'_>) -> Value {
    let run = &past.record.run;
    let changed: Vec<Value> = past
        .changed
        .iter()
        .map(|d| json!({ "member": d.member, "before": d.base, "now": d.new }))
        .collect();
    json!({
        "run": run.id,
        "started_at": run.started_at,
        "revision": run.revision,
        "harness_version": run.harness_version,
        "profile": run.profile,
        "rounds": run.rounds,
        "machine": past.record.environment.fingerprint,
        "machine_changed": changed,
        "summary": past.summary.rows,
        "server_summary": past.summary.servers,
        "rankings": past.summary.rankings,
        "reasons": past.summary.reasons,
    })
}
