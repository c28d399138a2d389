//! `--fail-if` of a soak: growth that is too fast.

use judge::{Growing, SoakTrend};
use record::SoakFigure;
use stats::Trend;

/// Units of memory, bytes.
const BYTES: [(&str, f64); 4] = [
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("B", 1.0),
];

/// A growth that must not be exceeded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SoakLimit {
    /// As it was typed.
    pub(super) text: String,
    figure: SoakFigure,
    /// In the figure's unit per hour or request; for latencies a share of the median.
    value: f64,
    per_request: bool,
}

/// Parses a limit such as `memory>1MiB/h`; for clap.
///
/// # Errors
/// A message for the user.
pub(super) fn parse(text: &str) -> Result<SoakLimit, String> {
    let (name, amount) = text
        .split_once('>')
        .ok_or("it has no >; quote it for the shell, as in --fail-if 'memory>1MiB/h'")?;
    let name = name.trim();
    let figure = SoakFigure::ALL
        .into_iter()
        .find(|figure| figure.name() == name);
    let figure = figure.ok_or_else(|| {
        let known = SoakFigure::ALL.map(SoakFigure::name);
        catalog::names::unknown("figure", name, &known)
    })?;
    let (amount, per) = amount.split_once('/').unwrap_or((amount, ""));
    let wanted = match figure {
        SoakFigure::Memory => "a growth such as 1MiB/h or 16B/request",
        SoakFigure::Threads | SoakFigure::Descriptors => "a growth such as 1/h",
        SoakFigure::P50 | SoakFigure::P99 => "a growth such as 10%/h",
    };
    let refuse = || format!("'{text}': expected {wanted}");
    let per_request = match per.trim() {
        "h" => false,
        "request" if figure == SoakFigure::Memory => true,
        _ => return Err(refuse()),
    };
    let amount = amount.trim();
    let value = match figure {
        SoakFigure::Memory => {
            let mut units = BYTES.iter();
            units.find_map(|(unit, size)| Some(number(amount.strip_suffix(unit)?)? * size))
        }
        SoakFigure::Threads | SoakFigure::Descriptors => number(amount),
        SoakFigure::P50 | SoakFigure::P99 => {
            let percent = amount.strip_suffix('%').and_then(number);
            percent.map(|percent| percent / 100.0)
        }
    };
    Ok(SoakLimit {
        text: text.to_owned(),
        figure,
        value: value.ok_or_else(refuse)?,
        per_request,
    })
}

/// A number from 0 up.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

impl SoakLimit {
    /// Why a server exceeds it; `None` if it doesn't.
    pub(super) fn exceeded(&self, trends: &[SoakTrend]) -> Option<String> {
        let mut trends = trends.iter();
        let found = trends.find(|trend| trend.figure == self.figure)?;
        let Trend {
            slope, low, high, ..
        } = match self.per_request {
            true => found.per_request?,
            false => found.per_hour?,
        };
        if found.growing == Growing::Unknown {
            return Some("too few cycles to tell".to_owned());
        }
        let (unit, size) = match self.figure {
            SoakFigure::Memory if self.per_request => ("B/request", 1.0),
            SoakFigure::Memory => ("MiB/h", 1_048_576.0),
            SoakFigure::Threads | SoakFigure::Descriptors => ("/h", 1.0),
            SoakFigure::P50 | SoakFigure::P99 => ("%/h", found.level? / 100.0),
        };
        let limit = match self.figure {
            SoakFigure::P50 | SoakFigure::P99 => self.value * found.level?,
            _ => self.value,
        };
        (low > limit).then(|| {
            let shown = [slope, low, high].map(|value| report::significant(value / size, 3));
            let [slope, low, high] = shown;
            format!("it grows by {slope} {unit} (95 %: {low} to {high})")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_their_units() {
        for (text, figure, value, per_request) in [
            ("memory>1MiB/h", SoakFigure::Memory, 1_048_576.0, false),
            ("memory > 16 B/request", SoakFigure::Memory, 16.0, true),
            ("threads>0/h", SoakFigure::Threads, 0.0, false),
            ("p99>12.5%/h", SoakFigure::P99, 0.125, false),
        ] {
            let limit = parse(text).unwrap();
            let read = (limit.figure, limit.value, limit.per_request);
            assert_eq!(read, (figure, value, per_request), "{text}");
        }
        for (text, words) in [
            ("memory", "it has no >"),
            ("memroy>1MiB/h", "did you mean \"memory\""),
            ("memory>1/h", "such as 1MiB/h"),
            ("memory>1MiB", "such as 1MiB/h"),
            ("threads>1/request", "such as 1/h"),
            ("p50>10/h", "such as 10%/h"),
            ("p50>-1%/h", "such as 10%/h"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    fn grown(low: f64) -> SoakTrend {
        let trend = Trend {
            readings: 20,
            score: 0.0,
            variance: 1.0,
            p: 0.0,
            slope: low + 1.0,
            low,
            high: low + 2.0,
        };
        SoakTrend {
            figure: SoakFigure::Memory,
            growing: Growing::Yes,
            level: Some(1e8),
            per_hour: Some(trend),
            per_request: Some(trend),
            hours: 1.0,
        }
    }

    #[test]
    fn only_growth_that_is_surely_higher_exceeds_a_limit() {
        let limit = parse("memory>64B/request").unwrap();
        assert_eq!(limit.exceeded(&[grown(64.0)]), None);
        let told = limit.exceeded(&[grown(64.5)]).unwrap();
        assert_eq!(told, "it grows by 65.5 B/request (95 %: 64.5 to 66.5)");
        let mut few = grown(0.0);
        few.growing = Growing::Unknown;
        assert!(limit.exceeded(&[few]).unwrap().contains("too few"));
        assert_eq!(limit.exceeded(&[]), None);
    }
}
