//! Changes within the trials: a small panel for each server, all on the same axes, in steps of a tenth of a
//! second.

use catalog::Stage;
use record::Interval;

use super::field::Field;
use super::frame::label;
use super::scale::{AxisUnit, Scale};
use super::steps::{Course, TimeStep, courses, jitter, memory, p99, rate};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};

const COLUMNS: usize = 2;
const LEFT: f64 = 50.0;
const GAP: f64 = 14.0;
const PANEL: f64 = 64.0;
const HEAD: f64 = 18.0;

/// What to draw, of which stage, and its texts.
struct TimeChart {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    stage: Stage,
    unit: AxisUnit,
    /// Values span powers of ten.
    log: bool,
    figure: fn(&Interval) -> Option<f64>,
    about: &'static str,
}

const P99: TimeChart = TimeChart {
    id: "p99-over-time",
    title: "p99 over time",
    axis: "p99",
    stage: Stage::Paced,
    unit: AxisUnit::Micros,
    log: true,
    figure: p99,
    about: "99th percentile of latency at the paced rate",
};

const CHARTS: [TimeChart; 4] = [
    TimeChart {
        id: "rate-over-time",
        title: "Throughput over time",
        axis: "req/s",
        stage: Stage::Peak,
        unit: AxisUnit::Count,
        log: false,
        figure: rate,
        about: "Requests per second at peak",
    },
    P99,
    TimeChart {
        id: "jitter-over-time",
        title: "Jitter over time",
        axis: "jitter",
        figure: jitter,
        about: "Standard deviation of latency at the paced rate",
        ..P99
    },
    TimeChart {
        id: "memory-over-time",
        title: "Memory over time",
        axis: "resident MiB",
        unit: AxisUnit::Bytes,
        log: false,
        figure: memory,
        about: "Resident memory at the paced rate",
        ..P99
    },
];

/// The charts that have data.
pub(super) fn charts(field: &Field<'_>) -> impl Iterator<Item = Chart> {
    CHARTS.iter().filter_map(|subject| chart(field, subject))
}

fn chart(field: &Field<'_>, subject: &TimeChart) -> Option<Chart> {
    let panels = courses(field, subject.stage, subject.figure);
    if panels.is_empty() {
        return None;
    }
    Some(Chart::new(
        (field.workload, subject.id),
        subject.title,
        format!(
            "{} within the trials: the median over rounds, and a band for the middle half of the \
             rounds.",
            subject.about
        ),
        &format!(
            "{} over time. {}.",
            subject.about,
            told(&panels, subject.unit)
        ),
        draw(&panels, subject),
        data(&panels, subject),
    ))
}

fn draw(panels: &[Course<'_>], subject: &TimeChart) -> Svg {
    let columns = COLUMNS.min(panels.len());
    let lines = panels.len().div_ceil(columns);
    let width = (WIDTH - LEFT - 8.0 - GAP * (columns - 1) as f64) / columns as f64;
    let line = HEAD + PANEL + 8.0;
    let mut svg = Svg::new(WIDTH, 16.0 + line * lines as f64 + 30.0);
    let all = || panels.iter().flat_map(|(_, steps)| steps);
    let end = all().map(|step| step.at_s).fold(0.0, f64::max);
    let values = all().flat_map(|step| [step.low, step.high]);
    let y = match subject.log {
        true => Scale::log(values, (PANEL, 0.0), subject.unit),
        false => Scale::from_zero(values, (PANEL, 0.0), subject.unit),
    };
    svg.text((2.0, 11.0), Anchor::Start, "axis", subject.axis);
    for (index, (entry, steps)) in panels.iter().enumerate() {
        let (column, row) = (index % columns, index / columns);
        let left = LEFT + (width + GAP) * column as f64;
        let top = 16.0 + line * row as f64 + HEAD;
        let y = y.on((top + PANEL, top));
        let x = Scale::between(0.0, end, (left, left + width), AxisUnit::Count);
        let ticks = y.ticks();
        // A small panel has at most four.
        let every = ticks.len().div_ceil(4).max(1);
        for (tick, text) in ticks.into_iter().step_by(every) {
            svg.line((left, y.at(tick)), (left + width, y.at(tick)), "grid");
            if column == 0 {
                svg.text((left - 6.0, y.at(tick) + 4.0), Anchor::End, "tick", &text);
            }
        }
        if index + columns >= panels.len() {
            for (at, anchor) in [(0.0, Anchor::Start), (end, Anchor::End)] {
                let text = format!("{at:.1} s");
                svg.text((x.at(at), top + PANEL + 15.0), anchor, "tick", &text);
            }
        }
        let at = (left + 5.0, top - 8.0);
        label(&mut svg, entry.named(), at, (3.6, 9.0), 22);
        let line = |get: fn(&TimeStep) -> f64| -> Vec<(f64, f64)> {
            let points = steps.iter();
            points.map(|s| (x.at(s.at_s), y.at(get(s)))).collect()
        };
        let class = entry.key.class();
        let (low, high) = (line(|s| s.low), line(|s| s.high));
        svg.band(&low, &high, &format!("band {class}"));
        svg.polyline(&line(|s| s.median), &format!("line {class}"));
    }
    svg
}

/// First and last step of each server, to show drift.
fn told(panels: &[Course<'_>], unit: AxisUnit) -> String {
    let of = |(entry, steps): &Course<'_>| {
        let (first, last) = (steps.first()?, steps.last()?);
        let (from, to) = (unit.value(first.median), unit.value(last.median));
        Some(format!("{}: from {from} to {to}", entry.display))
    };
    panels.iter().filter_map(of).collect::<Vec<_>>().join("; ")
}

fn data(panels: &[Course<'_>], subject: &TimeChart) -> Data {
    let (unit, divisor) = match subject.unit {
        AxisUnit::Bytes => ("MiB", f64::from(1 << 20)),
        AxisUnit::Micros => ("µs", 1.0),
        _ => ("1/s", 1.0),
    };
    let mut data = Data::new(&format!(
        "server, at s, median {unit}, quarter below, quarter above, rounds"
    ));
    for (entry, steps) in panels {
        for step in steps {
            let mut cells = vec![entry.display.to_owned(), format!("{:.1}", step.at_s)];
            cells.extend([step.median, step.low, step.high].map(|v| number(v / divisor)));
            cells.push(step.rounds.to_string());
            data.rows.push(cells);
        }
    }
    data
}
