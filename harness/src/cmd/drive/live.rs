//! The progress line while the load runs; only on a terminal.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::pace::words;
use crate::cmd::progress::style;
use loadgen::{Config, Control, Pace, Window};
use words::grouped;

/// How often the line is updated: rarely enough to cost the load nothing measurable.
const EVERY: Duration = Duration::from_millis(500);

/// Shows the progress of a drive until it ends.
pub(super) fn show(control: &Control, config: &Config) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style("{msg}"));
    let mut last = (Instant::now(), 0);
    while !control.wait_over(EVERY) {
        let (now, requests) = (Instant::now(), control.requests());
        let rate = (requests - last.1) as f64 / (now - last.0).as_secs_f64();
        last = (now, requests);
        line.set_message(text(control, config, now, rate as u64));
    }
    line.finish_and_clear();
}

fn text(control: &Control, config: &Config, now: Instant, rate: u64) -> String {
    let Some(window) = control.window() else {
        return "connecting".to_owned();
    };
    let left = (window.end.saturating_duration_since(now))
        .as_secs_f64()
        .ceil();
    let done = grouped(control.requests());
    let left = match config.limit {
        None => format!("{left} s left"),
        Some(limit) => format!("of {}, at most {left} s left", grouped(limit)),
    };
    let phase = if now < window.start {
        "warming up, ".to_owned()
    } else {
        stage(config, &window, now)
    };
    let errors = match control.errors() {
        0 => String::new(),
        errors => format!(", {} errors", grouped(errors)),
    };
    format!(
        "{phase}{done} requests, {}/s{errors}, {left}",
        grouped(rate)
    )
}

/// The current stage, if there are several.
fn stage(config: &Config, window: &Window, now: Instant) -> String {
    let Pace::Stages(stages) = &config.pace else {
        return String::new();
    };
    let mut end = window.start;
    let current = stages.iter().position(|stage| {
        end += stage.length;
        now < end
    });
    current.map_or(String::new(), |index| {
        let (number, all) = (index + 1, stages.len());
        format!("stage {number} of {all} ({}), ", words(&stages[index]))
    })
}
