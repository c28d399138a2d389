//! Latency against rate, and what is answered against what is asked: a line for each server.

use record::{CurvePoint, ServerCapacity};

use super::frame::{Area, labels_beside, level, marked_line, upright};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::Svg;
use super::{Chart, Data, WIDTH, number};

const HEIGHT: f64 = 280.0;
const AREA: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: HEIGHT - 48.0,
};

/// A server's line: its rates, and a figure at each.
struct Line<'a> {
    display: &'a str,
    key: Key,
    points: Vec<(f64, f64)>,
    /// The capacity.
    at: Option<f64>,
}

/// The charts of a workload: of its load curve and of its overload, if they were measured.
pub(crate) fn charts(workload: &str, servers: &[&ServerCapacity]) -> Vec<Chart> {
    let latency = lines(servers, "latency_p99_us");
    let goodput = lines(servers, "requests_per_s");
    let mut charts = Vec::new();
    charts.extend(chart(
        (workload, "capacity-latency"),
        (
            "Latency against rate",
            "p99 latency",
            "99th percentile of latency",
        ),
        "p99 at 10 to 120 % of the capacity. The dotted line is a server's capacity.",
        &latency,
        AxisUnit::Micros,
    ));
    charts.extend(chart(
        (workload, "capacity-goodput"),
        ("Answered against asked", "answered per second", "valid responses per second"),
        "The dotted line is a server's capacity. Above it, a flat line means that the server still answers as many as \
         it can; a falling one that it collapses.",
        &goodput,
        AxisUnit::Count,
    ));
    charts.extend(super::pattern::overload(workload, servers));
    charts
}

/// The servers that have a load curve.
fn lines<'a>(servers: &[&'a ServerCapacity], figure: &str) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (place, server) in servers.iter().enumerate() {
        let at = |point: &CurvePoint| Some((point.rate, point.figures.get(figure)?.median));
        let points: Vec<(f64, f64)> = server.curve.iter().filter_map(at).collect();
        if points.len() > 1 {
            lines.push(Line {
                display: &server.display,
                key: Key::of(place),
                points,
                at: server.capacity.map(|capacity| capacity.median),
            });
        }
    }
    lines
}

fn chart(
    of: (&str, &str),
    (title, axis, what): (&str, &str, &str),
    caption: &str,
    lines: &[Line<'_>],
    unit: AxisUnit,
) -> Option<Chart> {
    if lines.is_empty() {
        return None;
    }
    let all = || lines.iter().flat_map(|line| &line.points);
    let x = Scale::from_zero(all().map(|point| point.0), AREA.across(), AxisUnit::Count);
    let values = all().map(|point| point.1);
    let y = match unit {
        AxisUnit::Count => Scale::from_zero(values, AREA.up(), unit),
        _ => Scale::log(values, AREA.up(), unit),
    };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(&mut svg, AREA, &y, axis);
    level(&mut svg, AREA, &x, "requests asked for per second");
    let mut data = Data::new(&format!("server, asked/s, {what}"));
    let mut told = Vec::new();
    let mut ends = Vec::new();
    for line in lines {
        if let Some(at) = line.at {
            let (top, bottom) = ((x.at(at), AREA.top), (x.at(at), AREA.bottom));
            svg.line(top, bottom, &format!("leader {}", line.key.class()));
        }
        let place = |(rate, value): &(f64, f64)| (x.at(*rate), y.at(*value));
        let places: Vec<(f64, f64)> = line.points.iter().map(place).collect();
        marked_line(&mut svg, line.key, &places);
        ends.extend(
            places
                .last()
                .map(|end| ((line.key, line.display), (end.0 + 5.0, end.1))),
        );
        let points = line.points.iter().map(|(rate, value)| {
            let cells = [line.display.to_owned(), number(*rate), number(*value)];
            data.rows.push(cells.to_vec());
            format!("{}: {}", AxisUnit::Count.value(*rate), unit.value(*value))
        });
        let points: Vec<String> = points.collect();
        told.push(format!("{}, {}", line.display, points.join(", ")));
    }
    labels_beside(&mut svg, AREA, AREA.right + 6.0, 14, &ends);
    let description = format!(
        "The {what} by requests asked for per second. {}.",
        told.join("; ")
    );
    Some(Chart::new(
        of,
        title,
        caption.to_owned(),
        &description,
        svg,
        data,
    ))
}
