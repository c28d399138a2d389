//! Restarts over time: what was answered in each interval above, what was lost below, as shares of the load.

use record::{RestartInterval, RestartRun, RestartWay, Restarts, is_control};

use super::frame::{Area, labels_beside, level, upright};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};

const HEIGHT: f64 = 400.0;
const ANSWERED: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: 170.0,
};
const LOST: Area = Area {
    top: 214.0,
    bottom: HEIGHT - 48.0,
    ..ANSWERED
};

/// A server's first round.
struct Line<'a> {
    key: Key,
    run: &'a RestartRun,
    rate: f64,
}

impl Line<'_> {
    /// Percent of the requests that are due in an interval.
    fn percent(&self, count: u64, interval: &RestartInterval) -> f64 {
        count as f64 / (self.rate * interval.length_ms as f64 / 1e3) * 100.0
    }
}

/// `None` if no server has a time series.
pub(crate) fn chart(restarts: &Restarts, part: (&str, RestartWay)) -> Option<Chart> {
    let lines: Vec<Line<'_>> = (0..)
        .zip(restarts.of(part))
        .filter_map(|(place, runs)| {
            let run = *runs.iter().find(|run| !run.intervals.is_empty())?;
            let key = match is_control(&run.server) {
                true => Key::control(),
                false => Key::of(place),
            };
            let rate = *run.figures.get("rate_per_s")?;
            Some(Line { key, run, rate })
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let mut svg = Svg::new(WIDTH, HEIGHT);
    draw(&mut svg, &lines);
    let told: Vec<String> = lines.iter().map(told).collect();
    let (workload, way) = part;
    Some(Chart::new(
        (&format!("{workload}-{}", way.name()), "restart"),
        &format!("Restart under load: {workload}, {}", way.name()),
        "Requests answered (above) and lost (below) in intervals of 100 ms, in percent of those that are due in one, by \
         the time at which they ended. The first round of each server."
            .to_owned(),
        &format!("Requests answered and lost around a restart. {}.", told.join("; ")),
        svg,
        data(&lines),
    ))
}

fn draw(svg: &mut Svg, lines: &[Line<'_>]) {
    let all = || {
        let each = lines.iter();
        each.flat_map(|line| {
            line.run
                .intervals
                .iter()
                .map(move |interval| (line, interval))
        })
    };
    let begin = all().map(|(_, i)| i.at_ms).min().unwrap_or(0);
    let end = all().map(|(_, i)| i.at_ms + i.length_ms as i64).max();
    let seconds = |ms: i64| ms as f64 / 1e3;
    let ends = (seconds(begin), seconds(end.unwrap_or(0)));
    let x = Scale::between(ends.0, ends.1, ANSWERED.across(), AxisUnit::Count);
    let answered = all().map(|(line, i)| line.percent(i.answered, i));
    let up = Scale::from_zero(answered.chain([100.0]), ANSWERED.up(), AxisUnit::Count);
    upright(svg, ANSWERED, &up, "answered, % of due");
    let lost = all().map(|(line, i)| line.percent(i.lost, i));
    let down = Scale::from_zero(lost.chain([1.0]), LOST.up(), AxisUnit::Count);
    upright(svg, LOST, &down, "lost, % of due");
    level(svg, LOST, &x, "seconds from the start of the restart");
    let at = x.at(0.0);
    for area in [ANSWERED, LOST] {
        svg.line((at, area.top), (at, area.bottom), "rule");
    }
    svg.text((at + 4.0, LOST.top + 4.0), Anchor::Start, "tick", "restart");
    let mut ends = Vec::new();
    for line in lines {
        let class = format!("line {}", line.key.class());
        let middle = |i: &RestartInterval| x.at(seconds(i.at_ms) + i.length_ms as f64 / 2e3);
        let intervals = &line.run.intervals;
        let above = intervals.iter();
        let above: Vec<(f64, f64)> = above
            .map(|i| (middle(i), up.at(line.percent(i.answered, i))))
            .collect();
        svg.polyline(&above, &class);
        let below = intervals.iter();
        let below: Vec<(f64, f64)> = below
            .map(|i| (middle(i), down.at(line.percent(i.lost, i))))
            .collect();
        svg.polyline(&below, &class);
        ends.extend(
            below
                .last()
                .map(|end| ((line.key, line.run.display.as_str()), *end)),
        );
    }
    labels_beside(svg, LOST, LOST.right + 6.0, 14, &ends);
}

/// What it lost.
fn told(line: &Line<'_>) -> String {
    let lost: u64 = line
        .run
        .intervals
        .iter()
        .map(|interval| interval.lost)
        .sum();
    format!("{}: {lost} lost", line.run.display)
}

fn data(lines: &[Line<'_>]) -> Data {
    let mut data = Data::new("server, at s, answered, lost");
    for line in lines {
        for interval in &line.run.intervals {
            data.rows.push(vec![
                line.run.display.clone(),
                number(interval.at_ms as f64 / 1e3),
                interval.answered.to_string(),
                interval.lost.to_string(),
            ]);
        }
    }
    data
}
