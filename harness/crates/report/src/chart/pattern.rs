//! A pattern over time: the offered rate and each server's goodput above, their p99 below.

use record::{PatternInterval, PatternShape, Patterns, is_control};

use super::frame::{Area, labels_beside, level, upright};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};

const HEIGHT: f64 = 400.0;
const RATES: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: 170.0,
};
const TIMES: Area = Area {
    top: 214.0,
    bottom: HEIGHT - 48.0,
    ..RATES
};

/// A server's first round.
struct Line<'a> {
    display: &'a str,
    key: Key,
    intervals: &'a [PatternInterval],
}

/// `None` if no server has a time series.
pub(crate) fn chart(patterns: &Patterns, shape: &PatternShape) -> Option<Chart> {
    let lines: Vec<Line<'_>> = (0..)
        .zip(patterns.servers())
        .filter_map(|(place, (name, display))| {
            let run = patterns.of(&shape.name, name).next()?;
            Some(Line {
                display,
                key: match is_control(name) {
                    true => Key::control(),
                    false => Key::of(place),
                },
                intervals: &run.intervals,
            })
        })
        .filter(|line| !line.intervals.is_empty())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let mut svg = Svg::new(WIDTH, HEIGHT);
    draw(&mut svg, shape, &lines);
    let told: Vec<String> = lines.iter().map(told).collect();
    Some(Chart::new(
        (&shape.name, "pattern"),
        &format!("Pattern {} over time", shape.name),
        "The offered rate (dashed) and goodput above, the 99th percentile of latency below, by the time at which \
         responses arrived. The first round of each server."
            .to_owned(),
        &format!(
            "Goodput and 99th percentile of latency over {} s. {}.",
            shape.length_ms() as f64 / 1e3,
            told.join("; ")
        ),
        svg,
        data(&lines),
    ))
}

fn draw(svg: &mut Svg, shape: &PatternShape, lines: &[Line<'_>]) {
    let x = Scale::between(
        0.0,
        shape.length_ms() as f64 / 1e3,
        RATES.across(),
        AxisUnit::Count,
    );
    let offered = offered(shape);
    let all = || lines.iter().flat_map(|line| line.intervals);
    let rates = offered
        .iter()
        .map(|(_, rate)| *rate)
        .chain(all().map(goodput));
    let y = Scale::from_zero(rates, RATES.up(), AxisUnit::Count);
    upright(svg, RATES, &y, "requests/s: offered (dashed) and valid");
    let places: Vec<(f64, f64)> = offered
        .iter()
        .map(|(at, rate)| (x.at(*at), y.at(*rate)))
        .collect();
    svg.polyline(&places, "line s s-control dashed");
    let times = Scale::log(all().filter_map(|i| i.p99_us), TIMES.up(), AxisUnit::Micros);
    upright(svg, TIMES, &times, "p99 (logarithmic)");
    level(svg, TIMES, &x, "seconds");
    if let Some((begin, end)) = shape.phase_ms("burst") {
        for at in [begin, end] {
            let at = x.at(at as f64 / 1e3);
            svg.line((at, RATES.top), (at, RATES.bottom), "rule");
            svg.line((at, TIMES.top), (at, TIMES.bottom), "rule");
        }
        let middle = f64::midpoint(x.at(begin as f64 / 1e3), x.at(end as f64 / 1e3));
        svg.text((middle, TIMES.top + 4.0), Anchor::Middle, "tick", "burst");
    }
    let mut ends = Vec::new();
    for line in lines {
        let class = format!("line {}", line.key.class());
        let middle = |i: &PatternInterval| x.at((i.at_ms as f64 + i.length_ms as f64 / 2.0) / 1e3);
        let rates = line.intervals.iter().map(|i| (middle(i), y.at(goodput(i))));
        svg.polyline(&rates.collect::<Vec<_>>(), &class);
        // Where nothing ended there is no p99, and the line has a gap.
        for part in line.intervals.split(|interval| interval.p99_us.is_none()) {
            let points = part.iter();
            let points: Vec<(f64, f64)> = points
                .filter_map(|i| Some((middle(i), times.at(i.p99_us?))))
                .collect();
            svg.polyline(&points, &class);
        }
        let last = line
            .intervals
            .iter()
            .rev()
            .find_map(|interval| interval.p99_us);
        ends.extend(last.map(|us| ((line.key, line.display), (TIMES.right, times.at(us)))));
    }
    labels_beside(svg, TIMES, TIMES.right + 6.0, 14, &ends);
}

/// The corners of the offered rate: seconds and requests per second.
fn offered(shape: &PatternShape) -> Vec<(f64, f64)> {
    let mut at = 0;
    let mut corners = Vec::new();
    for stage in &shape.stages {
        corners.push((at as f64 / 1e3, stage.from_per_s));
        at += stage.length_ms;
        corners.push((at as f64 / 1e3, stage.to_per_s));
    }
    corners
}

/// Valid responses per second.
fn goodput(interval: &PatternInterval) -> f64 {
    interval.requests as f64 * 1e3 / interval.length_ms.max(1) as f64
}

/// Its highest goodput and p99.
fn told(line: &Line<'_>) -> String {
    let rates = line.intervals.iter().map(goodput).fold(0.0, f64::max);
    let worst = line.intervals.iter().filter_map(|interval| interval.p99_us);
    let worst = worst.fold(0.0, f64::max);
    format!(
        "{}: up to {} valid responses per second, p99 up to {}",
        line.display,
        AxisUnit::Count.value(rates),
        AxisUnit::Micros.value(worst)
    )
}

fn data(lines: &[Line<'_>]) -> Data {
    let mut data = Data::new("server, at s, valid 1/s, errors, p99 µs");
    for line in lines {
        for interval in line.intervals {
            data.rows.push(vec![
                line.display.to_owned(),
                number(interval.at_ms as f64 / 1e3),
                number(goodput(interval)),
                interval.errors.to_string(),
                interval.p99_us.map_or_else(String::new, number),
            ]);
        }
    }
    data
}
