//! The servers, how they start, and what the referee found.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::chart::{self, Valid};
use crate::figure::of_server;
use crate::number::{ABSENT, significant, uncertainty};
use crate::servers_table::{in_order, log_end};
use record::figure::{self, Figure, Scope};
use record::{Estimate, Record, Server, ServerRow, Summary, Verdict, is_control};

use super::figures;

/// The section on the servers.
#[derive(Debug, Serialize)]
pub(super) struct Servers {
    /// Whether any server was built with features to list.
    features: bool,
    /// The headings of the columns of figures.
    head: Vec<&'static str>,
    rows: Vec<Row>,
    figures: Vec<super::Figure>,
    conformance: Conformance,
    logs: Vec<Log>,
}

#[derive(Debug, Serialize)]
struct Row {
    display: String,
    icon: String,
    failed: bool,
    version: String,
    class: String,
    cells: Vec<Cell>,
    features: String,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    uncertainty: String,
    value: Option<f64>,
}

/// Which server passed which check. Checks that all servers passed are one column, because the record only
/// lists failures.
#[derive(Debug, Serialize)]
struct Conformance {
    summary: String,
    failed_checks: Vec<String>,
    rows: Vec<Checked>,
}

#[derive(Debug, Serialize)]
struct Checked {
    display: String,
    passed: String,
    first_byte: String,
    /// For each check that some server failed: whether this server passed it.
    outcomes: Vec<&'static str>,
    failures: Vec<String>,
}

/// The end of a failed server's log.
#[derive(Debug, Serialize)]
struct Log {
    display: String,
    text: String,
}

/// All of it.
pub(super) fn section(record: &Record, summary: &Summary, valid: &Valid<'_>) -> Servers {
    let keys = chart::keys(summary);
    let rows = in_order(&summary.servers).into_iter();
    let builds = record
        .servers
        .iter()
        .filter_map(|server| server.build.as_ref());
    let log = |row: &&ServerRow| {
        Some(Log {
            display: row.display.clone(),
            text: log_end(record, row)?.join("\n"),
        })
    };
    Servers {
        features: builds.clone().any(|build| !build.features.is_empty()),
        head: figure::of_servers().map(|figure| figure.label).collect(),
        logs: rows.clone().filter_map(|row| log(&row)).collect(),
        rows: rows
            .map(|row| {
                let key = keys.get(row.server.as_str());
                self::row(record, row, key.map_or_else(String::new, |key| key.icon()))
            })
            .collect(),
        figures: figures(chart::startup(summary, valid).into_iter().collect()),
        conformance: conformance(&record.servers),
    }
}

fn row(record: &Record, row: &ServerRow, icon: String) -> Row {
    let server = record
        .servers
        .iter()
        .find(|server| server.name == row.server);
    let build = server.and_then(|server| server.build.as_ref());
    let figures = row.with_build();
    let version = row.version.clone().filter(|version| !version.is_empty());
    Row {
        display: row.display.clone(),
        icon,
        failed: row.verdict == Verdict::Failed,
        version: version.unwrap_or_else(|| ABSENT.to_owned()),
        class: row.class.clone(),
        cells: figure::of_servers()
            .map(|figure| cell(row, figure, figures.get(figure.id)))
            .collect(),
        features: build.map_or_else(String::new, |build| build.features.join(", ")),
        sha256: build
            .and_then(|build| build.sha256.as_deref())
            .map_or_else(String::new, |sha| sha.chars().take(12).collect()),
    }
}

fn cell(row: &ServerRow, figure: &Figure, estimate: Option<&Estimate>) -> Cell {
    let trials = estimate.filter(|_| figure.scope != Scope::Build);
    Cell {
        text: of_server(row, figure, estimate),
        uncertainty: trials.map_or_else(String::new, uncertainty),
        value: estimate.map(|estimate| estimate.median),
    }
}

fn conformance(servers: &[Server]) -> Conformance {
    let servers: Vec<&Server> = servers
        .iter()
        .filter(|server| !is_control(&server.name))
        .collect();
    let id = |failure: &str| {
        failure
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let failures = servers.iter().filter_map(|server| server.check.as_ref());
    let failed: BTreeSet<String> = failures
        .flat_map(|check| check.failures.iter().map(|failure| id(failure)))
        .collect();
    let failed_checks: Vec<String> = failed.into_iter().collect();
    let checked = |server: &&Server| {
        let check = server.check.as_ref();
        let own: BTreeSet<String> = check
            .into_iter()
            .flat_map(|check| check.failures.iter().map(|failure| id(failure)))
            .collect();
        let outcome = |id: &String| match check {
            None => "not checked",
            Some(_) if own.contains(id) => "failed",
            Some(_) => "passed",
        };
        Checked {
            display: server.display.clone(),
            passed: check.map_or_else(
                || "not checked".to_owned(),
                |check| format!("{} of {}", check.passed, check.total),
            ),
            first_byte: check
                .and_then(|check| check.first_byte_us)
                .map_or_else(|| ABSENT.to_owned(), |us| significant(us, 3)),
            outcomes: failed_checks.iter().map(outcome).collect(),
            failures: check.map_or_else(Vec::new, |check| check.failures.clone()),
        }
    };
    let rows: Vec<Checked> = servers.iter().map(checked).collect();
    let sound = servers
        .iter()
        .filter(|server| {
            server
                .check
                .as_ref()
                .is_some_and(|check| check.failures.is_empty())
        })
        .count();
    Conformance {
        summary: format!(
            "{sound} of {} servers passed every check of the referee, an independent \
             implementation of the contract. A server that fails a check is not measured.",
            servers.len()
        ),
        failed_checks,
        rows,
    }
}
