//! The latency that each server adds to its dependency's: p50 and p99, each with a row for every server.

use record::{Estimate, ServerUpstream, Upstreams, is_control};

use super::frame::{Area, NAME_COLUMNS, label, level, right_of_names};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, interval_cells, spoken, whisker};

const ROW: f64 = 25.0;
/// Above the rows of a figure, and below them for its axis.
const HEAD: f64 = 10.0;
const AXIS: f64 = 44.0;
const PARTS: [(&str, &str); 2] = [
    ("added_p50_us", "added to the dependency's p50"),
    ("added_p99_us", "added to the dependency's p99"),
];

/// A server's estimate of a figure.
type Line<'a> = (Key, &'a str, &'a Estimate);

/// `None` if no server was measured.
pub(crate) fn chart(upstreams: &Upstreams) -> Option<Chart> {
    let parts = PARTS.map(|(id, title)| (id, title, lines(&upstreams.servers, id)));
    let rows: usize = parts.iter().map(|(.., lines)| lines.len()).sum();
    if rows == 0 {
        return None;
    }
    let mut svg = Svg::new(WIDTH, rows as f64 * ROW + 2.0 * (HEAD + AXIS));
    let mut data = Data::new("server, figure, median µs, low, high, rounds");
    let (mut top, mut told) = (HEAD, Vec::new());
    for (id, title, lines) in &parts {
        draw(&mut svg, top, title, lines);
        top += lines.len() as f64 * ROW + AXIS + HEAD;
        for (_, display, estimate) in lines {
            let mut cells = vec![(*display).to_owned(), (*id).to_owned()];
            cells.extend(interval_cells(Some(estimate)));
            data.rows.push(cells);
            let spoken = spoken(estimate, AxisUnit::Micros);
            told.push(format!("{display}, {title}: {spoken}"));
        }
    }
    Some(Chart::new(
        ("upstream", "added"),
        "Added latency",
        "The difference between the latency through a server and that of its dependency alone, in the same round; the line \
         is the 95 % interval over rounds."
            .to_owned(),
        &format!("{}.", told.join("; ")),
        svg,
        data,
    ))
}

fn lines<'a>(servers: &'a [ServerUpstream], id: &str) -> Vec<Line<'a>> {
    let keyed = (0..).zip(servers).map(|(place, server)| {
        let key = match is_control(&server.name) {
            true => Key::control(),
            false => Key::of(place),
        };
        let estimate = server.figures.get(id)?;
        Some((key, server.display.as_str(), estimate))
    });
    keyed.flatten().collect()
}

fn draw(svg: &mut Svg, top: f64, title: &str, lines: &[Line<'_>]) {
    let area = Area {
        left: right_of_names(lines.iter().map(|(_, display, _)| *display)),
        right: WIDTH - 66.0,
        top,
        bottom: top + ROW * lines.len() as f64,
    };
    // A small difference may be below zero by chance.
    let low = lines.iter().map(|(.., of)| of.low).fold(0.0, f64::min);
    let high = lines.iter().map(|(.., of)| of.high).fold(0.0, f64::max);
    let scale = Scale::between(low, high, area.across(), AxisUnit::Micros);
    level(svg, area, &scale, title);
    for (row, (key, display, estimate)) in lines.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        label(svg, (*key, display), (6.0, y), (4.5, 10.0), NAME_COLUMNS);
        whisker(svg, &scale, y, estimate, "whisker");
        svg.path(&key.mark((scale.at(estimate.median), y), 4.5), &key.class());
        let value = AxisUnit::Micros.value(estimate.median);
        svg.text((WIDTH - 4.0, y + 4.0), Anchor::End, "value", &value);
    }
}
