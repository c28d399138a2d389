//! Maps values to positions on an axis, and finds its round tick values.

use crate::number::{mebibytes, significant};
use record::figure;

/// The unit and format of values on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AxisUnit {
    /// A rate or a count: 50k.
    Count,
    /// Microseconds, shown in µs, ms or s.
    Micros,
    /// Milliseconds.
    Millis,
    /// Bytes, shown in MiB.
    Bytes,
    /// A ratio: 1.05×.
    Times,
}

impl From<figure::Unit> for AxisUnit {
    fn from(unit: figure::Unit) -> Self {
        match unit {
            figure::Unit::PerSecond | figure::Unit::Microjoules | figure::Unit::One => Self::Count,
            figure::Unit::Micros => Self::Micros,
            figure::Unit::Millis => Self::Millis,
            figure::Unit::Bytes => Self::Bytes,
        }
    }
}

impl AxisUnit {
    /// Formats a value for a tick.
    pub(super) fn tick(self, value: f64) -> String {
        match (self, value.abs()) {
            (Self::Count, 1e6..) => format!("{}M", plain(value / 1e6)),
            (Self::Count, 1e3..) => format!("{}k", plain(value / 1e3)),
            _ => self.scaled(value, plain),
        }
    }

    /// Formats a value next to its mark: a count to four digits, others to three.
    pub(super) fn value(self, value: f64) -> String {
        match self {
            Self::Count => significant(value, 4),
            Self::Bytes => format!("{} MiB", mebibytes(value)),
            _ => self.scaled(value, |value| significant(value, 3)),
        }
    }

    fn scaled(self, value: f64, digits: impl Fn(f64) -> String) -> String {
        match (self, value.abs()) {
            (Self::Micros, 1e6..) => format!("{} s", digits(value / 1e6)),
            (Self::Micros, 1e3..) => format!("{} ms", digits(value / 1e3)),
            (Self::Micros, _) => format!("{} µs", digits(value)),
            (Self::Millis, _) => format!("{} ms", digits(value)),
            (Self::Bytes, _) => digits(value / f64::from(1 << 20)),
            (Self::Times, _) => format!("{}×", digits(value)),
            (Self::Count, _) => digits(value),
        }
    }
}

/// Without trailing zeros.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An axis: maps values from `low` to `high` to pixels from `start` to `end`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    unit: AxisUnit,
    log: bool,
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// From 0 to a round value that covers all of `values`.
    pub(super) fn from_zero(
        values: impl IntoIterator<Item = f64>,
        pixels: (f64, f64),
        unit: AxisUnit,
    ) -> Self {
        let high = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        let step = step(high, 5, base(unit));
        // A small margin, so that no line is on the upper edge.
        let high = (high * 1.02 / step).ceil() * step;
        Self::between(0.0, high, pixels, unit)
    }

    /// Logarithmic, from a round value below the smallest to one above the largest. Values that are not
    /// positive are drawn at the low end.
    pub(super) fn log(
        values: impl IntoIterator<Item = f64>,
        pixels: (f64, f64),
        unit: AxisUnit,
    ) -> Self {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = if low <= high {
            (low, high)
        } else {
            (1.0, 10.0)
        };
        let (low, high) = (rounded_down(low), rounded_up(high));
        let high = if high > low { high } else { low * 10.0 };
        Self {
            log: true,
            ..Self::between(low, high, pixels, unit)
        }
    }

    /// An axis with given ends.
    pub(super) fn between(low: f64, high: f64, (start, end): (f64, f64), unit: AxisUnit) -> Self {
        Self {
            unit,
            log: false,
            low,
            high,
            start,
            end,
        }
    }

    /// The position of a value, clamped to the ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.start + share * (self.end - self.start)
    }

    /// The highest value.
    pub(super) fn highest(&self) -> f64 {
        self.high
    }

    /// The same values on other pixels.
    pub(super) fn on(self, (start, end): (f64, f64)) -> Self {
        Self { start, end, ..self }
    }

    /// Round values within the axis, each with its text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let ticks = self.round_values().into_iter();
        ticks.map(|tick| (tick, self.unit.tick(tick))).collect()
    }

    fn round_values(&self) -> Vec<f64> {
        if !self.log {
            let step = step(self.high - self.low, 5, base(self.unit));
            let first = (self.low / step).ceil();
            return (0..8)
                .map(|index| (first + f64::from(index)) * step)
                .take_while(|value| *value <= self.high * (1.0 + 1e-9))
                .collect();
        }
        let decades = (self.high / self.low).log10();
        let marks: &[f64] = if decades < 1.6 {
            &[1.0, 2.0, 5.0]
        } else if decades < 2.6 {
            &[1.0, 3.0]
        } else {
            &[1.0]
        };
        let first = self.low.log10().floor() as i32;
        let all = (first..first + 16)
            .flat_map(|power| marks.iter().map(move |mark| mark * 10_f64.powi(power)));
        all.filter(|value| *value >= self.low * 0.999 && *value <= self.high * 1.001)
            .collect()
    }
}

/// The distance between round values.
fn base(unit: AxisUnit) -> f64 {
    match unit {
        AxisUnit::Bytes => f64::from(1 << 20),
        _ => 1.0,
    }
}

/// A step of 1, 2, 2.5 or 5 times a power of ten that divides `range` into about `count`.
fn step(range: f64, count: u32, base: f64) -> f64 {
    let rough = range / base / f64::from(count);
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|digit| digit * power >= rough * 0.999)
        .unwrap_or(10.0);
    digit * power * base
}

/// The next of 1, 2, 5 times a power of ten at or below a value.
fn rounded_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [5.0, 2.0, 1.0]
        .into_iter()
        .find(|digit| digit * power <= value * 1.001);
    digit.unwrap_or(1.0) * power
}

/// The next of 1, 2, 5 times a power of ten at or above a value.
fn rounded_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| digit * power >= value * 0.999);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_at_a_round_value() {
        let scale = Scale::from_zero([92_310.0, 37_000.0], (0.0, 100.0), AxisUnit::Count);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.at(100_000.0), 100.0);
        assert_eq!(texts(scale), ["0", "20k", "40k", "60k", "80k", "100k"]);
    }

    #[test]
    fn a_logarithmic_axis_has_a_place_for_every_decade() {
        let scale = Scale::log([31.0, 8_070.0], (100.0, 0.0), AxisUnit::Micros);
        assert_eq!(scale.at(20.0), 100.0);
        assert_eq!(scale.at(10_000.0), 0.0);
        assert!(scale.at(31.0) > scale.at(32.0));
        assert_eq!(texts(scale), ["100 µs", "1 ms", "10 ms"]);
        // Don't fail without values.
        assert_eq!(Scale::log([], (0.0, 1.0), AxisUnit::Count).ticks().len(), 4);
        assert_eq!(
            Scale::from_zero([], (0.0, 1.0), AxisUnit::Count).at(0.0),
            0.0
        );
    }

    #[test]
    fn ticks_of_memory_are_round_in_mebibytes() {
        let scale = Scale::from_zero([26_500_000.0], (0.0, 1.0), AxisUnit::Bytes);
        assert_eq!(texts(scale), ["0", "10", "20", "30"]);
    }
}
