//! Latency against rate: a server's p99 at each rate.

use catalog::Stage;
use record::Estimate;

use super::field::{Entrant, Field};
use super::frame::{Area, labels_beside, level, upright, whisker_up};
use super::scale::{AxisUnit, Scale};
use super::svg::{Svg, short};
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
pub(super) fn chart<'a>(field: &'a Field<'a>) -> Option<Chart> {
    let driven: Vec<(&Entrant<'_>, Vec<Driven<'_>>)> = field
        .servers()
        .map(|entry| (entry, driven(entry)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || driven.iter().flat_map(|(_, points)| points);
    all().next()?;
    let x = Scale::from_zero(all().map(|p| p.rate.high), AREA.across(), AxisUnit::Count);
    let latencies = all().flat_map(|p| [p.p99.low, p.p99.high]);
    let y = Scale::log(latencies, AREA.up(), AxisUnit::Micros);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(&mut svg, AREA, &y, "p99 latency");
    level(&mut svg, AREA, &x, "requests per second");
    let mut data = Data::new("server, stage, requests/s, low, high, p99 µs, p99 low, p99 high");
    let at = |p: &Driven<'_>| (x.at(p.rate.median), y.at(p.p99.median));
    let mut told = Vec::new();
    for (entry, points) in &driven {
        draw(&mut svg, entry, points, (&x, &y));
        for point in points {
            let (rate, p99) = (point.rate, point.p99);
            let numbers = [rate, p99].map(|e| [e.median, e.low, e.high].map(number));
            let mut cells = vec![entry.display.to_owned(), point.stage.to_string()];
            cells.extend(numbers.into_iter().flatten());
            data.rows.push(cells);
            told.push(format!(
                "{} {} at {} req/s: {}",
                entry.display,
                point.stage,
                AxisUnit::Count.value(rate.median),
                spoken(p99, AxisUnit::Micros)
            ));
        }
    }
    // Each name at the height of the server's fastest point.
    let end = |(entry, points): &(&'a Entrant<'a>, Vec<Driven<'_>>)| {
        let (x, y) = at(points.last()?);
        Some((entry.named(), (x + 5.0, y)))
    };
    let ends: Vec<_> = driven.iter().filter_map(end).collect();
    labels_beside(&mut svg, AREA, AREA.right + 5.0, 12, &ends);
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
        let ends = [x.at(point.rate.low), py, x.at(point.rate.high)];
        let [left, middle, right] = ends.map(short);
        let up = whisker_up(px, y, point.p99.low, point.p99.high);
        let across = format!("M{left} {middle}H{right}{up}");
        svg.path(&across, &format!("whisker thin {class}"));
        let hollow = match point.stage {
            Stage::Paced => "hollow ",
            Stage::Peak => "",
        };
        svg.path(&entry.key.mark((px, py), 4.2), &format!("{hollow}{class}"));
    }
}
