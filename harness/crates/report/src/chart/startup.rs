//! Start-up: time to the first valid response, and that response's latency; every start is a dot.

use record::figure;
use record::{Estimate, Summary, Verdict};

use super::field::{Valid, keys};
use super::frame::{Area, NAME_COLUMNS, aside, label, level, right_of_names};
use super::key::Key;
use super::scale::{AxisUnit, Scale};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, interval_cells, spoken, whisker};

const ROW: f64 = 30.0;
const HEAD: f64 = 22.0;

/// A server's starts in one figure.
struct Starts<'a> {
    display: &'a str,
    key: Key,
    estimate: &'a Estimate,
    all: Vec<f64>,
}

/// `None` if no start was timed.
pub(crate) fn chart(summary: &Summary, valid: &Valid<'_>) -> Option<Chart> {
    let parts: Vec<_> = ["start_ms", "first_request_us"]
        .into_iter()
        .filter_map(figure::find)
        .map(|figure| {
            let starts = starts(summary, valid, figure.id);
            (
                figure.id,
                figure.name,
                AxisUnit::from(figure.unit()),
                starts,
            )
        })
        .filter(|(.., starts)| !starts.is_empty())
        .collect();
    if parts.is_empty() {
        return None;
    }
    let height: f64 = parts
        .iter()
        .map(|(.., starts)| HEAD + ROW * starts.len() as f64 + 38.0)
        .sum();
    let mut svg = Svg::new(WIDTH, height);
    let mut data = Data::new("server, figure, median, low, high, starts");
    let (mut top, mut told) = (HEAD, Vec::new());
    for (figure, title, unit, starts) in &parts {
        draw(&mut svg, top, title, *unit, starts);
        top += ROW * starts.len() as f64 + 38.0 + HEAD;
        for start in starts {
            let mut cells = vec![start.display.to_owned(), (*figure).to_owned()];
            cells.extend(interval_cells(Some(start.estimate)));
            data.rows.push(cells);
            told.push(format!(
                "{}, {title}: {}",
                start.display,
                spoken(start.estimate, *unit)
            ));
        }
    }
    Some(Chart::new(
        ("servers", "start"),
        "Start-up",
        "Each dot is the start of a fresh process; the bar is the median, the line its 95 % \
         interval."
            .to_owned(),
        &format!("{}.", told.join("; ")),
        svg,
        data,
    ))
}

fn starts<'a>(summary: &'a Summary, valid: &Valid<'_>, figure: &str) -> Vec<Starts<'a>> {
    let keys = keys(summary);
    let of = |row: &'a record::ServerRow| {
        let estimate = row.figures.get(figure)?;
        let values = valid
            .of_server(&row.server)
            .filter_map(|trial| trial.figures.get(figure));
        Some(Starts {
            display: &row.display,
            key: *keys.get(row.server.as_str())?,
            estimate,
            all: values.copied().filter(|value| value.is_finite()).collect(),
        })
    };
    let mut starts: Vec<_> = summary
        .servers
        .iter()
        .filter(|row| row.verdict != Verdict::Failed || !row.figures.is_empty())
        .filter_map(of)
        .collect();
    starts.sort_by_key(|start| start.key == Key::control());
    starts
}

fn draw(svg: &mut Svg, top: f64, title: &str, unit: AxisUnit, starts: &[Starts<'_>]) {
    let area = Area {
        left: right_of_names(starts.iter().map(|start| start.display)),
        right: WIDTH - 66.0,
        top,
        bottom: top + ROW * starts.len() as f64,
    };
    let all = starts
        .iter()
        .flat_map(|start| start.all.iter().copied().chain([start.estimate.high]));
    let scale = Scale::from_zero(all, area.across(), unit);
    level(svg, area, &scale, title);
    for (row, start) in starts.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        let class = start.key.class();
        let server = (start.key, start.display);
        label(svg, server, (6.0, y), (4.5, 10.0), NAME_COLUMNS);
        // Dots use five heights in turn, so that equal ones don't hide each other.
        let dot = |(index, value): (usize, &f64)| {
            let aside = aside(index % 5, 5, 3.0);
            start.key.mark((scale.at(*value), y + aside), 1.8)
        };
        let dots: String = start.all.iter().enumerate().map(dot).collect();
        svg.path(&dots, &format!("faint {class}"));
        whisker(svg, &scale, y, start.estimate, "whisker");
        let x = scale.at(start.estimate.median);
        svg.line((x, y - 9.0), (x, y + 9.0), "median");
        let value = unit.value(start.estimate.median);
        svg.text((WIDTH - 4.0, y + 4.0), Anchor::End, "value", &value);
    }
}
