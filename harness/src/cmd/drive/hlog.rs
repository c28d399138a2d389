//! Writes latencies as an HdrHistogram interval log, which tools in other languages can read too.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use loadgen::Measurement;

const ABOUT: &str =
    "Latency of valid responses and of timeouts, in nanoseconds; written by harness drive
Without a tag: each interval, to two significant digits
With a tag: the whole window, to three significant digits (latency, wire, first_byte; send_lag if paced; \
connect: the whole drive)";

/// Writes the time series, then the whole window.
///
/// # Errors
/// If the file can't be written.
pub(super) fn write(file: File, m: &Measurement) -> Result<()> {
    let mut file = BufWriter::new(file);
    let mut serializer = V2DeflateSerializer::new();
    let start = u64::try_from(m.window_at.start_unix_ns).unwrap_or(0);
    let start = UNIX_EPOCH + Duration::from_nanos(start);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(ABOUT)
        .with_start_time(start)
        .with_base_time(start)
        .begin_log_with(&mut file, &mut serializer)?;
    for interval in &m.intervals {
        log.write_histogram(&interval.latency, interval.start, interval.length, None)
            .map_err(|error| anyhow!("{error}"))?;
    }
    for (name, histogram) in [
        ("latency", &m.latency),
        ("wire", &m.wire),
        ("first_byte", &m.first_byte),
        ("send_lag", &m.send_lag),
        ("connect", &m.connect),
    ] {
        if !histogram.is_empty() {
            log.write_histogram(histogram, Duration::ZERO, m.window, Tag::new(name))
                .map_err(|error| anyhow!("{error}"))?;
        }
    }
    file.flush()?;
    Ok(())
}
