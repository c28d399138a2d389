//! `--find`: the highest rate at which a URL meets an objective.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::limits::{self, Limit};
use super::target::Target;
use super::{Arguments, load};
use crate::cmd::progress::show_time;
use crate::flags::Status;
use loadgen::{Config, DriveError, GENERATOR_BUSY, Measurement, Pace, Script};
use runner::Interrupt;
use stats::{CapacityEnd, CapacityOptions, CapacitySearch, CapacityTrial};
use words::grouped;

/// Length of a trial, and the load before it, unless the user gives another.
pub(super) const TRIAL: Duration = Duration::from_secs(2);
pub(super) const WARMUP: Duration = Duration::from_millis(500);
/// The first rate, unless the user gives another: few services can't serve it, and doubling is quick.
pub(super) const START: f64 = 100.0;
/// The lowest rate: a trial still needs a few requests.
const LEAST: f64 = 1.0;

/// What a trial showed.
#[derive(Debug)]
pub(in crate::cmd) struct Verdict {
    /// Whether the objective was met.
    pub(in crate::cmd) passed: bool,
    /// Each figure of the objective with its value.
    pub(in crate::cmd) shown: String,
    /// Whether the load generator may be why it failed.
    pub(in crate::cmd) generator_bound: bool,
    json: Value,
}

/// Judges a trial at a rate. It must also have kept up with the rate: an objective about errors alone would else be met
/// by a server whose queue grows.
pub(in crate::cmd) fn judge(objective: &[Limit], config: &Config, m: &Measurement) -> Verdict {
    let drive = super::json::measured(config, m);
    let checked = limits::check(objective, &drive);
    let kept_up = m.kept_up();
    let passed = kept_up && checked.iter().all(|checked| checked.passed);
    let mut shown: Vec<String> = checked.iter().map(limits::Checked::shown).collect();
    if !kept_up {
        let achieved = grouped(m.requests_per_s().round() as u64);
        shown.push(format!("it didn't keep up: {achieved}/s"));
    }
    Verdict {
        passed,
        shown: shown.join(", "),
        generator_bound: !passed && m.busy_ratio() > GENERATOR_BUSY,
        json: json!({
            "passed": passed,
            "achieved_per_s": m.requests_per_s(),
            "kept_up": kept_up,
            "limits": limits::json(&checked),
            "busy_ratio": m.busy_ratio(),
        }),
    }
}

/// Searches the rate of one URL.
///
/// # Errors
/// If nothing can be measured.
pub(super) fn find(
    arguments: &Arguments,
    target: &Target,
    config: &Config,
    script: &Script,
    interrupt: &Interrupt,
) -> Result<Status> {
    let options = CapacityOptions {
        start: arguments.pace.rate.unwrap_or(START),
        least: LEAST.min(arguments.max_rate),
        most: arguments.max_rate,
        tolerance: arguments.within,
        max_trials: arguments.max_trials as usize,
    };
    let each = config.warmup + config.duration;
    let text = arguments.objective();
    if !arguments.json {
        let most = show_time(each * arguments.max_trials);
        say!(
            "{}: searching for the highest rate with {text}; at most {most}",
            target.shown()
        );
    }
    let mut search = CapacitySearch::new(options);
    let mut trials = Vec::new();
    let (mut bound, begin) = (0, Instant::now());
    while let Some(rate) = search.next_rate() {
        let config = Config {
            pace: Pace::Rate { per_second: rate },
            // Each trial has its own arrivals.
            seed: config.seed.wrapping_add(trials.len() as u64),
            ..config.clone()
        };
        let measured = match load(&config, script, interrupt) {
            Err(DriveError::Stopped) => break,
            measured => measured?,
        };
        if measured.stopped {
            break;
        }
        let verdict = judge(&arguments.find, &config, &measured);
        search.record(CapacityTrial {
            rate,
            passed: verdict.passed,
        });
        bound += u32::from(verdict.generator_bound);
        let number = search.trials().len();
        if !arguments.json {
            let passed = if verdict.passed { "pass" } else { "FAIL" };
            let shown = format!("{}/s", grouped(rate.round() as u64));
            say!("  {number:>3}  {shown:>12}  {passed}  {}", verdict.shown);
        }
        let mut trial = verdict.json;
        trial["rate"] = json!(rate);
        trials.push(trial);
    }
    let result = Searched {
        search: &search,
        stopped: interrupt.is_set(),
        bound,
    };
    match arguments.json {
        true => {
            let mut json = result.json();
            json["url"] = json!(target.shown());
            json["objective"] = json!(arguments.find.iter().map(|l| &l.text).collect::<Vec<_>>());
            json["connections"] = json!(config.connections);
            json["trial_ns"] = json!(config.duration.as_nanos() as u64);
            json["warmup_ns"] = json!(config.warmup.as_nanos() as u64);
            json["within"] = json!(arguments.within);
            json["elapsed_s"] = json!(begin.elapsed().as_secs_f64());
            json["trials"] = json!(trials);
            say!("{json:#}");
        }
        false => say!("{}", result.text(&text, arguments)),
    }
    Ok(result.status())
}

/// The result of a search.
struct Searched<'a> {
    search: &'a CapacitySearch,
    stopped: bool,
    /// Failed trials in which the load generator was busy.
    bound: u32,
}

impl Searched<'_> {
    fn status(&self) -> Status {
        match (self.stopped, self.search.end(), self.search.estimate()) {
            (true, ..) => Status::Interrupted,
            (_, Some(CapacityEnd::AllPassed), _) | (.., Some(_)) => Status::Fine,
            (.., None) => Status::Failed,
        }
    }

    fn json(&self) -> Value {
        let estimate = self.search.estimate();
        json!({
            "end": self.search.end().map_or("interrupted", CapacityEnd::name),
            "rate": estimate.map(|found| found.rate),
            "low": estimate.map(|found| found.interval.low),
            "high": estimate.map(|found| found.interval.high),
            "generator_bound": self.bound > 0,
        })
    }

    fn text(&self, objective: &str, arguments: &Arguments) -> String {
        let whole = |rate: f64| grouped(rate.round() as u64);
        let trials = words::counted(self.search.trials().len() as u64, "trial");
        let mut text = match (self.search.estimate(), self.search.end()) {
            (Some(found), _) => format!(
                "{objective} up to {}/s, 95 % interval {} to {}/s, after {trials}",
                whole(found.rate),
                whole(found.interval.low),
                whole(found.interval.high),
            ),
            (None, Some(CapacityEnd::AllPassed)) => format!(
                "{objective} even at {}/s, the highest rate tried: raise --max-rate",
                whole(arguments.max_rate)
            ),
            (None, Some(CapacityEnd::NonePassed)) => {
                format!(
                    "not met: {objective} failed even at {}/s",
                    whole(LEAST.min(arguments.max_rate))
                )
            }
            (None, _) => {
                format!(
                    "no rate found after {trials}: it takes a rate that passed and one that failed"
                )
            }
        };
        if self.stopped {
            text += "\ninterrupted: this is what was known by then";
        } else if self.search.end() == Some(CapacityEnd::Used) {
            text += "\nthe interval is wider than asked for: allow more trials (--max-trials) or longer ones (-d)";
        }
        if self.bound > 0 {
            text += &format!(
                "\nthe load generator was over {:.0} % busy in {}: the server may reach more. Use more threads (-t)",
                GENERATOR_BUSY * 100.0,
                words::counted(u64::from(self.bound), "failed trial"),
            );
        }
        text
    }
}
