//! A comparison as JSON. `harness/docs/RECORD.md` describes its members.

use serde_json::{Value, json};

use super::{Meeting, display};
use crate::say;
use judge::{ALPHA, Change, ControlMove, NotJudged, Outcome, Place, Ratio, Turn};
use record::Record;
use stats::Better;

/// The version of this format; incremented by every change that an older reader would misread.
pub const COMPARISON_SCHEMA_VERSION: u32 = 1;

pub(super) fn text(meeting: &Meeting<'_>) -> String {
    let found = meeting.comparison;
    let machine: Vec<Value> = meeting
        .another_machine
        .iter()
        .map(|d| json!({ "member": d.member, "base": d.base, "new": d.new }))
        .collect();
    let not_compared = say::not_compared(&found.not_judged);
    let not_compared: Vec<Value> = not_compared.into_iter().map(not_judged).collect();
    let sure = found.changes.iter().filter(|change| change.sure).count();
    let document = json!({
        "schema_version": COMPARISON_SCHEMA_VERSION,
        "kind": "comparison",
        "base": operand(meeting.base),
        "new": operand(meeting.new),
        "same_run": meeting.same_run,
        "another_machine": machine,
        "counts": {
            "regressed": found.count(Outcome::Regressed),
            "improved": found.count(Outcome::Improved),
            "indistinguishable": found.count(Outcome::Indistinguishable),
            "sure": sure,
            "not_compared": found.not_judged.len(),
            "compared": found.changes.len(),
            "level": ALPHA,
            "by_chance_at_most": found.by_chance(),
        },
        "changes": found.changes.iter().map(change).collect::<Vec<_>>(),
        "failures": found.turns.iter().map(turn).collect::<Vec<_>>(),
        "not_compared": not_compared,
        "control": found.control.iter().map(control).collect::<Vec<_>>(),
        "notes": found.notes.iter().map(say::note).collect::<Vec<_>>(),
        "note_reasons": found.notes,
    });
    let mut text = serde_json::to_string_pretty(&document).expect("all keys are strings");
    text.push('\n');
    text
}

fn operand((record, server): (&Record, Option<&str>)) -> Value {
    let run = &record.run;
    json!({
        "run": run.id,
        "started_at": run.started_at,
        "revision": run.revision,
        "harness_version": run.harness_version,
        "engine": run.engine.0,
        "profile": run.profile,
        "rounds": run.rounds,
        "server": server,
    })
}

/// A place, followed by `rest`.
fn placed(place: &Place, rest: Value) -> Value {
    let mut all = json!({
        "server": place.server,
        "workload": place.workload,
        "stage": place.stage.map(|stage| stage.name()),
        "figure": place.figure,
    });
    if let (Value::Object(all), Value::Object(rest)) = (&mut all, rest) {
        all.extend(rest);
    }
    all
}

fn change(change: &Change) -> Value {
    let better = match change.better {
        Better::Higher => "higher",
        Better::Lower => "lower",
    };
    let rest = json!({
        "display": display(&change.display),
        "better": better,
        "base": change.base,
        "new": change.new,
        "ratio": ratio(&change.ratio),
        "noise_floor_ratio": change.delta.exp_m1(),
        "divided_by_control": change.by_control,
        "verdict": change.outcome.name(),
        "sure": change.sure,
    });
    placed(&change.place, rest)
}

fn turn(turn: &Turn) -> Value {
    let rest = json!({
        "display": display(&turn.display),
        "verdict": turn.outcome.name(),
        "cause": say::obstacle(&turn.cause),
        "reason": turn.cause,
    });
    placed(&turn.place, rest)
}

fn not_judged((cause, one): (String, &NotJudged)) -> Value {
    placed(&one.place, json!({ "cause": cause, "reason": one.cause }))
}

fn control(moved: &ControlMove) -> Value {
    let rest = json!({ "ratio": ratio(&moved.ratio), "divided_by": moved.divided });
    placed(&moved.place, rest)
}

fn ratio(found: &Ratio) -> Value {
    json!({
        "median": found.median,
        "low": found.interval.low,
        "high": found.interval.high,
    })
}
