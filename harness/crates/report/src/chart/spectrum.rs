//! The latency spectrum: percentiles on a logarithmic axis, for the whole response and for its first byte.

use catalog::Stage;
use record::Trial;
use stats::{Bootstrap, Interval, Scale as Symmetry, median};

use super::field::{Entrant, Field};
use super::frame::{Area, aside, labels_beside, title_below, upright, whisker_up};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};
use crate::figure::rate;

/// The percentiles to draw; those with a name are marked, with their interval.
const POINTS: [(f64, Option<&str>); 11] = [
    (0.5, Some("50")),
    (0.75, None),
    (0.9, Some("90")),
    (0.95, None),
    (0.98, None),
    (0.99, Some("99")),
    (0.995, None),
    (0.998, None),
    (0.999, Some("99.9")),
    (0.9995, None),
    (0.9999, Some("99.99")),
];

/// With fewer requests beyond a percentile, it depends on single requests.
const ENOUGH_BEYOND: f64 = 10.0;
const DASHED: &str = "Dashed: a trial has fewer than ten requests above that percentile.";

const HEIGHT: f64 = 270.0;
const AREA: Area = Area {
    left: 52.0,
    right: WIDTH - 118.0,
    top: 28.0,
    bottom: HEIGHT - 42.0,
};

/// Full latency, then the first byte; both with the same scale, so that they can be compared.
pub(super) fn charts(field: &Field<'_>, seed: u64) -> Vec<Chart> {
    let mut bootstrap = Bootstrap::new(seed);
    let kinds = [
        ("latency", "Latency spectrum", "last"),
        ("first_byte", "First-byte spectrum", "first"),
    ];
    let spectra: Vec<Vec<Spectrum<'_>>> = kinds
        .iter()
        .map(|(name, ..)| {
            let of = |entry| Spectrum::of(entry, name, &mut bootstrap);
            field.servers().filter_map(of).collect()
        })
        .collect();
    let values = spectra.iter().flatten().flat_map(Spectrum::reach);
    let y = Scale::log(values, AREA.up(), AxisUnit::Micros);
    kinds
        .iter()
        .zip(&spectra)
        .filter(|(_, found)| !found.is_empty())
        .map(|(kind, found)| chart(field, *kind, found, &y))
        .collect()
}

/// The percentiles of a server.
struct Spectrum<'a> {
    display: &'a str,
    key: Key,
    points: Vec<Percentile>,
}

struct Percentile {
    quantile: f64,
    name: Option<&'static str>,
    /// Microseconds; the median over rounds.
    median_us: f64,
    interval_us: Option<Interval>,
    /// Requests of a trial beyond it.
    beyond: f64,
}

impl<'a> Spectrum<'a> {
    fn of(entry: &'a Entrant<'_>, histogram: &str, bootstrap: &mut Bootstrap) -> Option<Self> {
        let quantiles = POINTS.map(|(quantile, _)| quantile);
        let read = |trial: &&Trial| trial.histograms.get(histogram)?.at_quantiles(&quantiles);
        let rounds: Vec<_> = entry.trials(Stage::Paced).iter().filter_map(read).collect();
        let totals: Vec<f64> = rounds.iter().map(|(_, total)| *total as f64).collect();
        let total = median(&totals)?;
        let point = |(index, (quantile, name)): (usize, (f64, Option<&'static str>))| {
            let values: Vec<f64> = rounds
                .iter()
                .map(|(all, _)| all[index] as f64 / 1e3)
                .collect();
            let named = name.is_some();
            Some(Percentile {
                quantile,
                name,
                median_us: median(&values)?,
                interval_us: named
                    .then(|| bootstrap.median_interval(&values, Symmetry::Log))
                    .flatten(),
                beyond: total * (1.0 - quantile),
            })
        };
        let points = (0..).zip(POINTS).map_while(point);
        // A percentile with no requests beyond it is the maximum.
        let points: Vec<_> = points.take_while(|point| point.beyond >= 1.0).collect();
        (!points.is_empty()).then_some(Self {
            display: entry.display,
            key: entry.key,
            points,
        })
    }

    fn of_line((place, line): (usize, &'a LatencyLine)) -> Self {
        let point = |&(quantile, median_us): &(f64, f64)| {
            let shown = POINTS.iter().find(|(at, _)| *at == quantile);
            Percentile {
                quantile,
                name: shown.and_then(|(_, name)| *name),
                median_us,
                interval_us: None,
                beyond: line.count as f64 * (1.0 - quantile),
            }
        };
        let points = line.points.iter().map(point);
        Self {
            display: &line.name,
            key: Key::of(place),
            points: points.take_while(|point| point.beyond >= 1.0).collect(),
        }
    }

    fn reach(&self) -> impl Iterator<Item = f64> {
        self.points.iter().flat_map(|point| {
            let ends = point
                .interval_us
                .map(|interval| [interval.low, interval.high]);
            ends.into_iter().flatten().chain([point.median_us])
        })
    }
}

fn chart(
    field: &Field<'_>,
    (name, title, byte): (&str, &str, &str),
    spectra: &[Spectrum<'_>],
    y: &Scale,
) -> Chart {
    let paced = field.ranking.and_then(|ranking| ranking.rate_per_s);
    let load = paced.map_or_else(
        || "at the paced rate".to_owned(),
        |per_second| format!("at {} req/s for every server", rate(per_second)),
    );
    Chart::new(
        (field.workload, &name.replace('_', "-")),
        title,
        format!(
            "From when a request was due to the {byte} byte of the response, {load}: the median \
             over rounds, with 95 % intervals at the marked percentiles. {DASHED}"
        ),
        &format!(
            "Percentiles of latency to the {byte} byte of the response, {load}. {}.",
            told(spectra)
        ),
        drawing(spectra, y),
        data("server", spectra),
    )
}

/// A line of a chart of drives.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyLine {
    /// What it is of.
    pub name: String,
    /// Quantiles in ascending order, and microseconds.
    pub points: Vec<(f64, f64)>,
    /// The number of values that they are quantiles of.
    pub count: u64,
}

/// The percentiles of drives, or of the classes of one, as a file. `of` is the load, `what` what took so long.
pub fn latency_chart(of: &str, what: &str, lines: &[LatencyLine]) -> String {
    let spectra: Vec<_> = lines
        .iter()
        .enumerate()
        .map(Spectrum::of_line)
        .filter(|spectrum| !spectrum.points.is_empty())
        .collect();
    let y = Scale::log(
        spectra.iter().flat_map(Spectrum::reach),
        AREA.up(),
        AxisUnit::Micros,
    );
    let chart = Chart::new(
        (of, "latency"),
        "Latency spectrum",
        format!("{what}. {DASHED}"),
        &format!("Percentiles of latency. {what}. {}.", told(&spectra)),
        drawing(&spectra, &y),
        data("line", &spectra),
    );
    chart.standalone()
}

/// The drawing of these lines.
fn drawing<'a>(spectra: &[Spectrum<'a>], y: &Scale) -> Svg {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let pixels = (AREA.left + 8.0, AREA.right - 10.0);
    let x = Scale::between(place(0.5), place(0.9999), pixels, AxisUnit::Count);
    upright(&mut svg, AREA, y, "latency");
    for (quantile, name) in POINTS {
        let Some(name) = name else { continue };
        let at = x.at(place(quantile));
        svg.line((at, AREA.top), (at, AREA.bottom), "grid");
        svg.text((at, AREA.bottom + 15.0), Anchor::Middle, "tick", name);
    }
    title_below(&mut svg, AREA, "percentile of requests");
    for (index, spectrum) in spectra.iter().enumerate() {
        // Side by side, so that intervals at one percentile don't hide each other.
        let aside = aside(index, spectra.len(), 2.4);
        let x = |quantile| x.at(place(quantile));
        line(&mut svg, spectrum, x, y);
        marks(&mut svg, spectrum, |quantile| x(quantile) + aside, y);
    }
    // Each name at the end of its line.
    let end = |spectrum: &Spectrum<'a>| {
        let last = spectrum.points.last()?;
        let at = (x.at(place(last.quantile)) + 6.0, y.at(last.median_us));
        Some(((spectrum.key, spectrum.display), at))
    };
    let ends: Vec<_> = spectra.iter().filter_map(end).collect();
    labels_beside(&mut svg, AREA, AREA.right + 6.0, 14, &ends);
    svg
}

/// The marked percentiles of each line, in words.
fn told(spectra: &[Spectrum<'_>]) -> String {
    let named = |point: &Percentile| {
        Some(format!(
            "p{} {}",
            point.name?,
            AxisUnit::Micros.value(point.median_us)
        ))
    };
    let told: Vec<String> = spectra
        .iter()
        .map(|spectrum| {
            let points: Vec<_> = spectrum.points.iter().filter_map(named).collect();
            format!("{}: {}", spectrum.display, points.join(", "))
        })
        .collect();
    told.join("; ")
}

/// Number of nines of a quantile: 1 for 0.9, 2 for 0.99.
fn place(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

fn line(svg: &mut Svg, spectrum: &Spectrum<'_>, x: impl Fn(f64) -> f64, y: &Scale) {
    let at = |point: &Percentile| (x(point.quantile), y.at(point.median_us));
    let firm = spectrum
        .points
        .iter()
        .take_while(|point| point.beyond >= ENOUGH_BEYOND)
        .count();
    let class = spectrum.key.class();
    let all: Vec<(f64, f64)> = spectrum.points.iter().map(at).collect();
    svg.polyline(&all[..firm], &format!("line {class}"));
    if firm < all.len() {
        svg.polyline(
            &all[firm.saturating_sub(1)..],
            &format!("line dashed {class}"),
        );
    }
}

fn marks(svg: &mut Svg, spectrum: &Spectrum<'_>, x: impl Fn(f64) -> f64, y: &Scale) {
    let class = spectrum.key.class();
    let (mut whiskers, mut marks) = (String::new(), String::new());
    for point in spectrum.points.iter().filter(|point| point.name.is_some()) {
        let at = x(point.quantile);
        if let Some(interval) = point.interval_us {
            whiskers += &whisker_up(at, y, interval.low, interval.high);
        }
        marks += &spectrum.key.mark((at, y.at(point.median_us)), 3.4);
    }
    svg.path(&whiskers, &format!("whisker thin {class}"));
    svg.path(&marks, &class);
}

fn data(line: &str, spectra: &[Spectrum<'_>]) -> Data {
    let mut data = Data::new(&format!(
        "{line}, percentile, µs, low, high, requests beyond"
    ));
    for spectrum in spectra {
        for point in &spectrum.points {
            let end = |get: fn(Interval) -> f64| {
                point
                    .interval_us
                    .map_or_else(String::new, |interval| number(get(interval)))
            };
            data.rows.push(vec![
                spectrum.display.to_owned(),
                number(point.quantile * 100.0),
                number(point.median_us),
                end(|interval| interval.low),
                end(|interval| interval.high),
                format!("{:.0}", point.beyond),
            ]);
        }
    }
    data
}
