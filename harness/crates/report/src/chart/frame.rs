//! The axes around a plot, and names beside its lines.

use super::scale::{Scale, Unit};
use super::svg::{Anchor, Svg};

/// The plot's area, pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// An axis and its title.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) scale: &'a Scale,
    pub(super) unit: Unit,
    pub(super) title: &'a str,
}

/// Horizontal grid lines with the tick values of the vertical axis, and the title above.
pub(super) fn upright(svg: &mut Svg, area: Area, axis: Axis<'_>) {
    for tick in axis.scale.ticks(axis.unit) {
        let y = axis.scale.at(tick);
        svg.line((area.left, y), (area.right, y), "grid");
        let text = axis.unit.tick(tick);
        svg.text((area.left - 6.0, y + 4.0), Anchor::End, "tick", &text);
    }
    if !axis.title.is_empty() {
        svg.text((2.0, area.top - 9.0), Anchor::Start, "axis", axis.title);
    }
}

/// Vertical grid lines with the tick values of the horizontal axis, and the title below.
pub(super) fn level(svg: &mut Svg, area: Area, axis: Axis<'_>) {
    for tick in axis.scale.ticks(axis.unit) {
        let x = axis.scale.at(tick);
        svg.line((x, area.top), (x, area.bottom), "grid");
        let text = axis.unit.tick(tick);
        svg.text((x, area.bottom + 15.0), Anchor::Middle, "tick", &text);
    }
    if !axis.title.is_empty() {
        let middle = f64::midpoint(area.left, area.right);
        svg.text(
            (middle, area.bottom + 31.0),
            Anchor::Middle,
            "axis",
            axis.title,
        );
    }
}

/// Moves places as little as possible so that they are at least `gap` apart, within `low` and `high` if there
/// is room.
pub(super) fn spread(asked: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
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
