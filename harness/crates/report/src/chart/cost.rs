//! CPU time per request: user and system, with the interval of their sum.

use crate::number::significant;
use catalog::Stage;
use record::figure::COST as FIGURE;

use super::field::{Entrant, Field};
use super::rows::Rows;
use super::scale::AxisUnit;
use super::svg::Anchor;
use super::{Chart, Data, interval_cells, number, spoken, whisker};

const BAR: f64 = 13.0;

/// `None` if no CPU time was read.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    let stage = if field.has(Stage::Paced) {
        Stage::Paced
    } else {
        Stage::Peak
    };
    let rows = Rows::of(field, stage, field.ranked_by(FIGURE));
    let figures = rows.figures(FIGURE);
    if figures.iter().all(Option::is_none) {
        return None;
    }
    let (mut svg, scale) = rows.begin(&figures, "CPU time per request, µs", 18.0);
    let mut data = Data::new("server, CPU µs/request, low, high, trials, user µs, system µs");
    let mut told = Vec::new();
    for (row, (entry, estimate)) in rows.entries.iter().zip(&figures).enumerate() {
        let split = split(entry, stage);
        if let Some(estimate) = estimate {
            let (zero, y) = (scale.at(0.0), rows.y(row));
            let user = split.map_or(1.0, |(user, system)| user / (user + system));
            let (end, middle) = (scale.at(estimate.median), scale.at(estimate.median * user));
            svg.rect((zero, y - BAR / 2.0), middle - zero, BAR, "user");
            svg.rect((middle, y - BAR / 2.0), end - middle, BAR, "system");
            whisker(&mut svg, &scale, y, estimate, "whisker");
            rows.value(&mut svg, row, &significant(estimate.median, 3));
            let spoken = spoken(estimate, AxisUnit::Micros);
            told.push(format!("{} {spoken}", entry.display));
        }
        let mut cells = vec![entry.display.to_owned()];
        cells.extend(interval_cells(*estimate));
        cells.extend(match split {
            Some((user, system)) => [number(user), number(system)],
            None => [String::new(), String::new()],
        });
        data.rows.push(cells);
    }
    let y = rows.area.bottom + 48.0;
    for (x, part) in [(0.0, "user"), (60.0, "system")] {
        let x = rows.area.left + x;
        svg.rect((x, y - 9.0), 12.0, 10.0, part);
        svg.text((x + 17.0, y), Anchor::Start, "tick", part);
    }
    let load = match stage {
        Stage::Paced => "at the same rate for every server",
        Stage::Peak => "at peak",
    };
    Some(Chart::new(
        (field.workload, "cost"),
        "CPU per request",
        format!(
            "CPU time of the server's processes {load}; the thin line is the 95 % interval of the \
             sum. User is the server's own code, system the kernel's work for it."
        ),
        &format!("CPU time per request {load}: {}.", told.join("; ")),
        svg,
        data,
    ))
}

/// Median user and system time. Medians of parts need not add up to that of the whole, so the bar only uses
/// their proportion.
fn split(entry: &Entrant<'_>, stage: Stage) -> Option<(f64, f64)> {
    let user = entry.figure(stage, "cpu_user_us_per_request")?.median;
    let system = entry.figure(stage, "cpu_system_us_per_request")?.median;
    (user + system > 0.0).then_some((user, system))
}
