//! Memory over open connections: a line for each server.

use record::{Footprints, ServerFootprint, is_control};

use super::frame::{Area, Axis, level, spread, upright};
use super::key::Key;
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};
use crate::grid::clipped;

const HEIGHT: f64 = 280.0;
const AREA: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: HEIGHT - 48.0,
};

/// A server's memory by open connections.
struct Memory<'a> {
    display: &'a str,
    key: Key,
    /// Connections and bytes.
    points: Vec<(f64, f64)>,
}

/// `None` if no server's memory was read with connections open.
pub(crate) fn chart(footprints: &Footprints) -> Option<Chart> {
    let servers: Vec<Memory<'_>> = (0..)
        .zip(&footprints.servers)
        .map(|(place, server)| memory(place, server))
        .filter(|server| server.points.len() > 1)
        .collect();
    if servers.is_empty() {
        return None;
    }
    let all = || servers.iter().flat_map(|server| &server.points);
    let x = Scale::from_zero(
        all().map(|point| point.0),
        (AREA.left, AREA.right),
        Unit::Count,
    );
    let y = Scale::from_zero(
        all().map(|point| point.1),
        (AREA.bottom, AREA.top),
        Unit::Bytes,
    );
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let (upwards, along) = ("resident memory, MiB", "open connections");
    upright(
        &mut svg,
        AREA,
        Axis {
            scale: &y,
            unit: Unit::Bytes,
            title: upwards,
        },
    );
    level(
        &mut svg,
        AREA,
        Axis {
            scale: &x,
            unit: Unit::Count,
            title: along,
        },
    );
    let mut data = Data::new(&["server", "open connections", "bytes"]);
    let mut told = Vec::new();
    let mut ends = Vec::new();
    for server in &servers {
        let class = server.key.class();
        let places: Vec<(f64, f64)> = server
            .points
            .iter()
            .map(|(connections, bytes)| (x.at(*connections), y.at(*bytes)))
            .collect();
        svg.polyline(&places, &format!("line {class}"));
        let marks = places.iter().map(|place| server.key.mark(*place, 3.6));
        svg.path(&marks.collect::<String>(), &class);
        ends.extend(places.last().copied());
        let points = server.points.iter().map(|(connections, bytes)| {
            data.rows.push(vec![
                server.display.to_owned(),
                number(*connections),
                number(*bytes),
            ]);
            format!("{connections}: {}", Unit::Bytes.value(*bytes))
        });
        let points: Vec<String> = points.collect();
        told.push(format!("{}, {}", server.display, points.join(", ")));
    }
    let asked: Vec<f64> = ends.iter().map(|(_, y)| *y).collect();
    let places = spread(&asked, 14.0, (AREA.top - 6.0, HEIGHT - 10.0));
    for ((server, end), place) in servers.iter().zip(&ends).zip(places) {
        let class = server.key.class();
        let at = AREA.right + 12.0;
        svg.line(
            (end.0 + 5.0, end.1),
            (at - 6.0, place),
            &format!("leader {class}"),
        );
        svg.path(&server.key.mark((at, place), 3.6), &class);
        let name = clipped(server.display, 14);
        svg.text((at + 8.0, place + 4.0), Anchor::Start, "", &name);
    }
    Some(Chart::new(
        ("servers", "footprint"),
        "Memory over open connections",
        "Resident memory with idle connections open, each after one answered request. The slope is what a connection \
         takes."
            .to_owned(),
        &format!(
            "Resident memory by the number of idle open connections. {}.",
            told.join("; ")
        ),
        svg,
        data,
    ))
}

fn memory(place: usize, server: &ServerFootprint) -> Memory<'_> {
    let of = |open: &record::OpenConnections| {
        let bytes = open.figures.get("rss_bytes")?;
        Some((open.connections as f64, *bytes))
    };
    Memory {
        display: &server.display,
        key: match is_control(&server.name) {
            true => Key::control(),
            false => Key::of(place),
        },
        points: server.open.iter().filter_map(of).collect(),
    }
}
