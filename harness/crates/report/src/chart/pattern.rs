//! A pattern or an overload over time: the offered load and each server's goodput above, their p99 below.

use record::{Overload, PatternInterval, PatternShape, Patterns, ServerCapacity, is_control};

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
    /// Requests per second that the upper axis shows as 1.
    one: f64,
}

impl Line<'_> {
    /// Valid responses per second, as the upper axis shows them.
    fn goodput(&self, interval: &PatternInterval) -> f64 {
        interval.requests as f64 * 1e3 / interval.length_ms.max(1) as f64 / self.one
    }
}

/// The load, which is the same for all lines.
struct Load {
    /// Its corners: seconds, and what the upper axis shows.
    offered: Vec<(f64, f64)>,
    title: &'static str,
    /// A part to mark, from and to which second.
    part: Option<(&'static str, f64, f64)>,
}

impl Load {
    /// Half of the capacity, far above it, and half of it again.
    fn overload(line: &Line<'_>, overload: &Overload) -> Self {
        let begin = overload.before_ms as f64 / 1e3;
        let end = begin + overload.seconds;
        let last = line.intervals.last();
        let last = last.map_or(end, |i| (i.at_ms + i.length_ms) as f64 / 1e3);
        let (half, over) = (50.0, overload.rate / line.one);
        Self {
            offered: vec![
                (0.0, half),
                (begin, half),
                (begin, over),
                (end, over),
                (end, half),
                (last, half),
            ],
            title: "% of capacity: offered (dashed) and valid",
            part: Some(("overload", begin, end)),
        }
    }

    fn seconds(&self) -> f64 {
        self.offered.last().map_or(0.0, |(at, _)| *at)
    }
}

fn key(name: &str, place: usize) -> Key {
    match is_control(name) {
        true => Key::control(),
        false => Key::of(place),
    }
}

/// `None` if no server has a time series.
pub(crate) fn chart(patterns: &Patterns, shape: &PatternShape) -> Option<Chart> {
    let lines: Vec<Line<'_>> = (0..)
        .zip(patterns.servers())
        .filter_map(|(place, (name, display))| {
            let run = patterns.of(&shape.name, name).next()?;
            Some(Line {
                display,
                key: key(name, place),
                intervals: &run.intervals,
                one: 1.0,
            })
        })
        .filter(|line| !line.intervals.is_empty())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let seconds = |ms: u64| ms as f64 / 1e3;
    let burst = shape.phase_ms("burst");
    let load = Load {
        offered: offered(shape),
        title: "requests/s: offered (dashed) and valid",
        part: burst.map(|(begin, end)| ("burst", seconds(begin), seconds(end))),
    };
    let told: Vec<String> = lines.iter().map(told).collect();
    Some(Chart::new(
        (&shape.name, "pattern"),
        &format!("Pattern {} over time", shape.name),
        "The offered rate (dashed) and goodput above, the 99th percentile of latency below, by the time at which \
         responses arrived. The first round of each server."
            .to_owned(),
        &format!(
            "Goodput and 99th percentile of latency over {} s. {}.",
            load.seconds(),
            told.join("; ")
        ),
        drawn(&load, &lines),
        data(&lines, "valid 1/s"),
    ))
}

/// The overloads of a workload; `None` if no server has a time series.
pub(crate) fn overload(workload: &str, servers: &[&ServerCapacity]) -> Option<Chart> {
    let measured = (0..).zip(servers).filter_map(|(place, server)| {
        let mut rounds = server.rounds.iter();
        let first = rounds.find_map(|round| round.overload.as_ref().zip(round.rate));
        let (overload, capacity) = first.filter(|(overload, _)| !overload.intervals.is_empty())?;
        let line = Line {
            display: &server.display,
            key: key(&server.name, place),
            intervals: &overload.intervals,
            one: capacity / 100.0,
        };
        Some((line, overload))
    });
    let (lines, overloads): (Vec<Line<'_>>, Vec<&Overload>) = measured.unzip();
    // All have the same times but for the milliseconds that a load takes to begin.
    let load = Load::overload(lines.first()?, overloads.first()?);
    let told: Vec<String> = lines.iter().map(told).collect();
    Some(Chart::new(
        (workload, "overload"),
        "Overload over time",
        "The offered load (dashed) and goodput above, in percent of each server's own capacity; the 99th percentile of latency \
         below, from when a request was due, by the time at which responses arrived. The first round of each server."
            .to_owned(),
        &format!(
            "Goodput in percent of the capacity, and 99th percentile of latency, over {} s. {}.",
            load.seconds(),
            told.join("; ")
        ),
        drawn(&load, &lines),
        data(&lines, "valid, % of capacity"),
    ))
}

fn drawn(load: &Load, lines: &[Line<'_>]) -> Svg {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let x = Scale::between(0.0, load.seconds(), RATES.across(), AxisUnit::Count);
    let all = || lines.iter().flat_map(|line| line.intervals);
    let goodput = lines
        .iter()
        .flat_map(|line| line.intervals.iter().map(|i| line.goodput(i)));
    let rates = load.offered.iter().map(|(_, rate)| *rate).chain(goodput);
    let y = Scale::from_zero(rates, RATES.up(), AxisUnit::Count);
    upright(&mut svg, RATES, &y, load.title);
    let places: Vec<(f64, f64)> = load
        .offered
        .iter()
        .map(|(at, rate)| (x.at(*at), y.at(*rate)))
        .collect();
    svg.polyline(&places, "line s s-control dashed");
    let times = Scale::log(all().filter_map(|i| i.p99_us), TIMES.up(), AxisUnit::Micros);
    upright(&mut svg, TIMES, &times, "p99 (logarithmic)");
    level(&mut svg, TIMES, &x, "seconds");
    if let Some((name, begin, end)) = load.part {
        for at in [begin, end] {
            let at = x.at(at);
            svg.line((at, RATES.top), (at, RATES.bottom), "rule");
            svg.line((at, TIMES.top), (at, TIMES.bottom), "rule");
        }
        let middle = x.at(f64::midpoint(begin, end));
        svg.text((middle, TIMES.top + 4.0), Anchor::Middle, "tick", name);
    }
    let mut ends = Vec::new();
    for line in lines {
        let class = format!("line {}", line.key.class());
        let middle = |i: &PatternInterval| x.at((i.at_ms as f64 + i.length_ms as f64 / 2.0) / 1e3);
        let rates = line
            .intervals
            .iter()
            .map(|i| (middle(i), y.at(line.goodput(i))));
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
    labels_beside(&mut svg, TIMES, TIMES.right + 6.0, 14, &ends);
    svg
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

/// Its highest goodput and p99.
fn told(line: &Line<'_>) -> String {
    let rates = line.intervals.iter().map(|i| line.goodput(i));
    let rates = rates.fold(0.0, f64::max) * line.one;
    let worst = line.intervals.iter().filter_map(|interval| interval.p99_us);
    let worst = worst.fold(0.0, f64::max);
    format!(
        "{}: up to {} valid responses per second, p99 up to {}",
        line.display,
        AxisUnit::Count.value(rates),
        AxisUnit::Micros.value(worst)
    )
}

fn data(lines: &[Line<'_>], valid: &str) -> Data {
    let mut data = Data::new(&format!("server, at s, {valid}, errors, p99 µs"));
    for line in lines {
        for interval in line.intervals {
            data.rows.push(vec![
                line.display.to_owned(),
                number(interval.at_ms as f64 / 1e3),
                number(line.goodput(interval)),
                interval.errors.to_string(),
                interval.p99_us.map_or_else(String::new, number),
            ]);
        }
    }
    data
}
