//! Memory after each cycle of load and rest: a line for each server.

use record::{Soak, is_control};

use super::frame::{Area, labels_beside, level, upright};
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

/// `None` if no server has two readings.
pub(crate) fn chart(soak: &Soak) -> Option<Chart> {
    let servers: Vec<_> = (0..)
        .zip(&soak.servers)
        .filter(|(_, server)| server.readings.len() > 1)
        .collect();
    if servers.is_empty() {
        return None;
    }
    let all = || servers.iter().flat_map(|(_, server)| &server.readings);
    let cycles = all().map(|reading| f64::from(reading.cycle));
    let x = Scale::from_zero(cycles, AREA.across(), AxisUnit::Count);
    let bytes = all().map(|reading| reading.rss_bytes as f64);
    let y = Scale::from_zero(bytes, AREA.up(), AxisUnit::Bytes);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(&mut svg, AREA, &y, "resident memory, MiB");
    level(&mut svg, AREA, &x, "cycle");
    let mut data =
        Data::new("server, cycle, process, bytes, requests, threads, descriptors, p50 µs, p99 µs");
    let (mut told, mut ends) = (Vec::new(), Vec::new());
    for (place, server) in servers {
        let key = match is_control(&server.name) {
            true => Key::control(),
            false => Key::of(place),
        };
        let mut last = None;
        // A resumed soak has new processes: their lines are not joined.
        for process in server.readings.chunk_by(|a, b| a.process == b.process) {
            let places = process.iter().map(|reading| {
                (
                    x.at(f64::from(reading.cycle)),
                    y.at(reading.rss_bytes as f64),
                )
            });
            let places: Vec<(f64, f64)> = places.collect();
            svg.polyline(&places, &format!("line {}", key.class()));
            last = places.last().copied();
        }
        ends.extend(last.map(|end| ((key, server.display.as_str()), end)));
        if let [first, .., last] = &server.readings[..] {
            let shown = |bytes: u64| AxisUnit::Bytes.value(bytes as f64);
            told.push(format!(
                "{}: from {} to {}",
                server.display,
                shown(first.rss_bytes),
                shown(last.rss_bytes)
            ));
        }
        let cell = |value: Option<f64>| value.map_or_else(String::new, number);
        data.rows.extend(server.readings.iter().map(|reading| {
            vec![
                server.display.clone(),
                reading.cycle.to_string(),
                reading.process.to_string(),
                reading.rss_bytes.to_string(),
                reading.requests.to_string(),
                cell(reading.threads.map(f64::from)),
                cell(reading.descriptors.map(f64::from)),
                cell(reading.p50_us),
                cell(reading.p99_us),
            ]
        }));
    }
    labels_beside(&mut svg, AREA, AREA.right + 6.0, 14, &ends);
    Some(Chart::new(
        ("servers", "soak"),
        "Memory after each cycle",
        "Resident memory after the rest of each cycle, without connections.".to_owned(),
        &format!("Resident memory after each cycle. {}.", told.join("; ")),
        svg,
        data,
    ))
}
