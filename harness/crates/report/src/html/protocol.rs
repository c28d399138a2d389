//! How the servers respond to unusual, slow, invalid and hostile clients: the protocol matrix.

use serde::Serialize;

use crate::protocol::{causes, checks, count, day, fuzz_sentence, version};
use record::{Agreement, Protocol, ProtocolCase, ProtocolCell, ProtocolServer, Record, Summary};

/// The section on the matrix.
#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    made: String,
    servers: Vec<Column>,
    concerns: Vec<Concern>,
    /// Faults, and the results of mutated requests, as sentences.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Column {
    display: String,
    /// The version tested.
    version: String,
    /// Whether the run measured another version.
    differs: bool,
    follows: usize,
    permitted: usize,
    deviates: usize,
    faults: usize,
    afterwards: String,
}

/// The cases under one heading.
#[derive(Debug, Serialize)]
struct Concern {
    name: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    case: String,
    in_terms: bool,
    sends: String,
    asks: String,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    mark: &'static str,
    /// The meaning of the mark.
    word: &'static str,
    bad: bool,
    text: String,
}

/// The whole section; `None` if the run has no matrix, or one of other servers.
pub(super) fn section(record: &Record, summary: &Summary) -> Option<Matrix> {
    let matrix = record.protocol.as_ref()?;
    let tried = |name: &str| {
        let mut servers = matrix.servers.iter();
        servers.find(|server| server.name == name && server.failure.is_none())
    };
    let servers: Vec<(&ProtocolServer, Option<&str>)> = summary
        .servers
        .iter()
        .filter_map(|row| Some((tried(&row.server)?, row.version.as_deref())))
        .collect();
    (!servers.is_empty()).then(|| Matrix {
        made: made(matrix),
        servers: servers.iter().map(|(s, run)| column(s, *run)).collect(),
        concerns: concerns(matrix, &servers),
        notes: servers.iter().flat_map(|(s, _)| notes(s)).collect(),
    })
}

fn made(matrix: &Protocol) -> String {
    let revision = matrix.revision.as_ref();
    format!(
        "Made on {} by harness {}{}, separately from this run. Responses had a time limit of {} s; \
         open connections were watched for {} s.",
        day(matrix),
        matrix.harness_version,
        revision.map_or_else(String::new, |revision| format!(", revision {revision}")),
        matrix.patience_s,
        matrix.let_go_s
    )
}

fn column(server: &ProtocolServer, measured: Option<&str>) -> Column {
    let tried = server.version.as_deref();
    Column {
        display: server.display.clone(),
        version: version(server),
        differs: tried.zip(measured).is_some_and(|(a, b)| a != b),
        follows: count(server, Agreement::Follows),
        permitted: count(server, Agreement::Permitted),
        deviates: count(server, Agreement::Deviates),
        faults: server.cells.iter().filter(|cell| cell.is_fault()).count(),
        afterwards: checks(server.afterwards.as_ref()),
    }
}

fn concerns(matrix: &Protocol, servers: &[(&ProtocolServer, Option<&str>)]) -> Vec<Concern> {
    let mut concerns: Vec<Concern> = Vec::new();
    for case in &matrix.cases {
        let row = row(case, servers);
        match concerns.last_mut() {
            Some(last) if last.name == case.concern => last.rows.push(row),
            _ => concerns.push(Concern {
                name: case.concern.clone(),
                rows: vec![row],
            }),
        }
    }
    concerns
}

fn row(case: &ProtocolCase, servers: &[(&ProtocolServer, Option<&str>)]) -> Row {
    let cell = |server: &ProtocolServer| {
        let found = server.cells.iter().find(|cell| cell.case == case.id);
        found.map_or(NOT_TRIED, cell)
    };
    Row {
        case: case.id.clone(),
        in_terms: case.in_terms,
        sends: case.sends.clone(),
        asks: format!("{}: {}", case.section, case.asks),
        cells: servers.iter().map(|(server, _)| cell(server)).collect(),
    }
}

const NOT_TRIED: Cell = Cell {
    mark: "",
    word: "",
    bad: false,
    text: String::new(),
};

fn cell(cell: &ProtocolCell) -> Cell {
    let (mark, word) = match cell.agreement {
        _ if cell.is_fault() => ("‼", "fault"),
        Agreement::Follows => ("", ""),
        Agreement::Permitted => ("○", "allowed"),
        Agreement::Deviates => ("✗", "violates the standard"),
    };
    Cell {
        mark,
        word,
        bad: cell.is_fault() || cell.agreement == Agreement::Deviates,
        text: cell.text.clone(),
    }
}

fn notes(server: &ProtocolServer) -> Vec<String> {
    let faults = server.cells.iter().filter(|cell| cell.is_fault());
    let faults = faults.map(|cell| format!("{}, {}: {}", server.display, cell.case, causes(cell)));
    let fuzz = fuzz_sentence(server.fuzz.as_ref());
    let fuzz = (!fuzz.is_empty()).then(|| format!("{}:{fuzz}", server.display));
    faults.chain(fuzz).collect()
}
