//! What a request costs, and what parts take by themselves: the blocks of [`crate::cost`] and
//! [`crate::microbench`] for the page.

use serde::Serialize;

use crate::grid::Align;
use crate::page::Block;
use record::{Record, Summary};

/// One part of the section, in order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// The title of a workload.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Short lines.
    Notes(Vec<String>),
    /// A table; its first column is the server's name.
    Table {
        /// Each with whether it is text.
        head: Vec<(String, bool)>,
        rows: Vec<Vec<String>>,
    },
}

/// Empty if no costs were counted.
pub(super) fn section(record: &Record, summary: &Summary) -> Vec<Part> {
    let costs = record.costs.iter();
    let blocks = costs.flat_map(|costs| crate::cost::blocks(costs, Some(summary)));
    blocks.filter_map(part).collect()
}

/// Empty if there are no microbenchmarks.
pub(super) fn microbenches(record: &Record) -> Vec<Part> {
    let all = record.micro.iter();
    all.flat_map(crate::microbench::blocks)
        .filter_map(part)
        .collect()
}

fn part(block: Block) -> Option<Part> {
    match block {
        Block::Heading(title) => Some(Part::Heading(title)),
        Block::Text(text) => Some(Part::Text(text)),
        Block::Notes(notes) => Some(Part::Notes(notes)),
        Block::Table(grid) => Some(Part::Table {
            head: grid
                .head
                .into_iter()
                .map(|(text, align)| (text, align == Align::Left))
                .collect(),
            rows: grid.rows,
        }),
        Block::WideTable(_) | Block::Log(_) | Block::Image(..) | Block::Folded(..) => None,
    }
}
