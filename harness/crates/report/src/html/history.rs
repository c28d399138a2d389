//! The page of several runs: the runs, then the charts and the table of each workload.

use serde::Serialize;

use crate::grid::{Align, Grid};
use crate::history::History;

use super::{Figure, HISTORY_TEMPLATE, SCRIPT, anchor, figures, rendered, style};

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    runs: Plain,
    workloads: Vec<Section>,
    style: String,
    code: &'static str,
}

#[derive(Debug, Serialize)]
struct Section {
    id: String,
    name: String,
    table: Plain,
    figures: Vec<Figure>,
}

/// A table of text.
#[derive(Debug, Serialize)]
struct Plain {
    head: Vec<Head>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Serialize)]
struct Head {
    text: String,
    left: bool,
}

#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    left: bool,
}

/// The text of the page.
pub(crate) fn page(history: &History<'_>) -> String {
    let section = |workload: &str| Section {
        id: anchor(workload),
        name: workload.to_owned(),
        table: plain(history.workload_table(workload)),
        figures: figures(history.charts(workload)),
    };
    let page = Page {
        title: history.title(),
        runs: plain(history.runs_table()),
        workloads: history.workloads().into_iter().map(section).collect(),
        style: style(),
        code: SCRIPT,
    };
    rendered(HISTORY_TEMPLATE, &page)
}

fn plain(grid: Grid) -> Plain {
    let left: Vec<bool> = grid
        .head
        .iter()
        .map(|(_, align)| *align == Align::Left)
        .collect();
    let mut name = String::new();
    let row = |mut row: Vec<String>| {
        // Screen readers read cell by cell, so repeat the name in every row.
        if let Some(first) = row.first_mut() {
            if first.is_empty() {
                first.clone_from(&name);
            }
            name.clone_from(first);
        }
        let cells = row.into_iter().zip(&left);
        cells
            .map(|(text, left)| Cell { text, left: *left })
            .collect()
    };
    Plain {
        rows: grid.rows.into_iter().map(row).collect(),
        head: grid
            .head
            .into_iter()
            .zip(&left)
            .map(|((text, _), left)| Head { text, left: *left })
            .collect(),
    }
}
