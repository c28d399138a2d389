//! One row for each server, over all its workloads and stages.

use super::reason::{Cause, Reason};
use super::rows::Judged;
use super::{Court, Entry, estimates, rows};
use record::figure::{self, Scope};
use record::{CONTROL, ServerRow, Trial, Verdict, is_control};

/// The servers' rows, from the record and from the rows of the workloads.
pub(super) fn rows(court: &mut Court<'_>, rows: &[Judged<'_>]) -> Vec<(ServerRow, Vec<Cause>)> {
    (0..court.entries.len())
        .map(|entry| server_row(court, entry, rows))
        .collect()
}

fn server_row(court: &mut Court<'_>, entry: usize, rows: &[Judged<'_>]) -> (ServerRow, Vec<Cause>) {
    let record = court.record;
    let entry = &court.entries[entry];
    let (verdict, causes) = match rows::not_measured(&record.run, entry) {
        Some(causes) => (Verdict::Failed, causes),
        None => worst_of(entry, rows),
    };
    let server = entry.server;
    let class = match server {
        _ if is_control(entry.name) => CONTROL.to_owned(),
        Some(server) => server.class.clone(),
        None => String::new(),
    };
    let check = server.and_then(|server| server.check.as_ref());
    let name = entry.name;
    let display = entry.display.clone();
    let valid: Vec<&Trial> = record
        .trials
        .iter()
        .filter(|trial| trial.server == name && super::is_valid(&record.run, trial))
        .collect();
    let wanted = |id: &str| figure::find(id).is_some_and(|f| f.scope == Scope::Process);
    let row = ServerRow {
        server: name.to_owned(),
        display,
        class,
        version: server.and_then(|server| server.upstream_version.clone()),
        verdict,
        reasons: Vec::new(),
        checks_passed: check.map(|check| check.passed),
        checks_total: check.map(|check| check.total),
        lost_at_stop: check.and_then(|check| check.lost_at_stop),
        sent_at_stop: check.and_then(|check| check.sent_at_stop),
        stripped_bytes: server.and_then(|server| server.build.as_ref()?.stripped_bytes),
        figures: estimates(&valid, wanted, &mut court.bootstrap),
    };
    (row, causes)
}

/// The worst verdict of a server's rows, with counts instead of their causes.
fn worst_of(entry: &Entry<'_>, rows: &[Judged<'_>]) -> (Verdict, Vec<Cause>) {
    let all = rows.iter().filter(|j| j.row.server == entry.name);
    let own: Vec<Verdict> = all.map(|j| j.row.verdict).collect();
    let count = |verdict| own.iter().filter(|own| **own == verdict).count();
    let (failed, marked, rows) = (count(Verdict::Failed), count(Verdict::Marked), own.len());
    let mut causes = Vec::new();
    if failed > 0 {
        causes.push(Reason::RowsFailed { failed, rows }.into());
    }
    if marked > 0 {
        causes.push(Reason::RowsMarked { marked, rows }.into());
    }
    (own.iter().copied().max().unwrap_or(Verdict::Ok), causes)
}
