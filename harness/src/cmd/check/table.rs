//! The output of `harness check`: a table of servers and checks, followed by all failures.

use std::time::Duration;

use serde_json::{Value, json};

use catalog::Server;
use record::Failure;
use referee::{AtStop, CheckReport, CheckResult, MissingRoute};
use report::{WIDTH, wrapped};
use runner::Checked;
use words::counted;

use crate::cmd::aligned;

/// Maximum number of different failures shown in full for each server.
const SHOWN: usize = 8;

/// The topics in the order in which their failures are shown: the answers that every client sees first, drawn
/// requests last, as most of what they find the others find too.
const FIRST_TO_LAST: [&str; 20] = [
    "ping",
    "user",
    "users",
    "orders",
    "errors",
    "headers",
    "process",
    "stock",
    "concurrent",
    "connection",
    "client",
    "download",
    "upload",
    "compressed",
    "wait",
    "upstream",
    "timing",
    "routes",
    "work",
    "drawn",
];

/// One server and its result.
#[derive(Default)]
pub(super) struct CheckRow {
    server: String,
    /// The routes that its manifest says it doesn't have.
    lacks: Vec<String>,
    report: Option<CheckReport>,
    failure: Option<Failure>,
    first_byte_us: Option<f64>,
    took: Option<Duration>,
}

impl CheckRow {
    /// A server that could not be built.
    pub(super) fn not_built(server: &str, failure: Failure) -> Self {
        Self {
            server: server.to_owned(),
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// A server that was checked, and how long that took.
    pub(super) fn new(server: &Server, checked: Checked, took: Duration) -> Self {
        Self {
            server: server.name.clone(),
            lacks: server.about.lacks.clone(),
            first_byte_us: checked.record.and_then(|record| record.first_byte_us),
            report: checked.report,
            failure: checked.verdict.err(),
            took: Some(took),
        }
    }

    pub(super) fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// A failure outside of all checks.
    pub(super) fn unchecked(&self) -> Option<&Failure> {
        let told = |report: &CheckReport| report.failures().next().is_some();
        self.failure
            .as_ref()
            .filter(|_| !self.report.as_ref().is_some_and(told))
    }

    pub(super) fn json(&self) -> Value {
        let checks: Vec<_> = self
            .results()
            .iter()
            .map(|result| {
                json!({
                    "id": result.id,
                    "about": result.about,
                    "passed": result.outcome.is_ok(),
                    "detail": result.outcome.as_ref().err(),
                })
            })
            .collect();
        json!({
            "server": self.server,
            "lacks": self.lacks,
            "passed": self.passed(),
            "failure": self.failure,
            "first_byte_us": self.first_byte_us,
            "lost_at_stop": self.at_stop().map(|at_stop| at_stop.lost),
            "sent_at_stop": self.at_stop().map(|at_stop| at_stop.sent),
            "missing_routes": self.missing().iter().map(|missing| missing.route).collect::<Vec<_>>(),
            "took_ms": self.took.map(|took| took.as_millis()),
            "checks": checks,
        })
    }

    fn results(&self) -> &[CheckResult] {
        self.report
            .as_ref()
            .map_or(&[], |report| report.results.as_slice())
    }

    fn missing(&self) -> &[MissingRoute] {
        self.report
            .as_ref()
            .map_or(&[], |report| report.missing.as_slice())
    }

    /// Whether a check failed for another reason than a missing route.
    fn failed(&self, result: &CheckResult) -> bool {
        result.outcome.as_ref().is_err_and(|why| !self.waits(why))
    }

    /// Whether a check failed because a route is missing: it got the answer that such a route gives.
    fn waits(&self, why: &str) -> bool {
        let is_answer =
            |missing: &MissingRoute| why.contains(&format!("got:  {} ", missing.status));
        self.missing().iter().any(is_answer)
    }

    fn at_stop(&self) -> Option<AtStop> {
        self.report.as_ref()?.at_stop
    }

    fn result(&self, id: &str) -> Option<&CheckResult> {
        self.results().iter().find(|result| result.id == id)
    }

    /// As in `3/4`; `None` if none of these checks ran.
    fn share(&self, ids: &[&str]) -> Option<String> {
        let made: Vec<_> = ids.iter().filter_map(|id| self.result(id)).collect();
        let passed = made.iter().filter(|result| result.outcome.is_ok()).count();
        (!made.is_empty()).then(|| format!("{passed}/{}", made.len()))
    }

    fn mark(&self, id: &str) -> Option<String> {
        let passed = self.result(id)?.outcome.is_ok();
        Some(if passed { "pass" } else { "FAIL" }.to_owned())
    }
}

/// The table and the failures, line by line.
pub(super) fn lines(rows: &[CheckRow]) -> Vec<String> {
    let mut lines = Vec::new();
    let cells = cells(rows);
    let mut from = 1;
    while from <= rows.len() {
        let (columns, part) = part(&cells, from);
        if from > 1 {
            lines.push(String::new());
        }
        lines.extend(part);
        from += columns;
    }
    for row in rows {
        lines.extend(lacks(row));
        lines.extend(failures(row));
    }
    lines
}

/// The routes that were not checked, since its manifest says that they aren't there.
fn lacks(row: &CheckRow) -> Vec<String> {
    if row.lacks.is_empty() || row.report.is_none() {
        return Vec::new();
    }
    let (name, lacks) = (&row.server, row.lacks.join(", "));
    let text = format!(
        "{name} lacks {lacks}, as its manifest says: not checked, and not measured in workloads that use it"
    );
    std::iter::once(String::new())
        .chain(wrapped(&text, WIDTH, 0))
        .collect()
}

/// A line for each topic, and one for each check in it that some server failed: its title, and a cell for each
/// server.
fn cells(rows: &[CheckRow]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let mut line = |title: &str, cell: &dyn Fn(&CheckRow) -> Option<String>| {
        let cells = rows.iter().map(|row| cell(row).unwrap_or("-".to_owned()));
        lines.push(std::iter::once(title.to_owned()).chain(cells).collect());
    };
    line("", &|row| Some(row.server.clone()));
    for (group, ids) in groups() {
        if rows.iter().all(|row| row.share(&ids).is_none()) {
            continue;
        }
        line(group, &|row| row.share(&ids));
        for id in ids {
            let failed = |row: &CheckRow| row.result(id).is_some_and(|r| row.failed(r));
            if rows.iter().any(failed) {
                line(&format!("  {id}"), &|row| row.mark(id));
            }
        }
    }
    let all: Vec<&str> = referee::ids().collect();
    line("all checks", &|row| row.share(&all));
    line("first byte at idle, µs", &|row| {
        row.first_byte_us.map(|us| format!("{us:.0}"))
    });
    line("lost at stop", &|row| {
        let at_stop = row.at_stop()?;
        Some(format!("{} of {}", at_stop.lost, at_stop.sent))
    });
    line("checked in, s", &|row| {
        row.took.map(|took| format!("{:.1}", took.as_secs_f64()))
    });
    lines
}

/// The checks by topic, in order of first appearance.
fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in referee::all() {
        match groups.iter_mut().find(|(group, _)| *group == check.group) {
            Some((_, ids)) => ids.push(check.id),
            None => groups.push((check.group, vec![check.id])),
        }
    }
    groups
}

/// As many columns as fit, starting with `from` and at least one, as text; and how many these are.
fn part(cells: &[Vec<String>], from: usize) -> (usize, Vec<String>) {
    let take = |columns: usize| {
        let line = |line: &Vec<String>| [&line[..1], &line[from..from + columns]].concat();
        aligned(&cells.iter().map(line).collect::<Vec<_>>())
    };
    let fits = |columns: &usize| *columns == 1 || take(*columns)[0].chars().count() <= WIDTH;
    let most = cells[0].len() - from;
    let columns = (1..=most).rev().find(fits).unwrap_or(1);
    (columns, take(columns))
}

/// What a server still needs, most useful first: missing routes, then its failures by topic. Checks that failed
/// for the same reason are grouped, for example all those that could not run because the server no longer
/// responds.
fn failures(row: &CheckRow) -> Vec<String> {
    let failed = row.results().iter().filter(|r| r.outcome.is_err()).count();
    if failed == 0 {
        return Vec::new();
    }
    let mut lines = vec![
        String::new(),
        format!(
            "{}: {failed} of {} checks failed",
            row.server,
            row.results().len()
        ),
    ];
    for missing in row.missing() {
        lines.push(format!(
            "  not written yet: {} ({})",
            missing.route, missing.status
        ));
    }
    let causes = causes(row);
    let waiting = failed
        - causes
            .iter()
            .map(|(_, results)| results.len())
            .sum::<usize>();
    if waiting > 0 {
        let checks = counted(waiting, "check");
        lines.push(format!("  ({checks} failed because of that)"));
    }
    for (why, results) in causes.iter().take(SHOWN) {
        match results[..] {
            [only] => lines.push(format!("  {}: {}", only.id, only.about)),
            _ => lines.extend(indented(&ids(results))),
        }
        lines.extend(why.lines().map(|line| format!("    {line}")));
    }
    let rest: Vec<&CheckResult> = causes
        .iter()
        .skip(SHOWN)
        .flat_map(|(_, results)| results.iter().copied())
        .collect();
    if !rest.is_empty() {
        let text = format!(
            "and {} more; use --only ID or --json to see them: {}",
            rest.len(),
            ids(&rest)
        );
        lines.extend(indented(&text));
    }
    lines
}

/// The failures that have another cause than a missing route, by cause, most useful first.
fn causes(row: &CheckRow) -> Vec<(&str, Vec<&CheckResult>)> {
    let mut causes: Vec<(&str, Vec<&CheckResult>)> = Vec::new();
    let failed = row.results().iter().filter(|result| row.failed(result));
    for result in failed {
        let why = result.outcome.as_ref().err().map_or("", String::as_str);
        match causes.iter_mut().find(|(known, _)| *known == why) {
            Some((_, results)) => results.push(result),
            None => causes.push((why, vec![result])),
        }
    }
    causes.sort_by_key(|(_, results)| results.first().map(|first| place(first.id)));
    causes
}

/// The place of a check's topic among all.
fn place(id: &str) -> Option<usize> {
    let check = referee::all().iter().find(|check| check.id == id)?;
    FIRST_TO_LAST.iter().position(|group| *group == check.group)
}

fn ids(results: &[&CheckResult]) -> String {
    let ids: Vec<&str> = results.iter().map(|result| result.id).collect();
    ids.join(", ")
}

fn indented(text: &str) -> impl Iterator<Item = String> {
    let lines = wrapped(text, WIDTH - 2, 0).into_iter();
    lines.map(|line| format!("  {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Step;

    /// A server that failed these checks, each for the given reason.
    fn row(server: &str, failed: &[(&str, &str)]) -> CheckRow {
        let results: Vec<CheckResult> = referee::all()
            .iter()
            .map(|check| CheckResult {
                id: check.id,
                about: check.about,
                outcome: match failed.iter().find(|(id, _)| *id == check.id) {
                    Some((_, why)) => Err((*why).to_owned()),
                    None => Ok(()),
                },
            })
            .collect();
        let failure = failed.first().map(|(_, reason)| Failure {
            step: Step::Check,
            reason: (*reason).to_owned(),
            log_tail: String::new(),
        });
        CheckRow {
            server: server.to_owned(),
            lacks: Vec::new(),
            report: Some(CheckReport {
                results,
                first_byte: None,
                at_stop: Some(AtStop { lost: 3, sent: 64 }),
                missing: Vec::new(),
            }),
            failure,
            first_byte_us: Some(31.4),
            took: Some(Duration::from_millis(2_345)),
        }
    }

    #[test]
    fn servers_that_pass_take_a_line_for_each_concern() {
        let text = lines(&[row("alpha", &[]), row("beta", &[])]);
        assert!(text.len() <= 25, "{text:#?}");
        let users = text.iter().find(|line| line.starts_with("users ")).unwrap();
        let words: Vec<_> = users.split_whitespace().collect();
        assert_eq!(words[1], words[2]);
        let all = format!("{0}/{0}", referee::all().len());
        assert!(
            text.iter()
                .any(|line| line.starts_with("all checks") && line.contains(&all))
        );
        let last = &text[text.len() - 2..];
        let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            last.iter().map(words).collect::<Vec<_>>(),
            ["lost at stop 3 of 64 3 of 64", "checked in, s 2.3 2.3"]
        );
    }

    #[test]
    fn a_failed_check_has_a_line_and_its_reason() {
        let why = "sent: GET /ping\ngot:  500\nexpected: 200";
        let text = lines(&[row("alpha", &[("ping", why)]), row("beta", &[])]).join("\n");
        assert!(text.contains("\n  ping "), "{text}");
        let line = text
            .lines()
            .find(|line| line.starts_with("  ping "))
            .unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["ping", "FAIL", "pass"]
        );
        let expected = "alpha: 1 of ";
        assert!(
            text.contains(expected) && !text.contains("beta: "),
            "{text}"
        );
        assert!(
            text.ends_with("    sent: GET /ping\n    got:  500\n    expected: 200"),
            "{text}"
        );
    }

    #[test]
    fn missing_routes_come_first_and_what_waits_for_them_is_counted() {
        let todo = "sent: GET /api/v1/users/1\ngot:  501 {}\nexpected: 200";
        let wrong = "sent: GET /ping\ngot:  500\nexpected: 200";
        let mut row = row(
            "alpha",
            &[("users-pages", todo), ("user-by-id", todo), ("ping", wrong)],
        );
        let route = "GET /api/v1/users/{id}";
        if let Some(report) = &mut row.report {
            report.missing.push(MissingRoute { route, status: 501 });
        }
        assert_eq!(row.json()["missing_routes"], json!([route]));
        let text = lines(&[row]).join("\n");
        let told = "checks failed\n  not written yet: GET /api/v1/users/{id} (501)\n  \
                    (2 checks failed because of that)\n  ping: GET /ping returns";
        assert!(text.contains(told), "{text}");
        assert!(!text.contains("users-pages"), "{text}");
    }

    #[test]
    fn failures_are_shown_by_topic_the_plainest_first() {
        for check in referee::all() {
            assert!(place(check.id).is_some(), "{}", check.group);
        }
        let failed = [
            ("drawn", "ids-drawn"),
            ("stop", "stop-exits"),
            ("one", "user-by-id"),
        ];
        let failed: Vec<_> = failed.iter().map(|(why, id)| (*id, *why)).collect();
        let row = row("alpha", &failed);
        let order: Vec<&str> = causes(&row).iter().map(|(why, _)| *why).collect();
        assert_eq!(order, ["one", "stop", "drawn"]);
    }

    #[test]
    fn what_failed_for_one_reason_is_told_once() {
        let gone = "server no longer responds: no connection";
        let failed: Vec<_> = referee::ids().map(|id| (id, gone)).collect();
        let text = lines(&[row("alpha", &failed)]).join("\n");
        assert_eq!(text.matches(gone).count(), 1, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn a_server_that_fails_everything_does_not_fill_the_screen() {
        let reasons: Vec<String> = referee::ids().map(|id| format!("sent: {id}")).collect();
        let failed: Vec<_> = referee::ids()
            .zip(reasons.iter().map(String::as_str))
            .collect();
        let text = lines(&[row("alpha", &failed)]);
        let shown = text.iter().filter(|line| line.contains("sent: ")).count();
        assert_eq!(shown, SHOWN);
        let more = format!("and {} more; use", failed.len() - SHOWN);
        assert!(text.iter().any(|line| line.contains(&more)), "{text:#?}");
    }

    #[test]
    fn many_servers_are_shown_in_parts_that_fit() {
        let names: Vec<String> = (0..12).map(|n| format!("a-server-called-{n}")).collect();
        let rows: Vec<CheckRow> = names.iter().map(|name| row(name, &[])).collect();
        let text = lines(&rows);
        assert!(
            text.iter().all(|line| line.chars().count() <= WIDTH),
            "{text:#?}"
        );
        for name in &names {
            assert!(
                text.iter().any(|line| line.contains(name.as_str())),
                "{name}"
            );
        }
    }

    #[test]
    fn the_routes_that_a_server_lacks_are_told_and_not_counted() {
        let mut row = row("alpha", &[]);
        row.lacks = vec!["wait".to_owned()];
        if let Some(report) = &mut row.report {
            report
                .results
                .retain(|result| !result.id.starts_with("wait-"));
        }
        let text = lines(&[row]).join("\n");
        assert!(
            text.contains("\n\nalpha lacks wait, as its manifest says: not checked"),
            "{text}"
        );
        let wait = text.lines().find(|line| line.starts_with("wait"));
        assert_eq!(wait, None, "{text}");
    }

    #[test]
    fn json_holds_every_check() {
        let row = row("alpha", &[("ping", "sent: GET /ping")]);
        let json = row.json();
        assert_eq!(json["passed"], false);
        assert_eq!(json["took_ms"], 2_345);
        assert_eq!(json["lost_at_stop"], 3);
        assert_eq!(json["sent_at_stop"], 64);
        let checks = json["checks"].as_array().unwrap();
        assert_eq!(checks.len(), referee::all().len());
        let ping = checks.iter().find(|check| check["id"] == "ping").unwrap();
        assert_eq!(
            (&ping["passed"], &ping["detail"]),
            (&json!(false), &json!("sent: GET /ping"))
        );
    }
}
