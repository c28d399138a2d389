//! The servers, how they start, and what the referee found.

use std::collections::BTreeSet;

use minijinja::{Value, context};

use crate::chart::{self, Valid};
use crate::figure::of_server;
use crate::number::{ABSENT, significant, uncertainty};
use crate::servers_table::{in_order, log_end};
use record::figure::{self, Figure, Scope};
use record::{Estimate, Record, Server, ServerRow, Summary, Verdict, is_control};

use super::{figures, list};

/// The section on the servers.
pub(super) fn section(record: &Record, summary: &Summary, valid: &Valid<'_>) -> Value {
    let keys = chart::keys(summary);
    let rows = in_order(&summary.servers).into_iter();
    let mut builds = record
        .servers
        .iter()
        .filter_map(|server| server.build.as_ref());
    let log = |row: &ServerRow| {
        let text = log_end(record, row)?.join("\n");
        Some(context! { display => &row.display, text })
    };
    let row = |row: &ServerRow| {
        let key = keys.get(row.server.as_str());
        self::row(record, row, key.map_or_else(String::new, |key| key.icon()))
    };
    context! {
        // Whether any server was built with features to list.
        features => builds.any(|build| !build.features.is_empty()),
        head => list(figure::of_servers().map(|figure| figure.label)),
        logs => list(rows.clone().filter_map(log)),
        rows => list(rows.map(row)),
        figures => figures(chart::startup(summary, valid)),
        conformance => conformance(&record.servers),
    }
}

fn row(record: &Record, row: &ServerRow, icon: String) -> Value {
    let server = record
        .servers
        .iter()
        .find(|server| server.name == row.server);
    let build = server.and_then(|server| server.build.as_ref());
    let sha256 = build.and_then(|build| build.sha256.as_deref());
    let sha256: String = sha256.unwrap_or_default().chars().take(12).collect();
    let figures = row.with_build();
    let cell = |figure: &'static Figure| cell(row, figure, figures.get(figure.id));
    let version = row.version.as_deref().filter(|version| !version.is_empty());
    context! {
        display => &row.display,
        icon,
        failed => row.verdict == Verdict::Failed,
        version => version.unwrap_or(ABSENT),
        class => &row.class,
        cells => list(figure::of_servers().map(cell)),
        features => build.map_or_else(String::new, |build| build.features.join(", ")),
        sha256,
    }
}

fn cell(row: &ServerRow, figure: &Figure, estimate: Option<&Estimate>) -> Value {
    let trials = estimate.filter(|_| figure.scope != Scope::Build);
    context! {
        text => of_server(row, figure, estimate),
        uncertainty => trials.map_or_else(String::new, uncertainty),
        value => estimate.map(|estimate| estimate.median),
    }
}

/// Which server passed which check. Checks that all servers passed are one column, because the record only
/// lists failures.
fn conformance(servers: &[Server]) -> Value {
    let all = servers.iter().filter(|server| !is_control(&server.name));
    let all: Vec<&Server> = all.collect();
    let failed_checks: BTreeSet<&str> = all.iter().flat_map(|server| failed(server)).collect();
    let checked = |server: &&Server| {
        let check = server.check.as_ref();
        let own: Vec<&str> = failed(server).collect();
        let outcome = |id: &&str| match check {
            None => "not checked",
            Some(_) if own.contains(id) => "failed",
            Some(_) => "passed",
        };
        let first_byte = check.and_then(|check| check.first_byte_us);
        context! {
            display => &server.display,
            passed => check.map_or_else(
                || "not checked".to_owned(),
                |check| format!("{} of {}", check.passed, check.total),
            ),
            first_byte => first_byte.map_or_else(|| ABSENT.to_owned(), |us| significant(us, 3)),
            outcomes => list(failed_checks.iter().map(outcome)),
            failures => list(failures(server)),
        }
    };
    let is_sound = |server: &&&Server| server.check.is_some() && failures(server).is_empty();
    context! {
        summary => format!(
            "{} of {} servers passed every check of the referee, an independent implementation of \
             the contract. A server that fails a check is not measured.",
            all.iter().filter(is_sound).count(),
            all.len()
        ),
        rows => list(all.iter().map(checked)),
        failed_checks => list(failed_checks),
    }
}

fn failures(server: &Server) -> &[String] {
    server.check.as_ref().map_or(&[], |check| &check.failures)
}

/// The checks that a server failed.
fn failed(server: &Server) -> impl Iterator<Item = &str> {
    let failures = failures(server).iter();
    failures.map(|failure| failure.split(':').next().unwrap_or_default().trim())
}
