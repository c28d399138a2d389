//! Charts with a row for each server: the names, the failures, and the ranks with their ties.

use catalog::Stage;
use record::{Estimate, RankInterval};

use super::WIDTH;
use super::field::{Entrant, Field};
use super::frame::{Area, NAME_COLUMNS, label, level, right_of_names};
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg, short};

const ROW: f64 = 25.0;
/// Space above the rows if the ranks are numbered.
const TOP: f64 = 30.0;
/// Space above the rows otherwise.
const BARE_TOP: f64 = 8.0;
/// Between the plot's end and the right edge: the values, then the ranks.
const VALUES: f64 = 62.0;
const RANKS: f64 = 76.0;

/// The layout of such a chart.
pub(super) struct Rows<'a> {
    pub(super) entries: Vec<&'a Entrant<'a>>,
    pub(super) area: Area,
    stage: Stage,
    ranks: bool,
}

impl<'a> Rows<'a> {
    /// All entries of a field that have a row of the stage.
    pub(super) fn of(field: &'a Field<'a>, stage: Stage, ranks: bool) -> Self {
        let entries: Vec<&Entrant<'_>> = field
            .entries
            .iter()
            .filter(|entry| entry.row(stage).is_some())
            .collect();
        let right = WIDTH - VALUES - if ranks { RANKS } else { 8.0 };
        let top = if ranks { TOP } else { BARE_TOP };
        let area = Area {
            left: right_of_names(entries.iter().map(|entry| entry.display)),
            right,
            top,
            bottom: top + ROW * entries.len() as f64,
        };
        Self {
            entries,
            area,
            stage,
            ranks,
        }
    }

    /// Only the servers, without their ranks; keeps `room` pixels right of the values.
    pub(super) fn servers(field: &'a Field<'a>, stage: Stage, room: f64) -> Self {
        let mut rows = Self::of(field, stage, false);
        rows.entries.retain(|entry| !entry.is_control());
        rows.area.right = WIDTH - VALUES - room;
        rows.area.bottom = rows.area.top + ROW * rows.entries.len() as f64;
        rows
    }

    /// A figure of each entry.
    pub(super) fn figures(&self, figure: &str) -> Vec<Option<&'a Estimate>> {
        let entries = self.entries.iter();
        entries
            .map(|entry| entry.figure(self.stage, figure))
            .collect()
    }

    /// The rows above an axis from 0 that fits these figures; `below` pixels stay free under it.
    pub(super) fn begin(
        &self,
        figures: &[Option<&Estimate>],
        title: &str,
        below: f64,
    ) -> (Svg, Scale) {
        let ends = figures.iter().flatten().map(|estimate| estimate.high);
        let scale = Scale::from_zero(ends, self.area.across(), AxisUnit::Count);
        let mut svg = self.canvas(below);
        level(&mut svg, self.area, &scale, title);
        self.draw(&mut svg);
        (svg, scale)
    }

    /// A drawing that fits all rows, an axis and `below` more pixels.
    pub(super) fn canvas(&self, below: f64) -> Svg {
        Svg::new(WIDTH, self.area.bottom + 38.0 + below)
    }

    /// The middle of a row.
    pub(super) fn y(&self, row: usize) -> f64 {
        self.area.top + ROW * (row as f64 + 0.5)
    }

    /// Names, failures, a line above the control, and optionally the ranks.
    pub(super) fn draw(&self, svg: &mut Svg) {
        for (row, entry) in self.entries.iter().enumerate() {
            let y = self.y(row);
            let after_server = row > 0 && !self.entries[row - 1].is_control();
            if entry.is_control() && after_server {
                let edge = self.area.top + ROW * row as f64;
                svg.line((0.0, edge), (WIDTH, edge), "rule");
            }
            label(svg, entry.named(), (6.0, y), (4.5, 10.0), NAME_COLUMNS);
            if entry.failed(self.stage) {
                svg.text(
                    (self.area.left + 4.0, y + 4.0),
                    Anchor::Start,
                    "fail",
                    "failed",
                );
            }
        }
        if self.ranks {
            self.draw_ranks(svg);
        }
    }

    /// A value in its column.
    pub(super) fn value(&self, svg: &mut Svg, row: usize, text: &str) {
        let x = self.area.right + VALUES - 4.0;
        svg.text((x, self.y(row) + 4.0), Anchor::End, "value", text);
    }

    /// The possible ranks of each server, and a bracket next to servers that tie.
    fn draw_ranks(&self, svg: &mut Svg) {
        let ranks: Vec<Option<RankInterval>> =
            self.entries.iter().map(|entry| entry.rank()).collect();
        let Some(last) = ranks.iter().flatten().map(|rank| rank.high).max() else {
            return;
        };
        let (left, right) = (self.area.right + VALUES + 12.0, WIDTH - 20.0);
        let step = (right - left) / f64::from(last.max(2) - 1);
        let x = |rank: u32| left + step * f64::from(rank - 1);
        svg.text((left - 8.0, 12.0), Anchor::Start, "axis", "rank");
        for rank in 1..=last {
            svg.line((x(rank), TOP), (x(rank), self.area.bottom), "grid");
            if last <= 6 || rank == 1 || rank == last {
                svg.text(
                    (x(rank), TOP - 5.0),
                    Anchor::Middle,
                    "tick",
                    &rank.to_string(),
                );
            }
        }
        for (row, (entry, rank)) in self.entries.iter().zip(&ranks).enumerate() {
            let Some(rank) = rank else { continue };
            let (from, to) = (x(rank.low), x(rank.high));
            let class = format!("strip {}", entry.key.class());
            svg.line(
                (from, self.y(row)),
                (to.max(from + 0.1), self.y(row)),
                &class,
            );
        }
        for (level, (first, last)) in brackets(&ranks).into_iter().enumerate() {
            let x = WIDTH - 11.0 + 5.0 * (level % 3) as f64;
            let (top, bottom) = (self.y(first) - 8.0, self.y(last) + 8.0);
            let (inner, x) = (short(x - 4.0), short(x));
            let (top, bottom) = (short(top), short(bottom));
            svg.path(&format!("M{inner} {top}H{x}V{bottom}H{inner}"), "bracket");
        }
    }
}

/// The longest stretches of rows, as first and last, that all share a possible rank, so that their ranks can't
/// tell them apart.
fn brackets(ranks: &[Option<RankInterval>]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for first in 0..ranks.len() {
        let Some(mut shared) = ranks[first] else {
            continue;
        };
        let mut last = first;
        while let Some(Some(next)) = ranks.get(last + 1) {
            let common = RankInterval {
                low: shared.low.max(next.low),
                high: shared.high.min(next.high),
            };
            if common.low > common.high {
                break;
            }
            shared = common;
            last += 1;
        }
        let new = found.last().is_none_or(|&(_, before)| last > before);
        if last > first && new {
            found.push((first, last));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_share_a_place_are_bracketed() {
        let ranks = |list: &[(u32, u32)]| -> Vec<Option<RankInterval>> {
            let rank = |&(low, high)| (low > 0).then_some(RankInterval { low, high });
            list.iter().map(rank).collect()
        };
        for (given, expected) in [
            (&[(1, 3), (1, 3), (1, 3), (4, 4), (5, 5)][..], vec![(0, 2)]),
            (
                &[(1, 2), (1, 3), (2, 4), (3, 4), (5, 5)],
                vec![(0, 2), (1, 3)],
            ),
            (&[(1, 1), (2, 2), (0, 0)], vec![]),
            (&[(1, 2), (1, 2), (3, 4), (3, 4)], vec![(0, 1), (2, 3)]),
        ] {
            assert_eq!(brackets(&ranks(given)), expected);
        }
    }
}
