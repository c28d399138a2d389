//! CPU time per request: user and system, with the interval of their sum.

use crate::number::significant;
use catalog::Stage;
use record::figure::COST as FIGURE;

use super::field::{Entrant, Field};
use super::frame::{Axis, level};
use super::rows::Rows;
use super::scale::{Scale, Unit};
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
    let ranks = field.ranked_by(FIGURE);
    let rows = Rows::of(field, stage, ranks);
    let figures: Vec<_> = rows
        .entries
        .iter()
        .map(|entry| entry.figure(stage, FIGURE))
        .collect();
    if figures.iter().all(Option::is_none) {
        return None;
    }
    let ends = figures.iter().flatten().map(|estimate| estimate.high);
    let area = rows.area;
    let scale = Scale::from_zero(ends, (area.left, area.right), Unit::Count);
    let mut svg = rows.canvas(18.0);
    let title = "CPU time per request, µs";
    level(
        &mut svg,
        area,
        Axis {
            scale: &scale,
            unit: Unit::Count,
            title,
        },
    );
    rows.draw(&mut svg, stage);
    let mut data = Data::new(&[
        "server",
        "CPU µs/request",
        "low",
        "high",
        "trials",
        "user µs",
        "system µs",
    ]);
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
            told.push(format!(
                "{} {}",
                entry.display,
                spoken(estimate, Unit::Micros)
            ));
        }
        let mut cells = vec![entry.display.to_owned()];
        cells.extend(interval_cells(*estimate));
        cells.extend(match split {
            Some((user, system)) => [number(user), number(system)],
            None => [String::new(), String::new()],
        });
        data.rows.push(cells);
    }
    let y = area.bottom + 48.0;
    svg.rect((area.left, y - 9.0), 12.0, 10.0, "user");
    svg.text((area.left + 17.0, y), Anchor::Start, "tick", "user");
    svg.rect((area.left + 60.0, y - 9.0), 12.0, 10.0, "system");
    svg.text((area.left + 77.0, y), Anchor::Start, "tick", "system");
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
