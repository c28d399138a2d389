//! The peak rate of each server with its interval, and its rank.

use catalog::Stage;
use record::figure::RATE as FIGURE;

use super::field::Field;
use super::rows::Rows;
use super::scale::AxisUnit;
use super::{Chart, Data, interval_cells, mark_interval, rank_text, spoken};

/// `None` if no peak was measured.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    if !field.has(Stage::Peak) {
        return None;
    }
    let ranks = field.ranked_by(FIGURE);
    let rows = Rows::of(field, Stage::Peak, ranks);
    let figures = rows.figures(FIGURE);
    let (mut svg, scale) = rows.begin(&figures, "requests per second at peak", 0.0);
    let mut data = Data::new("server, requests/s, low, high, trials, lower bound, rank");
    let mut told = Vec::new();
    for (row, (entry, estimate)) in rows.entries.iter().zip(&figures).enumerate() {
        let bound = entry.is_bound(Stage::Peak, FIGURE);
        let sign = if bound { "≥" } else { "" };
        if let Some(estimate) = estimate {
            mark_interval(&mut svg, &scale, rows.y(row), entry.key, estimate, bound);
            let value = AxisUnit::Count.value(estimate.median);
            rows.value(&mut svg, row, &format!("{sign}{value}"));
            let spoken = spoken(estimate, AxisUnit::Count);
            told.push(format!("{} {sign}{spoken}", entry.display));
        }
        let mut cells = vec![entry.display.to_owned()];
        cells.extend(interval_cells(*estimate));
        cells.push(if bound { "yes" } else { "no" }.to_owned());
        cells.push(rank_text(entry.rank()));
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
