//! The main chart: each server's ratio to the best in the figure ranked by, with its interval, and which
//! servers tie with the best.

use crate::figure::{ratio_interval, times};
use record::RatioToBest;
use record::figure;

use super::field::Field;
use super::frame::level;
use super::rows::Rows;
use super::scale::{AxisUnit, Scale};
use super::svg::Anchor;
use super::{Chart, Data, WIDTH, interval_cells, number, rank_text, whisker_between};

/// Space for the intervals, right of the values.
const INTERVALS: f64 = 70.0;

/// `None` if no server can be compared.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    let ranking = field.ranking?;
    let (stage, figure) = (ranking.stage, ranking.ranked_by.as_str());
    let rows = Rows::servers(field, stage, INTERVALS);
    let ratios: Vec<Option<&RatioToBest>> = rows
        .entries
        .iter()
        .map(|entry| entry.ratio(stage, figure))
        .collect();
    if ratios.iter().all(Option::is_none) {
        return None;
    }
    let area = rows.area;
    let band = ranking.noise_floor.as_ref().map(|floor| 1.0 + floor.delta);
    let scale = scale(&ratios, band, area.across());
    let mut svg = rows.canvas(0.0);
    if let Some(edge) = band {
        let (left, right) = (scale.at(1.0 / edge), scale.at(edge));
        let height = area.bottom - area.top;
        svg.rect((left, area.top), right - left, height, "tie");
    }
    let what = figure::name(figure);
    let title = format!("{what}, times the best's");
    level(&mut svg, area, &scale, &title);
    let best = scale.at(1.0);
    svg.line((best, area.top), (best, area.bottom), "rule");
    rows.draw(&mut svg);
    let mut data = Data::new(&format!(
        "server, ratio to the best, low, high, rounds, rank, {figure}, low, high, trials"
    ));
    let mut told = Vec::new();
    for (row, (entry, ratio)) in rows.entries.iter().zip(&ratios).enumerate() {
        let mut cells = vec![entry.display.to_owned()];
        match ratio {
            Some(ratio) => {
                let is_best = ratio.best == entry.server;
                let (y, class) = (rows.y(row), entry.key.class());
                if let Some((low, high)) = ratio.interval() {
                    let class = format!("whisker {class}");
                    whisker_between(&mut svg, (scale.at(low), scale.at(high)), y, &class);
                    let text = ratio_interval((low, high));
                    svg.text((WIDTH - 2.0, y + 4.0), Anchor::End, "tick", &text);
                    told.push(format!("{} {} ({text})", entry.display, times(ratio.ratio)));
                } else if is_best {
                    told.push(format!("{} is the best", entry.display));
                }
                let class = match ties(ratio, band) {
                    true => class,
                    false => format!("{class} hollow"),
                };
                svg.path(&entry.key.mark((scale.at(ratio.ratio), y), 5.0), &class);
                let value = if is_best {
                    "best".to_owned()
                } else {
                    times(ratio.ratio)
                };
                rows.value(&mut svg, row, &value);
                let end = |end: Option<f64>| end.map(number).unwrap_or_default();
                cells.extend([
                    number(ratio.ratio),
                    end(ratio.low),
                    end(ratio.high),
                    ratio.rounds.to_string(),
                ]);
            }
            None => cells.extend(std::iter::repeat_n(String::new(), 4)),
        }
        cells.push(rank_text(entry.rank()));
        cells.extend(interval_cells(entry.figure(stage, figure)));
        data.rows.push(cells);
    }
    Some(Chart::new(
        (field.workload, "ratio"),
        "To the best",
        "The line is the 95 % interval of the ratio to the best. If it touches the band, the \
         server ties with the best, and its mark is filled."
            .to_owned(),
        &format!("{what}, as a ratio to the best's: {}.", told.join("; ")),
        svg,
        data,
    ))
}

/// From the lowest end of an interval to the highest, with some margin.
fn scale(ratios: &[Option<&RatioToBest>], band: Option<f64>, pixels: (f64, f64)) -> Scale {
    let edge = band.unwrap_or(1.01);
    let ends = ratios
        .iter()
        .flatten()
        .map(|ratio| ratio.interval().unwrap_or((ratio.ratio, ratio.ratio)));
    let (low, high) = ends.fold((1.0 / edge, edge), |(low, high), (from, to)| {
        (low.min(from), high.max(to))
    });
    let room = 0.04 * (high - low);
    Scale::between((low - room).max(0.0), high + room, pixels, AxisUnit::Times)
}

/// Whether a server ties with the best: its interval reaches into the band of the noise floor. The best ties
/// with itself; without a band nothing ties.
fn ties(ratio: &RatioToBest, band: Option<f64>) -> bool {
    let (low, high) = ratio.interval().unwrap_or((ratio.ratio, ratio.ratio));
    band.is_some_and(|edge| low <= edge && high >= 1.0 / edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(ratio: f64, low: f64, high: f64) -> RatioToBest {
        RatioToBest {
            ratio,
            low: Some(low),
            high: Some(high),
            rounds: 9,
            best: "alder".into(),
            by_machine: false,
        }
    }

    #[test]
    fn a_line_that_touches_the_band_is_a_tie() {
        let band = Some(1.02);
        assert!(ties(&ratio(1.05, 1.01, 1.1), band) && ties(&ratio(0.95, 0.9, 0.99), band));
        assert!(!ties(&ratio(1.05, 1.03, 1.1), band) && !ties(&ratio(0.9, 0.85, 0.97), band));
        assert!(!ties(&ratio(1.0, 0.99, 1.01), None), "ranks are withheld");
    }

    #[test]
    fn the_axis_holds_every_interval_and_the_band() {
        let (one, other) = (ratio(1.1, 1.05, 1.2), ratio(0.98, 0.9, 1.01));
        let axis = scale(&[Some(&one), None, Some(&other)], Some(1.02), (0.0, 100.0));
        assert!(axis.at(0.9) > 0.0 && axis.at(1.2) < 100.0);
        assert!(axis.at(0.9) < 10.0 && axis.at(1.2) > 90.0);
        let tight = scale(&[], Some(1.02), (0.0, 100.0));
        assert!(tight.at(1.0 / 1.02) > 0.0 && tight.at(1.02) < 100.0);
    }
}
