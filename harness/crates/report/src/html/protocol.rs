//! How the servers respond to unusual, slow, invalid and hostile clients: the protocol matrix.

use minijinja::{Value, context};

use crate::protocol::{causes, checks, count, day, fuzz_sentence, version};
use record::{Agreement, Protocol, ProtocolCase, ProtocolCell, ProtocolServer, Record, Summary};

use super::list;

/// A server and the version that the run measured.
type Tested<'a> = (&'a ProtocolServer, Option<&'a str>);

/// The whole section; `None` if the run has no matrix, or one of other servers.
pub(super) fn section(record: &Record, summary: &Summary) -> Option<Value> {
    let matrix = record.protocol.as_ref()?;
    let tried = |name: &str| {
        let mut servers = matrix.servers.iter();
        servers.find(|server| server.name == name && server.failure.is_none())
    };
    let servers: Vec<Tested<'_>> = summary
        .servers
        .iter()
        .filter_map(|row| Some((tried(&row.server)?, row.version.as_deref())))
        .collect();
    (!servers.is_empty()).then(|| {
        context! {
            made => made(matrix),
            servers => list(servers.iter().map(column)),
            concerns => concerns(matrix, &servers),
            // Faults, and the results of mutated requests, as sentences.
            notes => list(servers.iter().flat_map(|(server, _)| notes(server))),
        }
    })
}

fn made(matrix: &Protocol) -> String {
    let revision = matrix.head.revision.as_ref();
    format!(
        "Made on {} by harness {}{}, separately from this run. Responses had a time limit of {} s; \
         open connections were watched for {} s.",
        day(matrix),
        matrix.head.harness_version,
        revision.map_or_else(String::new, |revision| format!(", revision {revision}")),
        matrix.patience_s,
        matrix.let_go_s
    )
}

fn column((server, measured): &Tested<'_>) -> Value {
    let tried = server.version.as_deref();
    context! {
        display => &server.display,
        version => version(server),
        differs => tried.zip(*measured).is_some_and(|(a, b)| a != b),
        follows => count(server, Agreement::Follows),
        permitted => count(server, Agreement::Permitted),
        deviates => count(server, Agreement::Deviates),
        faults => server.cells.iter().filter(|cell| cell.is_fault()).count(),
        afterwards => checks(server.afterwards.as_ref()),
    }
}

/// The cases, under one heading for each concern.
fn concerns(matrix: &Protocol, servers: &[Tested<'_>]) -> Value {
    let concerns = matrix.cases.chunk_by(|a, b| a.concern == b.concern);
    let concern = |cases: &[ProtocolCase]| {
        let rows = list(cases.iter().map(|case| row(case, servers)));
        context! { name => &cases[0].concern, rows }
    };
    concerns.map(concern).collect()
}

fn row(case: &ProtocolCase, servers: &[Tested<'_>]) -> Value {
    let of = |(server, _): &Tested<'_>| {
        let found = server.cells.iter().find(|cell| cell.case == case.id);
        found.map_or_else(|| context! {}, cell)
    };
    context! {
        case => &case.id,
        in_terms => case.in_terms,
        sends => &case.sends,
        asks => format!("{}: {}", case.section, case.asks),
        cells => list(servers.iter().map(of)),
    }
}

/// What a server did, with a mark and its meaning.
fn cell(cell: &ProtocolCell) -> Value {
    let (mark, word) = match cell.agreement {
        _ if cell.is_fault() => ("‼", "fault"),
        Agreement::Follows => ("", ""),
        Agreement::Permitted => ("○", "allowed"),
        Agreement::Deviates => ("✗", "violates the standard"),
    };
    let bad = cell.is_fault() || cell.agreement == Agreement::Deviates;
    context! { mark, word, bad, text => &cell.text }
}

fn notes(server: &ProtocolServer) -> Vec<String> {
    let faults = server.cells.iter().filter(|cell| cell.is_fault());
    let faults = faults.map(|cell| format!("{}, {}: {}", server.display, cell.case, causes(cell)));
    let fuzz = fuzz_sentence(server.fuzz.as_ref());
    let fuzz = (!fuzz.is_empty()).then(|| format!("{}:{fuzz}", server.display));
    faults.chain(fuzz).collect()
}
