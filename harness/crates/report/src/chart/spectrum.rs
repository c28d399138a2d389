//! The latency spectrum: percentiles on a logarithmic axis, for the whole response and for its first byte.

use catalog::Stage;
use record::Trial;
use stats::{Bootstrap, Interval, Scale as Symmetry, median};

use super::field::{Entrant, Field};
use super::frame::{Area, Axis, spread, upright};
use super::key::Key;
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Svg, short};
use super::{Chart, Data, WIDTH, number};
use crate::grid::clipped;
use crate::number::significant;

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
        (
            "latency",
            "Latency spectrum",
            "the last byte of the response",
        ),
        (
            "first_byte",
            "First-byte spectrum",
            "the first byte of the response",
        ),
    ];
    let spectra: Vec<Vec<Spectrum<'_>>> = kinds
        .iter()
        .map(|(name, ..)| {
            let of = |entry| Spectrum::of(entry, name, &mut bootstrap);
            field.servers().filter_map(of).collect()
        })
        .collect();
    let values = spectra.iter().flatten().flat_map(Spectrum::reach);
    let y = Scale::log(values, (AREA.bottom, AREA.top));
    kinds
        .iter()
        .zip(&spectra)
        .filter(|(_, found)| !found.is_empty())
        .map(|((name, title, until), found)| chart(field, (*name, *title, *until), found, &y))
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
    (name, title, until): (&str, &str, &str),
    spectra: &[Spectrum<'_>],
    y: &Scale,
) -> Chart {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let x = Scale::between(
        place(0.5),
        place(0.9999),
        (AREA.left + 8.0, AREA.right - 10.0),
    );
    upright(
        &mut svg,
        AREA,
        Axis {
            scale: y,
            unit: Unit::Micros,
            title: "latency",
        },
    );
    for (quantile, name) in POINTS {
        let Some(name) = name else { continue };
        let at = x.at(place(quantile));
        svg.line((at, AREA.top), (at, AREA.bottom), "grid");
        svg.text((at, AREA.bottom + 15.0), Anchor::Middle, "tick", name);
    }
    let middle = f64::midpoint(AREA.left, AREA.right);
    svg.text(
        (middle, AREA.bottom + 31.0),
        Anchor::Middle,
        "axis",
        "percentile of requests",
    );
    for (index, spectrum) in spectra.iter().enumerate() {
        // Side by side, so that intervals at one percentile don't hide each other.
        let aside = 2.4 * (index as f64 - (spectra.len() - 1) as f64 / 2.0);
        line(&mut svg, spectrum, |quantile| x.at(place(quantile)), y);
        marks(
            &mut svg,
            spectrum,
            |quantile| x.at(place(quantile)) + aside,
            y,
        );
    }
    names(&mut svg, spectra, &x, y);
    let named = |point: &Percentile| {
        Some(format!(
            "p{} {}",
            point.name?,
            Unit::Micros.value(point.median_us)
        ))
    };
    let told: Vec<String> = spectra
        .iter()
        .map(|spectrum| {
            let points: Vec<_> = spectrum.points.iter().filter_map(named).collect();
            format!("{}: {}", spectrum.display, points.join(", "))
        })
        .collect();
    let rate = field.ranking.and_then(|ranking| ranking.rate_per_s);
    let load = rate.map_or_else(
        || "at the paced rate".to_owned(),
        |rate| format!("at {} req/s for every server", significant(rate, 5)),
    );
    Chart::new(
        (field.workload, &name.replace('_', "-")),
        title,
        format!(
            "From when a request was due to {until}, {load}: the median over rounds, with 95 % \
             intervals at the marked percentiles. Dashed: a trial has fewer than ten requests \
             beyond."
        ),
        &format!(
            "Percentiles of latency to {until}, {load}. {}.",
            told.join("; ")
        ),
        svg,
        data(spectra),
    )
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
            let (low, high) = (short(y.at(interval.low)), short(y.at(interval.high)));
            whiskers += &format!("M{} {low}V{high}", short(at));
        }
        marks += &spectrum.key.mark((at, y.at(point.median_us)), 3.4);
    }
    svg.path(&whiskers, &format!("whisker thin {class}"));
    svg.path(&marks, &class);
}

/// Each name at the end of its line, moved if two would overlap.
fn names(svg: &mut Svg, spectra: &[Spectrum<'_>], x: &Scale, y: &Scale) {
    let ends: Vec<(f64, f64)> = spectra
        .iter()
        .filter_map(|spectrum| spectrum.points.last())
        .map(|point| (x.at(place(point.quantile)), y.at(point.median_us)))
        .collect();
    let asked: Vec<f64> = ends.iter().map(|(_, y)| *y).collect();
    let places = spread(&asked, 14.0, (AREA.top - 6.0, HEIGHT - 10.0));
    for ((spectrum, end), place) in spectra.iter().zip(&ends).zip(places) {
        let from = (end.0 + 6.0, end.1);
        let class = format!("leader {}", spectrum.key.class());
        svg.line(from, (AREA.right + 6.0, place), &class);
        svg.path(
            &spectrum.key.mark((AREA.right + 12.0, place), 3.6),
            &spectrum.key.class(),
        );
        let name = clipped(spectrum.display, 14);
        svg.text((AREA.right + 20.0, place + 4.0), Anchor::Start, "", &name);
    }
}

fn data(spectra: &[Spectrum<'_>]) -> Data {
    let mut data = Data::new(&[
        "server",
        "percentile",
        "µs",
        "low",
        "high",
        "requests beyond",
    ]);
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
