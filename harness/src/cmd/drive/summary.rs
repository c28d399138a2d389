//! The summary of a drive, as text.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::json::stalled;
use super::pace::words;
use super::session;
use super::spectrum::{SHOWN, bound, seconds, time};
use super::tables;
use super::target::Target;
use loadgen::{Arrivals, Config, GENERATOR_BUSY, Measurement, Pace, Think};
use words::{counted, grouped};

/// Share of the connections' time outside of any latency that triggers a remark.
const UNACCOUNTED: f64 = 0.05;
/// Send lag that triggers a remark, nanoseconds.
const LATE_NS: u64 = 1_000_000;

/// The whole summary, each line ending in a newline. `of` describes the requests if the URL doesn't.
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
        &format!("{} valid, {rate}/s", grouped(m.requests)),
    );
    row(&mut text, "errors", &errors(m));
    if config.retries.is_some() {
        row(&mut text, "retries", &retries(m));
    }
    let per_s = m.bytes_received as f64
        / (config.warmup + m.window)
            .as_secs_f64()
            .max(f64::MIN_POSITIVE);
    let bytes = format!("{}, {}/s", bytes(m.bytes_received as f64), bytes(per_s));
    row(&mut text, "received", &bytes);
    left_over(&mut text, config, m);
    spectrum(&mut text, m);
    if let Some(chains) = &m.session {
        text += &session::text(config, m, chains);
    }
    text += &tables::text(m);
    row(&mut text, "connect", &short(&m.connect));
    if !m.send_lag.is_empty() {
        row(&mut text, "send lag", &short(&m.send_lag));
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
        Some(1) => pace += ", one connection per request (close)",
        Some(n) => pace += &format!(", one connection per {} requests", grouped(n)),
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
        Pace::Rate { per_second } => format!("target {per_second} requests/s"),
        Pace::Times(_) => "at the logged times".to_owned(),
        Pace::Stages(stages) => stages.iter().map(words).collect::<Vec<_>>().join(", "),
    };
    match (config.think, config.arrivals) {
        (Some(Think::Fixed(time)), _) => format!("{pace} with think time {}", seconds(time)),
        (Some(Think::Uniform(least, most)), _) => {
            let (least, most) = (seconds(least), seconds(most));
            format!("{pace} with random think time from {least} to {most}")
        }
        (Some(Think::Exponential(mean)), _) => {
            format!("{pace} with random think time, mean {}", seconds(mean))
        }
        (None, Arrivals::Poisson) => format!("{pace} at random (Poisson)"),
        (None, Arrivals::Constant) => pace,
    }
}

/// Concurrency in a closed loop by Little's law, as a check of the figures.
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

/// The mean number of connections in their think time, which follows each request, or each chain of a session.
fn thinking(config: &Config, m: &Measurement) -> Option<f64> {
    let requests = m.latency.len();
    let ended = m.session.as_ref().map_or(requests, |chains| chains.ended);
    let ended = ended as f64 / m.window.as_secs_f64();
    Some(ended * config.think?.mean().as_secs_f64())
}

/// The share of a closed loop's connection time that is in no latency; `None` if the run is so short that
/// the requests at its edges matter.
fn unaccounted(config: &Config, m: &Measurement) -> Option<f64> {
    let all = m.established as f64;
    if config.limit.is_some() || (m.latency.len() as f64) < 100.0 * all {
        return None;
    }
    let in_flight = m.in_flight_mean().filter(|_| !config.is_open())?;
    Some(1.0 - (in_flight + thinking(config, m).unwrap_or(0.0)) / all)
}

/// How retries amplify the load: attempts per request.
pub(super) fn amplification(m: &Measurement) -> Option<f64> {
    let first = m.sent_total - m.retries;
    (first > 0).then(|| m.sent_total as f64 / first as f64)
}

fn retries(m: &Measurement) -> String {
    let first = m.sent_total - m.retries;
    let amplification = amplification(m).map_or(String::new(), |a| format!(" ({a:.3} each)"));
    format!(
        "{} sent in {} attempts{amplification}, {} valid in the end",
        counted(first, "request"),
        grouped(m.sent_total),
        grouped(m.answered_total)
    )
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
        format!("\n  first: {}", first.replace('\n', "\n  "))
    });
    format!(
        "{} ({}){first}",
        grouped(m.errors_total()),
        kinds.join(", ")
    )
}

/// The shortest and the longest time that unanswered requests had waited, nanoseconds.
pub(super) fn waited(m: &Measurement) -> Option<(u64, u64)> {
    let waited = || m.unfinished.iter().map(|request| request.waited_ns);
    waited().min().zip(waited().max())
}

/// Lines that are shown only if their count is above 0.
fn left_over(text: &mut String, config: &Config, m: &Measurement) {
    let each = config.requests_per_connection;
    let each = each.map(|n| format!("opened, for up to {} requests each", grouped(n)));
    let connections = match (config.requests_per_connection, &each) {
        (Some(1), _) => ("connections", m.reconnects, "opened, one per request"),
        (_, Some(each)) => ("connections", m.reconnects, &**each),
        (_, None) => ("reconnects", m.reconnects, "connections reopened"),
    };
    if let Some((min, max)) = waited(m) {
        let count = grouped(m.unanswered);
        let ages = format!("{} to {}", time(min), time(max));
        let what = format!("{count} still in flight at the end, having waited {ages}");
        row(text, "unanswered", &what);
    }
    for (name, count, what) in [
        ("unsent", m.unsent, "due before the end but never sent"),
        connections,
        (
            "repeated ids",
            m.ids_repeated,
            "in responses that should have unique ids",
        ),
    ] {
        if count > 0 {
            row(text, name, &format!("{} {what}", grouped(count)));
        }
    }
}

fn spectrum(text: &mut String, m: &Measurement) {
    if m.latency.is_empty() {
        *text += "\nNo request ended in the window, so there is no latency to show.\n\n";
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
        // Unfinished requests leave the deviation unbounded.
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
    let busy = format!("busiest thread {:.0} % busy", m.busy_ratio() * 100.0);
    match m.requests {
        0 => busy,
        requests => {
            let each = worked as f64 / requests as f64 / 1e3;
            format!("{each:.2} µs of CPU per request, {busy}")
        }
    }
}

/// Remarks that help to read the figures correctly.
fn remarks(config: &Config, m: &Measurement) -> Vec<String> {
    let mut remarks = Vec::new();
    let busy = m.busy_ratio();
    if busy > GENERATOR_BUSY {
        remarks.push(format!(
            "The client was the limit: its busiest thread was busy {:.0} % of the time. The server may \
             be faster\nthan this, and latency includes the client's own delay. Give it more threads \
             (-t) on their own CPUs (--cpus).",
            busy * 100.0
        ));
    }
    if m.send_lag.value_at_quantile(0.99) > LATE_NS && !m.send_lag.is_empty() {
        remarks.push(
            "Requests were sent late: the client did not keep its schedule. Latency counts from \
             the time\nthey were due, so it includes this delay."
                .to_owned(),
        );
    }
    if let Some(share) = unaccounted(config, m).filter(|share| *share > UNACCOUNTED) {
        remarks.push(format!(
            "{:.0} % of the connections' time is in no latency (Little's law): they were reconnecting,\n\
             or their requests failed or never ended.",
            share * 100.0
        ));
    }
    remarks.extend(stuck(config, m));
    if let Some(share) = stalled(config, m) {
        remarks.push(format!(
            "{:.0} % of the requests took 40 to 50 ms, although their first byte arrived at once and the \
             client was idle.\nThis is typical of Nagle's algorithm combined with delayed ACK: the server \
             writes a response in several\nparts, and the last part waits until the client has acknowledged \
             the previous one. Write head and body in one\ncall, or set TCP_NODELAY on the server's \
             connections.",
            share * 100.0
        ));
    }
    if m.asked > 0 && (m.requests as f64) < 0.995 * m.asked as f64 {
        let share = m.requests as f64 / m.asked as f64 * 100.0;
        remarks.push(format!(
            "Only {share:.1} % of the requests that were due got a valid response in time: the rate \
             is more\nthan this server and this client can handle together."
        ));
    }
    if !config.cpus.is_empty() && !m.pinned {
        remarks.push("The threads could not be pinned to the CPUs asked for.".to_owned());
    }
    if m.stopped {
        remarks.push("Interrupted: these are the results until then.".to_owned());
    }
    remarks
}

/// Remarks about a server that no longer responds at the end.
fn stuck(config: &Config, m: &Measurement) -> Vec<String> {
    let mut remarks = Vec::new();
    if !m.unfinished.is_empty() {
        remarks.push(
            "Some requests had no response at the end. They count with the time they had waited, \
             and figures that\ntheir responses could still raise are marked with ≥. Stages and classes include only\nrequests that ended."
                .to_owned(),
        );
    }
    if m.silent() > 0 {
        remarks.push(format!(
            "Connections silent at the end: {}. Their requests had been unanswered for more than {}: \
             a second and\ntwice the longest latency. The server hangs, or --timeout and --duration \
             are too short for it.",
            grouped(m.silent()),
            seconds(m.silent_after())
        ));
    }
    // Stages may end at a rate of 0.
    let staged = matches!(config.pace, Pace::Stages(_)) && m.unfinished.is_empty();
    if let Some(quiet) = m.quiet().filter(|_| !staged) {
        remarks.push(format!(
            "Responses stopped: none was valid in the last {} of the window.",
            seconds(quiet)
        ));
    }
    remarks
}

/// Bytes with a suitable unit.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        ..1024.0 => format!("{bytes:.0} B"),
        ..1_048_576.0 => format!("{:.1} KiB", bytes / 1024.0),
        ..1_073_741_824.0 => format!("{:.1} MiB", bytes / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes / 1_073_741_824.0),
    }
}
