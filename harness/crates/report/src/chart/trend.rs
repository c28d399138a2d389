//! A figure over several runs: a line for each server, with the interval of each run, and a mark if the machine
//! changed.

use crate::grid::clipped;
use record::Estimate;
use record::figure::Figure;

use super::frame::{Area, Axis, spread, upright};
use super::key::Key;
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Svg, short};
use super::{Chart, Data, WIDTH, interval_cells, spoken};

const HEIGHT: f64 = 250.0;
const AREA: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: HEIGHT - 48.0,
};

/// A server over the runs.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    pub(crate) display: &'a str,
    pub(crate) key: Key,
    /// The runs in which it was measured, by number from 0.
    pub(crate) points: Vec<Point>,
}

/// A figure in one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) run: usize,
    pub(crate) estimate: Estimate,
    /// It can't be compared with the point before it.
    pub(crate) apart: bool,
}

/// `of` names the workload, `changes` are the runs with a different machine than the run before, and `runs` are
/// the names.
pub(crate) fn chart(
    (of, figure, title): (&str, &Figure, &str),
    runs: &[String],
    changes: &[usize],
    lines: &[Line<'_>],
) -> Option<Chart> {
    let all = || lines.iter().flat_map(|line| &line.points);
    all().next()?;
    let unit = Unit::from(figure.unit());
    let y = match figure.log {
        true => Scale::log(
            all().flat_map(|p| [p.estimate.low, p.estimate.high]),
            (AREA.bottom, AREA.top),
        ),
        false => Scale::from_zero(
            all().map(|p| p.estimate.high),
            (AREA.bottom, AREA.top),
            unit,
        ),
    };
    let last = runs.len().saturating_sub(1).max(1) as f64;
    let x = Scale::between(0.0, last, (AREA.left + 14.0, AREA.right - 14.0));
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(
        &mut svg,
        AREA,
        Axis {
            scale: &y,
            unit,
            title,
        },
    );
    for (run, number) in (0..runs.len()).zip(1..) {
        let at = x.at(run as f64);
        svg.text(
            (at, AREA.bottom + 15.0),
            Anchor::Middle,
            "tick",
            &format!("{number}"),
        );
        if changes.contains(&run) {
            let between = x.at(run as f64 - 0.5);
            svg.line((between, AREA.top), (between, AREA.bottom), "change");
            svg.text(
                (between, AREA.top - 3.0),
                Anchor::Middle,
                "fail",
                "different machine",
            );
        }
    }
    let middle = f64::midpoint(AREA.left, AREA.right);
    svg.text((middle, AREA.bottom + 31.0), Anchor::Middle, "axis", "run");
    for (index, line) in lines.iter().enumerate() {
        let aside = 3.0 * (index as f64 - (lines.len() - 1) as f64 / 2.0);
        draw(&mut svg, line, |run| x.at(run as f64) + aside, &y, changes);
    }
    names(&mut svg, lines, &x, &y);
    Some(Chart::new(
        (of, &figure.id.replace('_', "-")),
        title,
        "Each mark is the median of a run with its 95 % interval; runs are numbered as in the \
         table. Lines connect runs that can be compared."
            .to_owned(),
        &described(lines, runs, unit, title),
        svg,
        data(lines, runs),
    ))
}

fn draw(svg: &mut Svg, line: &Line<'_>, x: impl Fn(usize) -> f64, y: &Scale, changes: &[usize]) {
    let class = line.key.class();
    let at = |point: &Point| (x(point.run), y.at(point.estimate.median));
    let mut whiskers = String::new();
    for (index, point) in line.points.iter().enumerate() {
        let (px, py) = at(point);
        let (low, high) = (
            short(y.at(point.estimate.low)),
            short(y.at(point.estimate.high)),
        );
        if point.estimate.n > 1 {
            whiskers += &format!("M{} {low}V{high}", short(px));
        }
        let before = index.checked_sub(1).map(|before| &line.points[before]);
        let moved =
            |before: &&Point| (before.run + 1..=point.run).any(|run| changes.contains(&run));
        if let Some(before) = before.filter(|before| !point.apart && !moved(before)) {
            svg.line(at(before), (px, py), &format!("line {class}"));
        }
    }
    svg.path(&whiskers, &format!("whisker thin {class}"));
    let marks: String = line
        .points
        .iter()
        .map(|point| line.key.mark(at(point), 3.6))
        .collect();
    svg.path(&marks, &class);
}

fn names(svg: &mut Svg, lines: &[Line<'_>], x: &Scale, y: &Scale) {
    let ends: Vec<(f64, f64)> = lines
        .iter()
        .filter_map(|line| line.points.last())
        .map(|point| (x.at(point.run as f64), y.at(point.estimate.median)))
        .collect();
    let asked: Vec<f64> = ends.iter().map(|(_, y)| *y).collect();
    let places = spread(&asked, 14.0, (AREA.top - 6.0, HEIGHT - 10.0));
    let named = lines.iter().filter(|line| !line.points.is_empty());
    for ((line, end), place) in named.zip(&ends).zip(places) {
        let class = line.key.class();
        svg.line(
            (end.0 + 5.0, end.1),
            (AREA.right + 6.0, place),
            &format!("leader {class}"),
        );
        svg.path(&line.key.mark((AREA.right + 12.0, place), 3.6), &class);
        let name = clipped(line.display, 14);
        svg.text((AREA.right + 20.0, place + 4.0), Anchor::Start, "", &name);
    }
}

fn described(lines: &[Line<'_>], runs: &[String], unit: Unit, title: &str) -> String {
    let told = |line: &Line<'_>| {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|point| format!("run {} {}", point.run + 1, spoken(&point.estimate, unit)))
            .collect();
        format!("{}: {}", line.display, points.join(", "))
    };
    let told: Vec<String> = lines.iter().map(told).collect();
    format!("{title} over {} runs. {}.", runs.len(), told.join("; "))
}

fn data(lines: &[Line<'_>], runs: &[String]) -> Data {
    let mut data = Data::new(&["server", "run", "median", "low", "high", "trials"]);
    for line in lines {
        for point in &line.points {
            let mut cells = vec![line.display.to_owned(), runs[point.run].clone()];
            cells.extend(interval_cells(Some(&point.estimate)));
            data.rows.push(cells);
        }
    }
    data
}
