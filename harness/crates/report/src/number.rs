//! Numbers for people. ASCII except for ± and –, so that they can be pasted anywhere.

use record::Estimate;

/// Shown instead of an absent figure; never 0.
pub const ABSENT: &str = "–";

/// `value` to `digits` significant digits, thousands grouped with commas: `75.2`, `1,230`.
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0" } else { ABSENT }.into();
    }
    // Round first, because 99.96 to three digits is 100, without decimals.
    let step = 10_f64.powi(digits - 1 - magnitude(value));
    let rounded = (value * step).round() / step;
    let decimals = (digits - 1 - magnitude(rounded)).clamp(0, 6);
    let decimals = usize::try_from(decimals).expect("clamped to 0 and more");
    group(&format!("{rounded:.decimals$}"))
}

/// A whole number in full, any other to three digits.
pub fn short(value: f64) -> String {
    match value.fract() == 0.0 && value.is_finite() {
        true => group(&format!("{value:.0}")),
        false => significant(value, 3),
    }
}

/// The power of ten of the first digit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a logarithm of an f64 is below 400"
)]
fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// Commas between groups of three digits before the point.
fn group(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let digits = whole.trim_start_matches('-');
    let sign = &whole[..whole.len() - digits.len()];
    format!("{sign}{}{rest}", words::grouped(digits))
}

/// The 95 % interval in short: its wider half in percent of the median, as in `±2.1%`, or `±>99%` if it is as
/// wide as the median. `n=1` for a single trial, which has no interval.
pub(super) fn uncertainty(estimate: &Estimate) -> String {
    let half = (estimate.high - estimate.median).max(estimate.median - estimate.low);
    let percent = 100.0 * half / estimate.median.abs();
    match estimate.n {
        0 | 1 => "n=1".into(),
        _ if half == 0.0 => "±0%".into(),
        _ if !percent.is_finite() => ABSENT.into(),
        _ if percent >= 99.5 => "±>99%".into(),
        _ if percent >= 9.95 => format!("±{percent:.0}%"),
        _ => format!("±{percent:.1}%"),
    }
}

/// Bytes as MiB to three significant digits.
pub(super) fn mebibytes(bytes: f64) -> String {
    significant(bytes / f64::from(1 << 20), 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits_are_kept_and_thousands_grouped() {
        for (value, digits, expected) in [
            (131_234.5, 4, "131,200"),
            (1_234.5, 3, "1,230"),
            (99.96, 3, "100"),
            (75.234, 3, "75.2"),
            (7.4, 3, "7.40"),
            (0.012_345, 3, "0.0123"),
            (1e9, 4, "1,000,000,000"),
            (999_999.0, 4, "1,000,000"),
            (0.0, 3, "0"),
            (-1234.0, 3, "-1,230"),
            (123.0, 3, "123"),
            (f64::NAN, 3, "–"),
        ] {
            assert_eq!(significant(value, digits), expected, "{value}");
        }
    }

    #[test]
    fn the_wider_half_of_an_interval_is_shown() {
        let estimate = |low, median, high, n| Estimate {
            median,
            low,
            high,
            n,
        };
        for (estimate, expected) in [
            (estimate(90.0, 100.0, 102.1, 10), "±10%"),
            (estimate(99.0, 100.0, 102.1, 10), "±2.1%"),
            (estimate(100.0, 100.0, 100.0, 10), "±0%"),
            (estimate(100.0, 100.0, 100.0, 1), "n=1"),
            (estimate(0.0, 0.0, 3.0, 5), "–"),
            (estimate(1.0, 1.0, 100.0, 5), "±>99%"),
            (estimate(90.0, 100.0, 199.0, 5), "±99%"),
        ] {
            assert_eq!(uncertainty(&estimate), expected, "{estimate:?}");
        }
    }
}
