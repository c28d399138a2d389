//! `docs/QUERIES.md`: every query of it runs, has the columns it shows, and finds what there is to find.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use record::*;
use rusqlite::Connection;
use rusqlite::types::Value;
use store::*;
use tempfile::TempDir;

use crate::record_and_report::planted::{self, ROUNDS};

const PAGE: &str = include_str!("../../../docs/QUERIES.md");

/// A question of the page.
struct Question {
    asked: &'static str,
    sql: &'static str,
    /// The head of the table that follows the query.
    columns: Vec<&'static str>,
    /// Whether rows of the committed run follow it.
    has_rows: bool,
}

fn questions() -> Vec<Question> {
    PAGE.split("\n### ").skip(1).map(question).collect()
}

fn question(section: &'static str) -> Question {
    let asked = section.lines().next().unwrap();
    let fenced = section.split("```sql\n").nth(1);
    let (sql, after) = fenced
        .and_then(|rest| rest.split_once("```\n"))
        .unwrap_or_else(|| panic!("{asked}: no query"));
    let table: Vec<&str> = after.lines().filter(|l| l.starts_with('|')).collect();
    assert!(
        table.len() >= 2,
        "{asked}: no table shows what it gives back"
    );
    Question {
        asked,
        sql,
        columns: table[0]
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect(),
        has_rows: table.len() > 2,
    }
}

type Row = BTreeMap<String, Value>;

/// Where the page's queries find what they ask for.
struct Asked {
    folder: TempDir,
    database: Connection,
}

impl Asked {
    /// The planted run and, beside it, another in which a request costs a tenth more.
    fn planted() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut record = planted::record();
        store(&folder.path().join("run.sqlite"), &record);
        for trial in &mut record.trials {
            if let Some(cost) = trial.figures.get_mut("cpu_us_per_request") {
                *cost /= 1.1;
            }
        }
        store(&folder.path().join("before.sqlite"), &record);
        Self::of(folder)
    }

    fn of(folder: TempDir) -> Self {
        let database = Connection::open(folder.path().join("run.sqlite")).unwrap();
        // The shell's own readfile() is not part of SQLite.
        database
            .execute_batch("CREATE TEMP TABLE file (text)")
            .unwrap();
        database
            .execute("INSERT INTO file VALUES (?1)", [crosscheck()])
            .unwrap();
        Self { folder, database }
    }

    fn ask(&self, question: &Question) -> (Vec<String>, Vec<Row>) {
        let before = self.folder.path().join("before.sqlite");
        let sql = question
            .sql
            .replace(
                "readfile('crosscheck.json')",
                "(SELECT text FROM temp.file)",
            )
            .replace(
                "bench-results/reference/run.sqlite",
                before.to_str().unwrap(),
            );
        let (first, last) = match sql.split_once(";\n\n") {
            Some((first, last)) => (first, last),
            None => ("", sql.as_str()),
        };
        self.database.execute_batch(first).unwrap();
        let mut statement = self
            .database
            .prepare(last)
            .unwrap_or_else(|e| panic!("{}: {e}", question.asked));
        let columns: Vec<String> = statement.column_names().map(Into::into).collect();
        let rows = statement
            .query_map((), |row| {
                let cell = |(at, name): (usize, &String)| Ok((name.clone(), row.get(at)?));
                columns.iter().enumerate().map(cell).collect()
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|e| panic!("{}: {e}", question.asked));
        (columns, rows)
    }
}

fn store(path: &Path, record: &Record) {
    let mut store = Store::create(path).unwrap();
    store.put_run(&record.run).unwrap();
    store.put_environment(&record.environment).unwrap();
    for trial in &record.trials {
        store.put_trial(trial).unwrap();
    }
}

/// What of `crosscheck.json` the page reads: in each of two rounds the other tool has half the rate and
/// twice the p99 of ours; a drive that failed has no reading.
fn crosscheck() -> String {
    let drive = |tool: &str, round: u32, rate: f64, p99: f64| {
        serde_json::json!({
            "server": "alder", "connections": 64, "round": round, "tool": tool,
            "reading": {
                "requests_per_s": rate,
                "latency": { "points_ns": { "p50": 100_000.0, "p99": p99 } },
            },
        })
    };
    let failed = serde_json::json!({
        "server": "alder", "connections": 64, "round": 3, "tool": "other", "reading": null,
    });
    serde_json::json!({
        "tools": [{ "name": "epoll", "ours": true }, { "name": "other", "ours": false }],
        "drives": [
            drive("epoll", 1, 8_000.0, 500_000.0), drive("other", 1, 4_000.0, 1_000_000.0),
            drive("other", 2, 5_000.0, 1_200_000.0), drive("epoll", 2, 10_000.0, 600_000.0),
            failed,
        ],
    })
    .to_string()
}

fn number(row: &Row, column: &str) -> f64 {
    match &row[column] {
        Value::Real(number) => *number,
        Value::Integer(number) => *number as f64,
        other => panic!("{column} is {other:?}"),
    }
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    match &row[column] {
        Value::Text(text) => text,
        other => panic!("{column} is {other:?}"),
    }
}

fn column(rows: &[Row], name: &str) -> Vec<f64> {
    rows.iter().map(|row| number(row, name)).collect()
}

#[track_caller]
fn row<'r>(rows: &'r [Row], name: &str, value: &str) -> &'r Row {
    rows.iter()
        .find(|row| text(row, name) == value)
        .unwrap_or_else(|| panic!("no {value} in {rows:?}"))
}

/// What the planted run answers; see there for what is planted.
fn check(asked: &str, rows: &[Row]) {
    let first = rows.first();
    match asked {
        "Did the machine drift over the run?" => {
            let percent = column(rows, "percent_of_usual");
            assert_eq!(percent.len(), ROUNDS as usize);
            assert!(percent.is_sorted_by(|a, b| a > b), "{percent:?}");
            assert!(percent[0] > 103.0 && percent[7] < 97.0, "{percent:?}");
        }
        "Did it drift by the clock?" => {
            // Two trials a minute.
            assert_eq!(rows.len(), 24);
            assert_eq!(column(rows, "trials"), [2.0; 24]);
            let dear = rows
                .iter()
                .filter(|r| number(r, "percent_of_usual") > 200.0);
            assert_eq!(dear.count(), 1);
        }
        "Which rounds stand apart?" => {
            let first = first.unwrap();
            assert_eq!(
                (text(first, "server"), text(first, "figure")),
                ("birch", "cpu_us_per_request")
            );
            assert_eq!(number(first, "round"), 5.0);
            assert!(number(first, "times_usual") > 20.0, "{first:?}");
            assert!((number(first, "percent_off") - 197.0).abs() < 2.0);
        }
        "When were the worst tenths of a second, and was the server busy then?" => {
            let first = first.unwrap();
            assert_eq!(text(first, "server"), "birch");
            assert_eq!((number(first, "round"), number(first, "at_s")), (3.0, 0.7));
            assert_eq!(number(first, "p99_us"), 90_000.0);
            assert_eq!(number(first, "times_usual"), 90.0);
            assert_eq!(number(first, "server_cpus"), 0.1);
        }
        "Was the load generator the limit?" => {
            assert_eq!(column(rows, "driver_busy_percent"), [50.0; 6]);
            let lag = rows.iter().find(|r| text(r, "stage") == "paced").unwrap();
            assert_eq!(number(lag, "send_lag_p99_us"), 40.0);
        }
        "Which server costs least per request at the same rate?" => {
            let birch = row(rows, "server", "birch");
            assert_eq!(number(birch, "trials"), f64::from(ROUNDS));
            assert_eq!(number(birch, "most_us"), 30.0);
            assert_eq!(text(rows.last().unwrap(), "server"), "birch");
        }
        "What does a request cost as the rate grows?" => {
            let rates = column(&rows[..4], "requests_per_s");
            assert!(rates.is_sorted_by(|a, b| a < b), "{rates:?}");
            // 90 ms of CPU time in each interval, so the more there are, the less each costs.
            let cost = column(&rows[..4], "cpu_us_per_request");
            assert!(cost.is_sorted_by(|a, b| a > b), "{cost:?}");
            assert_eq!(number(&rows[0], "server_cpus"), 0.9);
        }
        "Does jitter grow with the rate?" => {
            let jitter = column(&rows[..4], "jitter_us");
            assert!(jitter.is_sorted_by(|a, b| a < b), "{jitter:?}");
        }
        "Does a server's memory grow under load?" => {
            let first = first.unwrap();
            assert_eq!(text(first, "server"), "birch");
            assert_eq!(number(first, "mean_growth_mib"), 9.0);
            assert_eq!(number(first, "peak_mib"), 30.0);
            assert_eq!(number(row(rows, "server", "alder"), "most_growth_mib"), 0.0);
        }
        "Was it still warming up while it was measured?" => {
            // 97.5 beside 102.5, in the mean of all rounds.
            for percent in column(rows, "begin_percent_of_rest") {
                assert!((94.0..96.0).contains(&percent), "{percent}");
            }
        }
        "Does it start threads under load?" => {
            let birch = row(rows, "server", "birch");
            assert_eq!((number(birch, "least"), number(birch, "most")), (3.0, 4.0));
            assert_eq!(number(birch, "trials_in_which_it_changed"), 2.0);
            let alder = row(rows, "server", "alder");
            assert_eq!(number(alder, "trials_in_which_it_changed"), 0.0);
        }
        "What went wrong, where, and in which words?" => {
            assert_eq!(rows.len(), 1);
            assert_eq!(text(&rows[0], "step"), "drive");
            assert!(text(&rows[0], "reason").contains("101"));
        }
        "Does the time series add up to the figures?" => {
            assert_eq!(column(rows, "most_apart"), [0.0; 6]);
        }
        "How far apart are two entries of one program?" => {
            let rate = row(rows, "figure", "requests_per_s");
            assert_eq!(text(rate, "server"), "alder");
            assert_eq!(number(rate, "rounds"), f64::from(ROUNDS));
            for name in ["percent_apart", "least", "most"] {
                assert_eq!(number(rate, name), -2.0, "{name}");
            }
        }
        "Do other load generators see the same?" => {
            assert_eq!(rows.len(), 1);
            assert_eq!(number(&rows[0], "rounds"), 2.0);
            assert_eq!(number(&rows[0], "rate_ratio"), 0.5);
            assert_eq!(number(&rows[0], "p50_ratio"), 1.0);
            assert_eq!(number(&rows[0], "p99_ratio"), 2.0);
        }
        "What changed since another run?" => {
            assert_eq!(rows.len(), 6);
            assert_eq!(column(rows, "percent"), [10.0; 6]);
        }
        other => panic!("no test knows what \"{other}\" should find"),
    }
}

#[test]
fn every_query_of_the_page_finds_what_there_is_to_find() {
    let asked = Asked::planted();
    let questions = questions();
    assert!(questions.len() >= 16, "only {} were read", questions.len());
    for question in &questions {
        let (columns, rows) = asked.ask(question);
        assert_eq!(columns, question.columns, "{}", question.asked);
        check(question.asked, &rows);
    }
}

/// A run that an older harness stored gets its views when it is opened.
#[test]
fn every_query_of_the_page_runs_on_the_committed_run() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["run.sqlite", "before.sqlite"] {
        let copy = folder.path().join(name);
        fs::copy(committed(), &copy).unwrap();
        Store::open(&copy).unwrap();
    }
    let asked = Asked::of(folder);
    for question in questions() {
        let (columns, rows) = asked.ask(&question);
        assert_eq!(columns, question.columns, "{}", question.asked);
        assert!(
            !question.has_rows || !rows.is_empty(),
            "{}: no rows",
            question.asked
        );
    }
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench-results/reference/run.sqlite")
}
