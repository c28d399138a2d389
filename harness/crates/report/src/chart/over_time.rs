//! Changes within the trials: a small panel for each server, all on the same axes, in steps of a tenth of a
//! second.

use crate::grid::clipped;
use catalog::Stage;
use record::Interval;

use super::field::{Entrant, Field};
use super::scale::{Scale, Unit};
use super::steps::{Step, jitter, memory, p99, rate, steps};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};

const COLUMNS: usize = 2;
const LEFT: f64 = 50.0;
const GAP: f64 = 14.0;
const PANEL: f64 = 64.0;
const HEAD: f64 = 18.0;

/// What to draw, of which stage, and its texts.
struct Subject {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    stage: Stage,
    unit: Unit,
    /// Values span powers of ten.
    log: bool,
    figure: fn(&Interval) -> Option<f64>,
    about: &'static str,
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        id: "rate-over-time",
        title: "Throughput over time",
        axis: "req/s",
        stage: Stage::Peak,
        unit: Unit::Count,
        log: false,
        figure: rate,
        about: "Requests per second at peak",
    },
    Subject {
        id: "p99-over-time",
        title: "p99 over time",
        axis: "p99",
        stage: Stage::Paced,
        unit: Unit::Micros,
        log: true,
        figure: p99,
        about: "99th percentile of latency at the paced rate",
    },
    Subject {
        id: "jitter-over-time",
        title: "Jitter over time",
        axis: "jitter",
        stage: Stage::Paced,
        unit: Unit::Micros,
        log: true,
        figure: jitter,
        about: "Standard deviation of latency at the paced rate",
    },
    Subject {
        id: "memory-over-time",
        title: "Memory over time",
        axis: "resident MiB",
        stage: Stage::Paced,
        unit: Unit::Bytes,
        log: false,
        figure: memory,
        about: "Resident memory at the paced rate",
    },
];

/// The charts that have data.
pub(super) fn charts(field: &Field<'_>) -> impl Iterator<Item = Chart> {
    SUBJECTS.iter().filter_map(|subject| chart(field, subject))
}

fn chart(field: &Field<'_>, subject: &Subject) -> Option<Chart> {
    let of = |entry| {
        (
            entry,
            steps(Entrant::trials(entry, subject.stage), subject.figure),
        )
    };
    let panels: Vec<(&Entrant<'_>, Vec<Step>)> = field
        .servers()
        .map(of)
        .filter(|(_, steps)| steps.len() > 1)
        .collect();
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

fn draw(panels: &[(&Entrant<'_>, Vec<Step>)], subject: &Subject) -> Svg {
    let columns = COLUMNS.min(panels.len());
    let lines = panels.len().div_ceil(columns);
    let width = (WIDTH - LEFT - 8.0 - GAP * (columns - 1) as f64) / columns as f64;
    let line = HEAD + PANEL + 8.0;
    let mut svg = Svg::new(WIDTH, 16.0 + line * lines as f64 + 30.0);
    let all = || panels.iter().flat_map(|(_, steps)| steps);
    let end = all().map(|step| step.at_s).fold(0.0, f64::max);
    let values = all().flat_map(|step| [step.low, step.high]);
    let y = match subject.log {
        true => Scale::log(values, (PANEL, 0.0)),
        false => Scale::from_zero(values, (PANEL, 0.0), subject.unit),
    };
    svg.text((2.0, 11.0), Anchor::Start, "axis", subject.axis);
    for (index, (entry, steps)) in panels.iter().enumerate() {
        let (column, row) = (index % columns, index / columns);
        let left = LEFT + (width + GAP) * column as f64;
        let top = 16.0 + line * row as f64 + HEAD;
        let y = y.on((top + PANEL, top));
        let x = Scale::between(0.0, end, (left, left + width));
        for tick in thinned(y.ticks(subject.unit)) {
            svg.line((left, y.at(tick)), (left + width, y.at(tick)), "grid");
            if column == 0 {
                let text = subject.unit.tick(tick);
                svg.text((left - 6.0, y.at(tick) + 4.0), Anchor::End, "tick", &text);
            }
        }
        if index + columns >= panels.len() {
            for at in [0.0, end] {
                let anchor = if at == 0.0 {
                    Anchor::Start
                } else {
                    Anchor::End
                };
                let text = format!("{at:.1} s");
                svg.text((x.at(at), top + PANEL + 15.0), anchor, "tick", &text);
            }
        }
        svg.path(
            &entry.key.mark((left + 5.0, top - 8.0), 3.6),
            &entry.key.class(),
        );
        let name = clipped(entry.display, 22);
        svg.text((left + 14.0, top - 4.0), Anchor::Start, "", &name);
        let line = |get: fn(&Step) -> f64| -> Vec<(f64, f64)> {
            steps
                .iter()
                .map(|step| (x.at(step.at_s), y.at(get(step))))
                .collect()
        };
        let class = entry.key.class();
        svg.band(
            &line(|s| s.low),
            &line(|s| s.high),
            &format!("band {class}"),
        );
        svg.polyline(&line(|s| s.median), &format!("line {class}"));
    }
    svg
}

/// Every tick, or every other, so that a small panel has at most four.
fn thinned(ticks: Vec<f64>) -> Vec<f64> {
    let every = ticks.len().div_ceil(4).max(1);
    ticks.into_iter().step_by(every).collect()
}

/// First and last step of each server, to show drift.
fn told(panels: &[(&Entrant<'_>, Vec<Step>)], unit: Unit) -> String {
    let of = |(entry, steps): &(&Entrant<'_>, Vec<Step>)| {
        let (first, last) = (steps.first()?, steps.last()?);
        let (from, to) = (unit.value(first.median), unit.value(last.median));
        Some(format!("{}: from {from} to {to}", entry.display))
    };
    panels.iter().filter_map(of).collect::<Vec<_>>().join("; ")
}

fn data(panels: &[(&Entrant<'_>, Vec<Step>)], subject: &Subject) -> Data {
    let (unit, divisor) = match subject.unit {
        Unit::Bytes => ("MiB", f64::from(1 << 20)),
        Unit::Micros => ("µs", 1.0),
        _ => ("1/s", 1.0),
    };
    let middle = format!("median {unit}");
    let mut data = Data::new(&[
        "server",
        "at s",
        &middle,
        "quarter below",
        "quarter above",
        "rounds",
    ]);
    for (entry, steps) in panels {
        for step in steps {
            data.rows.push(vec![
                entry.display.to_owned(),
                format!("{:.1}", step.at_s),
                number(step.median / divisor),
                number(step.low / divisor),
                number(step.high / divisor),
                step.rounds.to_string(),
            ]);
        }
    }
    data
}
