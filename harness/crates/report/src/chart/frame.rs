//! The axes around a plot, and names beside its lines.

use unicode_width::UnicodeWidthStr;

use crate::grid::clipped;

use super::key::Key;
use super::scale::Scale;
use super::svg::{Anchor, Svg, short};

/// The plot's area, pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Area {
    /// The ends of a horizontal axis.
    pub(super) fn across(self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// The ends of a vertical axis.
    pub(super) fn up(self) -> (f64, f64) {
        (self.bottom, self.top)
    }
}

/// Horizontal grid lines with the tick values of the vertical axis, and the title above.
pub(super) fn upright(svg: &mut Svg, area: Area, scale: &Scale, title: &str) {
    for (tick, text) in scale.ticks() {
        let y = scale.at(tick);
        svg.line((area.left, y), (area.right, y), "grid");
        svg.text((area.left - 6.0, y + 4.0), Anchor::End, "tick", &text);
    }
    svg.text((2.0, area.top - 9.0), Anchor::Start, "axis", title);
}

/// Vertical grid lines with the tick values of the horizontal axis, and the title below.
pub(super) fn level(svg: &mut Svg, area: Area, scale: &Scale, title: &str) {
    for (tick, text) in scale.ticks() {
        let x = scale.at(tick);
        svg.line((x, area.top), (x, area.bottom), "grid");
        svg.text((x, area.bottom + 15.0), Anchor::Middle, "tick", &text);
    }
    title_below(svg, area, title);
}

/// The title of the horizontal axis.
pub(super) fn title_below(svg: &mut Svg, area: Area, title: &str) {
    let middle = f64::midpoint(area.left, area.right);
    svg.text((middle, area.bottom + 31.0), Anchor::Middle, "axis", title);
}

/// A server's look and name.
pub(super) type Label<'a> = (Key, &'a str);

/// Columns of text for a name left of the plot. A longer one is clipped.
pub(super) const NAME_COLUMNS: usize = 24;

/// The left end of a plot that has these names to its left, pixels.
pub(super) fn right_of_names<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let columns = names.map(UnicodeWidthStr::width).max().unwrap_or(0);
    (24.0 + 7.0 * columns.min(NAME_COLUMNS) as f64).max(122.0)
}

/// A server's mark, and its name to the right of it, at most `columns` wide.
pub(super) fn label(
    svg: &mut Svg,
    (key, name): Label<'_>,
    (x, y): (f64, f64),
    (size, gap): (f64, f64),
    columns: usize,
) {
    svg.path(&key.mark((x, y), size), &key.class());
    let name = clipped(name, columns);
    svg.text((x + gap, y + 4.0), Anchor::Start, "", &name);
}

/// Labels right of the plot, from `right` on, each joined to the end of the server's line and moved if two
/// would overlap.
pub(super) fn labels_beside(
    svg: &mut Svg,
    area: Area,
    right: f64,
    columns: usize,
    ends: &[(Label<'_>, (f64, f64))],
) {
    let asked: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
    let places = spread(&asked, 14.0, (area.top - 6.0, svg.height - 10.0));
    for ((server, end), place) in ends.iter().zip(places) {
        svg.line(
            *end,
            (right, place),
            &format!("leader {}", server.0.class()),
        );
        label(svg, *server, (right + 6.0, place), (3.6, 8.0), columns);
    }
}

/// How far the item at `index` of `count` stands from their common middle, `apart` from the next.
pub(super) fn aside(index: usize, count: usize, apart: f64) -> f64 {
    apart * (index as f64 - (count - 1) as f64 / 2.0)
}

/// A vertical line from `low` to `high`, as a path.
pub(super) fn whisker_up(x: f64, y: &Scale, low: f64, high: f64) -> String {
    let [x, low, high] = [x, y.at(low), y.at(high)].map(short);
    format!("M{x} {low}V{high}")
}

/// A server's line through these places, each with its mark.
pub(super) fn marked_line(svg: &mut Svg, key: Key, places: &[(f64, f64)]) {
    let class = key.class();
    svg.polyline(places, &format!("line {class}"));
    let marks = places.iter().map(|place| key.mark(*place, 3.5));
    svg.path(&marks.collect::<String>(), &class);
}

/// Moves places as little as possible so that they are at least `gap` apart, within `low` and `high` if there
/// is room.
fn spread(asked: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_by(|a, b| asked[*a].total_cmp(&asked[*b]));
    let mut places = asked.to_vec();
    let mut least = low;
    for &index in &order {
        places[index] = places[index].max(least);
        least = places[index] + gap;
    }
    let mut most = high;
    for &index in order.iter().rev() {
        places[index] = places[index].min(most);
        most = places[index] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_their_order() {
        assert_eq!(spread(&[50.0, 10.0], 12.0, (0.0, 100.0)), [50.0, 10.0]);
        assert_eq!(
            spread(&[50.0, 51.0, 49.0], 12.0, (0.0, 100.0)),
            [61.0, 73.0, 49.0]
        );
        assert_eq!(spread(&[99.0, 98.0], 12.0, (0.0, 100.0)), [100.0, 88.0]);
        assert!(spread(&[], 12.0, (0.0, 100.0)).is_empty());
    }
}
