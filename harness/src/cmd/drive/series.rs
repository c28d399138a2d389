//! `--timeseries`: one line of JSON per interval.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Arguments, spectrum};
use crate::flags::Usage;
use loadgen::{Interval, MAX_INTERVALS, Measurement};

/// The path that means standard output.
const STDOUT: &str = "-";
/// Default length of an interval for a time series, and for a log that only tools read.
const READ: Duration = Duration::from_secs(1);
const STORED: Duration = Duration::from_millis(100);

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Series<'a> {
    File(File, &'a Path),
    Stdout,
}

impl<'a> Series<'a> {
    /// Creates the file, before anything is measured.
    ///
    /// # Errors
    /// [`Usage`] with the path.
    pub(super) fn create(path: &'a Path) -> Result<Self> {
        match path.to_str() {
            Some(STDOUT) => Ok(Self::Stdout),
            _ => Ok(Self::File(super::create("--timeseries", path)?, path)),
        }
    }

    /// Writes one line per interval.
    ///
    /// # Errors
    /// If they can't be written.
    pub(super) fn write(self, m: &Measurement) -> Result<()> {
        let mut lines = m.intervals.iter().map(|interval| line(interval, m));
        match self {
            Self::Stdout => {
                for line in lines {
                    say!("{line}");
                }
                Ok(())
            }
            Self::File(file, path) => {
                let mut file = BufWriter::new(file);
                lines
                    .try_for_each(|line| writeln!(file, "{line}"))
                    .and_then(|()| file.flush())
                    .with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

/// Whether the lines go to standard output, so that the summary can't.
pub(super) fn takes_stdout(arguments: &Arguments) -> bool {
    arguments.timeseries.as_deref() == Some(Path::new(STDOUT))
}

/// The length of an interval for a drive of that duration.
///
/// # Errors
/// [`Usage`] if there would be too many, nothing would show them, or two outputs would share standard output.
pub(super) fn interval(arguments: &Arguments, duration: Duration) -> Result<Duration> {
    let refuse = |why: String| Err(Usage(why).into());
    if takes_stdout(arguments) && arguments.json {
        return refuse(
            "--timeseries - and --json both write to standard output: give --timeseries a file"
                .to_owned(),
        );
    }
    let Some(asked) = arguments.interval else {
        // Each takes about 16 KiB per thread.
        return Ok(match arguments.timeseries {
            Some(_) => READ.max(duration / MAX_INTERVALS),
            None => match (&arguments.pace.pattern, arguments.pace.rate) {
                (Some(pattern), Some(base)) => traffic::interval(pattern, base),
                _ => STORED.max(duration / 1000),
            },
        });
    };
    if arguments.timeseries.is_none() && arguments.hlog.is_none() {
        return refuse("--interval needs --timeseries or --hlog".to_owned());
    }
    if duration.as_nanos().div_ceil(asked.as_nanos()) > u128::from(MAX_INTERVALS) {
        return refuse(format!(
            "--interval {asked:?}: a drive of up to {} would have more than 10,000 of them; use a longer interval \
             or a shorter --duration",
            spectrum::seconds(duration)
        ));
    }
    Ok(asked)
}

/// What ended in an interval.
fn line(interval: &Interval, m: &Measurement) -> Value {
    let (start, seconds) = (interval.start.as_secs_f64(), interval.length.as_secs_f64());
    let since = i64::try_from(interval.start.as_nanos()).unwrap_or(i64::MAX);
    json!({
        "start": start,
        "seconds": seconds,
        "start_unix_ns": m.window_at.start_unix_ns.saturating_add(since),
        "requests": interval.requests,
        "rate": interval.requests as f64 / seconds,
        "errors": interval.errors,
        "in_flight_mean": interval.in_flight,
        "latency_ns": spectrum::json(&interval.latency),
    })
}
