//! The figures of a drive by name, read from its JSON, so that limits and comparisons use the same
//! definitions.

use serde_json::Value;

use super::spectrum::{SHOWN, time};
use super::summary::bytes;
use catalog::names::nearest;
use loadgen::ErrorKind;
use report::significant;
use words::grouped;

/// The prefix of a point's name, and the JSON member that holds the distribution.
const DISTRIBUTIONS: [(&str, &str); 5] = [
    ("", "latency_ns"),
    ("first_byte.", "first_byte_ns"),
    ("connect.", "connect_ns"),
    (SEND_LAG, "send_lag_ns"),
    (SESSION, "session/time_ns"),
];
/// The chains of a session.
pub(super) const SESSION: &str = "session.";
/// Send lag exists only with a schedule: in a closed loop nothing can be late.
pub(super) const SEND_LAG: &str = "send_lag.";

/// Histograms have three significant digits, so a bucket is at most this wide relative to its values.
const BUCKET: f64 = 1.0 / 1024.0;

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cmd) enum Unit {
    /// Nanoseconds.
    Time,
    PerSecond,
    /// A number of things.
    Count,
    Bytes,
    /// From 0 to 1.
    Share,
}

/// A named figure.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cmd) struct JsonFigure {
    pub(in crate::cmd) name: String,
    pub(in crate::cmd) unit: Unit,
    /// Its place in the JSON.
    pointer: String,
    /// For counts that can also be a share: the counts that add up to the whole.
    whole: &'static [&'static str],
}

/// A figure's value in a drive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cmd) struct FigureValue {
    pub(in crate::cmd) value: f64,
    /// Whether it is a lower bound that requests without a response could still raise.
    pub(in crate::cmd) at_least: bool,
    /// The highest value it could take; infinite if it has no upper bound.
    pub(super) highest: f64,
}

/// Every figure, in the order they are listed.
pub(in crate::cmd) fn all() -> Vec<JsonFigure> {
    let mut all = Vec::new();
    let plain = |name: &str, unit, pointer: &str| JsonFigure {
        name: name.to_owned(),
        unit,
        pointer: pointer.to_owned(),
        whole: &[],
    };
    let part = |name: &str, pointer: &str, whole| JsonFigure {
        whole,
        ..plain(name, Unit::Count, pointer)
    };
    all.push(plain("rate", Unit::PerSecond, "/rate"));
    all.push(plain("requests", Unit::Count, "/requests"));
    let ended = &["/answered_total", "/errors"];
    all.push(part("errors", "/errors", ended));
    for kind in ErrorKind::ALL {
        let pointer = format!("/errors/{kind}");
        all.push(part(&format!("errors.{kind}"), &pointer, ended));
    }
    all.push(part("unanswered", "/unanswered", &["/sent_total"]));
    all.push(part("unsent", "/unsent", &["/sent_total", "/unsent"]));
    all.push(plain("silent", Unit::Count, "/at_end/silent"));
    for (before, member) in DISTRIBUTIONS {
        for (point, _) in SHOWN.into_iter().chain([("max", 1.0)]) {
            let pointer = format!("/{member}/{}", point.replace('.', ""));
            all.push(plain(&format!("{before}{point}"), Unit::Time, &pointer));
        }
        if ["", SESSION].contains(&before) {
            let pointer = format!("/{member}/mean");
            all.push(plain(&format!("{before}mean"), Unit::Time, &pointer));
        }
    }
    all.push(plain("session.rate", Unit::PerSecond, "/session/rate"));
    all.push(plain("session.complete", Unit::Count, "/session/complete"));
    let chains = &["/session/complete_total", "/session/failed"];
    all.push(part("session.failed", "/session/failed", chains));
    all.push(plain("reconnects", Unit::Count, "/reconnects"));
    all.push(plain("ids_repeated", Unit::Count, "/ids_repeated"));
    all.push(plain("bytes_received", Unit::Bytes, "/bytes_received"));
    all.push(plain("busy_ratio", Unit::Share, "/busy_ratio"));
    all
}

/// Finds a figure by name.
///
/// # Errors
/// A message for the user, with the nearest name and all known names.
pub(in crate::cmd) fn named(name: &str) -> Result<JsonFigure, String> {
    let all = all();
    // Also accept the names used in JSON.
    let usual = match name {
        "requests_per_s" => "rate",
        "p999" => "p99.9",
        "p9999" => "p99.99",
        name => name.strip_prefix("latency.").unwrap_or(name),
    };
    if let Some(figure) = all.iter().find(|figure| figure.name == usual) {
        return Ok(figure.clone());
    }
    let known: Vec<&str> = all.iter().map(|figure| figure.name.as_str()).collect();
    let hint = nearest(name, &known)
        .map(|near| format!("; did you mean \"{near}\"?"))
        .unwrap_or_default();
    Err(format!(
        "no figure \"{name}\"{hint} (known: {})",
        listed(&known)
    ))
}

/// The names, with those of the later distributions abbreviated.
fn listed(known: &[&str]) -> String {
    let again = |name: &&&str| {
        let mut others = DISTRIBUTIONS.iter().skip(1);
        let is_point = |point: &str| point.starts_with('p') || point == "max";
        !others.any(|(before, _)| name.strip_prefix(before).is_some_and(is_point))
    };
    let each: Vec<&str> = known.iter().filter(again).copied().collect();
    let others: Vec<String> = DISTRIBUTIONS
        .iter()
        .skip(1)
        .map(|(before, _)| format!("{before}p50 to {before}max"))
        .collect();
    format!("{}, {}", each.join(", "), others.join(", "))
}

impl JsonFigure {
    /// Reads the figure from a drive; `None` if it could not be measured.
    pub(in crate::cmd) fn read(&self, drive: &Value) -> Option<FigureValue> {
        let value = number(drive, &self.pointer)?;
        let at_least = self.is_bound(drive);
        let highest = match at_least {
            true => self.highest(drive).unwrap_or(f64::INFINITY),
            false => value,
        };
        Some(FigureValue {
            value,
            at_least,
            highest,
        })
    }

    /// The same, as a share of the whole.
    pub(super) fn read_share(&self, drive: &Value) -> Option<FigureValue> {
        let count = self.read(drive)?;
        let whole = self.whole.iter().map(|pointer| number(drive, pointer));
        let whole: f64 = whole.sum::<Option<f64>>()?;
        (whole > 0.0).then(|| FigureValue {
            value: count.value / whole,
            highest: count.highest / whole,
            ..count
        })
    }

    /// Whether it can also be given as a share.
    pub(super) fn has_share(&self) -> bool {
        !self.whole.is_empty()
    }

    fn is_bound(&self, drive: &Value) -> bool {
        let (points, point) = self.among(drive);
        let bounds = points["at_least"].as_array().into_iter().flatten();
        bounds.into_iter().any(|bound| bound == point)
    }

    fn highest(&self, drive: &Value) -> Option<f64> {
        let (points, point) = self.among(drive);
        points["at_most"][point].as_f64()
    }

    /// The JSON object that holds the figure, and its name there.
    fn among<'a>(&'a self, drive: &'a Value) -> (&'a Value, &'a str) {
        let (member, point) = self.pointer.rsplit_once('/').unwrap_or_default();
        (drive.pointer(member).unwrap_or(&Value::Null), point)
    }

    /// The value, or `other` if both fall into the same bucket of the histogram and can't be told apart.
    pub(super) fn or_like(&self, value: f64, other: f64) -> f64 {
        let exact = self.unit != Unit::Time || self.name.ends_with("mean") || value.is_infinite();
        let like = !exact && other <= value && value - other <= value * BUCKET;
        if like { other } else { value }
    }
}

/// A number in the drive; for an object, the sum of its numbers.
fn number(drive: &Value, pointer: &str) -> Option<f64> {
    match drive.pointer(pointer)? {
        Value::Object(numbers) => numbers.values().map(Value::as_f64).sum(),
        number => number.as_f64(),
    }
}

impl Unit {
    /// A value in readable form.
    pub(in crate::cmd) fn shown(self, value: f64) -> String {
        match self {
            Self::Time => time(value.round() as u64),
            Self::PerSecond => format!("{}/s", grouped(value.round() as u64)),
            Self::Count => grouped(value.round() as u64),
            Self::Bytes => bytes(value),
            Self::Share => format!("{} %", significant(value * 100.0, 3)),
        }
    }

    /// Its symbol in files.
    pub(in crate::cmd) fn sign(self) -> &'static str {
        match self {
            Self::Time => "ns",
            Self::PerSecond => "1/s",
            Self::Bytes => "bytes",
            Self::Count | Self::Share => "1",
        }
    }
}

impl FigureValue {
    /// The value in readable form, marked if it is a lower bound.
    pub(in crate::cmd) fn shown(self, unit: Unit) -> String {
        let mark = if self.at_least { "≥ " } else { "" };
        format!("{mark}{}", unit.shown(self.value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_leads_to_its_figure_and_no_two_are_alike() {
        let all = all();
        for (at, figure) in all.iter().enumerate() {
            assert_eq!(&named(&figure.name).unwrap(), figure);
            let alike = |other: &JsonFigure| other.pointer == figure.pointer;
            assert_eq!(all.iter().position(alike), Some(at), "{}", figure.name);
        }
        for (name, usual) in [
            ("requests_per_s", "rate"),
            ("p999", "p99.9"),
            ("latency.p99", "p99"),
        ] {
            assert_eq!(named(name).unwrap().name, usual);
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_and_all() {
        let refused = named("p98").unwrap_err();
        for word in [
            "no figure \"p98\"",
            "did you mean \"p9",
            "p99.99, max, mean",
            "errors.timeout",
            "first_byte.p50 to first_byte.max",
            "busy_ratio",
        ] {
            assert!(refused.contains(word), "{word:?} is not in {refused}");
        }
        assert!(!refused.contains("connect.p75"), "{refused}");
    }

    #[test]
    fn a_reading_knows_its_whole_and_whether_it_is_a_bound() {
        let drive = json!({
            "answered_total": 6, "errors": {"timeout": 1, "status": 3},
            "sent_total": 16, "unanswered": 4, "unsent": 0,
            "latency_ns": {"p50": 5, "p95": 7, "p999": 9, "at_least": ["p95", "p999"],
                           "at_most": {"p95": 8}},
            "send_lag_ns": null,
        });
        let read = |name: &str| named(name).unwrap().read(&drive);
        let share = |name: &str| named(name).unwrap().read_share(&drive).unwrap().value;
        let bound = |value, highest, at_least| {
            Some(FigureValue {
                value,
                at_least,
                highest,
            })
        };
        assert_eq!(read("p50"), bound(5.0, 5.0, false));
        assert_eq!(read("p95"), bound(7.0, 8.0, true));
        assert_eq!(read("p99.9"), bound(9.0, f64::INFINITY, true));
        assert_eq!(read("errors"), bound(4.0, 4.0, false));
        assert_eq!(read("errors.timeout"), bound(1.0, 1.0, false));
        assert_eq!((read("send_lag.p99"), read("max")), (None, None));
        assert_eq!((share("errors"), share("errors.status")), (0.4, 0.3));
        assert_eq!((share("unanswered"), share("unsent")), (0.25, 0.0));
        let nothing = json!({"answered_total": 0, "errors": {"status": 0}});
        assert_eq!(named("errors").unwrap().read_share(&nothing), None);
    }

    #[test]
    fn what_is_in_one_bucket_is_alike() {
        let max = named("max").unwrap();
        // How a histogram with three digits stores 100 ms.
        for (value, read) in [
            (100_007_935.0, 1e8),
            (100_200_000.0, 100_200_000.0),
            (99e6, 99e6),
        ] {
            assert_eq!(max.or_like(value, 1e8), read);
        }
        assert_eq!(
            named("mean").unwrap().or_like(100_007.0, 100_000.0),
            100_007.0
        );
        assert_eq!(max.or_like(f64::INFINITY, 1e8), f64::INFINITY);
    }

    #[test]
    fn values_are_shown_in_their_unit() {
        for (unit, value, shown) in [
            (Unit::Time, 1_234_567.0, "1.23 ms"),
            (Unit::PerSecond, 20_000.4, "20,000/s"),
            (Unit::Count, 3.0, "3"),
            (Unit::Bytes, 2048.0, "2.0 KiB"),
            (Unit::Share, 1e-7, "0.000010 %"),
            (Unit::Share, 0.0, "0 %"),
        ] {
            assert_eq!(unit.shown(value), shown);
        }
    }
}
