//! The measurement in words and columns.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::json::stalled;
use super::pace::words;
use super::spectrum::{SHOWN, bound, grouped, seconds, time};
use super::tables;
use super::target::Target;
use loadgen::{Arrivals, Config, Measurement, Pace, Think};

/// The share of its time a thread may work before the client is taken for the limit.
const BUSY: f64 = 0.9;
/// The share of the connections' time that may be in no latency before it is worth a word.
const UNACCOUNTED: f64 = 0.05;
/// What a person takes for late: beyond it the send lag is worth a word, nanoseconds.
const LATE_NS: u64 = 1_000_000;

/// The share of the window the busiest thread worked, 0 to 1; spinning not counted.
pub(super) fn busy_ratio(m: &Measurement) -> f64 {
    m.threads.iter().map(|t| t.busy_ratio()).fold(0.0, f64::max)
}

/// All of it, each line ended. `of`: which requests were sent, where the URL does not say it.
pub(super) fn summary(
    target: &Target,
    of: Option<&str>,
    config: &Config,
    m: &Measurement,
) -> String {
    let mut text = target.shown_at(&config.addr);
    if let Some(of) = of {
        text += &format!(", {of}");
    }
    text += &format!("\n{}\n\n", how(config, m));
    let rate = grouped(m.requests_per_s().round() as u64);
    row(
        &mut text,
        "requests",
        &format!("{} right, {rate}/s", grouped(m.requests)),
    );
    row(&mut text, "errors", &errors(m));
    let per_s = m.bytes_received as f64
        / (config.warmup + m.window)
            .as_secs_f64()
            .max(f64::MIN_POSITIVE);
    let bytes = format!("{}, {}/s", bytes(m.bytes_received as f64), bytes(per_s));
    row(&mut text, "received", &bytes);
    left_over(&mut text, config, m);
    spectrum(&mut text, m);
    text += &tables::text(m);
    row(&mut text, "connect", &short(&m.connect));
    if !m.send_lag.is_empty() {
        row(&mut text, "sent late by", &short(&m.send_lag));
    }
    if let Some(in_flight) = in_flight(config, m) {
        row(&mut text, "in flight", &in_flight);
    }
    row(&mut text, "client", &client(m));
    for remark in remarks(config, m) {
        text += &format!("\n{remark}\n");
    }
    text
}

fn row(text: &mut String, name: &str, value: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "{name:<14}{value}");
}

fn how(config: &Config, m: &Measurement) -> String {
    let mut pace = pace(config);
    match config.requests_per_connection {
        None => {}
        Some(1) => pace += ", a connection for each request (close)",
        Some(n) => pace += &format!(", a connection for every {} requests", grouped(n.into())),
    }
    if !config.from.is_empty() {
        let from: Vec<String> = config.from.iter().map(ToString::to_string).collect();
        pace += &format!(", from {}", from.join(" and "));
    }
    let warm = match config.warmup.is_zero() {
        true => String::new(),
        false => format!(" after {} of warm-up", seconds(config.warmup)),
    };
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let (connections, threads) = (m.established, m.threads.len());
    format!(
        "{connections} connection{}, {threads} thread{}, {}, {pace}, {}{warm}",
        plural(connections),
        plural(threads),
        config.engine,
        seconds(m.window)
    )
}

fn pace(config: &Config) -> String {
    let pace = match &config.pace {
        Pace::Closed => "closed loop".to_owned(),
        Pace::Rate { per_second } => format!("{per_second} requests/s asked for"),
        Pace::Stages(stages) => stages.iter().map(words).collect::<Vec<_>>().join(", "),
    };
    match (config.think, config.arrivals) {
        (Some(Think::Fixed(time)), _) => format!("{pace} with think time {}", seconds(time)),
        (Some(Think::Exponential(mean)), _) => {
            format!("{pace} with random think time, mean {}", seconds(mean))
        }
        (None, Arrivals::Poisson) => format!("{pace} at random (Poisson)"),
        (None, Arrivals::Constant) => pace,
    }
}

/// What Little's law makes of a closed loop's figures: a check on them.
fn in_flight(config: &Config, m: &Measurement) -> Option<String> {
    let in_flight = m.in_flight_mean().filter(|_| !config.is_open())?;
    let all = m.established;
    Some(match thinking(config, m) {
        None => format!("{in_flight:.1} of {all} connections (requests/s × mean latency)"),
        Some(thinking) => format!(
            "{in_flight:.1} of {all} connections (requests/s × mean latency), {thinking:.1} thinking"
        ),
    })
}

/// How many connections were thinking on average.
fn thinking(config: &Config, m: &Measurement) -> Option<f64> {
    let ended = m.latency.len() as f64 / m.window.as_secs_f64();
    Some(ended * config.think?.mean().as_secs_f64())
}

/// The share of a closed loop's connections that its figures leave out; unknown in a run too
/// short for the requests at its edges not to matter.
fn unaccounted(config: &Config, m: &Measurement) -> Option<f64> {
    let all = m.established as f64;
    if config.limit.is_some() || (m.latency.len() as f64) < 100.0 * all {
        return None;
    }
    let in_flight = m.in_flight_mean().filter(|_| !config.is_open())?;
    Some(1.0 - (in_flight + thinking(config, m).unwrap_or(0.0)) / all)
}

fn errors(m: &Measurement) -> String {
    if m.errors.is_empty() {
        return "none".to_owned();
    }
    let kinds: Vec<String> = m
        .errors
        .iter()
        .map(|(kind, count)| format!("{kind} {}", grouped(*count)))
        .collect();
    let first = m.first_error.as_ref().map_or(String::new(), |first| {
        format!("\n  the first: {}", first.replace('\n', "\n  "))
    });
    format!(
        "{} ({}){first}",
        grouped(m.errors_total()),
        kinds.join(", ")
    )
}

/// The shortest and the longest time that the unanswered requests had waited, nanoseconds.
pub(super) fn waited(m: &Measurement) -> Option<(u64, u64)> {
    let waited = || m.unfinished.iter().map(|request| request.waited_ns);
    waited().min().zip(waited().max())
}

/// What has a line only where there is any.
fn left_over(text: &mut String, config: &Config, m: &Measurement) {
    let each = config.requests_per_connection;
    let each = each.map(|n| format!("made for up to {} requests each", grouped(n.into())));
    let connections = match (config.requests_per_connection, &each) {
        (Some(1), _) => (
            "connections",
            m.reconnects,
            "made for a request of their own",
        ),
        (_, Some(each)) => ("connections", m.reconnects, &**each),
        (_, None) => ("reconnects", m.reconnects, "connections made again"),
    };
    if let Some((min, max)) = waited(m) {
        let count = grouped(m.unanswered);
        let ages = format!("{} to {}", time(min), time(max));
        let what = format!("{count} still in flight at the end, waiting {ages}");
        row(text, "unanswered", &what);
    }
    for (name, count, what) in [
        ("unsent", m.unsent, "due before the end, and never sent"),
        connections,
        (
            "repeated ids",
            m.ids_repeated,
            "of answers that should be numbered apart",
        ),
    ] {
        if count > 0 {
            row(text, name, &format!("{} {what}", grouped(count)));
        }
    }
}

fn spectrum(text: &mut String, m: &Measurement) {
    if m.latency.is_empty() {
        *text += "\nNo request ended in the window: there is no latency to show.\n\n";
        return;
    }
    let _ = writeln!(text, "\n{:<14}{:>10}  {:>10}", "", "latency", "first byte");
    let (latencies, first_bytes) = (m.latency_bounds(), m.first_byte_bounds());
    for (name, quantile) in SHOWN.into_iter().chain([("max", 1.0)]) {
        let latency = bound(latencies.at(quantile));
        let first_byte = bound(first_bytes.at(quantile));
        let _ = writeln!(text, "{name:<14}{latency:>10}  {first_byte:>10}");
    }
    if let (Some((mean, at_least)), Some(jitter)) = (m.latency_mean_bound(), m.latency_jitter_ns) {
        let mean = bound((mean as u64, at_least));
        // That of requests without an end has no bound.
        let jitter = match at_least {
            true => String::new(),
            false => format!(", standard deviation {}", time(jitter as u64)),
        };
        let _ = writeln!(text, "{:<14}{mean:>10}{jitter}", "mean");
    }
    *text += "\n";
}

fn short(histogram: &Histogram<u64>) -> String {
    let at = |quantile| time(histogram.value_at_quantile(quantile));
    format!(
        "p50 {}, p99 {}, max {}",
        at(0.5),
        at(0.99),
        time(histogram.max())
    )
}

fn client(m: &Measurement) -> String {
    let worked: u64 = m
        .threads
        .iter()
        .map(|t| t.cpu_ns.saturating_sub(t.spin_ns))
        .sum();
    let busy = format!("busiest thread {:.0} % busy", busy_ratio(m) * 100.0);
    match m.requests {
        0 => busy,
        requests => {
            let each = worked as f64 / requests as f64 / 1e3;
            format!("{each:.2} µs of CPU a request, {busy}")
        }
    }
}

/// What a person must know to read the figures right.
fn remarks(config: &Config, m: &Measurement) -> Vec<String> {
    let mut remarks = Vec::new();
    let busy = busy_ratio(m);
    if busy > BUSY {
        remarks.push(format!(
            "The client was the limit: its busiest thread worked {:.0} % of the time. The server can \
             do more\nthan this, and latency holds the client's own delay. Give it more threads \
             (-t) on CPUs of their own (--cpus).",
            busy * 100.0
        ));
    }
    if m.send_lag.value_at_quantile(0.99) > LATE_NS && !m.send_lag.is_empty() {
        remarks.push(
            "Requests went out late: the client did not keep to its schedule. Latency counts from \
             the time\nthey were due, so it holds this delay."
                .to_owned(),
        );
    }
    if let Some(share) = unaccounted(config, m).filter(|share| *share > UNACCOUNTED) {
        remarks.push(format!(
            "{:.0} % of the connections' time is in no latency (Little's law): they were being made \
             again,\nor their requests ended with an error or not at all.",
            share * 100.0
        ));
    }
    remarks.extend(stuck(config, m));
    if let Some(share) = stalled(config, m) {
        remarks.push(format!(
            "{:.0} % of the requests took 40 to 50 ms, though their first byte came at once and the \
             client was idle.\nThis is what Nagle's algorithm and delayed ACK do together: the server \
             writes an answer in several\nparts, and the last waits until the client has acknowledged \
             the one before. Write head and body in one\ncall, or set TCP_NODELAY on the server's \
             connections.",
            share * 100.0
        ));
    }
    if m.asked > 0 && (m.requests as f64) < 0.995 * m.asked as f64 {
        let share = m.requests as f64 / m.asked as f64 * 100.0;
        remarks.push(format!(
            "Only {share:.1} % of the requests that were due were answered right in time: the rate \
             is more\nthan this server and this client can do together."
        ));
    }
    if !config.cpus.is_empty() && !m.pinned {
        remarks.push("The threads could not be pinned to the CPUs asked for.".to_owned());
    }
    if m.stopped {
        remarks.push("Interrupted: this is what was measured until then.".to_owned());
    }
    remarks
}

/// Where the server no longer answers at the end.
fn stuck(config: &Config, m: &Measurement) -> Vec<String> {
    let mut remarks = Vec::new();
    if !m.unfinished.is_empty() {
        remarks.push(
            "Some requests had no answer at the end. They count here with the time they had waited, \
             and what an\nanswer could still raise is marked with ≥. Stages and classes show only what ended."
                .to_owned(),
        );
    }
    if m.silent() > 0 {
        remarks.push(format!(
            "Connections silent at the end: {}. Their requests had been unanswered for more than {}: \
             a second, and\ntwice the longest latency. The server hangs, or --timeout and --duration \
             are too short for it.",
            grouped(m.silent()),
            seconds(m.silent_after())
        ));
    }
    // Stages may end with a rate of nothing.
    let staged = matches!(config.pace, Pace::Stages(_)) && m.unfinished.is_empty();
    if let Some(quiet) = m.quiet().filter(|_| !staged) {
        remarks.push(format!(
            "The answers ceased: none came right in the last {} of the window.",
            seconds(quiet)
        ));
    }
    remarks
}

/// Bytes in the unit that suits them.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        ..1024.0 => format!("{bytes:.0} B"),
        ..1_048_576.0 => format!("{:.1} KiB", bytes / 1024.0),
        ..1_073_741_824.0 => format!("{:.1} MiB", bytes / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes / 1_073_741_824.0),
    }
}
