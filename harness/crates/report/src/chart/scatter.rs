//! Jitter against rate: a point for every trial, which shows rounds that affected all servers.

use catalog::Stage;
use record::Trial;

use super::field::{Entrant, Field};
use super::frame::{Area, label, level, upright};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::Svg;
use super::{Chart, Data, WIDTH, number};

const LEGEND_ROW: f64 = 17.0;
const LEGEND_COLUMNS: usize = 3;
const PLOT: f64 = 190.0;

/// A trial.
struct Dot<'a> {
    display: &'a str,
    key: Key,
    stage: Stage,
    round: u32,
    rate: f64,
    jitter_us: f64,
}

/// `None` if no trial has both figures.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    let dots: Vec<Dot<'_>> = field.servers().flat_map(dots).collect();
    if dots.is_empty() {
        return None;
    }
    let mut data = Data::new("server, stage, round, requests/s, jitter µs");
    data.rows.extend(dots.iter().map(|dot| {
        vec![
            dot.display.to_owned(),
            dot.stage.to_string(),
            dot.round.to_string(),
            number(dot.rate),
            number(dot.jitter_us),
        ]
    }));
    let stages: Vec<&str> = Stage::ALL
        .into_iter()
        .filter(|stage| dots.iter().any(|dot| dot.stage == *stage))
        .map(Stage::name)
        .collect();
    Some(Chart::new(
        (field.workload, "jitter"),
        "Jitter against rate",
        "Each mark is a trial: hollow at the paced rate, filled at peak. Low marks that are close \
         together mean steady latency; jitter is its standard deviation."
            .to_owned(),
        &format!(
            "Standard deviation of latency by requests per second, {} trials of {}.",
            dots.len(),
            stages.join(" and ")
        ),
        draw(field, &dots),
        data,
    ))
}

fn dots<'a>(entry: &'a Entrant<'_>) -> impl Iterator<Item = Dot<'a>> {
    let of = move |stage: Stage, trial: &Trial| {
        let figure = |name: &str| trial.figures.get(name).copied().filter(|v| v.is_finite());
        Some(Dot {
            display: entry.display,
            key: entry.key,
            stage,
            round: trial.round,
            rate: figure("requests_per_s")?,
            jitter_us: figure("jitter_us").filter(|jitter| *jitter > 0.0)?,
        })
    };
    Stage::ALL.into_iter().flat_map(move |stage| {
        entry
            .trials(stage)
            .iter()
            .filter_map(move |trial| of(stage, trial))
    })
}

fn draw(field: &Field<'_>, dots: &[Dot<'_>]) -> Svg {
    let shown: Vec<&Entrant<'_>> = field
        .servers()
        .filter(|entry| dots.iter().any(|dot| dot.key == entry.key))
        .collect();
    let lines = shown.len().div_ceil(LEGEND_COLUMNS);
    let top = 28.0 + LEGEND_ROW * lines as f64;
    let area = Area {
        left: 52.0,
        right: WIDTH - 12.0,
        top,
        bottom: top + PLOT,
    };
    let mut svg = Svg::new(WIDTH, area.bottom + 42.0);
    let x = Scale::from_zero(dots.iter().map(|d| d.rate), area.across(), AxisUnit::Count);
    let y = Scale::log(
        dots.iter().map(|d| d.jitter_us),
        area.up(),
        AxisUnit::Micros,
    );
    upright(&mut svg, area, &y, "jitter");
    level(&mut svg, area, &x, "requests per second");
    for (index, entry) in shown.iter().enumerate() {
        let left = 8.0 + (WIDTH - 12.0) / LEGEND_COLUMNS as f64 * (index % LEGEND_COLUMNS) as f64;
        let y = 10.0 + LEGEND_ROW * (index / LEGEND_COLUMNS) as f64;
        label(&mut svg, entry.named(), (left, y), (4.0, 10.0), 18);
    }
    for entry in shown {
        for (stage, look) in [(Stage::Peak, "dot "), (Stage::Paced, "dot hollow ")] {
            let own = dots
                .iter()
                .filter(|dot| dot.key == entry.key && dot.stage == stage);
            let marks: String = own
                .map(|dot| entry.key.mark((x.at(dot.rate), y.at(dot.jitter_us)), 3.2))
                .collect();
            svg.path(&marks, &format!("{look}{}", entry.key.class()));
        }
    }
    svg
}
