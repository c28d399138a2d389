//! A figure over several runs: a line for each server, with the interval of each run, and a mark if the machine
//! changed.

use record::Estimate;
use record::figure::Figure;

use super::frame::{Area, aside, labels_beside, title_below, upright, whisker_up};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
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
pub(crate) struct TrendLine<'a> {
    pub(crate) display: &'a str,
    pub(crate) key: Key,
    /// The runs in which it was measured, by number from 0.
    pub(crate) points: Vec<TrendPoint>,
}

/// A figure in one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrendPoint {
    pub(crate) run: usize,
    pub(crate) estimate: Estimate,
    /// It can't be compared with the point before it.
    pub(crate) apart: bool,
}

/// `of` names the workload, `changes` are the runs with a different machine than the run before, and `runs` are
/// the names.
pub(crate) fn chart<'a>(
    (of, figure, title): (&str, &Figure, &str),
    runs: &[String],
    changes: &[usize],
    lines: &[TrendLine<'a>],
) -> Option<Chart> {
    let all = || lines.iter().flat_map(|line| &line.points);
    all().next()?;
    let unit = AxisUnit::from(figure.unit());
    let ends = all().flat_map(|p| [p.estimate.low, p.estimate.high]);
    let y = match figure.log {
        true => Scale::log(ends, AREA.up(), unit),
        false => Scale::from_zero(ends, AREA.up(), unit),
    };
    let last = runs.len().saturating_sub(1).max(1) as f64;
    let pixels = (AREA.left + 14.0, AREA.right - 14.0);
    let x = Scale::between(0.0, last, pixels, AxisUnit::Count);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    upright(&mut svg, AREA, &y, title);
    for run in 0..runs.len() {
        let (at, number) = (x.at(run as f64), (run + 1).to_string());
        svg.text((at, AREA.bottom + 15.0), Anchor::Middle, "tick", &number);
        if changes.contains(&run) {
            let at = x.at(run as f64 - 0.5);
            svg.line((at, AREA.top), (at, AREA.bottom), "change");
            let above = (at, AREA.top - 3.0);
            svg.text(above, Anchor::Middle, "fail", "different machine");
        }
    }
    title_below(&mut svg, AREA, "run");
    for (index, line) in lines.iter().enumerate() {
        let aside = aside(index, lines.len(), 3.0);
        draw(&mut svg, line, |run| x.at(run as f64) + aside, &y, changes);
    }
    let end = |line: &TrendLine<'a>| {
        let last = line.points.last()?;
        let at = (x.at(last.run as f64) + 5.0, y.at(last.estimate.median));
        Some(((line.key, line.display), at))
    };
    let ends: Vec<_> = lines.iter().filter_map(end).collect();
    labels_beside(&mut svg, AREA, AREA.right + 6.0, 14, &ends);
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

fn draw(
    svg: &mut Svg,
    line: &TrendLine<'_>,
    x: impl Fn(usize) -> f64,
    y: &Scale,
    changes: &[usize],
) {
    let class = line.key.class();
    let at = |point: &TrendPoint| (x(point.run), y.at(point.estimate.median));
    let mut whiskers = String::new();
    for (index, point) in line.points.iter().enumerate() {
        let Estimate { low, high, n, .. } = point.estimate;
        if n > 1 {
            whiskers += &whisker_up(x(point.run), y, low, high);
        }
        let before = index.checked_sub(1).map(|before| &line.points[before]);
        let moved =
            |before: &&TrendPoint| (before.run + 1..=point.run).any(|run| changes.contains(&run));
        if let Some(before) = before.filter(|before| !point.apart && !moved(before)) {
            svg.line(at(before), at(point), &format!("line {class}"));
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

fn described(lines: &[TrendLine<'_>], runs: &[String], unit: AxisUnit, title: &str) -> String {
    let told = |line: &TrendLine<'_>| {
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

fn data(lines: &[TrendLine<'_>], runs: &[String]) -> Data {
    let mut data = Data::new("server, run, median, low, high, trials");
    for line in lines {
        for point in &line.points {
            let mut cells = vec![line.display.to_owned(), runs[point.run].clone()];
            cells.extend(interval_cells(Some(&point.estimate)));
            data.rows.push(cells);
        }
    }
    data
}
