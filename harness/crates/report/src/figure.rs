//! The names and formats of figures in tables.

use super::number::{ABSENT, mebibytes, significant};
use record::figure::{self, Figure, LOST_AT_STOP, RATE, Unit};
use record::{Estimate, ServerRow};

/// The short name, as in a comparison.
pub(super) fn label(id: &'static str) -> &'static str {
    figure::find(id).map_or(id, |figure| figure.label)
}

/// Formats a value of a figure.
pub(super) fn shown(figure: &Figure, value: f64) -> String {
    match figure.unit() {
        // Of one response, not of a process.
        Unit::Bytes if figure.id == "bytes_per_response" => significant(value, 4),
        Unit::Bytes => mebibytes(value),
        _ => significant(value, figure.digits),
    }
}

/// The same in the table of the servers; of what was lost at a stop, as in `3/64`.
pub(super) fn of_server(row: &ServerRow, figure: &Figure, value: Option<&Estimate>) -> String {
    match (value, row.sent_at_stop) {
        (None, _) => ABSENT.to_owned(),
        (Some(lost), Some(sent)) if figure.id == LOST_AT_STOP => {
            format!("{:.0}/{sent}", lost.median)
        }
        (Some(value), _) => shown(figure, value.median),
    }
}

/// A rate, with the digits it has in tables.
pub(super) fn rate(per_second: f64) -> String {
    let figure = figure::find(RATE).expect("the rate is a figure");
    shown(figure, per_second)
}

/// A ratio to the best, as in `1.08×`.
pub(super) fn times(value: f64) -> String {
    format!("{}×", ratio(value))
}

/// The interval of a ratio, as in `1.05–1.11`.
pub(super) fn ratio_interval((low, high): (f64, f64)) -> String {
    format!("{}–{}", ratio(low), ratio(high))
}

/// A ratio with two decimals, or three digits if large.
pub(super) fn ratio(value: f64) -> String {
    match value {
        0.0..9.995 => format!("{value:.2}"),
        _ => significant(value, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_keep_their_hundredths() {
        assert_eq!(
            [0.5, 1.0, 9.999, 12.34].map(ratio),
            ["0.50", "1.00", "10.0", "12.3"]
        );
        assert_eq!(times(1.078), "1.08×");
        assert_eq!(ratio_interval((0.953, 12.34)), "0.95–12.3");
    }

    #[test]
    fn rates_have_no_needless_decimals() {
        assert_eq!(
            [1_000.0, 24_000.0, 52_500.5, 37.5].map(rate),
            ["1,000", "24,000", "52,500", "37.50"]
        );
    }
}
