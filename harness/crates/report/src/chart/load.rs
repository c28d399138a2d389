//! Latency against rate: a server's p99 at each rate.

use crate::grid::clipped;
use catalog::Stage;
use record::Estimate;

use super::field::{Entrant, Field};
use super::frame::{Area, Axis, level, spread, upright};
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Svg, short};
use super::{Chart, Data, WIDTH, number, spoken};

const HEIGHT: f64 = 270.0;
const AREA: Area = Area {
    left: 52.0,
    right: WIDTH - 112.0,
    top: 28.0,
    bottom: HEIGHT - 42.0,
};

/// One stage of a server: its rate and latency.
struct Driven<'a> {
    stage: Stage,
    rate: &'a Estimate,
    p99: &'a Estimate,
}

/// `None` if no stage has both figures.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    let driven: Vec<(&Entrant<'_>, Vec<Driven<'_>>)> = field
        .servers()
        .map(|entry| (entry, driven(entry)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || driven.iter().flat_map(|(_, points)| points);
    all().next()?;
    let x = Scale::from_zero(
        all().map(|p| p.rate.high),
        (AREA.left, AREA.right),
        Unit::Count,
    );
    let latencies = all().flat_map(|p| [p.p99.low, p.p99.high]);
    let y = Scale::log(latencies, (AREA.bottom, AREA.top));
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(
        &mut svg,
        AREA,
        Axis {
            scale: &y,
            unit: Unit::Micros,
            title: "p99 latency",
        },
    );
    let title = "requests per second";
    level(
        &mut svg,
        AREA,
        Axis {
            scale: &x,
            unit: Unit::Count,
            title,
        },
    );
    let mut data = Data::new(&[
        "server",
        "stage",
        "requests/s",
        "low",
        "high",
        "p99 µs",
        "p99 low",
        "p99 high",
    ]);
    let mut told = Vec::new();
    for (entry, points) in &driven {
        draw(&mut svg, entry, points, (&x, &y));
        for point in points {
            let (rate, p99) = (point.rate, point.p99);
            let numbers = [
                rate.median,
                rate.low,
                rate.high,
                p99.median,
                p99.low,
                p99.high,
            ];
            let mut cells = vec![entry.display.to_owned(), point.stage.to_string()];
            cells.extend(numbers.map(number));
            data.rows.push(cells);
            told.push(format!(
                "{} {} at {} req/s: {}",
                entry.display,
                point.stage,
                Unit::Count.value(rate.median),
                spoken(p99, Unit::Micros)
            ));
        }
    }
    names(&mut svg, &driven, (&x, &y));
    Some(Chart::new(
        (field.workload, "load"),
        "Latency against rate",
        "Hollow: at the paced rate. Filled: at peak, where latency follows from the number of \
         connections and the rate. Crossing lines are 95 % intervals; the dotted line only \
         connects a server's points."
            .to_owned(),
        &format!("99th percentile of latency by rate. {}.", told.join("; ")),
        svg,
        data,
    ))
}

/// By ascending rate.
fn driven<'a>(entry: &'a Entrant<'_>) -> Vec<Driven<'a>> {
    let of = |stage| {
        Some(Driven {
            stage,
            rate: entry.figure(stage, "requests_per_s")?,
            p99: entry.figure(stage, "latency_p99_us")?,
        })
    };
    let mut points: Vec<_> = Stage::ALL.into_iter().filter_map(of).collect();
    points.sort_by(|a, b| a.rate.median.total_cmp(&b.rate.median));
    points
}

fn draw(svg: &mut Svg, entry: &Entrant<'_>, points: &[Driven<'_>], (x, y): (&Scale, &Scale)) {
    let class = entry.key.class();
    let at = |p: &Driven<'_>| (x.at(p.rate.median), y.at(p.p99.median));
    let through: Vec<_> = points.iter().map(at).collect();
    svg.polyline(&through, &format!("leader {class}"));
    for point in points {
        let (px, py) = at(point);
        let (left, right) = (short(x.at(point.rate.low)), short(x.at(point.rate.high)));
        let (low, high) = (short(y.at(point.p99.low)), short(y.at(point.p99.high)));
        let (sx, sy) = (short(px), short(py));
        let across = format!("M{left} {sy}H{right}M{sx} {low}V{high}");
        svg.path(&across, &format!("whisker thin {class}"));
        let hollow = if point.stage == Stage::Paced {
            "hollow "
        } else {
            ""
        };
        svg.path(&entry.key.mark((px, py), 4.2), &format!("{hollow}{class}"));
    }
}

/// Each name on the right, at the height of the server's fastest point.
fn names(svg: &mut Svg, driven: &[(&Entrant<'_>, Vec<Driven<'_>>)], (x, y): (&Scale, &Scale)) {
    let ends: Vec<(f64, f64)> = driven
        .iter()
        .filter_map(|(_, points)| points.last())
        .map(|point| (x.at(point.rate.median), y.at(point.p99.median)))
        .collect();
    let asked: Vec<f64> = ends.iter().map(|(_, y)| *y).collect();
    let places = spread(&asked, 14.0, (AREA.top - 6.0, HEIGHT - 10.0));
    for (((entry, _), end), place) in driven.iter().zip(&ends).zip(places) {
        let class = entry.key.class();
        svg.line(
            (end.0 + 5.0, end.1),
            (AREA.right + 5.0, place),
            &format!("leader {class}"),
        );
        svg.path(&entry.key.mark((AREA.right + 11.0, place), 3.6), &class);
        let name = clipped(entry.display, 12);
        svg.text((AREA.right + 19.0, place + 4.0), Anchor::Start, "", &name);
    }
}
