//! `--fail-if`: limits that a drive must not exceed; and objectives, which are the same the other way around.

use serde_json::{Value, json};

use super::figures::{self, FigureValue, JsonFigure, SEND_LAG, SESSION, Unit};
use crate::cmd::aligned;
use loadgen::ErrorKind;

/// Units of time and of bytes. A unit that ends in another one comes before it.
const TIMES: [(&str, f64); 6] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
];
const BYTES: [(&str, f64); 7] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

/// A limit of `--fail-if`; the drive fails if it holds. Or an objective, which fails if it doesn't hold.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cmd) struct Limit {
    /// As it was typed.
    pub(in crate::cmd) text: String,
    figure: JsonFigure,
    /// Whether the value is a share of a count.
    share: bool,
    /// When the drive fails; for an objective the opposite of what was typed.
    operator: Operator,
    /// In the figure's unit; from 0 to 1 if it is a share.
    value: f64,
}

/// How a figure is compared with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The result of checking a limit.
#[derive(Debug, PartialEq)]
pub(in crate::cmd) struct Checked<'a> {
    limit: &'a Limit,
    reading: Option<FigureValue>,
    pub(in crate::cmd) passed: bool,
    /// Why it failed, if the value alone doesn't show it.
    why: Option<&'static str>,
}

/// Parses a limit such as `p99>250ms`; for clap.
///
/// # Errors
/// A message for the user.
pub(super) fn parse(text: &str) -> Result<Limit, String> {
    let text = text.trim();
    let (name, operator, value) = split(text)
        .ok_or("it has no >, <, >= or <=; quote it for the shell, as in --fail-if 'p99>250ms'")?;
    limit(text, name, operator, value)
}

/// Parses an objective such as `p99<10ms` or `errors=0`; for clap.
///
/// # Errors
/// A message for the user.
pub(in crate::cmd) fn parse_objective(text: &str) -> Result<Limit, String> {
    let text = text.trim();
    let (name, operator, value) = match (split(text), text.split_once('=')) {
        (Some((name, operator, value)), _) => (name, operator.opposite(), value),
        (None, Some((name, value))) if value.trim() == "0" => (name.trim(), Operator::Above, "0"),
        (None, _) => {
            return Err(
                "it has no <, <=, > or >=, and = is only for 0; quote it for the shell, as in 'p99<10ms' or \
                 'errors=0'"
                    .to_owned(),
            );
        }
    };
    let limit = limit(text, name, operator, value)?;
    if limit.is_about_chains() {
        return Err(format!(
            "an objective can't be about {name}: sessions are only sent by drive --session, without a rate"
        ));
    }
    match limit.figure.unit {
        Unit::PerSecond => Err(format!(
            "an objective can't be about {name}: the rate is what is searched"
        )),
        _ => Ok(limit),
    }
}

fn limit(text: &str, name: &str, operator: Operator, value: &str) -> Result<Limit, String> {
    let figure = figures::named(name)?;
    let (value, share) = quantity(&figure, value)?;
    Ok(Limit {
        text: text.to_owned(),
        figure,
        share,
        operator,
        value,
    })
}

fn split(text: &str) -> Option<(&str, Operator, &str)> {
    let at = text.find(['<', '>'])?;
    let (name, rest) = text.split_at(at);
    let operators = [
        (">=", Operator::AtLeast),
        ("<=", Operator::AtMost),
        (">", Operator::Above),
        ("<", Operator::Below),
    ];
    operators.into_iter().find_map(|(sign, operator)| {
        let value = rest.strip_prefix(sign)?;
        Some((name.trim(), operator, value.trim()))
    })
}

/// The value in the figure's unit, and whether it is a share of a count.
fn quantity(figure: &JsonFigure, text: &str) -> Result<(f64, bool), String> {
    let name = &figure.name;
    let refuse = |what: &str| {
        Err(format!(
            "'{text}' is not a valid value for {name}: expected {what}"
        ))
    };
    let wanted = match figure.unit {
        Unit::Time => "a time with its unit (ns, us, ms, s), as in 250ms",
        Unit::PerSecond => "a number per second, as in 20000/s",
        Unit::Bytes => "a number of bytes, as in 1000000 or 5MiB",
        Unit::Share => "a percentage, as in 90%",
        Unit::Count if figure.has_share() => {
            "a whole number, as in 10, or a percentage, as in 0.1%"
        }
        Unit::Count => "a whole number, as in 10",
    };
    let share = figure.unit == Unit::Share || figure.has_share();
    let read = match (figure.unit, text.strip_suffix('%')) {
        (_, Some(percent)) if share => number(percent).map(|percent| percent / 100.0),
        (Unit::Time, _) => with_unit(text, &TIMES),
        (Unit::Bytes, _) => with_unit(text, &BYTES).or_else(|| number(text)),
        (Unit::PerSecond, _) => number(text.strip_suffix("/s").unwrap_or(text)),
        (Unit::Count, _) => number(text).filter(|count| count.fract() == 0.0),
        (Unit::Share, _) => number(text).filter(|share| *share <= 1.0),
    };
    match read {
        Some(value) => Ok((value, figure.has_share() && text.ends_with('%'))),
        None => refuse(wanted),
    }
}

fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let read = |(unit, size): &(&str, f64)| Some(number(text.strip_suffix(unit)?)? * size);
    units.iter().find_map(read)
}

/// A number from 0 up; words such as `inf` are refused.
fn number(text: &str) -> Option<f64> {
    let text = text.trim_end();
    let number: f64 = text.parse().ok()?;
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    (plain && number.is_finite()).then_some(number)
}

impl Limit {
    /// Whether it replaces the drive's own rule about errors of that kind.
    pub(super) fn is_about(&self, kind: ErrorKind) -> bool {
        let name = self.figure.name.as_str();
        name == "errors" || name.strip_prefix("errors.") == Some(kind.name())
    }

    /// Whether it replaces the rule about silent connections.
    pub(super) fn is_about_silence(&self) -> bool {
        ["unanswered", "silent"].contains(&self.figure.name.as_str())
    }

    /// Whether its figure exists only if requests have a scheduled send time.
    pub(super) fn needs_a_schedule(&self) -> bool {
        self.figure.name.starts_with(SEND_LAG)
    }

    /// Whether its figure exists only for sessions.
    pub(super) fn is_about_chains(&self) -> bool {
        self.figure.name.starts_with(SESSION)
    }

    /// Whether a drive, given as its JSON, meets the limit. If only bounds of the figure are known, it passes only
    /// if no value within them fails.
    fn check(&self, drive: &Value) -> Checked<'_> {
        let reading = match self.share {
            true => self.figure.read_share(drive),
            false => self.figure.read(drive),
        };
        let (passed, why) = match reading {
            None => (false, Some("unknown: no request ended")),
            Some(reading) => self.verdict(reading),
        };
        Checked {
            limit: self,
            reading,
            passed,
            why,
        }
    }

    fn verdict(&self, reading: FigureValue) -> (bool, Option<&'static str>) {
        const OPEN: &str = "unknown: requests without a response could raise it";
        let holds = |value| {
            let value = self.figure.or_like(value, self.value);
            self.operator.holds(value, self.value)
        };
        // A condition that holds at both ends also holds in between.
        match (holds(reading.value), holds(reading.highest)) {
            (false, false) => (true, None),
            (true, true) => (false, None),
            _ => (false, Some(OPEN)),
        }
    }
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Above => Self::AtMost,
            Self::AtLeast => Self::Below,
            Self::Below => Self::AtLeast,
            Self::AtMost => Self::Above,
        }
    }

    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}

/// Checks a drive, given as its JSON, against all limits.
pub(in crate::cmd) fn check<'a>(limits: &'a [Limit], drive: &Value) -> Vec<Checked<'a>> {
    limits.iter().map(|limit| limit.check(drive)).collect()
}

impl Checked<'_> {
    fn unit(&self) -> Unit {
        match self.limit.share {
            true => Unit::Share,
            false => self.limit.figure.unit,
        }
    }

    /// The figure and its value, as in `p99 12.1 ms`.
    pub(in crate::cmd) fn shown(&self) -> String {
        let name = &self.limit.figure.name;
        match self.reading {
            Some(reading) => format!("{name} {}", reading.shown(self.unit())),
            None => format!("no {name}"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "limit": self.limit.text,
            "figure": self.limit.figure.name,
            "operator": self.limit.operator.sign(),
            "limit_value": self.limit.value,
            "value": self.reading.map(|reading| reading.value),
            "unit": if self.limit.share { "ratio" } else { self.unit().sign() },
            "at_least": self.reading.is_some_and(|reading| reading.at_least),
            "passed": self.passed,
            "why": self.why,
        })
    }
}

/// Each limit, its figure and whether it was met.
pub(super) fn json(checked: &[Checked<'_>]) -> Value {
    checked.iter().map(Checked::json).collect()
}

/// One line per limit, each ending in a newline.
pub(super) fn text(checked: &[Checked<'_>]) -> String {
    let mut text = String::from("\nlimits\n");
    let shown = |checked: &Checked<'_>| {
        let reading = checked.reading;
        reading.map_or("-".to_owned(), |reading| reading.shown(checked.unit()))
    };
    let cells = |checked: &Checked<'_>| vec![checked.limit.text.clone(), shown(checked)];
    let lines = aligned(&checked.iter().map(cells).collect::<Vec<_>>());
    for (checked, line) in checked.iter().zip(lines) {
        let verdict = if checked.passed { "pass" } else { "FAIL" };
        let why = checked.why.map_or(String::new(), |why| format!(", {why}"));
        text += &format!("  {line}  {verdict}{why}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        parse(text)
            .unwrap_or_else(|why| panic!("{text}: {why}"))
            .value
    }

    #[test]
    fn limits_are_read_in_the_unit_of_their_figure() {
        for (text, expected) in [
            ("p99>250ms", 250e6),
            ("p99.9 >= 1.5s", 1.5e9),
            ("p50>80us", 80e3),
            ("first_byte.p99>80µs", 80e3),
            ("max>0ns", 0.0),
            ("rate<20000/s", 20_000.0),
            ("requests_per_s<2e4", 20_000.0),
            ("errors>10", 10.0),
            ("errors>0.1%", 0.001),
            ("errors.timeout>=1", 1.0),
            ("unanswered > 1 %", 0.01),
            ("bytes_received<5MiB", 5_242_880.0),
            ("bytes_received<2MB", 2e6),
            ("bytes_received<900B", 900.0),
            ("bytes_received<900", 900.0),
            ("busy_ratio>90%", 0.9),
            ("busy_ratio>0.9", 0.9),
        ] {
            assert!((value(text) - expected).abs() <= expected * 1e-12, "{text}");
        }
        assert!(parse("errors>0.1%").unwrap().share);
        assert!(!parse("errors>10").unwrap().share);
        assert!(!parse("busy_ratio>90%").unwrap().share);
        assert_eq!(parse(" p99 <= 1s ").unwrap().operator, Operator::AtMost);
    }

    #[test]
    fn what_is_no_limit_is_refused_with_its_fault() {
        for (text, word) in [
            ("p99", "quote it for the shell"),
            ("p99=5ms", "no >, <, >= or <="),
            ("p98>5ms", "did you mean"),
            (">5ms", "no figure \"\""),
            ("p99>250", "a time with its unit"),
            ("p99>ms", "a time with its unit"),
            ("p99>-5ms", "a time with its unit"),
            ("p99>infs", "a time with its unit"),
            ("p99>5%", "a time with its unit"),
            ("rate<5ms", "a number per second"),
            ("rate<nan", "a number per second"),
            ("errors>0.1", "0.1%"),
            ("errors>", "a whole number"),
            ("reconnects>5%", "a whole number"),
            ("busy_ratio>90", "as in 90%"),
            ("bytes_received<5ms", "bytes"),
            ("p99>=>5ms", "a time with its unit"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    fn checked(limit: &str, drive: &Value) -> (bool, Option<&'static str>) {
        let limit = parse(limit).unwrap();
        let checked = limit.check(drive);
        (checked.passed, checked.why)
    }

    #[test]
    fn an_objective_fails_unless_it_holds() {
        let drive = json!({
            "latency_ns": {"p99": 2_000_000, "p50": 1_000_000, "at_least": ["p50"], "at_most": {"p50": 1_500_000}},
            "answered_total": 999, "errors": {"status": 1, "timeout": 0},
        });
        for (objective, passed) in [
            ("p99<2ms", false),
            ("p99<=2ms", true),
            ("p99<2.1ms", true),
            ("p99>1ms", true),
            ("p50<1.2ms", false),
            ("p50<1.6ms", true),
            ("errors=0", false),
            ("errors < 2", true),
            ("errors<=0.1%", true),
            ("errors.timeout=0", true),
        ] {
            let limit = parse_objective(objective).unwrap();
            assert_eq!(limit.check(&drive).passed, passed, "{objective}");
            assert_eq!(limit.text, objective);
        }
        for (text, word) in [
            ("p99", "as in 'p99<10ms'"),
            ("p99=5ms", "= is only for 0"),
            ("p98<5ms", "did you mean"),
            ("p99<5", "a time with its unit"),
            ("rate>5/s", "is what is searched"),
        ] {
            let refused = parse_objective(text).unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    #[test]
    fn a_limit_is_kept_or_not() {
        let drive = json!({
            "latency_ns": {"p99": 2_000_000, "mean": 1e6, "at_least": []},
            "answered_total": 999, "errors": {"status": 1}, "rate": 500.0,
        });
        for (limit, passed) in [
            ("p99>2ms", true),
            ("p99>=2ms", false),
            ("p99>1990us", false),
            ("p99<2ms", true),
            ("p99<=2ms", false),
            ("mean>999us", false),
            ("rate<500/s", true),
            ("rate<501/s", false),
            ("errors>1", true),
            ("errors>0", false),
            ("errors>0.1%", true),
            ("errors>0.09%", false),
        ] {
            assert_eq!(checked(limit, &drive), (passed, None), "{limit}");
        }
    }

    #[test]
    fn what_is_only_bounded_passes_only_where_no_value_within_fails() {
        let drive = json!({"latency_ns": {
            "p99": 2_000_000, "p50": 1_000_000,
            "at_least": ["p99", "p50"], "at_most": {"p50": 1_500_000},
        }});
        for (limit, passed, known) in [
            ("p50>900us", false, true),
            ("p50>1200us", false, false),
            ("p50>2ms", true, true),
            ("p50<900us", true, true),
            ("p50<1200us", false, false),
            ("p50<2ms", false, true),
            ("p99>1ms", false, true),
            ("p99>3ms", false, false),
            ("p99>=2ms", false, true),
            ("p99<1ms", true, true),
            ("p99<3ms", false, false),
        ] {
            let (kept, why) = checked(limit, &drive);
            assert_eq!((kept, why.is_none()), (passed, known), "{limit}");
        }
        let (kept, why) = checked("p99>1s", &json!({"latency_ns": null}));
        assert!(!kept && why.unwrap().contains("no request ended"));
    }

    #[test]
    fn each_limit_has_its_line() {
        let drive = json!({
            "latency_ns": {"p50": 80_000, "max": 9_000_000, "at_least": ["max"]},
            "answered_total": 1000, "errors": {"status": 0},
        });
        let limits = ["p50>1ms", "max>1s", "errors>0.01%"].map(|text| parse(text).unwrap());
        let checked = check(&limits, &drive);
        assert_eq!(
            text(&checked),
            "\nlimits\n  \
             p50>1ms         80.0 µs  pass\n  \
             max>1s        ≥ 9.00 ms  FAIL, unknown: requests without a response could raise it\n  \
             errors>0.01%        0 %  pass\n"
        );
        let json = json(&checked);
        assert_eq!(
            (&json[0]["value"], &json[0]["unit"]),
            (&80_000.0.into(), &"ns".into())
        );
        assert_eq!(
            (&json[1]["passed"], &json[1]["at_least"]),
            (&false.into(), &true.into())
        );
        assert_eq!(
            (&json[2]["limit_value"], &json[2]["unit"]),
            (&0.0001.into(), &"ratio".into())
        );
    }

    #[test]
    fn a_limit_knows_which_rule_it_replaces() {
        let about = |text: &str| {
            let limit = parse(text).unwrap();
            [ErrorKind::Status, ErrorKind::Timeout].map(|kind| limit.is_about(kind))
        };
        assert_eq!(about("errors>0.1%"), [true, true]);
        assert_eq!(about("errors.timeout>5"), [false, true]);
        assert_eq!(about("p99>5ms"), [false, false]);
        assert!(parse("unanswered>5").unwrap().is_about_silence());
        assert!(parse("silent>0").unwrap().is_about_silence());
        assert!(!parse("errors>5").unwrap().is_about_silence());
    }
}
