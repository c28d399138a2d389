//! One row for each server, over all its workloads and stages.

use super::{Court, Entry, estimates, rows};
use record::figure::{self, Scope};
use record::{CONTROL, Row, ServerRow, Trial, Verdict, is_control};

/// The servers' rows, from the record and from the rows of the workloads.
pub(super) fn rows(court: &mut Court<'_>, rows: &[Row]) -> Vec<ServerRow> {
    (0..court.entries.len())
        .map(|entry| server_row(court, entry, rows))
        .collect()
}

fn server_row(court: &mut Court<'_>, entry: usize, rows: &[Row]) -> ServerRow {
    let record = court.record;
    let entry = &court.entries[entry];
    let (verdict, reasons) = match rows::not_measured(&record.run, entry) {
        Some(reasons) => (Verdict::Failed, reasons),
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
    ServerRow {
        server: name.to_owned(),
        display,
        class,
        version: server.and_then(|server| server.upstream_version.clone()),
        verdict,
        reasons,
        checks_passed: check.map(|check| check.passed),
        checks_total: check.map(|check| check.total),
        lost_at_stop: check.and_then(|check| check.lost_at_stop),
        sent_at_stop: check.and_then(|check| check.sent_at_stop),
        stripped_bytes: server.and_then(|server| server.build.as_ref()?.stripped_bytes),
        figures: estimates(&valid, wanted, &mut court.bootstrap),
    }
}

/// The worst verdict of a server's rows, with counts instead of their reasons.
fn worst_of(entry: &Entry<'_>, rows: &[Row]) -> (Verdict, Vec<String>) {
    let own: Vec<&Row> = rows.iter().filter(|row| row.server == entry.name).collect();
    let count = |verdict| own.iter().filter(|row| row.verdict == verdict).count();
    let (failed, marked) = (count(Verdict::Failed), count(Verdict::Marked));
    let verdict = own
        .iter()
        .map(|row| row.verdict)
        .max()
        .unwrap_or(Verdict::Ok);
    let told = |count: usize, what: &str| {
        let rows = own.len();
        (count > 0)
            .then(|| format!("{count} of its {rows} rows {what}; see those rows for the reasons"))
    };
    let reasons = [told(failed, "failed"), told(marked, "are marked")];
    (verdict, reasons.into_iter().flatten().collect())
}
