//! The report for a terminal: no markup, with bold and dim text if possible.

use std::ffi::OsStr;

use record::{Record, Summary};

use super::grid::{WIDTH, clipped, one_line, wrapped};
use super::page::{Block, page, page_with};
use super::workload_table::Layout;

/// Whether to use escape sequences for bold and dim text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// Titles and headers are bold, notes are dim.
    Always,
}

impl Colour {
    /// Only on a terminal, and never if `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub fn choose(is_terminal: bool, no_color: Option<&OsStr>) -> Self {
        if is_terminal && no_color.is_none_or(OsStr::is_empty) {
            Self::Always
        } else {
            Self::Never
        }
    }

    /// Bold, if enabled.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Dim, if enabled.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// The report printed after a run.
pub fn terminal(record: &Record, summary: &Summary, colour: Colour) -> String {
    blocks(page(record, summary), colour)
}

/// The same with the ratio to the best and its interval for every figure, however wide.
pub fn terminal_wide(record: &Record, summary: &Summary, colour: Colour) -> String {
    blocks(
        page_with(record, summary, Layout::Wide, |_| Vec::new()),
        colour,
    )
}

/// Renders blocks in order.
pub(super) fn blocks(blocks: Vec<Block>, colour: Colour) -> String {
    let blocks = blocks
        .into_iter()
        .map(|block| lines(block, colour).join("\n"));
    blocks.collect::<Vec<_>>().join("\n\n") + "\n"
}

fn lines(block: Block, colour: Colour) -> Vec<String> {
    match block {
        Block::Heading(title) => vec![colour.bold(&clipped(&one_line(&title), WIDTH))],
        Block::Text(text) => wrapped(&text, WIDTH, 0),
        Block::Table(grid) => with_bold_head(grid.lines(), colour),
        Block::WideTable(grid) => with_bold_head(grid.lines_within(usize::MAX), colour),
        Block::Notes(notes) => {
            let lines = notes.iter().flat_map(|note| wrapped(note, WIDTH, 4));
            lines.map(|line| colour.dim(&line)).collect()
        }
        Block::Log(lines) => {
            let lines = lines
                .iter()
                .map(|line| format!("    {}", clipped(&one_line(line), WIDTH - 4)));
            lines.map(|line| colour.dim(&line)).collect()
        }
        Block::Image(title, path) => wrapped(&format!("{title}: {path}"), WIDTH, 0),
        Block::Folded(title, inner) => {
            let mut all = lines(Block::Heading(title), colour);
            for block in inner {
                all.push(String::new());
                all.extend(lines(block, colour));
            }
            all
        }
    }
}

fn with_bold_head(mut lines: Vec<String>, colour: Colour) -> Vec<String> {
    lines[0] = colour.bold(&lines[0]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_terminal_and_no_objection() {
        let no = OsStr::new("1");
        assert_eq!(Colour::choose(true, None), Colour::Always);
        assert_eq!(Colour::choose(true, Some(OsStr::new(""))), Colour::Always);
        assert_eq!(Colour::choose(true, Some(no)), Colour::Never);
        assert_eq!(Colour::choose(false, None), Colour::Never);
    }
}
