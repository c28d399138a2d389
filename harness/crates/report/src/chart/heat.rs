//! p99 by time and server: when servers were slow, and whether all were slow at once.

use catalog::Stage;

use super::field::Field;
use super::frame::{NAME_COLUMNS, label, right_of_names};
use super::scale::AxisUnit;
use super::steps::{Course, courses, p99};
use super::svg::{Anchor, Svg};
use super::{Chart, Data, WIDTH, number};

/// Number of shades; `templates/chart.css` defines them.
const SHADES: usize = 6;
const TOP: f64 = 8.0;
const ROW: f64 = 26.0;
/// The smallest width of a cell that fits its figure.
const ROOM_FOR_TEXT: f64 = 26.0;

/// `None` if no steps were recorded.
pub(super) fn chart(field: &Field<'_>) -> Option<Chart> {
    let rows = courses(field, Stage::Paced, p99);
    let all = rows.iter().flat_map(|(_, steps)| steps);
    let all = all.map(|step| step.median).filter(|value| *value > 0.0);
    let (low, high) = all.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if rows.is_empty() || low > high {
        return None;
    }
    let shades = Shades { low, high };
    Some(Chart::new(
        (field.workload, "p99-heat"),
        "p99 by time and server",
        "The median over rounds of each tenth of a second at the paced rate. Darker cells \
         (brighter in dark mode) are slower. A slow column points to the machine, a slow row to \
         the server."
            .to_owned(),
        &described(&rows),
        draw(&rows, shades),
        data(&rows),
    ))
}

/// Logarithmic shades, because latencies span powers of ten.
#[derive(Debug, Clone, Copy)]
struct Shades {
    low: f64,
    high: f64,
}

impl Shades {
    fn of(self, value: f64) -> usize {
        if self.high <= self.low {
            return 0;
        }
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        ((share * SHADES as f64) as usize).min(SHADES - 1)
    }

    /// The lowest value of a shade.
    fn from(self, shade: usize) -> f64 {
        self.low * (self.high / self.low).powf(shade as f64 / SHADES as f64)
    }
}

fn draw(rows: &[Course<'_>], shades: Shades) -> Svg {
    let columns = rows.iter().map(|(_, steps)| steps.len()).max().unwrap_or(1);
    let left = right_of_names(rows.iter().map(|(entry, _)| entry.display));
    let cell = (WIDTH - left - 8.0) / columns as f64;
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 52.0);
    for (row, (entry, steps)) in rows.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let at = (6.0, y + ROW / 2.0);
        label(&mut svg, entry.named(), at, (4.0, 10.0), NAME_COLUMNS);
        for (column, step) in steps.iter().enumerate() {
            let x = left + cell * column as f64;
            let shade = shades.of(step.median);
            svg.rect((x, y + 1.0), cell - 1.0, ROW - 2.0, &format!("h{shade}"));
            if cell >= ROOM_FOR_TEXT {
                let middle = (x + (cell - 1.0) / 2.0, y + ROW / 2.0 + 3.5);
                let class = format!("on on{shade}");
                svg.text(middle, Anchor::Middle, &class, &brief(step.median));
            }
        }
    }
    let end = rows
        .iter()
        .filter_map(|(_, steps)| steps.last())
        .map(|step| step.at_s);
    let end = format!("{:.1} s", end.fold(0.0, f64::max));
    svg.text((left, bottom + 14.0), Anchor::Start, "tick", "0.0 s");
    svg.text((WIDTH - 8.0, bottom + 14.0), Anchor::End, "tick", &end);
    legend(&mut svg, shades, (left, bottom + 26.0));
    svg
}

fn legend(svg: &mut Svg, shades: Shades, (left, top): (f64, f64)) {
    svg.text((16.0, top + 11.0), Anchor::Start, "axis", "p99 from");
    let width = (WIDTH - left - 8.0) / SHADES as f64;
    for shade in 0..SHADES {
        let x = left + width * shade as f64;
        svg.rect((x, top), width - 1.0, 16.0, &format!("h{shade}"));
        let text = brief(shades.from(shade));
        let middle = (x + (width - 1.0) / 2.0, top + 12.0);
        svg.text(middle, Anchor::Middle, &format!("on on{shade}"), &text);
    }
}

/// Microseconds in at most four characters: 75, 0.9k.
fn brief(us: f64) -> String {
    match us {
        ..999.5 => format!("{us:.0}"),
        ..9_950.0 => format!("{:.1}k", us / 1e3),
        _ => format!("{:.0}k", us / 1e3),
    }
}

fn described(rows: &[Course<'_>]) -> String {
    let worst = |(entry, steps): &Course<'_>| {
        let worst = steps.iter().max_by(|a, b| a.median.total_cmp(&b.median))?;
        let p99 = AxisUnit::Micros.value(worst.median);
        Some(format!(
            "{} worst at {:.1} s with {p99}",
            entry.display, worst.at_s
        ))
    };
    let worst: Vec<_> = rows.iter().filter_map(worst).collect();
    format!(
        "99th percentile of latency in each tenth of a second: {}.",
        worst.join("; ")
    )
}

/// One row per server, one column per step.
fn data(rows: &[Course<'_>]) -> Data {
    let longest = rows
        .iter()
        .map(|(_, steps)| steps)
        .max_by_key(|steps| steps.len());
    let times = longest
        .into_iter()
        .flatten()
        .map(|step| format!("µs at {:.1} s", step.at_s));
    let head: Vec<String> = std::iter::once("server".to_owned()).chain(times).collect();
    let width = head.len();
    let row = |(entry, steps): &Course<'_>| {
        let mut cells = vec![entry.display.to_owned()];
        cells.extend(steps.iter().map(|step| number(step.median)));
        cells.resize(width, String::new());
        cells
    };
    Data {
        head,
        rows: rows.iter().map(row).collect(),
    }
}
