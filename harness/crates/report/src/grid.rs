//! A table that is both aligned plain text and Markdown.

use std::iter::{repeat, repeat_n};

use unicode_width::UnicodeWidthStr;

/// The widest line of a report, in terminal columns.
pub const WIDTH: usize = 100;

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// As words are.
    Left,
    /// As numbers are.
    Right,
}

/// A table with a header; every row has as many cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// The text of each column's head, and where its cells lie.
    pub head: Vec<(String, Align)>,
    /// The text of each cell.
    pub rows: Vec<Vec<String>>,
}

/// Padding between a cell's text and the bars, reduced step by step if a table is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// On both sides.
    Full,
    /// Columns of numbers have it on the right only, because they are right-aligned.
    Numbers,
    /// All columns have it on the right only.
    Right,
}

impl Grid {
    /// A table with these heads.
    pub(super) fn new<'a>(
        head: impl IntoIterator<Item = (&'a str, Align)>,
        rows: Vec<Vec<String>>,
    ) -> Self {
        let head = head.into_iter();
        Self {
            head: head.map(|(text, align)| (text.to_owned(), align)).collect(),
            rows,
        }
    }

    /// Leaves out columns without a single value.
    pub(super) fn without_empty_columns(mut self) -> Self {
        for column in (0..self.head.len()).rev() {
            if self.rows.iter().all(|row| row[column].is_empty()) {
                self.head.remove(column);
                for row in &mut self.rows {
                    row.remove(column);
                }
            }
        }
        self
    }

    /// A table whose first `left` columns are text; uses the short header if the long one would make it too
    /// wide.
    pub fn fitting(
        head: &[&str],
        short_head: &[&str],
        left: usize,
        rows: Vec<Vec<String>>,
    ) -> Self {
        let sides = || repeat_n(Align::Left, left).chain(repeat(Align::Right));
        let table = Self::new(head.iter().copied().zip(sides()), rows);
        match table.fits() {
            true => table,
            false => Self::new(short_head.iter().copied().zip(sides()), table.rows),
        }
    }

    /// The lines of the table, at most [`WIDTH`] wide unless the numbers alone are wider. Reduces padding
    /// first, then truncates long text on the left.
    pub fn lines(&self) -> Vec<String> {
        self.lines_within(WIDTH)
    }

    /// The same for another width.
    pub(super) fn lines_within(&self, width: usize) -> Vec<String> {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| escaped(row)).collect();
        let mut widths = self.widths(&rows);
        let padding = [Padding::Full, Padding::Numbers, Padding::Right]
            .into_iter()
            .find(|padding| self.total(&widths, *padding) <= width)
            .unwrap_or(Padding::Right);
        self.clip(&mut widths, padding, width);
        let head: Vec<String> = self.head.iter().map(|(text, _)| text.clone()).collect();
        let mut lines = vec![
            self.line(&head, &widths, padding),
            self.rule(&widths, padding),
        ];
        lines.extend(rows.iter().map(|row| self.line(row, &widths, padding)));
        lines
    }

    /// Whether the table fits into [`WIDTH`] columns untruncated.
    pub(super) fn fits(&self) -> bool {
        let rows: Vec<_> = self.rows.iter().map(|row| escaped(row)).collect();
        self.total(&self.widths(&rows), Padding::Right) <= WIDTH
    }

    fn widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        (0..self.head.len())
            .map(|column| {
                let cells = rows.iter().map(|row| row[column].width());
                // A Markdown delimiter has at least three characters.
                cells
                    .chain([self.head[column].0.width(), 3])
                    .max()
                    .unwrap_or(3)
            })
            .collect()
    }

    fn total(&self, widths: &[usize], padding: Padding) -> usize {
        let columns = self.head.iter().zip(widths);
        1 + columns
            .map(|((_, align), width)| left_pad(*align, padding) + width + 2)
            .sum::<usize>()
    }

    /// Removes the excess from the widest text column.
    fn clip(&self, widths: &mut [usize], padding: Padding, width: usize) {
        let excess = self.total(widths, padding).saturating_sub(width);
        let words = (0..widths.len()).filter(|i| self.head[*i].1 == Align::Left);
        if let Some(widest) = words.max_by_key(|i| widths[*i]) {
            let least = self.head[widest].0.width().max(8);
            widths[widest] = widths[widest]
                .saturating_sub(excess)
                .max(least.min(widths[widest]));
        }
    }

    fn line(&self, cells: &[String], widths: &[usize], padding: Padding) -> String {
        let mut line = String::from("|");
        for ((cell, (_, align)), width) in cells.iter().zip(&self.head).zip(widths) {
            let cell = clipped(cell, *width);
            let gap = " ".repeat(width - cell.width());
            let left = " ".repeat(left_pad(*align, padding));
            line += &match align {
                Align::Left => format!("{left}{cell}{gap} |"),
                Align::Right => format!("{left}{gap}{cell} |"),
            };
        }
        line
    }

    fn rule(&self, widths: &[usize], padding: Padding) -> String {
        let mut line = String::from("|");
        for ((_, align), width) in self.head.iter().zip(widths) {
            // Fills the padding too, so that the bars are aligned.
            let dashes = "-".repeat(left_pad(*align, padding) + width);
            line += &match align {
                Align::Left => format!(":{dashes}|"),
                Align::Right => format!("{dashes}:|"),
            };
        }
        line
    }
}

fn left_pad(align: Align, padding: Padding) -> usize {
    let padded = match padding {
        Padding::Full => true,
        Padding::Numbers => align == Align::Left,
        Padding::Right => false,
    };
    usize::from(padded)
}

fn escaped(cells: &[String]) -> Vec<String> {
    let cell = |text: &String| super::markdown::escaped(&one_line(text), "|");
    cells.iter().map(cell).collect()
}

/// Each item once, in the order of first appearance.
pub(super) fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// Replaces line breaks and runs of blanks by one space, and other control characters, which could affect a
/// terminal, by `?`.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, "?")
}

/// The start of `text` that fits into `width`, with a mark if truncated.
pub(super) fn clipped(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        let mut longer = short.clone();
        longer.push(c);
        if longer.width() + 1 > width {
            break;
        }
        short = longer;
    }
    // Don't cut an escape in half.
    let short = short.trim_end_matches('\\');
    format!("{short}…")
}

/// `text` in lines of at most `width` columns, later ones indented by `indent` spaces. A word
/// longer than a line is broken.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in one_line(text).split(' ') {
        for piece in pieces(word, width - indent) {
            let line = lines.last_mut().expect("starts with one line");
            let blank = line.trim().is_empty();
            if !blank && line.width() + 1 + piece.width() > width {
                lines.push(" ".repeat(indent) + &piece);
            } else {
                if !blank {
                    line.push(' ');
                }
                line.push_str(&piece);
            }
        }
    }
    lines
}

fn pieces(word: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let piece = pieces.last_mut().expect("starts with one piece");
        piece.push(c);
        if piece.width() > width {
            piece.pop();
            pieces.push(c.into());
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(name: &str, number: &str) -> Grid {
        Grid {
            head: vec![
                ("server".into(), Align::Left),
                ("req/s".into(), Align::Right),
            ],
            rows: vec![
                vec![name.into(), number.into()],
                vec!["明".into(), "–".into()],
            ],
        }
    }

    #[test]
    fn columns_without_a_value_are_left_out() {
        let mut all = grid("a", "1");
        all.head.insert(1, ("95 %".into(), Align::Right));
        for row in &mut all.rows {
            row.insert(1, String::new());
        }
        assert_eq!(all.clone().without_empty_columns(), grid("a", "1"));
        all.rows[1][1] = "1–2".into();
        assert_eq!(all.clone().without_empty_columns(), all);
    }

    #[test]
    fn columns_stand_below_each_other_and_the_rule_tells_their_side() {
        assert_eq!(
            grid("a|b", "131,200").lines(),
            [
                "| server |   req/s |",
                "|:-------|--------:|",
                r"| a\|b   | 131,200 |",
                "| 明     |       – |",
            ]
        );
    }

    #[test]
    fn a_table_too_wide_gives_up_the_ends_of_its_words() {
        let lines = grid(&"long name ".repeat(20), "131,200").lines();
        assert!(lines.iter().all(|line| line.width() == WIDTH), "{lines:#?}");
        assert!(lines[2].contains("… |") && lines[2].contains("131,200 |"));
    }

    #[test]
    fn text_is_wrapped_at_words_and_broken_where_there_are_none() {
        assert_eq!(wrapped("one two\nthree", 8, 2), ["one two", "  three"]);
        assert_eq!(wrapped("abcdefghijkl", 8, 2), ["abcdef", "  ghijkl"]);
        assert_eq!(one_line("a\x1b[31m\tb"), "a?[31m b");
    }

    proptest! {
        #[test]
        fn all_lines_of_a_table_are_as_wide(name in ".{0,150}", number in "[0-9,]{0,12}") {
            let lines = grid(&name, &number).lines();
            for line in &lines {
                prop_assert_eq!(line.width(), lines[0].width());
                prop_assert!(line.width() <= WIDTH);
            }
        }

        #[test]
        fn wrapped_text_fits(text in ".{0,200}", width in 8..40_usize) {
            for line in wrapped(&text, width, 4) {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
