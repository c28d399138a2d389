//! Throughput above, and latency or efficiency below, against the values of a factor: a line for each server.

use record::{Estimate, Factor, Ladders, Rung};

use crate::number::short;

use super::frame::{Area, labels_beside, marked_line, title_below, upright, whisker_up};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};

const HEIGHT: f64 = 400.0;
const UPPER: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: 170.0,
};
const LOWER: Area = Area {
    top: 214.0,
    bottom: HEIGHT - 48.0,
    ..UPPER
};
/// The least distance of two values on the horizontal axis, pixels.
const APART: f64 = 30.0;

/// A server's rungs.
struct Line<'a> {
    display: &'a str,
    key: Key,
    rungs: &'a [Rung],
}

/// `None` if no server has two values.
pub(crate) fn chart(ladders: &Ladders, workload: &str, factor: Factor) -> Option<Chart> {
    let lines: Vec<Line<'_>> = (0..)
        .zip(ladders.of(workload, factor))
        .map(|(place, server)| Line {
            display: &server.display,
            key: Key::of(place),
            rungs: &server.rungs,
        })
        .filter(|line| line.rungs.len() > 1)
        .collect();
    if lines.is_empty() {
        return None;
    }
    let (title, axis, caption) = match factor {
        Factor::Connections => (
            "Throughput and p99 by connections",
            "connections (logarithmic)",
            "A closed loop. Once the server is saturated, more connections only wait: throughput stays and latency grows.",
        ),
        Factor::Workers => (
            "Throughput and efficiency by worker threads",
            "worker threads",
            "A closed loop. Efficiency is the throughput of each worker as a share of what it is with the fewest.",
        ),
        Factor::Rates => (
            "Goodput and p99 by rate",
            "requests sent per second",
            "The dashed line is the rate itself: a server below it doesn't keep up.",
        ),
    };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    draw(&mut svg, &lines, factor, ladders.server_cpus);
    title_below(&mut svg, LOWER, axis);
    let mut data = Data::new(match factor {
        Factor::Workers => "server, workers, valid 1/s, low, high, efficiency",
        Factor::Connections => "server, connections, valid 1/s, low, high, p99 µs",
        Factor::Rates => "server, sent/s, valid 1/s, low, high, p99 µs",
    });
    for line in &lines {
        data.rows
            .extend(line.rungs.iter().map(|rung| row(line, rung, factor)));
    }
    let told: Vec<String> = lines.iter().map(|line| told(line, factor)).collect();
    Some(Chart::new(
        (workload, &format!("ladder-{}", factor.name())),
        title,
        format!("{caption} Medians over rounds with their 95 % intervals."),
        &format!("{title}. {}.", told.join("; ")),
        svg,
        data,
    ))
}

fn rate(rung: &Rung) -> Option<&Estimate> {
    rung.figures.get("requests_per_s")
}

/// What the lower panel shows.
fn below(rung: &Rung, factor: Factor) -> Option<&Estimate> {
    match factor {
        Factor::Workers => rung.efficiency.as_ref(),
        Factor::Connections | Factor::Rates => rung.figures.get("latency_p99_us"),
    }
}

fn draw(svg: &mut Svg, lines: &[Line<'_>], factor: Factor, server_cpus: usize) {
    let all = || lines.iter().flat_map(|line| line.rungs);
    let values = || all().map(|rung| rung.value);
    let x = match factor {
        Factor::Connections => Scale::log(values(), UPPER.across(), AxisUnit::Count),
        _ => Scale::from_zero(values(), UPPER.across(), AxisUnit::Count),
    };
    let highest = all().filter_map(rate).map(|rate| rate.high);
    let y = Scale::from_zero(highest, UPPER.up(), AxisUnit::Count);
    upright(svg, UPPER, &y, "valid responses/s");
    let ends = all()
        .filter_map(|rung| below(rung, factor))
        .flat_map(|estimate| [estimate.low, estimate.high]);
    let under = match factor {
        Factor::Workers => Scale::from_zero(ends.chain([1.0]), LOWER.up(), AxisUnit::Times),
        _ => Scale::log(ends, LOWER.up(), AxisUnit::Micros),
    };
    let name = match factor {
        Factor::Workers => "efficiency",
        _ => "p99 (logarithmic)",
    };
    upright(svg, LOWER, &under, name);
    rungs(svg, &x, values());
    match factor {
        Factor::Rates => {
            let most = values().fold(0.0, f64::max).min(y.highest());
            let ideal = [(x.at(0.0), y.at(0.0)), (x.at(most), y.at(most))];
            svg.polyline(&ideal, "line s s-control dashed");
        }
        Factor::Workers if values().any(|value| value > server_cpus as f64) => {
            let at = x.at(server_cpus as f64);
            for area in [UPPER, LOWER] {
                svg.line((at, area.top), (at, area.bottom), "rule");
            }
            svg.text(
                (at + 4.0, UPPER.bottom - 5.0),
                Anchor::Start,
                "tick",
                "CPUs",
            );
        }
        _ => {}
    }
    let mut ends = Vec::new();
    for line in lines {
        for rung in line.rungs.iter().filter(|rung| rung.at_least) {
            if let Some(rate) = rate(rung) {
                let (at, tip) = (x.at(rung.value), y.at(rate.high) - 9.0);
                let class = format!("whisker {}", line.key.class());
                svg.line((at, y.at(rate.median)), (at, tip), &class);
                let arrow = [(at - 4.0, tip + 4.0), (at, tip), (at + 4.0, tip + 4.0)];
                svg.polyline(&arrow, &class);
            }
        }
        let mut panel = |y: &Scale, of: &dyn Fn(&Rung) -> Option<Estimate>| {
            let points = line.rungs.iter();
            let points: Vec<(f64, Estimate)> = points
                .filter_map(|rung| Some((x.at(rung.value), of(rung)?)))
                .collect();
            let whiskers = points
                .iter()
                .filter(|(_, estimate)| estimate.has_interval());
            let whiskers = whiskers.map(|(at, of)| whisker_up(*at, y, of.low, of.high));
            let class = line.key.class();
            svg.path(&whiskers.collect::<String>(), &format!("whisker {class}"));
            let places: Vec<(f64, f64)> = points
                .iter()
                .map(|(at, estimate)| (*at, y.at(estimate.median)))
                .collect();
            marked_line(svg, line.key, &places);
            places.last().copied()
        };
        panel(&y, &|rung| rate(rung).copied());
        let last = panel(&under, &|rung| below(rung, factor).copied());
        ends.extend(last.map(|(at, y)| ((line.key, line.display), (at + 5.0, y))));
    }
    labels_beside(svg, LOWER, LOWER.right + 6.0, 14, &ends);
}

/// The values on the horizontal axis: a line for each, and as many texts as there is room for.
fn rungs(svg: &mut Svg, x: &Scale, values: impl Iterator<Item = f64>) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let mut free = f64::NEG_INFINITY;
    for value in values {
        let at = x.at(value);
        for area in [UPPER, LOWER] {
            svg.line((at, area.top), (at, area.bottom), "grid");
        }
        if at >= free {
            free = at + APART;
            let place = (at, LOWER.bottom + 15.0);
            svg.text(place, Anchor::Middle, "tick", &short(value));
        }
    }
}

fn row(line: &Line<'_>, rung: &Rung, factor: Factor) -> Vec<String> {
    let [median, low, high] = match rate(rung) {
        Some(rate) => [rate.median, rate.low, rate.high].map(number),
        None => Default::default(),
    };
    let last = below(rung, factor).map_or_else(String::new, |of| number(of.median));
    let value = number(rung.value);
    vec![line.display.to_owned(), value, median, low, high, last]
}

fn told(line: &Line<'_>, factor: Factor) -> String {
    let told = |rung: &Rung| {
        let bound = if rung.at_least { "at least " } else { "" };
        let rate = rate(rung).map(|rate| AxisUnit::Count.value(rate.median));
        let below = below(rung, factor).map(|of| match factor {
            Factor::Workers => format!("efficiency {}", AxisUnit::Times.value(of.median)),
            _ => format!("p99 {}", AxisUnit::Micros.value(of.median)),
        });
        let parts = [rate.map(|rate| format!("{bound}{rate} per second")), below];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("{}: {}", short(rung.value), parts.join(", "))
    };
    let rungs: Vec<String> = line.rungs.iter().map(told).collect();
    format!("{}, {}", line.display, rungs.join(", "))
}
