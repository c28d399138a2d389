//! Charts as SVG, each with its data as a table: one file per chart, with shared scales, frame and palette.
//!
//! They don't use a plotting library, because reports are read in light and dark mode, on paper and with a
//! screen reader. Shapes have classes that one style sheet colours, text stays text, and every chart has a text
//! description. Libraries fix colours, measure fonts that the reader may not have, and have no notion of a
//! lower bound or a tie.

mod capacity;
mod cost;
mod field;
mod footprint;
mod frame;
mod heat;
mod key;
mod ladder;
mod load;
mod over_time;
mod pattern;
mod ratio;
mod restart;
mod rows;
mod scale;
mod scatter;
mod soak;
mod spectrum;
mod startup;
mod steps;
mod svg;
mod throughput;
mod trend;
mod upstream;

use record::{Estimate, RankInterval};

pub use spectrum::{LatencyLine, latency_chart};

pub(super) use capacity::charts as capacity;
pub(super) use field::{Entrant, Field, Valid, fields, keys};
pub(super) use footprint::chart as footprint;
pub(super) use key::Key;
pub(super) use ladder::chart as ladder;
pub(super) use pattern::chart as pattern;
pub(super) use restart::chart as restart;
pub(super) use soak::chart as soak;
pub(super) use startup::chart as startup;
pub(super) use svg::{STYLE, escaped};
pub(super) use trend::{TrendLine, TrendPoint, chart as trend};
pub(super) use upstream::chart as upstream;

use scale::{AxisUnit, Scale};
use svg::Svg;

use super::number::{ABSENT, significant};

/// The natural width of every chart in CSS pixels; fits a phone with legible text.
const WIDTH: f64 = 440.0;

/// A chart, its description, and its data.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Unique in a report, and valid as a file name.
    pub(super) id: String,
    /// The workload, or another subject.
    pub(super) of: String,
    pub(super) title: String,
    /// How to read it.
    pub(super) caption: String,
    /// For readers who can't see the drawing.
    description: String,
    svg: Svg,
    pub(super) data: Data,
}

/// The figures of a chart: the first column names the row.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Chart {
    fn new(
        (of, what): (&str, &str),
        title: &str,
        caption: String,
        description: &str,
        svg: Svg,
        data: Data,
    ) -> Self {
        Self {
            id: anchor(&format!("{of}-{what}")),
            of: of.to_owned(),
            title: title.to_owned(),
            caption,
            description: description.to_owned(),
            svg,
            data,
        }
    }

    /// The drawing in an HTML page.
    pub(super) fn inline(&self) -> String {
        let title = format!("{}: {}", self.title, self.of);
        self.svg.inline([&self.id, &title, &self.description])
    }

    /// The drawing as a separate file.
    pub(super) fn standalone(&self) -> String {
        let title = format!("{}: {}", self.title, self.of);
        self.svg.standalone([&self.id, &title, &self.description])
    }
}

impl Data {
    /// `head` names the columns, with a comma and a space between them.
    fn new(head: &str) -> Self {
        Self {
            head: head.split(", ").map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }
}

/// A name that is valid in a URL after `#`, and as a file name.
pub(super) fn anchor(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().map(fit).collect()
}

/// Every chart of a workload, the main ones first. Leaves out charts without data.
pub(super) fn of_workload(field: &Field<'_>, seed: u64) -> Vec<Chart> {
    let first = [throughput::chart(field), cost::chart(field)];
    let mut charts: Vec<Chart> = first.into_iter().flatten().collect();
    charts.extend(spectrum::charts(field, seed));
    charts.extend(load::chart(field));
    charts.extend(over_time::charts(field));
    charts.extend(heat::chart(field));
    charts.extend(scatter::chart(field));
    charts
}

/// The main chart: the ratios to the best.
pub(super) fn decisive(field: &Field<'_>) -> Option<Chart> {
    ratio::chart(field)
}

/// The charts for a README or a job summary.
pub(super) fn to_publish(field: &Field<'_>, seed: u64) -> Vec<Chart> {
    let first = [
        ratio::chart(field),
        throughput::chart(field),
        cost::chart(field),
    ];
    let spectrum = spectrum::charts(field, seed).into_iter().next();
    first.into_iter().flatten().chain(spectrum).collect()
}

/// A mark with its interval, and an arrow for a lower bound.
fn mark_interval(
    svg: &mut Svg,
    scale: &Scale,
    y: f64,
    key: Key,
    estimate: &Estimate,
    lower_bound: bool,
) {
    let class = key.class();
    whisker(svg, scale, y, estimate, &format!("whisker {class}"));
    let x = scale.at(estimate.median);
    if lower_bound {
        let tip = scale.at(estimate.high) + 9.0;
        svg.line((x, y), (tip, y), &format!("whisker {class}"));
        let arrow = [(tip - 4.0, y - 4.0), (tip, y), (tip - 4.0, y + 4.0)];
        svg.polyline(&arrow, &format!("whisker {class}"));
    }
    svg.path(&key.mark((x, y), 5.0), &class);
}

/// A horizontal interval with end caps.
fn whisker(svg: &mut Svg, scale: &Scale, y: f64, estimate: &Estimate, class: &str) {
    if !estimate.has_interval() {
        return;
    }
    let ends = (scale.at(estimate.low), scale.at(estimate.high));
    whisker_between(svg, ends, y, class);
}

/// The same between two places on the axis.
fn whisker_between(svg: &mut Svg, (low, high): (f64, f64), y: f64, class: &str) {
    let [low, high, top, bottom, y] = [low, high, y - 4.0, y + 4.0, y].map(svg::short);
    svg.path(
        &format!("M{low} {top}V{bottom}M{low} {y}H{high}M{high} {top}V{bottom}"),
        class,
    );
}

/// Median, low, high and trials; empty without a figure.
fn interval_cells(estimate: Option<&Estimate>) -> [String; 4] {
    estimate.map_or_else(Default::default, |e| {
        [
            number(e.median),
            number(e.low),
            number(e.high),
            e.n.to_string(),
        ]
    })
}

/// As in `92,310 (65,020 to 118,900)`.
fn spoken(estimate: &Estimate, unit: AxisUnit) -> String {
    format!(
        "{} ({} to {})",
        unit.value(estimate.median),
        unit.value(estimate.low),
        unit.value(estimate.high)
    )
}

/// A number for a table that is copied into other programs: at most five digits, without grouping.
fn number(value: f64) -> String {
    let text = significant(value, 5).replace(',', "");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// As in `1` or `2–3`.
pub(super) fn rank_text(rank: Option<RankInterval>) -> String {
    match rank {
        Some(RankInterval { low, high }) if low == high => low.to_string(),
        Some(RankInterval { low, high }) => format!("{low}–{high}"),
        None => ABSENT.to_owned(),
    }
}
