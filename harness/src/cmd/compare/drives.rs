//! `harness compare` for two files written by `harness drive --json`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::{Arguments, Format};
use crate::cmd::drive::figures::{self, JsonFigure, Unit};
use crate::cmd::operand::Operand;
use crate::flags::{Status, Usage};
use report::{DriveDifference, DriveFigure, Drives};

/// Properties that make two drives different loads, and where they are in the JSON.
const LOAD: [(&str, &str); 24] = [
    ("url", "/url"),
    ("workload", "/workload"),
    ("session", "/session/name"),
    ("URLs", "/urls"),
    ("shuffled", "/shuffled"),
    ("connections", "/connections"),
    ("threads", "/threads"),
    ("spin", "/spin"),
    ("source addresses", "/bind"),
    ("one connection per request", "/connection_per_request"),
    ("requests per connection", "/requests_per_connection"),
    ("loop", "/loop"),
    ("target rate", "/asked_per_s"),
    ("arrivals", "/arrivals"),
    ("think time", "/think"),
    ("think time in ns", "/think_ns"),
    ("warm-up in ns", "/warmup_ns"),
    ("request limit", "/requests_limit"),
    ("most retries", "/retries/most"),
    ("pause before a retry in ns", "/retries/backoff_ns"),
    ("impaired delay in ns", "/impair/delay_ns"),
    ("duration in ns", DURATION),
    ("stages", STAGES),
    ("interrupted", "/interrupted"),
];
const DURATION: &str = "/duration_ns";
const STAGES: &str = "/stages";

/// Figures about the client or about errors, shown only if one of the drives has a value above 0.
const ONLY_WHERE_ANY: &str = "unanswered unsent silent reconnects ids_repeated";
/// Figures listed without `--all`.
const USUAL: &str = "rate requests errors unanswered unsent silent p50 p75 p90 p95 p99 p99.9 p99.99 \
    max mean first_byte.p50 first_byte.p99 connect.p99 send_lag.p99 session.rate session.failed session.p50 \
    session.p99 reconnects ids_repeated busy_ratio";

fn has(names: &str, figure: &JsonFigure) -> bool {
    names.split_whitespace().any(|name| name == figure.name)
}

/// The output of a drive.
#[derive(Debug)]
pub(super) struct Drive {
    name: String,
    json: Value,
}

/// Reads the drive that `text` names; `None` if it is no such file.
pub(super) fn read(text: &str) -> Option<Drive> {
    let path = Path::new(text);
    if !path.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    // Don't read a whole database just to find that it isn't JSON.
    let mut begin = [0];
    file.read_exact(&mut begin)
        .ok()
        .filter(|()| begin == *b"{")?;
    let mut rest = String::new();
    file.read_to_string(&mut rest).ok()?;
    let json: Value = serde_json::from_str(&format!("{{{rest}")).ok()?;
    let members = ["url", "loop", "requests", "latency_ns"];
    let is_drive = members.iter().all(|member| json.get(member).is_some());
    is_drive.then(|| Drive {
        name: text.to_owned(),
        json,
    })
}

/// Compares two drives if both operands are drives; returns `None` if neither is.
///
/// # Errors
/// [`Usage`] if one of them is a run, a flag applies only to runs, or the I/O backends differ.
pub(super) fn run(arguments: &Arguments) -> Result<Option<Status>> {
    let (base, new) = match (read(&arguments.base), read(&arguments.new)) {
        (None, None) => return Ok(None),
        (Some(base), Some(new)) => (base, new),
        (Some(drive), None) => return Err(mixed(&drive, &arguments.new)),
        (None, Some(drive)) => return Err(mixed(&drive, &arguments.base)),
    };
    refuse_flags(arguments)?;
    refuse_engines(&base, &new)?;
    let drives = Drives {
        base: base.about(),
        new: new.about(),
        different: differences(&base.json, &new.json),
        figures: compared(arguments, &base.json, &new.json)?,
        notes: notes(&base, &new),
    };
    let text = |format, colour| match format {
        Format::Terminal => drives.terminal(colour),
        Format::Markdown => drives.markdown(),
        Format::Json => drives.json(),
    };
    let counts = format!("{} figures", drives.figures.len());
    let read = [&base, &new].map(|drive| (Path::new(&drive.name), "a drive that is compared"));
    arguments.output.show(&counts, &read, text)?;
    Ok(Some(Status::Fine))
}

/// The error for a drive and something else. If that is nothing known, the error says so.
fn mixed(drive: &Drive, other: &str) -> anyhow::Error {
    match Operand::load(other) {
        Err(error) => error,
        Ok(_) => Usage(format!(
            "{} is a single drive, but {other} is a run of `harness bench`: compare two drives or two runs",
            drive.name
        ))
        .into(),
    }
}

fn refuse_flags(arguments: &Arguments) -> Result<()> {
    let judging = &arguments.judging;
    if judging.fail_on.is_some() {
        refuse!(
            "--fail-on needs intervals, and two single drives have none: set limits with `harness \
                   drive --fail-if`, or compare runs of `harness bench`"
        );
    }
    let of_runs = [
        ("--across-machines", arguments.across_machines),
        ("--raw", arguments.raw),
        ("--server", !arguments.only.server.is_empty()),
        ("--workload", !arguments.only.loads.workload.is_empty()),
        ("--stage", !arguments.only.loads.stage.is_empty()),
    ];
    match of_runs.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            refuse!("{flag} only applies to runs of `harness bench`, and these are single drives")
        }
    }
}

/// Refuses to compare figures measured with different I/O backends.
fn refuse_engines(base: &Drive, new: &Drive) -> Result<()> {
    let engine = |drive: &Drive| shown(&drive.json["engine"]);
    if engine(base) == engine(new) {
        return Ok(());
    }
    refuse!(
        "{} used {} and {} used {}: figures from different I/O backends can't be compared; run \
         both with the same --engine",
        base.name,
        engine(base),
        new.name,
        engine(new)
    )
}

/// How the loads differ.
fn differences(base: &Value, new: &Value) -> Vec<DriveDifference> {
    let limited = |drive: &Value| drive["requests_limit"].is_u64();
    // If a number of requests ends the drive, its duration is a result, not a setting.
    let lasts = !(limited(base) && limited(new));
    let member = |(what, pointer): &(&'static str, &str)| {
        let of = |drive: &Value| match *pointer {
            STAGES => stages(drive),
            pointer => drive.pointer(pointer).cloned().unwrap_or(Value::Null),
        };
        let (base, new) = (of(base), of(new));
        let differs = base != new && (*pointer != DURATION || lasts);
        differs.then(|| DriveDifference {
            member: what,
            base: shown(&base),
            new: shown(&new),
        })
    };
    LOAD.iter().filter_map(member).collect()
}

/// The settings of each stage, without their results.
fn stages(drive: &Value) -> Value {
    let asked = |stage: &Value| {
        let members = ["length_ns", "from_per_s", "to_per_s"];
        Value::from_iter(members.map(|member| stage[member].clone()))
    };
    drive["stages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(asked)
        .collect()
}

fn compared(arguments: &Arguments, base: &Value, new: &Value) -> Result<Vec<DriveFigure>> {
    let asked = &arguments.judging.figure;
    let figures: Vec<JsonFigure> = match &asked[..] {
        [] => figures::all(),
        names => names
            .iter()
            .map(|name| figures::named(name).map_err(|why| Usage(format!("--figure: {why}"))))
            .collect::<Result<_, _>>()?,
    };
    let is_listed = |figure: &JsonFigure| arguments.all || !asked.is_empty() || has(USUAL, figure);
    let listed = figures.into_iter().filter(is_listed);
    Ok(listed
        .filter_map(|figure| {
            let (base, new) = (figure.read(base), figure.read(new));
            let none = [base, new]
                .iter()
                .all(|side| side.is_none_or(|side| side.value == 0.0));
            let idle = none && has(ONLY_WHERE_ANY, &figure);
            if (base.is_none() && new.is_none() || idle) && asked.is_empty() {
                return None;
            }
            let side = |side: Option<figures::FigureValue>| {
                side.map(|side| (side.value, side.at_least, side.shown(figure.unit)))
            };
            Some(DriveFigure {
                base: side(base),
                new: side(new),
                unit: figure.unit.sign(),
                name: figure.name,
            })
        })
        .collect())
}

fn notes(base: &Drive, new: &Drive) -> Vec<String> {
    let mut notes = vec![
        "There is only one drive on each side, so there is no interval to tell a difference from \
         chance. Run both sides several times in turn and see how much each differs from itself, or \
         measure both with `harness bench`."
            .to_owned(),
        "A drive does not record its machine: compare only drives from the same machine, run close together."
            .to_owned(),
    ];
    for drive in [base, new] {
        let errors = figures::named("errors").ok();
        let errors = errors.and_then(|figure| figure.read(&drive.json));
        if let Some(errors) = errors.filter(|errors| errors.value > 0.0) {
            notes.push(format!(
                "{} had errors: {}. Its latency covers valid responses and timeouts.",
                drive.name,
                errors.shown(Unit::Count)
            ));
        }
    }
    notes
}

impl Drive {
    /// As in `new.json: http://127.0.0.1:8080/ping over epoll`.
    fn about(&self) -> String {
        format!(
            "{}: {} over {}",
            self.name,
            shown(&self.json["url"]),
            shown(&self.json["engine"])
        )
    }
}

/// A value in readable form.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_figure_listed_is_one() {
        let (usual, rare) = (USUAL.split_whitespace(), ONLY_WHERE_ANY.split_whitespace());
        for name in usual.chain(rare) {
            assert_eq!(figures::named(name).unwrap().name, name);
        }
    }

    #[test]
    fn loads_differ_by_what_was_asked_for() {
        let words = |base: &Value, new: &Value| {
            let all = differences(base, new).into_iter();
            all.map(|d| format!("{}: {} and {}", d.member, d.base, d.new))
                .collect::<Vec<_>>()
        };
        let stage = |to: f64, requests: u64| json!({"length_ns": 5, "from_per_s": 1.0, "to_per_s": to, "requests": requests});
        let a = json!({"url": "u", "connections": 64, "duration_ns": 7, "stages": [stage(2.0, 3)]});
        assert_eq!(words(&a, &a), Vec::<String>::new());
        let b = json!({"url": "u", "connections": 1, "duration_ns": 8, "stages": [stage(2.0, 9)],
                       "spin": true});
        assert_eq!(
            words(&a, &b),
            [
                "connections: 64 and 1",
                "spin: none and yes",
                "duration in ns: 7 and 8"
            ]
        );
        let c = json!({"url": "u", "connections": 64, "duration_ns": 7, "stages": [stage(3.0, 3)]});
        assert_eq!(words(&a, &c), ["stages: [[5,1.0,2.0]] and [[5,1.0,3.0]]"]);
        let limited = |n: u64, duration: u64| json!({"requests_limit": n, "duration_ns": duration});
        assert_eq!(words(&limited(5, 1), &limited(5, 2)), Vec::<String>::new());
        assert_eq!(
            words(&limited(5, 1), &limited(6, 2)),
            ["request limit: 5 and 6"]
        );
    }
}
