//! How a figure of the record is called and shown in a table.

use super::number::{mebibytes, significant};

/// The short name, as in the tables of a run.
pub(super) fn label(figure: &'static str) -> &'static str {
    match figure {
        "requests_per_s" => "req/s",
        "cpu_us_per_request" => "CPU µs/req",
        "latency_p50_us" => "p50 µs",
        "latency_p99_us" => "p99 µs",
        "latency_p999_us" => "p99.9 µs",
        "first_byte_p99_us" => "TTFB99 µs",
        "rss_peak_bytes" => "load MiB",
        "start_ms" => "start ms",
        other => other,
    }
}

/// A value of it.
pub(super) fn shown(figure: &str, value: f64) -> String {
    match figure {
        "requests_per_s" => significant(value, 4),
        "rss_peak_bytes" => mebibytes(value),
        _ => significant(value, 3),
    }
}

/// A ratio to the best, as in `1.08×`.
pub(super) fn times(value: f64) -> String {
    format!("{}×", ratio(value))
}

/// The interval of a ratio, as in `1.05–1.11`.
pub(super) fn ratio_interval((low, high): (f64, f64)) -> String {
    format!("{}–{}", ratio(low), ratio(high))
}

/// A ratio near 1, to hundredths; large ones to three digits.
pub(super) fn ratio(value: f64) -> String {
    match value {
        0.0..9.995 => format!("{value:.2}"),
        _ => significant(value, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::compared_names;

    #[test]
    fn every_compared_figure_has_a_short_name() {
        for name in compared_names() {
            assert_ne!(label(name), name);
        }
    }

    #[test]
    fn ratios_keep_their_hundredths() {
        assert_eq!(
            [0.5, 1.0, 9.999, 12.34].map(ratio),
            ["0.50", "1.00", "10.0", "12.3"]
        );
        assert_eq!(times(1.078), "1.08×");
        assert_eq!(ratio_interval((0.953, 12.34)), "0.95–12.3");
    }
}
