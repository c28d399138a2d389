//! The progress line: updated in place on a terminal, otherwise one line per step.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use record::{Failure, Level};
use runner::{Happening, Sureness, Watch};

/// How often a line is written if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What the user sees on stderr while the harness works.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    on_terminal: bool,
    last_line: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {msg} ({elapsed})"));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            on_terminal,
            last_line: None,
        }
    }

    /// Shows the current step.
    pub(super) fn note(&mut self, text: &str) {
        if self.on_terminal {
            self.bar.set_message(text.to_owned());
        } else {
            eprintln!("{text}");
        }
    }

    /// Shows how far a step is; without a terminal a line now and then.
    pub(super) fn part(&mut self, text: &str) {
        if self.on_terminal || self.is_due() {
            self.note(text);
        }
    }

    /// Whether to write a line now, if there is no terminal.
    fn is_due(&mut self) -> bool {
        let last = self.last_line;
        let due = last.is_none_or(|last| last.elapsed() > LINE_EVERY);
        if due {
            self.last_line = Some(Instant::now());
        }
        due
    }

    /// Prints a line of the result to stdout.
    pub(super) fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.bar
            .suspend(|| super::write_line(format_args!("{text}")))
    }

    /// Prints a line to stderr.
    pub(super) fn tell(&mut self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Prints a server's failure: the step, the cause, and the end of its log.
    pub(super) fn fail(&mut self, server: &str, failure: &Failure) {
        let mut text = format!(
            "{server}: failed to {}: {}",
            failure.step.verb(),
            failure.reason
        );
        for line in failure.log_tail.lines() {
            text += &format!("\n  | {line}");
        }
        self.tell(&text);
    }

    pub(super) fn finish(&mut self) {
        self.bar.finish_and_clear();
    }

    /// Shows the current step with the time left; without a terminal a line now and then.
    pub(super) fn working(&mut self, text: &str, left: Duration) {
        let left = show_time(left);
        if self.on_terminal {
            // No thread of the harness may wake up by itself while it measures.
            self.bar.disable_steady_tick();
            self.bar.set_message(format!("{left} left  {text}"));
            self.bar.tick();
        } else if self.is_due() {
            eprintln!("{left} left: {text}");
        }
    }

    fn trial(&mut self, text: String, done: usize, of: usize, left: Duration) {
        let left = show_time(left);
        if self.on_terminal {
            if done == 0 {
                self.bar.set_length(of as u64);
                self.bar
                    .set_style(style("{bar:24} {pos}/{len}  {wide_msg}"));
                // No thread of the harness may wake up by itself while it measures.
                self.bar.disable_steady_tick();
            }
            self.bar.set_position(done as u64);
            self.bar.set_message(format!("{left} left  {text}"));
        } else if self.is_due() {
            eprintln!("trial {} of {of}, {left} left: {text}", done + 1);
        }
    }
}

impl Watch for Progress {
    fn happens(&mut self, happening: &Happening<'_>) {
        match happening {
            Happening::Building(server) => self.note(&format!("building {server}")),
            Happening::Checking(server) => self.note(&format!("checking {server}")),
            Happening::Ready(server) => match (&server.failure, &server.check) {
                (Some(failure), _) => self.fail(&server.name, failure),
                (None, Some(check)) => self.tell(&format!(
                    "{}: {} of {} checks passed",
                    server.name, check.passed, check.total
                )),
                (None, None) => {}
            },
            Happening::Capturing(server) => {
                self.note(&format!(
                    "capturing responses for the control from {server}"
                ));
            }
            Happening::PassedOver(server, failure) => self.tell(&format!(
                "the control can't replay responses of {server}: {}",
                failure.reason
            )),
            Happening::Control(finding) if finding.level > Level::Ok => self.tell(&finding.found),
            Happening::Control(finding) => self.note(&format!("the control {}", finding.found)),
            Happening::Calibrating(server, workload) => {
                self.note(&format!("calibrating {workload} on {server}"));
            }
            Happening::Rates(rates) => {
                if !rates.is_empty() {
                    self.tell(&format!("paced rates: {}", show_rates(rates)));
                }
            }
            Happening::Trials(steps, done, of, left) => {
                let Some(step) = steps.first() else { return };
                let whom = match steps {
                    [one] => one.server.clone(),
                    all => format!("{} servers in turn,", all.len()),
                };
                let text = format!(
                    "round {}, {whom} {} {}",
                    step.round, step.workload, step.stage
                );
                self.trial(text, *done, *of, *left);
            }
            Happening::Measured(trial) => {
                if let Some(failure) = &trial.failure {
                    let what = format!("{} {} {}", trial.server, trial.workload, trial.stage);
                    self.fail(&what, failure);
                }
            }
            Happening::Left(server, failure) => self.fail(server, failure),
            Happening::Known(round, sureness, needed) => {
                self.tell(&known(*round, sureness, *needed));
            }
            Happening::GivenUp(server) => self.tell(&format!(
                "{server}: skipping it after 3 consecutive failures"
            )),
        }
    }
}

/// How precise the ratios are after a round.
fn known(round: u32, sureness: &Sureness, needed: Option<u32>) -> String {
    let Sureness { half_width, of } = sureness;
    if !half_width.is_finite() {
        return format!("after round {round}: too few rounds for an interval of {of}");
    }
    let needed = match needed {
        Some(rounds) => format!("; about {rounds} more rounds needed"),
        None => String::new(),
    };
    format!(
        "after round {round}: widest interval ±{:.1} % ({of}){needed}",
        half_width * 100.0
    )
}

fn show_rates(rates: &BTreeMap<String, f64>) -> String {
    let rates: Vec<String> = rates
        .iter()
        .map(|(workload, rate)| format!("{workload} {rate:.0}/s"))
        .collect();
    rates.join(", ")
}

/// Estimates the time left from the parts done so far.
#[derive(Debug)]
pub(super) struct PartsLeft {
    begin: Instant,
    done: usize,
    of: usize,
}

impl PartsLeft {
    pub(super) fn new(of: usize) -> Self {
        Self {
            begin: Instant::now(),
            done: 0,
            of,
        }
    }

    /// Leaves out the time since `begin`: builds, for example, which are no guide to the rest.
    pub(super) fn leave_out(&mut self, begin: Instant) {
        self.begin += begin.elapsed();
    }

    pub(super) fn done_one(&mut self) {
        self.done += 1;
    }

    /// As in `, about 9 min left`; empty before the first part is done.
    pub(super) fn told(&self) -> String {
        match self.done as u32 {
            0 => String::new(),
            done => {
                let left = self.begin.elapsed() / done * (self.of - self.done) as u32;
                format!(", about {} left", show_time(left))
            }
        }
    }
}

/// As in `9 min` or `40 s`.
pub(super) fn show_time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{} s", seconds + u64::from(time.subsec_nanos() > 0)),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

pub(super) fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}
