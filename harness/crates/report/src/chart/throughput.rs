//! The peak rate of each server with its interval, and its rank.

use catalog::Stage;
use record::figure::RATE as FIGURE;

use super::field::Field;
use super::frame::{Axis, level};
use super::rows::Rows;
use super::scale::{Scale, Unit};
use super::{Chart, Data, interval_cells, mark_interval, spoken};

/// `None` if no peak was measured.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    if !field.has(Stage::Peak) {
        return None;
    }
    let ranks = field.ranked_by(FIGURE);
    let rows = Rows::of(field, Stage::Peak, ranks);
    let figures: Vec<_> = rows
        .entries
        .iter()
        .map(|entry| entry.figure(Stage::Peak, FIGURE))
        .collect();
    let ends = figures.iter().flatten().map(|estimate| estimate.high);
    let area = rows.area;
    let scale = Scale::from_zero(ends, (area.left, area.right), Unit::Count);
    let mut svg = rows.canvas(0.0);
    let title = "requests per second at peak";
    level(
        &mut svg,
        area,
        Axis {
            scale: &scale,
            unit: Unit::Count,
            title,
        },
    );
    rows.draw(&mut svg, Stage::Peak);
    let mut data = Data::new(&[
        "server",
        "requests/s",
        "low",
        "high",
        "trials",
        "lower bound",
        "rank",
    ]);
    let mut told = Vec::new();
    for (row, (entry, estimate)) in rows.entries.iter().zip(&figures).enumerate() {
        let bound = entry.sound(Stage::Peak).is_some_and(|row| row.lower_bound);
        let sign = if bound { "≥" } else { "" };
        if let Some(estimate) = estimate {
            mark_interval(&mut svg, &scale, rows.y(row), entry.key, estimate, bound);
            rows.value(
                &mut svg,
                row,
                &format!("{sign}{}", Unit::Count.value(estimate.median)),
            );
            told.push(format!(
                "{} {sign}{}",
                entry.display,
                spoken(estimate, Unit::Count)
            ));
        }
        let mut cells = vec![entry.display.to_owned()];
        cells.extend(interval_cells(*estimate));
        cells.push(if bound { "yes" } else { "no" }.to_owned());
        cells.push(super::rank_text(entry.rank()));
        data.rows.push(cells);
    }
    let mut caption =
        "The line is the 95 % interval of the median over fresh processes.".to_owned();
    if told.iter().any(|text| text.contains('≥')) {
        caption +=
            " ≥ and an arrow: a lower bound, because the load generator may have been the limit.";
    }
    if ranks {
        caption += " Right: the ranks each server may have; a bracket joins ties.";
    }
    Some(Chart::new(
        (field.workload, "throughput"),
        "Throughput",
        caption,
        &format!(
            "Requests per second at peak, each with its 95 % interval: {}.",
            told.join("; ")
        ),
        svg,
        data,
    ))
}
