//! The page of several runs: the runs, then the charts and the table of each workload.

use minijinja::{Value, context};

use crate::grid::{Align, Grid};
use crate::history::History;

use super::{HISTORY_TEMPLATE, anchor, figures, rendered};

/// The text of the page.
pub(crate) fn page(history: &History<'_>) -> String {
    let section = |workload: &str| {
        context! {
            id => anchor(workload),
            name => workload,
            table => plain(history.workload_table(workload)),
            figures => figures(history.charts(workload)),
        }
    };
    let page = context! {
        title => history.title(),
        runs => plain(history.runs_table()),
        workloads => history.workloads().into_iter().map(section).collect::<Value>(),
    };
    rendered(HISTORY_TEMPLATE, page)
}

/// A table of text.
fn plain(grid: Grid) -> Value {
    let cell = |(text, left): (String, bool)| context! { text, left };
    let left = |(_, align): &(String, Align)| *align == Align::Left;
    let sides: Vec<bool> = grid.head.iter().map(left).collect();
    let mut name = String::new();
    let row = |mut row: Vec<String>| -> Value {
        // Screen readers read cell by cell, so repeat the name in every row.
        if let Some(first) = row.first_mut() {
            if first.is_empty() {
                first.clone_from(&name);
            }
            name.clone_from(first);
        }
        row.into_iter()
            .zip(sides.iter().copied())
            .map(cell)
            .collect()
    };
    let rows: Value = grid.rows.into_iter().map(row).collect();
    let head = grid.head.into_iter().map(|(text, _)| text);
    let head: Value = head.zip(sides).map(cell).collect();
    context! { head, rows }
}
