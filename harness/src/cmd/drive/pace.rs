//! When requests are sent: `--rate`, `--stages`, `--arrivals`, `--think`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::spectrum::seconds;
use crate::flags::{parse_duration, parse_rate};
use catalog::Pattern;
use loadgen::{Arrivals, MAX_RATE, MAX_RATE_STAGES, Pace, RateStage, Think};

/// The flags that decide when requests are sent; without any, a closed loop.
#[derive(Debug, Args)]
pub(super) struct PaceFlags {
    /// Requests per second over all connections [default: closed loop, as fast as responses arrive]; with --find
    /// the rate of the first trial [default: 100]
    #[arg(short, long, value_name = "RATE", value_parser = parse_rate)]
    pub(super) rate: Option<f64>,
    /// Rates one after another, each for a time: TIME@RATE, or TIME@FROM..TO to change the rate linearly, as in
    /// 10s@1000,10s@1000..5000,30s@5000
    #[arg(
        long, value_name = "STAGES", value_parser = parse_stages,
        conflicts_with_all = ["rate", "duration", "warmup", "requests"],
    )]
    pub(super) stages: Option<Stages>,
    /// Load that changes over time, from this file: its rates are multiples of --rate; see `cargo harness patterns`
    #[arg(
        long, value_name = "FILE", requires = "rate", value_parser = parse_pattern,
        conflicts_with_all = ["stages", "duration", "warmup", "requests"],
    )]
    pub(super) pattern: Option<Pattern>,
    /// How requests at a rate are spread over time: constant (even intervals) or poisson (random, like
    /// independent users) [default: that of --pattern, else constant]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) arrivals: Option<Spread>,
    /// Without a rate: how long a connection waits after a response before its next request, as in 10ms, 0.5s..3s for
    /// uniformly distributed times, or exp:10ms for exponentially distributed ones with that mean
    #[arg(long, value_name = "TIME", value_parser = parse_think, conflicts_with_all = ["rate", "stages"])]
    pub(super) think: Option<Think>,
}

/// The stages in order, at least one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stages(pub(super) Vec<RateStage>);

/// The values of `--arrivals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cmd) enum Spread {
    /// At even intervals
    Constant,
    /// At random, like independent users
    Poisson,
}

impl Spread {
    /// Its name in files.
    pub(in crate::cmd) fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }
}

impl From<Spread> for Arrivals {
    fn from(spread: Spread) -> Self {
        match spread {
            Spread::Constant => Self::Constant,
            Spread::Poisson => Self::Poisson,
        }
    }
}

impl PaceFlags {
    /// The selected pace.
    pub(super) fn pace(&self) -> Pace {
        if let (Some(pattern), Some(base)) = (&self.pattern, self.rate) {
            return Pace::Stages(traffic::stages(pattern, base));
        }
        match (&self.stages, self.rate) {
            (Some(stages), _) => Pace::Stages(stages.0.clone()),
            (None, Some(per_second)) => Pace::Rate { per_second },
            (None, None) => Pace::Closed,
        }
    }

    /// The total length of all stages, if there are any.
    pub(super) fn length(&self) -> Option<Duration> {
        match self.pace() {
            Pace::Stages(stages) => Some(stages.iter().map(|stage| stage.length).sum()),
            Pace::Closed | Pace::Rate { .. } | Pace::Times(_) => None,
        }
    }

    /// The selected arrivals. `searches`: the rate is searched.
    ///
    /// # Errors
    /// [`Usage`](crate::flags::Usage) if there is no rate to spread.
    pub(super) fn arrivals(&self, searches: bool) -> Result<Arrivals> {
        if self.arrivals.is_some() && self.pace() == Pace::Closed && !searches {
            refuse!(
                "--arrivals needs --rate or --stages: without them each request is sent \
                       as soon as the previous response arrives"
            );
        }
        Ok(match self.arrivals {
            Some(spread) => spread.into(),
            None => match self.pattern.as_ref().is_some_and(|pattern| pattern.poisson) {
                true => Arrivals::Poisson,
                false => Arrivals::Constant,
            },
        })
    }
}

/// A stage in words, as in `10 s at 1000/s` or `10 s from 1000 to 5000/s`.
pub(super) fn words(stage: &RateStage) -> String {
    let length = seconds(stage.length);
    if stage.from == stage.to {
        format!("{length} at {}/s", stage.from)
    } else {
        format!("{length} from {} to {}/s", stage.from, stage.to)
    }
}

/// Parses a rate from 0 up.
fn rate(text: &str) -> Option<f64> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.0..=MAX_RATE).contains(rate))
}

fn parse_stages(text: &str) -> Result<Stages, String> {
    let stages: Vec<RateStage> = text.split(',').map(stage).collect::<Result<_, _>>()?;
    if stages.len() > MAX_RATE_STAGES {
        return Err(format!("at most {MAX_RATE_STAGES} stages are allowed"));
    }
    if stages.iter().map(RateStage::requests).sum::<f64>() < 1.0 {
        return Err("not even one request is due in all stages together".to_owned());
    }
    Ok(Stages(stages))
}

fn stage(text: &str) -> Result<RateStage, String> {
    let text = text.trim();
    let refuse = |why: &str| {
        let wanted = "a stage is TIME@RATE or TIME@FROM..TO, as in 10s@1000 or 10s@1000..5000";
        format!("stage '{text}': {why}; {wanted}")
    };
    let (length, rates) = text.split_once('@').ok_or_else(|| refuse("it has no @"))?;
    let length = parse_duration(length).map_err(|why| refuse(&why))?;
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let rate = |text: &str| {
        let why = format!("'{text}' is not a rate from 0 to 10000000 requests per second");
        rate(text).ok_or_else(|| refuse(&why))
    };
    Ok(RateStage {
        length,
        from: rate(from)?,
        to: rate(to)?,
    })
}

fn parse_pattern(text: &str) -> Result<Pattern, String> {
    Pattern::load(Path::new(text)).map_err(|error| error.to_string())
}

fn parse_think(text: &str) -> Result<Think, String> {
    match (text.strip_prefix("exp:"), text.split_once("..")) {
        (Some(mean), _) => parse_duration(mean).map(Think::Exponential),
        (None, Some((least, most))) => {
            let (least, most) = (parse_duration(least)?, parse_duration(most)?);
            match least <= most {
                true => Ok(Think::Uniform(least, most)),
                false => Err("the first time must not be above the second".to_owned()),
            }
        }
        (None, None) => parse_duration(text).map(Think::Fixed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_in_order() {
        let Stages(stages) = parse_stages("10s@1000, 1m@1e3..5000,500ms@0").unwrap();
        let read: Vec<_> = stages
            .iter()
            .map(|s| (s.length.as_millis(), s.from, s.to))
            .collect();
        assert_eq!(
            read,
            [
                (10_000, 1000.0, 1000.0),
                (60_000, 1000.0, 5000.0),
                (500, 0.0, 0.0)
            ]
        );
        let said: Vec<String> = stages.iter().map(words).collect();
        assert_eq!(
            said,
            ["10 s at 1000/s", "60 s from 1000 to 5000/s", "0.5 s at 0/s"]
        );
    }

    #[test]
    fn a_wrong_stage_is_named_with_its_fault() {
        for (text, word) in [
            ("", "stage ''"),
            ("10s", "no @"),
            ("10s@1000,", "stage ''"),
            ("10@1000", "unit"),
            ("0s@1000", "above zero"),
            ("10s@fast", "'fast'"),
            ("10s@1000..", "''"),
            ("10s@1000..x", "'x'"),
            ("10s@-1", "'-1'"),
            ("10s@nan", "'nan'"),
            ("10s@20000000", "'20000000'"),
            ("10s@0", "not even one"),
            (&["1s@1"; 65].join(","), "at most 64"),
        ] {
            let error = parse_stages(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn think_times_are_fixed_or_random() {
        let ms = Duration::from_millis(10);
        assert_eq!(parse_think("10ms"), Ok(Think::Fixed(ms)));
        assert_eq!(parse_think("exp:10ms"), Ok(Think::Exponential(ms)));
        let second = Duration::from_secs(1);
        assert_eq!(parse_think("10ms..1s"), Ok(Think::Uniform(ms, second)));
        for wrong in [
            "10",
            "exp:",
            "exp:0s",
            "normal:10ms",
            "1s..10ms",
            "1s..",
            "..1s",
        ] {
            assert!(parse_think(wrong).is_err(), "{wrong}");
        }
    }
}
