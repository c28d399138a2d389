//! Computes the figures of a trial from measurements and readings. A figure whose source could not be read is
//! absent.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

use super::rotation::Turns;
use super::sampler::Samples;
use loadgen::{Interval, Measurement, ThreadTime};
use machine::probe::{LightSample, Processes, Sample};
use record::Figures;
use record::figure;

const NS_PER_US: f64 = 1e3;

/// Adds a figure, unless it could not be read.
pub(super) fn note(figures: &mut Figures, id: &'static str, value: impl Into<Option<f64>>) {
    debug_assert!(
        figure::find(id).is_some(),
        "{id} has no entry in figure::FIGURES"
    );
    if let Some(value) = value.into().filter(|value| value.is_finite()) {
        figures.insert(id.to_owned(), value);
    }
}

pub(super) fn of_load(measured: &Measurement) -> Figures {
    let mut figures = Figures::new();
    let mut put = |id, value: f64| note(&mut figures, id, value);
    put("requests", measured.requests as f64);
    put("requests_per_s", measured.requests_per_s());
    put("unanswered", measured.unanswered as f64);
    put("silent", measured.silent() as f64);
    put("unsent", measured.unsent as f64);
    put("requests_sent", measured.sent_total as f64);
    put("reconnects", measured.reconnects as f64);
    put("connections_established", measured.established as f64);
    put("bytes_received", measured.bytes_received as f64);
    put("bytes_expected", measured.bytes_expected as f64);
    if measured.answered_total > 0 && measured.errors.is_empty() {
        let each = measured.bytes_expected as f64 / measured.answered_total as f64;
        put("bytes_per_response", each);
    }
    put("ids_repeated", measured.ids_repeated as f64);
    if let Some(share) = measured.delayed_ack() {
        put("delayed_ack_ratio", share);
    }
    if let Some(mean) = measured.latency_mean_ns {
        put("latency_mean_us", mean / NS_PER_US);
    }
    if let Some(jitter) = measured.latency_jitter_ns {
        put("jitter_us", jitter / NS_PER_US);
    }
    for (name, histogram, quantile) in [
        ("latency_p50_us", &measured.latency, 0.5),
        ("latency_p90_us", &measured.latency, 0.9),
        ("latency_p99_us", &measured.latency, 0.99),
        ("latency_p999_us", &measured.latency, 0.999),
        ("latency_max_us", &measured.latency, 1.0),
        ("first_byte_p50_us", &measured.first_byte, 0.5),
        ("first_byte_p99_us", &measured.first_byte, 0.99),
        ("first_byte_p999_us", &measured.first_byte, 0.999),
        ("wire_p50_us", &measured.wire, 0.5),
        ("wire_p99_us", &measured.wire, 0.99),
        ("connect_p50_us", &measured.connect, 0.5),
        ("send_lag_p99_us", &measured.send_lag, 0.99),
    ] {
        if !histogram.is_empty() {
            put(
                name,
                histogram.value_at_quantile(quantile) as f64 / NS_PER_US,
            );
        }
    }
    let driver_cpu_ns: u64 = measured
        .threads
        .iter()
        .map(|t| t.cpu_ns - t.spin_ns.min(t.cpu_ns))
        .sum();
    put(
        "driver_cpu_us_per_request",
        per_request(driver_cpu_ns, measured),
    );
    // The thread with the least idle time, whether it was working or waiting for its CPU.
    let left_over = |t: &&ThreadTime| 1.0 - t.busy_ratio() - t.wait_ratio();
    let busiest = measured
        .threads
        .iter()
        .min_by(|a, b| left_over(a).total_cmp(&left_over(b)));
    if let Some(thread) = busiest {
        put("driver_busy_ratio", thread.busy_ratio());
        if thread.wait_ns.is_some() {
            put("driver_wait_ratio", thread.wait_ratio());
        }
    }
    figures
}

/// The figures of paced drives only.
pub(super) fn of_pace(measured: &Measurement, per_second: f64) -> Figures {
    let mut figures = Figures::new();
    note(&mut figures, "asked_per_s", per_second);
    note(&mut figures, "achieved_ratio", achieved(measured));
    figures
}

/// Correct responses as a share of the requests that were due.
///
/// A slice waits for the responses to all of its requests. So this compares the responses that arrived within
/// the slice with the requests due in it; a server that can't keep up has fewer.
fn achieved(measured: &Measurement) -> Option<f64> {
    let share = |slice: &Interval| slice.on_time as f64 / slice.asked as f64;
    let slices = measured.intervals.iter().filter(|slice| slice.asked > 0);
    middle(slices.map(share))
        .or_else(|| (measured.asked > 0).then(|| measured.requests as f64 / measured.asked as f64))
}

/// The mean of the middle half. A single slice says little: requests in flight at either end, or a stall of the
/// machine there, can distort it.
pub(super) fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let quarter = values.len() / 4;
    let middle = &values[quarter..values.len() - quarter];
    (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
}

/// How the CPU time was counted, if it was.
pub(super) fn of_counting(processes: &Processes) -> Figures {
    let counted = f64::from(u8::from(processes.has_control_group()));
    let mut figures = Figures::new();
    let any = !processes.pids().is_empty();
    note(&mut figures, "cpu_by_control_group", any.then_some(counted));
    figures
}

/// The figures read from the server's processes. `rss_before` is their resident memory in bytes before the
/// load.
pub(super) fn of_server(
    measured: &Measurement,
    samples: &Samples,
    rss_before: Option<u64>,
    cpus: usize,
) -> Figures {
    let mut figures = Figures::new();
    let (Some(start), Some(end)) = (&samples.start, &samples.end) else {
        return figures;
    };
    let mut put = |id, value: Option<f64>| note(&mut figures, id, value);
    let ends = samples.edges.first().zip(samples.edges.last());
    let cpu_ns = ends.and_then(|(first, last)| grown(first.cpu_ns, last.cpu_ns));
    let per_cpu = measured.window.as_nanos() as f64 * cpus as f64;
    put(
        "cpu_us_per_request",
        cpu_ns.map(|ns| per_request(ns, measured)),
    );
    put("server_busy_ratio", cpu_ns.map(|ns| ns as f64 / per_cpu));
    let user = ends.and_then(|(first, last)| user_share(first, last));
    if let (Some(ns), Some(user)) = (cpu_ns, user) {
        let each = per_request(ns, measured);
        put("cpu_user_us_per_request", Some(each * user));
        put("cpu_system_us_per_request", Some(each * (1.0 - user)));
    }
    let switches = grown(switches(start), switches(end));
    let requests = measured.requests.max(1) as f64;
    put(
        "context_switches_per_request",
        switches.map(|n| n as f64 / requests),
    );
    let rss = samples.edges.iter().filter_map(|edge| edge.rss_bytes).max();
    put(
        "rss_peak_bytes",
        rss.max(end.peak_rss_bytes).map(|n| n as f64),
    );
    let inside = samples.inside.as_ref();
    put(
        "descriptors_peak",
        inside.and_then(|sample| sample.descriptors).map(f64::from),
    );
    figures.extend(of_memory(measured, &samples.edges, rss_before));
    figures
}

/// Memory and threads over time, from a reading at each edge of the time series.
fn of_memory(measured: &Measurement, edges: &[LightSample], rss_before: Option<u64>) -> Figures {
    let mut figures = Figures::new();
    let mut put = |id, value: f64| note(&mut figures, id, value);
    if let Some((bytes, each)) = late_growth(measured, edges) {
        put("rss_growth_bytes", bytes);
        put("rss_growth_bytes_per_request", each);
    }
    if let Some((bytes, each)) = whole_growth(measured, edges, rss_before) {
        put("rss_load_growth_bytes", bytes);
        put("rss_load_growth_bytes_per_request", each);
    }
    if let Some(threads) = edges.iter().filter_map(|edge| edge.threads).max() {
        put("threads", f64::from(threads));
    }
    figures
}

/// The figures read from the processes of an interleaved entry. `typical_ns` is its CPU time per request in a
/// typical slice.
pub(super) fn of_turns(
    measured: &Measurement,
    turns: &Turns,
    typical_ns: Option<f64>,
    rss_before: Option<u64>,
    cpus: usize,
) -> Figures {
    let edges = turns.edges();
    let mut figures = of_memory(measured, &edges, rss_before);
    let mut put = |id, value: Option<f64>| note(&mut figures, id, value);
    put("slices", Some(turns.slices.len() as f64));
    let in_flight = measured.intervals.iter().map(|slice| slice.in_flight);
    put("in_flight_mean", middle(in_flight));
    let counted = measured.window.as_secs_f64() / turns.elapsed.as_secs_f64();
    put("counted_ratio", Some(counted));
    let answered: u64 = measured.intervals.iter().map(|slice| slice.answered).sum();
    let typical_us = typical_ns.map(|ns| ns / NS_PER_US);
    put("cpu_us_per_request", typical_us);
    let cpu_ns: Option<u64> = turns
        .slices
        .iter()
        .map(|(before, after)| grown(before.cpu_ns, after.cpu_ns))
        .sum();
    let mean_us = cpu_ns.map(|ns| ns as f64 / NS_PER_US / answered as f64);
    put("cpu_mean_us_per_request", mean_us);
    let cpu_time = turns.elapsed.as_nanos() as f64 * cpus as f64;
    put("server_busy_ratio", cpu_ns.map(|ns| ns as f64 / cpu_time));
    let waiting = turns.waiting.as_nanos() as f64;
    put(
        "waiting_cpu_ratio",
        Some(turns.waiting_cpu_ns as f64 / waiting),
    );
    put("paused", Some(f64::from(u8::from(turns.paused))));
    let rss = edges.iter().filter_map(|edge| edge.rss_bytes).max();
    put("rss_peak_bytes", rss.map(|n| n as f64));
    let (Some(start), Some(end)) = (&turns.start, &turns.end) else {
        return figures;
    };
    let user = user_share(&start.light, &end.light);
    if let (Some(each), Some(user)) = (typical_us, user) {
        put("cpu_user_us_per_request", Some(each * user));
        put("cpu_system_us_per_request", Some(each * (1.0 - user)));
    }
    let switches = grown(switches(start), switches(end));
    put(
        "context_switches_per_request",
        switches.map(|n| n as f64 / answered.max(1) as f64),
    );
    put("descriptors_peak", end.descriptors.map(f64::from));
    figures
}

/// The time series of an interleaved entry: one element per slice. The CPU time of a slice is scaled to the
/// responses that count.
pub(super) fn slices(measured: &Measurement, turns: &Turns) -> Vec<record::Interval> {
    let both = measured.intervals.iter().zip(&turns.slices);
    both.map(|(slice, (before, after))| {
        let cpu_ns = grown(before.cpu_ns, after.cpu_ns).map(|ns| {
            (ns as f64 * slice.requests as f64 / slice.answered.max(1) as f64).round() as u64
        });
        interval(measured, slice, cpu_ns, Some(after))
    })
    .collect()
}

/// Growth of resident memory in bytes during the second half of the window, when the server has taken its base
/// memory, in total and per response. Absent if it did not grow.
fn late_growth(measured: &Measurement, edges: &[LightSample]) -> Option<(f64, f64)> {
    let half = edges.len() / 2;
    let bytes = grown(edges.get(half)?.rss_bytes, edges.last()?.rss_bytes)? as f64;
    let later = measured.intervals.iter().skip(half);
    let requests: u64 = later.map(|interval| interval.requests).sum();
    Some((bytes, bytes / requests.max(1) as f64))
}

/// Growth of resident memory in bytes from before the load, warm-up included, to its end, in total and per
/// response. Absent if it did not grow.
fn whole_growth(
    measured: &Measurement,
    edges: &[LightSample],
    before: Option<u64>,
) -> Option<(f64, f64)> {
    let bytes = grown(before, edges.last()?.rss_bytes)? as f64;
    Some((bytes, bytes / measured.answered_total.max(1) as f64))
}

/// The split of CPU time mostly comes in clock ticks of 10 ms. That's too coarse for a time, so it only splits
/// the time read in nanoseconds.
fn user_share(start: &LightSample, end: &LightSample) -> Option<f64> {
    let user = grown(start.user_ns, end.user_ns)?;
    let system = grown(start.system_ns, end.system_ns)?;
    (user + system > 0).then(|| user as f64 / (user + system) as f64)
}

fn switches(sample: &Sample) -> Option<u64> {
    Some(sample.voluntary_switches? + sample.involuntary_switches?)
}

pub(super) fn grown(start: Option<u64>, end: Option<u64>) -> Option<u64> {
    end?.checked_sub(start?)
}

fn per_request(ns: u64, measured: &Measurement) -> f64 {
    ns as f64 / NS_PER_US / measured.requests as f64
}

/// The histograms in stored form.
pub(super) fn histograms(
    measured: &Measurement,
) -> impl Iterator<Item = (String, record::Histogram)> + '_ {
    [
        ("latency", &measured.latency),
        ("wire", &measured.wire),
        ("first_byte", &measured.first_byte),
        ("connect", &measured.connect),
        ("send_lag", &measured.send_lag),
    ]
    .into_iter()
    .filter(|(_, histogram)| !histogram.is_empty())
    .map(|(name, histogram)| (name.to_owned(), encode(histogram)))
}

fn encode(histogram: &Histogram<u64>) -> record::Histogram {
    let mut v2 = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut v2)
        .expect("writing to a vector can't fail");
    record::Histogram { v2 }
}

/// The time series: the load generator's figures joined with the server's.
pub(super) fn intervals(measured: &Measurement, edges: &[LightSample]) -> Vec<record::Interval> {
    let sampled = |index: usize| edges.get(index);
    measured
        .intervals
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let (before, after) = (sampled(index), sampled(index + 1));
            let cpu_ns = before
                .zip(after)
                .and_then(|(b, a)| grown(b.cpu_ns, a.cpu_ns));
            interval(measured, entry, cpu_ns, after)
        })
        .collect()
}

/// One element of the time series, with the processes as they were at its end.
fn interval(
    measured: &Measurement,
    interval: &Interval,
    cpu_ns: Option<u64>,
    after: Option<&LightSample>,
) -> record::Interval {
    record::Interval {
        start_unix_ns: measured.window_at.start_unix_ns + interval.start.as_nanos() as i64,
        length_ns: interval.length.as_nanos() as i64,
        requests: interval.requests,
        errors: interval.errors,
        p50_ns: interval.p50_ns,
        p99_ns: interval.p99_ns,
        jitter_ns: interval.jitter_ns,
        cpu_ns,
        rss_bytes: after.and_then(|edge| edge.rss_bytes),
        threads: after.and_then(|edge| edge.threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "no_such_figure has no entry")]
    fn a_figure_without_a_definition_is_not_noted() {
        note(&mut Figures::new(), "no_such_figure", 1.0);
    }

    #[test]
    fn the_middle_half_is_not_moved_by_what_stands_apart() {
        assert_eq!(middle([].into_iter()), None);
        assert_eq!(middle([3.0].into_iter()), Some(3.0));
        assert_eq!(middle([1.0, 2.0, 3.0, 100.0].into_iter()), Some(2.5));
        let even = (1..=8).map(f64::from);
        assert_eq!(middle(even), Some(4.5));
    }
}
