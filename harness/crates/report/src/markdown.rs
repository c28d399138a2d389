//! `table.md`: for a README, an issue or a job summary; also readable as plain text.

use record::{Record, Summary};

use super::chart::{self, Valid};
use super::grid::{WIDTH, clipped, one_line, wrapped};
use super::page::{Block, page, page_with};
use super::workload_table::Layout;

/// The text of `table.md`.
pub(super) fn markdown(record: &Record, summary: &Summary) -> String {
    blocks(page(record, summary))
}

/// `table.md` with charts, and the charts as separate files.
#[derive(Debug, Clone)]
pub struct Illustrated {
    /// The Markdown, which names the files.
    pub text: String,
    /// Name and text of each SVG file.
    pub files: Vec<(String, String)>,
}

/// The tables, each followed by the main charts: throughput, cost, latency. `folder` is the charts' folder as
/// written in the Markdown, with `/` separators.
pub fn illustrated(record: &Record, summary: &Summary, folder: &str) -> Illustrated {
    let valid = Valid::of(record);
    let fields = chart::fields(summary, &valid);
    let charts: Vec<_> = fields
        .iter()
        .map(|field| (field.workload, chart::to_publish(field, record.run.seed)))
        .collect();
    let file = |id: &str| format!("{id}.svg");
    let images = |workload: &str| {
        let own = charts.iter().filter(|(of, _)| *of == workload);
        own.flat_map(|(of, charts)| charts.iter().map(move |chart| (of, chart)))
            .map(|(of, chart)| {
                let path = format!("{}/{}", folder.trim_end_matches('/'), file(&chart.id));
                Block::Image(format!("{}, {of}", chart.title), path)
            })
            .collect()
    };
    Illustrated {
        text: blocks(page_with(record, summary, Layout::Narrow, images)),
        files: charts
            .iter()
            .flat_map(|(_, charts)| charts)
            .map(|chart| (file(&chart.id), chart.standalone()))
            .collect(),
    }
}

/// Renders blocks in order.
pub(super) fn blocks(blocks: Vec<Block>) -> String {
    let blocks: Vec<_> = blocks.into_iter().map(block).collect();
    blocks.join("\n\n") + "\n"
}

fn block(block: Block) -> String {
    let escaped = |text: &str| escaped(text, "<*`\\");
    match block {
        Block::Heading(title) => format!("### {}", clipped(&escaped(&title), WIDTH - 4)),
        Block::Text(text) => wrapped(&escaped(&text), WIDTH, 0).join("\n"),
        Block::Table(grid) => grid.lines().join("\n"),
        Block::WideTable(grid) => grid.lines_within(usize::MAX).join("\n"),
        Block::Notes(notes) => {
            let items = notes
                .iter()
                .flat_map(|note| wrapped(&format!("- {}", escaped(note)), WIDTH, 2));
            items.collect::<Vec<_>>().join("\n")
        }
        Block::Log(lines) => {
            // Indented instead of fenced, so that nothing in a log can end the block.
            let lines = lines
                .iter()
                .map(|line| format!("    {}", clipped(&one_line(line), WIDTH - 4)));
            lines.collect::<Vec<_>>().join("\n")
        }
        Block::Image(title, path) => {
            // The angle brackets allow for spaces and parentheses in the path.
            let title = title.replace(['[', ']', '\\'], "");
            format!("![{title}](<{}>)", path.replace(['<', '>'], ""))
        }
        Block::Folded(title, inner) => {
            // Markdown can't fold, so use HTML; empty lines end the HTML.
            let title = one_line(&title).replace('&', "&amp;").replace('<', "&lt;");
            let inner = blocks(inner);
            format!("<details><summary>{title}</summary>\n\n{inner}\n</details>")
        }
    }
}

/// Text with a backslash before each character of `markup`.
pub(super) fn escaped(text: &str, markup: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if markup.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
