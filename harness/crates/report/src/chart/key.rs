//! How servers are distinguished: by colour, by the shape of the mark and by name, never by colour alone.

use super::svg::{short, through};

/// Number of colours; `templates/chart.css` defines them for light and dark mode.
const COLOURS: usize = 8;

/// The look of a server, the same in all charts of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its place among the servers; `None` for the control.
    place: Option<usize>,
}

/// The outlines of marks, as many as are easy to distinguish from each other and from a disc: a square, a
/// diamond, and triangles that point up and down.
const OUTLINES: [&[(f64, f64)]; 4] = [
    &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    &[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)],
    &[(0.0, -1.1), (1.1, 0.85), (-1.1, 0.85)],
    &[(0.0, 1.1), (1.1, -0.85), (-1.1, -0.85)],
];

impl Key {
    /// The look of the server at that place.
    pub(crate) fn of(place: usize) -> Self {
        Self { place: Some(place) }
    }

    /// The look of the control.
    pub(crate) fn control() -> Self {
        Self { place: None }
    }

    /// The CSS class for the colour.
    pub(crate) fn class(self) -> String {
        self.place.map_or_else(
            || "s s-control".to_owned(),
            |place| format!("s s{}", place % COLOURS),
        )
    }

    /// Only the mark, to show next to the name in a table.
    pub(crate) fn icon(self) -> String {
        format!(
            "<svg class=\"key chart\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><path class=\"{}\" d=\"{}\"/></svg>",
            self.class(),
            self.mark((7.0, 7.0), 5.0)
        )
    }

    /// The mark around a point, as a path: a cross for the control. `size` is half its width.
    pub(super) fn mark(self, (x, y): (f64, f64), size: f64) -> String {
        let Some(place) = self.place else {
            let (left, right) = (short(x - size), short(x + size));
            let (top, bottom) = (short(y - size), short(y + size));
            return format!("M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}");
        };
        if let Some(outline) = (place % (OUTLINES.len() + 1)).checked_sub(1) {
            let around = OUTLINES[outline].iter();
            let around: Vec<_> = around
                .map(|(dx, dy)| (x + dx * size, y + dy * size))
                .collect();
            return through(&around) + "z";
        }
        // Round first, so that two half circles join exactly.
        let radius = (size * 9.5).round() / 10.0;
        let (r, d) = (short(radius), short(radius * 2.0));
        let (left, y) = (short(x - radius), short(y));
        format!("M{left} {y}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn forty_servers_are_all_different() {
        let looks: HashSet<_> = (0..40)
            .map(|place| (Key::of(place).class(), Key::of(place).mark((0.0, 0.0), 4.0)))
            .collect();
        assert_eq!(looks.len(), 40);
    }
}
