//! Memory over open connections: a line for each server.

use record::{Footprints, ServerFootprint, is_control};

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
    let x = Scale::from_zero(all().map(|point| point.0), AREA.across(), AxisUnit::Count);
    let y = Scale::from_zero(all().map(|point| point.1), AREA.up(), AxisUnit::Bytes);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(&mut svg, AREA, &y, "resident memory, MiB");
    level(&mut svg, AREA, &x, "open connections");
    let mut data = Data::new("server, open connections, bytes");
    let mut told = Vec::new();
    let mut ends = Vec::new();
    for server in &servers {
        let places: Vec<(f64, f64)> = server
            .points
            .iter()
            .map(|(connections, bytes)| (x.at(*connections), y.at(*bytes)))
            .collect();
        marked_line(&mut svg, server.key, &places);
        ends.extend(
            places
                .last()
                .map(|end| ((server.key, server.display), (end.0 + 5.0, end.1))),
        );
        let points = server.points.iter().map(|(connections, bytes)| {
            data.rows.push(vec![
                server.display.to_owned(),
                number(*connections),
                number(*bytes),
            ]);
            format!("{connections}: {}", AxisUnit::Bytes.value(*bytes))
        });
        let points: Vec<String> = points.collect();
        told.push(format!("{}, {}", server.display, points.join(", ")));
    }
    labels_beside(&mut svg, AREA, AREA.right + 6.0, 14, &ends);
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
