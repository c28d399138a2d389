//! `table.md`: for a README, an issue or a job's summary, and readable as it stands.

use crate::record::{Record, Summary};

use super::grid::{WIDTH, clipped, one_line, wrapped};
use super::page::{Block, page};

/// The text of `table.md`.
pub(super) fn markdown(record: &Record, summary: &Summary) -> String {
    blocks(page(record, summary))
}

/// Blocks one after the other.
pub(super) fn blocks(blocks: Vec<Block>) -> String {
    let blocks: Vec<_> = blocks.into_iter().map(block).collect();
    blocks.join("\n\n") + "\n"
}

fn block(block: Block) -> String {
    match block {
        Block::Heading(title) => format!("### {}", clipped(&escaped(&title), WIDTH - 4)),
        Block::Text(text) => wrapped(&escaped(&text), WIDTH, 0).join("\n"),
        Block::Table(grid) => grid.lines().join("\n"),
        Block::Notes(notes) => {
            let items = notes
                .iter()
                .flat_map(|note| wrapped(&format!("- {}", escaped(note)), WIDTH, 2));
            items.collect::<Vec<_>>().join("\n")
        }
        Block::Log(lines) => {
            // Indented, not fenced: nothing in a log can end it.
            let lines = lines
                .iter()
                .map(|line| format!("    {}", clipped(&one_line(line), WIDTH - 4)));
            lines.collect::<Vec<_>>().join("\n")
        }
        Block::Folded(title, inner) => {
            // HTML: Markdown has no folding of its own. The empty lines end the HTML.
            let title = one_line(&title).replace('&', "&amp;").replace('<', "&lt;");
            let inner = blocks(inner);
            format!("<details><summary>{title}</summary>\n\n{inner}\n</details>")
        }
    }
}

/// Without what Markdown would take for markup or HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '<' | '*' | '`' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
