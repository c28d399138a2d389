//! What a request costs, and what parts take by themselves: the blocks of [`crate::cost`] and
//! [`crate::microbench`] for the page.

use minijinja::{Value, context};

use crate::grid::Align;
use crate::page::Block;
use record::{Record, Summary};

use super::list;

/// The parts of the section in order, each a heading, a text, notes or a table; empty if no costs were counted.
pub(super) fn section(record: &Record, summary: &Summary) -> Value {
    let costs = record.costs.iter();
    let blocks = costs.flat_map(|costs| crate::cost::blocks(costs, Some(summary)));
    list(blocks.filter_map(part))
}

/// Empty if there are no microbenchmarks.
pub(super) fn microbenches(record: &Record) -> Value {
    let all = record.micro.iter();
    list(all.flat_map(crate::microbench::blocks).filter_map(part))
}

/// What other commands measured, in the same form.
pub(super) fn added(record: &Record) -> Value {
    list(
        crate::added::blocks(&record.added)
            .into_iter()
            .filter_map(part),
    )
}

fn part(block: Block) -> Option<Value> {
    match block {
        Block::Heading(title) => Some(context! { heading => title }),
        Block::Text(text) => Some(context! { text }),
        Block::Notes(notes) => Some(context! { notes => list(notes) }),
        Block::Table(grid) | Block::WideTable(grid) => {
            let head = grid.head.into_iter();
            let head = head.map(|(text, align)| context! { text, left => align == Align::Left });
            Some(context! {
                head => list(head),
                rows => list(grid.rows.into_iter().map(list)),
            })
        }
        Block::Log(_) | Block::Image(..) | Block::Folded(..) => None,
    }
}
